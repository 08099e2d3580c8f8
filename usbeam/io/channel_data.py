"""Recordings on disk: the ``usbeam-channel-data`` file.

`load` reads and checks the header; the samples stay in the file until a frame is asked for. `save` streams frame by
frame, so that neither needs memory for more than one frame.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition, SampleArray, Truth
from usbeam.errors import BadField, ConfigError, FileFormatError, GeometryError
from usbeam.io import safe
from usbeam.io.atomic import atomic_write
from usbeam.io.checks import physics_findings
from usbeam.io.findings import raise_errors
from usbeam.io.identify import find_spec
from usbeam.io.spec import load_spec
from usbeam.io.structure import Contents, read_contents
from usbeam.io.values import dtype_name
from usbeam.io.write import write_attribute, write_contents
from usbeam.probe import Probe
from usbeam.transmits import Transmits

OnNonfinite = Literal["error", "zero"]


@dataclass(frozen=True)
class FileSamples:
    """The samples of a file, read when indexed: a `SampleArray` that holds no open file and can be pickled.

    Parameters
    ----------
    path
        The file.
    shape
        ``(n_frames, n_tx, n_rx, n_samples)``.
    dtype
        float32, complex64 or int16 in this machine's byte order.
    sha256
        Of the samples, as the file says it; None if it does not.
    on_nonfinite
        What to do with NaN and infinity: raise `BadField` with their place, or take them as zero.
    max_gb
        Gigabytes that one read may take; 80 % of the free memory if not given.

    Examples
    --------
    ``samples[3]`` is frame 3, ``samples[2:4]`` two frames, ``samples[3, 0]`` the first transmit of frame 3.
    """

    path: str
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    sha256: str | None = None
    on_nonfinite: OnNonfinite = "error"
    max_gb: float | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Frames, or ``(frames, transmits)``, as stored.

        Raises
        ------
        IndexError
            Out of range.
        TooLarge, FileFormatError, FileAccessError
            If what is asked does not fit into memory, is damaged, or the file is gone.
        BadField
            For samples that are not finite, and for a file that changed since it was loaded.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > len(self.shape):
            raise IndexError(f"samples have {len(self.shape)} axes, not {len(keys)}")
        # What NumPy makes of the key on an array of this shape that takes no memory.
        shape = np.broadcast_to(np.zeros((), np.int8), self.shape)[keys].shape
        if any(isinstance(each, slice) and (each.step or 1) < 1 for each in keys):
            raise IndexError("samples are read forward: the step must be positive")
        keys = tuple(
            each if isinstance(each, slice) else int(each) % n for each, n in zip(keys, self.shape, strict=False)
        )
        with safe.open_hdf5(self.path) as file:
            dataset = safe.open_dataset(file, "samples")
            if dataset.shape != self.shape or dtype_name(dataset) != self.dtype.name:
                raise BadField("the file changed since it was loaded", path=self.path, location="/samples")
            safe.check_dataset(dataset, "/samples", max_gb=self.max_gb)
            needed = math.prod(shape) * self.dtype.itemsize + safe.chunk_bytes(dataset)
            safe.check_memory(needed, path=self.path, location="/samples", max_gb=self.max_gb)
            with safe.guard(self.path, "/samples"):
                block = np.asarray(dataset[keys]).astype(self.dtype, copy=False)
        bad = nonfinite(block)
        if bad is not None and self.on_nonfinite == "error":
            raise _nonfinite_error(bad, self.shape, keys, self.path)
        if bad is not None:
            block[bad] = 0
        return block

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


def nonfinite(block: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Where samples are NaN or infinite; None if nowhere."""
    if block.dtype.kind == "i":
        return None
    bad = ~np.isfinite(block)
    return bad if bad.any() else None


def _nonfinite_error(
    bad: npt.NDArray[np.bool_],
    shape: tuple[int, ...],
    keys: tuple[int | slice, ...],
    path: str | os.PathLike[str] | None,
) -> BadField:
    """Name the first frame and transmit that hold samples which are not finite."""
    frames, transmits = (
        np.atleast_1d(np.arange(n)[key]) for n, key in zip(shape, (*keys, slice(None))[:2], strict=False)
    )
    counts = bad.reshape(len(frames), len(transmits), -1).sum(axis=2)
    frame, transmit = np.argwhere(counts)[0]
    others = np.count_nonzero(counts) - 1
    return BadField(
        f"{counts[frame, transmit]} sample(s) not finite" + (f", and in {others} other transmit(s)" if others else ""),
        path=path,
        location=f"/samples frame {frames[frame]}, transmit {transmits[transmit]}",
        expected="finite numbers",
        hint='on_nonfinite="zero" (command line: --on-nonfinite zero) takes them as zero',
    )


