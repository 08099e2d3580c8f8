"""Datasets packed with Blosc, which is what zea writes if not told otherwise.

HDF5 unpacks them only through a plug-in that runs within the library and trusts the sizes in each packed chunk. Here
the chunks are read as they are stored and unpacked by numcodecs into buffers of the size that the dataset declares, so
that no packed chunk decides how much memory is taken.

Filter 32001 is registered with the HDF Group as Blosc; the header of a packed chunk is that of C-Blosc 1 (4 bytes of
versions and flags, then the unpacked size, the block size and the packed size as little-endian uint32).
"""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.errors import ConfigError, FileFormatError
from usbeam.io.convert.variables import check_size
from usbeam.io.safe import chunk_bytes, guard

FILTER = 32001
HEADER_BYTES = 16
SKIPPED = 1
"""In the filter mask of a chunk: the first filter was left out, as for chunks that packing would not shrink."""


def is_packed(dataset: h5py.Dataset) -> bool:
    """Whether a dataset holds numbers, in chunks, and Blosc is its only filter."""
    with guard(dataset.file.filename, dataset.name):
        creation = dataset.id.get_create_plist()
        filters = [creation.get_filter(index)[0] for index in range(creation.get_nfilters())]
        return filters == [FILTER] and dataset.chunks is not None and dataset.dtype.kind in "fiu"


def read(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """A whole packed dataset, in this machine's byte order.

    Parameters
    ----------
    dataset
        One that `is_packed`.

    Raises
    ------
    ConfigError
        If numcodecs is not installed.
    TooLarge
        If it claims more than a file of this size can hold, or than fits into memory.
    FileFormatError
        If a chunk is damaged.
    """
    path, location = dataset.file.filename, dataset.name or "?"
    try:
        from numcodecs import Blosc
    except ImportError as error:
        raise ConfigError(
            "these data are packed with Blosc, which needs numcodecs",
            path=path,
            location=location,
            hint="pip install 'usbeam[zea]'; or write the file with zea.File.create(..., compression=\"gzip\")",
        ) from error
    codec: Any = Blosc()
    with guard(path, location):
        chunks, dtype, packed_from = tuple(dataset.chunks or ()), dataset.dtype, chunk_bytes(dataset)
        check_size(dataset.nbytes + packed_from, path=path, location=location)
        unpacked = np.full(dataset.shape, dataset.fillvalue, dtype)
        stored: list[Any] = []
        dataset.id.chunk_iter(stored.append)
        for info in stored:
            if info.size > os.path.getsize(path):
                raise FileFormatError("a chunk larger than the file", path=path, location=location, found=info.size)
            chunk = np.empty(chunks, dtype)
            mask, packed = dataset.id.read_direct_chunk(info.chunk_offset)
            if mask & SKIPPED:
                chunk = np.frombuffer(packed, dtype).reshape(chunks)
            else:
                claimed = int.from_bytes(packed[4:8], "little")
                if len(packed) < HEADER_BYTES or claimed != packed_from:
                    raise FileFormatError(
                        "a packed chunk of another size",
                        path=path,
                        location=location,
                        expected=f"{packed_from} bytes",
                        found=claimed,
                    )
                codec.decode(packed, out=chunk)
            place = tuple(slice(start, start + n) for start, n in zip(info.chunk_offset, chunks, strict=True))
            target = unpacked[place]
            target[...] = chunk[tuple(slice(n) for n in target.shape)]  # the last chunks reach beyond the dataset
        return unpacked.astype(dtype.newbyteorder("="), copy=False)
