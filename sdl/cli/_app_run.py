"""The commands that run a campaign or drive a lab, and their arguments."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sdl.cli._options import As, CampaignName, Json, Settings, StorePath
from sdl.cli._root import DEFAULT_STORE, app


class Interrupted(StrEnum):
    """What to do with steps that an earlier session left unfinished and whose procedure says `ask`."""

    REDO = "redo"
    RESUME = "resume"
    DISCARD = "discard"


def _version(wanted: bool) -> None:
    if wanted:
        import sdl

        typer.echo(f"sdl {sdl.__version__}")
        raise typer.Exit


devices = typer.Typer(no_args_is_help=True, help="The devices of a lab.")
app.add_typer(devices, name="devices")
plugin = typer.Typer(no_args_is_help=True, help="Plug-ins of your own.")
app.add_typer(plugin, name="plugin")
keys = typer.Typer(no_args_is_help=True, help="CURVE keys for feeds and workers that are reached over a network.")
app.add_typer(keys, name="keys")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Run self-driving laboratories: propose, execute, learn, and keep the record."""


@app.command()
def run(
    campaigns: Annotated[
        list[Path], typer.Argument(metavar="CAMPAIGN.yaml...", help="The campaign file; several share their lab.")
    ],
    store: StorePath = DEFAULT_STORE,
    seed: Annotated[int | None, typer.Option(help="Replace the campaign's seed.")] = None,
    trials: Annotated[int | None, typer.Option(help="Replace the budget of trials.")] = None,
    settings: Settings = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what needs a person.")] = False,
    json: Json = False,
    interrupted: Annotated[
        Interrupted | None, typer.Option(help="What to do with interrupted steps whose procedure says `ask`.")
    ] = None,
    feed: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Serve the live feed at tcp://HOST:PORT; default: loopback.")
    ] = "",
    feed_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Secret key of the feed, for other machines; see `sdl keys`.")
    ] = None,
    feed_clients: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Public keys (*.key) that may follow; default: any.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your secret key, for workers that ask for one.")
    ] = None,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="Simulate it on virtual time, as fast as it can be computed.")
    ] = False,
) -> int:
    """Run a campaign, or go on with it where it stopped. Several run at once on one lab and share its stations.

    Ctrl-C once finishes the step and pauses; twice aborts to the safe state. Exit status: 0 the campaign ended by its
    own rule, 2 bad input, 3 paused, 4 aborted to the safe state.
    """
    from sdl.cli._feed import feed_of
    from sdl.cli._run import run_command

    answer = interrupted.value if interrupted else None
    served = feed_of(feed, feed_key, feed_clients)
    return run_command(campaigns, store, seed, trials, settings or [], quiet, json, answer, served, key, virtual)


@devices.callback()
def devices_options() -> None:
    """The devices of a lab."""


@devices.command("check")
def devices_check(
    lab: Annotated[Path, typer.Argument(metavar="LAB.yaml")],
    device: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Default: all.")] = None,
    acts: Annotated[bool, typer.Option("--acts", help="Let real instruments act, as --exercise says.")] = False,
    exercise: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML: what to try with which device.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CHECK", help="This check only; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: certificates/ beside the lab file.")] = None,
    settings: Settings = None,
    json: Json = False,
) -> int:
    """Put devices through the conformance kit and write their certificates; exit status 2 when a check fails."""
    from sdl.cli._check_device import check_device_command

    return check_device_command(lab, device or [], acts, exercise, only or [], out, settings or [], json)


@plugin.callback()
def plugin_options() -> None:
    """Plug-ins of your own."""


@plugin.command("new")
def plugin_new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="device, planner or analysis.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in my-device.")],
    folder: Annotated[Path | None, typer.Option("--dir", metavar="DIR", help="Default: NAME.")] = None,
) -> int:
    """Make an installable package whose conformance test already passes."""
    from sdl.cli._plugin import plugin_new_command

    return plugin_new_command(kind, name, folder)


