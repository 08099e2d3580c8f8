"""From scatterers to noise-free traces: impulses on a fine time grid, then the pulse and the transmit's delays by FFT.

Every pair of elements gets one trace of impulses at the two-way travel times. A transmit is a sum of those traces, each
shifted by when its element fires; so an element, a plane wave and any other transmit come out of the same traces.
Against a double-precision sum of the exact pulses the error is below 1e-4 of the largest echo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.probe import Probe
from usbeam.simulate.phantoms import Phantom
from usbeam.simulate.pulse import Pulse
from usbeam.transmits import Transmits

TRACE_BYTES = 96 * 2**20
"""Traces on the fine grid that are held at once; receivers are taken in blocks that fit."""
LEG_BYTES = 24 * 2**20
"""Delays and gains of one chunk of scatterers."""

Single = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """The time grids: a fine one for the impulses, a coarse one, as long, that ends in the samples.

    Parameters
    ----------
    n_samples
        Of the record.
    n_cyclic
        Length of the coarse grid, in samples.
    sampling_frequency
        Of the record [Hz].
    oversampling
        Fine steps per sample.
    origin
        Travel time at step 0 [s].
    """

    n_samples: int
    n_cyclic: int
    sampling_frequency: float
    oversampling: int
    origin: float

    @classmethod
    def around(cls, shift: Floats, n_samples: int, sampling_frequency: float, pulse: Pulse) -> Window:
        """Hold every travel time that any shift brings into the record, and let no cyclic shift bring back the rest.

        Parameters
        ----------
        shift
            Any shape: times from an echo's two-way travel to its place in the record [s].
        n_samples, sampling_frequency, pulse
            Of the record.
        """
        margin = pulse.half_length + 4 / sampling_frequency
        length = n_samples / sampling_frequency + float(np.ptp(shift)) + 2 * margin
        return cls(
            n_samples=n_samples,
            # A multiple of 256 has no large prime factor that would slow the FFT.
            n_cyclic=256 * math.ceil(length * sampling_frequency / 256),
            sampling_frequency=sampling_frequency,
            # Sixteen steps a period keep the spectral images of the cubic B-spline below (1 / 15)**4 at the centre.
            oversampling=max(2, math.ceil(16 * pulse.center_frequency / sampling_frequency)),
            origin=-float(shift.max()) - margin,
        )

    @property
    def n_steps(self) -> int:
        """Length of the fine grid."""
        return self.n_cyclic * self.oversampling

    @property
    def rate(self) -> float:
        """Of the fine grid [Hz]."""
        return self.sampling_frequency * self.oversampling

    @property
    def frequency(self) -> Floats:
        """``(n_bins,)``: the frequencies that the samples can hold [Hz]."""
        return np.linspace(0.0, self.sampling_frequency / 2, self.n_cyclic // 2 + 1)


def echoes(
    phantom: Phantom,
    probe: Probe,
    transmits: Transmits,
    window: Window,
    pulse: Pulse,
    shift: Floats,
    sound_speed: float,
    report: Callable[[float], None],
) -> Single:
    """Noise-free samples of every transmit at every element.

    Parameters
    ----------
    phantom, probe, transmits, window, pulse
        What is recorded, and how.
    shift : (n_tx, n_elements)
        Time from an echo's two-way travel to its place in the record [s].
    sound_speed
        In m/s.
    report
        Called with the fraction done.

    Returns
    -------
    (n_tx, n_elements, n_samples) array of float32
    """
    firing = np.flatnonzero(np.any(transmits.apodization != 0, axis=0))
    per_block = max(1, TRACE_BYTES // (4 * len(firing) * window.n_steps))
    n_blocks = math.ceil(probe.n_elements / per_block)
    frequency = window.frequency
    # Dividing by the B-spline's spectrum undoes the smoothing of the deposit.
    smoothing = np.sinc(frequency / window.rate) ** 4
    response = (pulse.spectrum(frequency) * window.sampling_frequency / smoothing).astype(np.float32)
    samples = np.empty((len(transmits), probe.n_elements, window.n_samples), np.float32)
    for block, receivers in enumerate(np.array_split(np.arange(probe.n_elements), n_blocks)):
        start = block / n_blocks
        traces = _traces(
            phantom,
            probe,
            firing,
            receivers,
            window,
            sound_speed,
            lambda done, start=start: report(start + done / n_blocks),
        )
        spectra = np.empty((len(receivers), len(firing), len(frequency)), np.complex64)
        for slot in range(len(receivers)):
            spectra[slot] = np.fft.rfft(traces[slot])[:, : len(frequency)] * response
        del traces
        for transmit, weights in enumerate(transmits.apodization):
            used = np.flatnonzero(weights[firing])
            lag = window.origin + shift[transmit, firing[used]]
            phase = weights[firing[used], None] * np.exp(-2j * np.pi * lag[:, None] * frequency)
            wave = np.einsum("ef,ref->rf", phase.astype(np.complex64), spectra[:, used])
            samples[transmit, receivers] = np.fft.irfft(wave, window.n_cyclic)[:, : window.n_samples]
    return samples


def _traces(
    phantom: Phantom,
    probe: Probe,
    firing: Index,
    receivers: Index,
    window: Window,
    sound_speed: float,
    report: Callable[[float], None],
) -> Single:
    """``(n_receivers, n_firing, n_steps)``: impulses at the two-way travel times, spread by the cubic B-spline."""
    from usbeam.kernels import simulate_cpu

    traces = np.zeros((len(receivers), len(firing), window.n_steps), np.float32)
    wavelength = sound_speed / probe.center_frequency
    count = len(phantom.amplitudes)
    size = max(256, LEG_BYTES // (12 * probe.n_elements))
    delay = np.empty((probe.n_elements, size))
    gain = np.empty((probe.n_elements, size), np.float32)
    for first in range(0, count, size):
        chunk = slice(first, min(first + size, count))
        filled = chunk.stop - first
        simulate_cpu.legs(
            phantom.positions[chunk],
            probe.element_positions,
            _axes(probe.normals),
            (probe.element_width or 0.0) / wavelength,
            (probe.element_height or 0.0) / wavelength,
            window.rate / sound_speed,
            delay[:, :filled],
            gain[:, :filled],
        )
        simulate_cpu.deposit(
            phantom.amplitudes[chunk].astype(np.float32),
            delay[:, :filled],
            gain[:, :filled],
            firing,
            receivers,
            window.origin * window.rate,
            traces,
        )
        report(chunk.stop / count)
    return traces


def _axes(normals: Floats) -> Floats:
    """``(n_elements, 3, 3)``: width, height and normal of each element; the width lies in the x-z plane."""
    width = np.stack([normals[:, 2], np.zeros(len(normals)), -normals[:, 0]], axis=1)
    length = np.linalg.norm(width, axis=1, keepdims=True)
    # An element that faces along y has its width along x.
    width = np.where(length > 1e-9, width / np.maximum(length, 1e-9), [1.0, 0.0, 0.0])
    return np.stack([width, np.cross(normals, width), normals], axis=1)
