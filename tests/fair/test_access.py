"""Who may see what: every role, day, path and part of a campaign, and what is left of a journal for each of them."""

from __future__ import annotations

from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.fair.access import (
    OWNER,
    PUBLIC,
    Role,
    described,
    may,
    policy_in,
    policy_of,
    readable,
    role_of,
    shared,
    visible,
)
from sdl.journal import Store, kinds
from sdl.journal.state import fold_all
from sdl.model import InputError
from sdl.model.project import Access, AccessPolicy

DAY = date(2027, 4, 1)
PATHS = ("", "tables/trials.parquet", "runs/0001.nxs", "runs/raw/0002.nxs", "report.html")
PATTERNS = ("runs/*", "runs", "tables/*.parquet", "report.html", "*.nxs", "[", "runs/raw/")

days = st.integers(-3, 3).map(lambda n: DAY + timedelta(days=n))
levels = st.one_of(
    st.sampled_from(["open", "shared", "closed"]).map(lambda level: Access(level=level)),
    days.map(lambda day: Access(level="embargoed", until=day)),
)
policies = st.builds(
    AccessPolicy,
    metadata=levels,
    data=levels,
    files=st.dictionaries(st.sampled_from(PATTERNS), levels, max_size=3),
    shared_with=st.lists(st.sampled_from(["Hana", "0000-0002-1825-0097", "group:silver"]), max_size=2).map(tuple),
)
roles = st.one_of(
    st.just(OWNER),
    st.just(PUBLIC),
    st.sampled_from(["hana", "https://orcid.org/0000-0002-1825-0097", "group:silver", "Nobody"]).map(shared),
)
parts = st.sampled_from(["metadata", "data"])


def _open(access: Access, role: Role, policy: AccessPolicy, day: date) -> bool:
    """The rule said once more, in other words than the module's."""
    if access.level == "open" or (access.until is not None and day >= access.until):
        return True
    named = {name.casefold() for name in policy.shared_with}
    return access.level == "shared" and role.name.casefold().replace("https://orcid.org/", "") in named


@given(roles, parts, policies, days, st.sampled_from(PATHS))
def test_nothing_leaks(role: Role, what: Any, policy: AccessPolicy, day: date, path: str) -> None:
    """Whatever others are shown is open to them: by metadata, and by each rule that names the file, or by the part's.

    The owner sees all of it, and nothing is withheld that every rule opens.
    """
    verdict = may(role, what, policy, day, path)
    assert verdict.why
    if role.kind == "owner":
        assert verdict.allowed
        return
    named = [
        access
        for pattern, access in policy.files.items()
        if path and (fnmatchcase(path, pattern.strip("/")) or path.startswith(f"{pattern.strip('/')}/"))
    ]
    rules = [policy.metadata, *(named or [getattr(policy, what)])]
    assert verdict.allowed == all(_open(access, role, policy, day) for access in rules)


@given(policies, days, parts, st.sampled_from(PATHS), roles)
def test_more_people_never_see_less(policy: AccessPolicy, day: date, what: Any, path: str, role: Role) -> None:
    """What the public may see, anybody may; and what may be seen on a day may be seen on the next."""
    if may(PUBLIC, what, policy, day, path).allowed:
        assert may(role, what, policy, day, path).allowed
    if may(role, what, policy, day, path).allowed:
        assert may(role, what, policy, day + timedelta(days=1), path).allowed


def test_roles_as_people_write_them() -> None:
    """`--as` takes public, owner and shared:NAME, and refuses what would be taken for somebody else."""
    assert role_of("") == role_of("owner") == OWNER
    assert role_of("public") == PUBLIC
    assert role_of("shared: Hana") == shared("Hana")
    for text in ("shared:", "shared", "publik", "owner:me"):
        with pytest.raises(InputError, match="shared:NAME"):
            role_of(text)


def test_no_policy_is_closed() -> None:
    """A campaign without a project, or with a policy that cannot be read, is closed."""
    assert policy_in({}) == policy_in({"project": {"access": {"data": "ajar"}}}) == AccessPolicy()
    stated = {"project": {"name": "p", "access": {"metadata": "open", "data": "embargoed until 2027-04-01"}}}
    assert str(policy_in(stated).data) == "embargoed until 2027-04-01"
    assert str(policy_in({"spec": stated}).metadata) == "open"


def _campaign(journal_class: type[Any], access: dict[str, Any]) -> Any:
    """A campaign of a few trials whose project states a policy."""
    journal = journal_class().create()
    body = {**journal.entries[0].body, "project": {"name": "p", "access": access}}
    fresh = journal_class().add(kinds.CAMPAIGN_CREATED, **body)
    fresh.add(kinds.SESSION_OPENED, **journal.entries[1].body)
    return fresh.search(6).add(kinds.CAMPAIGN_ENDED, rule="reach", message="trial 3 reached peak within 2 nm")


