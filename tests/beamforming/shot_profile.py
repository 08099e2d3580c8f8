"""The Fourier image by brute force: float64, one depth at a time, nothing shared with the package.

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


def leg_weight(kx: np.ndarray, k: np.ndarray, window: Window, weighting: str) -> np.ndarray:
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
    k: np.ndarray,
    depth: float,
    window: Window,
    weighting: str,
) -> np.ndarray:
    """K from each element to each point of a row: ``(n_w, n_x, n_elements)``."""
    kz = np.sqrt(np.maximum(k[:, None] ** 2 - kx**2, 0))
    period = 2 * np.pi / (kx[1] - kx[0])
    gain = leg_weight(kx, k[:, None], window, weighting) / period * np.exp(1j * (kz * depth + np.pi / 4))
    # One product for all frequencies: many small ones are slow where processors are shared.
    waves = (to_points * gain[:, None]).reshape(-1, len(kx))
    return (waves @ from_elements).reshape(len(k), len(to_points), -1)


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
    k = frequencies / speed
    last = int(k[-1] / dk)
    kx = dk * np.arange(-last, last + 1)
    to_points, from_elements = np.exp(1j * np.outer(grid.x, kx)), np.exp(-1j * np.outer(kx, x))
    from_sources = from_elements[:, fields.element_index]
    images = np.zeros((acquisition.n_tx, *grid.shape), np.complex128)
    for row, depth in enumerate(grid.z - line):
        received = kernel(to_points, kx, from_elements, k, depth, receive_window, weighting)
        if plane:
            from_first = np.stack([grid.x - x[0], np.zeros_like(grid.x), np.full_like(grid.x, depth)], axis=1)
            arrival = fields.delays[:, 0] + from_first @ fields.direction.T / speed
            sent = np.exp(1j * np.multiply.outer(frequencies, arrival))
            gain = np.sqrt(depth)
        else:
            sent = kernel(to_points, kx, from_sources, k, depth, transmit_window, weighting)
            gain = depth
        images[:, row] = np.einsum("wxt,wxr,trw->tx", sent, received, traces, optimize=True)
        if weighting == "das":
            images[:, row] *= gain
    return images
