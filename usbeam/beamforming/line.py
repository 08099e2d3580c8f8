"""What the Fourier beamformer asks of an array: elements on one straight line, a whole number of pitches apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import GeometryError
from usbeam.grid import Grid

HINT = "use method='das' (command line: --method das), which takes any geometry"
_TOLERANCE = 1 / 200
"""Wavelengths by which an element may lie off its place: 2 degrees of phase."""


@dataclass(frozen=True, eq=False)
class Line:
    """A uniform line of elements parallel to the image's x axis.

    Parameters
    ----------
    pitch
        Step between neighbouring places [m].
    origin
        x of place 0 [m].
    depth
        z of the line [m].
    slot : (n_elements,) int64
        Place of each element, counted in pitches from 0; places may be empty.
    """

    pitch: float
    origin: float
    depth: float
    slot: npt.NDArray[np.int64]

    @property
    def ends(self) -> tuple[float, float]:
        """x of the first and the last element [m]."""
        return self.origin, self.origin + self.pitch * float(self.slot.max())


def line_of(acquisition: Acquisition) -> Line:
    """The line that a recording's elements lie on.

    Raises
    ------
    GeometryError
        If they lie on none: off one line, unequally spaced, or turned out of the image plane.
    """
    probe, wavelength = acquisition.probe, acquisition.wavelength
    x, y, z = probe.element_positions.T
    allowed = _TOLERANCE * wavelength
    _refuse(acquisition, float(np.ptp(z)) > allowed, "the array is not flat", f"{np.ptp(z):.3g} m of depth")
    _refuse(
        acquisition, float(np.abs(y).max()) > allowed, "elements lie off the image plane", f"{y.min():g}..{y.max():g} m"
    )
    tilt = np.abs(probe.normals - np.array([0.0, 0.0, 1.0])).max(axis=1)
    worst = probe.normals[np.argmax(tilt)]
    _refuse(acquisition, tilt.max() > 1e-3, "elements are tilted", worst, location="probe/element_normals")
    order = np.argsort(x)
    steps: Floats = np.diff(x[order])
    pitch = float(steps.min()) if len(steps) else wavelength / 2
    _refuse(acquisition, pitch <= allowed, "elements lie on top of each other", f"{pitch:g} m apart")
    # Places counted from neighbour to neighbour, then a pitch from the whole line: no rounding adds up.
    places = np.concatenate([[0], np.cumsum(np.round(steps / pitch))])
    if len(steps):
        pitch = float(np.ptp(x)) / places[-1]
    slot = np.empty(len(x), np.int64)
    slot[order] = places
    off = float(np.abs(x - x.min() - slot * pitch).max())
    _refuse(acquisition, off > allowed, "the pitch is not uniform", f"an element {off:.3g} m off its place")
    return Line(pitch, float(x.min()), float(z.mean()), slot)


def wave_kind(acquisition: Acquisition) -> str:
    """``element`` or ``plane``, the kinds of transmit that have an exact wavenumber form.

    Raises
    ------
    GeometryError
        For any other kind, for a mixture, and for plane waves that leave the image plane.
    """
    kinds = sorted(set(acquisition.transmits.kind))
    known = kinds in (["element"], ["plane"])
    expected = "all of kind element, or all of kind plane"
    _refuse(
        acquisition, not known, "transmits without an exact Fourier form", ", ".join(kinds), "transmit/kind", expected
    )
    if kinds == ["plane"]:
        tilt = float(np.abs(np.asarray(acquisition.transmits.direction)[:, 1]).max())
        _refuse(acquisition, tilt > 1e-3, "a plane wave leaves the image plane", f"{tilt:.3g}", "transmit/direction")
    return kinds[0]


def depth_step(acquisition: Acquisition, grid: Grid) -> float:
    """Step of a uniform depth axis [m]; a quarter wavelength where there is one depth only.

    Raises
    ------
    GeometryError
        If the steps differ.
    """
    steps = np.diff(grid.z)
    if not len(steps):
        return acquisition.wavelength / 4
    step = float(np.ptp(grid.z)) / len(steps)
    if float(np.abs(grid.z - grid.z[0] - step * np.arange(len(grid.z))).max()) > _TOLERANCE * acquisition.wavelength:
        raise GeometryError(
            "Fourier beamforming needs equal steps in depth",
            path=acquisition.path,
            location="grid.z",
            expected=f"{step:g} m everywhere",
            found=f"{steps.min():g} to {steps.max():g} m",
            hint=f"interpolate the finished image, or {HINT}",
        )
    return step


def _refuse(
    acquisition: Acquisition,
    wrong: bool,
    what: str,
    found: object,
    location: str = "probe/element_positions",
    expected: str = "elements on one line parallel to x, equally spaced, facing +z",
) -> None:
    if wrong:
        raise GeometryError(
            f"Fourier beamforming cannot take this recording: {what}",
            path=acquisition.path,
            location=location,
            expected=expected,
            found=found,
            hint=HINT,
        )
