"""`sdl samples`: where they are and what became of them, and what people say of them."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.campaign.doubts import signed
from sdl.campaign.inventory import Inventory, Located
from sdl.campaign.labbook import LabBook, lab_spec, record
from sdl.cli._as import only_data, opened_as, say_withheld, with_data
from sdl.cli._doubts import _login
from sdl.cli._format import console, plain, print_json, when
from sdl.journal import Store, kinds
from sdl.journal.location import StoreLocation
from sdl.journal.samples import SampleStatus
from sdl.lab.spec import LabSpec
from sdl.model import FileFault, InputError
from sdl.plugins import suggest

__all__ = ["locate_command", "quarantine_command", "samples_command"]

_STYLES = {
    SampleStatus.LIVE: "green",
    SampleStatus.ARCHIVED: "cyan",
    SampleStatus.CONSUMED: "dim",
    SampleStatus.QUARANTINED: "bold red",
}


def samples_command(
    campaign: str,
    lab: Path | None,
    path: StoreLocation,
    everything: bool,
    json: bool,
    labels: Path | None,
    as_: str = "",
) -> None:
    """Print the samples of a campaign or a lab, or write their labels; `as_`: for whom, as in `--as`."""
    with opened_as(path, as_) as (seen, role):
        chosen = with_data(seen, campaign, role) if campaign else ""
        if not chosen and not json:
            say_withheld(seen, role)
        store = only_data(seen)
        if chosen and lab is None:
            name = store.state(chosen).created.get("lab", {}).get("name", "")
            found = LabBook(store, name).refresh().inventory()
            spec = None
        else:
            spec = lab_spec(store, lab)
            found = LabBook(store, spec.name).refresh().inventory(spec.stock)
    items = [item for item in found.samples.values() if chosen in ("", item.campaign)]
    shown = [item for item in items if everything or _in_lab(item)]
    slots = {name: place.slots for name, place in spec.places.items()} if spec is not None else {}
    if labels is not None:
        _write_labels(labels, shown)
    elif json:
        for item in shown:
            print_json(_as_json(item, slots))
    else:
        _print(shown, len(items), slots)


def _in_lab(item: Located) -> bool:
    return item.sample.status is not SampleStatus.CONSUMED and bool(item.at.place)


def _print(shown: Sequence[Located], known: int, slots: dict[str, int]) -> None:
    out = console()
    if not shown:
        more = f"; {known} consumed or taken out, see --all" if known else ""
        out.print(f"no sample is in the lab{more}", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("sample", "label", "status", "where", "campaign", "trial", "since", "note"):
        table.add_column(column, overflow="fold", no_wrap=column in ("sample", "trial"))
    for item in shown:
        sample = item.sample
        status = Text(sample.status.value, style=_STYLES[sample.status])
        cells = (item.at.in_words(slots), item.campaign_name, str(sample.trial), when(sample.history[-1].at))
        note = sample.message or sample.history[-1].note
        named = (Text(plain(sample.id)), Text(plain(sample.label)))
        table.add_row(*named, status, *(Text(plain(cell)) for cell in cells), Text(plain(note)))
    out.print(table)


def _as_json(item: Located, slots: dict[str, int]) -> dict[str, Any]:
    sample = item.sample
    return {
        **{name: getattr(sample, name) for name in ("id", "label", "barcode", "trial", "place", "slot", "message")},
        "status": sample.status.value,
        "campaign": item.campaign,
        "name": item.campaign_name,
        "where": item.at.in_words(slots),
        "towards": [{"place": place, "slot": slot} for place, slot in item.at.towards],
        "stock": [{"item": stock, "lot": lot} for stock, lot in sample.stock],
        "parents": list(sample.parents),
        "history": [asdict(event) for event in sample.history],
    }


def _write_labels(target: Path, items: Sequence[Located]) -> None:
    from sdl.cli._labels import sheet

    if not items:
        raise InputError("there is no sample to print a label for")
    rows = [
        (item.sample.label, item.sample.barcode, f"{item.campaign_name}, trial {item.sample.trial}") for item in items
    ]
    try:
        target.write_text(sheet("Labels of samples", rows), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from None
    console().print(f"labels of {len(rows)} samples: {target}", markup=False, soft_wrap=True)


def locate_command(
    sample: str, place: str, slot: int | None, away: bool, note: str, by: str, lab: Path | None, path: StoreLocation
) -> None:
    """Put on record where somebody has seen or put a sample."""
    with Store.open(path, create=False) as store:
        spec = lab_spec(store, lab)
        inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
        faults = list[FileFault]()
        item = _find(inventory, sample, faults)
        chosen = ("", 0) if away else _spot(spec, inventory, place, slot, item, faults)
        if away == bool(place):
            faults.append(FileFault("say where it is with --place PLACE, or with --out that it is out of the lab"))
        if away and slot is not None:
            faults.append(FileFault("--slot is one of a place; what is out of the lab has none"))
        if item is not None and item.sample.status is SampleStatus.CONSUMED:
            faults.append(FileFault(f"sample {item.sample.id} is nowhere: {item.sample.message or 'it is consumed'}"))
        _need_note(note, "'lies in the box by the window'", faults)
        if faults or item is None:
            raise InputError(faults)
        signature = signed(by or _login())
        body = {"sample": item.sample.id, "place": chosen[0], "slot": chosen[1], "by": signature, "note": note.strip()}
        record(store, spec.name, kinds.SAMPLE_LOCATED, body)
        _say(store, spec, item.sample.id)


def _spot(
    spec: LabSpec, inventory: Inventory, place: str, slot: int | None, item: Located | None, faults: list[FileFault]
) -> tuple[str, int]:
    """The slot that a person means; the first free one where none is given."""
    if not place:
        return "", 0
    if place not in spec.places:
        faults.append(FileFault(f"lab {spec.name} has no place {place!r}{suggest(place, list(spec.places))}"))
        return "", 0
    slots = spec.places[place].slots
    if slot is not None and not 1 <= slot <= slots:
        faults.append(FileFault(f"{place} has slots 1 to {slots}, and no slot {slot}"))
        return "", 0
    own = (item.campaign, item.sample.trial) if item is not None else ("", 0)
    held = {
        number: next((h for h in inventory.taken.get((place, number), ()) if (h.campaign, h.trial) != own), None)
        for number in ([slot] if slot is not None else range(1, slots + 1))
    }
    free = next((number for number, holder in held.items() if holder is None), None)
    if free is None:
        holders = "; ".join(
            f"slot {n}: {h.sample or f'trial {h.trial}'} ({h.status})" for n, h in list(held.items())[:5] if h
        )
        advice = "take that one away and say so first, with --out or another --place"
        faults.append(FileFault(f"{place} is taken: {holders}; {advice}"))
    return place, free or 0


def quarantine_command(sample: str, note: str, by: str, lab: Path | None, path: StoreLocation) -> None:
    """Put on record that nobody is to use a sample."""
    with Store.open(path, create=False) as store:
        spec = lab_spec(store, lab)
        inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
        faults = list[FileFault]()
        item = _find(inventory, sample, faults)
        status = item.sample.status if item is not None else None
        if item is not None and status in (SampleStatus.CONSUMED, SampleStatus.QUARANTINED):
            why = f": {item.sample.message}" if item.sample.message else ""
            faults.append(FileFault(f"sample {item.sample.id} is {item.sample.status.value} already{why}"))
        _need_note(note, "'a scratch across the film'", faults)
        if faults or item is None:
            raise InputError(faults)
        about = {"trial": item.sample.trial, "sample": item.sample.id, "by": signed(by or _login())}
        record(store, spec.name, kinds.SAMPLE_QUARANTINED, {**about, "message": note.strip()})
        _say(store, spec, item.sample.id)


def _need_note(note: str, example: str, faults: list[FileFault]) -> None:
    if not note.strip():
        faults.append(FileFault(f"say what you saw, as in --note {example}; those after you read it"))


def _find(inventory: Inventory, text: str, faults: list[FileFault]) -> Located | None:
    """The sample that a person means by its id, bar code or label, or the first part of one."""
    every = list(inventory.samples.values())
    names = {item.sample.id: (item.sample.id, item.sample.barcode, item.sample.label) for item in every}
    exact = [item for item in every if text in names[item.sample.id]]
    fits = exact or [i for i in every if text and any(name.startswith(text) for name in names[i.sample.id])]
    if len(fits) == 1:
        return fits[0]
    if fits:
        several = ", ".join(item.sample.id for item in fits[:8])
        faults.append(FileFault(f"{text!r} fits several samples: {several}; write more of the one you mean"))
        return None
    known = [name for item in every for name in dict.fromkeys(names[item.sample.id]) if name]
    near = difflib.get_close_matches(text, known, n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; see: sdl samples --all"
    faults.append(FileFault(f"no sample {text!r}{hint}"))
    return None


def _say(store: Store, spec: LabSpec, id_: str) -> None:
    item = LabBook(store, spec.name).refresh().inventory(spec.stock).samples[id_]
    at = item.at.in_words({name: place.slots for name, place in spec.places.items()})
    console().print(f"{shlex.quote(id_)} ({item.sample.status.value}): {at}", markup=False, soft_wrap=True)
