"""The Fourier image by brute force: float64, one depth and one frequency at a time, nothing shared with the package.

For each transmitter s the field that it sent out and the field that was received are continued to every point,

    image_s(x, z) = sum_w T_s(x, z, w) U_s(x, z, w)
    T_s = K(x - x_s, z, w)        U_s = sum_r K(x - x_r, z, w) S_sr(w)
    K(dx, z, w) = (1 / L) sum_kx V(kx, w) exp(i kx dx + i kz z + i pi / 4)

by direct sums: any element positions along a line, no fast transform, no gridding, and a lateral period L twice as long
as the kernels need. (Ali 2021, Ultrasonic Imaging 43(5):282, writes the same image this way.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from usbeam import Acquisition, Grid
from usbeam.beamforming.apodization import Window


def window_weight(sine: np.ndarray, window: Window) -> np.ndarray:
    """1 in the inner part of the cone, a raised cosine down to the pedestal at its edge, 0 beyond."""
    u = np.abs(sine) / window.max_sine
    fall = np.clip((u - (1 - window.taper)) / max(window.taper, 1e-12), 0, 1)
    return np.where(u < 1, window.pedestal + (1 - window.pedestal) * (0.5 + 0.5 * np.cos(np.pi * fall)), 0)


def leg_weight(kx: np.ndarray, k: float, window: Window, weighting: str) -> np.ndarray:
    """Window of one leg; for `das` over the stationary-phase gain, so that the leg's gain is 1 / sqrt(z)."""
    weight = window_weight(kx / k, window)
    if weighting == "adjoint":
        return weight
    cosine = np.sqrt(np.maximum(1 - (kx / k) ** 2, 1e-12))
    return weight * np.sqrt(2 * np.pi / (k * cosine**3))


def kernel(
    to_points: np.ndarray,
    kx: np.ndarray,
    from_elements: np.ndarray,
    k: float,
    depth: float,
    window: Window,
    weighting: str,
) -> np.ndarray:
    """K from each element to each point of a row: ``(n_x, n_elements)``."""
    inside = np.flatnonzero(np.abs(kx) < k * window.max_sine)
    used = slice(inside[0], inside[-1] + 1)
    kz = np.sqrt(k**2 - kx[used] ** 2)
    phase = np.exp(1j * (kz * depth + np.pi / 4))
    period = 2 * np.pi / (kx[1] - kx[0])
    return (to_points[:, used] * (leg_weight(kx[used], k, window, weighting) * phase / period)) @ from_elements[used]


def spectra(acquisition: Acquisition, band: Sequence[float], padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Analytic spectra over the travel time ``(n_tx, n_elements, n_w)`` and their angular frequencies ``(n_w,)``."""
    fields, fs = acquisition.transmits, acquisition.sampling_frequency
    n_fft = acquisition.n_samples * padding
    frequency = np.fft.rfftfreq(n_fft, 1 / fs)
    inside = (frequency >= band[0]) & (frequency <= band[1])
    w = 2 * np.pi * frequency[inside]
    traces = np.fft.rfft(acquisition.frame(0).astype(np.float64) * acquisition.scale, n_fft)[..., inside]
    made = np.zeros((acquisition.n_tx, acquisition.probe.n_elements, len(w)), np.complex128)
    for t in range(acquisition.n_tx):
        start = acquisition.start_time[t] - fields.pulse_peak_time[t] - 2 * acquisition.probe.lens_delay
        if fields.kind[t] == "element":
            start -= fields.delays[t, fields.element_index[t]]
        made[t, acquisition.receivers[t]] = traces[t] * np.exp(-1j * w * start) * 2 / n_fft
    return made, w


def shot_profiles(
    acquisition: Acquisition,
    grid: Grid,
    *,
    transmit_window: Window,
    receive_window: Window,
    band: Sequence[float],
    weighting: str = "das",
    padding: int = 2,
) -> np.ndarray:
    """The image of each transmit, element or plane: ``(n_tx, n_z, n_x)`` complex128.

    Traces are transformed as if they were `padding` times as long as recorded, the rest being silent.
    """
    fields, speed, positions = acquisition.transmits, acquisition.sound_speed, acquisition.probe.element_positions
    x, line, plane = positions[:, 0], positions[0, 2], fields.kind[0] == "plane"
    traces, frequencies = spectra(acquisition, band, padding)
    offset = max(grid.x[-1] - x.min(), x.max() - grid.x[0])
    sine = receive_window.max_sine if plane else max(receive_window.max_sine, transmit_window.max_sine)
    dk = np.pi / (offset + (grid.z[-1] - line) * np.tan(np.arcsin(sine)))  # L = 2 pi / dk, twice what is needed
    last = int(frequencies[-1] / speed / dk)
    kx = dk * np.arange(-last, last + 1)
    to_points, from_elements = np.exp(1j * np.outer(grid.x, kx)), np.exp(-1j * np.outer(kx, x))
    from_sources = from_elements[:, fields.element_index]
    images = np.zeros((acquisition.n_tx, *grid.shape), np.complex128)
    for row, depth in enumerate(grid.z - line):
        for column, w in enumerate(frequencies):
            k = w / speed
            received = kernel(to_points, kx, from_elements, k, depth, receive_window, weighting) @ traces[..., column].T
            if plane:
                from_first = np.stack([grid.x - x[0], np.zeros_like(grid.x), np.full_like(grid.x, depth)], axis=1)
                sent = np.exp(1j * w * (fields.delays[:, 0] + from_first @ fields.direction.T / speed))
            else:
                sent = kernel(to_points, kx, from_sources, k, depth, transmit_window, weighting)
            images[:, row] += (sent * received).T
        if weighting == "das":
            images[:, row] *= np.sqrt(depth) if plane else depth
    return images
