"""Public validators, called as commands from an environment of their own (`tools/validators.sh` makes it).

`validate(name, path)` says whether a file or folder passes and gives the validator's own text. What several of them say
with an exit status of 0 is judged here by their text, so every test that uses one also shows it a broken copy.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

__all__ = ["VALIDATORS", "command", "validate"]

_ENVIRONMENT = Path(__file__).parents[2] / ".venv-validators"
_CONTEXTS = Path(__file__).parent / "contexts"
_SECONDS = 120

_DATACITE = """
import json, sys
from datacite import schema45
errors = list(schema45.validator.iter_errors(json.load(open(sys.argv[1], encoding="utf-8"))))
for error in errors:
    print("/".join(map(str, error.absolute_path)) + ": " + error.message)
sys.exit(bool(errors))
"""

_MAIML = """
import sys
from pymaiml.validation import validate
faults = 0
for path in sys.argv[1:]:
    result = validate(path)
    for finding in result.errors:
        print(path, finding)
    faults += not result.ok
sys.exit(bool(faults))
"""

_CROISSANT = """
import sys
import mlcroissant as mlc
data = mlc.Dataset(sys.argv[1])
for warning in data.metadata.issues.warnings:
    print("warning:", warning)
for name in [records.uuid for records in data.metadata.record_sets]:
    print("records", name, sum(1 for _ in data.records(name)))
"""

_PROV = """
import sys
from prov.model import ProvDocument
text = open(sys.argv[1], encoding="utf-8").read()
read = ProvDocument.deserialize(content=text, format="json")
again = ProvDocument.deserialize(content=read.serialize(format="json"), format="json")
if read != again or not list(read.get_records()):
    sys.exit("what was read is empty or does not come back equal")
print(len(list(read.get_records())), "records")
"""

_RDE = """
import json, sys, tempfile, zipfile
from pathlib import Path
from rdetoolkit.validation import InvoiceValidator, MetadataDefinitionValidator, MetadataValidator
with tempfile.TemporaryDirectory() as name:
    root = Path(name)
    zipfile.ZipFile(sys.argv[1]).extractall(root)
    schema = root / "tasksupport" / "invoice.schema.json"
    MetadataDefinitionValidator().validate(path=root / "tasksupport" / "metadata-def.json")
    tiles = [root, *sorted((root / "divided").glob("*"))] if (root / "divided").is_dir() else [root]
    for tile in tiles:
        InvoiceValidator(schema).validate(path=tile / "invoice" / "invoice.json")
        MetadataValidator().validate(path=tile / "meta" / "metadata.json")
    print(len(tiles), "data tiles")
"""

_RDE_RUN = """
import json, os, shutil, sys, tempfile, zipfile
from pathlib import Path
from rdetoolkit import workflows
from rdetoolkit.config import Config
with tempfile.TemporaryDirectory() as name:
    root = Path(name)
    data = root / "data"
    for folder in ("inputdata", "invoice", "tasksupport", "temp", "logs"):
        (data / folder).mkdir(parents=True)
    with zipfile.ZipFile(sys.argv[1]) as archive:
        for member in archive.namelist():
            for folder in ("invoice", "tasksupport"):
                if member.startswith(folder + "/") and not member.endswith("/"):
                    (data / member).write_bytes(archive.read(member))
    shutil.copy(sys.argv[1], data / "inputdata")
    os.chdir(root)
    status = workflows.run(config=Config(system={"extended_mode": "rdeformat"}))
    print(status)
    failed = [one for one in json.loads(status)["statuses"] if one["status"] != "success"]
    for path in sorted(data.rglob("*")):
        print(path.relative_to(data))
    sys.exit(bool(failed))
"""

_JPCOAR = """
import sys
import xmlschema
schema = xmlschema.XMLSchema(sys.argv[2], allow="local")
errors = list(schema.iter_errors(sys.argv[1]))
for error in errors:
    print(error.path, error.reason)
sys.exit(bool(errors))
"""

_CRATE_CACHE = """
import io, pathlib, sys
from requests.adapters import HTTPAdapter
from rocrate_validator.utils.http import HttpRequester
from urllib3.response import HTTPResponse

class Local(HTTPAdapter):
    def send(self, request, **kwargs):
        raw = HTTPResponse(body=io.BytesIO(pathlib.Path(sys.argv[2]).read_bytes()), status=200,
                           headers={"Content-Type": "application/ld+json"}, preload_content=False, reason="OK")
        return self.build_response(request, raw)

HttpRequester.initialize_cache(cache_path=sys.argv[1], cache_max_age=-1)
session = HttpRequester().session
session.mount("https://", Local())
for accept in ("application/ld+json, application/json;p=0.9, */*;q=0.1", "*/*", None):
    session.get("https://w3id.org/ro/crate/1.1/context", headers={"Accept": accept} if accept else {})
"""

_SCRIPTS: Mapping[str, str] = {
    "croissant": _CROISSANT,
    "datacite": _DATACITE,
    "jpcoar": _JPCOAR,
    "maiml": _MAIML,
    "prov": _PROV,
    "rde": _RDE,
    "rde_run": _RDE_RUN,
}

VALIDATORS = (*_SCRIPTS, "nexus", "ro_crate")


def command(name: str) -> Path:
    """Path of a command of the validators' environment; the test is skipped where that has not been made."""
    if not (_ENVIRONMENT / ".installed").exists():
        pytest.skip("no .venv-validators: run tools/validators.sh")
    return _ENVIRONMENT / "bin" / name


def validate(name: str, path: Path, *more: Path) -> tuple[bool, str]:
    """Let a public validator judge a file or folder.

    Args:
        name: one of `VALIDATORS`.
        path: what to judge.
        more: further files (`maiml`), or the schema (`jpcoar`).

    Returns:
        Whether it passes, and what the validator printed.
    """
    if name == "ro_crate":
        return _ro_crate(path)
    if name == "nexus":
        status, text = _run(command("pynx"), "validate", path)
        return status == 0 and "is valid according to" in text and "NOT valid" not in text, text
    status, text = _run(command("python"), "-c", _SCRIPTS[name], path, *more)
    return status == 0, text


def _ro_crate(path: Path) -> tuple[bool, str]:
    cache = _crate_cache()
    offline = ("--offline", "--cache-path", cache, "--no-paging", "--verbose")
    profile = ("--profile-identifier", "process-run-crate-0.5", "--requirement-severity", "required")
    status, text = _run(command("rocrate-validator"), "validate", *offline, *profile, path)
    return status == 0, text


@cache
def _crate_cache() -> Path:
    """The validator's cache of JSON-LD contexts, filled from the copy beside this file: no network is used."""
    folder = _ENVIRONMENT / "contexts"
    if not folder.exists():
        status, text = _run(command("python"), "-c", _CRATE_CACHE, folder, _CONTEXTS / "ro-crate-1.1.jsonld")
        assert status == 0, text
    return folder


def _run(program: Path, *arguments: str | Path) -> tuple[int, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**kept, "COLUMNS": "200", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
