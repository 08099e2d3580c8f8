"""Transmits and receivers as waves: weights, phases and heights of the wavenumbers that make an image.

`FullMatrix` (each element fires alone) and `PlaneWaves` have the same surface: `tables` and `places` hold what the
kernel needs of some frequencies and of some pairs, `grid` adds the pairs' spectra to the cells of a (lateral
wavenumber, kz) grid, `rows` returns those cells with the lateral wavenumber rising.
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
from usbeam.kernels.backend import CPU, Backend


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
    backend
        Where waves are gridded.
    """

    slot: npt.NDArray[np.int64]
    pitch: float
    period: int
    k: Floats
    depth: float
    gridding: Gridding
    weighting: str
    backend: Backend = CPU

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

    def on_device(self, *arrays: npt.NDArray[Any]) -> tuple[Any, ...]:
        """The arrays where waves are gridded."""
        return tuple(map(self.backend.asarray, arrays))


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
    def cells_shape(self) -> tuple[int, ...]:
        """Of the cells, complex: a value for n and one for -n, which share weights and heights."""
        return self._n_n, self._n_cells, 2

    @property
    def lateral(self) -> Floats:
        """Lateral wavenumber of each row [rad/m]."""
        return np.arange(1.0 - self._n_n, self._n_n) * self._geometry.dk

    @property
    def n_values(self) -> int:
        """Values that are spread over cells for one image."""
        return int(np.sum(16 * np.prod(2 * self._reach + 1, axis=1)))

    def bytes_at_work(self, n_tx: int) -> int:
        """Room for each block of frequencies that is at work."""
        cell_bytes = 8 * int(np.prod(self.cells_shape))
        return self._geometry.backend.fourier.full_matrix_bytes(n_tx, self._geometry.period, cell_bytes)

    def tables(self, blocks: slice) -> tuple[Any, ...]:
        """What the kernel needs of some blocks: reach, transmit and receive leg, heights, lowest cell."""
        geometry = self._geometry
        k = geometry.k[blocks, None, :]
        kz = geometry.kz(self._q, k, self._widest)
        phase = kz * geometry.depth
        legs = [geometry.leg(window, self._q, k, kz, phase) for window in self._windows]
        height = geometry.gridding.cells(kz) - self._lowest[blocks, None, None] / 2
        lowest = self._lowest[blocks] - self.lowest
        return geometry.on_device(self._reach[blocks], *legs, height.astype(np.float32), lowest)

    def places(self, pairs: Pairs) -> tuple[Any, ...]:
        """What the kernel needs of some pairs: first pair of each transmit, places of receivers and transmits."""
        geometry = self._geometry
        return geometry.on_device(
            pairs.first, geometry.slot[pairs.element], geometry.slot[self._fires[pairs.transmits]]
        )

    def grid(self, spectrum: Any, places: tuple[Any, ...], tables: tuple[Any, ...], at_once: int, cells: Any) -> None:
        """Add the spectra of some pairs, in some blocks, to the cells; so many blocks at a time."""
        geometry = self._geometry
        geometry.backend.fourier.full_matrix(
            spectrum, *places, *tables, geometry.period, geometry.gridding.table, at_once, cells
        )

    def rows(self, cells: Any) -> Any:
        """(n_rows, n_cells) complex64, in the order of `lateral`."""
        return self._geometry.backend.xp.concatenate([cells[:0:-1, :, 1], cells[:, :, 0]])


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
    def cells_shape(self) -> tuple[int, ...]:
        """Of the cells, complex."""
        return len(self._n), self._n_cells

    @property
    def lateral(self) -> Floats:
        """Lateral wavenumber of each row [rad/m]."""
        return self._n * self._geometry.dk

    @property
    def n_values(self) -> int:
        """Values that are spread over cells for one image."""
        return int(16 * np.sum(np.diff(self._rows, axis=-1)))

    def bytes_at_work(self, n_tx: int) -> int:
        """Room for each block of frequencies that is at work."""
        geometry, cell_bytes = self._geometry, 8 * int(np.prod(self.cells_shape))
        n_slots = int(geometry.slot.max()) + 1
        return geometry.backend.fourier.plane_waves_bytes(n_tx, n_slots, geometry.period, cell_bytes)

    def tables(self, blocks: slice) -> tuple[Any, ...]:
        """What the kernel needs of some blocks: turn, rows, leg, heights, lowest cell."""
        # Block by block: what is worked out in float64 stays small.
        each = [self._table(block) for block in range(*blocks.indices(len(self._rows)))]
        turn, leg, height = (np.stack(part) for part in zip(*each, strict=True))
        lowest = self._lowest[blocks] - self.lowest
        return self._geometry.on_device(turn, self._rows[blocks], leg, height, lowest)

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

    def places(self, pairs: Pairs) -> tuple[Any, ...]:
        """What the kernel needs of some pairs: first pair of each transmit, places of receivers, rows of the tables."""
        geometry = self._geometry
        return geometry.on_device(pairs.first, geometry.slot[pairs.element], pairs.transmits)

    def grid(self, spectrum: Any, places: tuple[Any, ...], tables: tuple[Any, ...], at_once: int, cells: Any) -> None:
        """Add the spectra of some pairs, in some blocks, to the cells; so many blocks at a time."""
        geometry = self._geometry
        geometry.backend.fourier.plane_waves(
            spectrum, *places, *tables, geometry.period, geometry.gridding.table, at_once, cells
        )

    def rows(self, cells: Any) -> Any:
        """(n_rows, n_cells) complex64, in the order of `lateral`."""
        return cells
