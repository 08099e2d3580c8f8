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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.delays import Legs, receive_legs, transmit_legs
from usbeam.beamforming.sampling import Interpolation, Sampler
from usbeam.beamforming.traces import Pairs, pair, same_timing, source_table
from usbeam.errors import GeometryError
from usbeam.grid import Grid
from usbeam.kernels.conventions import FRACTION_BITS, MAX_SAMPLES, N_PHASES

_BATCH = 512
"""Traces that are transformed together at most: few enough to stay near the cache, enough to share among threads."""


@dataclass(frozen=True, eq=False)
class _Tables:
    """One leg's delays, active depths and window over a block of image columns, as the kernel takes them."""

    delay: npt.NDArray[np.int32]
    active: npt.NDArray[np.int32]
    window: npt.NDArray[np.float32] | None


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
    memory_budget
        Bytes that tables and prepared traces may take; what does not fit is done in more pieces.
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
        sound_speed: float,
        memory_budget: float,
    ) -> None:
        self._acquisition, self._grid, self._sound_speed = acquisition, grid, sound_speed
        self._windows = (transmit_window, receive_window)
        self._receive_weights = receive_weights
        self._sampler = Sampler(acquisition, interpolation)
        self._fold = fold and transmit_window == receive_window and same_timing(acquisition)
        stored = (source_table(acquisition) != ABSENT) & (receive_weights != 0)
        self._n_stored = stored.sum(axis=1)
        # 1 where two transmits hold traces of each other that the fold adds.
        self._reciprocal = np.zeros((acquisition.n_tx, acquisition.n_tx))
        if self._fold:
            block = stored[:, acquisition.transmits.element_index]
            self._reciprocal[block & block.T] = 1
            np.fill_diagonal(self._reciprocal, 0)
        elements = np.flatnonzero(stored[transmits].any(axis=0))
        self._legs = (transmit_legs(acquisition, transmits, sound_speed), receive_legs(acquisition, elements))
        # Rows of the leg tables of each transmit and each element.
        self._transmit_row = np.searchsorted(transmits, np.arange(acquisition.n_tx)).astype(np.int32)
        self._receive_row = np.searchsorted(elements, np.arange(acquisition.probe.n_elements)).astype(np.int32)
        self._check_range(acquisition)
        self._divide(memory_budget)

    def _check_range(self, acquisition: Acquisition) -> None:
        x, z = self._grid.x[[0, -1]], self._grid.z[[0, -1]]
        corners = np.array([(a, 0.0, b) for a in x for b in z])
        longest = max(legs.longest(corners, self._sound_speed) for legs in self._legs) * self._sampler.rate
        if longest >= MAX_SAMPLES or self._sampler.n_samples > 2 * MAX_SAMPLES:
            raise GeometryError(
                "delays are longer than the kernel can count",
                path=acquisition.path,
                location="grid, start_time, upsampling",
                expected=f"fewer than {MAX_SAMPLES} samples per leg, {2 * MAX_SAMPLES} per record",
                found=f"{longest:.0f} per leg, {self._sampler.n_samples} per record",
                hint="check the units of positions and times, lower upsampling, or crop the records",
            )

    def _divide(self, work: float) -> None:
        """Bytes for tables (blocks of image columns) and for traces (chunks of transmits).

        Tables are kept from frame to frame where all of them fit beside a few batches of traces. Where they do not,
        they are made anew for every chunk of traces, so that the chunks get the larger part.
        """
        n_z, n_x = self._grid.shape
        per_column = sum(
            len(legs) * n_z * (8 if window.tapered else 4)
            for legs, window in zip(self._legs, self._windows, strict=True)
        )
        trace = self._sampler.n_samples * 8
        # A trace of the batch at work takes four times its signal: as recorded, as two spectra and as signal.
        fits = n_x * per_column + 4 * _BATCH * trace <= work
        columns = n_x if fits else int(np.clip(work / 4 // per_column, 1, n_x))
        self._blocks = [slice(start, min(start + columns, n_x)) for start in range(0, n_x, columns)]
        signals = max(0, int((work - columns * per_column) // trace))
        # However small the budget, one transmit and one column at a time always work.
        self._batch = max(1, min(_BATCH, signals // 8))
        self._most_pairs = max(1, signals - 3 * self._batch)
        self._kept: tuple[_Tables, _Tables] | None = None

    def tables(self, columns: slice) -> tuple[_Tables, _Tables]:
        """Transmit and receive tables of a block of image columns; kept where one block is the whole image."""
        if self._kept is not None:
            return self._kept
        x = self._grid.x[columns]
        shift = self._sampler.table_offset / self._sampler.rate
        made = (self._table(0, x, shift), self._table(1, x, 0.0))
        if len(self._blocks) == 1:
            self._kept = made
        return made

    def _table(self, leg: int, x: npt.NDArray[np.float64], shift: float) -> _Tables:
        from usbeam.kernels import das_cpu

        legs: Legs = self._legs[leg]
        window: Window = self._windows[leg]
        ticks = 1 << FRACTION_BITS
        limit = MAX_SAMPLES * ticks
        weights = np.empty((len(legs), len(x), len(self._grid.z)) if window.tapered else (0, 0, 0), np.float32)
        delay, active = das_cpu.leg_tables(
            legs.shape,
            legs.first,
            legs.position,
            legs.time + shift,
            legs.axis,
            np.array([-limit, limit - 1]),
            x,
            self._grid.z,
            self._sound_speed,
            self._sampler.rate * ticks,
            window.max_sine,
            window.taper,
            window.pedestal,
            weights,
        )
        return _Tables(delay, active, weights if window.tapered else None)

    def folds(self, subsets: npt.NDArray[np.float32]) -> bool:
        """Whether reciprocal traces of any of these subsets are added first."""
        active = (subsets != 0).astype(np.float64)
        return bool(np.any((active @ self._reciprocal) * active))

    def cost(self, subsets: npt.NDArray[np.float32]) -> float:
        """Traces that the images of one frame visit, times image points, before windows shorten the rows."""
        active = (subsets != 0).astype(np.float64)
        folded = np.sum((active @ self._reciprocal) * active) / 2
        return float(self._grid.size * (np.sum(active @ self._n_stored) - folded))

    def __call__(self, frame: npt.NDArray[Any], subsets: npt.NDArray[np.float32]) -> npt.NDArray[np.complex64]:
        """Images ``(n_subsets, n_z, n_x)`` of one frame ``(n_tx, n_rx, n_samples)``.

        Parameters
        ----------
        frame
            As recorded.
        subsets : (n_subsets, n_tx)
            Transmit weights, one row per image.
        """
        images = np.zeros((len(subsets), *self._grid.shape), np.complex64)
        # Each image has its own pairs, because the fold adds reciprocal traces with their subset's weights.
        each = [pair(self._acquisition, row, np.flatnonzero(row), self._fold, self._receive_weights) for row in subsets]
        image = np.repeat(np.arange(len(each)), [len(pairs.transmits) for pairs in each])
        pairs = _joined(each)
        for run in pairs.chunks(self._most_pairs):
            self._add_run(frame, pairs, run, image[run], images)
        return images

    def _add_run(
        self,
        frame: npt.NDArray[Any],
        pairs: Pairs,
        run: slice,
        image: npt.NDArray[np.int64],
        images: npt.NDArray[np.complex64],
    ) -> None:
        """Prepare the traces of a run of transmits and add them everywhere; the traces are gone when this returns."""
        from usbeam.kernels import das_cpu

        traces = self._traces(frame, pairs, run)
        first = pairs.first[run.start : run.stop + 1] - pairs.first[run.start]
        receive_row = self._receive_row[pairs.element[pairs.first[run.start] : pairs.first[run.stop]]]
        for columns in self._blocks:
            transmit, receive = self.tables(columns)
            das_cpu.das(
                traces,
                receive_row,
                first,
                self._transmit_row[pairs.transmits[run]],
                transmit.delay,
                receive.delay,
                transmit.active,
                receive.active,
                transmit.window,
                receive.window,
                image,
                self._sampler.table(N_PHASES),
                columns.start,
                images,
            )
            del transmit, receive  # before the next block's tables are made

    def _traces(self, frame: npt.NDArray[Any], pairs: Pairs, run: slice) -> npt.NDArray[np.complex64]:
        """Analytic traces of a run of transmits, in batches."""
        from numba import get_num_threads

        first = pairs.first[run.start : run.stop + 1]
        owners = np.repeat(pairs.transmits[run], np.diff(first))
        traces = np.empty((len(owners), self._sampler.n_samples), np.complex64)
        for start in range(0, len(owners), self._batch):
            stop = min(start + self._batch, len(owners))
            recorded = pairs.traces(frame, slice(int(first[0]) + start, int(first[0]) + stop))
            traces[start:stop] = self._sampler.analytic(recorded, owners[start:stop], get_num_threads())
        return traces


def _joined(each: Sequence[Pairs]) -> Pairs:
    """Pairs of several images one after the other, as one list."""
    return Pairs(
        transmits=np.concatenate([pairs.transmits for pairs in each]),
        first=np.cumsum(np.concatenate([[0], *(np.diff(pairs.first) for pairs in each)])),
        element=np.concatenate([pairs.element for pairs in each]),
        source=np.concatenate([pairs.source for pairs in each]),
        weight=np.concatenate([pairs.weight for pairs in each]),
    )
