"""BRAIN ``exp_data`` files (University of Bristol; ``.mat`` v5 or v7.3): full-matrix captures, whole or half stored.

The struct ``exp_data`` holds ``time_data (n_samples, n_traces)``, the 1-based elements ``tx`` and ``rx`` of each trace,
the time axis ``time`` [s], the array (``array.el_xc``, ``el_yc``, ``el_zc`` [m], ``array.centre_freq`` [Hz]) and the
speed, ``ph_velocity`` or ``material.vel_spherical_harmonic_coeffs`` [m/s]. ``el_x1..el_z1`` and ``el_x2..el_z2`` are
the middles of two neighbouring edges of an element, so that twice their distance from its centre is its size.
The format does not say when the pulse peaks after firing; `Transmits.pulse_peak_time` is left 0.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT, Acquisition
from usbeam.checks import Floats
from usbeam.errors import BadField, FileFormatError, MissingField
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.variables import Variables, time_axis
from usbeam.io.safe import check_memory
from usbeam.probe import Probe
from usbeam.transmits import Transmits

REQUIRED = ("time_data", "tx", "rx", "time", "array.el_xc", "array.centre_freq")
SPEEDS = ("ph_velocity", "material.vel_spherical_harmonic_coeffs")


def sniff(path: str | os.PathLike[str]) -> bool:
    """Whether the file holds a BRAIN ``exp_data``; reads the names in it only."""
    try:
        with open_variables(path) as variables:
            return "exp_data" in variables.top_level()
    except FileFormatError:
        return False


def read(path: str | os.PathLike[str]) -> Acquisition:
    """Read a BRAIN recording.

    Parameters
    ----------
    path
        A ``.mat`` file with the struct ``exp_data``.

    Returns
    -------
    Acquisition
        Samples ``(1, n_tx, n_rx, n_samples)`` float32, one transmit for each element that fired; where a pair was not
        stored, `Acquisition.receive_elements` is `ABSENT` and the samples are 0.

    Raises
    ------
    MissingField, BadField
        If fields are absent or do not fit each other.
    """
    with open_variables(path) as variables:
        variables.require(*(f"exp_data.{name}" for name in REQUIRED))
        start_time, sampling_frequency = time_axis(variables, "exp_data.time")
        probe = _probe(variables)
        samples, fired, receivers = _dense(variables, probe.n_elements)
        return Acquisition(
            samples=samples,
            kind="rf",
            sampling_frequency=sampling_frequency,
            start_time=start_time,
            sound_speed=_sound_speed(variables),
            probe=probe,
            transmits=Transmits.elements(probe, fired),
            receive_elements=receivers,
            title=os.path.basename(os.fspath(path)),
        )


def _sound_speed(variables: Variables) -> float:
    for name in SPEEDS:
        if variables.find(f"exp_data.{name}") is not None:
            speeds = variables.vector(f"exp_data.{name}")
            if np.any(speeds[1:]):
                raise BadField(
                    "the material is anisotropic",
                    path=variables.path,
                    location=f"exp_data.{name}",
                    expected="one speed",
                    found=f"{speeds.size} coefficients",
                )
            return float(speeds[0])
    raise MissingField("no speed of sound", path=variables.path, expected=" or ".join(f"exp_data.{n}" for n in SPEEDS))


def _points(variables: Variables, suffix: str) -> Floats | None:
    """``(n_elements, 3)`` from ``el_x<suffix>``, ``el_y<suffix>``, ``el_z<suffix>``; an absent axis is 0."""
    names = [f"exp_data.array.el_{axis}{suffix}" for axis in "xyz"]
    axes = [variables.vector(name) if variables.find(name) is not None else None for name in names]
    sizes = {axis.size for axis in axes if axis is not None}
    if not sizes:
        return None
    if len(sizes) > 1:
        raise BadField("axes of different length", path=variables.path, location=", ".join(names), found=sorted(sizes))
    return np.stack([np.zeros(max(sizes)) if axis is None else axis for axis in axes], axis=1)


def _probe(variables: Variables) -> Probe:
    centers = _points(variables, "c")
    if centers is None:
        raise MissingField("no element positions", path=variables.path, location="exp_data.array")
    width = height = 0.0
    for suffix in "12":
        edges = _points(variables, suffix)
        if edges is not None and edges.shape == centers.shape:
            half_width, half_height, _ = np.median(np.abs(edges - centers), axis=0)
            width, height = max(width, 2 * half_width), max(height, 2 * half_height)
    spans = np.ptp(centers, axis=0)
    if spans[0] == 0 < spans[1]:  # the array lies along y: turn it about z, so that x is lateral
        centers = np.stack([centers[:, 1], -centers[:, 0], centers[:, 2]], axis=1)
        width, height = height, width
        spans = spans[[1, 0, 2]]
    return Probe(
        element_positions=centers,
        center_frequency=variables.scalar("exp_data.array.centre_freq"),
        element_width=float(width) or None,
        element_height=float(height) or None,
        kind="custom" if spans[2] else "matrix" if spans[1] else "linear",
    )


def _elements(variables: Variables, name: str, n_elements: int) -> npt.NDArray[np.int64]:
    """0-based elements of the traces."""
    stored = variables.vector(f"exp_data.{name}")
    if np.any((stored != np.round(stored)) | (stored < 1) | (stored > n_elements)):
        raise BadField(
            "not an element",
            path=variables.path,
            location=f"exp_data.{name}",
            expected=f"whole numbers 1..{n_elements}",
            found=f"{stored.min():.6g}..{stored.max():.6g}",
        )
    return stored.astype(np.int64) - 1


def _dense(
    variables: Variables, n_elements: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Samples (1, n_tx, n_rx, n_samples), firing elements (n_tx,), receiving elements (n_tx, n_rx)."""
    tx = _elements(variables, "tx", n_elements)
    rx = _elements(variables, "rx", n_elements)
    traces: npt.NDArray[Any] = variables.array("exp_data.time_data")
    n_samples = variables.vector("exp_data.time").size
    if tx.size != rx.size or traces.shape != (n_samples, tx.size) or traces.dtype.kind == "c":
        raise BadField(
            "the traces do not fit time, tx and rx",
            path=variables.path,
            location="exp_data.time_data",
            expected=f"real (n_samples={n_samples}, n_traces={tx.size}), rx as long as tx",
            found=f"{traces.dtype} {traces.shape}, rx of {rx.size}",
            hint="the array looks transposed" if traces.shape == (tx.size, n_samples) else None,
        )
    pairs = np.unique(tx * n_elements + rx)
    if pairs.size < tx.size:
        raise BadField(
            "a pair of transmitter and receiver is stored twice",
            path=variables.path,
            location="exp_data.tx, exp_data.rx",
            expected=f"{tx.size} different pairs",
            found=pairs.size,
        )
    fired, tx_slot = np.unique(tx, return_inverse=True)
    heard, rx_slot = np.unique(rx, return_inverse=True)
    nbytes = 4 * fired.size * heard.size * n_samples
    check_memory(nbytes, path=variables.path, location="exp_data.time_data")
    samples = np.zeros((1, fired.size, heard.size, n_samples), np.float32)
    samples[0, tx_slot, rx_slot] = traces.T
    receivers = np.full((fired.size, heard.size), ABSENT, np.int64)
    receivers[tx_slot, rx_slot] = rx
    return samples, fired, receivers
