"""Load a lab file: fill in its inputs, check every reference in it, and report all faults at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdl import plugins
from sdl.lab._checks import check_words
from sdl.lab.code import load_object
from sdl.lab.interlocks import interlock_faults
from sdl.lab.procedure import Procedure, build_procedure
from sdl.lab.spec import LabSpec
from sdl.lab.yamlfile import YamlFile, faults_of, read_yaml
from sdl.model import FileFault, InputError

__all__ = ["InputFile", "Lab", "load_lab"]

TEXT_LIMIT = 1 << 20
"""Inputs up to this size, in bytes, are kept in the journal word for word."""

_PLACE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class InputFile:
    """A file that fills an input of the lab."""

    name: str
    path: Path
    sha256: str
    text: str | None
    """Its content when it is UTF-8 text of at most `TEXT_LIMIT` bytes."""

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return {"path": str(self.path), "sha256": self.sha256, "text": self.text}


@dataclass(frozen=True)
class Lab:
    """A checked lab file with its inputs filled in."""

    spec: LabSpec
    file: YamlFile
    folder: Path
    inputs: Mapping[str, InputFile]
    raw: Mapping[str, Any]
    """The file's content before inputs were filled in."""

    def as_json(self) -> dict[str, Any]:
        """For the journal: name, file, digest and content."""
        digest = hashlib.sha256(self.file.text.encode()).hexdigest()
        return {"name": self.spec.name, "file": self.file.name, "sha256": digest, "text": self.file.text}

    def simulated_devices(self) -> list[str]:
        """Devices without an address."""
        return [name for name, device in self.spec.devices.items() if device.address is None]

    def procedure(self, name: str, parameters: tuple[str, ...], optional: Collection[str] = ()) -> Procedure:
        """A procedure with its plans loaded and their arguments bound by name.

        Args:
            name: of the procedure.
            parameters: of a trial.
            optional: those of them that no plan needs to take, as fixed and derived ones.

        Raises:
            InputError: no such procedure, or plans and parameters do not fit; all faults with their lines.
        """
        if name not in self.spec.procedures:
            hint = plugins.suggest(name, list(self.spec.procedures))
            raise InputError(f"{self.file.name} has no procedure {name!r}{hint}")
        return build_procedure(name, self.spec, self.file, self.folder, parameters, optional)


def load_lab(path: str | Path, inputs: Mapping[str, str] | None = None) -> Lab:
    """Read and check a lab file.

    Args:
        path: the lab file.
        inputs: input name → path, relative to the current folder; replaces the defaults of the file.

    Raises:
        InputError: every fault of the file, each with its line.
    """
    file = read_yaml(path)
    folder = Path(path).resolve().parent
    try:
        declared = LabSpec.model_validate(file.data)
    except ValidationError as error:
        raise InputError(faults_of(error, LabSpec, file)) from None
    faults: list[FileFault] = []
    files = _input_files(declared, file, folder, inputs or {}, faults)
    filled = _fill(file.data, {name: str(item.path) for name, item in files.items()}, file, (), faults, declared)
    faults.extend(_check_references(declared, file, folder))
    if faults:
        raise InputError(faults)
    spec = LabSpec.model_validate(filled)
    return Lab(spec, file, folder, files, file.data)


def _input_files(
    spec: LabSpec, file: YamlFile, folder: Path, given: Mapping[str, str], faults: list[FileFault]
) -> dict[str, InputFile]:
    faults.extend(
        FileFault(f"the lab file {file.name} declares no input {name!r}{plugins.suggest(name, list(spec.inputs))}")
        for name in given
        if name not in spec.inputs
    )
    files = {}
    for name, declared in spec.inputs.items():
        if name in given:
            path = Path(given[name])
        elif declared.path is not None:
            path = folder / declared.path
        else:
            advice = f"input {name!r} has no file yet; give one with --set {name}=PATH"
            faults.append(file.fault(("inputs", name), advice))
            continue
        try:
            path = path.expanduser().resolve()
            content = _content(path)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            faults.append(file.fault(("inputs", name), f"input {name!r}: {path} cannot be read: {reason}"))
            continue
        files[name] = InputFile(name, path, hashlib.sha256(content).hexdigest(), _text(content))
    return files


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("it is not an ordinary file")
    return path.read_bytes()


