"""The wavenumber kernels against loops over every wavenumber and frequency."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from usbeam.kernels import fourier_cpu

from .conftest import complex_noise, from_lanes, to_lanes

N_TAPS, N_ROWS, N_CELLS = 4, 64, 30
TABLE = np.random.default_rng(9).standard_normal((N_ROWS, N_TAPS)).astype(np.float32)


def add_taps(cells: np.ndarray, first: int, height: np.ndarray, values: np.ndarray) -> None:
    """Spread complex values at float32 heights, one by one."""
    for at, value in zip(height, values, strict=True):
        cell = int(at)
        cells[first + cell : first + cell + N_TAPS] += TABLE[int((at - cell) * N_ROWS)] * value


@dataclass
class Recording:
    """Random spectra: 5 transmits, two of them from one place, with 0 to 6 receivers each, 3 blocks of frequencies."""

    period: int
    slots: int
    n_blocks: int = 3
    counts: tuple[int, ...] = (3, 6, 0, 1, 4)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.period)
        n_pairs = sum(self.counts)
        self.first = np.concatenate([[0], np.cumsum(self.counts)])
        self.owner = np.repeat(np.arange(len(self.counts)), self.counts)
        self.spectrum = to_lanes(complex_noise(self.rng, self.n_blocks, n_pairs, 16))
        self.receive = self.rng.integers(0, self.slots, n_pairs)
        self.transmit = self.rng.integers(0, self.slots, len(self.counts))
        self.transmit[3] = self.transmit[1]

    def heights(self, highest: float, *shape: int) -> np.ndarray:
        return (highest * self.rng.random((self.n_blocks, *shape, 16))).astype(np.float32)

    def legs(self, *shape: int) -> np.ndarray:
        return to_lanes(complex_noise(self.rng, self.n_blocks, *shape, 16))


def matrix_tables(recording: Recording, reaches: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Tables of a full matrix; a leg is 0 beyond its reach."""
    reach = np.array(reaches)
    n_m = int(reach.max()) + 1
    beyond = np.arange(n_m) > reach[..., None]
    legs = [np.where(beyond[:, leg, :, None], 0, recording.legs(n_m)).astype(np.float32) for leg in (0, 1)]
    return {
        "reach": reach,
        "transmit_leg": legs[0],
        "receive_leg": legs[1],
        "height": recording.heights(9.9, n_m),
        "lowest": np.array([4, 0, 2]),
    }


def grid_full_matrix(
    recording: Recording, tables: dict[str, np.ndarray], workers: int, before: complex = 0
) -> np.ndarray:
    out = np.full((int(tables["reach"].sum(axis=1).max()) + 1, N_CELLS, 2), before, np.complex64)
    fourier_cpu.full_matrix(
        recording.spectrum,
        recording.first,
        recording.receive,
        recording.transmit,
        *tables.values(),
        recording.period,
        TABLE,
        workers,
        out,
    )
    return out


def blackboard_full_matrix(recording: Recording, tables: dict[str, np.ndarray]) -> np.ndarray:
    """Every (kt, kr) for itself: ``n = kt + kr`` goes to the first number of row n, or to the second of row -n."""
    reach, turn = tables["reach"], -2j * np.pi / recording.period
    spectrum, send, hear = (from_lanes(a) for a in (recording.spectrum, tables["transmit_leg"], tables["receive_leg"]))
    cells = np.zeros((int(reach.sum(axis=1).max()) + 1, N_CELLS, 2), np.complex128)
    for block, (most_t, most_r) in enumerate(reach):
        for kt, kr in itertools.product(range(-most_t, most_t + 1), range(-most_r, most_r + 1)):
            phase = kt * recording.transmit[recording.owner] + kr * recording.receive
            q = np.exp(turn * phase) @ spectrum[block]
            height = tables["height"][block, abs(kt)] + tables["height"][block, abs(kr)]
            value = q * send[block, abs(kt)] * hear[block, abs(kr)]
            n, lowest = kt + kr, tables["lowest"][block]
            if n >= 0:
                add_taps(cells[n, :, 0], lowest, height, value)
            if n <= 0:
                add_taps(cells[-n, :, 1], lowest, height, value)
    return cells


