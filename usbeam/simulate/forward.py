"""The forward model: point scatterers, a probe and its transmits become a recording.

Linear acoustics in a uniform medium, single scattering. The echo of a scatterer at p, fired by element e in transmit t
and heard by element r, is the two-way pulse with its envelope peak at::

    delays[t, e] + |p - e| / sound_speed + |p - r| / sound_speed + pulse_peak_time[t] + 2 * lens_delay

after the trigger, times the scatterer's amplitude, the transmit's apodization, and for each leg
``directivity / sqrt(distance)``: the cylindrical spreading of elements that are tall against the distance, as in the
two-dimensional SIMUS (D. Garcia, "SIMUS: an open-source simulator for medical ultrasound imaging", Computer Methods and
Programs in Biomedicine 218, 2022). A transmit of several elements is the sum over them. The directivity is that of a
piston in a soft baffle, ``sinc(width / wavelength * sin(angle)) * cos(angle)`` (A. R. Selfridge, G. S. Kino and B. T.
Khuri-Yakub, "A theory for the radiation pattern of a narrow-strip acoustic transducer", Applied Physics Letters 37(1),
1980), with the like sinc along the element's height where the probe states one.

Left out: attenuation, multiple scattering, the elevation focus of a lens, the near field within one element, and the
change of directivity over the pass-band: it is taken at the centre frequency, which is SIMUS's default too.

Speed: the time goes into one kernel that adds every scatterer to every pair of elements, about 3 ns for each on one
core, half of it waiting for memory. The frequency-domain form (one complex matrix product per frequency) was measured
at fifteen times that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition, Floats, Probe, Transmits
from usbeam.errors import ConfigError, GeometryError
from usbeam.simulate.phantoms import Limits, Phantom

TRACE_BYTES = 192 * 2**20
"""Traces on the fine grid held at once; receivers are taken in blocks that fit."""
LEG_BYTES = 24 * 2**20
"""Delays and gains of one chunk of scatterers."""
INT16_PEAK = 0.8
"""Fraction of the int16 range that the largest echo reaches, five standard deviations of the noise included."""

Single = npt.NDArray[np.float32]


def record(
    phantom: Phantom,
    probe: Probe,
    transmits: Transmits,
    *,
    sampling_frequency: float,
    depth: Limits,
    sound_speed: float = 1540.0,
    noise_db: float | None = None,
    n_frames: int = 1,
    seed: int = 0,
    int16: bool = False,
    start_time: npt.ArrayLike | None = None,
    progress: Callable[[float], None] | None = None,
) -> Acquisition:
    """Record a phantom with every element of the probe; see the module for the model.

    Parameters
    ----------
    phantom
        The scatterers; their truth goes into the recording.
    probe
        Any element positions and normals. Its `bandwidth` shapes the pulse; where `element_width` or `element_height`
        is not given, the element is a point along that side. `lens_delay` delays each leg.
    transmits
        Any kind. `pulse_peak_time` is honoured; `waveform` is not used: the pulse is a Gaussian-modulated cosine.
    sampling_frequency
        In Hz; above twice the upper -6 dB edge of the band.
    depth
        ``(z0, z1)`` [m]: echoes from this range, over the lateral extent of probe and phantom, fit into the record.
    sound_speed
        In m/s.
    noise_db
        Standard deviation of white Gaussian noise in every channel, in dB over the largest noise-free sample of the
        recording (-30 is a noise of 3 % of the peak); none if not given.
    n_frames
        Frames of the same phantom, each with its own noise.
    seed
        Of the noise; frame i is the same however many follow.
    int16
        Store integers and their `scale`; the peak is at `INT16_PEAK` of full scale.
    start_time : float or (n_tx,), optional
        Time of sample 0 after the trigger [s]; by default one for all transmits, just before the first echo of `depth`.
    progress
        Called with the fraction done, up to 1.

    Returns
    -------
    Acquisition
        RF, float32 or int16. A scatterer of amplitude 1 at 1 m straight ahead of one element echoes with peak 1.

    Raises
    ------
    ConfigError, GeometryError
        For requests that cannot be met; see the message.

    Examples
    --------
    >>> from usbeam.simulate import phantoms
    >>> probe = Probe.linear(8, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.28e-3)
    >>> plane = Transmits.plane(probe, [0.0], 1540.0)
    >>> phantom = phantoms.points(x=(-5e-3, 5e-3), z=(5e-3, 15e-3))
    >>> record(phantom, probe, plane, sampling_frequency=20e6, depth=(5e-3, 15e-3)).kind
    'rf'
    """
    pulse = _checked_pulse(probe, sampling_frequency, sound_speed)
    if transmits.delays.shape[1] != probe.n_elements:
        raise GeometryError(
            "the transmits are of another probe",
            location="transmit/delays",
            expected=f"(n_tx, n_elements={probe.n_elements})",
            found=transmits.delays.shape,
        )
    if n_frames < 1:
        raise ConfigError("no frame asked for", location="n_frames", expected=">= 1", found=n_frames)
    offset = np.asarray(transmits.pulse_peak_time, np.float64) + 2 * probe.lens_delay
    first, last = _arrivals(phantom, probe, transmits, depth, sound_speed)
    first, last = first + offset - pulse.half_length, last + offset + pulse.half_length
    if start_time is None:
        # A whole number of samples after the trigger reads better and loses nothing.
        start = np.full(len(first), np.floor(first.min() * sampling_frequency) / sampling_frequency)
    else:
        start = np.array(np.broadcast_to(np.asarray(start_time, np.float64), first.shape))
    if not np.all(start < last):
        raise ConfigError(
            "the recording starts after its last echo",
            location="start_time",
            expected=f"less than {last.min():.6g} s",
            found=f"{start.max():.6g} s",
        )
    n_samples = int(np.ceil((last - start).max() * sampling_frequency)) + 1
    shift = transmits.delays + (offset - start)[:, None] if offset.ndim else transmits.delays + offset - start[:, None]
    window = _Window.around(shift[transmits.apodization != 0], n_samples, sampling_frequency, pulse)
    echoes = _echoes(phantom, probe, transmits, window, pulse, shift, sound_speed, progress)
    samples, scale = _frames(echoes, noise_db, n_frames, seed, int16)
    return Acquisition(
        samples=samples,
        kind="rf",
        sampling_frequency=sampling_frequency,
        start_time=start,
        sound_speed=sound_speed,
        probe=probe,
        transmits=transmits,
        scale=scale,
        tgc_applied=False,
        truth=phantom.truth,
        title=phantom.title,
        provenance={"source_format": "usbeam.simulate", "notes": f"noise_db={noise_db}, seed={seed}"},
    )


@dataclass(frozen=True)
class Pulse:
    """The two-way pulse: a cosine of unit peak under a Gaussian envelope, both centred on time 0.

    Parameters
    ----------
    center_frequency
        In Hz.
    bandwidth
        Full width at -6 dB (half) of the amplitude spectrum, as a fraction of the centre frequency.
    """

    center_frequency: float
    bandwidth: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the envelope [s]."""
        return np.sqrt(2 * np.log(2)) / (np.pi * self.bandwidth * self.center_frequency)

    @property
    def half_length(self) -> float:
        """From the peak to where the envelope is at -108 dB [s]."""
        return 5 * self.sigma

    def spectrum(self, frequency: Floats) -> Floats:
        """Fourier transform at frequencies [Hz]: real, as the pulse is even."""
        lobes = (
            np.exp(-2 * (np.pi * self.sigma * (frequency + side)) ** 2)
            for side in (-self.center_frequency, self.center_frequency)
        )
        return self.sigma * np.sqrt(np.pi / 2) * sum(lobes)


