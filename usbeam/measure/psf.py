"""Point-spread functions: how an image shows a point.

Every level is one of the linear envelope, every length is found between the pixels (`usbeam.measure.bandlimited`), and
nothing is fitted: a spot is as wide as it is where it has fallen to half of its peak (-6.02 dB).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import binary_propagation

from usbeam.checks import Floats
from usbeam.errors import ConfigError, MeasurementError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.measure import lobes
from usbeam.measure.bandlimited import Surface
from usbeam.measure.diffraction import DiffractionLimit as DiffractionLimit
from usbeam.measure.diffraction import diffraction_limit as diffraction_limit
from usbeam.measure.lobes import decibels
from usbeam.measure.main_lobe import MainLobe, finer
from usbeam.measure.peaks import Pixel, brightest, envelope_of
from usbeam.measure.peaks import find as find

REACH = 5.0
"""Half width of the window around a spot, in units of the larger of its two widths, where none is given."""
FEW_SAMPLES = 4.0
"""Pixels across a width below which it is doubtful."""
EDGE_ENERGY = 5e-4
"""Fraction of the energy in the outer fifth of the band above which pixels are too far apart: widths err by 1 %."""
FLAT = 3
"""Pixels in a row at the very maximum that no band-limited spot has."""
FINENESS = 16
"""Samples of the patch across a width."""
_log = logging.getLogger("usbeam")


@dataclass(frozen=True, eq=False)
class Profile:
    """Levels along a line through a spot's peak.

    Parameters
    ----------
    position : (n,)
        Where: x or z [m].
    level_db : (n,)
        Envelope over the spot's peak.
    """

    position: Floats
    level_db: Floats


@dataclass(frozen=True, eq=False)
class Spot:
    """The image of a point.

    Parameters
    ----------
    x, z
        Of the peak, between the pixels [m].
    peak
        Its envelope.
    lateral_fwhm, axial_fwhm
        Full width at half of the peak along x and along z, through the peak [m].
    major_fwhm, minor_fwhm
        The same along the spot's own long axis and across it: the principal axes of the second moments of what lies
        above half of the peak, weighted by how far above. They tell of oblique spread.
    angle
        From +x toward +z (down) to the long axis, above -pi/2 and up to pi/2 [rad].
    peak_sidelobe_db
        Highest level outside the main lobe, in the window, over the peak (`usbeam.measure.lobes` says where it ends);
        None where the window or the image ends within the main lobe.
    integrated_sidelobe_db
        Energy in the window outside the main lobe over the energy inside it.
    grating_lobe_db
        Highest level where grating lobes would be; None where pitch or wavelength is not known, or the image does not
        reach there.
    warnings
        What makes these figures doubtful, in sentences.
    lateral, axial
        Profiles along x and along z through the peak, over the window.
    patch
        The envelope within the window, finely sampled.
    """

    x: float
    z: float
    peak: float
    lateral_fwhm: float
    axial_fwhm: float
    major_fwhm: float
    minor_fwhm: float
    angle: float
    peak_sidelobe_db: float | None
    integrated_sidelobe_db: float
    grating_lobe_db: float | None
    warnings: tuple[str, ...]
    lateral: Profile
    axial: Profile
    patch: Image

    def plot(self, ax: Any = None) -> Any:
        """Draw contour and cross-sections, `usbeam.show.plot.psf`, on a pair of matplotlib Axes or a new figure."""
        from usbeam.show import plot

        return plot.psf(self, ax=ax)


def measure(
    image: Image,
    near: tuple[float, float] | None = None,
    *,
    window: float | None = None,
    within: float = 1e-3,
    pitch: float | None = None,
    wavelength: float | None = None,
) -> Spot:
    """Measure one spot.

    Parameters
    ----------
    image
        Complex or envelope, on a uniform grid. A complex image may have pixels a quarter of a wavelength apart.
    near
        (x, z) [m]: the brightest local maximum within `within` of it is measured. If not given: the image's maximum.
    window
        Half width of the square around the peak in which side lobes are sought [m]; if not given, `REACH` times the
        larger of the lateral and axial widths.
    within
        Search radius around `near` [m].
    pitch, wavelength
        Of the array [m], for the grating lobes; if not given, as the image's settings have them.

    Returns
    -------
    Spot

    Raises
    ------
    ConfigError
        For a dB image, an uneven grid, or sizes that are not positive.
    MeasurementError
        If the image is empty, the place lies outside it, there is no peak near the place or it lies on the border, or
        the spot does not fall to half of its peak before the border.

    Examples
    --------
    A Gaussian spot, 0.5 mm wide and 0.3 mm high:

    >>> grid = Grid.linear(x=(-3e-3, 3e-3), z=(7e-3, 13e-3), shape=(61, 61))
    >>> x, z = np.meshgrid(grid.x / 0.5e-3, (grid.z - 10e-3) / 0.3e-3)
    >>> spot = measure(Image(np.exp(-4 * np.log(2) * (x**2 + z**2)).astype(np.complex64), grid))
    >>> f"{1e3 * spot.lateral_fwhm:.4f} mm, {1e3 * spot.axial_fwhm:.4f} mm"
    '0.5000 mm, 0.3000 mm'
    """
    for name, size in (("window", window), ("within", within), ("pitch", pitch), ("wavelength", wavelength)):
        if size is not None and not (np.isfinite(size) and size > 0):
            raise ConfigError("not a positive length", location=name, expected="metres > 0", found=size)
    pixel = brightest(image, near, within)
    surface = Surface.around(image, pixel)
    x, z, peak = surface.summit(pixel)
    lobe = MainLobe.around(surface, (x, z))
    widths = sum(lobe.lateral), sum(lobe.axial)
    reach = REACH * max(widths) if window is None else window
    fine = finer(image.grid, (x, z), reach, (widths[0] / FINENESS, widths[1] / FINENESS))
    level = surface.on(fine) / peak
    beam_x, beam_z = level.max(axis=0), level.max(axis=1)
    ends_x, ends_z = lobes.main_lobe(fine.x, beam_x, x, lobe.lateral), lobes.main_lobe(fine.z, beam_z, z, lobe.axial)
    pitch, wavelength = pitch or _length(image, "pitch"), wavelength or _length(image, "wavelength")
    return Spot(
        x=x,
        z=z,
        peak=peak,
        lateral_fwhm=widths[0],
        axial_fwhm=widths[1],
        major_fwhm=lobe.along,
        minor_fwhm=lobe.across,
        angle=lobe.angle,
        peak_sidelobe_db=lobes.peak_sidelobe_db(fine.x, beam_x, x, ends_x),
        integrated_sidelobe_db=lobes.integrated_sidelobe_db(fine, level, (x, z), (ends_x, ends_z)),
        grating_lobe_db=lobes.grating_lobe_db(image, (x, z), peak, pitch, wavelength),
        warnings=(*_sampling_doubts(image, pixel, surface, widths), *_lobe_doubts(image.grid, (x, z), lobe, reach)),
        lateral=Profile(fine.x, decibels(level[np.searchsorted(fine.z, z)])),
        axial=Profile(fine.z, decibels(level[:, np.searchsorted(fine.x, x)])),
        patch=dataclasses.replace(image, data=(peak * level).astype(np.float32), grid=fine, state="envelope"),
    )


def survey(
    image: Image,
    points: Iterable[tuple[float, float]] | None = None,
    *,
    window: float | None = None,
    within: float = 1e-3,
    pitch: float | None = None,
    wavelength: float | None = None,
) -> list[Spot]:
    """Measure the spots of a whole phantom, for widths over depth and over lateral position.

    Parameters
    ----------
    image, window, within, pitch, wavelength
        As in `measure`.
    points
        Places (x, z) [m]; those that `find` finds if not given.

    Returns
    -------
    list of Spot
        In the order of the points. A point that cannot be measured is left out, and a warning in the log
        (``usbeam``) says which and why. A spot that has another one where its grating lobes would be has no level of
        them, and a warning.

    Raises
    ------
    ConfigError
        As in `measure`.
    MeasurementError
        If the image is empty, or there is no spot that can be measured.
    """
    spots: list[Spot] = []
    for point in find(image) if points is None else points:
        try:
            spots.append(measure(image, point, window=window, within=within, pitch=pitch, wavelength=wavelength))
        except MeasurementError as error:
            _log.warning("not measured: %s", error)
    if not spots:
        raise MeasurementError("no spot that can be measured", location="the image", hint="name places with near=")
    pitch, wavelength = pitch or _length(image, "pitch"), wavelength or _length(image, "wavelength")
    if pitch is None or wavelength is None:
        return spots
    return [_without_neighbours(spot, spots, pitch, wavelength) for spot in spots]


def _without_neighbours(spot: Spot, spots: Sequence[Spot], pitch: float, wavelength: float) -> Spot:
    """No level of grating lobes where it would be that of another spot."""
    x, z = np.array([(other.x, other.z) for other in spots]).T
    if spot.grating_lobe_db is None or not np.any(lobes.in_grating_sector(x, z, (spot.x, spot.z), pitch, wavelength)):
        return spot
    doubt = "another spot lies where grating lobes would be"
    return dataclasses.replace(spot, grating_lobe_db=None, warnings=(*spot.warnings, doubt))


def _length(image: Image, name: str) -> float | None:
    """A length of the image's settings, which may come from any file."""
    value = image.settings.get(name)
    return float(value) if isinstance(value, int | float) and np.isfinite(value) and value > 0 else None


