"""The loop: ask, approve, schedule, execute, tell, recover."""

from sdl.campaign.campaign import Campaign
from sdl.campaign.control import Control
from sdl.campaign.coordinator import OnEvent
from sdl.campaign.files import LoadedCampaign, load_campaign
from sdl.campaign.settings import parse_settings

__all__ = ["Campaign", "Control", "LoadedCampaign", "OnEvent", "load_campaign", "parse_settings"]
