"""Delay-and-sum as one would write it on a blackboard: float64, one pair at a time, nothing shared with the package.

Times follow the recording's definition (`usbeam.acquisition`), windows their formulas, interpolation its sum. Slow.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from usbeam import Acquisition, Grid

DEGREES = {"nearest": 0, "linear": 1, "cubic": 3}


def bspline(x: np.ndarray, degree: int) -> np.ndarray:
    x = np.abs(x)
    if degree == 0:
        return (x <= 0.5).astype(float)
    if degree == 1:
        return np.where(x < 1, 1 - x, 0)
    return np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, np.where(x < 2, (2 - x) ** 3 / 6, 0))


def analytic(acquisition: Acquisition, trace: np.ndarray, start: float, degree: int, factor: int):
    """Analytic signal at `factor` times the rate, pre-filtered for the spline, and its carrier [Hz]."""
    n, fs = len(trace), acquisition.sampling_frequency
    # The package's padding: what lies next to 0 Hz in a short record depends on it, by some 3e-4 of the peak.
    padded = next_fast_len(n + 32, real=acquisition.kind == "rf")
    carrier = acquisition.demodulation_frequency or acquisition.probe.center_frequency
    frequency = np.fft.fftfreq(padded, 1 / fs)
    signal = trace.astype(np.complex128)
    if acquisition.kind == "rf":
        spectrum = np.fft.fft(signal, padded) * np.where((frequency > 0) & (frequency < fs / 2), 2, 0)
        baseband = frequency - carrier
    else:
        if not acquisition.demodulation_frequency:  # analytic: bring it to baseband first
            signal = signal * np.exp(-2j * np.pi * carrier * np.arange(n) / fs)
        spectrum = np.fft.fft(signal, padded)
        baseband = frequency
    spectrum /= np.sinc(baseband / (fs * factor)) ** (degree + 1)
    fine = np.zeros(padded * factor, np.complex128)
    index = np.round(frequency * padded / fs).astype(int)
    fine[index] = spectrum * factor
    out = np.fft.ifft(fine)[: n * factor]
    if acquisition.kind == "iq":
        time = np.arange(n * factor) / (fs * factor)
        if acquisition.demodulation_frequency:
            time = time + start
        out = out * np.exp(2j * np.pi * carrier * time)
    return out, carrier


def interpolate(signal: np.ndarray, d: np.ndarray, carrier_cycles: float, degree: int) -> np.ndarray:
    """Value at fractional sample `d`; nothing where a tap falls outside the record."""
    half = (degree + 1) / 2
    first = np.floor(d + 0.5).astype(int) if degree == 0 else np.floor(d - half + 1).astype(int)
    total = np.zeros(d.shape, np.complex128)
    inside = (first >= 0) & (first + degree < len(signal)) & np.isfinite(d)
    for tap in range(degree + 1):
        k = np.clip(first + tap, 0, len(signal) - 1)
        total += bspline(d - k, degree) * signal[k] * np.exp(2j * np.pi * carrier_cycles * (d - k))
    return np.where(inside, total, 0)


def arrival(acquisition: Acquisition, t: int, points: np.ndarray, speed: float) -> np.ndarray:
    """When the wave of transmit t reaches each point (..., 3), after the trigger."""
    fields, positions = acquisition.transmits, acquisition.probe.element_positions
    fired = np.flatnonzero(fields.apodization[t])
    kind = fields.kind[t]
    if kind in ("element", "custom"):
        times = [fields.delays[t, e] + np.linalg.norm(points - positions[e], axis=-1) / speed for e in fired]
        return np.min(times, axis=0)
    e = fired[0]
    if kind == "plane":
        direction = fields.direction[t]
        return fields.delays[t, e] + (points - positions[e]) @ direction / speed
    focus = fields.focus[t]
    to_focus = np.linalg.norm(positions[e] - focus) / speed
    path = np.linalg.norm(points - focus, axis=-1) / speed
    if kind == "diverging":
        return fields.delays[t, e] - to_focus + path
    ahead = (points - focus) @ (focus - fields.origin[t]) > 0
    return fields.delays[t, e] + to_focus + np.where(ahead, path, -path)


def window_weight(points: np.ndarray, element: np.ndarray, f_number: float | None, window: str) -> np.ndarray:
    if f_number is None:
        return np.ones(points.shape[:-1])
    offset = points - element
    sine = np.hypot(offset[..., 0], offset[..., 1]) / np.linalg.norm(offset, axis=-1)
    u = sine * np.sqrt(1 + 4 * f_number**2)
    shape = {
        "boxcar": np.ones_like(u),
        "hann": 0.5 + 0.5 * np.cos(np.pi * u),
        "hamming": 0.54 + 0.46 * np.cos(np.pi * u),
        "tukey": np.where(u < 0.5, 1, 0.5 + 0.5 * np.cos(2 * np.pi * (u - 0.5))),
    }[window]
    return np.where(u <= 1, shape, 0)


def delay_and_sum(
    acquisition: Acquisition,
    grid: Grid,
    weights: np.ndarray,
    *,
    frame: int = 0,
    interpolation: str = "linear",
    upsampling: int = 1,
    f_number: float | None = None,
    window: str = "boxcar",
    transmit_f_number: float | None = None,
    transmit_window: str = "boxcar",
    sound_speed: float | None = None,
) -> np.ndarray:
    """Image (n_z, n_x), complex128."""
    speed = sound_speed or acquisition.sound_speed
    degree, rate = DEGREES[interpolation], acquisition.sampling_frequency * upsampling
    z, x = np.meshgrid(grid.z, grid.x, indexing="ij")
    points = np.stack([x, np.zeros_like(x), z], axis=-1)
    positions, lens = acquisition.probe.element_positions, acquisition.probe.lens_delay
    samples = acquisition.frame(frame).astype(np.complex128 if acquisition.kind == "iq" else np.float64)
    image = np.zeros(grid.shape, np.complex128)
    for t in np.flatnonzero(weights):
        start = acquisition.start_time[t]
        out = arrival(acquisition, t, points, speed) + acquisition.transmits.pulse_peak_time[t] + 2 * lens - start
        gain = float(weights[t]) * acquisition.scale
        if transmit_f_number is not None:
            fired = acquisition.transmits.element_index[t]
            gain = gain * window_weight(points, positions[fired], transmit_f_number, transmit_window)
        for slot, e in enumerate(acquisition.receivers[t]):
            if e < 0:
                continue
            signal, carrier = analytic(acquisition, samples[t, slot], start, degree, upsampling)
            back = np.linalg.norm(points - positions[e], axis=-1) / speed
            value = interpolate(signal, (out + back) * rate, carrier / rate, degree)
            image += gain * window_weight(points, positions[e], f_number, window) * value
    return image
