"""`sdl tell`: trials made by hand or elsewhere, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdl.campaign._doubt import actions_state
from sdl.campaign.doubts import NotAnswered
from sdl.campaign.telling import Told, read_assignments, read_told, tell
from sdl.cli._doubts import _login
from sdl.cli._errors import ENDED, PAUSED
from sdl.cli._format import console, plain
from sdl.journal import Store
from sdl.journal.location import StoreLocation
from sdl.model import InputError

__all__ = ["tell_command"]


def tell_command(
    name: str,
    values: Sequence[str],
    outcomes: Sequence[str],
    infeasible: str,
    table: Path | None,
    note: str,
    by: str,
    path: StoreLocation,
    wait: float = 10.0,
) -> int:
    """Tell a campaign of trials; return the exit status.

    Args:
        name: of the campaign, its id, or a prefix of either.
        values: parameters as `NAME=VALUE`.
        outcomes: outcomes as `NAME=VALUE`, as in `peak=451.2 ± 0.3 nm`.
        infeasible: why no material came of it, in place of outcomes.
        table: CSV file with a trial a line, in place of all three.
        note: where they come from.
        by: name of the person; that of the login when empty.
        path: of the store.
        wait: wall seconds in which a session that runs is to answer.

    Raises:
        InputError: everything that is wrong with what was given.
    """
    if table is not None and (values or outcomes or infeasible):
        raise InputError("give one trial with --set and --outcome, or several with --table, not both")
    with Store.open(path, create=False) as store:
        campaign = store.resolve(name)
        state = actions_state(store, campaign)
        if table is None:
            trials = [Told(read_assignments(values), read_assignments(outcomes), infeasible)]
        elif state.spec is None:
            raise InputError(f"campaign {name!r} has not begun; begin it with `sdl run`")
        else:
            trials = read_told(table, state.spec.problem)
        try:
            numbers = tell(store, campaign, trials, by or _login(), note, wait=wait)
        except NotAnswered as error:
            console(stderr=True).print(f"sdl: {error}", markup=False, soft_wrap=True)
            return PAUSED
    which = f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {numbers[0]} to {numbers[-1]}"
    they = "its planner knows it" if len(numbers) == 1 else "its planner knows them"
    text = f"{which} of campaign {state.name}: on record; {they} from here on"
    console().print(plain(text), markup=False, soft_wrap=True)
    return ENDED
