"""How small a spot can be: the diffraction limit of an aperture and a band.

What a beamformer without window makes of a point at p0, with R the distance to a transmitting or receiving element::

    h(p) = sum_f P(f) [sum_t a_t exp(i k (R_t(p) - R_t(p0)))] [sum_r a_r exp(i k (R_r(p) - R_r(p0)))],    k = 2 pi f / c
    a = cos(angle) sinc(width / wavelength sin(angle)) / sqrt(R(p0))

P is the two-way amplitude spectrum, a Gaussian whose full width at half maximum is the bandwidth B. The amplitude a is
that of tall elements, straight ahead or at an angle: the first Rayleigh-Sommerfeld integral in two dimensions (J. W.
Goodman, "Introduction to Fourier Optics", on scalar diffraction), with the directivity of an element's width at the
centre frequency. No small angle is assumed, and any subset of elements may be in use.

Far from the array and at one frequency each bracket is the Fourier transform of the aperture (Goodman, on Fraunhofer
diffraction), and for an aperture of width D, at depth z, the full widths at half maximum are::

    lateral, both ways by the whole aperture          sinc^2(D x / (wavelength z)) = 1/2    0.886 wavelength z / D
    lateral, one way (one transmitter or plane wave)  sinc(D x / (wavelength z)) = 1/2      1.207 wavelength z / D
    axial, half the length of the pulse                                                     c / 2 * 4 ln 2 / (pi B)

(T. L. Szabo, "Diagnostic Ultrasound Imaging: Inside Out"). A wide aperture makes spots longer in depth than that,
because the axial wavenumber of an oblique ray is smaller (W. F. Walker and G. E. Trahey, "The application of k-space in
pulse echo ultrasound", IEEE Trans. Ultrason. Ferroelectr. Freq. Control 45(3), 1998).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats, finite_array, positive
from usbeam.errors import GeometryError, MeasurementError
from usbeam.measure.width import half_widths

_BANDS = 2.0
"""Bandwidths to both sides of the centre that are summed: the Gaussian is 96 dB down there."""
_FREQUENCIES = 64
_STEPS = 16
"""Of the walk to half, per wavelength."""


class DiffractionLimit(NamedTuple):
    """Full widths at half maximum of the theoretical spot [m]."""

    lateral_fwhm: float
    axial_fwhm: float


def diffraction_limit(
    element_positions: npt.ArrayLike,
    point: tuple[float, float],
    *,
    center_frequency: float,
    bandwidth: float,
    sound_speed: float = 1540.0,
    element_width: float = 0.0,
    transmit_weights: npt.ArrayLike | None = None,
    receive_weights: npt.ArrayLike | None = None,
) -> DiffractionLimit:
    """Widths of the spot that an aperture and a band make at a point, by the sum that the module states.

    Parameters
    ----------
    element_positions : (n_elements,) or (n_elements, 3)
        Lateral or all three coordinates [m], ``probe.element_positions``. For an aperture of width D without elements:
        ``np.linspace(-D / 2, D / 2, 256)``.
    point
        (x, z) [m], in front of the elements.
    center_frequency, bandwidth
        Of the echoes: in Hz, and full width at half of the amplitude spectrum as a fraction of that.
    sound_speed
        In m/s.
    element_width
        [m]; 0 for elements without directivity of their own.
    transmit_weights, receive_weights : (n_elements,), optional
        Of the elements as they fire alone, one after the other, and as they receive; 1 if not given. A subset of
        transmitters has 0 elsewhere, an f-number beyond its aperture; a window has its values.

    Returns
    -------
    DiffractionLimit

    Raises
    ------
    GeometryError
        For positions and weights that do not fit, and values that are not positive.
    MeasurementError
        If the spot does not fall to half within the distance to the array.

    Examples
    --------
    64 elements, 0.1 mm apart, at depth 20 mm; beside the closed forms:

    >>> x = (np.arange(64) - 31.5) * 0.1e-3
    >>> limit = diffraction_limit(x, (0.0, 20e-3), center_frequency=5e6, bandwidth=0.2)
    >>> f"{1e3 * limit.lateral_fwhm:.3f} mm, {1e3 * 0.886 * (1540 / 5e6) * 20e-3 / 6.4e-3:.3f} mm"
    '0.862 mm, 0.853 mm'
    >>> f"{1e3 * limit.axial_fwhm:.3f} mm, {1e3 * 1540 / 2 * 4 * np.log(2) / (np.pi * 0.2 * 5e6):.3f} mm"
    '0.682 mm, 0.680 mm'
    """
    for name, value in (("center_frequency", center_frequency), ("bandwidth", bandwidth), ("sound_speed", sound_speed)):
        positive(value, name)
    if not (np.isfinite(element_width) and element_width >= 0):
        raise GeometryError("not a width", location="element_width", expected="metres >= 0", found=element_width)
    wavelength = sound_speed / center_frequency
    rays = finite_array((point[0], 0.0, point[1]), "point", (3,)) - _places(element_positions)
    lengths = np.linalg.norm(rays, axis=1)
    if not np.all(rays[:, 2] > 0):
        raise GeometryError("the point must lie in front of the elements", location="point", found=point)
    amplitude = rays[:, 2] / lengths**1.5 * np.sinc(element_width / wavelength * rays[:, 0] / lengths)
    transmit = amplitude * _weights(transmit_weights, "transmit_weights", len(rays))
    receive = amplitude * _weights(receive_weights, "receive_weights", len(rays))
    frequency = center_frequency * (1 + bandwidth * np.linspace(-_BANDS, _BANDS, _FREQUENCIES))
    frequency = frequency[frequency > 0]
    band = np.exp(-4 * np.log(2) * ((frequency / center_frequency - 1) / bandwidth) ** 2)
    wavenumber = 2 * np.pi * frequency / sound_speed

    def width(direction: tuple[float, float, float]) -> float:
        def level(offset: Floats) -> Floats:
            farther = np.linalg.norm(rays + offset[:, None, None] * direction, axis=2) - lengths
            legs = np.exp(1j * wavenumber[:, None] * farther[:, None])
            return np.abs(((legs @ transmit) * (legs @ receive)) @ band)

        limit = float(lengths.max())
        sides = half_widths(level, step=wavelength / _STEPS, limits=(limit, limit))
        if sides is None:
            raise MeasurementError(
                "the spot is longer than its distance to the array",
                location=f"({1e3 * point[0]:.4g}, {1e3 * point[1]:.4g}) mm",
                hint="the bandwidth is a fraction of the centre frequency",
            )
        return sum(sides)

    return DiffractionLimit(lateral_fwhm=width((1.0, 0.0, 0.0)), axial_fwhm=width((0.0, 0.0, 1.0)))


def _places(element_positions: npt.ArrayLike) -> Floats:
    """(n_elements, 3) of positions, or of lateral positions."""
    given = np.asarray(element_positions)
    if given.ndim == 1:
        given = np.stack([given, np.zeros_like(given), np.zeros_like(given)], axis=1)
    return finite_array(given, "element_positions", (None, 3))


def _weights(given: npt.ArrayLike | None, name: str, n_elements: int) -> Floats:
    weights = finite_array(np.ones(n_elements) if given is None else given, name, (n_elements,))
    if not np.any(weights):
        raise GeometryError("no element in use", location=name)
    return weights
