"""What a trial needs of the stock, and how it is said that there is not enough."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Missing", "Need", "Shortage"]


@dataclass(frozen=True)
class Need:
    """What one step of a trial takes of one item."""

    step: str
    item: str
    amount: float
    """In `unit`."""
    unit: str
    devices: tuple[str, ...] = ()
    """Devices whose actions take it; empty for the step as a whole."""
    path: str = ""


@dataclass(frozen=True)
class Missing:
    """An item of which there is not enough."""

    item: str
    unit: str
    wanted: float
    free: float
    left: float
    """On record in all, what is set aside and what has expired included."""
    reserved: float
    expired: float

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        set_aside = f", {self.reserved:.4g}{unit} set aside for trials" if self.reserved else ""
        expired = f", {self.expired:.4g}{unit} in lots that have expired" if self.expired else ""
        quantity = "AMOUNT" if self.unit == "1" else f"'AMOUNT {self.unit}'"
        return (
            f"not enough {self.item}: {self.wanted:.4g}{unit} wanted, {max(self.free, 0.0):.4g}{unit} free "
            f"({self.left:.4g}{unit} left{set_aside}{expired}); once there is more, say so with: "
            f"sdl stock receive {self.item} {quantity} --lot LOT"
        )


@dataclass(frozen=True)
class Shortage:
    """Why a trial cannot begin: every item of which there is not enough."""

    items: tuple[Missing, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.items))
