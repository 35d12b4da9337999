"""What a store shows to others than its owner: `--as public` and `--as shared:NAME`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.campaign.inventory import today
from sdl.cli._format import console, plain, print_json, when
from sdl.fair.access import Role, readable, visible
from sdl.journal import Store
from sdl.journal._resolve import resolve
from sdl.journal.state import CampaignState, fold_all

__all__ = ["resolve_as", "show_described"]


def resolve_as(store: Store, name: str, role: Role) -> str:
    """Id of the campaign that a person means, among those that a role knows of.

    Raises:
        InputError: none or several of them fit; campaigns that the role may not know of are not there.
    """
    return store.resolve(name) if role.kind == "owner" else resolve(name, visible(store, role, today()))


def show_described(store: Store, campaign: str, role: Role, why: str, json: bool) -> None:
    """Print what describes a campaign, and why its data are not shown.

    Args:
        store: an open store.
        campaign: id.
        role: who looks, and may see the metadata.
        why: of the verdict on the data.
        json: print one JSON object.
    """
    state = fold_all(campaign, readable(store.entries(campaign), role, today()))
    if json:
        print_json(_document(state, why))
        return
    out = console()
    out.print(Text(f"{state.name}  {state.id}", style="bold"))
    grid = Table.grid(padding=(0, 2))
    for key, value in _facts(state):
        grid.add_row(Text(key, style="dim"), Text(plain(value)))
    out.print(grid)
    out.print(f"\nno data are shown: {why}", style="dim", markup=False)


def _document(state: CampaignState, why: str) -> dict[str, Any]:
    spec = state.spec.model_dump(mode="json", exclude={"lab", "inputs"}) if state.spec is not None else {}
    about = {"id": state.id, "name": state.name, "status": state.status, "withheld": f"data: {why}"}
    if state.withdrawn is not None:
        about["withdrawn"] = state.withdrawn.why
    problem = spec.pop("problem", {})
    return {"campaign": {**spec, **about}, "problem": problem, "trials": [], "project": state.created.get("project")}


def _facts(state: CampaignState) -> Iterator[tuple[str, str]]:
    spec = state.spec
    yield "status", state.status
    if state.withdrawn is not None:
        yield "withdrawn", state.withdrawn.why
    if spec is not None:
        if spec.title:
            yield "title", spec.title
        if spec.description:
            yield "description", spec.description
        if spec.creators:
            yield "creators", "; ".join(creator.name for creator in spec.creators)
        if spec.licence:
            yield "licence", spec.licence
        yield "parameters", ", ".join(spec.problem.parameter_names)
        yield "objectives", ", ".join(f"{o.kind} {o.name}" for o in spec.problem.objectives)
        yield "procedure", spec.procedure
    yield "created", when(state.created_at)
    yield "updated", when(state.updated_at)
