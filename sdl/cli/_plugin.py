"""`sdl plugin new`: a package of one's own from a template, with a conformance test that already passes."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from sdl.model import InputError
from sdl.plugins import Group, names

__all__ = ["KINDS", "plugin_new_command"]

KINDS: Mapping[str, tuple[Group, ...]] = {
    "device": ("sdl.devices", "sdl.simulators"),
    "planner": ("sdl.planners",),
    "analysis": ("sdl.analyses",),
}
"""What can be made, and the groups of entry points that it registers a name in."""
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_SUFFIX = ".tmpl"


def plugin_new_command(kind: str, name: str, folder: Path | None) -> int:
    """Make a package and say what to do with it.

    Args:
        kind: one of `KINDS`.
        name: of the distribution, as in `my-device`; the module is `my_device`, the class `MyDevice`.
        folder: where to put it; the name in the current folder by default.

    Raises:
        InputError: the name cannot be used, the folder is there already, or it cannot be written.
    """
    words = _words(kind, name)
    target = (folder or Path(name)).expanduser()
    _refuse(target)
    try:
        _write(kind, words, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    print(f"{target} is an installable package. Next:\n  cd {target}\n  pip install -e '.[dev]'\n  pytest")
    return 0


def _words(kind: str, name: str) -> dict[str, str]:
    """What stands in a template for what is to be there."""
    if kind not in KINDS:
        raise InputError(f"there is no template for {kind!r}; there are: {', '.join(KINDS)}")
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise InputError(f"{name!r} cannot name a package: use small letters, digits and dashes, as in my-{kind}")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module == "sdl":
        raise InputError(f"{name!r} cannot name a package: Python has a {module!r} of its own; use my-{name}")
    for group in KINDS[kind]:
        if module in names(group):
            raise InputError(f"{module!r} is the name of a plug-in that is installed ({group}); choose another")
    title = "".join(part.capitalize() for part in module.split("_"))
    return {"__dist__": name, "__module__": module, "__Class__": title}


def _refuse(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already; choose another name or folder (--dir)")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target.absolute().parent} is no folder")


def _write(kind: str, words: Mapping[str, str], target: Path) -> None:
    """Make all of it in a folder beside, and put it in place in one go."""

    def filled(text: str) -> str:
        for place, word in words.items():
            text = text.replace(place, word)
        return text

    draft = Path(tempfile.mkdtemp(dir=target.absolute().parent, prefix=f".{target.name}-"))
    try:
        _copy(files("sdl.cli").joinpath("plugin_templates", kind), draft, filled)
        draft.chmod(0o755)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _copy(source: Traversable, target: Path, filled: Callable[[str], str]) -> None:
    for item in source.iterdir():
        if item.is_dir():
            inner = target / filled(item.name)
            inner.mkdir()
            _copy(item, inner, filled)
        elif item.name.endswith(_SUFFIX):
            path = target / filled(item.name.removesuffix(_SUFFIX))
            path.write_text(filled(item.read_text(encoding="utf-8")), encoding="utf-8")
