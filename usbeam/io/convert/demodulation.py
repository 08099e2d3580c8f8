"""Real samples to IQ, also where they were taken below twice the carrier (band-pass sampling)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import ConfigError
from usbeam.units import format_quantity

ROLL_OFF = 0.25
"""The filter falls as a raised cosine around its half-amplitude frequency, by this fraction to either side."""
SMALLEST_HALF_BAND = 0.05
"""Smallest usable half band, as a fraction of the sampling frequency."""


def usable_half_band(frequency: float, sampling_frequency: float) -> float:
    """Half the distance between the band around the carrier and its own mirror image, after sampling [Hz].

    Sampling repeats the spectrum of a real signal, which lies around ``+frequency`` and ``-frequency``, at every
    multiple of the sampling frequency; the nearest copy of the one lies ``2 * frequency`` modulo the sampling frequency
    away from the other (Vaughan, Scott and White, "The theory of bandpass sampling", 1991).

    Examples
    --------
    >>> usable_half_band(5e6, 25e6)
    5000000.0
    >>> round(usable_half_band(5e6, 20e6 / 3))
    1666667
    """
    distance = (2 * frequency) % sampling_frequency
    return min(distance, sampling_frequency - distance) / 2


def demodulate(
    samples: npt.NDArray[Any],
    frequency: float,
    sampling_frequency: float,
    start_time: Floats,
    bandwidth: float | None = None,
) -> npt.NDArray[np.complex64]:
    """Mix the carrier to zero and keep the band around it.

    ``iq(t) = low_pass(2 * rf(t) * exp(-2j * pi * frequency * t))`` with t counted from the transmit trigger, not from
    the first sample. The magnitude of the result is the envelope of the RF signal, and
    ``real(iq(t) * exp(2j * pi * frequency * t))`` is the RF signal.

    Parameters
    ----------
    samples : (n_frames, n_tx, n_rx, n_samples)
        Real.
    frequency
        The true carrier [Hz], even above half the sampling frequency.
    sampling_frequency
        [Hz].
    start_time : (n_tx,)
        Of the first sample [s].
    bandwidth
        Width of the band to keep, between its half-amplitude points [Hz]; all that can be kept if not given.

    Returns
    -------
    (n_frames, n_tx, n_rx, n_samples) complex64

    Raises
    ------
    ConfigError
        If the sampled band, or the width asked for, overlaps its own mirror image.
    """
    from scipy.fft import fft, fftfreq, ifft, next_fast_len

    half_band = usable_half_band(frequency, sampling_frequency)
    if half_band < SMALLEST_HALF_BAND * sampling_frequency:
        raise ConfigError(
            "the sampled band folds onto itself",
            location="demodulate",
            expected="a carrier away from every multiple of half the sampling frequency",
            found=f"{format_quantity(frequency, 'Hz')} sampled at {format_quantity(sampling_frequency, 'Hz')}",
        )
    widest = 2 * half_band / (1 + ROLL_OFF)
    width = widest if bandwidth is None else bandwidth
    if not 0 < width <= widest:
        raise ConfigError(
            "this band does not fit between itself and its mirror image",
            location="bandwidth",
            expected=f"at most {format_quantity(widest, 'Hz')}",
            found=format_quantity(width, "Hz"),
        )
    n_samples = samples.shape[-1]
    # The filter rings for some periods of its transition band; the padding keeps that from wrapping around.
    ringing = int(8 * sampling_frequency / width)
    n_fft = next_fast_len(n_samples + ringing)
    offset = (fftfreq(n_fft, 1 / sampling_frequency) - frequency) % sampling_frequency
    offset = np.minimum(offset, sampling_frequency - offset)
    fall = np.clip((2 * offset / width - 1 + ROLL_OFF) / (2 * ROLL_OFF), 0, 1)
    # Filtering the band where it lies and mixing afterwards equals mixing first: one pass over the data less.
    band = (1 + np.cos(np.pi * fall)).astype(np.float32)
    time = start_time[:, None] + np.arange(n_samples) / sampling_frequency
    carrier = np.exp(-2j * np.pi * ((frequency * time) % 1)).astype(np.complex64)[:, None, :]
    iq = np.empty(samples.shape, np.complex64)
    for index, frame in enumerate(samples):
        spectrum: Any = fft(frame.astype(np.float32), n_fft, axis=-1)
        iq[index] = np.asarray(ifft(spectrum * band, axis=-1))[..., :n_samples] * carrier
    return iq
