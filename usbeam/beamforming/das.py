"""Delay-and-sum: geometry once, then any number of frames.

    image_s(p) = sum_t W[s, t] w_t(p) sum_r w_r(p) s_tr(delay_t(p) + delay_r(p))

with analytic signals s_tr, so that the envelope of the image is its magnitude and no Hilbert transform along a coarse
image is needed. The sum is not normalised by the number of traces: images of disjoint subsets add up to the image of
their union.

References
----------
Jensen, Nikolov, Gammelmark, Pedersen 2006, Ultrasonics 44:e5 (synthetic aperture imaging); Holmes, Drinkwater, Wilcox
2005, NDT&E International 38:701 (the full-matrix form, "total focusing method").
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.sampling import Interpolation
from usbeam.beamforming.time_domain import Run, Tables, TimeDomain
from usbeam.beamforming.traces import Pairs, pair, same_timing
from usbeam.grid import Grid
from usbeam.kernels.backend import CPU, Backend
from usbeam.kernels.tune import milliseconds

_log = logging.getLogger("usbeam")


class DelayAndSum:
    """The geometry of one recording and grid; called with a frame and subsets of transmits.

    Parameters
    ----------
    acquisition
        The recording; only its header is read here.
    grid
        Image points.
    transmits : (n_used,)
        Transmits that any subset may use, rising.
    transmit_window, receive_window
        Acceptance of the two legs.
    receive_weights : (n_elements,)
        Of the receiving elements.
    interpolation
        How samples are read between.
    fold
        Use the fold where it is exact.
    sound_speed
        [m/s].
    half
        Keep prepared traces in half precision.
    memory_budget
        Bytes that tables and prepared traces may take; what does not fit is done in more pieces.
    backend
        Where the frames are, and the work is done.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid,
        transmits: npt.NDArray[np.int64],
        *,
        transmit_window: Window,
        receive_window: Window,
        receive_weights: npt.NDArray[np.float32],
        interpolation: Interpolation,
        fold: bool,
        half: bool = False,
        sound_speed: float,
        memory_budget: float,
        backend: Backend = CPU,
    ) -> None:
        self.backend, self._half = backend, half
        self._acquisition, self._grid = acquisition, grid
        self._windows = (transmit_window, receive_window)
        self._receive_weights = receive_weights
        self._domain = TimeDomain(
            acquisition,
            grid,
            transmits,
            receive_weights=receive_weights,
            interpolation=interpolation,
            sound_speed=sound_speed,
            memory_budget=memory_budget,
            backend=backend,
            point_bytes=(8 if transmit_window.tapered else 4, 8 if receive_window.tapered else 4),
        )
        self._fold = fold and transmit_window == receive_window and same_timing(acquisition)
        stored = self._domain.stored
        self._n_stored = stored.sum(axis=1)
        # 1 where two transmits hold traces of each other that the fold adds.
        self._reciprocal = np.zeros((acquisition.n_tx, acquisition.n_tx))
        if self._fold:
            block = stored[:, acquisition.transmits.element_index]
            self._reciprocal[block & block.T] = 1
            np.fill_diagonal(self._reciprocal, 0)
        self._kept: tuple[Tables, Tables] | None = None
        self._direct: dict[int, Any] = {}
        self._ways: dict[int, Callable[[Run, Any, slice, Any], None]] = {}
        self._asked: tuple[npt.NDArray[np.float32], Pairs, Any] | None = None

    def tables(self, columns: slice) -> tuple[Tables, Tables]:
        """Transmit and receive tables of a block of image columns; kept where one block is the whole image."""
        if self._kept is not None:
            return self._kept
        made = (
            self._domain.table(0, columns, self._windows[0]),
            self._domain.table(1, columns, self._windows[1]),
        )
        if len(self._domain.blocks) == 1:
            self._kept = made
        return made

    def folds(self, subsets: npt.NDArray[np.float32]) -> bool:
        """Whether reciprocal traces of any of these subsets are added first."""
        active = (subsets != 0).astype(np.float64)
        return bool(np.any((active @ self._reciprocal) * active))

    def cost(self, subsets: npt.NDArray[np.float32]) -> float:
        """Traces that the images of one frame visit, times image points, before windows shorten the rows."""
        active = (subsets != 0).astype(np.float64)
        folded = np.sum((active @ self._reciprocal) * active) / 2
        return float(self._grid.size * (np.sum(active @ self._n_stored) - folded))

    def __call__(self, frames: Any, subsets: npt.NDArray[np.float32]) -> Any:
        """Images ``(n_frames, n_subsets, n_z, n_x)`` of frames ``(n_frames, n_tx, n_rx, n_samples)``.

        Parameters
        ----------
        frames
            As recorded; an array of the backend.
        subsets : (n_subsets, n_tx)
            Transmit weights, one row per image.
        """
        images = self.backend.xp.zeros((len(frames), len(subsets), *self._grid.shape), np.complex64)
        largest = self._largest(frames) if self._half else None
        if largest is not None:  # halves end at 65504: the largest sample of a frame becomes 1
            frames = frames / largest
        pairs, image = self._pairs(subsets)
        most = self._domain.most_pairs
        together = max(1, most // int(np.diff(pairs.first).max(initial=1)))
        for start in range(0, len(frames), together):
            part = slice(start, start + together)
            for run in pairs.chunks(max(1, most // len(frames[part]))):
                self._add_run(frames[part], pairs, run, image[run], images[part])
        if largest is not None:
            images *= largest
        return images

    def _largest(self, frames: Any) -> Any:
        """Size of the largest sample of each frame, ``(n_frames, 1, 1, 1)`` float32; 1 where all are 0."""
        xp, axes = self.backend.xp, (1, 2, 3)
        sizes = xp.abs(frames.astype(np.complex64 if frames.dtype.kind == "c" else np.float32))
        largest = sizes.max(axis=axes, keepdims=True)
        return xp.where(largest == 0, np.float32(1), largest)

    def _pairs(self, subsets: npt.NDArray[np.float32]) -> tuple[Pairs, Any]:
        """Pairs of all images, and the image of each transmit, on the device; kept for the next frames."""
        if self._asked is None or not np.array_equal(self._asked[0], subsets):
            facts = (self._fold, self._receive_weights)
            # Each image has its own pairs, because the fold adds reciprocal traces with their subset's weights.
            each = [pair(self._acquisition, row, np.flatnonzero(row), *facts) for row in subsets]
            image = np.repeat(np.arange(len(each)), [len(pairs.transmits) for pairs in each])
            self._asked = (subsets.copy(), _joined(each), self.backend.asarray(image))
        return self._asked[1:]

    def _add_run(self, frames: Any, pairs: Pairs, run: slice, image: Any, images: Any) -> None:
        """Prepare the traces of a run of transmits and add them everywhere; the traces are gone when this returns."""
        prepared = self._domain.prepare(frames, pairs, run)
        if self._half:
            parts = prepared.traces.view(np.float32).reshape(*prepared.traces.shape, 2)
            prepared = replace(prepared, traces=parts.astype(np.float16))
        add = self._way(prepared, image, images)
        for columns in self._domain.blocks:
            add(prepared, image, columns, images)

    def _way(self, run: Run, image: Any, images: Any) -> Callable[[Run, Any, slice, Any], None]:
        """How so many frames are summed: with tables, or on a GPU without where that has proved to be faster."""
        if self.backend.device == "cpu":  # a root takes longer than reading a table
            return self._add_by_tables
        n_frames = len(images)
        if n_frames not in self._ways:
            trial, columns = self.backend.xp.zeros_like(images), self._domain.blocks[0]
            ways = (self._add_by_tables, self._add_directly)
            times = [milliseconds(functools.partial(way, run, image, columns, trial)) for way in ways]
            self._ways[n_frames] = ways[int(np.argmin(times))]
            if self._ways[n_frames] == self._add_directly:
                self._kept = None  # room for traces
            taken = "worked out where they are used" if times[1] < times[0] else "read from tables"
            _log.debug("%d frames: delays %s (tables %.3f ms, direct %.3f ms)", n_frames, taken, *times)
        return self._ways[n_frames]

    def _add_by_tables(self, run: Run, image: Any, columns: slice, images: Any) -> None:
        """Add traces to a block of columns."""
        transmit, receive = self.tables(columns)
        self.backend.das.das(
            run.traces,
            run.receive,
            run.first,
            run.transmit,
            transmit.delay,
            receive.delay,
            transmit.active,
            receive.active,
            transmit.window,
            receive.window,
            image,
            self._domain.taps,
            columns.start,
            images,
        )

    def _add_directly(self, run: Run, image: Any, columns: slice, images: Any) -> None:
        """Add traces to a block of columns, delays worked out on the way."""
        if columns.start not in self._direct:
            legs = (self._domain.geometry(leg, columns, window) for leg, window in enumerate(self._windows))
            self._direct[columns.start] = self.backend.das.Direct(*legs)
        sources = (run.traces, run.receive, run.first, run.transmit)
        self._direct[columns.start](*sources, image, self._domain.taps, columns.start, images)


def _joined(each: Sequence[Pairs]) -> Pairs:
    """Pairs of several images one after the other, as one list."""
    return Pairs(
        transmits=np.concatenate([pairs.transmits for pairs in each]),
        first=np.cumsum(np.concatenate([[0], *(np.diff(pairs.first) for pairs in each)])),
        element=np.concatenate([pairs.element for pairs in each]),
        source=np.concatenate([pairs.source for pairs in each]),
        weight=np.concatenate([pairs.weight for pairs in each]),
    )
