"""What a store shows to others than its owner: `--as public` and `--as shared:NAME`.

Every command that reads opens its store with `opened_as`; whoever is not the owner then gets a store in which nothing
is that the policies do not open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.campaign.inventory import today
from sdl.cli._format import console, plain, print_json, when
from sdl.fair._seen import SeenStore
from sdl.fair.access import Hidden, Role, data_verdict, require_data, role_of, seen_by
from sdl.journal import Store
from sdl.journal.location import StoreLocation
from sdl.journal.state import CampaignState

__all__ = ["only_data", "opened_as", "owner_alone", "say_withheld", "show_described", "with_data"]


@contextmanager
def opened_as(path: StoreLocation, as_: str) -> Iterator[tuple[Store, Role]]:
    """Open a store to read it: as it is for the owner, as the policies let it be seen for others.

    Args:
        path: of the store; there has to be one.
        as_: for whom, as in `--as`.

    Raises:
        InputError: nobody is called that.
    """
    role = role_of(as_)
    with Store.open(path, create=False) as store:
        yield seen_by(store, role, today()), role


def with_data(store: Store, name: str, role: Role, path: str = "") -> str:
    """Id of the campaign that a person means, the data of which the role may see.

    Args:
        store: as `opened_as` gives it.
        name: of the campaign.
        role: who looks.
        path: what the command makes, as it is called in a release.

    Raises:
        InputError: none or several fit; campaigns that the role may not know of are not there.
        Hidden: the role may not see the data; the message says why, until when, and what may be seen.
    """
    campaign = store.resolve(name)
    try:
        require_data(store, campaign, role, today(), path)
    except Hidden as error:
        raise Hidden(f"{error}. What describes it: sdl show {name} --as {role}") from None
    return campaign


def only_data(store: Store) -> Store:
    """The same store with only those campaigns whose data may be seen."""
    return store.only_data() if isinstance(store, SeenStore) else store


def say_withheld(store: Store, role: Role) -> None:
    """Say of which campaigns, among those that the role knows of, nothing is shown here, and why."""
    if not isinstance(store, SeenStore):
        return
    for head in store.campaigns():
        verdict = data_verdict(store, head.id, role, today())
        if not verdict.allowed:
            console().print(f"not shown: campaign {head.name}: {verdict.why}", style="dim", markup=False)


def owner_alone(as_: str, what: str, instead: str) -> None:
    """Refuse what no policy can open, because it holds every campaign or belongs to none.

    Args:
        as_: for whom, as in `--as`.
        what: cannot be seen by others, with its verb, as in `a backup holds every campaign in full`.
        instead: what others may have.

    Raises:
        Hidden: not for the owner.
    """
    role = role_of(as_)
    if role.kind != "owner":
        raise Hidden(f"{what}: for the owner alone, not for {role}; {instead}")


def show_described(store: Store, campaign: str, why: str, json: bool) -> None:
    """Print what describes a campaign, and why its data are not shown.

    Args:
        store: as `opened_as` gives it, to somebody who may see the metadata.
        campaign: id.
        why: of the verdict on the data.
        json: print one JSON object.
    """
    state = store.state(campaign)
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