@app.command()
def validate(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="The campaign file.")],
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="How many trials to draw.")] = 100,
    settings: Settings = None,
    json: Json = False,
) -> int:
    """Check plans of trials from all over the space against limits and interlocks; nothing is executed."""
    from sdl.cli._validate import validate_command

    return validate_command(campaign, trials, settings or [], json)


@app.command()
def rehearse(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="The campaign file.")],
    store: StorePath = DEFAULT_STORE,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="How many times to rehearse it.")] = 20,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at a time; default: one a core.")] = None,
    target: Annotated[
        str, typer.Option(metavar="TEXT", help="As in 'conductivity > 10 MS/m'; default: `stop.reach` of the file.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the rehearsals.")] = 0,
    settings: Settings = None,
    json: Json = False,
) -> int:
    """Rehearse a campaign on virtual time: when it ends, what it costs, what runs out, how likely it succeeds.

    Durations and faults are drawn from what the store has on record of the lab. The quote goes on record as well, and
    `sdl show` holds it against what happens.
    """
    from sdl.cli._rehearse import rehearse_command

    return rehearse_command(campaign, store, runs, workers, target, seed, settings or [], json)


@app.command()
def simulate(
    lab: Annotated[Path, typer.Argument(metavar="LAB.yaml", help="A lab file with a `simulation:` block.")],
    settings: Settings = None,
    seed: Annotated[int | None, typer.Option(help="Replace the simulation's seed.")] = None,
    speed: Annotated[float | None, typer.Option(help="Replace its speed: lab seconds a wall second.")] = None,
    json: Json = False,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="SDL_SIMULATION_LOG",
            help="Append what each instrument does, at the moment it does it, as lines of JSON.",
        ),
    ] = None,
    until_stdin_ends: Annotated[
        bool, typer.Option("--until-stdin-ends", help="Serve until standard input is closed.", hidden=True)
    ] = False,
) -> None:
    """Start a lab's simulated instruments and print their addresses; Ctrl-C stops them."""
    from sdl.cli._simulate import simulate_command

    simulate_command(lab, settings or [], seed, speed, json, until_stdin_ends, log)


@app.command()
def watch(
    campaign: Annotated[
        str, typer.Argument(metavar="[CAMPAIGN]", help="Name, id or prefix; default: the newest.")
    ] = "",
    store: StorePath = DEFAULT_STORE,
    address: Annotated[str, typer.Option(help="Follow a live feed without its store.")] = "",
    json: Json = False,
    documents: Annotated[bool, typer.Option("--documents", help="With --json: Bluesky documents as well.")] = False,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your secret key, where the feed asks for it.")
    ] = None,
    server_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The feed's public key.")] = None,
    as_: As = "",
) -> None:
    """Follow a campaign live from another terminal, from its first entry on."""
    from sdl.cli._feed import client_keys
    from sdl.cli._watch import watch_command

    watch_command(campaign, store, address, json, documents, client_keys(key, server_key), as_)


@keys.command("new")
def keys_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose keys they are.")],
    folder: Annotated[Path, typer.Option(help="Where to put them.")] = Path("keys"),
) -> None:
    """Make a pair of CURVE keys: NAME.key to give away, NAME.key_secret to keep."""
    from sdl.cli._feed import keys_command

    keys_command(name, folder)


@app.command()
def schedule(
    campaign: CampaignName,
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show below each station what was planned when the trials began.")
    ] = False,
    as_: As = "",
) -> None:
    """Show what each station does, what comes next, who waits for what, and what held the campaign up."""
    from sdl.cli._schedule import schedule_command

    schedule_command(campaign, store, json, plan, as_)


@app.command()
def doctor(
    lab: Annotated[
        Path | None, typer.Argument(metavar="[LAB.yaml]", help="Also check this lab and connect it.")
    ] = None,
    store: StorePath = DEFAULT_STORE,
    settings: Settings = None,
    json: Json = False,
) -> int:
    """Check the installation, the store, and a lab's devices; exit status 2 when something needs mending."""
    from sdl.cli._doctor import doctor_command

    return doctor_command(lab, store, settings or [], json)


