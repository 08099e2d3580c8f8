"""Image pairs on disk: the ``usbeam-pairs`` file, read and written pair by pair.

While it is made it lies beside its place as ``NAME.partial``. All that is known beforehand is written at once, and the
room for the images is taken; from then on only numbers are put where they belong. However a process ends, its partial
file can be read, and a pair counts as there when its correlation is no longer NaN, which is written last.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import BadField, FileAccessError, FileFormatError, GeometryError, OutputExists, UsbeamError
from usbeam.grid import Grid
from usbeam.io import safe
from usbeam.io.atomic import atomic_write, check_output
from usbeam.io.findings import raise_errors
from usbeam.io.identify import find_spec
from usbeam.io.read import read_dataset
from usbeam.io.spec import load_spec
from usbeam.io.structure import read_contents
from usbeam.io.values import check_value, dtype_name
from usbeam.io.write import write_contents

Weights = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]
PARTIAL = ".partial"
_FILLED = ("lq", "hq", "correlation", "source/speckle_cell")
"""What is not known before the images are."""
_HEADER = 2**20
"""Bytes that suffice for all else."""


@dataclass(frozen=True)
class FileImages:
    """The images of a pairs file, read when indexed; holds no open file and can be pickled.

    Parameters
    ----------
    path
        The file.
    name
        ``lq`` or ``hq``.
    shape
        ``(n_pairs, n_z, n_x)``.

    Examples
    --------
    ``pairs.lq[3]`` is an image, ``pairs.lq[3, 100:200, 50:150]`` a part of it, ``pairs.lq[2:5]`` three images.
    """

    path: str
    name: str
    shape: tuple[int, int, int]
    dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> Weights:
        """Images or parts of them, float32 from 0 to 1.

        Raises
        ------
        IndexError
            Out of range.
        TooLarge, FileFormatError, FileAccessError
            If what is asked does not fit into memory, is damaged, or the file is gone.
        BadField
            For pixels that are not finite or out of range, and for a file that changed since it was loaded.
        """
        keys = key if isinstance(key, tuple) else (key,)
        # What NumPy makes of the key on an array of this shape that takes no memory.
        part = np.broadcast_to(np.zeros((), np.float32), self.shape)[keys]
        keys = tuple(
            each if isinstance(each, slice) else int(each) % n for each, n in zip(keys, self.shape, strict=False)
        )
        location = f"/{self.name}"
        with safe.open_hdf5(self.path) as file:
            dataset = safe.open_dataset(file, self.name)
            if dataset.shape != self.shape or dtype_name(dataset) != self.dtype.name:
                raise BadField("the file changed since it was loaded", path=self.path, location=location)
            safe.check_dataset(dataset, location)
            safe.check_memory(part.nbytes + safe.chunk_bytes(dataset), path=self.path, location=location)
            with safe.guard(self.path, location):
                block = np.asarray(dataset[keys]).astype(self.dtype, copy=False)
        try:
            check_value(load_spec("pairs")[location], block)
        except BadField as error:
            sides = {"expected": error.expected, "found": error.found}
            raise BadField(error.what, path=self.path, location=f"{location} {keys[0]}", **sides) from error
        return block


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """The recordings behind the pairs.

    Parameters
    ----------
    file, sha256
        Name of each recording, and the checksum of its samples.
    settings
        How the images of each were made, as JSON text.
    speckle_cell : (n_recordings, 2)
        Size of a speckle in depth and across [m], in images such as a network learns to make: in looks where the pairs
        are looks, and in the image of all transmits otherwise.
    """

    file: tuple[str, ...]
    sha256: tuple[str, ...]
    settings: tuple[str, ...]
    speckle_cell: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """What a pairs file holds.

    Parameters
    ----------
    lq, hq : (n_pairs, n_z, n_x)
        What goes in and what should come out, read when indexed. 1 is each image's own maximum, 0 is
        `dynamic_range_db` below it.
    grid
        Of all images.
    lq_transmits, hq_transmits : (n_pairs, n_tx)
        Weights.
    angle, side : (n_pairs,), optional
        Of looks: the line through two-way k-space [rad], and the side of it that lq is of.
    overlap : (n_pairs,)
        Share of the weight of lq that hq has too.
    correlation : (n_pairs,)
        How alike the speckle of both is.
    recording, frame : (n_pairs,)
        Index into `source`, and frame of that recording.
    source
        The recordings.
    strategy, seed
        How the pairs were drawn.
    dynamic_range_db, normalisation
        How they were compressed.
    settings
        What was asked for.
    complete
        Whether all pairs are there.
    """

    lq: FileImages
    hq: FileImages
    grid: Grid
    lq_transmits: Weights
    hq_transmits: Weights
    angle: Floats | None = None
    side: Index | None = None
    overlap: Floats
    correlation: Floats
    recording: Index
    frame: Index
    source: Source
    strategy: str
    seed: int
    dynamic_range_db: float
    normalisation: str = "maximum"
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    complete: bool = True

    def __len__(self) -> int:
        return len(self.lq)


def load_pairs(path: str | os.PathLike[str]) -> Pairs:
    """Open a pairs file: everything but the images is read and checked, these are read when asked for.

    Parameters
    ----------
    path
        A ``usbeam-pairs`` file.

    Raises
    ------
    FileAccessError, FileFormatError
        If the file cannot be reached, is not safe, is no pairs file or not a complete one, or its content is wrong.

    Examples
    --------
    >>> pairs = load_pairs("pairs.h5")  # doctest: +SKIP
    >>> pairs.lq[0].shape  # doctest: +SKIP
    (620, 256)
    """
    pairs = _read(path, partial=False)
    if not pairs.complete:
        raise BadField(
            "not all pairs are there", path=path, location="/:complete", hint="give the command that made it once more"
        )
    return pairs


class PairsWriter:
    """A partial file that is being filled.

    Attributes
    ----------
    correlation : (n_pairs,)
        Of the pairs so far; NaN for those that are not there.
    speckle_cell : (n_recordings, 2)
        Likewise.
    """

    def __init__(self, file: h5py.File, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._datasets: dict[str, h5py.Dataset] = {name: file[name] for name in _FILLED}  # pyright: ignore[reportAttributeAccessIssue]
        self.correlation: Floats = self._datasets["correlation"][()]
        self.speckle_cell: Floats = self._datasets["source/speckle_cell"][()]

    def measure(self, recording: int, speckle_cell: npt.ArrayLike) -> None:
        """Keep the size of a recording's speckle, in depth and across [m]."""
        self._put("source/speckle_cell", recording, speckle_cell)
        self.speckle_cell[recording] = speckle_cell

    def put(self, index: int, lq: Weights, hq: Weights, correlation: float) -> None:
        """Keep a pair ``(n_z, n_x)``, both from 0 to 1, and how alike their speckle is.

        Raises
        ------
        FileAccessError
            If the disk is full or fails; all earlier pairs are kept.
        """
        self._put("lq", index, lq)
        self._put("hq", index, hq)
        with _writing(self._path):
            self._datasets["lq"].file.flush()  # a pair counts as there by its correlation, which therefore comes last
        self._put("correlation", index, correlation)
        self.correlation[index] = correlation

    def _put(self, name: str, index: int, value: Any) -> None:
        with _writing(self._path):
            self._datasets[name][index] = value


