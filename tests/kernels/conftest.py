"""Complex lane elements: sixteen real parts, then sixteen imaginary parts, as the kernels keep them."""

from __future__ import annotations

import numpy as np


def to_lanes(values: np.ndarray) -> np.ndarray:
    """Complex ``(..., 16)`` to float32 ``(..., 32)``."""
    return np.concatenate([values.real, values.imag], axis=-1).astype(np.float32)


def from_lanes(elements: np.ndarray) -> np.ndarray:
    """Float32 ``(..., 32)`` to complex128 ``(..., 16)``."""
    return elements[..., :16].astype(np.float64) + 1j * elements[..., 16:]


def complex_noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
