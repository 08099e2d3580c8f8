"""The samples of a mapping: which variable, in which axis order, and what has to be undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Kind
from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert.demodulation import demodulate
from usbeam.io.convert.quantities import Section
from usbeam.io.convert.variables import describe
from usbeam.probe import Probe

AXES = ("frame", "transmit", "receive", "sample")
_KEYS = (
    "variable",
    "imaginary",
    "cells",
    "axes",
    "subtract",
    "scale",
    "demodulate",
    "bandwidth",
    "demodulation_frequency",
)


@dataclass(frozen=True)
class Samples:
    """What `usbeam.acquisition.Acquisition` wants to know of the samples.

    Parameters
    ----------
    array : (n_frames, n_tx, n_rx, n_samples)
        int16 or float32 RF, complex64 IQ.
    kind, demodulation_frequency, scale
        As in `Acquisition`.
    """

    array: npt.NDArray[Any]
    kind: Kind
    demodulation_frequency: float
    scale: float


def read_samples(section: Section, probe: Probe, start_time: Floats | float, sampling_frequency: float) -> Samples:
    """Read ``[samples]`` of a mapping.

    Parameters
    ----------
    section
        The table.
    probe, start_time, sampling_frequency
        For demodulation and the check of band-pass sampling.

    Raises
    ------
    ConfigError, MissingField, BadField
        If keys contradict each other or the array does not have the axes that are named.
    """
    section.check_keys(*_KEYS)
    stored = _stored(section)
    scale = section.number("scale", "ratio") if "scale" in section else 1.0
    if stored.dtype.kind == "c":
        for key in ("demodulate", "bandwidth", "subtract"):
            if key in section:
                raise section.error("is for real samples; these are complex", key)
        carrier = section.number("demodulation_frequency", "frequency")
        return Samples((stored * scale).astype(np.complex64), "iq", carrier, 1.0)
    if "demodulation_frequency" in section:
        raise section.error("is for complex samples; these are real", "demodulation_frequency", hint="see demodulate")
    carrier = _carrier(section, probe)
    if not carrier and sampling_frequency < 2 * probe.center_frequency:
        raise section.error(
            "sampled below twice the centre frequency",
            expected="demodulate = true, which mixes with the true centre frequency",
            found=f"{sampling_frequency:.6g} Hz for {probe.center_frequency:.6g} Hz",
        )
    if "subtract" in section:
        where = None if section.choice("subtract", "mean", "trace mean") == "mean" else -1
        stored = (stored - np.mean(stored, axis=where, keepdims=True, dtype=np.float64)).astype(np.float32)
    if carrier:
        times = np.asarray(start_time, np.float64)
        if times.shape not in ((), stored.shape[1:2]):
            raise BadField(
                "start_time fits neither one transmit nor all",
                path=section.variables.path,
                location="start_time",
                expected=f"1 or n_tx = {stored.shape[1]} times",
                found=times.size,
            )
        times = np.broadcast_to(times, stored.shape[1:2])
        width = section.number("bandwidth", "ratio") * carrier if "bandwidth" in section else None
        iq = demodulate(stored, carrier, sampling_frequency, times, width)
        return Samples(iq * np.float32(scale), "iq", carrier, 1.0)
    if "bandwidth" in section:
        raise section.error("is for samples that are demodulated", "bandwidth")
    if stored.dtype == np.int16:
        return Samples(stored, "rf", 0.0, scale)
    return Samples((stored * scale).astype(np.float32), "rf", 0.0, 1.0)


def _carrier(section: Section, probe: Probe) -> float:
    """Frequency to mix to zero; 0 where the samples stay RF."""
    if "demodulate" not in section:
        return 0.0
    if section.is_flag("demodulate"):
        return probe.center_frequency if section.flag("demodulate") else 0.0
    return section.number("demodulate", "frequency")


def _stored(section: Section) -> npt.NDArray[Any]:
    """The samples as stored, axes in the order of `AXES`, contiguous."""
    variable = section.text("variable")
    if not variable:
        raise section.error("missing", "variable")
    array, axes = _joined_cells(section, variable)
    if "imaginary" in section:
        imaginary, _ = _joined_cells(section, section.variable("imaginary", "ratio")[0])
        if imaginary.shape != array.shape:
            raise section.error(
                "not the shape of the real part", "imaginary", expected=array.shape, found=imaginary.shape
            )
        array = array + 1j * imaginary
    while array.ndim > len(axes) and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim < len(axes):  # MATLAB drops last axes of length 1
        array = array.reshape(array.shape + (1,) * (len(axes) - array.ndim))
    if array.ndim != len(axes):
        raise BadField(
            "not as many axes as the mapping names",
            path=section.variables.path,
            location=variable,
            expected=f"axes {', '.join(axes)}",
            found=f"shape {array.shape}",
        )
    present = [axis for axis in AXES if axis in axes]
    array = array.transpose([axes.index(axis) for axis in present])
    shape = [array.shape[present.index(axis)] if axis in present else 1 for axis in AXES]
    return np.ascontiguousarray(array.reshape(shape))


def _joined_cells(section: Section, variable: str) -> tuple[npt.NDArray[Any], list[str]]:
    """The array and the names of its axes; a cell array becomes one array with the axis ``cells`` in front."""
    axes = section.texts("axes")
    for axis in axes:
        if axis not in AXES or axes.count(axis) > 1:
            raise section.error("not an axis, or named twice", "axes", expected=", ".join(AXES), found=axis)
    if "sample" not in axes:
        raise section.error("no axis of samples", "axes", expected="sample", found=", ".join(axes))
    value = section.variables[variable]
    cells = value if isinstance(value, np.ndarray) and value.dtype == object else None
    if cells is not None and cells.size == 1 and "cells" not in section:
        value, cells = cells.item(), None
    if (cells is not None) != ("cells" in section):
        raise section.error(
            "this is no cell array" if cells is None else "a cell array needs the name of the axis along its cells",
            "cells",
            found=f"{variable}: {describe(value)}",
        )
    if cells is None:
        return _numeric(section, variable, value), axes
    along = section.choice("cells", *(axis for axis in AXES if axis not in axes))
    matrices = [_numeric(section, variable, cell) for cell in cells.ravel(order="F")]
    shapes = {matrix.shape for matrix in matrices}
    if len(shapes) != 1:
        raise BadField(
            "cells of different shape", path=section.variables.path, location=variable, found=sorted(shapes) or "none"
        )
    return np.stack(matrices), [along, *axes]


def _numeric(section: Section, variable: str, value: Any) -> npt.NDArray[Any]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufc" and value.size:
        return value
    raise BadField(
        "no samples", path=section.variables.path, location=variable, expected="numbers", found=describe(value)
    )