@given(policy=policies, role=roles, day=days)
def test_entries_leak_nothing(journal_class: type[Any], policy: AccessPolicy, role: Role, day: date) -> None:
    """The entries that a role gets are all, those that describe the campaign, or none: as the policy says of each."""
    journal = _campaign(journal_class, policy.model_dump(mode="json"))
    seen = list(readable(journal.entries, role, day))
    if may(role, "data", policy, day).allowed:
        assert [entry.seq for entry in seen] == [entry.seq for entry in journal.entries]
        assert (seen == journal.entries) == (role.kind == "owner")
        told = {entry.seq: entry.body for entry in seen}
        for entry in journal.entries:
            if entry.kind in (kinds.TRIAL_PROPOSED, kinds.TRIAL_OBSERVED, kinds.DOCUMENT):
                assert told[entry.seq] == entry.body
        return
    text = repr([entry.body for entry in seen])
    for entry in journal.entries:
        if entry.kind in (kinds.TRIAL_PROPOSED, kinds.TRIAL_OBSERVED, kinds.DOCUMENT):
            assert entry not in seen
    assert "reached" not in text
    assert "'holder': 'here'" not in text
    assert "wavelength_nm" not in text
    if may(role, "metadata", policy, day).allowed:
        state = fold_all(journal.id, seen)
        assert (state.name, state.status, len(state.trials)) == ("silver", "ended", 0)
    else:
        assert seen == []


def test_a_policy_holds_from_the_entry_that_states_it(journal_class: type[Any]) -> None:
    """What comes after an amendment follows the amended policy."""
    journal = _campaign(journal_class, {"metadata": "open", "data": "open"})
    body = {**journal.entries[0].body, "project": {"name": "p", "access": {"metadata": "closed"}}, "changes": {}}
    journal.add(kinds.CAMPAIGN_AMENDED, **body).propose(7, {"flow": 3.0})
    seen = list(readable(journal.entries, PUBLIC, DAY))
    assert [entry.seq for entry in seen] == [entry.seq for entry in journal.entries[:-3]]


@pytest.mark.parametrize("place", ["project", "spec"])
def test_accounts_and_folders_are_the_owners(journal_class: type[Any], place: str) -> None:
    """Also of open data others see neither who runs the session where, nor folders, addresses and with whom one shares.

    Somebody whom the project names is called by that name.
    """
    journal = _campaign(journal_class, {"metadata": "open", "data": "open", "shared_with": ["Ken"]})
    people = [{"name": "Sato, Hana", "accounts": ["hana"], "email": "hana@lab.example"}]
    project = journal.entries[0].body.pop("project") | {"people": people}
    (journal.entries[0].body if place == "project" else journal.entries[0].body["spec"])["project"] = project
    journal.add(kinds.CAMPAIGN_PAUSED, message="cannot read /home/hana/lab/target.csv", advice="")
    journal.add(kinds.TRIAL_ANNOTATED, trial=1, by="person:hana", text="odd")
    seen = list(readable(journal.entries, PUBLIC, DAY))
    text = repr([entry.body for entry in seen])
    for secret in ("/home/hana", "hana@lab", "Ken", "'here'"):
        assert secret not in text
    assert seen[-1].body["by"] == "person:Sato, Hana"
    assert list(readable(journal.entries, OWNER, DAY)) == journal.entries


def test_what_describes_a_campaign_has_no_data(spec: dict[str, Any]) -> None:
    """A specification for those who may see metadata has neither the pool's candidates nor paths of files."""
    problem = {**spec["problem"], "pool": {"columns": {"flow": [1.0]}}}
    shown = described({**spec, "problem": problem, "lab": "/home/hana/lab.yaml", "inputs": {"table": "secret.csv"}})
    assert shown["problem"]["pool"] is None
    assert (shown["lab"], shown["inputs"]) == ("lab.yaml", {})
    assert shown["problem"]["objectives"] == spec["problem"]["objectives"]


def test_campaigns_that_a_role_knows_of(journal_class: type[Any], tmp_path: Path) -> None:
    """The list of campaigns holds for others those whose metadata they may see; for the owner all."""
    with Store.open(tmp_path / "sdl.db") as store:
        for name, access in (
            ("secret", {}),
            ("known", {"metadata": "open"}),
            ("free", {"metadata": "open", "data": "open"}),
        ):
            journal = _campaign(journal_class, access)
            store.create(name, name)
            with store.writer(name) as writer:
                for entry in journal.entries:
                    writer.append(entry.kind, entry.body, durable=False)
        assert [head.id for head in visible(store, OWNER, DAY)] == ["secret", "known", "free"]
        assert [head.id for head in visible(store, PUBLIC, DAY)] == ["known", "free"]
        assert [head.id for head in visible(store, PUBLIC, DAY, "data")] == ["free"]
        assert policy_of(store, "known").metadata.level == "open"
