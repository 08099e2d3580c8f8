"""Which recorded traces make which (transmit, receive) pair.

Two identities save work or storage. A half-matrix recording holds one trace of each pair (a fires, b receives),
(b fires, a receives); by reciprocity the other is the same, and it is taken from where it was stored. And where both
legs of such a pair have the same delays and windows, delay-and-sum visits the two traces' sum once: the *fold*, exact
for any samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.errors import GeometryError
from usbeam.kernels.backend import CPU, Backend

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs in the order of their transmits.

    Parameters
    ----------
    transmits : (n_tx,)
        Transmits that take part.
    first : (n_tx + 1,)
        The pairs of ``transmits[i]`` are ``first[i]:first[i + 1]``.
    element : (n_pairs,)
        Receiving element.
    source : (n_pairs, 2)
        Rows of the frame, seen as ``(n_tx * n_rx, n_samples)``, that are added; -1 for none.
    weight : (n_pairs, 2) float32
        Their weights.
    """

    transmits: Indices
    first: Indices
    element: Indices
    source: Indices
    weight: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.element)

    def chunks(self, most: int) -> Iterator[slice]:
        """Runs of transmits with at most so many pairs each (but at least one transmit)."""
        start = 0
        for stop in range(1, len(self.transmits) + 1):
            full = stop == len(self.transmits) or self.first[stop + 1] - self.first[start] > most
            if full:
                yield slice(start, stop)
                start = stop

    def of(self, run: slice) -> Pairs:
        """The pairs of a run of transmits."""
        first = self.first[run.start : run.stop + 1]
        here = slice(first[0], first[-1])
        return Pairs(self.transmits[run], first - first[0], self.element[here], self.source[here], self.weight[here])

    def on(self, backend: Backend) -> Pairs:
        """The same pairs, with what is read for every frame (sources and weights) on a device."""
        return replace(self, source=backend.asarray(self.source), weight=backend.asarray(self.weight))

    def traces(self, frames: npt.NDArray[Any], pairs: slice, *, backend: Backend = CPU) -> npt.NDArray[Any]:
        """Weighted traces ``(..., n, n_samples)`` of some pairs, float32 or complex64.

        Parameters
        ----------
        frames : (..., n_tx, n_rx, n_samples)
            As recorded.
        pairs
            Which pairs.
        backend
            Where the frames are, and the pairs' sources and weights.
        """
        source = self.source[pairs]
        *several, n_tx, n_rx, n_samples = frames.shape
        kind = np.complex64 if frames.dtype.kind == "c" else np.float32
        traces = backend.xp.empty((*several, len(source), n_samples), kind)
        rows = frames.reshape(*several, n_tx * n_rx, n_samples)
        backend.das.weighted_sums(rows, source, self.weight[pairs], traces)
        return traces


def source_table(acquisition: Acquisition) -> Indices:
    """Where the trace of (transmit, element) is stored: ``(n_tx, n_elements)`` rows of a frame, -1 where it is not.

    Pairs missing from a half-matrix recording point at their reciprocal.

    Raises
    ------
    GeometryError
        If a half-matrix recording's transmits differ in timing, so that no trace stands for its reciprocal.
    """
    n_tx, n_rx = acquisition.n_tx, acquisition.n_rx
    table = np.full((n_tx, acquisition.probe.n_elements), ABSENT, np.int64)
    t, slot = np.nonzero(acquisition.receivers != ABSENT)
    table[t, acquisition.receivers[t, slot]] = t * n_rx + slot
    if acquisition.is_half_matrix:
        if not same_timing(acquisition):
            raise GeometryError(
                "a half-matrix recording needs the same timing in all transmits",
                path=acquisition.path,
                location="start_time, transmit/delays, transmit/pulse_peak_time",
                hint="store the full matrix instead",
            )
        fires = acquisition.transmits.element_index
        t, element = np.nonzero(table == ABSENT)
        # Transmit of each element; an element that never fires has none.
        transmit_of = np.full(acquisition.probe.n_elements, ABSENT, np.int64)
        transmit_of[fires] = np.arange(n_tx)
        reciprocal = transmit_of[element]
        known = reciprocal != ABSENT
        stored = table.copy()
        table[t[known], element[known]] = stored[reciprocal[known], fires[t[known]]]
    return table


def same_timing(acquisition: Acquisition) -> bool:
    """Whether all transmits are single elements, each its own, that fire alike at the same time."""
    fields = acquisition.transmits
    fires = fields.element_index
    if np.any(fires < 0) or len(np.unique(fires)) < len(fires):
        return False
    rows = np.arange(len(fires))
    facts = (
        np.asarray(acquisition.start_time),
        np.asarray(fields.pulse_peak_time),
        fields.delays[rows, fires],
    )
    return all(bool(np.all(fact == fact[0])) for fact in facts)


def pair(
    acquisition: Acquisition,
    weights: npt.NDArray[np.float32] | None,
    transmits: Indices,
    fold: bool,
    receive_weights: npt.NDArray[np.float32] | None = None,
) -> Pairs:
    """List the pairs of some transmits.

    Parameters
    ----------
    acquisition
        The recording.
    weights : (n_tx,), optional
        Weight of each transmit's traces; 1 if not given.
    transmits : (n_active,)
        Which transmits take part, rising.
    fold
        Add reciprocal pairs; only right where `same_timing` holds and both legs have the same window.
    receive_weights : (n_elements,), optional
        Weight of each receiving element; 1 if not given. Pairs of weight 0 are left out.
    """
    table = source_table(acquisition)[transmits]
    gains = np.ones(table.shape, np.float32)
    if weights is not None:
        gains *= weights[transmits, None]
    if receive_weights is not None:
        gains *= receive_weights
        table[:, receive_weights == 0] = ABSENT
    second = np.full_like(table, ABSENT)
    second_gain = np.ones(table.shape, np.float32)
    if fold:
        fires = acquisition.transmits.element_index[transmits]
        block = table[:, fires]
        i, j = np.nonzero(np.triu((block != ABSENT) & (block.T != ABSENT), 1))
        second[i, fires[j]] = block[j, i]
        second_gain[i, fires[j]] = gains[j, fires[i]]
        table[j, fires[i]] = ABSENT
    row, element = np.nonzero(table != ABSENT)
    return Pairs(
        transmits=transmits,
        first=np.searchsorted(row, np.arange(len(transmits) + 1)).astype(np.int64),
        element=element,
        source=np.stack([table[row, element], second[row, element]], axis=1),
        weight=np.stack([gains[row, element], second_gain[row, element]], axis=1),
    )
