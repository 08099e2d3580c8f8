"""What every sum of traces along delays needs: delay tables by image column, and traces prepared in runs of transmits.

Memory is divided here: tables in blocks of image columns, traces in runs of transmits, so that the work on one frame
stays within its budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.delays import receive_legs, transmit_legs
from usbeam.beamforming.sampling import Interpolation, Sampler
from usbeam.beamforming.traces import Indices, Pairs, source_table
from usbeam.errors import GeometryError
from usbeam.grid import Grid
from usbeam.kernels.backend import CPU, Backend
from usbeam.kernels.conventions import FRACTION_BITS, MAX_SAMPLES, N_PHASES

_BATCH = {"cpu": 512, "gpu": 8192}
"""Traces that are transformed together at most. On the CPU few enough to stay near the cache, enough to share among
threads; on the GPU enough that starting the kernels costs little."""


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
    traces : (n_frames, n_pairs, n_samples) complex64
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


class _Indices(NamedTuple):
    """What a run of transmits reads from where, on the device."""

    pairs: Pairs
    owner: Indices
    """Transmit of each pair."""
    receive: npt.NDArray[np.int32]
    first: Indices
    transmit: npt.NDArray[np.int32]


class TimeDomain:
    """Delays, traces and the division of memory of one recording and grid.

    Parameters
    ----------
    acquisition, grid, transmits, receive_weights, interpolation, sound_speed, memory_budget
        As `usbeam.beamforming.das.DelayAndSum` takes them.
    point_bytes
        Bytes that the tables of a transmit and of an element take per image point.
    backend
        Where tables and traces are.

    Attributes
    ----------
    stored : (n_tx, n_elements)
        Which pairs have a trace that counts.
    elements : (n_heard,)
        Elements that hear any of the transmits: the rows of the receive leg's tables.
    sampler
        How samples become traces.
    taps : (N_PHASES, n_taps) complex64
        How values between their samples are read.
    legs
        Transmit and receive wave fronts.
    blocks
        Image columns whose tables are made together.
    most_pairs
        Traces that are prepared together, over all frames.

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
        backend: Backend = CPU,
    ) -> None:
        self._grid, self._sound_speed, self._backend = grid, sound_speed, backend
        self.sampler = Sampler(acquisition, interpolation, backend=backend)
        self.taps: npt.NDArray[np.complex64] = backend.asarray(self.sampler.table(N_PHASES))
        self.stored = (source_table(acquisition) != ABSENT) & (receive_weights != 0)
        self.elements = np.flatnonzero(self.stored[transmits].any(axis=0))
        self.legs = (transmit_legs(acquisition, transmits, sound_speed), receive_legs(acquisition, self.elements))
        # Rows of the leg tables of each transmit and each element.
        self._transmit_row = np.searchsorted(transmits, np.arange(acquisition.n_tx)).astype(np.int32)
        self._receive_row = np.searchsorted(self.elements, np.arange(acquisition.probe.n_elements)).astype(np.int32)
        self._check_range(acquisition)
        self._divide(memory_budget, point_bytes)
        # A driver calls with the same pairs for every frame.
        self._indices: WeakKeyDictionary[Pairs, dict[tuple[int, int], _Indices]] = WeakKeyDictionary()

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
        most = _BATCH[self._backend.device]
        fits = n_x * per_column + 4 * most * trace <= work
        columns = n_x if fits else int(np.clip(work / 4 // per_column, 1, n_x))
        self.blocks = [slice(start, min(start + columns, n_x)) for start in range(0, n_x, columns)]
        signals = max(0, int((work - columns * per_column) // trace))
        # However small the budget, one transmit and one column at a time always work.
        self._batch = max(1, min(most, signals // 8))
        self.most_pairs = max(1, signals - 3 * self._batch)

    def table(self, leg: int, columns: slice, window: Window) -> Tables:
        """Delays of one leg (0 transmit, 1 receive) over a block of image columns, and its window."""
        legs, n_x = self.legs[leg], columns.stop - columns.start
        shape = (len(legs), n_x, len(self._grid.z)) if window.tapered else (0, 0, 0)
        weights = self._backend.xp.empty(shape, np.float32)
        delay, active = self._backend.das.leg_tables(*self.geometry(leg, columns, window), weights)
        return Tables(delay, active, weights if window.tapered else None)

    def geometry(self, leg: int, columns: slice, window: Window) -> tuple[Any, ...]:
        """What a table is made of: the arguments of ``leg_tables`` but the last, on the device."""
        legs = self.legs[leg]
        # The first tap's place is part of the sum of both legs: the transmit leg carries it.
        shift = 0.0 if leg else self.sampler.table_offset / self.sampler.rate
        ticks = 1 << FRACTION_BITS
        limit = MAX_SAMPLES * ticks
        here = self._backend.asarray
        return (
            here(legs.shape),
            here(legs.first),
            here(legs.position),
            here(legs.time + shift),
            here(legs.axis),
            here(np.array([-limit, limit - 1])),
            here(self._grid.x[columns]),
            here(self._grid.z),
            self._sound_speed,
            self.sampler.rate * ticks,
            window.max_sine,
            window.taper,
            window.pedestal,
        )

    def prepare(self, frames: npt.NDArray[Any], pairs: Pairs, run: slice) -> Run:
        """Analytic traces of a run of transmits, made in batches.

        Parameters
        ----------
        frames : (n_frames, n_tx, n_rx, n_samples)
            As recorded, on the device.
        pairs, run
            Transmits ``run`` of these.
        """
        indices = self._indices_of(pairs, run)
        n_pairs, n_frames = len(indices.owner), len(frames)
        traces = self._backend.xp.empty((n_frames, n_pairs, self.sampler.n_samples), np.complex64)
        batch = max(1, self._batch // n_frames)
        for start in range(0, n_pairs, batch):
            part = slice(start, min(start + batch, n_pairs))
            recorded = indices.pairs.traces(frames, part, backend=self._backend)
            traces[:, part] = self.sampler.analytic(recorded, indices.owner[part])
        return Run(traces=traces, receive=indices.receive, first=indices.first, transmit=indices.transmit)

    def _indices_of(self, pairs: Pairs, run: slice) -> _Indices:
        """Made when a run is first wanted, kept as long as its pairs are."""
        known = self._indices.setdefault(pairs, {})
        key = (run.start, run.stop)
        if key not in known:
            here = self._backend.asarray
            part = pairs.of(run)
            known[key] = _Indices(
                pairs=part.on(self._backend),
                owner=here(np.repeat(part.transmits, np.diff(part.first))),
                receive=here(self._receive_row[part.element]),
                first=here(part.first),
                transmit=here(self._transmit_row[part.transmits]),
            )
        return known[key]
