"""Many frames through a beamformer: on the GPU, transfers and work side by side.

While one batch of frames is beamformed, the next one is read and goes up, and the images of the one before come down.
Host memory that takes part is pinned, since only such memory is copied while other work goes on. There are two streams,
one for copies and one for the work, and two sets of buffers that take turns; what one stream needs of the other is an
event that it waits for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.kernels.backend import Backend
from usbeam.kernels.memory import typed_errors


def streamed(
    frames: Iterable[npt.NDArray[Any]], batch: int, beamform: Callable[[Any], Any], backend: Backend
) -> Iterator[npt.NDArray[np.complex64]]:
    """Images of frames, in host memory, one frame after the other.

    Parameters
    ----------
    frames
        Each (n_tx, n_rx, n_samples), all of one shape and type; read when their turn comes.
    batch
        Frames that are beamformed together on a GPU; on the CPU it is one after the other.
    beamform
        Makes images ``(n, n_images, n_z, n_x)`` of ``n`` frames, both arrays of the backend.
    backend
        Whose arrays they are.

    Yields
    ------
    (n_images, n_z, n_x) complex64

    Raises
    ------
    DeviceOutOfMemory
        If the GPU's memory does not hold the frames.
    """
    if backend.device == "cpu":
        for frame in frames:
            yield from beamform(frame[None])
        return
    waiting = iter(frames)
    batches = iter(lambda: list(itertools.islice(waiting, batch)), [])
    with typed_errors():
        for images in _overlapped(batches, beamform, backend.xp):
            yield from images


@dataclass(eq=False)
class _Turn:
    """A batch on its way, and the memory that it takes: used again when the images have been handed out."""

    host: npt.NDArray[Any]
    device: Any
    images: Any = None
    done: Any = None


def _overlapped(
    batches: Iterator[list[npt.NDArray[Any]]], beamform: Callable[[Any], Any], cupy: Any
) -> Iterator[npt.NDArray[np.complex64]]:
    """Images of each batch.

    Orders are given in this order, so that neither stream waits for what could go on: upload n + 1, work n + 1,
    download n. The host waits for download n while the device works on n + 1.
    """
    copies, work = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    turns: list[_Turn] = []
    last: _Turn | None = None
    # Constants of the beamformer were made on the stream that was current until now.
    ready = cupy.cuda.get_current_stream().record()
    work.wait_event(ready)
    for number, frames in enumerate(batches):
        if number < 2:
            shape = (len(frames), *frames[0].shape)
            turns.append(_Turn(_pinned(shape, frames[0].dtype, cupy), _on(work, cupy, shape, frames[0].dtype)))
        turn, n = turns[number % 2], len(frames)
        np.stack(frames, out=turn.host[:n])
        with copies:
            # The work on what lies in this buffer ended before its images were handed out.
            turn.device[:n].set(turn.host[:n], stream=copies)
            uploaded = copies.record()
        work.wait_event(uploaded)
        with work:
            turn.images = beamform(turn.device[:n])
            turn.done = work.record()
        if last is not None:
            yield _down(last, copies, cupy)
        last = turn
    if last is not None:
        yield _down(last, copies, cupy)


def _down(turn: _Turn, copies: Any, cupy: Any) -> npt.NDArray[np.complex64]:
    """Download a turn's images; returns when they are there."""
    images = _pinned(turn.images.shape, turn.images.dtype, cupy)
    copies.wait_event(turn.done)
    turn.images.get(stream=copies, out=images, blocking=False)
    copies.synchronize()
    turn.images = None
    return images


def _on(stream: Any, cupy: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Device memory that belongs to a stream."""
    with stream:
        return cupy.empty(shape, dtype)


def _pinned(shape: tuple[int, ...], dtype: Any, cupy: Any) -> npt.NDArray[Any]:
    """Host memory that is copied from and to without a stop."""
    count = int(np.prod(shape))
    memory = cupy.cuda.alloc_pinned_memory(count * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)
