"""Where the energy of a recording lies, for files that do not state their centre frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MAX_TRACES = 256
"""Traces that are looked at, spread over the recording."""


def center_of_spectrum(samples: npt.NDArray[Any], sampling_frequency: float) -> float:
    """Mean frequency of the power spectrum [Hz]; of complex samples between -1/2 and 1/2 the sampling frequency.

    Parameters
    ----------
    samples : (..., n_samples)
        Real or complex.
    sampling_frequency
        In Hz.

    Returns
    -------
    float
        0 if there is no energy.

    Examples
    --------
    >>> time = np.arange(400) / 20e6
    >>> round(center_of_spectrum(np.cos(2 * np.pi * 5e6 * time), 20e6) / 1e6, 2)
    5.0
    >>> round(center_of_spectrum(np.exp(-2j * np.pi * 5e6 * time), 20e6) / 1e6, 2)
    -5.0
    """
    traces = samples.reshape(-1, samples.shape[-1])
    traces = traces[:: max(1, len(traces) // MAX_TRACES)]
    traces = traces - traces.mean(axis=-1, keepdims=True) if traces.dtype.kind != "c" else traces
    power = np.sum(np.abs(np.fft.fft(traces, axis=-1)) ** 2, axis=0)
    frequency = np.fft.fftfreq(power.size, 1 / sampling_frequency)
    if traces.dtype.kind != "c":
        power = np.where(frequency > 0, power, 0)
    total = float(power.sum())
    return float(power @ frequency) / total if np.isfinite(total) and total else 0.0
