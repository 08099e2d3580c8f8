"""The transducer: where its elements are, which way they look, and what they pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from usbeam.checks import Floats, finite_array, positive, unit_vectors
from usbeam.errors import GeometryError

PROBE_KINDS = ("linear", "phased", "curved", "matrix", "custom")
MAX_ELEMENTS = 65536
"""More than any array has; a file that claims more is damaged."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe:
    """The transducer.

    Parameters
    ----------
    element_positions : (n_elements, 3)
        Element centres [m].
    center_frequency : float
        Centre of the two-way pass-band [Hz].
    element_normals : (n_elements, 3), optional
        Unit vectors out of each element; +z where not given.
    bandwidth : float, optional
        Two-way -6 dB bandwidth as a fraction of the centre frequency, as it shows in the received echoes.
    element_width, element_height : float, optional
        Size of an element along x and y [m].
    lens_delay : float
        One-way delay of the lens [s]; it is passed twice.
    name, kind, manufacturer : str
        Kind is linear, phased, curved, matrix or custom.

    Raises
    ------
    GeometryError
        For non-finite, coinciding or wrongly shaped positions and non-positive sizes or frequencies.
    """

    element_positions: Floats
    center_frequency: float
    element_normals: Floats | None = None
    bandwidth: float | None = None
    element_width: float | None = None
    element_height: float | None = None
    lens_delay: float = 0.0
    name: str = ""
    kind: str = "linear"
    manufacturer: str = ""

    def __post_init__(self) -> None:
        positions = finite_array(self.element_positions, "probe/element_positions", (None, 3))
        object.__setattr__(self, "element_positions", positions)
        if not 1 <= len(positions) <= MAX_ELEMENTS:
            raise GeometryError(
                "the probe has no element" if not len(positions) else "too many elements for a probe",
                location="probe/element_positions",
                expected=f"1..{MAX_ELEMENTS}",
                found=len(positions),
            )
        if len(np.unique(positions, axis=0)) < len(positions):
            raise GeometryError(
                "two elements at the same place",
                location="probe/element_positions",
                hint="give every element its own position in metres",
            )
        positive(self.center_frequency, "probe/center_frequency")
        for name in ("bandwidth", "element_width", "element_height"):
            if getattr(self, name) is not None:
                positive(getattr(self, name), f"probe/{name}")
        if not (np.isfinite(self.lens_delay) and self.lens_delay >= 0):
            raise GeometryError("not a time >= 0", location="probe/lens_delay", found=self.lens_delay)
        if self.kind not in PROBE_KINDS:
            raise GeometryError(
                "unknown probe kind", location="probe/kind", expected=", ".join(PROBE_KINDS), found=self.kind
            )
        if self.element_normals is not None:
            normals = unit_vectors(self.element_normals, "probe/element_normals", len(positions))
            object.__setattr__(self, "element_normals", normals)

    @classmethod
    def linear(cls, n_elements: int, pitch: float, center_frequency: float, **others: Any) -> Probe:
        """A straight array along x, centred on the origin.

        Parameters
        ----------
        n_elements, pitch, center_frequency
            Count, distance between element centres [m], frequency [Hz].
        **others
            Any other field of `Probe`.

        Examples
        --------
        >>> Probe.linear(64, 0.3e-3, 5e6).aperture
        0.0189
        """
        positions = np.zeros((n_elements, 3))
        positions[:, 0] = (np.arange(n_elements) - (n_elements - 1) / 2) * pitch
        return cls(element_positions=positions, center_frequency=center_frequency, **others)

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return len(self.element_positions)

    @property
    def aperture(self) -> float:
        """Distance along x between the outermost element centres [m]."""
        return float(np.round(np.ptp(self.element_positions[:, 0]), 12))

    @property
    def pitch(self) -> float | None:
        """Distance between neighbouring centres [m] of a uniform straight array along x; None for any other."""
        x, *rest = self.element_positions.T
        steps = np.diff(x)
        if not steps.size or steps[0] == 0:
            return None
        pitch = float(steps.mean())
        tolerance = 1e-3 * abs(pitch)
        straight = all(np.ptp(axis) <= tolerance for axis in rest)
        return abs(pitch) if straight and np.all(np.abs(steps - pitch) <= tolerance) else None

    @cached_property
    def normals(self) -> Floats:
        """``(n_elements, 3)``: `element_normals`, or +z where they are not given."""
        if self.element_normals is not None:
            return self.element_normals
        return np.tile([0.0, 0.0, 1.0], (self.n_elements, 1))
