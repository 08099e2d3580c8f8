"""Speckle-reducing anisotropic diffusion (SRAD): average along what looks like speckle, stop at what does not.

Y. Yu and S. T. Acton, IEEE Trans. Image Process. 11(11), 1260-1270, 2002. A pixel gives to and takes from its four
neighbours, step after step, the less the more its neighbourhood varies beyond speckle:

    dI/dt = div(c grad I),   c = 1 / (1 + (q^2 - q0^2) / (q0^2 (1 + q0^2))),

with the local coefficient of variation q (from differences of neighbours) and that of speckle, q0. Published programs
differ in what I is, hence three methods: the linear envelope (``srad``), the envelope that a displayed image stands for
(``srad-decompressed``), and the exponential of the displayed image (``srad-exp``).

``q0`` is measured anew before each step in the quietest window of the image that is neither dark nor clipped
(``automatic``) or in a region that you name, ``-2mm:2mm@18mm:20mm``; or it starts from fully developed speckle's
(``decay``) or from a number, and falls with time.

What to expect: a step of 6 dB from one pixel to the next has q = 0.53, and single-look speckle has q0 = 0.52, so that
there SRAD blurs such an edge nearly as a Gaussian of equal speckle SNR does. Where speckle was compounded before, it
keeps the edge and smooths the speckle.

Differences are between pixels, whatever lies between these in metres: the finer the grid, the more steps are needed.
``usbeam enhance --list`` has the parameters with their ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from usbeam import device as devices
from usbeam.enhancers.controls import refuse_smaller
from usbeam.enhancers.registry import Range, Task, Values, enhancer
from usbeam.errors import ConfigError, MeasurementError
from usbeam.kernels.backend import backend
from usbeam.units import parse_range

RAYLEIGH = math.sqrt(4 / math.pi - 1)
"""Coefficient of variation of the envelope of fully developed speckle, 0.52."""
RAYLEIGH_DB = 20 / math.log(10) * math.pi / math.sqrt(24)
"""Standard deviation of the same in dB, 5.57."""
DARKEST_DB = -30.0
"""Windows that are darker than this, relative to the brightest, are not looked at: side lobes may vary little."""
STILLEST = 0.01
"""Windows that vary less than this hold no speckle."""
LEAST_SIDE = 8
"""Fewest pixels along a window's side: chance would make the quietest of smaller ones too quiet."""
ROUNDING = 1e-9
"""Pixels so near [m] to a region's border lie on it."""

_REFERENCE = "Y. Yu and S. T. Acton, IEEE Trans. Image Process. 11(11), 2002"
_LICENCE = "BSD-3-Clause, written for usbeam"

Steps = Annotated[int, Range(1, 10_000), "number of steps"]
TimeStep = Annotated[float, Range(1e-3, 1), "time of one step; stable up to 1"]
Q0 = Annotated[
    str, "speckle's coefficient of variation: automatic, decay, a number, or a region of speckle, LEFT:RIGHT@TOP:BOTTOM"
]
Window = Annotated[float, Range(1e-4, 0.1, "m"), "of automatic: side of the windows, at least 8 pixels"]
Decay = Annotated[float, Range(0, 100), "of decay and a number: q0 falls with exp(-decay x time)"]
Pixels = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""


@dataclass(frozen=True)
class _Convention:
    """What fully developed speckle varies by, and `DARKEST_DB`, in the values that are diffused."""

    variation: float
    darkest: float


_LINEAR = _Convention(RAYLEIGH, 10 ** (DARKEST_DB / 20))


