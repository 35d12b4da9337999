"""`sdl stock`: what is left of what trials use up, and what people receive and count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.campaign.doubts import signed
from sdl.campaign.inventory import Inventory, Lot, today
from sdl.campaign.labbook import LabBook, lab_spec, record
from sdl.cli._as import owner_alone
from sdl.cli._doubts import _login
from sdl.cli._format import console, number, plain, print_json, when
from sdl.journal import Store, kinds
from sdl.journal.location import StoreLocation
from sdl.lab.spec import LabSpec
from sdl.model import FileFault, InputError
from sdl.model.units import parse_quantity
from sdl.plugins import suggest

__all__ = ["count_command", "receive_command", "stock_command"]

_LONGEST = 80
"""Characters of a lot's name."""


def stock_command(lab: Path | None, path: StoreLocation, json: bool, as_: str = "") -> None:
    """Print what is left of each lot of a lab's stock; no campaign's policy opens it to others (`as_`)."""
    owner_alone(as_, "the stock of a lab belongs to no campaign, so no policy opens it", "ask for it at the lab")
    with Store.open(path, create=False) as store:
        spec = lab_spec(store, lab)
        inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
    day = today()
    if json:
        for lot in inventory.lots.values():
            print_json(_as_json(lot, day))
        return
    out = console()
    if not spec.stock and not inventory.lots:
        out.print(f"lab {spec.name} declares no `stock:`", markup=False)
        return
    for warning in _warnings(spec, inventory, day):
        out.print(Text(warning, style="bold red"), soft_wrap=True)
    table = Table("item", "lot", "left", "set aside", "free", "expires", "counted", box=None, pad_edge=False)
    for row in _rows(spec, inventory, day):
        table.add_row(*(Text(plain(cell), no_wrap=True, overflow="fold") for cell in row))
    out.print(table)


def _as_json(lot: Lot, day: date) -> dict[str, Any]:
    names = ("item", "lot", "unit", "left", "reserved", "free", "received", "used", "expires", "counted_at")
    return {**{name: getattr(lot, name) for name in names}, "expired": lot.expired(day)}


def _rows(spec: LabSpec, inventory: Inventory, day: date) -> Iterator[tuple[str, ...]]:
    for item in dict.fromkeys([*spec.stock, *(lot.item for lot in inventory.lots.values())]):
        lots = inventory.of(item)
        if not lots:
            yield item, "–", _amount(0.0, spec.stock[item].unit), "–", "–", "–", "–"
        for lot in lots:
            expires = f"{lot.expires or '–'}{' (expired)' if lot.expired(day) else ''}"
            counted = when(lot.counted_at) if lot.counted_at else "–"
            amounts = (_amount(value, lot.unit) for value in (lot.left, lot.reserved, lot.free))
            yield item, lot.lot, *amounts, expires, counted


def _amount(value: float, unit: str) -> str:
    return number(float(value), 6) + ("" if unit == "1" else f" {unit}")


def _warnings(spec: LabSpec, inventory: Inventory, day: date) -> Iterator[str]:
    for item, about in spec.stock.items():
        free, limit = inventory.free(item, day), parse_quantity(about.warn_below, about.unit)
        if free < limit:
            yield f"LOW: {item}: {_amount(free, about.unit)} free, below {_amount(limit, about.unit)}"
    for lot in inventory.lots.values():
        if lot.left < 0:
            more = _amount(-lot.left, lot.unit)
            advice = f"look how much is there: sdl stock count {lot.item} AMOUNT --lot {lot.lot} --note '…'"
            yield f"{lot.item}, lot {lot.lot}: {more} more used than is on record; {advice}"