def _checked_pulse(probe: Probe, sampling_frequency: float, sound_speed: float) -> Pulse:
    for name, value in (("sampling_frequency", sampling_frequency), ("sound_speed", sound_speed)):
        if not (np.isfinite(value) and value > 0):
            raise ConfigError("not a positive number", location=name, found=value)
    if probe.bandwidth is None:
        raise ConfigError(
            "the probe states no bandwidth",
            location="probe/bandwidth",
            hint="for example Probe.linear(..., bandwidth=0.65)",
        )
    edge = probe.center_frequency * (1 + probe.bandwidth / 2)
    if sampling_frequency <= 2 * edge:
        raise ConfigError(
            "the pulse does not fit below half the sampling frequency",
            location="sampling_frequency",
            expected=f"more than {2 * edge:.6g} Hz",
            found=f"{sampling_frequency:.6g} Hz",
            hint="sample faster, or give the probe less bandwidth",
        )
    return Pulse(probe.center_frequency, probe.bandwidth)


def _arrivals(
    phantom: Phantom, probe: Probe, transmits: Transmits, depth: Limits, sound_speed: float
) -> tuple[Floats, Floats]:
    """``(n_tx,)`` each: bounds of when echoes from the box over `depth` arrive, without pulse and lens."""
    if not (np.all(np.isfinite(depth)) and depth[0] < depth[1]):
        raise ConfigError("depth is inverted or empty", location="depth", expected="z0 < z1", found=depth)
    elements = probe.element_positions
    places = np.concatenate([elements[:, :2], phantom.positions[:, :2]])
    low, high = np.array([*places.min(axis=0), depth[0]]), np.array([*places.max(axis=0), depth[1]])
    # The nearest point of a box is the clamped position; the farthest is a corner, distance being convex.
    nearest = np.linalg.norm(elements - np.clip(elements, low, high), axis=1) / sound_speed
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    legs = np.linalg.norm(elements[:, None] - corners, axis=2) / sound_speed
    silent = transmits.apodization == 0
    outward = np.where(silent, np.inf, transmits.delays + nearest)
    farthest = np.where(silent[:, :, None], -np.inf, transmits.delays[:, :, None] + legs).max(axis=1)
    return outward.min(axis=1) + nearest.min(), (farthest + legs.max(axis=0)).max(axis=1)