@enhancer(
    title="Speckle-reducing anisotropic diffusion of the envelope",
    domain="envelope",
    reference=_REFERENCE,
    licence=_LICENCE,
    on_gpu=True,
)
def srad(
    task: Task,
    *,
    n_iterations: Steps = 100,
    time_step: TimeStep = 0.05,
    q0: Q0 = "automatic",
    window: Window = 2e-3,
    decay: Decay = 1 / 6,
) -> Values:
    """Diffuse the linear envelope, which is what the equations are about; its mean stays.

    Pixels whose neighbours, too, are below 1e-15 of the image's maximum count as 0.
    """
    return _diffused(task, task.values, _LINEAR, n_iterations, time_step, q0, window, decay)


@enhancer(
    title="SRAD of the decompressed image",
    domain="display",
    reference=_REFERENCE,
    licence=_LICENCE,
    on_gpu=True,
)
def srad_decompressed(
    task: Task,
    *,
    n_iterations: Steps = 100,
    time_step: TimeStep = 0.05,
    q0: Q0 = "automatic",
    window: Window = 2e-3,
    decay: Decay = 1 / 6,
) -> Values:
    """Undo the log compression with the image's own dynamic range, diffuse, compress again.

    For images of which only the dB are left; what was clipped at the floor stays as bright as the floor.
    """
    envelope = 10 ** ((task.values.astype(np.float64) - 1) * task.dynamic_range / 20)
    found = _diffused(task, envelope, _LINEAR, n_iterations, time_step, q0, window, decay)
    return 1 + 20 * np.log10(np.maximum(found, envelope.min())) / task.dynamic_range


@enhancer(
    title="SRAD of the exponential of the displayed image",
    domain="display",
    reference=f"{_REFERENCE}; exp and log as in the MATLAB program of the authors' group, University of Virginia",
    licence=_LICENCE,
    on_gpu=True,
)
def srad_exp(
    task: Task,
    *,
    n_iterations: Steps = 100,
    time_step: TimeStep = 0.05,
    q0: Q0 = "automatic",
    window: Window = 2e-3,
    decay: Decay = 1 / 6,
) -> Values:
    """Diffuse exp(display value), take the log: a convention of published programs, which undoes no log compression."""
    convention = _Convention(RAYLEIGH_DB / task.dynamic_range, math.exp(DARKEST_DB / task.dynamic_range))
    exponential = np.exp(task.values.astype(np.float64))
    return np.log(_diffused(task, exponential, convention, n_iterations, time_step, q0, window, decay))


def _diffused(
    task: Task,
    values: Values,
    convention: _Convention,
    n_iterations: int,
    time_step: float,
    q0: str,
    window: float,
    decay: float,
) -> npt.NDArray[np.float64]:
    """Values after all steps. The steps are launched one after the other; nothing is read back before the last."""
    refuse_smaller(task, 3, "srad")
    scale = float(values.max())  # so that no square leaves the range of float32
    given = (values / scale).astype(np.float32)
    pixels, source = _source(task, given, q0, window, convention.darkest)
    start = source.pop("start", convention.variation)
    on = backend(devices.resolve(task.device))
    image = on.srad.bordered(on.asarray(given))
    out = on.xp.empty_like(image)
    squared = on.asarray((start * np.exp(-decay * time_step * np.arange(n_iterations))) ** 2)
    for i in range(n_iterations):
        if pixels is not None:
            on.srad.squared_variation(image, *pixels, squared[i : i + 1])
        on.srad.step(image, out, squared[i : i + 1], time_step / 4)
        image, out = out, image
        task.progress((i + 1) / n_iterations)
    first, last = np.sqrt(on.numpy(squared)[[0, -1]])
    task.notes["q0"] = {**source, "first": float(first), "last": float(last)}
    return np.maximum(on.numpy(image)[:, 1:-1].astype(np.float64), 0) * scale


