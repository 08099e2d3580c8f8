"""From stored samples to signals that can be read between the samples.

Every recording (RF, analytic or demodulated IQ) becomes an analytic signal, and a value between its samples is

    s(d) = sum_k b(d - k) s[k] exp(2 pi j f (d - k))

with b a B-spline of degree 0, 1 or 3 and f the carrier: the spline interpolates the slowly varying baseband, the
exponential carries the phase, and both are one small table of complex weights per fraction of a sample. B-splines of
degree p attenuate the baseband by sinc(v)^(p + 1); the Fourier transform that makes the signal analytic divides by
that on its way, at no cost. What remains are spectral images around multiples of the sampling rate,
(v / (v - m))^(p + 1) in amplitude for m = +-1, +-2, ...

References
----------
Unser 1999, IEEE Signal Processing Magazine 16(6):22 (splines); Blu and Unser 1999, IEEE Trans. Signal Processing
47(10):2783 (the error of such an interpolation in the frequency domain).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.errors import ConfigError
from usbeam.kernels.backend import CPU, Backend

DEGREES = {"nearest": 0, "linear": 1, "cubic": 3}
ERROR_DB = -40.0
"""The default interpolation is the cheapest whose predicted error lies below this."""
ASSUMED_BANDWIDTH = 1.0
"""Fractional bandwidth that the choice of interpolation assumes for a probe that does not state one."""
_TAIL = 32
"""Zeros after each record, so that what the filters spread past its end does not wrap around to its start."""


@dataclass(frozen=True)
class Interpolation:
    """How values between samples are read.

    Parameters
    ----------
    name
        ``nearest``, ``linear`` or ``cubic``: B-splines of degree 0, 1, 3 on the demodulated signal.
    upsampling
        Whole factor by which the Fourier transform refines the samples first.
    """

    name: str
    upsampling: int = 1

    def __post_init__(self) -> None:
        if self.name not in DEGREES:
            raise ConfigError(
                "unknown interpolation", location="interpolation", expected=", ".join(DEGREES), found=self.name
            )
        if self.upsampling not in range(1, 17):
            raise ConfigError(
                "out of range", location="upsampling", expected="a whole number, 1..16", found=self.upsampling
            )

    @property
    def degree(self) -> int:
        """Of the B-spline."""
        return DEGREES[self.name]

    @property
    def n_taps(self) -> int:
        """Samples read for one value."""
        return self.degree + 1

    def predicted_error_db(self, sampling_frequency: float, width: float) -> float:
        """RMS error of one trace over its RMS value [dB], for a Gaussian band of -6 dB width `width` [Hz].

        The error of an image is lower: the traces' errors have random phase, their signals do not.
        """
        spread = width / (2 * np.sqrt(2 * np.log(2))) / (sampling_frequency * self.upsampling)
        v = np.linspace(-0.5, 0.5, 2001)
        power = np.exp(-((v / spread) ** 2))
        images = sum((v / (v - m)) ** (2 * self.degree + 2) for m in (-3, -2, -1, 1, 2, 3))
        return float(10 * np.log10(np.sum(power * images) / np.sum(power)))


def choose(acquisition: Acquisition, name: str | None = None, upsampling: int | None = None) -> Interpolation:
    """The cheapest interpolation predicted to stay below `ERROR_DB`, within what the user has fixed.

    Candidates in order of cost: linear, cubic, then cubic on 2, 3 and 4 times finer samples. One run of ``usbeam bench
    das`` (64 x 64 full matrix, fold) gave, as time relative to linear and error relative to cubic on 8 times finer
    samples: nearest 0.96 (-25 dB), linear 1 (-43), cubic 1.19 (-60); on 2 times finer samples nearest 1.06 (-31),
    linear 1.12 (-56), cubic 1.42 (-67); on 3 times finer ones nearest 1.40 (-35), linear 1.40 (-63), cubic 1.63 (-70).
    Upsampling also takes as many times the memory for traces.

    Parameters
    ----------
    acquisition
        Gives sampling frequency, centre frequency and bandwidth; a bandwidth of 1 is assumed where none is stated.
    name, upsampling
        What the user fixed; None is free.
    """
    if name is not None and upsampling is not None:
        return Interpolation(name, upsampling)
    probe = acquisition.probe
    width = probe.center_frequency * (ASSUMED_BANDWIDTH if probe.bandwidth is None else probe.bandwidth)
    names = ("linear", "cubic") if name is None else (name,)
    factors = (1, 2, 3, 4) if upsampling is None else (upsampling,)
    candidates = [Interpolation(n, u) for u in factors for n in names]
    if name is None and upsampling is None:
        candidates = [c for c in candidates if c.name == "cubic" or c.upsampling == 1]
    for candidate in candidates:
        if candidate.predicted_error_db(acquisition.sampling_frequency, width) <= ERROR_DB:
            return candidate
    return candidates[-1]


class Sampler:
    """Turns stored traces of one recording into analytic ones, and says how to read between their samples.

    Parameters
    ----------
    acquisition
        Gives kind, rates and start times.
    interpolation
        How values will be read.
    backend
        Where the traces are.

    Attributes
    ----------
    rate : float
        Of the analytic traces [Hz].
    n_samples : int
        Of an analytic trace.
    """

    def __init__(self, acquisition: Acquisition, interpolation: Interpolation, *, backend: Backend = CPU) -> None:
        from scipy.fft import next_fast_len

        factor = interpolation.upsampling
        self.interpolation, self._backend = interpolation, backend
        self.rate = acquisition.sampling_frequency * factor
        self.n_samples = acquisition.n_samples * factor
        self._real = acquisition.kind == "rf"
        self._n_fft = cast(int, next_fast_len(acquisition.n_samples + _TAIL, real=self._real))
        step = acquisition.sampling_frequency / self._n_fft
        demodulated = acquisition.demodulation_frequency
        # An analytic signal is moved to zero by a whole number of bins; IQ data lie there already.
        self._moved = 0 if self._real or demodulated else round(acquisition.probe.center_frequency / step)
        self._carrier = demodulated or self._moved * step or acquisition.probe.center_frequency
        # Mixed data owe their phase to the time after the trigger, an analytic signal only to its own samples.
        self._phase = backend.asarray(_turns(demodulated * np.asarray(acquisition.start_time)))
        self._remodulation = backend.asarray(_turns(self._carrier / self.rate * np.arange(self.n_samples)))
        # Only the bins of positive frequency make an analytic signal of RF data.
        self._bins = slice(1, (self._n_fft + 1) // 2) if self._real else slice(0, self._n_fft)
        baseband = np.fft.fftfreq(self._n_fft, 1 / acquisition.sampling_frequency)[self._bins]
        if self._real:
            baseband -= self._carrier
        gain = np.sinc(baseband / self.rate) ** -(interpolation.degree + 1)
        self._filter = backend.asarray((gain * (2 if self._real else 1) * factor).astype(np.float32))

    @property
    def table_offset(self) -> float:
        """Samples to add to a delay so that its whole part is the first tap: half for nearest, -1 for cubic."""
        return {0: 0.5, 1: 0.0, 3: -1.0}[self.interpolation.degree]

    def table(self, n_phases: int) -> npt.NDArray[np.complex64]:
        """Tap weights ``(n_phases, n_taps)``; row i is for fractions of ``i / n_phases`` to ``(i + 1) / n_phases``."""
        fraction = (np.arange(n_phases)[:, None] + 0.5) / n_phases
        tap = np.arange(self.interpolation.n_taps)
        # From each tap to the wanted point, in samples.
        distance = fraction - self.table_offset - tap
        phase = 2j * np.pi * (self._carrier / self.rate) * distance
        return (_bspline(distance, self.interpolation.degree) * np.exp(phase)).astype(np.complex64)

    def analytic(self, traces: npt.NDArray[Any], transmits: npt.NDArray[np.int64]) -> npt.NDArray[np.complex64]:
        """Analytic, filtered and refined traces.

        Parameters
        ----------
        traces : (..., n, n_samples) float32 or complex64
            As recorded.
        transmits : (n,)
            Transmit of each trace: IQ data owe their phase to the absolute time, hence to its start time.

        Returns
        -------
        (..., n, n_samples * upsampling) complex64, not contiguous
        """
        xp, fft, options = self._backend.xp, self._backend.fft, self._backend.fft_options
        n_refined = self._n_fft * self.interpolation.upsampling
        refined = xp.zeros((*traces.shape[:-1], n_refined), np.complex64)
        if self._real:
            spectrum = fft.rfft(traces, self._n_fft, axis=-1, **options)
            xp.multiply(spectrum[..., self._bins], self._filter, out=refined[..., self._bins])
        else:
            spectrum = xp.roll(fft.fft(traces, self._n_fft, axis=-1, **options), -self._moved, axis=-1)
            half = (self._n_fft + 1) // 2
            xp.multiply(spectrum[..., :half], self._filter[:half], out=refined[..., :half])
            xp.multiply(spectrum[..., half:], self._filter[half:], out=refined[..., half - self._n_fft :])
        signal = fft.ifft(refined, axis=-1, overwrite_x=True, **options)[..., : self.n_samples]
        if not self._real:
            signal *= self._remodulation
            signal *= self._phase[transmits, None]
        return signal


def _turns(cycles: npt.NDArray[np.floating]) -> npt.NDArray[np.complex64]:
    """Unit phasors."""
    return np.exp(2j * np.pi * (cycles % 1.0)).astype(np.complex64)


def _bspline(x: npt.NDArray[np.float64], degree: int) -> npt.NDArray[np.float64]:
    """Centred B-spline of degree 0, 1 or 3."""
    distance = np.abs(x)
    if degree == 0:
        # Half-open support, so that a fraction of exactly one half counts once.
        return ((x >= -0.5) & (x < 0.5)).astype(np.float64)
    if degree == 1:
        return np.clip(1 - distance, 0, None)
    near = 2 / 3 - distance**2 + distance**3 / 2
    return np.where(distance < 1, near, np.clip(2 - distance, 0, None) ** 3 / 6)
