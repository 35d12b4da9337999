"""`python -m sdl` is the command `sdl`."""

from sdl.cli import main

if __name__ == "__main__":
    main()