def _source(task: Task, values: Values, q0: str, window: float, darkest: float) -> tuple[Pixels | None, dict[str, Any]]:
    """The pixels in which q0 is measured, if any, and a note that says where it comes from."""
    if q0 == "decay":
        return None, {"from": "decay"}
    if _is_number(q0):
        start = float(q0)
        if not 0 < start <= 10:
            raise ConfigError(
                "not a coefficient of variation", location="srad.q0", expected="above 0, up to 10", found=q0
            )
        return None, {"from": "number", "start": start}
    if q0 == "automatic":
        sides = [max(LEAST_SIDE, round(window / step)) for step in task.spacing]
        pixels = _quietest(values, sides[0], sides[1], darkest)
        if pixels is None:
            return None, {"from": "decay", "because": "no window of the image holds speckle"}
    else:
        pixels = _region(task, values, q0)
    top, bottom, left, right = pixels
    x, z = task.grid.x[left:right], task.grid.z[top:bottom]
    source = "quietest window" if q0 == "automatic" else "region"
    return pixels, {"from": source, "x": [float(x[0]), float(x[-1])], "z": [float(z[0]), float(z[-1])]}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _quietest(values: Values, n_z: int, n_x: int, darkest: float) -> Pixels | None:
    """The window of least coefficient of variation of those that can be speckle.

    None of its pixels is at the image's lowest or highest value, and it is not among the dark ones: outside a sector,
    inside a cyst and where values were clipped, they vary little, but are no speckle.
    """
    if values.shape[0] < n_z or values.shape[1] < n_x:
        return None
    exact = values.astype(np.float64)
    mean, square, clipped = (
        _window_means(each, n_z, n_x) for each in (exact, exact**2, (exact == exact.min()) | (exact == exact.max()))
    )
    qualifies = (mean > darkest * mean.max()) & (square > (1 + STILLEST**2) * mean**2) & (clipped * n_z * n_x < 0.5)
    if not qualifies.any():
        return None
    ratio = np.divide(square, mean**2, out=np.full_like(mean, np.inf), where=qualifies)
    top, left = (int(i) for i in np.unravel_index(np.argmin(ratio), ratio.shape))
    return top, top + n_z, left, left + n_x


def _window_means(values: npt.NDArray[np.generic], n_z: int, n_x: int) -> npt.NDArray[np.float64]:
    """Mean over every window of that many pixels that lies inside."""
    means = ndimage.uniform_filter1d(ndimage.uniform_filter1d(values, n_z, 0, np.float64), n_x, 1)
    rows, columns = (
        slice(side // 2, count - side + side // 2 + 1) for side, count in zip((n_z, n_x), values.shape, strict=True)
    )
    return means[rows, columns]


def _region(task: Task, values: Values, text: str) -> Pixels:
    """The pixels of ``LEFT:RIGHT@TOP:BOTTOM``."""
    parts = text.split("@")
    if len(parts) != 2:
        raise ConfigError(
            f"cannot read {text!r}",
            location="srad.q0",
            expected="automatic, decay, a number, or LEFT:RIGHT@TOP:BOTTOM of a region, such as -2mm:2mm@18mm:20mm",
        )
    try:
        x, z = (parse_range(part, "length") for part in parts)
    except ConfigError as error:
        error.location = "srad.q0"
        raise
    edges: list[int] = []
    for name, (start, stop), axis in (("z", z, task.grid.z), ("x", x, task.grid.x)):
        if start < axis[0] - ROUNDING or stop > axis[-1] + ROUNDING:
            raise MeasurementError(
                "the region of speckle reaches outside the image",
                location="srad.q0",
                expected=f"{name} within {axis[0] * 1e3:.4g} to {axis[-1] * 1e3:.4g} mm",
                found=f"{start * 1e3:.4g} to {stop * 1e3:.4g} mm",
            )
        edges += (int(i) for i in np.searchsorted(axis, (start - ROUNDING, stop + ROUNDING)))
    top, bottom, left, right = edges
    inside = values[top:bottom, left:right]
    if inside.size < 2 or inside.min() == inside.max():
        raise MeasurementError(
            "nothing varies in the region of speckle", location="srad.q0", found=f"{text}, {inside.size} pixels"
        )
    return top, bottom, left, right
