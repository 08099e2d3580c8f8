"""Transmits and receivers as waves: weights, phases and heights of the wavenumbers that make an image.

`FullMatrix` (each element fires alone) and `PlaneWaves` have the same surface: `grid` adds the spectra of some traces
to the cells of a (lateral wavenumber, kz) grid, `rows` returns those cells with the lateral wavenumber rising.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.beamforming.apodization import Window
from usbeam.beamforming.gridding import Gridding
from usbeam.beamforming.traces import Pairs
from usbeam.checks import Floats

Cells = npt.NDArray[np.float32]
"""(n_workers, n_n, n_numbers) float32: each worker adds to its own."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """What both kinds of recording share.

    Parameters
    ----------
    slot : (n_elements,)
        Place of each element on the line, in pitches.
    pitch
        Step of the line [m].
    period
        Length of the lateral transform, in pitches.
    k : (n_blocks, 16)
        Wavenumbers [rad/m] of the blocks of frequencies.
    depth
        That phases are counted from [m below the line].
    gridding
        The kz grid.
    weighting
        ``das`` or ``adjoint``.
    """

    slot: npt.NDArray[np.int64]
    pitch: float
    period: int
    k: Floats
    depth: float
    gridding: Gridding
    weighting: str

    @property
    def dk(self) -> float:
        """Step of lateral wavenumbers [rad/m]."""
        return 2 * np.pi / (self.period * self.pitch)

    def kz(self, q: Floats, k: Floats, widest: float) -> Floats:
        """Axial wavenumber [rad/m]; for angles past the widest, which count nothing, that of one just past it."""
        return k * np.sqrt(1 - np.minimum(np.abs(q / k), (1 + widest) / 2) ** 2)

    def leg(self, window: Window, q: Floats, k: Floats, kz: Floats, phase: Floats) -> npt.NDArray[np.float32]:
        """Weight and phase of a leg with lateral wavenumbers `q`, as complex lane elements (last axis 32)."""
        size = window.weight(np.abs(q / k)) / (self.period * self.pitch)
        if self.weighting == "das":
            size = size * np.sqrt(2 * np.pi * k**2 / kz**3)
        # The constant phase is that of a stationary point.
        return _complex_lanes(size, phase + np.pi / 4)


def _complex_lanes(size: Floats, phase: Floats) -> npt.NDArray[np.float32]:
    """``size * exp(i phase)`` as complex lane elements: sixteen real parts, then sixteen imaginary parts."""
    return np.concatenate([size * np.cos(phase), size * np.sin(phase)], axis=-1).astype(np.float32)


def _whole_vectors(n_cells: int) -> int:
    """Room for so many cells, as the kernel that makes columns of them takes it."""
    return -(-n_cells // 8) * 8


class FullMatrix:
    """Every element fires alone.

    Parameters
    ----------
    geometry
        The shared part.
    windows
        Acceptance on transmit and receive.
    fires : (n_tx,)
        Which element each transmit is.
    """

    n_legs = 2
    _numbers = 4
    """Per cell: a complex value for n and one for -n, which share weights and heights."""

    def __init__(self, geometry: Geometry, windows: tuple[Window, Window], fires: npt.NDArray[np.int64]) -> None:
        self._geometry, self._windows = geometry, windows
        self._fires = fires
        sines = np.array([window.max_sine for window in windows])
        self._widest = float(sines.max())
        self._reach = np.floor(geometry.k[:, -1:] * sines / geometry.dk).astype(np.int64)
        self._q: Floats = np.arange(int(self._reach.max()) + 1.0)[:, None] * geometry.dk
        # The highest wave is the one that runs straight down, the lowest the most oblique.
        oblique = geometry.k[:, 0] * np.sqrt(1 - ((1 + self._widest) / 2) ** 2)
        straight = geometry.k[:, -1]
        self._lowest = np.floor(2 * geometry.gridding.cells(oblique)).astype(np.int64)
        self.lowest = int(self._lowest.min())
        highest = int(np.ceil(2 * geometry.gridding.cells(straight).max()))
        self._n_cells = _whole_vectors(highest - self.lowest + geometry.gridding.n_taps + 1)
        self._n_n = int(self._reach.sum(axis=1).max()) + 1

    @property
    def cells_shape(self) -> tuple[int, int]:
        """Of the cells that one worker adds to."""
        return self._n_n, self._n_cells * self._numbers

    @property
    def lateral(self) -> Floats:
        """Lateral wavenumber of each row [rad/m]."""
        return np.arange(1.0 - self._n_n, self._n_n) * self._geometry.dk

    @property
    def n_values(self) -> int:
        """Values that are spread over cells for one image."""
        return int(np.sum(16 * np.prod(2 * self._reach + 1, axis=1)))

    def bytes_per_worker(self, n_tx: int) -> int:
        """Room for a block's spectrum, and cells."""
        period = self._geometry.period
        return 128 * period * (period + n_tx + 2) + 4 * int(np.prod(self.cells_shape))

    def tables(self, blocks: slice) -> tuple[npt.NDArray[Any], ...]:
        """What the kernel needs of some blocks: reach, transmit and receive leg, heights, lowest cell."""
        geometry = self._geometry
        k = geometry.k[blocks, None, :]
        kz = geometry.kz(self._q, k, self._widest)
        phase = kz * geometry.depth
        legs = [geometry.leg(window, self._q, k, kz, phase) for window in self._windows]
        height = geometry.gridding.cells(kz) - self._lowest[blocks, None, None] / 2
        return self._reach[blocks], *legs, height.astype(np.float32), self._lowest[blocks] - self.lowest

    def grid(self, spectrum: npt.NDArray[np.float32], pairs: Pairs, tables: Any, stages: Any, cells: Cells) -> None:
        """Add the spectra of some pairs, in some blocks, to the cells."""
        from usbeam.kernels import fourier_cpu

        geometry = self._geometry
        fourier_cpu.full_matrix(geometry.gridding.n_taps)(
            spectrum,
            pairs.first,
            geometry.slot[pairs.element],
            geometry.slot[self._fires[pairs.transmits]],
            *tables,
            geometry.period,
            *stages,
            geometry.gridding.table,
            cells,
        )

    def rows(self, cells: Cells) -> npt.NDArray[np.complex64]:
        """(n_rows, n_cells), in the order of `lateral`."""
        both = cells.sum(axis=0).view(np.complex64).reshape(self._n_n, self._n_cells, 2)
        return np.concatenate([both[:0:-1, :, 1], both[:, :, 0]])