@pytest.mark.parametrize(
    ("period", "slots", "reaches"),
    [
        (20, 12, [(3, 3), (4, 4), (2, 2)]),
        (20, 12, [(2, 6), (5, 1), (0, 3)]),
        (15, 40, [(3, 2), (2, 4), (4, 4)]),
        (8, 30, [(6, 6), (4, 9), (3, 4)]),
        (1, 5, [(2, 1), (0, 0), (1, 2)]),
    ],
    ids=["equal legs", "unequal legs", "slots past the period", "wavenumbers past the period", "period 1"],
)
def test_full_matrix_equals_the_blackboard(period: int, slots: int, reaches: list[tuple[int, int]]) -> None:
    recording = Recording(period, slots)
    tables = matrix_tables(recording, reaches)
    wanted = blackboard_full_matrix(recording, tables)
    for workers in (1, 2, 5):
        found = grid_full_matrix(recording, tables, workers)
        np.testing.assert_allclose(found, wanted, atol=2e-6 * np.abs(wanted).max())


N_N = 11


def wave_tables(recording: Recording, n_waves: int = 6) -> dict[str, np.ndarray]:
    """Tables of plane waves; the transmits use some of the rows, not in order."""
    rows = np.sort(recording.rng.integers(0, N_N + 1, (recording.n_blocks, n_waves, 2)), axis=-1)
    rows[0, 0], rows[-1, 4] = (0, N_N), (3, 3)
    angle = recording.rng.uniform(-1, 1, (recording.n_blocks, n_waves, 16))
    return {
        "transmit": np.array([4, 0, 2, 5, 1]),
        "turn": to_lanes(np.exp(1j * angle)),
        "rows": rows,
        "leg": recording.legs(n_waves, N_N),
        "height": recording.heights(19.9, n_waves, N_N),
        "lowest": np.array([4, 0, 2]),
    }


def grid_plane_waves(
    recording: Recording, tables: dict[str, np.ndarray], workers: int, before: complex = 0
) -> np.ndarray:
    out = np.full((N_N, N_CELLS), before, np.complex64)
    fourier_cpu.plane_waves(
        recording.spectrum,
        recording.first,
        recording.receive,
        *tables.values(),
        recording.period,
        TABLE,
        workers,
        out,
    )
    return out


def blackboard_plane_waves(recording: Recording, tables: dict[str, np.ndarray]) -> np.ndarray:
    """Every transmit and every row for itself."""
    spectrum, turn, leg = (from_lanes(a) for a in (recording.spectrum, tables["turn"], tables["leg"]))
    cells = np.zeros((N_N, N_CELLS), np.complex128)
    for block, (i, t) in itertools.product(range(recording.n_blocks), enumerate(tables["transmit"])):
        own = slice(recording.first[i], recording.first[i + 1])
        slot = recording.receive[own, None]
        for row in range(*tables["rows"][block, t]):
            phase = np.exp(-2j * np.pi * (row - N_N // 2) * slot / recording.period)
            value = np.sum(phase * turn[block, t] ** slot * spectrum[block, own], axis=0) * leg[block, t, row]
            add_taps(cells[row], tables["lowest"][block], tables["height"][block, t, row], value)
    return cells


@pytest.mark.parametrize(("period", "slots"), [(20, 12), (15, 40), (5, 7)])
def test_plane_waves_equal_the_blackboard(period: int, slots: int) -> None:
    """Also with slots and rows past the period."""
    recording = Recording(period, slots)
    tables = wave_tables(recording)
    wanted = blackboard_plane_waves(recording, tables)
    for workers in (1, 2, 5):
        found = grid_plane_waves(recording, tables, workers)
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_both_add_to_what_is_there() -> None:
    recording = Recording(12, 9)
    for grid, tables in (
        (grid_full_matrix, matrix_tables(recording, [(2, 3), (1, 1), (3, 2)])),
        (grid_plane_waves, wave_tables(recording)),
    ):
        more = grid(recording, tables, 2, before=3 + 2j)
        np.testing.assert_allclose(more, grid(recording, tables, 2) + (3 + 2j), rtol=1e-5, atol=1e-5)
