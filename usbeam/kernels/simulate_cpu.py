"""Echoes of point scatterers laid on a fine time grid: the delay model of the simulator, in Numba.

A trace is the sum over scatterers of ``strength * gain_transmit * gain_receive`` at a delay that falls between grid
points. Each such impulse is spread over four points by the cubic B-spline, whose spectrum is known exactly,
``sinc(f / rate)**4``, so that the caller can divide it out after an FFT (M. Unser, "Splines: a perfect fit for signal
and image processing", IEEE Signal Processing Magazine 16(6), 1999).
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from usbeam.kernels.conventions import NUMBA_OPTIONS


@numba.njit(inline="always", **NUMBA_OPTIONS)
def _sinc(x: float) -> float:
    return 1.0 if abs(x) < 1e-6 else math.sin(math.pi * x) / (math.pi * x)


@numba.njit(parallel=True, **NUMBA_OPTIONS)
def legs(
    scatterers: npt.NDArray[np.float64],
    elements: npt.NDArray[np.float64],
    axes: npt.NDArray[np.float64],
    width: float,
    height: float,
    steps_per_metre: float,
    delay: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float32],
) -> None:
    """Fill the one-way delay and gain between every element and every scatterer.

    Parameters
    ----------
    scatterers : (n_scatterers, 3)
        Positions [m].
    elements : (n_elements, 3)
        Positions [m].
    axes : (n_elements, 3, 3)
        Unit vectors of each element along its width, along its height, and out of its face.
    width, height
        Of every element, in wavelengths; 0 for a point.
    steps_per_metre
        Grid steps per metre of path.
    delay : (n_elements, n_scatterers)
        Output, in grid steps.
    gain : (n_elements, n_scatterers)
        Output: directivity over the square root of the distance [m]; 0 behind the element.
    """
    for e in numba.prange(len(elements)):
        for p in range(len(scatterers)):
            x = scatterers[p, 0] - elements[e, 0]
            y = scatterers[p, 1] - elements[e, 1]
            z = scatterers[p, 2] - elements[e, 2]
            distance = math.sqrt(x * x + y * y + z * z)
            ahead = axes[e, 2, 0] * x + axes[e, 2, 1] * y + axes[e, 2, 2] * z
            delay[e, p] = distance * steps_per_metre
            if ahead <= 0.0:
                gain[e, p] = 0.0
                continue
            along_width = (axes[e, 0, 0] * x + axes[e, 0, 1] * y + axes[e, 0, 2] * z) / distance
            along_height = (axes[e, 1, 0] * x + axes[e, 1, 1] * y + axes[e, 1, 2] * z) / distance
            directivity = _sinc(width * along_width) * _sinc(height * along_height) * ahead / distance
            gain[e, p] = directivity / math.sqrt(distance)


@numba.njit(parallel=True, **NUMBA_OPTIONS)
def deposit(
    strength: npt.NDArray[np.float32],
    delay: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float32],
    transmitters: npt.NDArray[np.int64],
    receivers: npt.NDArray[np.int64],
    origin: float,
    traces: npt.NDArray[np.float32],
) -> None:
    """Add the echoes of a chunk of scatterers to every pair of transmitter and receiver.

    Parameters
    ----------
    strength : (n_scatterers,)
        Reflection strengths.
    delay, gain : (n_elements, n_scatterers)
        From `legs`; delay in grid steps.
    transmitters : (n_transmitters,)
        Elements that fire.
    receivers : (n_receivers,)
        Elements that listen.
    origin
        Two-way delay at grid point 0, in grid steps.
    traces : (n_receivers, n_transmitters, n_steps)
        Added to. Echoes that fall off either end are left out.
    """
    n_receivers, n_transmitters, n_steps = traces.shape
    one, two, three, four, sixth = np.float32(1), np.float32(2), np.float32(3), np.float32(4), np.float32(1 / 6)
    for pair in numba.prange(n_receivers * n_transmitters):
        slot = pair // n_transmitters
        trace = traces[slot, pair - slot * n_transmitters]
        e = transmitters[pair - slot * n_transmitters]
        r = receivers[slot]
        for p in range(len(strength)):
            at = delay[e, p] + delay[r, p] - origin
            if 1.0 <= at < n_steps - 3:
                left = np.int64(at)
                t = np.float32(at - left)
                u = one - t
                a = sixth * strength[p] * gain[e, p] * gain[r, p]
                # Unsigned indices spare the test for negative ones, which stops the four adds from being one.
                i = np.uint64(left - 1)
                trace[i] += a * u * u * u
                trace[i + np.uint64(1)] += a * (four - three * t * t * (two - t))
                trace[i + np.uint64(2)] += a * (four - three * u * u * (two - u))
                trace[i + np.uint64(3)] += a * t * t * t
