"""Project files: who answers for the data of campaigns, read and filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdl.lab.yamlfile import YamlFile, faults_of, read_yaml
from sdl.model import InputError
from sdl.model.project import Project

__all__ = ["fill_project", "load_project", "project_in"]


def load_project(path: str | Path) -> Project:
    """Read a project file.

    Raises:
        InputError: every fault of the file, each with its line.
    """
    return _validated(read_yaml(path))


def project_in(value: Any, file: YamlFile) -> Project:
    """The project that a campaign file names: a path relative to it, or a mapping.

    Args:
        value: of the key `project`.
        file: the campaign file.

    Raises:
        InputError: every fault, each with its line; or the path leads out of the campaign's folder, as a campaign
            file may come from anyone.
    """
    if isinstance(value, Mapping):
        shift = {path[1:]: line for path, line in file.lines.items() if path[:1] == ("project",) and len(path) > 1}
        return _validated(YamlFile(file.name, value, file.text, shift))
    folder = Path(file.name).absolute().parent.resolve()
    if not isinstance(value, str) or not (folder / value).resolve().is_relative_to(folder):
        message = "name a project file in the campaign's folder, or write its keys here"
        raise InputError([file.fault(("project",), message)])
    if not (folder / value).is_file():
        raise InputError([file.fault(("project",), f"no such file: {folder / value}")])
    return load_project(folder / value)


def _validated(file: YamlFile) -> Project:
    try:
        return Project.model_validate(file.data)
    except ValidationError as error:
        raise InputError(faults_of(error, Project, file)) from None


def fill_project(path: Path, name: str, answers: Mapping[str, Any]) -> Project:
    """Add keys to a project file, which is made where there is none; what it says otherwise stays, comments too.

    Args:
        path: the file.
        name: of the project, for a new file.
        answers: key → value, as plain YAML.

    Raises:
        InputError: the file has faults or cannot be written.
    """
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.width = 100
    if path.exists():
        read_yaml(path)  # refuses what the library would choke on
        data = yaml.load(path.read_text(encoding="utf-8"))
    else:
        data = {"name": name}
    data.update(answers)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        try:
            project = load_project(part)
        except InputError as error:  # in terms of the file that it would have been
            raise InputError([replace(fault, file=str(path)) for fault in error.faults]) from None
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write the project file {path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return project
