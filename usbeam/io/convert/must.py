"""Data of MUST and PyMUST: a ``param`` struct beside RF or IQ ``(sample, element, ...)``, in ``.mat`` or ``.npz``.

The samples are named ``RF``, ``IQ`` or ``SIG``. An ``.npz`` cannot hold a struct without pickling: there the fields of
``param`` are arrays of their own, as ``np.savez(path, RF=RF, **param)`` writes them. Field names may be in any case, as
in MUST itself. From the toolbox' documentation of ``getparam``, ``txdelay``, ``dasmtx`` and ``rf2iq``:

- ``fs``, ``fc`` in Hz; ``pitch``, ``width`` or ``kerf``, ``height``, ``radius`` in m; ``c`` in m/s (1540 if absent);
  ``bandwidth`` in percent, two-way at -6 dB.
- Elements lie along x around 0. Those of a convex array (finite ``radius``) have their outermost ones at z = 0.
  ``elements`` gives x, or x and z, where they are not uniform.
- ``TXdelay`` in s, NaN for an element that is silent; ``TXapodization`` weights.
- ``t0`` [s] is the time of sample 0. MUST has neither pulse peak nor lens: its own beamformer expects the echo's peak
  at the time of flight, so both are 0 here.
- IQ is ``RF exp(-2 i pi fc t)`` with t counted from the same zero as ``t0``.

Of several rows of ``TXdelay``, each is a transmit: the third axis of the samples then runs over them, and a fourth over
frames. With one row the third axis runs over frames. Samples in a cell array have a cell for each transmit. Delays in a
matrix whose number of rows fits neither are an error; nothing is guessed.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import BadField, FileFormatError, MissingField
from usbeam.io.convert.demodulation import demodulate
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.variables import Variables, describe, did_you_mean, list_names
from usbeam.io.convert.wavefront import transmits_of
from usbeam.probe import Probe
from usbeam.transmits import Transmits

SAMPLES = ("RF", "IQ", "SIG")
REQUIRED = ("fs", "fc", "pitch", "Nelements", "TXdelay")
SOUND_SPEED = 1540.0
"""MUST's own, where ``param.c`` is absent [m/s]."""
MAX_ELEMENTS = 65536


def sniff(path: str | os.PathLike[str]) -> bool:
    """Whether the file holds MUST's ``param`` beside samples; reads the names in it only."""
    try:
        with open_variables(path) as variables:
            if not any(name in variables.top_level() for name in SAMPLES):
                return False
            known = _fields(variables)
            return all(name.lower() in known for name in REQUIRED[:4])
    except FileFormatError:
        return False


def read(path: str | os.PathLike[str]) -> Acquisition:
    """Read data of MUST or PyMUST.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Acquisition
        Float RF or IQ; RF that was sampled below twice ``fc`` becomes IQ. The kinds of waves are found from
        ``TXdelay`` (`usbeam.io.convert.wavefront`).

    Raises
    ------
    MissingField, BadField
        If fields are absent (all are named at once) or do not fit each other.
    """
    with open_variables(path) as variables:
        param = _Param(variables)
        sampling_frequency, center_frequency = param.positive("fs"), param.positive("fc")
        probe = _probe(param, center_frequency)
        if "RXdelay" in param and np.any(variables.vector(param.name("RXdelay"))):
            raise param.error("the records are shifted on reception", "RXdelay", 0, "delays")
        delays = _delays(param, probe.n_elements)
        samples = _samples(variables, len(delays), probe.n_elements)
        start_time = _start_time(param, len(delays))
        sound_speed = param.positive("c", SOUND_SPEED)
        is_iq = samples.dtype.kind == "c"
        if not is_iq and sampling_frequency < 2 * center_frequency:
            samples, is_iq = demodulate(samples, center_frequency, sampling_frequency, start_time), True
        return Acquisition(
            samples=samples.astype(np.complex64 if is_iq else np.float32),
            kind="iq" if is_iq else "rf",
            sampling_frequency=sampling_frequency,
            demodulation_frequency=center_frequency if is_iq else 0.0,
            start_time=start_time,
            sound_speed=sound_speed,
            probe=probe,
            transmits=_transmits(param, probe, delays, sound_speed),
            title=os.path.basename(os.fspath(path)),
        )


