"""Phantoms: point scatterers, and the truth about them.

Speckle is a dense field of scatterers at random places with random strengths. It is fully developed from about ten
scatterers per resolution cell on (R. F. Wagner, S. W. Smith, J. M. Sandrik and H. Lopez, "Statistics of speckle in
ultrasound B-scans", IEEE Trans. Sonics Ultrason. 30(3), 1983); cysts and inclusions are circles in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Truth
from usbeam.checks import Floats
from usbeam.errors import ConfigError, GeometryError
from usbeam.probe import Probe

Limits = tuple[float, float]
Circle = tuple[float, float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Phantom:
    """Point scatterers.

    Parameters
    ----------
    positions : (n_scatterers, 3)
        Where they are [m].
    amplitudes : (n_scatterers,)
        How strongly each reflects; negative inverts the echo.
    truth
        The point targets and regions that an image of the phantom should show.
    title
        What it is, in a few words.

    Raises
    ------
    GeometryError
        For wrong shapes and non-finite values.
    """

    positions: Floats
    amplitudes: Floats
    truth: Truth = field(default_factory=Truth)
    title: str = ""

    def __post_init__(self) -> None:
        positions = np.array(self.positions, np.float64)
        amplitudes = np.array(self.amplitudes, np.float64)
        if positions.ndim != 2 or positions.shape[1] != 3 or amplitudes.shape != positions.shape[:1]:
            raise GeometryError(
                "positions and amplitudes do not fit",
                location="phantom",
                expected="(n_scatterers, 3) and (n_scatterers,)",
                found=f"{positions.shape} and {amplitudes.shape}",
            )
        if not (np.all(np.isfinite(positions)) and np.all(np.isfinite(amplitudes))):
            raise GeometryError("a position or amplitude is not finite", location="phantom")
        for name, array in (("positions", positions), ("amplitudes", amplitudes)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)


def resolution_cell(probe: Probe, depth: float, sound_speed: float = 1540.0) -> tuple[float, float]:
    """Size of the resolution cell at a depth, ``(lateral, axial)`` [m].

    Lateral: wavelength times depth over aperture, but no finer than half a wavelength. Axial: half the length that the
    two-way pulse of -6 dB bandwidth B occupies, ``sound_speed / (2 B)`` (T. L. Szabo, "Diagnostic Ultrasound Imaging:
    Inside Out", 2nd ed. 2014, chapters 6 and 10). Wide elements and an f-number make the real cell larger, so that a
    density per this cell is a lower bound.

    Parameters
    ----------
    probe
        Must state its bandwidth.
    depth, sound_speed
        In m and m/s.

    Raises
    ------
    ConfigError
        If the probe states no bandwidth.

    Examples
    --------
    >>> probe = Probe.linear(64, 0.625e-3, 7.5e6, bandwidth=0.65)
    >>> lateral, axial = resolution_cell(probe, 25e-3)
    >>> round(lateral * 1e6), round(axial * 1e6)
    (130, 158)
    """
    if probe.bandwidth is None:
        raise ConfigError(
            "the probe states no bandwidth",
            location="probe/bandwidth",
            hint="for example Probe.linear(..., bandwidth=0.65)",
        )
    wavelength = sound_speed / probe.center_frequency
    aperture = max(probe.aperture, wavelength)
    return wavelength * max(depth / aperture, 0.5), sound_speed / (2 * probe.bandwidth * probe.center_frequency)


def points(*, x: Limits, z: Limits, spacing: float = 10e-3, amplitude: float = 1.0) -> Phantom:
    """Point targets at all multiples of `spacing` that lie inside the limits, a fifth of the spacing from the rim.

    Parameters
    ----------
    x, z
        Limits ``(first, last)`` [m].
    spacing
        Distance between neighbours [m].
    amplitude
        Of every target.

    Raises
    ------
    ConfigError
        If no target fits.

    Examples
    --------
    >>> len(points(x=(-20e-3, 20e-3), z=(5e-3, 45e-3)).amplitudes)
    12
    """
    lattice = _lattice(x, z, spacing, spacing / 5)
    positions = np.stack([lattice[:, 0], np.zeros(len(lattice)), lattice[:, 1]], axis=1)
    return Phantom(
        positions=positions,
        amplitudes=np.full(len(positions), amplitude),
        truth=Truth(points=positions),
        title=f"{len(positions)} point targets",
    )


def speckle(
    probe: Probe, *, x: Limits, z: Limits, density: float = 20.0, sound_speed: float = 1540.0, seed: int = 0
) -> Phantom:
    """Uniform, fully developed speckle: uniformly random places, normally distributed amplitudes of variance 1.

    Parameters
    ----------
    probe
        Sets the size of the resolution cell.
    x, z
        Limits ``(first, last)`` [m].
    density
        Scatterers per `resolution_cell` at mid-depth.
    sound_speed
        In m/s.
    seed
        The same seed gives the same phantom.

    Raises
    ------
    ConfigError
        For limits in the wrong order, a density that is not positive, or a probe without bandwidth.

    Examples
    --------
    >>> probe = Probe.linear(64, 0.3e-3, 5e6, bandwidth=0.6)
    >>> speckle(probe, x=(-5e-3, 5e-3), z=(10e-3, 20e-3)).positions.shape
    (31877, 3)
    """
    _check_limits(x, z)
    if not (np.isfinite(density) and density > 0):
        raise ConfigError("density must be a positive number", location="density", found=density)
    lateral, axial = resolution_cell(probe, (z[0] + z[1]) / 2, sound_speed)
    count = round(density * (x[1] - x[0]) * (z[1] - z[0]) / (lateral * axial))
    rng = np.random.default_rng(seed)
    positions = np.zeros((count, 3))
    positions[:, 0] = rng.uniform(*x, count)
    positions[:, 2] = rng.uniform(*z, count)
    return Phantom(
        positions=positions,
        amplitudes=rng.standard_normal(count),
        title=f"uniform speckle, {density:g} scatterers per resolution cell",
    )


def inclusions(
    probe: Probe,
    *,
    x: Limits,
    z: Limits,
    circles: Sequence[Circle] | None = None,
    contrasts_db: Sequence[float] = (-12.0, -6.0, 6.0),
    density: float = 20.0,
    sound_speed: float = 1540.0,
    seed: int = 0,
) -> Phantom:
    """Circles in speckle whose mean echo level differs from their surroundings'.

    Parameters
    ----------
    probe, x, z, density, sound_speed, seed
        As for `speckle`.
    circles
        ``(x, z, radius)`` of each [m]; by default of 3 mm radius at all multiples of 10 mm that fit.
    contrasts_db
        Level of each circle over its surroundings [dB]; used in turn, again from the first when there are more circles.

    Raises
    ------
    ConfigError
        As `speckle`, and if no circle fits or no contrast is given.
    """
    if not contrasts_db:
        raise ConfigError("no contrast given", location="contrasts_db")
    chosen = _circles(x, z, circles)
    levels = [float(contrasts_db[index % len(contrasts_db)]) for index in range(len(chosen))]
    names = [f"inclusion_{index + 1}_{level:+g}dB" for index, level in enumerate(levels)]
    ground = speckle(probe, x=x, z=z, density=density, sound_speed=sound_speed, seed=seed)
    amplitudes = ground.amplitudes.copy()
    for circle, level in zip(chosen, levels, strict=True):
        amplitudes[_inside(ground.positions, circle)] *= 10 ** (level / 20)
    return Phantom(
        positions=ground.positions,
        amplitudes=amplitudes,
        truth=Truth(regions=dict(zip(names, chosen, strict=True))),
        title=f"{len(chosen)} inclusions in {ground.title}",
    )


def cysts(
    probe: Probe,
    *,
    x: Limits,
    z: Limits,
    circles: Sequence[Circle] | None = None,
    density: float = 20.0,
    sound_speed: float = 1540.0,
    seed: int = 0,
) -> Phantom:
    """Anechoic circles in speckle: no scatterer inside.

    Parameters
    ----------
    probe, x, z, circles, density, sound_speed, seed
        As for `inclusions`.

    Raises
    ------
    ConfigError
        As `inclusions`.
    """
    chosen = _circles(x, z, circles)
    ground = speckle(probe, x=x, z=z, density=density, sound_speed=sound_speed, seed=seed)
    kept = np.ones(len(ground.amplitudes), bool)
    for circle in chosen:
        kept &= ~_inside(ground.positions, circle)
    regions: Mapping[str, Circle] = {f"cyst_{index + 1}": circle for index, circle in enumerate(chosen)}
    return Phantom(
        positions=ground.positions[kept],
        amplitudes=ground.amplitudes[kept],
        truth=Truth(regions=regions),
        title=f"{len(chosen)} cysts in {ground.title}",
    )


def _circles(x: Limits, z: Limits, circles: Sequence[Circle] | None) -> list[Circle]:
    if circles is None:
        radius = 3e-3
        return [(float(cx), float(cz), radius) for cx, cz in _lattice(x, z, 10e-3, radius)]
    if not circles or not all(np.all(np.isfinite(circle)) and circle[2] > 0 for circle in circles):
        raise ConfigError("circles need finite centres and radii > 0", location="circles", found=circles)
    return list(circles)


def _inside(positions: Floats, circle: Circle) -> npt.NDArray[np.bool_]:
    x, z, radius = circle
    return (positions[:, 0] - x) ** 2 + (positions[:, 2] - z) ** 2 < radius**2


def _check_limits(x: Limits, z: Limits) -> None:
    for name, (first, last) in (("x", x), ("z", z)):
        if not (np.isfinite(first) and np.isfinite(last) and first < last):
            raise ConfigError(
                "limits are inverted or empty", location=name, expected="first < last", found=(first, last)
            )


def _lattice(x: Limits, z: Limits, spacing: float, margin: float) -> Floats:
    """``(n, 2)``: x and z of the multiples of `spacing` at least `margin` inside the limits, row by row in depth."""
    _check_limits(x, z)
    if not (np.isfinite(spacing) and spacing > 0):
        raise ConfigError("spacing must be positive", location="spacing", found=spacing)
    # A billionth of a step keeps those that lie on the margin itself but for rounding.
    columns, rows = (
        np.arange(np.ceil((first + margin) / spacing - 1e-9), np.floor((last - margin) / spacing + 1e-9) + 1) * spacing
        for first, last in (x, z)
    )
    lattice = np.array([(column, row) for row in rows for column in columns])
    if not len(lattice):
        raise ConfigError(
            "no target fits inside the limits",
            location="phantom",
            expected=f"room for a multiple of {spacing * 1e3:g} mm, {margin * 1e3:g} mm inside",
            found=f"x {x}, z {z} m",
            hint="give wider limits or another spacing",
        )
    return lattice
