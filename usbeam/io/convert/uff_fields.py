"""The parts of UFF channel data as they are stored: waves, samples, probe, numbers and text.

`usbeam.io.convert.uff` makes a recording of them. All raise `MissingField` or `BadField` for what cannot be read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert.uff_waves import WAVEFRONTS, Wave
from usbeam.io.convert.variables import Variables, describe
from usbeam.probe import Probe

PROBE_KINDS = {"uff.linear_array": "linear", "uff.curvilinear_array": "curved", "uff.matrix_array": "matrix"}


def read_wave(variables: Variables, name: str) -> Wave:
    """A ``uff.wave``; a kind of wave that is not stored is spherical, an angle, distance or delay 0, as in pyuff."""
    front = number(variables, f"{name}.wavefront", WAVEFRONTS.index("spherical"))
    if front not in range(len(WAVEFRONTS)):
        raise BadField(
            "unknown kind of wave",
            path=variables.path,
            location=f"{name}.wavefront",
            expected="0 plane, 1 spherical or 2 photoacoustic",
            found=front,
        )
    distance = f"{name}.source.distance"
    return Wave(
        wavefront=WAVEFRONTS[int(front)],
        azimuth=finite(variables, f"{name}.source.azimuth"),
        elevation=number(variables, f"{name}.source.elevation", 0.0),
        distance=np.inf if _is_infinite(variables, distance) else number(variables, distance, 0.0),
        delay=number(variables, f"{name}.delay", 0.0),
    )


def read_weights(variables: Variables, name: str, n_elements: int) -> Floats | None:
    """What each element fired with, where the wave stores it; a window that is still to be computed is none."""
    for field in (f"{name}.apodization_values", f"{name}.apodization.apodization_vector"):
        if variables.find(field) is not None:
            weights = variables.vector(field)
            if weights.size != n_elements or not np.all(np.isfinite(weights)):
                raise BadField(
                    "not a weight for each element",
                    path=variables.path,
                    location=field,
                    expected=f"{n_elements} finite numbers",
                    found=f"{weights.size} numbers",
                )
            return weights
    return None


def read_aperture(variables: Variables, name: str) -> Floats | None:
    """``wave.origin`` [m], where it is stored and is not the origin of coordinates, its default."""
    if variables.find(f"{name}.origin.distance") is None:
        return None
    names = [f"{name}.origin.{part}" for part in ("azimuth", "elevation", "distance")]
    point = Wave("spherical", *(number(variables, each, 0.0) for each in names))
    return point.source if point.distance else None


def read_samples(variables: Variables, root: str, n_waves: int) -> npt.NDArray[Any]:
    """``(n_frames, n_waves, n_channels, n_samples)``: int16, float32, complex64, or complex128 if stored so."""
    name = f"{root}.data"
    parts = variables[name]
    if isinstance(parts, dict):
        real, imaginary = (variables.array(f"{name}.{part}") for part in ("real", "imag"))
        if real.shape != imaginary.shape or "c" in (real.dtype.kind, imaginary.dtype.kind):
            raise BadField(
                "real and imaginary part do not fit",
                path=variables.path,
                location=name,
                expected="two real arrays of one shape",
                found=f"{describe(real)}, {describe(imaginary)}",
            )
        samples = np.empty(real.shape, np.complex64)
        if real.dtype == np.float64:  # of ours, turned: turning back needs the digits
            samples = samples.astype(np.complex128)
        samples.real, samples.imag = real, imaginary
    else:
        array = variables.array(name)
        if array.dtype != np.int16:
            array = array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)
        samples = array
    if not 1 < samples.ndim <= 4 or not samples.size:
        raise BadField("no samples", path=variables.path, location=name, found=describe(samples))
    samples = samples.reshape((1,) * (4 - samples.ndim) + samples.shape)
    if samples.shape[1] != n_waves:
        raise BadField(
            "not as many waves as in the sequence",
            path=variables.path,
            location=name,
            expected=f"(n_frames, n_waves={n_waves}, n_channels, n_samples)",
            found=samples.shape,
        )
    return samples


def read_probe(variables: Variables, name: str, center_frequency: float) -> Probe:
    """A ``uff.probe``, or one of its kinds; MATLAB's need not state more than x, y and z."""
    geometry = variables.array(f"{name}.geometry")
    if geometry.ndim != 2 or not 3 <= geometry.shape[0] <= 7 or geometry.dtype.kind == "c":
        raise BadField(
            "not the geometry of a probe",
            path=variables.path,
            location=f"{name}.geometry",
            expected="(7, n_elements): x, y, z, azimuth, elevation, width, height",
            found=describe(geometry),
            hint="the array looks transposed" if geometry.shape[-1:] == (7,) else None,
        )
    columns = np.zeros((7, geometry.shape[1]))
    columns[: len(geometry)] = geometry
    azimuth, elevation, width, height = columns[3:]
    tilted = bool(np.any(azimuth) or np.any(elevation))
    normals = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    return Probe(
        element_positions=columns[:3].T,
        center_frequency=center_frequency,
        element_normals=np.stack(normals, axis=1) if tilted else None,
        bandwidth=number(variables, name.replace(".probe", ".pulse.fractional_bandwidth"), 0.0) or None,
        element_width=float(np.median(width)) or None,
        element_height=float(np.median(height)) or None,
        kind=PROBE_KINDS.get(str(variables.find(f"{name}@class")), "custom"),
    )


def number(variables: Variables, name: str, default: float) -> float:
    """One finite number, or the default where there is none."""
    return default if variables.find(name) is None else finite(variables, name)


def finite(variables: Variables, name: str) -> float:
    """One finite number."""
    value = variables.scalar(name)
    if not np.isfinite(value):
        raise BadField("not a finite number", path=variables.path, location=name, found=value)
    return value


def _is_infinite(variables: Variables, name: str) -> bool:
    return variables.find(name) is not None and bool(np.isinf(variables.scalar(name)))


def read_text(variables: Variables, name: str) -> str:
    """Text stored as character codes, one or a cell array of them; empty where there is none."""
    value = variables.find(name)
    lines = list(value.values()) if isinstance(value, dict) else [value]
    return "; ".join(
        "".join(chr(int(code)) for code in line.ravel() if 0 < code < 0xD800)
        for line in lines
        if isinstance(line, np.ndarray) and line.dtype.kind in "iuf"
    )