def _fields(variables: Variables) -> dict[str, str]:
    """Dotted name of each field of ``param`` by its name in lower case; of the bare arrays where there is no struct."""
    names = variables.names()
    inside = [name for name in names if name.startswith("param.")]
    return {name.removeprefix("param.").lower(): name for name in inside or names}


class _Param:
    """MUST's ``param``, whatever the case of its field names; an empty field is an absent one.

    Raises
    ------
    MissingField
        Names all of `REQUIRED` that are missing.
    """

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self._names = _fields(variables)
        missing = [name for name in REQUIRED if name not in self]
        if missing:
            raise MissingField(
                f"no param.{', param.'.join(missing)}",
                path=variables.path,
                found=list_names(variables.names()),
                hint=did_you_mean(missing[0], list(self._names)),
            )

    def __contains__(self, field: str) -> bool:
        value = self.variables.find(self._names[field.lower()]) if field.lower() in self._names else None
        return value is not None and not (isinstance(value, np.ndarray) and value.size == 0)

    def name(self, field: str) -> str:
        """Dotted name, for messages and for `Variables`."""
        return self._names[field.lower()]

    def scalar(self, field: str, default: float) -> float:
        """One number; NaN is refused."""
        value = self.variables.scalar(self.name(field)) if field in self else default
        if np.isnan(value):
            raise self.error("not a number", field, "a number", "NaN")
        return value

    def positive(self, field: str, default: float = np.nan) -> float:
        """A finite number above 0."""
        value = self.scalar(field, default)
        if not (np.isfinite(value) and value > 0):
            raise self.error("not a positive number", field, "a finite number > 0", value)
        return value

    def error(self, what: str, field: str, expected: object, found: object) -> BadField:
        """`BadField` that names the field."""
        return BadField(what, path=self.variables.path, location=self.name(field), expected=expected, found=found)


def _probe(param: _Param, center_frequency: float) -> Probe:
    count = param.positive("Nelements")
    if count != round(count) or count > MAX_ELEMENTS:
        raise param.error("not a number of elements", "Nelements", f"a whole number up to {MAX_ELEMENTS}", count)
    pitch, radius = param.positive("pitch"), param.scalar("radius", np.inf)
    number = np.arange(int(count)) - (int(count) - 1) / 2
    angle = np.zeros(int(count))
    if "elements" in param:
        x, z = _placed(param, int(count))
    elif np.isposinf(radius):
        x, z = number * pitch, angle
    else:
        if not 0 < pitch < 2 * radius:
            raise param.error("smaller than half the pitch", "radius", f"> {pitch / 2:.6g} m, or Inf", radius)
        angle = number * 2 * np.arcsin(pitch / 2 / radius)
        x, z = radius * np.sin(angle), radius * (np.cos(angle) - np.cos(angle[0]))
    width = pitch - param.scalar("kerf", 0.0) if "kerf" in param else None
    height = param.scalar("height", np.inf)
    positions = np.zeros((int(count), 3))
    positions[:, 0], positions[:, 2] = x, z
    return Probe(
        element_positions=positions,
        element_normals=np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1) if np.any(angle) else None,
        center_frequency=center_frequency,
        bandwidth=param.positive("bandwidth") / 100 if "bandwidth" in param else None,
        element_width=param.positive("width") if "width" in param else width,
        element_height=height if np.isfinite(height) else None,
        kind="curved" if np.any(angle) else "linear",
    )


def _placed(param: _Param, count: int) -> tuple[Floats, Floats]:
    """x and z of ``param.elements``: a vector of x, or two rows or columns."""
    stored = param.variables.array(param.name("elements")).astype(np.float64)
    if stored.size == count:
        return stored.ravel(), np.zeros(count)
    if stored.shape == (count, 2):
        stored = stored.T
    if stored.shape != (2, count):
        raise param.error("not the places of the elements", "elements", f"{count}, or 2 x {count}", stored.shape)
    return stored[0], stored[1]


