"""PICMUS data sets (Plane-wave Imaging Challenge in Medical UltraSound, 2016), in HDF5: plane waves, RF or IQ.

``US/US_DATASET0000`` holds ``data/real`` and ``data/imag`` (n_tx, n_elements, n_samples), ``angles`` (n_tx,) from +z
toward +x [rad], ``probe_geometry`` (3, n_elements) [m], and, as arrays of one number, ``initial_time`` [s],
``sampling_frequency``, ``modulation_frequency`` [Hz] and ``sound_speed`` [m/s]. Time zero is when a wave passes the
origin of coordinates, and the phase of IQ samples refers to the same time axis. When the pulse peaks is not stored. The
data are those of H. Liebgott, A. Rodriguez-Molares, F. Cervenansky, J. A. Jensen and O. Bernard, "Plane-Wave Imaging
Challenge in Medical Ultrasound", IEEE International Ultrasonics Symposium, 2016, doi:10.1109/ULTSYM.2016.7728908; the
layout and the frequency of the probe are as in the PICMUS converter of the Python package zea (0.1.8).

RF files have an ``imag`` of zeros, and ``modulation_frequency`` 0 is found in files of either kind. Complex samples
with that 0 are taken for what their spectrum shows: energy far from 0 Hz is an analytic signal; energy around 0 Hz was
demodulated, and then by the probe's frequency, since nothing else was used in the challenge. Either is noted.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.errors import BadField, FileFormatError
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.spectrum import center_of_spectrum
from usbeam.io.convert.variables import Variables
from usbeam.probe import Probe
from usbeam.transmits import Transmits

ROOT = "US.US_DATASET0000"
REQUIRED = ("angles", "probe_geometry", "initial_time", "sampling_frequency", "sound_speed", "data.real")
CENTER_FREQUENCY = 5.208e6
"""Of the L11-4v as the challenge used it [Hz]."""
FAR_FROM_ZERO = 0.1
"""Fraction of the sampling frequency beyond which complex samples were not demodulated."""


def sniff(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a PICMUS data set; its scan and phantom files are not. Reads no samples."""
    try:
        with open_variables(path) as variables:
            named = [f"{ROOT}.{name}" for name in ("angles", "probe_geometry")]
            return "US" in variables.top_level() and all(variables.find(name) is not None for name in named)
    except FileFormatError:
        return False


def read(path: str | os.PathLike[str]) -> Acquisition:
    """Read a PICMUS data set.

    Parameters
    ----------
    path
        An HDF5 file.

    Returns
    -------
    Acquisition
        Samples ``(1, n_tx, n_elements, n_samples)``, float32 RF or complex64 IQ; t = 0 is a wave's passage of the
        origin. Its provenance notes what the file leaves open.

    Raises
    ------
    MissingField, BadField
        If fields are absent or do not fit each other.
    """
    with open_variables(path) as variables:
        variables.require(*(f"{ROOT}.{name}" for name in REQUIRED))
        sampling_frequency = variables.scalar(f"{ROOT}.sampling_frequency")
        sound_speed = variables.scalar(f"{ROOT}.sound_speed")
        samples = _samples(variables)
        stated, carrier, note = _frequencies(variables, samples, sampling_frequency)
        probe = Probe(element_positions=_positions(variables), center_frequency=stated, name="L11-4v")
        angles = variables.vector(f"{ROOT}.angles")
        if samples.shape[1:3] != (angles.size, probe.n_elements):
            raise BadField(
                "the samples do not fit angles and probe_geometry",
                path=variables.path,
                location=f"{ROOT}.data.real",
                expected=f"(n_tx={angles.size}, n_elements={probe.n_elements}, n_samples)",
                found=samples.shape[1:],
                hint="the array looks transposed" if samples.shape[3] == angles.size else None,
            )
        return Acquisition(
            samples=samples,
            kind="iq" if samples.dtype.kind == "c" else "rf",
            sampling_frequency=sampling_frequency,
            demodulation_frequency=carrier,
            start_time=variables.scalar(f"{ROOT}.initial_time"),
            sound_speed=sound_speed,
            probe=probe,
            transmits=Transmits.plane(probe, angles, sound_speed, time_zero="center"),
            title=os.path.basename(os.fspath(path)),
            provenance={"notes": note} if note else {},
        )


def _samples(variables: Variables) -> npt.NDArray[Any]:
    """float32 where the imaginary part is absent or all 0, else complex64."""
    real = variables.array(f"{ROOT}.data.real")
    imaginary = variables.array(f"{ROOT}.data.imag") if variables.find(f"{ROOT}.data.imag") is not None else None
    if real.ndim == 2:  # one plane wave
        real, imaginary = real[None], None if imaginary is None else imaginary[None]
    if real.ndim != 3 or real.dtype.kind == "c" or not real.size:
        raise BadField(
            "no samples",
            path=variables.path,
            location=f"{ROOT}.data.real",
            expected="real (n_tx, n_elements, n_samples)",
            found=f"{real.dtype} {real.shape}",
        )
    if imaginary is None or (not np.any(imaginary) and imaginary.shape == real.shape):
        return real[None].astype(np.float32)
    if imaginary.shape != real.shape or imaginary.dtype.kind == "c":
        raise BadField(
            "the imaginary part does not fit the real one",
            path=variables.path,
            location=f"{ROOT}.data.imag",
            expected=f"real {real.shape}",
            found=f"{imaginary.dtype} {imaginary.shape}",
        )
    samples = np.empty((1, *real.shape), np.complex64)
    samples.real, samples.imag = real, imaginary
    return samples


def _frequencies(
    variables: Variables, samples: npt.NDArray[Any], sampling_frequency: float
) -> tuple[float, float, str]:
    """Centre frequency of the probe, frequency that was mixed to zero, and a note."""
    name = f"{ROOT}.modulation_frequency"
    stated = variables.scalar(name) if variables.find(name) is not None else 0.0
    center = stated if stated else CENTER_FREQUENCY
    if samples.dtype.kind != "c":
        return center, 0.0, ""
    if stated:
        return center, stated, ""
    if abs(center_of_spectrum(samples, sampling_frequency)) > FAR_FROM_ZERO * sampling_frequency:
        return center, 0.0, "modulation_frequency is 0: taken as an analytic signal, as its spectrum shows"
    return center, center, f"modulation_frequency is 0 although the samples are demodulated: taken as {center:g} Hz"


def _positions(variables: Variables) -> npt.NDArray[np.float64]:
    """``(n_elements, 3)``."""
    geometry = variables.array(f"{ROOT}.probe_geometry")
    if geometry.ndim != 2 or geometry.shape[0] != 3 or geometry.dtype.kind == "c":
        raise BadField(
            "not the positions of the elements",
            path=variables.path,
            location=f"{ROOT}.probe_geometry",
            expected="(3, n_elements)",
            found=geometry.shape,
            hint="the array looks transposed" if geometry.shape[-1:] == (3,) else None,
        )
    return geometry.T.astype(np.float64)