@contextmanager
def write_pairs(
    path: str | os.PathLike[str], header: Pairs, *, overwrite: bool = False
) -> Generator[PairsWriter, None, None]:
    """Begin a pairs file, or go on with one that was begun; on leaving it takes its place if all pairs are there.

    Parameters
    ----------
    path
        The file to be written; ``PATH.partial`` until all is there.
    header
        Everything but images, correlations and sizes of speckle, which are not looked at.
    overwrite
        Whether a file that is there may be replaced, and a partial file of other settings or damaged.

    Yields
    ------
    PairsWriter
        Its `correlation` says which pairs are there already.

    Raises
    ------
    OutputExists
        If the file is there, or a partial file that was begun with other settings.
    FileAccessError
        If it cannot be written, or there is no room for it.
    """
    target = check_output(path, overwrite=overwrite)
    partial = target.with_name(target.name + PARTIAL)
    if not _goes_on(partial, header, overwrite):
        _begin(partial, header)
    with _writing(path):
        file = h5py.File(partial, "r+")
    try:
        writer = PairsWriter(file, path)
        yield writer
        if np.all(np.isfinite(writer.correlation)):
            with _writing(path):
                file.attrs.modify("complete", np.True_)
                file.close()
                _to_disk(partial)  # before it moves: what fails now can be mended
            raise_errors(_findings(partial), path)
            with atomic_write(path, overwrite=overwrite) as temporary:
                os.replace(partial, temporary)
    finally:
        with suppress(OSError, RuntimeError):  # what could not be written has been said
            file.close()


def _goes_on(partial: Path, header: Pairs, overwrite: bool) -> bool:
    """Whether there is a partial file of this very header."""
    if not os.path.lexists(partial):
        return False
    try:
        found = _read(partial, partial=True)
    except FileFormatError as error:
        if overwrite:
            return False
        error.hint = f"remove it to begin anew, or give --overwrite; {error.hint or ''}"
        raise
    wanted = _plain(header)
    different = [name for name, value in _plain(found).items() if value != wanted[name]]
    if different and not overwrite:
        raise OutputExists(
            "was begun with other settings",
            path=partial,
            location=different[0],
            hint="give the settings that it was begun with, or remove it, or give --overwrite",
        )
    return not different


