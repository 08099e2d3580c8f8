"""The wavenumber algorithm: an image from the spectra of all traces, for any subset of transmitters.

Where each element fires alone, with k = omega / c and kz(q) = sqrt(k^2 - q^2),

    I(x, z) = sum_omega sum_kt sum_kr Q(kt, kr, omega) V(kt) V(kr) exp(i (kt + kr) x + i (kz(kt) + kz(kr)) z)
    Q(kt, kr, omega) = sum_s W[s] sum_r S_sr(omega) exp(-i kt x_s - i kr x_r)

and where plane waves are sent out, kt = k sin(angle) and kz(kt) = k cos(angle) are given and Q is a transform over
receivers only. V is a leg's window over sin(angle) = q / k, times sqrt(2 pi / (k cos^3)) and, on the image, sqrt(z): by
stationary phase that is the delay-and-sum of that leg with unit gain. With weighting ``adjoint``, V is the window
alone: the adjoint of the angular-spectrum model, in which what is far or oblique counts less.

The sum over omega at fixed (kt, kr) visits irregular values of kz; it is gridded (`usbeam.beamforming.gridding`). Only
positive frequencies of the pass-band are used, so the image is analytic. The lateral period L = (largest distance
across between an image point and an element) + (depth times tangent of the widest accepted angle) + (wavelength over
the width of the window's taper) keeps periodic copies of the aperture out of the accepted cone and of what its edge
diffracts. Where the pitch exceeds half a wavelength, Q repeats itself, and the grating
lobes equal those of delay-and-sum.

References
----------
Hunter, Drinkwater, Wilcox 2008, IEEE Trans. UFFC 55(11):2450 (full matrix); Garcia et al. 2013, IEEE Trans. UFFC
60(8):1853 (plane waves).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.delays import receive_legs, transmit_legs
from usbeam.beamforming.gridding import Gridding
from usbeam.beamforming.line import HINT, Line, depth_step, line_of, wave_kind
from usbeam.beamforming.spectra import Spectra, pass_band
from usbeam.beamforming.traces import pair, same_timing
from usbeam.beamforming.waves import FullMatrix, Geometry, PlaneWaves
from usbeam.checks import Floats
from usbeam.errors import ConfigError, GeometryError, TooLarge
from usbeam.grid import Grid
from usbeam.kernels.backend import CPU, Backend

WEIGHTINGS = ("das", "adjoint")
WIDEST = 0.95
"""Largest sine that can be accepted: the lateral period grows with the tangent."""
_SHARPEST = 0.1
"""Taper below which no room is made for what a window's edge diffracts: a boxcar rings whatever the period."""
VALUE_COST, SAMPLE_COST = 2.5, 1.5
"""Work of one value that is spread over the kz grid, and of one sample that is transformed."""
_SUBSETS = 16
"""Subsets whose pairs are remembered, at some 60 bytes per trace."""