def _delays(param: _Param, n_elements: int) -> Floats:
    """``TXdelay`` (n_tx, n_elements) [s], NaN where silent."""
    value = param.variables[param.name("TXdelay")]
    parts = list(value.ravel(order="F")) if isinstance(value, np.ndarray) and value.dtype == object else [value]
    rows: list[Floats] = []
    for part in parts:
        if not (isinstance(part, np.ndarray) and part.dtype.kind in "fiu" and part.ndim <= 2):
            raise param.error("not numeric", "TXdelay", "numbers", describe(part))
        delays = np.atleast_2d(part.astype(np.float64))
        if delays.shape[1] != n_elements and delays.shape == (n_elements, 1):
            delays = delays.T
        if delays.shape[1] != n_elements:
            raise param.error("wrong shape", "TXdelay", f"(n_tx, n_elements={n_elements})", delays.shape)
        rows.append(delays)
    return np.concatenate(rows)


def _start_time(param: _Param, n_tx: int) -> Floats:
    times = param.variables.vector(param.name("t0")) if "t0" in param else np.zeros(1)
    if times.size not in (1, n_tx) or not np.all(np.isfinite(times)):
        raise param.error("not one time, or one for each transmit", "t0", f"1 or {n_tx} finite numbers", times.size)
    return np.broadcast_to(times, (n_tx,)).copy()


def _transmits(param: _Param, probe: Probe, delays: Floats, sound_speed: float) -> Transmits:
    weights = np.ones(delays.shape)
    if "TXapodization" in param:
        stored = np.atleast_2d(param.variables.array(param.name("TXapodization")).astype(np.float64))
        stored = stored.T if stored.shape == (probe.n_elements, 1) else stored
        if stored.shape not in (delays.shape, (1, probe.n_elements)):
            raise param.error("wrong shape", "TXapodization", f"{delays.shape}, or one row", stored.shape)
        weights = weights * stored
    silent = np.isnan(delays)
    return transmits_of(probe, np.where(silent, 0.0, delays), np.where(silent, 0.0, weights), sound_speed)


def _samples(variables: Variables, n_tx: int, n_elements: int) -> npt.NDArray[Any]:
    """``(n_frames, n_tx, n_elements, n_samples)``, real or complex."""
    name = next((name for name in SAMPLES if name in variables.top_level()), None)
    if name is None:
        raise MissingField(
            "no samples", path=variables.path, expected=" or ".join(SAMPLES), found=list_names(variables.top_level())
        )
    value = variables[name]
    cells = list(value.ravel(order="F")) if isinstance(value, np.ndarray) and value.dtype == object else None
    parts = [value] if cells is None else cells
    arrays = [part for part in parts if isinstance(part, np.ndarray) and part.dtype.kind in "fic"]
    shapes = {array.shape for array in arrays}
    shape: tuple[int, ...] = next(iter(shapes), ())
    if len(arrays) != len(parts) or len(shapes) != 1 or not 2 <= len(shape) <= 4 or shape[1:2] != (n_elements,):
        raise BadField(
            "not samples of this array",
            path=variables.path,
            location=name,
            expected=f"(n_samples, n_elements={n_elements}, ...), the same in each cell",
            found=", ".join(str(shape) for shape in sorted(shapes)) or describe(value),
            hint="the array looks transposed" if shape[:1] == (n_elements,) and shape[1:2] != (n_elements,) else None,
        )
    if cells is not None:
        stacked = np.stack([array.reshape((*shape, 1)[:3]) for array in arrays], axis=2)
    elif n_tx == 1 and len(shape) <= 3:
        stacked = arrays[0].reshape((*shape[:2], 1, -1))
    else:
        stacked = arrays[0].reshape((*shape, 1, 1)[:4])
    if stacked.shape[2] != n_tx:
        raise BadField(
            "not as many transmits as rows of TXdelay",
            path=variables.path,
            location=name,
            expected=f"{n_tx} along the third axis, or a cell for each",
            found=f"{stacked.shape[2]} in {shape}" if cells is None else f"{len(cells)} cells",
        )
    return np.ascontiguousarray(stacked.transpose(3, 2, 1, 0))
