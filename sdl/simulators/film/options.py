"""What `simulation.options` of a thin-film lab may say about its physics."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sdl.model import Record
from sdl.model.units import parse_quantity

__all__ = ["FilmOptions"]


def _quantity(unit: str) -> Any:
    return BeforeValidator(lambda value: parse_quantity(value, unit))


class FilmOptions(Record):
    """An ink of silver nanoparticles and its surroundings. Quantities may carry another unit of the same kind."""

    solids: Annotated[float, Field(gt=0, lt=0.3)] = 0.055
    """Volume of silver with its ligands over the volume of the ink."""
    viscosity: Annotated[float, _quantity("mPa*s"), Field(gt=0)] = 10.0
    """Of the ink, mPa s."""
    density: Annotated[float, _quantity("g/mL"), Field(gt=0)] = 1.24
    """Of the ink, g/mL."""
    ink: Annotated[float, _quantity("mL"), Field(ge=0)] = 100.0
    """In the bottle at the start, mL."""
    bottle: Annotated[float, _quantity("g"), Field(ge=0)] = 85.0
    """Mass of the empty bottle, g."""
    substrates: Annotated[int, Field(ge=0)] = 400
    """In the coater's magazine at the start."""
    tray: Annotated[int, Field(ge=1)] = 1000
    """Films that the tray holds."""
    evaporation: Annotated[float, _quantity("um/s"), Field(gt=0)] = 1.0
    """Loss of solvent from a plate that turns at 2000 rpm, at 22 degC in dry air, um/s."""
    critical_thickness: Annotated[float, _quantity("nm"), Field(gt=0)] = 290.0
    """Thickness above which an average film cracks at an anneal of 250 degC that is approached slowly, nm."""
    approach: Annotated[float, _quantity("s"), Field(gt=0)] = 90.0
    """Time constant with which a film on the lowered pins of a furnace follows the plate, s."""
    ambient: Annotated[float, _quantity("degC")] = 22.0
    """degC"""
    humidity: Annotated[float, _quantity("percent"), Field(ge=0, le=100)] = 20.0
    """Of the glovebox at the start, %RH."""
    film_spread: Annotated[float, Field(ge=0, le=0.3)] = 0.02
    """Standard deviation from film to film of what no setting explains, as a fraction."""
    resistance_noise: Annotated[float, Field(ge=0, le=0.3)] = 0.01
    """Standard deviation of one reading of the probe, as a fraction."""
    thickness_noise: Annotated[float, Field(ge=0, le=0.3)] = 0.01
    """Standard deviation of one reading of the gauge, as a fraction."""
