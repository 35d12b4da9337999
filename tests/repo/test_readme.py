"""Whatever the documents print is run.

In a ```console block each line that begins with `$ ` is a command (`> ` continues it) and has to succeed; the others
are what it printed when it was recorded. A ```python block has to run. The blocks of one document run in order, in a
copy of the checkout. A plain `sdl …` is a real process, forked from one that has imported everything, which saves most
of the minute that two dozen of them would take to start; the rest runs in bash, with `sdl` of this environment on the
path. Some commands are run in another manner: `make TARGET` is expanded (`make -n`), since its whole is what runs these
tests; `sdl simulate` and `sdl worker`, which serve until Ctrl-C, get one as soon as they have printed their addresses.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML
from support import Nursery

from sdl.lab.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path.relative_to(ROOT)
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    if re.search(r"^```(console|python)$", path.read_text(encoding="utf-8"), re.MULTILINE)
]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SHELL = frozenset("|&;<>$`*?(){}")
"""Characters that mean something to a shell."""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands."""
    with contextlib.closing(Nursery(tmp_path_factory.mktemp("nursery"))) as nursery:
        yield nursery


def commands(block: str) -> list[str]:
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif line.startswith("> ") and found:
            found[-1] += "\n" + line[2:]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_documents_blocks_run(document: Path, checkout: Path, run: Run, nursery: Nursery) -> None:
    """Every command and every piece of Python in a document works as printed, in order."""
    blocks = BLOCK.findall((checkout / document).read_text(encoding="utf-8"))
    assert blocks
    for index, (kind, text) in enumerate(blocks):
        if kind == "python":
            script = checkout / f"block_{index}.py"
            script.write_text(text, encoding="utf-8")
            run(sys.executable, script, cwd=checkout, timeout=300)
            continue
        assert commands(text), f"a console block without a command:\n{text}"
        for command in commands(text):
            carry_out(command, checkout, run, nursery)


def carry_out(command: str, folder: Path, run: Run, nursery: Nursery) -> None:
    first, *rest = shlex.split(command.replace("\\\n", " "), comments=True)
    if first == "make":
        run("make", "-n", *rest, cwd=folder)
    elif [first, *rest[:1]] in (["sdl", "simulate"], ["sdl", "worker"]):
        serve_and_stop([first, *rest], folder, run)
    elif first == "sdl" and not SHELL & set("".join(rest)):
        process = nursery.run(*rest, cwd=folder, seconds=300)
        assert process.status == 0, f"{command}\n{process.out[-4000:]}\n{process.err[-4000:]}"
    else:
        run("bash", "-euc", command, cwd=folder, timeout=300)


def serve_and_stop(command: list[str], folder: Path, run: Run) -> None:
    """Start a server, wait for its first line, and stop it as a person does."""
    with subprocess.Popen(
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=60)[0]
    assert line.strip(), rest
    assert server.returncode in (0, 130), line + rest


def test_the_two_commands_come_first(root: Path) -> None:
    """The README's first two commands are `make demo` and `make test`."""
    blocks = BLOCK.findall((root / "README.md").read_text(encoding="utf-8"))
    assert [c.split("#")[0].strip() for _, text in blocks for c in commands(text)][:2] == [
        "make demo",
        "make test",
    ]


def test_the_demo_is_recorded(root: Path) -> None:
    """The README shows what `make demo` printed: the campaign from its first trial to its end."""
    text = (root / "README.md").read_text(encoding="utf-8")
    recorded = re.search(r"<!-- demo-transcript -->\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert recorded is not None
    assert "$ sdl run examples/silver-flow/campaign.yaml --store demo/sdl.db" in recorded[1]
    assert "demo/report.html" in recorded[1]


def within(shown: Any, whole: Any) -> bool:
    """Whether what is shown is a part of the whole: keys of mappings, members of lists, equal values."""
    if isinstance(shown, Mapping):
        return isinstance(whole, Mapping) and all(k in whole and within(v, whole[k]) for k, v in shown.items())
    if isinstance(shown, list):
        return isinstance(whole, list) and all(any(within(item, other) for other in whole) for item in shown)
    return bool(shown == whole)


def test_the_yaml_shown_is_that_of_the_example(root: Path) -> None:
    """The README's excerpts of a lab file and a campaign file are parts of those of the silver-flow example."""
    excerpts = re.findall(r"^```yaml\n(.*?)^```$", (root / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    files = [read_yaml(root / "examples/silver-flow" / name).data for name in ("lab.yaml", "campaign.yaml")]
    assert len(excerpts) == len(files)
    for excerpt, whole in zip(excerpts, files, strict=True):
        assert within(YAML(typ="safe").load(excerpt), whole), excerpt


def test_the_extras_named_in_the_readme_exist(root: Path) -> None:
    """Each `self-driving-lab[extra]` that the README names is one of the distribution's."""
    import tomllib

    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = re.findall(r"self-driving-lab\[[\w,]+\]", (root / "README.md").read_text(encoding="utf-8"))
    assert named
    assert {extra for text in named for extra in Requirement(text).extras} <= set(extras)
