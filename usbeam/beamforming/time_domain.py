"""What every sum of traces along delays needs: delay tables by image column, and traces prepared in runs of transmits.

Memory is divided here: tables in blocks of image columns, traces in runs of transmits, so that the work on one frame
stays within its budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.delays import receive_legs, transmit_legs
from usbeam.beamforming.sampling import Interpolation, Sampler
from usbeam.beamforming.traces import Pairs, source_table
from usbeam.errors import GeometryError
from usbeam.grid import Grid
from usbeam.kernels.conventions import FRACTION_BITS, MAX_SAMPLES

_BATCH = 512
"""Traces that are transformed together at most: few enough to stay near the cache, enough to share among threads."""


@dataclass(frozen=True, eq=False)
class Tables:
    """One leg's delays, active depths and window over a block of image columns, as the kernels take them."""

    delay: npt.NDArray[np.int32]
    active: npt.NDArray[np.int32]
    window: npt.NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Run:
    """Prepared traces of a run of transmits, as the kernels take them.

    Parameters
    ----------
    traces : (n_pairs, n_samples) complex64
        Analytic.
    receive : (n_pairs,)
        Row of each pair in the receive leg's tables.
    first : (n_tx + 1,)
        The pairs of transmit i are ``first[i]:first[i + 1]``.
    transmit : (n_tx,)
        Row of each transmit in the transmit leg's tables.
    """

    traces: npt.NDArray[np.complex64]
    receive: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]
    transmit: npt.NDArray[np.int32]


class TimeDomain:
    """Delays, traces and the division of memory of one recording and grid.

    Parameters
    ----------
    acquisition, grid, transmits, receive_weights, interpolation, sound_speed, memory_budget
        As `usbeam.beamforming.das.DelayAndSum` takes them.
    point_bytes
        Bytes that the tables of a transmit and of an element take per image point.

    Attributes
    ----------
    stored : (n_tx, n_elements)
        Which pairs have a trace that counts.
    elements : (n_heard,)
        Elements that hear any of the transmits: the rows of the receive leg's tables.
    sampler
        How samples become traces.
    legs
        Transmit and receive wave fronts.
    blocks
        Image columns whose tables are made together.

    Raises
    ------
    GeometryError
        For delays that are longer than the kernels can count.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid,
        transmits: npt.NDArray[np.int64],
        *,
        receive_weights: npt.NDArray[np.float32],
        interpolation: Interpolation,
        sound_speed: float,
        memory_budget: float,
        point_bytes: tuple[int, int],
    ) -> None:
        self._grid, self._sound_speed = grid, sound_speed
        self.sampler = Sampler(acquisition, interpolation)
        self.stored = (source_table(acquisition) != ABSENT) & (receive_weights != 0)
        self.elements = np.flatnonzero(self.stored[transmits].any(axis=0))
        self.legs = (transmit_legs(acquisition, transmits, sound_speed), receive_legs(acquisition, self.elements))
        # Rows of the leg tables of each transmit and each element.
        self._transmit_row = np.searchsorted(transmits, np.arange(acquisition.n_tx)).astype(np.int32)
        self._receive_row = np.searchsorted(self.elements, np.arange(acquisition.probe.n_elements)).astype(np.int32)
        self._check_range(acquisition)
        self._divide(memory_budget, point_bytes)

    def _check_range(self, acquisition: Acquisition) -> None:
        x, z = self._grid.x[[0, -1]], self._grid.z[[0, -1]]
        corners = np.array([(a, 0.0, b) for a in x for b in z])
        longest = max(legs.longest(corners, self._sound_speed) for legs in self.legs) * self.sampler.rate
        if longest >= MAX_SAMPLES or self.sampler.n_samples > 2 * MAX_SAMPLES:
            raise GeometryError(
                "delays are longer than the kernel can count",
                path=acquisition.path,
                location="grid, start_time, upsampling",
                expected=f"fewer than {MAX_SAMPLES} samples per leg, {2 * MAX_SAMPLES} per record",
                found=f"{longest:.0f} per leg, {self.sampler.n_samples} per record",
                hint="check the units of positions and times, lower upsampling, or crop the records",
            )

    def _divide(self, work: float, point_bytes: tuple[int, int]) -> None:
        """Bytes for tables (blocks of image columns) and for traces (chunks of transmits).

        Tables are kept from frame to frame where all of them fit beside a few batches of traces. Where they do not,
        they are made anew for every chunk of traces, so that the chunks get the larger part.
        """
        n_z, n_x = self._grid.shape
        per_column = sum(len(legs) * n_z * each for legs, each in zip(self.legs, point_bytes, strict=True))
        trace = self.sampler.n_samples * 8
        # A trace of the batch at work takes four times its signal: as recorded, as two spectra and as signal.
        fits = n_x * per_column + 4 * _BATCH * trace <= work
        columns = n_x if fits else int(np.clip(work / 4 // per_column, 1, n_x))
        self.blocks = [slice(start, min(start + columns, n_x)) for start in range(0, n_x, columns)]
        signals = max(0, int((work - columns * per_column) // trace))
        # However small the budget, one transmit and one column at a time always work.
        self._batch = max(1, min(_BATCH, signals // 8))
        self.most_pairs = max(1, signals - 3 * self._batch)

    def table(self, leg: int, columns: slice, window: Window) -> Tables:
        """Delays of one leg (0 transmit, 1 receive) over a block of image columns, and its window."""
        from usbeam.kernels import das_cpu

        legs, x = self.legs[leg], self._grid.x[columns]
        # The first tap's place is part of the sum of both legs: the transmit leg carries it.
        shift = 0.0 if leg else self.sampler.table_offset / self.sampler.rate
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
            self.sampler.rate * ticks,
            window.max_sine,
            window.taper,
            window.pedestal,
            weights,
        )
        return Tables(delay, active, weights if window.tapered else None)

    def prepare(self, frame: npt.NDArray[Any], pairs: Pairs, run: slice) -> Run:
        """Analytic traces of a run of transmits, made in batches.

        Parameters
        ----------
        frame : (n_tx, n_rx, n_samples)
            As recorded.
        pairs, run
            Transmits ``run`` of these.
        """
        from numba import get_num_threads

        first = pairs.first[run.start : run.stop + 1]
        owners = np.repeat(pairs.transmits[run], np.diff(first))
        traces = np.empty((len(owners), self.sampler.n_samples), np.complex64)
        for start in range(0, len(owners), self._batch):
            stop = min(start + self._batch, len(owners))
            recorded = pairs.traces(frame, slice(int(first[0]) + start, int(first[0]) + stop))
            traces[start:stop] = self.sampler.analytic(recorded, owners[start:stop], get_num_threads())
        return Run(
            traces=traces,
            receive=self._receive_row[pairs.element[first[0] : first[-1]]],
            first=first - first[0],
            transmit=self._transmit_row[pairs.transmits[run]],
        )