class PlaneWaves:
    """Every transmit is a plane wave.

    Parameters
    ----------
    geometry
        The shared part.
    window
        Acceptance on receive.
    direction : (n_tx, 3)
        Unit vectors.
    """

    n_legs = 1
    _numbers = 2

    def __init__(self, geometry: Geometry, window: Window, direction: Floats) -> None:
        self._geometry, self._window, self._direction = geometry, window, direction
        k = geometry.k
        center = direction[:, 0] * k[:, -1:]
        width = k[:, -1:] * window.max_sine
        # Wavenumbers are largest in a block's last frequency, but a steep wave's own range moves with it.
        edges = np.stack([direction[:, 0] * k[:, :1], center])
        start = np.ceil((edges.min(axis=0) - width) / geometry.dk)
        stop = np.floor((edges.max(axis=0) + width) / geometry.dk) + 1
        half = int(max(-start.min(), stop.max() - 1))
        self._n: Floats = np.arange(-half, half + 1.0)
        self._rows = np.stack([start, stop], axis=-1).astype(np.int64) + half
        widest = np.sqrt(1 - ((1 + window.max_sine) / 2) ** 2)
        low, high = direction[:, 2].min() + widest, direction[:, 2].max() + 1
        self._lowest = np.floor(geometry.gridding.cells(k[:, 0] * low)).astype(np.int64)
        self.lowest = int(self._lowest.min())
        highest = int(np.ceil(geometry.gridding.cells(k[:, -1] * high).max()))
        self._n_cells = _whole_vectors(highest - self.lowest + geometry.gridding.n_taps + 1)

    @property
    def cells_shape(self) -> tuple[int, int]:
        """Of the cells that one worker adds to."""
        return len(self._n), self._n_cells * self._numbers

    @property
    def lateral(self) -> Floats:
        """Lateral wavenumber of each row [rad/m]."""
        return self._n * self._geometry.dk

    @property
    def n_values(self) -> int:
        """Values that are spread over cells for one image."""
        return int(16 * np.sum(np.diff(self._rows, axis=-1)))

    def bytes_per_worker(self, n_tx: int) -> int:
        """Room for a trace's spectrum, and cells."""
        return 128 * (2 * self._geometry.period + int(self._geometry.slot.max()) + 1) + 4 * int(
            np.prod(self.cells_shape)
        )

    def tables(self, blocks: slice) -> tuple[npt.NDArray[Any], ...]:
        """What the kernel needs of some blocks: turn, rows, leg, heights, lowest cell."""
        # Block by block: what is worked out in float64 stays small.
        each = [self._table(block) for block in range(*blocks.indices(len(self._rows)))]
        turn, leg, height = (np.stack(part) for part in zip(*each, strict=True))
        return turn, self._rows[blocks], leg, height, self._lowest[blocks] - self.lowest

    def _table(self, block: int) -> tuple[npt.NDArray[np.float32], ...]:
        """Turn, leg and heights of one block, for every transmit and row."""
        geometry = self._geometry
        k = geometry.k[block]
        across = k * self._direction[:, 0, None, None]
        q = self._n[:, None] * geometry.dk - across
        receive = geometry.kz(q, k, self._window.max_sine)
        kz = receive + k * self._direction[:, 2, None, None]
        leg = geometry.leg(self._window, q, k, receive, kz * geometry.depth)
        height = geometry.gridding.cells(kz) - self._lowest[block]
        turn = _complex_lanes(np.ones(1), across[:, 0] * geometry.pitch)
        return turn, leg, height.astype(np.float32)

    def grid(self, spectrum: npt.NDArray[np.float32], pairs: Pairs, tables: Any, stages: Any, cells: Cells) -> None:
        """Add the spectra of some pairs, in some blocks, to the cells."""
        from usbeam.kernels import fourier_cpu

        geometry = self._geometry
        turn, rows, leg, height, lowest = tables
        chosen = pairs.transmits
        fourier_cpu.plane_waves(geometry.gridding.n_taps)(
            spectrum,
            pairs.first,
            geometry.slot[pairs.element],
            chosen,
            turn,
            rows,
            leg,
            height,
            lowest,
            geometry.period,
            *stages,
            geometry.gridding.table,
            cells,
        )

    def rows(self, cells: Cells) -> npt.NDArray[np.complex64]:
        """(n_rows, n_cells), in the order of `lateral`."""
        return cells.sum(axis=0).view(np.complex64)