def _text(content: bytes) -> str | None:
    if len(content) > TEXT_LIMIT:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _fill(
    node: Any,
    paths: Mapping[str, str],
    file: YamlFile,
    at: tuple[str | int, ...],
    faults: list[FileFault],
    spec: LabSpec,
) -> Any:
    """Replace `${name}` in every string by the path of the input."""
    if isinstance(node, dict):
        return {key: _fill(value, paths, file, (*at, key), faults, spec) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, paths, file, (*at, index), faults, spec) for index, value in enumerate(node)]
    if not isinstance(node, str):
        return node
    for name in _PLACE.findall(node):
        if name not in spec.inputs:
            hint = plugins.suggest(name, list(spec.inputs))
            faults.append(file.fault(at, f"${{{name}}} names no input of this file{hint}"))
    return _PLACE.sub(lambda match: paths.get(match[1], match[0]), node)


def _check_references(spec: LabSpec, file: YamlFile, folder: Path) -> Iterator[FileFault]:
    yield from _check_stations(spec, file)
    for name, procedure in spec.procedures.items():
        yield from _check_procedure(spec, file, name, procedure)
    for name, device in spec.devices.items():
        try:
            find_driver(device.driver, folder)
        except InputError as error:
            yield file.fault(("devices", name, "driver"), str(error))
    yield from interlock_faults(spec, file)
    yield from check_words(spec, file, folder)
    yield from _check_simulation(spec, file)


def _check_stations(spec: LabSpec, file: YamlFile) -> Iterator[FileFault]:
    owner: dict[str, str] = {}
    for station, item in spec.stations.items():
        for index, device in enumerate(item.devices):
            at = ("stations", station, "devices", index)
            if device not in spec.devices:
                yield file.fault(at, f"no device {device!r}{plugins.suggest(device, list(spec.devices))}")
            elif device in owner:
                yield file.fault(at, f"device {device!r} belongs to station {owner[device]!r} already")
            owner.setdefault(device, station)
    for device in spec.devices:
        if device not in owner:
            yield file.fault(("devices", device), "belongs to no station; add it to the devices of one")


def _check_procedure(spec: LabSpec, file: YamlFile, name: str, procedure: Any) -> Iterator[FileFault]:
    earlier: list[str] = []
    for index, step in enumerate(procedure.steps):
        at = ("procedures", name, "steps", index)
        if step.station not in spec.stations:
            hint = plugins.suggest(step.station, list(spec.stations))
            yield file.fault((*at, "station"), f"no station {step.station!r}{hint}")
        if step.name in earlier:
            yield file.fault((*at, "name"), f"step {step.name!r} is there already; give each step its own name")
        earlier.append(step.name)
        if step.redo_from is not None and step.redo_from not in earlier:
            hint = plugins.suggest(step.redo_from, earlier)
            yield file.fault((*at, "redo_from"), f"{step.redo_from!r} is neither this step nor an earlier one{hint}")
    for index, step_name in enumerate(procedure.analysis.steps):
        if step_name not in earlier:
            hint = plugins.suggest(step_name, earlier)
            yield file.fault(("procedures", name, "analysis", "steps", index), f"no step {step_name!r}{hint}")


def _check_simulation(spec: LabSpec, file: YamlFile) -> Iterator[FileFault]:
    missing = [name for name, device in spec.devices.items() if device.address is None and ":" not in device.driver]
    if spec.simulation is None:
        for name in missing:
            if spec.devices[name].driver != "soft_detector":
                yield file.fault(("devices", name), "has no address, and the file has no `simulation:` block")
        return
    try:
        plugins.find("sdl.simulators", spec.simulation.simulator)
    except InputError as error:
        yield file.fault(("simulation", "simulator"), str(error))
    for name in spec.simulation.instruments:
        if name not in spec.devices:
            hint = plugins.suggest(name, list(spec.devices))
            yield file.fault(("simulation", "instruments", name), f"no device {name!r}{hint}")
    for name in missing:
        if name not in spec.simulation.instruments and spec.devices[name].driver != "soft_detector":
            yield file.fault(("devices", name), "has no address and no entry in simulation.instruments")


def find_driver(driver: str, folder: Path) -> Any:
    """The driver class behind a registered name, `package.module:Class` or `file.py:Class`.

    Raises:
        InputError: there is none.
    """
    return load_object(driver, folder) if ":" in driver else plugins.load("sdl.devices", driver)
