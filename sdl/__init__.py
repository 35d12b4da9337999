"""sdl: the open framework that runs self-driving laboratories for materials.

`import sdl` is cheap on purpose: torch, bluesky and SQLAlchemy load only when something needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdl.campaign import Campaign

__all__ = ["Campaign", "__version__"]

__version__: str
"""Of the distribution; found when it is asked for, since reading it costs more than all else here."""


def __getattr__(name: str) -> Any:
    if name == "Campaign":
        from sdl.campaign import Campaign

        return Campaign
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("self-driving-lab")
        except PackageNotFoundError:  # a checkout that is on the path but not installed
            return "0+unknown"
    raise AttributeError(f"module 'sdl' has no attribute {name!r}")
