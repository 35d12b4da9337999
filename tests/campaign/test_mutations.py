"""Campaign files made wrong in hundreds of ways: each is read, or refused in words that name file and line."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from support.mutations import mutated_yaml

from sdl.campaign import load_campaign
from sdl.model import InputError

_EXAMPLES = Path(__file__).parents[2] / "examples"
_SECONDS = 2.0
"""CPU that one file may take."""
_TABLE = "n,theta,r,t,toughness\n6,0,1.5,0.7,1\n8,100,2,1,2\n"


def _check_refusal(error: InputError, files: tuple[str, ...], content: bytes) -> None:
    """A refusal is for people: each fault says what, in which file, and on which line where it is about a key."""
    assert error.faults
    for fault in error.faults:
        told = str(fault)
        assert fault.message.strip()
        assert fault.file in files, told
        assert fault.file != files[0] or fault.line is None or 1 <= fault.line <= content.count(b"\n") + 2
        assert len(told) < 1000, f"{told[:300]}… has {len(told)} characters"
        assert not any(word in told for word in ("Traceback", "object at 0x", "<class", "ruamel")), told
        assert told.isprintable(), ascii(told)


@pytest.mark.slow
@pytest.mark.parametrize(("example", "seed", "number"), [("silver-flow", 3, 220), ("tabulated", 4, 220)])
def test_mutated_campaign_files(tmp_path: Path, example: str, seed: int, number: int) -> None:
    """Whatever is done to a good campaign file, it is read with its lab or refused readably within two seconds."""
    folder = tmp_path / "lab"
    shutil.copytree(_EXAMPLES / example, folder)
    (folder / "table.csv").write_text(_TABLE)
    file, lab = folder / "campaign.yaml", folder / "lab.yaml"
    text = file.read_text().replace("planner: bayes", "planner: random")  # the same file, without torch
    if example == "tabulated":
        lab.write_text(lab.read_text().replace("table: path", "table: {path: table.csv}"))
    found: Counter[str] = Counter()
    load_campaign(_written(file, text.encode()))
    for content in mutated_yaml(text, seed, number):
        begun = time.process_time()
        try:
            load_campaign(_written(file, content))
            found["read"] += 1
        except InputError as error:
            found["refused"] += 1
            _check_refusal(error, (str(file), str(lab), str(folder / "table.csv")), content)
        assert time.process_time() - begun < _SECONDS, content[:500]
    assert min(found["read"], found["refused"]) > number // 20, found


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file
