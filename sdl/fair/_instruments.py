"""The instruments of a campaign: what the lab file says of them, and what they said of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdl.fair.record import Instrument

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState
    from sdl.lab.spec import LabSpec

__all__ = ["instruments_of", "lab_of"]


def lab_of(state: CampaignState) -> LabSpec | None:
    """The lab file as the journal has it; None where it is not there in full, or in no form of this release."""
    from sdl.campaign.recipe import recipe_of

    recipe = recipe_of(state)
    return recipe.lab if recipe is not None else None


def instruments_of(lab: LabSpec | None, opened: Mapping[str, Any]) -> tuple[Instrument, ...]:
    """Every device of the lab that the campaign's sessions connected; all of them where none was connected.

    Args:
        lab: the lab file.
        opened: of all entries `lab.opened`, later ones over earlier ones.
    """
    if lab is None:
        return ()
    stations = {device: name for name, station in reversed(lab.stations.items()) for device in station.devices}
    seen = {*opened.get("addresses", {}), *opened.get("simulated", ())}
    return tuple(_instrument(name, lab, opened, stations) for name in lab.devices if name in seen or not seen)


def _instrument(name: str, lab: LabSpec, opened: Mapping[str, Any], stations: Mapping[str, str]) -> Instrument:
    device = lab.devices[name]
    stated: Mapping[str, Any] = device.about.model_dump(mode="json")
    told: Mapping[str, Any] = opened.get("identity", {}).get(name, {})

    def known(key: str) -> str:
        """What people wrote down wins over what the instrument says of itself."""
        return str(stated.get(key) or told.get(key) or "")

    return Instrument(
        device=name,
        station=stations.get(name, ""),
        driver=device.driver,
        simulated=name in opened.get("simulated", ()),
        manufacturer=known("manufacturer"),
        model=known("model"),
        serial=known("serial"),
        owner=known("owner"),
        calibrated=known("calibrated"),
        identifier=known("identifier"),
        certificate=opened.get("certificates", {}).get(name, {}),
        firmware=known("firmware"),
        identity=told,
    )