class Fourier:
    """The geometry of one recording and grid.

    Parameters
    ----------
    acquisition
        The recording; only its header is read here.
    grid
        Image points: uniform in depth, anything across.
    transmit_window, receive_window
        Acceptance of the two legs, at most `WIDEST`. Plane waves have no transmit window.
    receive_weights : (n_elements,), optional
        Of the receiving elements; 1 if not given.
    weighting
        ``das`` or ``adjoint``.
    sound_speed
        [m/s].
    band
        First and last frequency [Hz]; the -40 dB points of the probe's band if not given.
    fold
        Add reciprocal traces before they are transformed, where that is exact.
    memory_budget
        Bytes for spectra, tables and cells.
    taps, oversampling, period
        Of the gridding; lateral period [m], by the rule above if not given.
    backend
        Where images are made.

    Attributes
    ----------
    band : tuple of float
        In use [Hz].
    period : float
        In use [m].

    Raises
    ------
    GeometryError, ConfigError, TooLarge
        For what has no exact form (`usbeam.beamforming.line`), for windows without an edge, and for a period that does
        not fit into the free memory.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid,
        *,
        transmit_window: Window,
        receive_window: Window,
        receive_weights: npt.NDArray[np.float32] | None = None,
        weighting: str = "das",
        sound_speed: float,
        band: tuple[float, float] | None = None,
        fold: bool = True,
        memory_budget: float = 1e9,
        taps: int = 4,
        oversampling: float = 2.0,
        period: float | None = None,
        backend: Backend = CPU,
    ) -> None:
        from scipy.fft import next_fast_len

        if weighting not in WEIGHTINGS:
            raise ConfigError(
                "unknown weighting", location="weighting", expected=" or ".join(WEIGHTINGS), found=weighting
            )
        kind, line = wave_kind(acquisition), line_of(acquisition)
        step = depth_step(acquisition, grid)
        windows = (transmit_window, receive_window) if kind == "element" else (receive_window,)
        _refuse_wide(windows)
        self.backend = backend
        self._acquisition, self._receive_weights = acquisition, receive_weights
        self.band = pass_band(acquisition, band)
        x, z = grid.x - line.origin, grid.z - line.depth
        if z.min() < -step:
            raise GeometryError(
                "image points behind the array",
                path=acquisition.path,
                location="grid.z",
                expected=f"at least {line.depth:g} m",
                found=f"{grid.z.min():g} m",
                hint=HINT,
            )
        across = max(abs(edge - end) for edge in (grid.x.min(), grid.x.max()) for end in line.ends)
        deepest = max(float(z.max()), step)
        aside = max(
            _spread_aside(window, deepest, sound_speed / acquisition.probe.center_frequency) for window in windows
        )
        wanted = across + aside if period is None else period
        n_period = cast(int, next_fast_len(int(np.ceil(wanted / line.pitch)), real=True))
        self.period = n_period * line.pitch
        self._gridding = Gridding(len(z), step, taps, oversampling, backend=backend)

        shift, direction = _reference(acquisition, line, sound_speed)
        # The longest way on a leg: at the widest angle, or from the far end of the line.
        ways = [min(deepest / np.sqrt(1 - window.max_sine**2), np.hypot(across, deepest)) for window in windows]
        first = max(float(z.min()), 0.0)
        path = len(windows) * first, float(sum(ways))
        if direction is not None:
            corners = np.array([[edge, 0.0, depth] for edge in x[[0, -1]] for depth in (first, deepest)])
            reached = corners @ direction.T
            path = path[0] + float(reached.min()), path[1] + float(reached.max())
        travel = path[0] / sound_speed, path[1] / sound_speed
        self._spectra = Spectra(acquisition, shift, self.band, travel, backend=backend)
        geometry = Geometry(
            slot=line.slot,
            pitch=line.pitch,
            period=n_period,
            k=2 * np.pi * self._spectra.frequencies / sound_speed,
            depth=float(z[self._gridding.center]),
            gridding=self._gridding,
            weighting=weighting,
            backend=backend,
        )
        if direction is None:
            fires = acquisition.transmits.element_index
            self._waves = FullMatrix(geometry, (transmit_window, receive_window), fires)
        else:
            self._waves = PlaneWaves(geometry, receive_window, direction)
        _refuse_huge(self.period, self._waves.bytes_at_work(acquisition.n_tx), backend)
        self._n_x = len(x)
        # Whole groups of columns, as the kernel takes them.
        padded = np.pad(x, (0, -len(x) % backend.lateral.N_COLUMNS))
        lateral = np.exp(1j * np.multiply.outer(self._waves.lateral, padded)).astype(np.complex64)
        self._lateral = backend.asarray(lateral)
        spread = np.maximum(z, 0) ** (self._waves.n_legs / 2) if weighting == "das" else np.ones_like(z)
        self._spread = backend.asarray(spread.astype(np.float32))
        self._folds = fold and kind == "element" and transmit_window == receive_window and same_timing(acquisition)
        self._places: Callable[[bytes], Any] = lru_cache(_SUBSETS)(self._placed)
        self._divide(memory_budget)

    def _divide(self, budget: float) -> None:
        """At most half of the budget for blocks of frequencies at work, the rest for spectra and tables (runs)."""
        n_tx, n_blocks = self._acquisition.n_tx, len(self._spectra.frequencies)
        tables = sum(table.nbytes for table in self._waves.tables(slice(0, 1)))
        per_block = 128 * n_tx * self._acquisition.n_rx + tables
        at_work, most = self._waves.bytes_at_work(n_tx), min(self.backend.fourier.most_at_once(), n_blocks)
        room = budget - min(budget / 2, most * at_work)
        length = int(np.clip(room // per_block, 1, n_blocks))
        self._runs = [slice(start, min(start + length, n_blocks)) for start in range(0, n_blocks, length)]
        # Spectra are made and gridded in turn, in the same room.
        self._work_bytes = max(0, int(budget - length * per_block))
        self._at_once = max(1, min(self._work_bytes // at_work, length, most))
        self._kept = self._waves.tables(self._runs[0]) if len(self._runs) == 1 else None

    def folds(self, subsets: npt.NDArray[np.float32]) -> bool:
        """Whether reciprocal traces of any of these subsets are added before they are transformed."""
        return self._folds and bool(np.any(np.count_nonzero(subsets, axis=1) > 1))

    def cost(self, subsets: npt.NDArray[np.float32]) -> float:
        """Work of these images, in units of delay-and-sum's: one trace at one image point.

        Each image costs the same for any number of transmits, except for the transforms of its traces over time, which
        are the smaller part.
        """
        n_heard = self._acquisition.n_rx
        if self._receive_weights is not None:
            n_heard = min(n_heard, np.count_nonzero(self._receive_weights))
        n_traces = np.count_nonzero(subsets) * n_heard
        return VALUE_COST * len(subsets) * self._waves.n_values + SAMPLE_COST * n_traces * self._spectra.n_fft

    def __call__(self, frames: Any, subsets: npt.NDArray[np.float32]) -> Any:
        """Images ``(n_frames, n_subsets, n_z, n_x)`` complex64, contiguous, on the device.

        Parameters
        ----------
        frames : (n_frames, n_tx, n_rx, n_samples)
            As recorded, on the device.
        subsets : (n_subsets, n_tx)
            Transmit weights, one row per image.
        """
        shape = len(frames), len(subsets), len(self._spread), self._n_x
        images = self.backend.xp.empty(shape, np.complex64)
        for i, weights in enumerate(subsets):
            placed = self._places(weights.astype(np.float32).tobytes())
            for image, frame in zip(images[:, i], frames, strict=True):
                self._image(frame, placed, image)
        return images

    def _placed(self, weights: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """What spectra and waves need of the pairs of a subset, on the device."""
        subset = np.frombuffer(weights, np.float32)
        pairs = pair(self._acquisition, subset, np.flatnonzero(subset), self._folds, self._receive_weights)
        return self._spectra.sources(pairs), self._waves.places(pairs)

    def _image(self, frame: Any, placed: tuple[tuple[Any, ...], tuple[Any, ...]], image: Any) -> None:
        """Fill one image ``(n_z, n_x)``."""
        xp = self.backend.xp
        cells = xp.zeros(self._waves.cells_shape, np.complex64)
        for run in self._runs:
            self._add_run(frame, *placed, run, cells)
        rows = self._waves.rows(cells)
        waves = xp.empty((self._lateral.shape[1], rows.shape[1]), np.complex64)
        self.backend.lateral.columns(self._lateral, rows, waves)
        image[:] = (self._gridding.depths(waves[: self._n_x], self._waves.lowest) * self._spread).T

    def _add_run(self, frame: Any, sources: tuple[Any, ...], places: tuple[Any, ...], run: slice, cells: Any) -> None:
        """Transform the traces over a run of frequencies and grid them; the spectra are gone when this returns."""
        tables = self._waves.tables(run) if self._kept is None else self._kept
        spectrum = self._spectra(frame, sources, run, self._work_bytes)
        self._waves.grid(spectrum, places, tables, self._at_once, cells)


def _reference(acquisition: Acquisition, line: Line, sound_speed: float) -> tuple[Floats, Floats | None]:
    """Seconds from sample 0 to when a transmit passes its reference place, and directions of plane waves.

    The place is the element that fires, or for a plane wave the line's first.
    """
    legs = transmit_legs(acquisition, np.arange(acquisition.n_tx), sound_speed)
    shift = legs.time + receive_legs(acquisition, np.array([0])).time
    if wave_kind(acquisition) == "element":
        return shift, None
    return shift + legs.axis @ np.array([line.origin, 0.0, line.depth]) / sound_speed, legs.axis


def _spread_aside(window: Window, depth: float, wavelength: float) -> float:
    """How far across a leg reaches: its cone, and what its edge diffracts (the narrower its taper, the further)."""
    return depth * window.max_sine / np.sqrt(1 - window.max_sine**2) + wavelength / (
        window.max_sine * max(window.taper, _SHARPEST)
    )


def _refuse_huge(period: float, work_bytes: float, backend: Backend) -> None:
    """A lateral period so long, or a pitch so fine, that not even one block of frequencies fits."""
    free = _free(backend)
    if work_bytes > 0.8 * free:
        raise TooLarge(
            f"a lateral period of {period:.3g} m takes {work_bytes / 1e9:.3g} GB",
            location="transmit_f_number, f_number, grid",
            expected=f"at most 80 % of the {free / 1e9:.3g} GB that are free",
            hint=f"accept smaller angles (a larger f-number), image less depth, or {HINT}",
        )


def _free(backend: Backend) -> int:
    """Bytes of the device's memory that nothing uses."""
    if backend.device == "gpu":
        return backend.xp.cuda.runtime.memGetInfo()[0]
    import psutil

    return psutil.virtual_memory().available


def _refuse_wide(windows: tuple[Window, ...]) -> None:
    for window, name in zip(reversed(windows), ("f_number", "transmit_f_number"), strict=False):
        if not 0 < window.max_sine <= WIDEST:
            raise ConfigError(
                "Fourier beamforming needs a limited angle",
                location=name,
                expected=f"sin(angle) at most {WIDEST}, that is an f-number of 0.17 or more",
                found=f"sin(angle) {window.max_sine:g}",
            )
