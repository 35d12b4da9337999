"""`sdl release`, `sdl fair check` and `sdl keys signing`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rich.text import Text

from sdl.cli._errors import BAD_INPUT, ENDED
from sdl.cli._format import console, plain, print_json
from sdl.journal import Store
from sdl.model import InputError
from sdl.model.project import Person, Project

__all__ = ["fair_check_command", "release_command", "signing_key_command"]

_PROJECT_FILE = Path("project.yaml")


def release_command(
    name: str,
    out: Path,
    path: str | Path,
    project_file: Path | None,
    only: Sequence[str],
    replaces: str,
    day: str,
    key_file: Path | None,
    signed: bool,
    role: str,
    json: bool,
) -> None:
    """Release a campaign; what it must state and does not is asked for on a terminal.

    Raises:
        InputError: something is missing and nobody can be asked; a file, a key or the folder cannot be used.
    """
    from sdl.campaign.projectfile import load_project
    from sdl.fair.access import role_of
    from sdl.fair.exports import chosen
    from sdl.fair.release import refuse_if_there, release
    from sdl.fair.signing import load_key

    if key_file is not None and not signed:
        raise InputError("--sign and --no-sign contradict each other: leave out one of them")
    when, whom = _day(day), role_of(role)
    chosen(only)
    refuse_if_there(out)
    with Store.open(path, create=False) as store:
        campaign = store.resolve(name)
        project = load_project(project_file) if project_file is not None else None
        project = _completed(store, campaign, project, project_file)
        key = load_key(key_file) if signed else None
        done = release(
            store, campaign, out, project=project, only=only, replaces=_replaced(replaces), day=when, key=key,
            role=whom,
        )  # fmt: skip
    if json:
        print_json(
            {
                "folder": str(done.folder),
                "identifier": done.identifier,
                "files": [file.path for file in done.files],
                "head": done.head,
                "signed_by": done.signed_by,
            }
        )
        return
    said = [f"release: {done.folder} ({len(done.files)} files)", f"identifier: {done.identifier}"]
    said.append(f"signed by {done.signed_by} (key: {key.path})" if key is not None else "not signed")
    console().print("\n".join(said), markup=False, soft_wrap=True)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--date {text}: write a day, as in 2026-11-22") from None


def _replaced(text: str) -> str:
    """An identifier as it is; the identifier of a release where a folder is given."""
    from sdl.fair._manifest import read_manifest

    if text and Path(text).is_dir():
        return str(read_manifest(Path(text)).get("identifier", ""))
    return text


# ── what is missing ──


def _completed(store: Store, campaign: str, project: Project | None, file: Path | None) -> Project | None:
    """The project with what people answered; as it is where nothing is missing."""
    from sdl.campaign.projectfile import fill_project
    from sdl.fair._gather import campaign_project
    from sdl.fair.release import missing

    known = campaign_project(store, campaign, project)
    faults = missing(known)
    if not faults:
        return project
    target = file or _PROJECT_FILE
    if file is None and target.exists():
        raise InputError(f"there is a {target} here: if it is meant, give it with --project {target}")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        lines = "\n".join(f"  {fault.key}: {fault.what}, as in   {fault.example}" for fault in faults)
        advice = f"a release has to state more; add to {target} and give it with --project {target}:"
        raise InputError(f"{advice}\n{lines}")
    answers = {fault.key: _ask(fault.key, fault.what) for fault in faults}
    kept = known.model_dump(mode="json", exclude_defaults=True, exclude={"name", *answers}) if file is None else {}
    filled = fill_project(target, known.name, {**kept, **answers})
    console().print(f"written to {target}; give it with --project {target} from now on", markup=False)
    return filled


def _ask(key: str, what: str) -> Any:
    """Ask until something is said; people are asked for by name, ORCID iD and organisation."""
    if key != "people":
        return _answer(f"{key}: {what}", key)
    person = {"name": _answer("people: who made the data (Family, Given)")}
    orcid = _answer("  ORCID iD, as in 0000-0002-1825-0097", "orcid", empty=True)
    affiliation = _answer("  organisation", empty=True)
    return [{**person, **({"orcid": orcid} if orcid else {}), "affiliation": affiliation}]


def _answer(question: str, key: str = "", *, empty: bool = False) -> str:
    """Ask until the answer can stand under a key of a project file, or of one of its people."""
    import typer
    from pydantic import ValidationError

    from sdl.fair.release import missing

    while True:
        said = str(typer.prompt(question, default="" if empty else None, show_default=False)).strip()
        try:
            if key == "orcid":
                Person(name="-", orcid=said or None)
            elif key and any(fault.key == key for fault in missing(Project.model_validate({"name": "p", key: said}))):
                raise ValueError(f"{said!r} is no {key}")
        except ValidationError as error:
            typer.echo(str(error.errors()[0]["msg"]).removeprefix("Value error, "))
        except ValueError as error:
            typer.echo(str(error))
        else:
            return said


# ── keys and the maturity of a release ──


def signing_key_command(path: Path | None) -> None:
    """Say where the key that signs releases is, and what is to be published; make it where there is none."""
    from sdl.fair.signing import load_key, make_key

    key = make_key(path) if path is not None and not path.exists() else load_key(path)
    text = f"to keep:    {key.path}\nto publish: {key.public}"
    console().print(text, markup=False, soft_wrap=True)


def fair_check_command(what: str, path: str | Path, project_file: Path | None, json: bool, as_: str = "") -> int:
    """Judge a release, or a campaign by a release of it that is made for that and thrown away; `as_`: as in `--as`."""
    from sdl.campaign.inventory import today
    from sdl.cli._as import with_data
    from sdl.fair.access import role_of, seen_by
    from sdl.fair.maturity import NOT_OFFLINE, check_campaign, check_release

    if Path(what).is_dir():
        found = check_release(Path(what))
    else:
        from sdl.campaign.projectfile import load_project

        project = load_project(project_file) if project_file is not None else None
        with Store.open(path, create=False) as store:
            role = role_of(as_)
            found = check_campaign(store, with_data(seen_by(store, role, today()), what, role), project)
    failed = [one for one in found if not one.passed]
    if json:
        for one in found:
            print_json(one.as_json())
        for id_, why in NOT_OFFLINE.items():
            print_json({"id": id_, "passed": None, "advice": why})
    else:
        _print_findings([one.as_json() for one in found])
        said = [f"\n{len(found) - len(failed)} of {len(found)} indicators pass"]
        said.append(f"{len(NOT_OFFLINE)} more cannot be judged by the files of a release:")
        for reason in dict.fromkeys(NOT_OFFLINE.values()):
            said.append(f"  {', '.join(id_ for id_, why in NOT_OFFLINE.items() if why == reason)}: {reason}")
        console().print("\n".join(said), markup=False, soft_wrap=True)
    return BAD_INPUT if failed else ENDED


def _print_findings(found: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table("indicator", "priority", "passes", "what it asks for", box=None, pad_edge=False)
    for one in found:
        said = one["text"] if one["passed"] else f"{one['text']}\n→ {one['advice']}"
        table.add_row(one["id"], one["priority"], "yes" if one["passed"] else "no", Text(plain(said)))
    console().print(table)