@app.command()
def plugins(json: Json = False) -> None:
    """List planners, devices, simulators and analyses that are installed."""
    from sdl.cli._doctor import plugins_command

    plugins_command(json)


@app.command()
def stop(
    lab: Annotated[
        str, typer.Argument(metavar="[LAB]", help="A lab file, or the name of an open lab; default: every open lab.")
    ] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; those who come after you read it.")] = "",
    release: Annotated[
        bool, typer.Option("--release", help="Take the stop away, so that `sdl run` works again.")
    ] = False,
    json: Json = False,
) -> int:
    """Soft emergency stop: bring the instruments to their safe state, whatever the campaign is doing.

    Talks to the instruments directly, and marks the lab as stopped until `sdl stop --release`. It does not replace the
    emergency switch. Exit status: 0 every device confirmed, 2 nothing to stop, 3 a device did not confirm.
    """
    from sdl.cli._stop import stop_command

    return stop_command(lab, note, release, json)


@app.command()
def doubts(
    campaign: Annotated[str, typer.Argument(metavar="[CAMPAIGN]", help="Default: every campaign.")] = "",
    store: StorePath = DEFAULT_STORE,
    json: Json = False,
    as_: As = "",
) -> None:
    """List actions in doubt: those of which nobody knows yet whether they happened."""
    from sdl.cli._doubts import doubts_command

    doubts_command(campaign, store, json, as_)


@app.command()
def resolve(
    action: Annotated[str, typer.Argument(metavar="ID", help="As `sdl doubts` shows it, such as 3/mix/1.")],
    done: Annotated[bool, typer.Option("--done", help="It happened in full.")] = False,
    not_done: Annotated[bool, typer.Option("--not-done", help="Nothing of it happened.")] = False,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="In part, or nobody can say: give the trial up.")
    ] = False,
    note: Annotated[str, typer.Option(metavar="TEXT", help="What shows it; those who come after you read it.")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="Who says so; default: your login name.")] = "",
    campaign: Annotated[str, typer.Option(metavar="CAMPAIGN", help="Name, id or prefix; default: any.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long a session that runs has to answer.")
    ] = 10,
    store: StorePath = DEFAULT_STORE,
) -> int:
    """Say what became of an action in doubt; the decision goes on record with your name.

    Exit status: 0 it is on record, 2 it cannot be (the reason is printed), 3 a session runs and has not answered yet.
    """
    from sdl.cli._doubts import resolve_command

    given = {"done": done, "not_done": not_done, "quarantine": quarantine}
    return resolve_command(action, [name for name, said in given.items() if said], note, by, campaign, store, wait)


@app.command()
def worker(
    lab: Annotated[Path, typer.Argument(metavar="LAB.yaml", help="The same lab file as the coordinator's.")],
    station: Annotated[str, typer.Option(metavar="NAME", help="The station whose cables are here.")],
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="tcp://HOST:PORT; default: `worker` of the station, or tcp://127.0.0.1:5600."
        ),
    ] = "",
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="This worker's secret key, for other machines; see `sdl keys`.")
    ] = None,
    clients: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Public keys (*.key) of those who may give orders.")
    ] = None,
    spool: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keeps what the station does; default: NAME.spool.db.")
    ] = None,
    dead_man: Annotated[
        str, typer.Option(metavar="TIME", help="Without a word for so long, an idle station is made safe.")
    ] = "30 s",
    settings: Settings = None,
    json: Json = False,
) -> int:
    """Run one station of a lab in a process of its own, on the machine that holds the cables.

    A coordinator (`sdl run`) gives the orders; without one a step under way is finished, and the station made safe.
    Ctrl-C gives the step up and makes the station safe. Exit status: 0 it was idle, 4 a step was given up or a device
    did not confirm its safe state.
    """
    from sdl.cli._worker import worker_command

    return worker_command(lab, station, listen, key, clients, spool, dead_man, settings or [], json)
