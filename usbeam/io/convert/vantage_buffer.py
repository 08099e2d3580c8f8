"""Raw samples of a Vantage receive buffer: rows of a record, columns of its elements, frames in order of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT
from usbeam.errors import BadField
from usbeam.io.convert.structs import Structs
from usbeam.io.convert.vantage_sequence import Indices, Sequence
from usbeam.io.convert.variables import Variables, describe
from usbeam.io.safe import check_memory


def read_buffer(
    variables: Variables, receive: Structs, sequence: Sequence, n_elements: int
) -> tuple[npt.NDArray[Any], Indices]:
    """Raw samples and the elements that recorded them.

    Parameters
    ----------
    variables, receive, sequence
        The workspace, its ``Receive``, and what it did.
    n_elements
        Of the array.

    Returns
    -------
    samples : (n_frames, n_tx, n_rx, n_values)
        As stored: int16, or float32 for any other type.
    elements : (n_tx, n_rx)
        0-based; `ABSENT` where a transmit was recorded by fewer elements than another.

    Raises
    ------
    MissingField, BadField, TooLarge
        If places, channels or frames are not in the buffer, or the records differ in length.
    """
    data = _buffer(variables, sequence.buffer)
    start, stop = receive.numbers("startSample")[sequence.receive], receive.numbers("endSample")[sequence.receive]
    lengths = stop - start + 1
    if np.any(lengths != lengths[0]):
        raise BadField(
            "records of different length",
            path=variables.path,
            location="Receive.endSample",
            expected="one length",
            found=", ".join(f"{length:.6g}" for length in np.unique(lengths)[:5]),
        )
    if np.any((start < 1) | (start > stop) | (stop > data.shape[0])):
        raise BadField(
            "a record outside the buffer",
            path=variables.path,
            location="Receive.startSample, Receive.endSample",
            expected=f"1..{data.shape[0]}",
            found=f"{start.min():.6g}..{stop.max():.6g}",
        )
    heard = [_channels(variables, receive, int(index), n_elements, data.shape[1]) for index in sequence.receive]
    n_rx = max(len(elements) for elements, _ in heard)
    frames = _in_time(variables, sequence, data.shape[2])
    shape = (len(frames), len(heard), n_rx, int(lengths[0]))
    check_memory(data.dtype.itemsize * int(np.prod(shape)), path=variables.path, location="RcvData")
    samples = np.zeros(shape, data.dtype)
    receivers = np.full(shape[1:3], ABSENT, np.int64)
    for t, (elements, columns) in enumerate(heard):
        receivers[t, : len(elements)] = elements
        rows = slice(int(start[t]) - 1, int(stop[t]))
        for f, frame in enumerate(frames):
            samples[f, t, : len(elements)] = data[rows, columns, frame].T
    return samples, receivers


def _buffer(variables: Variables, index: int) -> npt.NDArray[Any]:
    """``RcvData{index}`` as (row, channel, frame)."""
    buffers = variables["RcvData"]
    if isinstance(buffers, np.ndarray) and buffers.dtype == object:
        if index >= buffers.size:
            raise BadField("no such buffer", path=variables.path, location="RcvData", expected=index + 1)
        buffers = buffers.ravel(order="F")[index]
    if not isinstance(buffers, np.ndarray) or buffers.dtype.kind not in "iuf" or buffers.ndim not in (2, 3):
        raise BadField(
            "no samples",
            path=variables.path,
            location=f"RcvData{{{index + 1}}}",
            expected="(row, channel, frame) of numbers",
            found=describe(buffers),  # pyright: ignore[reportUnknownArgumentType]
        )
    buffer: npt.NDArray[Any] = buffers if buffers.dtype == np.int16 else buffers.astype(np.float32)
    return buffer.reshape((*buffer.shape, 1)[:3]) if buffer.ndim == 2 else buffer


def _in_time(variables: Variables, sequence: Sequence, n_frames: int) -> list[int]:
    """0-based frames, the oldest first."""
    if np.any((sequence.frames < 0) | (sequence.frames >= n_frames)):
        raise BadField(
            "frames that the buffer does not have",
            path=variables.path,
            location="Receive.framenum",
            expected=f"1..{n_frames}",
            found=f"{sequence.frames.min() + 1}..{sequence.frames.max() + 1}",
        )
    buffers = Structs(variables, "Resource.RcvBuffer")
    last = buffers.numbers("lastFrame", 0) if "lastFrame" in buffers else np.zeros(0)
    newest = int(last[sequence.buffer]) if sequence.buffer < last.size else 0
    if not 0 <= newest <= n_frames:
        raise BadField(
            "no such frame",
            path=variables.path,
            location="Resource.RcvBuffer.lastFrame",
            expected=f"1..{n_frames}",
            found=newest,
        )
    return sorted(sequence.frames.tolist(), key=lambda frame: (frame - newest) % n_frames)


def _channels(
    variables: Variables, receive: Structs, index: int, n_elements: int, n_columns: int
) -> tuple[Indices, Indices]:
    """The elements that one ``Receive`` records, and their columns in the buffer, both 0-based."""
    channels = _connections(variables, receive, index, n_elements, n_columns)
    listening = receive.vector("Apod", index, n_elements) != 0 if "Apod" in receive else np.ones(n_elements, bool)
    elements = np.flatnonzero(listening & (channels != 0))
    columns = channels[elements]
    if not elements.size or np.any((columns != np.round(columns)) | (columns < 1) | (columns > n_columns)):
        raise BadField(
            "elements on channels that were not recorded",
            path=variables.path,
            location="Trans.Connector",
            expected=f"1..{n_columns}",
            found=f"{channels.min():.6g}..{channels.max():.6g}",
        )
    if np.unique(columns).size < columns.size:
        raise BadField("elements on the same channel", path=variables.path, location=f"Receive({index + 1}).Apod")
    return elements, columns.astype(np.int64) - 1


def _connections(
    variables: Variables, receive: Structs, index: int, n_elements: int, n_columns: int
) -> npt.NDArray[Any]:
    """The 1-based channel of each element, 0 where it is not connected."""
    for name in ("Trans.HVMux.Aperture", "Trans.HVMux.ApertureES"):
        if variables.find(name) is not None and "aperture" in receive:
            apertures = variables.array(name)
            chosen = receive.numbers("aperture", 1)
            column = int(chosen[index])
            if apertures.ndim != 2 or apertures.shape[0] != n_elements or not 1 <= column <= apertures.shape[1]:
                raise BadField(
                    "no such aperture",
                    path=variables.path,
                    location=f"Receive({index + 1}).aperture",
                    expected=f"a column of {name}, which has a row for each of {n_elements} elements",
                    found=f"column {column} of {apertures.shape}",
                )
            return apertures[:, column - 1].astype(np.float64)
    for name in ("Trans.Connector", "Trans.ConnectorES"):
        if variables.find(name) is not None:
            channels = variables.vector(name)
            if channels.size != n_elements:
                raise BadField(
                    "wrong length", path=variables.path, location=name, expected=n_elements, found=channels.size
                )
            return channels
    if n_columns != n_elements:
        raise BadField(
            "it cannot be told which channel recorded which element",
            path=variables.path,
            location="Trans",
            expected="Connector or ConnectorES",
            found=f"{n_columns} channels for {n_elements} elements",
        )
    return np.arange(1.0, n_elements + 1)