def receive_command(
    item: str, amount: str, lot: str, expires: str, note: str, by: str, lab: Path | None, path: StoreLocation
) -> None:
    """Put on record that a lot came in, or more of it."""
    with _opened(path, lab) as store:
        spec = lab_spec(store, lab)
        inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
        faults, value = _faults(spec, item, amount, lot)
        if value == 0:
            faults.append(FileFault(f"{amount!r}: nothing was received; give an amount above 0"))
        known = inventory.lots.get((item, lot))
        faults += _expiry(expires, known)
        if faults:
            raise InputError(faults)
        body = {
            "item": item, "lot": lot, "amount": value, "unit": spec.stock[item].unit, "expires": expires,
            "by": signed(by or _login()), "note": note.strip(),
        }  # fmt: skip
        record(store, spec.name, kinds.STOCK_RECEIVED, body)
        _say(store, spec, item, lot)


def count_command(item: str, amount: str, lot: str, note: str, by: str, lab: Path | None, path: StoreLocation) -> None:
    """Put on record how much of a lot somebody found."""
    with Store.open(path, create=False) as store:
        spec = lab_spec(store, lab)
        inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
        faults, value = _faults(spec, item, amount, lot)
        lots = [own.lot for own in inventory.of(item)]
        if item in spec.stock and lot not in lots:
            hint = suggest(lot, lots)
            faults.append(
                FileFault(f"no lot {lot!r} of {item} is on record{hint}; receive it first: sdl stock receive")
            )
        if not note.strip():
            faults.append(FileFault("say how it was counted, as in --note 'weighed the bottle'"))
        if faults:
            raise InputError(faults)
        body = {
            "item": item, "lot": lot, "amount": value, "unit": spec.stock[item].unit, "by": signed(by or _login()),
            "note": note.strip(),
        }  # fmt: skip
        record(store, spec.name, kinds.STOCK_COUNTED, body)
        _say(store, spec, item, lot)


def _opened(path: StoreLocation, lab: Path | None) -> Store:
    """The store; made when there is none and the lab file is sound."""
    if lab is not None and not Store.there(path):
        lab_spec(None, lab)
        return Store.open(path)
    return Store.open(path, create=False)


def _faults(spec: LabSpec, item: str, amount: str, lot: str) -> tuple[list[FileFault], float]:
    """What is wrong with what was given, and the amount in the stock's unit."""
    faults, value = list[FileFault](), -1.0
    if item not in spec.stock:
        faults.append(FileFault(f"lab {spec.name} has no stock {item!r}{suggest(item, list(spec.stock))}"))
    else:
        unit = spec.stock[item].unit
        try:
            value = parse_quantity(amount, unit)
            if value < 0:
                faults.append(FileFault(f"{amount!r} is below 0"))
        except ValueError as error:
            faults.append(FileFault(str(error)))
    if not lot.strip() or lot != lot.strip() or not lot.isprintable() or len(lot) > _LONGEST:
        faults.append(FileFault(f"{lot!r} is no name of a lot; write what is on it, up to {_LONGEST} characters"))
    return faults, value


def _expiry(expires: str, known: Lot | None) -> Iterator[FileFault]:
    try:
        day = date.fromisoformat(expires) if expires else None
    except ValueError:
        yield FileFault(f"--expires {expires!r} is no date; write it as in 2027-03-31")
        return
    if day is not None and day < today():
        yield FileFault(f"--expires {expires}: that day is over; trials take nothing of a lot that has expired")
    if known is not None and expires and known.expires not in ("", expires):
        advice = "give what came in a name of its own"
        yield FileFault(f"lot {known.lot!r} of {known.item} expires on {known.expires}, says the record; {advice}")


def _say(store: Store, spec: LabSpec, item: str, lot: str) -> None:
    inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
    now = inventory.lots[item, lot]
    left, aside, free = (_amount(value, now.unit) for value in (now.left, now.reserved, now.free))
    out = console()
    out.print(f"{item}, lot {plain(lot)}: {left} left, {aside} set aside, {free} free", markup=False, soft_wrap=True)
    for warning in _warnings(spec, inventory, today()):
        if warning.removeprefix("LOW: ").startswith((f"{item}:", f"{item},")):
            out.print(Text(warning, style="bold red"), soft_wrap=True)
