"""Oblique looks: two images with speckle of their own from the two sides of a line through two-way k-space.

The line runs through the centre of what was heard. Across the aperture k-space is known by its angular components
(`usbeam.beamforming.angular`), each a bin of the pixel-relative angle; along depth by the Fourier transform of each
component. With the components' positions m and the axial wavenumber kz, both in deviations from their means,

    p = cos(phi) (m - m0) / sigma_m + sin(phi) (kz - kz0) / sigma_kz

is the distance from the line at angle phi: 0 splits left from right, pi / 2 low from high frequencies. One look keeps
what lies below, the other what lies above, both fading in as a raised cosine from the line on, so that they have
nothing in common. The angle is local: a lateral Fourier transform would not do, because near the sides of the field the
array lies to one side, and the two looks would differ in level.

Means and deviations are those of the images' energy. Complex images carry their carrier, which a coarse step in depth
folds to another wavenumber; so the axial ones are circular (K. V. Mardia and P. E. Jupp, "Directional Statistics",
Wiley 2000, chapter 2), taken from the correlation of neighbours in depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import GeometryError, MeasurementError
from usbeam.grid import Grid

DIAGONALS = (np.pi / 4, 3 * np.pi / 4)
"""Angles of lines [rad] whose four sides show a frame evenly."""
FADE = 0.3
"""Width of a look's rim where none is given, in deviations."""
_PADDING = 2.0
"""Zeros below the image, in periods of the rim: what a mask spreads past the bottom is 58 dB down at the top."""
_UNEVEN = 1e-4
"""Of a step in depth, by which steps may differ."""

Complex = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Centre:
    """Where the energy of angular components lies in k-space.

    Parameters
    ----------
    position, position_deviation
        Over the components.
    frequency, frequency_deviation
        Along depth [cycles per sample]; the first on the periodic axis, from -0.5 to 0.5.
    """

    position: float
    position_deviation: float
    frequency: float
    frequency_deviation: float


def refuse_depths(grid: Grid, settings: Mapping[str, Any]) -> None:
    """Depths that no Fourier transform along them makes sense of.

    Parameters
    ----------
    grid
        Of the components.
    settings
        Theirs: wavelength [m] and fractional bandwidth.

    Raises
    ------
    GeometryError
        If the depths are not evenly spaced, or too coarsely for the pulse's band to fit.
    """
    steps = np.diff(grid.z)
    # The two-way band is about twice as wide at -24 dB as at -6 dB.
    most = settings["wavelength"] / (4 * settings["bandwidth"])
    hint = f"take a step in depth of at most {most * 1e3:.3g} mm"
    if not steps.size or np.ptp(steps) > _UNEVEN * steps.mean():
        raise GeometryError(
            "looks need evenly spaced depths",
            location="grid.z",
            expected="two at least, with equal steps",
            found=f"{len(grid.z)} depths",
            hint=hint,
        )
    if steps.mean() > most * (1 + _UNEVEN):
        raise GeometryError(
            "the depths are too coarse to tell the pulse's frequencies apart",
            location="grid.z",
            expected=f"a step that a bandwidth of {settings['bandwidth']:.0%} fits",
            found=f"{steps.mean() * 1e3:.3g} mm",
            hint=hint,
        )


def centre(components: Complex, position: Floats) -> Centre:
    """Means and deviations of the energy of angular components.

    Parameters
    ----------
    components : (n_components, n_z, n_x)
        Complex images.
    position : (n_components,)
        Of each on the angular axis.

    Raises
    ------
    MeasurementError
        If they are zero, or do not vary along either axis.
    """
    energy, neighbours = np.zeros(len(components)), 0j
    for m, image in enumerate(components):
        wide = image.astype(np.complex128)
        energy[m] = np.sum(wide.real**2 + wide.imag**2)
        neighbours += np.vdot(wide[:-1], wide[1:])
    total = energy.sum()
    if total == 0:
        raise MeasurementError("the images are zero everywhere", location="looks", hint="is the grid in the record?")
    mean = float(energy @ position / total)
    deviation = math.sqrt(energy @ (position - mean) ** 2 / total)
    # The first and the last row have one neighbour only.
    inner = total - sum(
        np.sum(np.abs(row.astype(np.complex128)) ** 2) / 2 for row in (components[:, 0], components[:, -1])
    )
    alike = abs(neighbours) / inner
    if deviation == 0 or not 0 < alike < 1:
        raise MeasurementError("the images lie in one point of k-space, which cannot be split", location="looks")
    return Centre(
        mean, deviation, float(np.angle(neighbours)) / (2 * np.pi), math.sqrt(-2 * math.log(alike)) / (2 * np.pi)
    )


def split(components: Complex, position: Floats, angles: Floats, where: Centre, fade: float = FADE) -> Complex:
    """The looks on both sides of lines through k-space.

    Parameters
    ----------
    components : (n_components, n_z, n_x)
        Complex images on a grid that is uniform in depth.
    position : (n_components,)
        Of each on the angular axis.
    angles : (n_angles,)
        Of the lines [rad].
    where
        The point that they run through, and the scales of both axes.
    fade
        Width of a look's rim, in deviations.

    Returns
    -------
    (n_angles, 2, n_z, n_x) complex64
        Below the line and above it.
    """
    import scipy.fft

    _, n_z, n_x = components.shape
    padding = math.ceil(_PADDING / (fade * where.frequency_deviation))
    n_fft = cast(int, scipy.fft.next_fast_len(n_z + min(padding, n_z)))
    spectra = np.asarray(scipy.fft.fft(components, n_fft, axis=1))
    frequency = (np.fft.fftfreq(n_fft) - where.frequency + 0.5) % 1.0 - 0.5
    across = (position - where.position) / where.position_deviation
    along = frequency / where.frequency_deviation
    distance = np.cos(angles)[:, None, None] * across + np.sin(angles)[:, None, None] * along[:, None]
    sides = np.stack([_fade_in(-distance / fade), _fade_in(distance / fade)], axis=1)
    # One real matrix product per wavenumber: (n_fft, looks, components) by (n_fft, components, 2 n_x).
    masks = sides.reshape(-1, n_fft, len(components)).transpose(1, 0, 2).astype(np.float32)
    masked = (masks @ spectra.view(np.float32).transpose(1, 0, 2)).view(np.complex64)
    looks = np.asarray(scipy.fft.ifft(masked, axis=0, overwrite_x=True))[:n_z]
    return np.ascontiguousarray(looks.transpose(1, 0, 2)).reshape(len(angles), 2, n_z, n_x)


def _fade_in(t: Floats) -> Floats:
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(t, 0, 1))