def _sampling_doubts(image: Image, pixel: Pixel, surface: Surface, widths: tuple[float, float]) -> Iterator[str]:
    """Whether the pixels hold the spot."""
    envelope, names = envelope_of(image), ("lateral", "axial")
    for name, width, step, edge in zip(
        names, widths, reversed(image.grid.spacing), reversed(surface.edge_energy), strict=True
    ):
        if width < FEW_SAMPLES * step:
            yield f"fewer than {FEW_SAMPLES:g} samples across the {name} width ({width / step:.3g})"
        if edge > EDGE_ENERGY:
            yield f"the {name} step of the grid, {1e3 * step:.3g} mm, is too coarse: widths may be off by more than 1 %"
    seed = np.zeros(envelope.shape, bool)
    seed[pixel] = True
    rows, columns = np.nonzero(binary_propagation(seed, mask=envelope == envelope[pixel]))
    if max(np.ptp(rows), np.ptp(columns)) + 1 >= FLAT:
        yield f"the peak looks clipped: {len(rows)} neighbouring pixels have the very same value"


def _lobe_doubts(grid: Grid, center: tuple[float, float], lobe: MainLobe, reach: float) -> Iterator[str]:
    """Whether the main lobe is one spot, the window holds it, and the image the window."""
    if lobe.n_peaks > 1:
        yield f"the main lobe has {lobe.n_peaks} peaks: neighbouring points, or a spot that is split"
    if max(*lobe.lateral, *lobe.axial) > reach:
        yield "a half-maximum crossing lies outside the window"
    room = min(min(c - axis[0], axis[-1] - c) for c, axis in zip(center, (grid.x, grid.z), strict=True))
    if room < reach:
        yield "the window reaches beyond the image: side lobes are those within it"
