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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.delays import Legs, receive_legs, transmit_legs
from usbeam.beamforming.sampling import Interpolation, Sampler
from usbeam.beamforming.traces import Pairs, pair, same_timing
from usbeam.errors import GeometryError
from usbeam.grid import Grid
from usbeam.kernels.conventions import FRACTION_BITS, MAX_SAMPLES, N_PHASES

_BATCH = 512
"""Traces that are transformed together: few enough to stay near the cache, enough to share among threads."""


@dataclass(frozen=True, eq=False)
class _Tables:
    """One leg's delays, active depths and window over a block of image columns, as the kernel takes them."""

    delay: npt.NDArray[np.int32]
    active: npt.NDArray[np.int32]
    window: npt.NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class _Pass:
    """One visit of the data: its pairs, and the images that it adds to."""

    images: npt.NDArray[np.int64]
    pairs: Pairs
    weights: npt.NDArray[np.float32]


class DelayAndSum:
    """The geometry of one recording, grid and set of subsets.

    Parameters
    ----------
    acquisition
        The recording; only its header is read here.
    grid
        Image points.
    subsets : (n_subsets, n_tx) float32
        Transmit weights, one row per image.
    transmit_window, receive_window
        Acceptance of the two legs.
    interpolation
        How samples are read between.
    fold
        Use the fold where it is exact and cheaper.
    sound_speed
        [m/s].
    memory_budget
        Bytes that a frame, its images, tables and prepared traces may take together; what does not fit is done in
        more pieces.

    Attributes
    ----------
    n_sums : int
        Delay-interpolate-accumulate operations per frame before windows shorten the rows.
    folded : bool
        Whether the fold is in use.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid,
        subsets: npt.NDArray[np.float32],
        *,
        transmit_window: Window,
        receive_window: Window,
        interpolation: Interpolation,
        fold: bool,
        sound_speed: float,
        memory_budget: float,
    ) -> None:
        self._grid, self._sound_speed = grid, sound_speed
        self._windows = (transmit_window, receive_window)
        self._refuse_window_without_axis(acquisition)
        self._sampler = Sampler(acquisition, interpolation)
        transmits = np.flatnonzero(np.any(subsets != 0, axis=0))
        foldable = fold and transmit_window == receive_window and same_timing(acquisition)
        self._passes = _plan_passes(acquisition, subsets, transmits, foldable)
        elements = np.unique(np.concatenate([p.pairs.element for p in self._passes]))
        self._legs = (transmit_legs(acquisition, transmits, sound_speed), receive_legs(acquisition, elements))
        # Rows of the leg tables of each transmit and each element.
        self._transmit_row = np.searchsorted(transmits, np.arange(acquisition.n_tx)).astype(np.int32)
        self._receive_row = np.searchsorted(elements, np.arange(acquisition.probe.n_elements)).astype(np.int32)
        self._n_images = len(subsets)
        self.folded = any(np.any(p.pairs.source[:, 1] >= 0) for p in self._passes)
        self.n_sums = grid.size * sum(len(p.pairs) for p in self._passes)
        self._check_range(acquisition)
        frame_bytes = float(np.prod(acquisition.samples.shape[1:])) * acquisition.samples.dtype.itemsize
        images_bytes = 3.0 * len(subsets) * grid.size * 8  # summed, copied in the user's axis order, returned
        # However small the budget, one trace and one column at a time always work.
        self._divide(max(memory_budget - frame_bytes - images_bytes, 1.0))

    def _refuse_window_without_axis(self, acquisition: Acquisition) -> None:
        kinds = sorted(set(acquisition.transmits.kind) & {"plane", "custom"})
        if kinds and not self._windows[0].unlimited:
            raise GeometryError(
                f"a transmit of kind {kinds[0]} has no angle to limit",
                location="transmit_f_number",
                hint="limit the receive aperture instead (f_number), or leave transmit_f_number out",
            )

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
        """Half of these bytes for tables (blocks of image columns), half for traces (chunks of transmits)."""
        n_z, n_x = self._grid.shape
        per_column = sum(
            len(legs) * n_z * (8 if window.tapered else 4)
            for legs, window in zip(self._legs, self._windows, strict=True)
        )
        columns = int(np.clip(work / 2 // per_column, 1, n_x))
        self._blocks = [slice(start, min(start + columns, n_x)) for start in range(0, n_x, columns)]
        # A trace of the batch at work takes four times its signal: as recorded, as two spectra and as signal.
        signals = int(work / 2 // (self._sampler.n_samples * 8))
        self._most_pairs = max(1, signals - 3 * _BATCH if signals > 4 * _BATCH else signals // 4)
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

    def __call__(self, frame: npt.NDArray[Any]) -> npt.NDArray[np.complex64]:
        """Images ``(n_subsets, n_z, n_x)`` of one frame ``(n_tx, n_rx, n_samples)``."""
        n_z, n_x = self._grid.shape
        images = np.zeros((self._n_images, n_x, n_z), np.complex64)
        for visit, run in self._pieces():
            self._add_piece(frame, visit, run, images)
        return images.transpose(0, 2, 1)

    def _pieces(self) -> Iterator[tuple[_Pass, slice]]:
        """Every pass in runs of transmits whose traces fit the budget."""
        for visit in self._passes:
            for run in visit.pairs.chunks(self._most_pairs):
                yield visit, run

    def _add_piece(self, frame: npt.NDArray[Any], visit: _Pass, run: slice, images: npt.NDArray[np.complex64]) -> None:
        """Prepare the traces of some transmits and add them everywhere."""
        from numba import get_num_threads

        first = visit.pairs.first[run.start : run.stop + 1]
        owners = np.repeat(visit.pairs.transmits[run], np.diff(first))
        traces = np.empty((len(owners), self._sampler.n_samples), np.complex64)
        for start in range(0, len(owners), _BATCH):
            batch = slice(start, min(start + _BATCH, len(owners)))
            pairs = slice(int(first[0]) + batch.start, int(first[0]) + batch.stop)
            recorded = visit.pairs.traces(frame, pairs)
            traces[batch] = self._sampler.analytic(recorded, owners[batch], get_num_threads())
        for columns in self._blocks:
            self._add_block(traces, visit, run, columns, images)

    def _add_block(
        self,
        traces: npt.NDArray[np.complex64],
        visit: _Pass,
        run: slice,
        columns: slice,
        images: npt.NDArray[np.complex64],
    ) -> None:
        """Add prepared traces to a block of image columns; its tables are gone when this returns, unless kept."""
        from usbeam.kernels import das_cpu

        transmit, receive = self.tables(columns)
        first = visit.pairs.first[run.start : run.stop + 1]
        out = np.zeros((len(visit.images), columns.stop - columns.start, images.shape[2]), np.complex64)
        das_cpu.das(
            traces,
            self._receive_row[visit.pairs.element[first[0] : first[-1]]],
            first - first[0],
            self._transmit_row[visit.pairs.transmits[run]],
            transmit.delay,
            receive.delay,
            transmit.active,
            receive.active,
            transmit.window,
            receive.window,
            np.ascontiguousarray(visit.weights[:, run]),
            self._sampler.table(N_PHASES),
            out,
        )
        images[visit.images, columns] += out


def _plan_passes(
    acquisition: Acquisition, subsets: npt.NDArray[np.float32], transmits: npt.NDArray[np.int64], foldable: bool
) -> list[_Pass]:
    """One pass for all subsets together, or a folded one for each, whichever visits fewer traces.

    Folding adds reciprocal traces with their subset's weights before the sum, so that each subset needs its own.
    """
    together = _Pass(
        np.arange(len(subsets)),
        pair(acquisition, None, transmits, fold=False),
        np.ascontiguousarray(subsets[:, transmits]),
    )
    if not foldable:
        return [together]
    folded: list[_Pass] = []
    for image, weights in enumerate(subsets):
        active = np.flatnonzero(weights)
        ones = np.ones((1, len(active)), np.float32)
        folded.append(_Pass(np.array([image]), pair(acquisition, weights, active, fold=True), ones))
    return folded if sum(len(p.pairs) for p in folded) <= len(together.pairs) else [together]
