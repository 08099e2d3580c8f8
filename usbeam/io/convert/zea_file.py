"""The HDF5 tree of a zea file as variables, with the one track of a recording at the same place in every layout.

zea 0.1 keeps a recording in ``tracks/track_0/data`` and ``tracks/track_0/scan``, files written by hand and by versions
before 0.1 in ``data`` and ``scan``; ``probe`` and ``custom`` are in the root. Here all are ``data.raw_data``,
``scan.t0_delays``, ``probe.probe_geometry``, and ``@zea_version`` is an attribute of the root.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack

import h5py
import numpy as np

from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert import blosc
from usbeam.io.convert.variables import Opaque, Value, Variables, describe
from usbeam.io.read import attribute_names, read_attribute, read_dataset
from usbeam.io.safe import check_dataset, open_hdf5, walk

_TRACK = re.compile(r"tracks\.(track_\d+)\.(?=(data|scan)\.)")


class ZeaFile(Variables):
    """A zea file, each dataset checked before it is read.

    Raises
    ------
    FileAccessError, FileFormatError
        If it cannot be reached or is no HDF5 file.
    UnsafeFile
        For links out of the file or around in it; when read, for data outside it and for filters other than gzip, lzf
        and Blosc.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        with ExitStack() as stack:
            self._file = stack.enter_context(open_hdf5(path))
            found = {
                location.strip("/").replace("/", "."): node
                for location, node in walk(self._file)
                if isinstance(node, h5py.Dataset)
            }
            self.tracks = sorted({track[1] for name in found if (track := _TRACK.match(name)) is not None})
            """Names of the tracks; none in the flat layout."""
            self._datasets = {_TRACK.sub("", name): dataset for name, dataset in found.items()}
            self._values: dict[str, Value | None] = {}
            self._open = stack.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def top_level(self) -> list[str]:
        """Names of the outermost groups and datasets."""
        return sorted({name.partition(".")[0] for name in self._datasets})

    def names(self) -> list[str]:
        """Dotted names of all datasets."""
        return list(self._datasets)

    def find(self, name: str) -> Value | None:
        """The value of a dotted name, or of ``@name`` an attribute of the root; None if there is none. Read once."""
        if name not in self._values:
            self._values[name] = self._find(name)
        return self._values[name]

    def _find(self, name: str) -> Value | None:
        if name.startswith("@"):
            if name[1:] not in attribute_names(self._file):
                return None
            attribute = read_attribute(self._file, name[1:])
            return attribute if isinstance(attribute, str) else np.asarray(attribute)
        dataset = self._datasets.get(name)
        if dataset is None:
            return None
        if blosc.is_packed(dataset):
            return blosc.read(dataset)
        check_dataset(dataset, dataset.name or name)
        value = read_dataset(dataset)
        return Opaque("list of texts") if isinstance(value, tuple) else value

    def first(self, *names: str) -> str | None:
        """Which of these variables the file has; None if none of them."""
        return next((name for name in names if name in self._datasets), None)

    def optional(self, *names: str) -> float | None:
        """The first of these single numbers that the file has; None if none of them."""
        name = self.first(*names)
        return None if name is None else self.scalar(name)

    def text(self, name: str) -> str:
        """A text; empty if it is not there."""
        value = self.find(name)
        return value if isinstance(value, str) else ""

    def matrix(self, name: str, *shape: int) -> Floats:
        """Real numbers of this shape.

        Raises
        ------
        MissingField, BadField
            If they are not there or of another shape.
        """
        array = self.array(name)
        if array.shape != shape or array.dtype.kind == "c":
            raise BadField(
                "not of the right shape",
                path=self.path,
                location=name,
                expected=f"real numbers {shape}",
                found=describe(array),
            )
        return array.astype(np.float64)