def load(
    path: str | os.PathLike[str], *, max_gb: float | None = None, on_nonfinite: OnNonfinite = "error"
) -> Acquisition:
    """Open a recording: the header is read and checked, the samples stay in the file until a frame is asked for.

    Parameters
    ----------
    path
        A ``usbeam-channel-data`` file.
    max_gb
        Gigabytes that one field or frame may take; 80 % of the free memory if not given. It also lifts the refusal
        of files that unpack to more than 200 times their size.
    on_nonfinite
        NaN and infinite samples raise `BadField` when they are read ("error"), or are taken as 0 ("zero"); the
        latter is noted in `Acquisition.provenance`.

    Returns
    -------
    Acquisition
        `samples` is a `FileSamples`.

    Raises
    ------
    FileAccessError, FileFormatError
        If the file cannot be reached, is not safe, or its header is wrong; `usbeam.io.validate` lists all findings.

    Warns
    -----
    UserWarning
        For what a newer minor version or another program added; it is not read.

    Examples
    --------
    >>> import usbeam as ub
    >>> acquisition = ub.load("recording.h5")  # doctest: +SKIP
    >>> acquisition.frame(0).shape  # doctest: +SKIP
    (64, 64, 2048)
    """
    if on_nonfinite not in ("error", "zero"):
        raise ConfigError("unknown choice", location="on_nonfinite", expected="error or zero", found=on_nonfinite)
    with safe.safe_open(path, max_gb=max_gb) as file:
        contents = read_recording(file, max_gb=max_gb)
    raise_errors(contents.findings, path)
    for finding in contents.findings:
        if finding.location in (*contents.unknown, "/:format_version"):
            warnings.warn(f"{os.fspath(path)}: {finding.location} {finding.message}", stacklevel=2)
    n_frames, n_tx, n_rx, n_samples = (contents.dimensions[n] for n in ("n_frames", "n_tx", "n_rx", "n_samples"))
    samples = FileSamples(
        path=os.path.abspath(path),
        shape=(n_frames, n_tx, n_rx, n_samples),
        dtype=np.dtype(contents.values["/samples:dtype"]),
        sha256=contents.values.get("/:sha256_samples"),
        on_nonfinite=on_nonfinite,
        max_gb=max_gb,
    )
    acquisition = build_acquisition(contents, samples, os.fspath(path))
    if on_nonfinite == "zero":
        acquisition = acquisition.replace(provenance={**acquisition.provenance, "on_nonfinite": "zero"})
    return acquisition


def read_recording(file: h5py.File, *, max_gb: float | None = None) -> Contents:
    """The header of a recording with all that is wrong with its structure and physics.

    Raises
    ------
    FileFormatError
        If the file is not a recording.
    """
    spec = find_spec(file)
    if spec != load_spec("channel_data"):
        raise FileFormatError(
            "not a recording",
            path=file.filename,
            location="/:format",
            expected="usbeam-channel-data",
            found=spec.name,
            hint="`usbeam.load_image` reads images" if spec.name == "usbeam-image" else None,
        )
    contents = read_contents(file, spec, max_gb=max_gb)
    return replace(contents, findings=(*contents.findings, *physics_findings(contents)))


def build_acquisition(contents: Contents, samples: SampleArray, path: str) -> Acquisition:
    """The recording that a header without errors describes.

    Raises
    ------
    BadField
        If its parts do not fit each other.
    """
    members = contents.members(load_spec("channel_data"))
    truth: dict[str, Any] = members.pop("truth", {})
    if "regions" in truth:
        truth["regions"] = {name: tuple(circle.tolist()) for name, circle in truth["regions"].items()}
    try:
        return Acquisition(
            samples=samples,
            probe=Probe(**members.pop("probe")),
            transmits=Transmits(**members.pop("transmits")),
            truth=Truth(**truth) if truth else None,
            path=path,
            **members,
        )
    except (GeometryError, ConfigError, BadField) as error:
        location = f"/{(error.location or '').lstrip('/')}"
        sides = {"expected": error.expected, "found": error.found, "hint": error.hint}
        raise BadField(error.what, path=path, location=location, **sides) from error


def save(acquisition: Acquisition, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a ``usbeam-channel-data`` file, frame by frame.

    Chunks are one transmit each, shuffled, compressed with gzip level 1 and protected by a checksum. Against lzf, gzip
    reads as fast and stores 7 to 40 % less, writes a third slower, and MATLAB and every other HDF5 program can read it.

    Parameters
    ----------
    acquisition
        The recording. Its samples may be a lazy reader, of the very file that is replaced too.
    path
        The file to be written.
    overwrite
        Whether a file that is there may be replaced. It stays whole until the new one is.

    Raises
    ------
    OutputExists, FileAccessError
        If the file is there, or cannot be written.
    BadField
        If a sample is not finite, or a value does not belong in a recording.
    """
    spec = load_spec("channel_data")
    with atomic_write(path, overwrite=overwrite) as temporary:
        # Without a chunk cache every chunk meets a full disk where it is written, not in some later clean-up.
        with h5py.File(temporary, "w", rdcc_nbytes=0) as file:
            digest = _write_samples(file, acquisition)
            write_contents(file, spec, acquisition)
            write_attribute(file, "sha256_samples", digest)
        with safe.safe_open(temporary, max_gb=math.inf) as file:
            raise_errors(read_recording(file).findings, path)


def _write_samples(file: h5py.File, acquisition: Acquisition) -> str:
    """Stream the samples into ``/samples``; return their SHA-256."""
    samples = acquisition.samples
    dataset = file.create_dataset(
        "samples",
        shape=samples.shape,
        dtype=samples.dtype.newbyteorder("<"),
        chunks=(1, 1, *samples.shape[2:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )
    digest = hashlib.sha256()
    for index in range(acquisition.n_frames):
        frame = acquisition.frame(index)
        bad = nonfinite(frame)
        if bad is not None:
            raise _nonfinite_error(bad, samples.shape, (index,), acquisition.path)
        for transmit, traces in enumerate(frame):
            stored = np.ascontiguousarray(traces, dtype=dataset.dtype)
            digest.update(stored.data)
            dataset[index, transmit] = stored
    return digest.hexdigest()
