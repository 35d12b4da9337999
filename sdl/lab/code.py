"""Code that a lab file names: `package.module:name`, or `file.py:name` beside the lab file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from sdl.model import InputError
from sdl.plugins import suggest

__all__ = ["load_object"]


def load_object(reference: str, folder: Path) -> Any:
    """The object that a reference names.

    Raises:
        InputError: malformed, missing, or the code fails on import; with the line of the code where there is one.
    """
    module_part, _, name = reference.partition(":")
    if not module_part or not name:
        raise InputError(f"{reference!r} names no code; write 'procedure.py:react' or 'package.module:react'")
    module = _from_file(folder / module_part) if module_part.endswith(".py") else _from_package(module_part)
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise InputError(f"{module_part} has no {name!r}{suggest(name, public)}")
    return getattr(module, name)


def _from_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"module {name!r} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:  # a module is anybody's code
        raise InputError(f"module {name!r} fails on import: {type(error).__name__}: {error}") from error


class _FreshLoader(SourceFileLoader):
    """Compiles the source each time: cached bytecode is told apart by second and size only, and edits are quicker."""

    def get_code(self, fullname: str) -> CodeType:
        """The compiled source."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    # The name depends on the content too: an edited file is a new module, an unchanged one is imported once.
    try:
        digest = hashlib.sha256(str(path).encode() + b"\0" + path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    name = f"_sdl_lab_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _FreshLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise InputError(f"{error.filename or path}:{error.lineno}: {error.msg}") from error
    except (
        Exception,
        SystemExit,
    ) as error:  # the file is the user's: whatever it raises is said with its line
        del sys.modules[name]
        raise InputError(f"{path}:{_line_in(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _line_in(error: BaseException, path: Path) -> int:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
