"""HDF5 files in memory, through h5py's calls of the HDF5 library itself.

A NeXus file of a trial is some two hundred small objects. h5py's classes spend more on each of them than HDF5 does; the
types, spaces and property lists that they make anew for every object are made once here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np

from sdl.fair._files import need

__all__ = ["HdfWriter"]

_LARGE = 1000
"""Arrays of more numbers than this are compressed."""


class HdfWriter:
    """Writes groups, datasets and attributes of one file after the other; texts are UTF-8, times are left out.

    Raises:
        MissingExtra: h5py is not installed.
    """

    def __init__(self) -> None:
        self._h5 = h5 = need("h5py", "the NeXus files of a release")
        self._text_dtype = h5.string_dtype("utf-8")
        self._text_type = h5.h5t.py_create(self._text_dtype, logical=True)
        self._memory_type = h5.h5t.py_create(self._text_dtype)
        self._scalar = h5.h5s.create_simple(())
        self._plain = self._properties(h5.h5p.DATASET_CREATE)
        self._of_group = self._properties(h5.h5p.GROUP_CREATE)
        self._file: Any = None

    def _properties(self, kind: Any) -> Any:
        made = self._h5.h5p.create(kind)
        made.set_obj_track_times(False)
        return made

    def open(self) -> Any:
        """Begin a file; returns its root."""
        h5 = self._h5
        access = h5.h5p.create(h5.h5p.FILE_ACCESS)
        access.set_fclose_degree(h5.h5f.CLOSE_STRONG)
        access.set_libver_bounds(h5.h5f.LIBVER_V18, h5.h5f.LIBVER_V110)
        self._out = io.BytesIO()
        access.set_fileobj_driver(h5.h5fd.fileobj_driver, self._out)
        of_file = self._properties(h5.h5p.FILE_CREATE)
        self._file = h5.h5f.create(repr(self._out).encode(), h5.h5f.ACC_TRUNC, fcpl=of_file, fapl=access)
        return h5.h5g.open(self._file, b"/")

    def close(self) -> bytes:
        """End the file; returns its content."""
        try:
            self._file.close()
            return self._out.getvalue()
        finally:
            self._file = None

    def group(self, parent: Any, name: str) -> Any:
        """A group within another."""
        return self._h5.h5g.create(parent, name.encode(), gcpl=self._of_group)

    def attribute(self, thing: Any, name: str, text: str) -> None:
        """An attribute that is a text, without the null characters that HDF5 ends texts with."""
        attribute = self._h5.h5a.create(thing, name.encode(), self._text_type, self._scalar)
        attribute.write(self._text(text), mtype=self._memory_type)

    def list_attribute(self, thing: Any, name: str, values: Iterable[Any]) -> None:
        """An attribute that is a list of texts or of whole numbers."""
        array = np.array(list(values))
        texts = array.dtype.kind == "U"
        if texts:
            array = array.astype(self._text_dtype)
        kind = self._text_type if texts else self._h5.h5t.py_create(array.dtype, logical=True)
        attribute = self._h5.h5a.create(thing, name.encode(), kind, self._h5.h5s.create_simple(array.shape))
        attribute.write(array, mtype=self._memory_type if texts else None)

    def text(self, parent: Any, name: str, text: str) -> Any:
        """A dataset that is a text; null characters are left out."""
        dataset = self._h5.h5d.create(parent, name.encode(), self._text_type, self._scalar, dcpl=self._plain)
        dataset.write(self._h5.h5s.ALL, self._h5.h5s.ALL, self._text(text))
        return dataset

    def array(self, parent: Any, name: str, values: Any) -> Any:
        """A dataset of numbers, or of texts where the array holds objects."""
        h5, values = self._h5, np.asarray(values, order="C")
        if values.dtype.kind in "OU":
            values = values.astype(self._text_dtype)
        kind = self._text_type if values.dtype.kind == "O" else h5.h5t.py_create(values.dtype, logical=True)
        large = values.size > _LARGE and values.dtype.kind == "f"
        properties = self._compressed(values) if large else self._plain
        dataset = h5.h5d.create(parent, name.encode(), kind, h5.h5s.create_simple(values.shape), dcpl=properties)
        dataset.write(h5.h5s.ALL, h5.h5s.ALL, values)
        return dataset

    def _compressed(self, values: Any) -> Any:
        """Chunks as h5py chooses them, bytes shuffled, deflated (level 4)."""
        filters = self._h5._hl.filters
        made = filters.fill_dcpl(
            self._h5.h5p.create(self._h5.h5p.DATASET_CREATE),
            values.shape, values.dtype, True, "gzip", 4, True, None, None, None, None,
        )  # fmt: skip
        made.set_obj_track_times(False)
        return made

    def _text(self, text: str) -> Any:
        return np.array(text.replace("\0", ""), dtype=self._text_dtype)
