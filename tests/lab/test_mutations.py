"""Lab files made wrong in hundreds of ways: each is read, or refused in words that name file and line."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from support.mutations import mutated_yaml

from sdl.lab.labfile import load_lab
from sdl.model import InputError

_EXAMPLES = Path(__file__).parents[2] / "examples"
_SECONDS = 2.0
"""CPU that one file may take."""


def check_refusal(error: InputError, files: tuple[str, ...], content: bytes) -> None:
    """A refusal is for people: each fault says what, in which file, and on which line where it is about a key."""
    assert error.faults
    lines = content.count(b"\n") + 2
    for fault in error.faults:
        assert fault.message.strip()
        assert fault.file in files, str(fault)
        assert fault.line is None or 1 <= fault.line <= lines
        assert len(str(fault)) < 1000, f"{str(fault)[:300]}… has {len(str(fault))} characters"
        assert not any(word in str(fault) for word in ("Traceback", "object at 0x", "<class", "ruamel")), str(fault)
        assert str(fault).isprintable(), ascii(str(fault))


@pytest.mark.slow
@pytest.mark.parametrize(("example", "seed", "number"), [("silver-flow", 1, 220), ("tabulated", 2, 220)])
def test_mutated_lab_files(tmp_path: Path, example: str, seed: int, number: int) -> None:
    """Whatever is done to a good lab file, it is read or refused readably within two seconds."""
    folder = tmp_path / "lab"
    shutil.copytree(_EXAMPLES / example, folder)
    (folder / "table.csv").write_text("n,theta,r,t,toughness\n6,0,1.5,0.7,1\n")
    file = folder / "lab.yaml"
    text = file.read_text().replace("table: path", "table: {path: table.csv}")
    found: Counter[str] = Counter()
    for content in mutated_yaml(text, seed, number):
        file.write_bytes(content)
        begun = time.process_time()
        try:
            load_lab(file)
            found["read"] += 1
        except InputError as error:
            found["refused"] += 1
            check_refusal(error, (str(file),), content)
        assert time.process_time() - begun < _SECONDS, content[:500]
    assert min(found["read"], found["refused"]) > number // 20, found
