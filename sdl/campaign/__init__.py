"""The loop: ask, approve, schedule, execute, tell, recover.

Names are imported on first use: the planner's worker process lives in this package and needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdl.campaign.campaign import Campaign
    from sdl.campaign.control import Control
    from sdl.campaign.coordinator import OnEvent
    from sdl.campaign.files import LoadedCampaign, load_campaign
    from sdl.campaign.session import Feed
    from sdl.campaign.settings import parse_settings

__all__ = ["Campaign", "Control", "Feed", "LoadedCampaign", "OnEvent", "load_campaign", "parse_settings"]

_HOMES = {
    "Campaign": "campaign",
    "Control": "control",
    "Feed": "session",
    "LoadedCampaign": "files",
    "OnEvent": "coordinator",
    "load_campaign": "files",
    "parse_settings": "settings",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sdl.campaign.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'sdl.campaign' has no attribute {name!r}")
