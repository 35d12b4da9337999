"""The twin of the thin-film lab: spin coating, annealing, cracks, conductivity, and where each film is."""

from sdl.simulators.film.furnace import FurnaceBed
from sdl.simulators.film.ideal import ideal_film
from sdl.simulators.film.options import FilmOptions
from sdl.simulators.film.properties import Properties
from sdl.simulators.film.twin import PLACES, FilmTwin

__all__ = ["PLACES", "FilmOptions", "FilmTwin", "FurnaceBed", "Properties", "ideal_film"]
