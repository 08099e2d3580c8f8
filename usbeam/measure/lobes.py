"""What a spot spills beside its main lobe.

A beam profile is the largest level at each lateral position, whatever the depth (or at each depth, whatever the lateral
position): side lobes of a wide aperture bend away from the line through the peak, and count all the same.

The main lobe ends, on each side, at the first minimum of the beam profile beyond the half-maximum crossing, and at
`MAIN_LOBE` times the crossing's distance at the latest. A short pulse smears the minima away and leaves a skirt; then
the second rule says from where on it counts as side lobe. The first zero of an unapodised aperture lies at 1.66 times
the distance of the crossing on one way and at 2.26 times on both, of a Hann window on both ways at 2.78 times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.measure.bandlimited import Surface
from usbeam.measure.width import Sides

MAIN_LOBE = 3.0
"""Farthest end of a main lobe, in half widths."""
SAME_RANGE = 0.05
"""Grating lobes are sought where the distance to the array's centre differs from the spot's by up to this fraction."""
_FLOOR = 1e-10


def decibels(ratio: Floats | float) -> Floats:
    """20 log10, not below -200 dB."""
    return 20 * np.log10(np.maximum(ratio, _FLOOR))


def main_lobe(position: Floats, beam: Floats, center: float, crossings: Sides) -> Sides:
    """How far the main lobe reaches.

    Parameters
    ----------
    position, beam : (n,)
        Beam profile.
    center
        Where the peak is.
    crossings
        How far the profile through the peak is above half.

    Returns
    -------
    (before, after)
        Distances [m].
    """
    before, after = crossings
    return (
        _end(center - position[::-1], beam[::-1], before),
        _end(position - center, beam, after),
    )


def _end(distance: Floats, beam: Floats, crossing: float) -> float:
    """End of the main lobe on the side where distances are positive."""
    distance, beam = distance[distance > crossing], beam[distance > crossing]
    rises = np.flatnonzero(np.diff(beam) > 0)
    return min(float(distance[rises[0]]) if rises.size else np.inf, MAIN_LOBE * crossing)


def peak_sidelobe_db(position: Floats, beam: Floats, center: float, ends: Sides) -> float | None:
    """Highest level of the beam profile beyond the main lobe's ends; None where it reaches no farther."""
    beyond = beam[(position < center - ends[0]) | (position > center + ends[1])]
    return float(decibels(beyond.max())) if beyond.size else None


def integrated_sidelobe_db(patch: Grid, level: Floats, center: tuple[float, float], ends: tuple[Sides, Sides]) -> float:
    """Energy outside the main lobe over energy inside it [dB].

    The main lobe is the ellipse around `center` (x, z) that goes out to its `ends` (along x, along z), each quarter
    with its own half axes.
    """
    x, z = (
        (axis - middle) / np.where(axis < middle, *end)
        for axis, middle, end in zip((patch.x, patch.z), center, ends, strict=True)
    )
    inside = x**2 + z[:, None] ** 2 <= 1
    energy = level**2
    return float(decibels(np.sqrt(energy[~inside].sum() / energy[inside].sum())))


def grating_lobe_db(
    image: Image, center: tuple[float, float], peak: float, pitch: float | None, wavelength: float | None
) -> float | None:
    """Highest level where grating lobes would be, over a spot's peak.

    Elements a pitch d apart put grating lobes of a spot at angle a to where sin(angle) = sin(a) + m wavelength / d,
    m = 1, -1, 2, ..., at about the same distance from the array; a short pulse smears them over some range (P. D.
    Wilcox and J. Zhang, "Quantification of the effect of array element pitch on imaging performance", IEEE Trans.
    Ultrason. Ferroelectr. Freq. Control 65(4), 2018). Here everything counts that lies more than halfway to the first,
    |sin(angle) - sin(a)| > wavelength / (2 d), and within `SAME_RANGE` of the spot's distance (`in_grating_sector`).
    Another spot there would count as well.

    Returns
    -------
    float or None
        None where pitch or wavelength is not known, or the image does not reach there.
    """
    if pitch is None or wavelength is None:
        return None
    there = in_grating_sector(image.grid.x, image.grid.z[:, None], center, pitch, wavelength)
    if not np.any(there):
        return None
    brightest = np.argmax(np.where(there, image.envelope().data, -1))
    row, column = (int(i) for i in np.unravel_index(brightest, image.grid.shape))
    *_, height = Surface.around(image, (row, column)).summit((row, column))
    return float(decibels(height / peak))


def in_grating_sector(
    x: Floats, z: Floats, center: tuple[float, float], pitch: float, wavelength: float
) -> npt.NDArray[np.bool_]:
    """Which places are where `grating_lobe_db` looks for a spot's grating lobes, as seen from the array's centre."""
    distance, spot_distance = np.hypot(x, z), np.hypot(*center)
    turned = np.abs(x / distance - center[0] / spot_distance) > wavelength / (2 * pitch)
    return turned & (np.abs(distance / spot_distance - 1) <= SAME_RANGE)
