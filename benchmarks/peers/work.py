"""The standard work: a 64 x 64 full matrix of five point targets, a 256 x 620 image, and what a right image looks like.

Everything is SI. Arrays follow usbeam: samples ``(n_tx, n_rx, n_samples)``, images ``(n_z, n_x)``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

N_ELEMENTS = 64
PITCH = 0.625e-3
CENTER_FREQUENCY = 7.5e6
BANDWIDTH = 0.6
SAMPLING_FREQUENCY = 31.25e6
N_SAMPLES = 2048
SOUND_SPEED = 1540.0
NOISE = 0.005  # standard deviation; an echo's peak is 1

ELEMENT_X = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH
X = np.linspace(-20e-3, 20e-3, 256)
Z = 2e-3 + np.arange(620) * (40e-3 / 620)
TARGETS = ((280, 128), (200, 64), (430, 200), (120, 160), (500, 30))
"""Pixels ``(row, column)`` on whose centres the targets lie."""
N_PAIR_PIXELS = len(X) * len(Z) * N_ELEMENTS**2

PATCH = (15, 10)
"""Rows and columns on each side of a target that are compared with the reference."""
REFERENCE_UPSAMPLING = 8


def one_way(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Travel time [s] between each element and each point: ``(n_elements, *points)``."""
    across = np.subtract.outer(ELEMENT_X, x)
    return np.sqrt(across**2 + np.asarray(z) ** 2) / SOUND_SPEED


def synthesise() -> np.ndarray:
    """RF of the five targets with noise, always the same: ``(n_tx, n_rx, n_samples)`` float32."""
    sigma = np.sqrt(2 * np.log(2)) / (np.pi * BANDWIDTH * CENTER_FREQUENCY)
    rows, columns = np.array(TARGETS).T
    rf = np.random.default_rng(0).standard_normal((N_ELEMENTS, N_ELEMENTS, N_SAMPLES), dtype=np.float32)
    rf *= np.float32(NOISE)
    around = np.arange(-24, 25)  # 9 sigma of the pulse
    tx, rx = np.ogrid[:N_ELEMENTS, :N_ELEMENTS]
    for leg in one_way(X[columns], Z[rows]).T:
        arrival = np.add.outer(leg, leg)[..., None]
        sample = np.floor(arrival * SAMPLING_FREQUENCY).astype(np.int64) + around
        time = sample / SAMPLING_FREQUENCY - arrival
        rf[tx[..., None], rx[..., None], sample] += np.exp(-0.5 * (time / sigma) ** 2) * np.cos(
            2 * np.pi * CENTER_FREQUENCY * time
        )
    return rf


def analytic(rf: np.ndarray, upsampling: int = 1) -> np.ndarray:
    """Analytic signal along the last axis (FFT), band-limited to `upsampling` times as many samples."""
    n = rf.shape[-1]
    spectrum = np.zeros((*rf.shape[:-1], n * upsampling), np.complex128)
    spectrum[..., : n // 2 + 1] = np.fft.rfft(rf)
    spectrum[..., 1 : n // 2] *= 2
    return np.fft.ifft(spectrum) * upsampling


@cache
def _patch_index() -> tuple[np.ndarray, np.ndarray]:
    """Rows ``(n_targets, n, 1)`` and columns ``(n_targets, 1, m)`` of the pixels around each target."""
    rows, columns = np.array(TARGETS).T[..., None, None]
    down, across = (np.arange(-half, half + 1) for half in PATCH)
    return rows + down[:, None], columns + across


def reference(rf: np.ndarray) -> np.ndarray:
    """Envelope around each target ``(n_targets, n, m)``: delay-and-sum in float64 of data upsampled 8 times."""
    rows, columns = _patch_index()
    x, z = np.broadcast_arrays(X[columns], Z[rows])
    rate = SAMPLING_FREQUENCY * REFERENCE_UPSAMPLING
    legs = one_way(x, z) * rate
    image = np.zeros(x.shape, np.complex128)
    for transmit, traces in zip(legs, rf, strict=True):
        for receive, trace in zip(legs, analytic(traces, REFERENCE_UPSAMPLING), strict=True):
            position = transmit + receive
            below = position.astype(np.int64)
            inside = below < (N_SAMPLES - 1) * REFERENCE_UPSAMPLING
            below = np.where(inside, below, 0)
            weight = position - below
            image += np.where(inside, (1 - weight) * trace[below] + weight * trace[below + 1], 0)
    return np.abs(image)


def width(line: np.ndarray) -> float:
    """Full width at half maximum of the peak of `line`, in points, with linear interpolation of the crossings."""
    peak = int(np.argmax(line))
    half = line[peak] / 2
    below = np.flatnonzero(line < half)
    left = below[below < peak].max(initial=-1)
    right = below[below > peak].min(initial=len(line))
    if left < 0 or right == len(line):
        return float("nan")
    rising = left + (half - line[left]) / (line[left + 1] - line[left])
    falling = right - (half - line[right]) / (line[right - 1] - line[right])
    return float(falling - rising)


def score(image: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """How far a complex image ``(n_z, n_x)`` is from the `reference`: the worst of the five targets.

    Scale and phase conventions differ between packages, so envelopes are compared, after one common gain.
    """
    envelope = np.abs(image)[_patch_index()].astype(np.float64)
    middle = np.array(PATCH)
    peaks = [np.array(np.unravel_index(np.argmax(patch), patch.shape)) for patch in envelope]
    axial, lateral = [], []
    for patch, truth in zip(envelope, expected, strict=True):
        axial.append(width(patch[:, middle[1]]) / width(truth[:, middle[1]]) - 1)
        lateral.append(width(patch[middle[0]]) / width(truth[middle[0]]) - 1)
    gain = np.vdot(envelope, expected) / np.vdot(envelope, envelope)
    residual = np.linalg.norm(gain * envelope - expected) / np.linalg.norm(expected)
    return {
        "position_error_pixels": int(max(np.abs(peak - middle).max() for peak in peaks)),
        "lateral_fwhm_error": float(np.abs(lateral).max()),
        "axial_fwhm_error": float(np.abs(axial).max()),
        "envelope_error_db": float(20 * np.log10(residual)),
    }