def _plain(pairs: Pairs) -> dict[str, Any]:
    """What two files have in common where one is the other's beginning."""
    facts = {each.name: getattr(pairs, each.name) for each in dataclasses.fields(pairs)}
    facts |= {"x": pairs.grid.x, "z": pairs.grid.z, "shape": pairs.lq.shape, "settings": json.dumps(pairs.settings)}
    facts |= {f"source.{name}": getattr(pairs.source, name) for name in ("file", "sha256", "settings")}
    for name in ("lq", "hq", "grid", "source", "correlation", "complete"):
        del facts[name]
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in facts.items()}


def _begin(partial: Path, header: Pairs) -> None:
    """A file with everything but what is measured, and with room for all images."""
    need, free = 2 * math.prod(header.lq.shape) * 4, shutil.disk_usage(partial.parent).free
    if need > free:
        raise FileAccessError(
            "the disk has no room for the pairs",
            path=partial,
            expected=f"{need / 1e9:.3g} GB",
            found=f"{free / 1e9:.3g} GB",
        )
    unknown = dataclasses.replace(
        header,
        correlation=np.full(len(header.overlap), np.nan),
        source=dataclasses.replace(header.source, speckle_cell=np.full((len(header.source.file), 2), np.nan)),
        complete=False,
    )
    with _writing(partial):
        partial.unlink(missing_ok=True)
    with atomic_write(partial) as temporary:
        # A disk that is full while HDF5 writes a header ends the process.
        _take(temporary, need + 2 * header.lq_transmits.nbytes + _HEADER)
        with h5py.File(temporary, "w") as file:
            for images in (header.lq, header.hq):
                _room(file, images)
            write_contents(file, load_spec("pairs"), unknown)
        _take(temporary, temporary.stat().st_size)


def _take(path: Path, size: int) -> None:
    """Have the system keep room for a file of that size, where it can."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)


def _room(file: h5py.File, images: FileImages) -> None:
    """In one piece, so that filling it changes nothing else in the file."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(images.shape)
    h5py.h5d.create(file.id, images.name.encode(), h5py.h5t.IEEE_F32LE, space, creation)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _findings(path: str | os.PathLike[str]) -> Any:
    with safe.safe_open(path, max_gb=math.inf) as file:
        return read_contents(file, load_spec("pairs")).findings


def _read(path: str | os.PathLike[str], *, partial: bool) -> Pairs:
    """Everything but the images; of a partial file, what is measured may be absent."""
    spec = load_spec("pairs")
    with safe.safe_open(path) as file:
        found = find_spec(file)
        if found != spec:
            raise FileFormatError(
                "no pairs file",
                path=path,
                location="/:format",
                expected=spec.name,
                found=found.name,
                hint="`usbeam pairs` makes one of recordings",
            )
        contents = read_contents(file, spec)
        findings = [each for each in contents.findings if not (partial and each.location.strip("/") in _FILLED)]
        raise_errors(findings, path)
        members: dict[str, Any] = contents.members(spec)
        if partial:
            members["correlation"] = read_dataset(safe.open_dataset(file, "correlation"))
            members["source"]["speckle_cell"] = np.zeros((0, 2))
    n_pairs, n_z, n_x = (contents.dimensions[name] for name in ("n_pairs", "n_z", "n_x"))
    source = Source(**members.pop("source"))
    if members["recording"].max() >= len(source.file):
        raise BadField(
            "no such recording",
            path=path,
            location="/recording",
            expected=f"0..{len(source.file) - 1}",
            found=members["recording"].max(),
        )
    try:
        grid = Grid(**members.pop("grid"))
    except GeometryError as error:
        raise BadField(error.what, path=path, location=error.location, expected=error.expected) from error
    members |= {name: FileImages(os.path.abspath(path), name, (n_pairs, n_z, n_x)) for name in ("lq", "hq")}
    members["seed"] = int(members["seed"])
    return Pairs(grid=grid, source=source, **members)


_ERRNO = re.compile(r"errno = (\d+)")


@contextmanager
def _writing(path: str | os.PathLike[str]) -> Generator[None, None, None]:
    """What h5py and the system say of a disk that is full or fails, as an error that says what to do."""
    try:
        yield
    except UsbeamError:
        raise
    except (OSError, RuntimeError) as error:
        number = _ERRNO.search(str(error))  # h5py keeps the system's number in its text alone
        refusal = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
        raise safe.access_error(error if isinstance(error, OSError) and error.errno else refusal, path) from error