@dataclass(frozen=True)
class _Window:
    """The fine time grid of one transmit element's traces, and the coarser one of the samples.

    `shift` is the time from an echo's two-way travel to its place in the record. The grid holds every travel time that
    any shift brings into the record, and is long enough that no cyclic shift brings back what lies outside.
    """

    n_samples: int
    n_cyclic: int
    sampling_frequency: float
    oversampling: int
    origin: float

    @classmethod
    def around(cls, shift: Floats, n_samples: int, sampling_frequency: float, pulse: Pulse) -> _Window:
        from scipy.fft import next_fast_len

        margin = pulse.half_length + 4 / sampling_frequency
        length = n_samples / sampling_frequency + float(np.ptp(shift)) + 2 * margin
        return cls(
            n_samples=n_samples,
            n_cyclic=int(next_fast_len(int(np.ceil(length * sampling_frequency)), real=True)),
            sampling_frequency=sampling_frequency,
            # Sixteen points a period keep the images of the cubic B-spline below (1 / 15)**4 at the centre frequency.
            oversampling=max(2, int(np.ceil(16 * pulse.center_frequency / sampling_frequency))),
            origin=-float(shift.max()) - margin,
        )

    @property
    def n_steps(self) -> int:
        return self.n_cyclic * self.oversampling

    @property
    def rate(self) -> float:
        return self.sampling_frequency * self.oversampling

    @property
    def frequency(self) -> Floats:
        return np.fft.rfftfreq(self.n_cyclic, 1 / self.sampling_frequency)


