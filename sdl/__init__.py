"""sdl: the open framework that runs self-driving laboratories for materials.

`import sdl` is cheap on purpose: torch, bluesky and SQLAlchemy load only when something needs them.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdl.campaign import Campaign

try:
    __version__ = version("self-driving-lab")
except PackageNotFoundError:  # a checkout that is on the path but not installed
    __version__ = "0+unknown"

__all__ = ["Campaign", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Campaign":
        from sdl.campaign import Campaign

        return Campaign
    raise AttributeError(f"module 'sdl' has no attribute {name!r}")