def _echoes(
    phantom: Phantom,
    probe: Probe,
    transmits: Transmits,
    window: _Window,
    pulse: Pulse,
    shift: Floats,
    sound_speed: float,
    progress: Callable[[float], None] | None,
) -> Single:
    """``(n_tx, n_rx, n_samples)``, without noise."""
    firing = np.flatnonzero(np.any(transmits.apodization != 0, axis=0))
    per_block = max(1, TRACE_BYTES // (4 * len(firing) * window.n_steps))
    blocks = np.array_split(np.arange(probe.n_elements), -(-probe.n_elements // per_block))
    frequency = window.frequency
    # Dividing by the B-spline's spectrum undoes the smoothing of the deposit.
    response = (pulse.spectrum(frequency) * window.sampling_frequency / np.sinc(frequency / window.rate) ** 4).astype(
        np.float32
    )
    echoes = np.empty((len(transmits), probe.n_elements, window.n_samples), np.float32)
    for index, receivers in enumerate(blocks):

        def report(fraction: float, done: int = index) -> None:
            if progress is not None:
                progress((done + fraction) / len(blocks))

        traces = _traces(phantom, probe, firing, receivers, window, sound_speed, report)
        spectra = np.empty((*traces.shape[:2], len(frequency)), np.complex64)
        for trace, spectrum in zip(traces, spectra, strict=True):
            np.multiply(np.fft.rfft(trace)[:, : len(frequency)], response, out=spectrum)
        del traces
        for transmit, (delays, weights) in enumerate(zip(shift, transmits.apodization, strict=True)):
            used = np.flatnonzero(weights[firing])
            lag = (window.origin + delays[firing[used]])[:, None] * frequency
            phase = (weights[firing[used], None] * np.exp(-2j * np.pi * lag)).astype(np.complex64)
            wave = np.einsum("ef,ref->rf", phase, spectra[:, used])
            echoes[transmit, receivers] = np.fft.irfft(wave, window.n_cyclic)[:, : window.n_samples]
    return echoes


def _traces(
    phantom: Phantom,
    probe: Probe,
    firing: npt.NDArray[np.int64],
    receivers: npt.NDArray[np.int64],
    window: _Window,
    sound_speed: float,
    report: Callable[[float], None],
) -> Single:
    """``(n_receivers, n_firing, n_steps)``: impulses at the two-way travel times, spread by the cubic B-spline."""
    from usbeam.kernels import simulate_cpu

    traces = np.zeros((len(receivers), len(firing), window.n_steps), np.float32)
    wavelength = sound_speed / probe.center_frequency
    count = len(phantom.amplitudes)
    size = min(max(1, count), max(256, LEG_BYTES // (12 * probe.n_elements)))
    delay = np.empty((probe.n_elements, size))
    gain = np.empty((probe.n_elements, size), np.float32)
    for first in range(0, count, size):
        chunk = slice(first, min(first + size, count))
        here = (slice(None), slice(chunk.stop - first))
        simulate_cpu.legs(
            phantom.positions[chunk],
            probe.element_positions,
            _axes(probe.normals),
            (probe.element_width or 0.0) / wavelength,
            (probe.element_height or 0.0) / wavelength,
            window.rate / sound_speed,
            delay[here],
            gain[here],
        )
        strength = phantom.amplitudes[chunk].astype(np.float32)
        origin = window.origin * window.rate
        simulate_cpu.deposit(strength, delay[here], gain[here], firing, receivers, origin, traces)
        report(chunk.stop / count)
    return traces


def _axes(normals: Floats) -> Floats:
    """``(n_elements, 3, 3)``: width, height and normal of each element; the width lies in the x-z plane."""
    width = np.stack([normals[:, 2], np.zeros(len(normals)), -normals[:, 0]], axis=1)
    length = np.linalg.norm(width, axis=1, keepdims=True)
    # An element that faces along y has its width along x.
    width = np.where(length > 1e-9, width / np.maximum(length, 1e-9), [1.0, 0.0, 0.0])
    return np.stack([width, np.cross(normals, width), normals], axis=1)


def _frames(
    echoes: Single, noise_db: float | None, n_frames: int, seed: int, int16: bool
) -> tuple[npt.NDArray[Any], float]:
    """``(n_frames, n_tx, n_rx, n_samples)`` and the scale of its integers."""
    peak = float(np.abs(echoes).max())
    deviation = 0.0
    if noise_db is not None:
        if not np.isfinite(noise_db):
            raise ConfigError("not a finite number of dB", location="noise_db", found=noise_db)
        if peak == 0:
            raise ConfigError(
                "noise is relative to the largest echo, and there is no echo",
                location="noise_db",
                hint="check that scatterers lie in front of the array and inside depth",
            )
        deviation = peak * 10 ** (noise_db / 20)
    scale = (peak + 5 * deviation) / (INT16_PEAK * 32767) or 1.0 if int16 else 1.0
    samples = np.empty((n_frames, *echoes.shape), np.int16 if int16 else np.float32)
    for index, frame in enumerate(samples):
        noisy = echoes
        if deviation:
            rng = np.random.default_rng((seed, index))
            noisy = echoes + np.float32(deviation) * rng.standard_normal(echoes.shape, dtype=np.float32)
        frame[...] = np.clip(np.rint(noisy / np.float32(scale)), -32767, 32767) if int16 else noisy
    return samples, scale
