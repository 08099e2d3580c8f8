"""Verasonics Vantage workspaces: what a script leaves in MATLAB, saved whole (``.mat`` of any version since 5).

Read are ``Trans`` (the array), ``TX`` and ``TW`` (what was fired), ``Receive`` and ``Event`` (what was recorded, and
after which transmit), ``Resource`` (speed of sound, buffers) and ``RcvData`` (a cell array of ``(row, channel, frame)``
int16). With the wavelength of ``Trans.frequency`` at ``Resource.Parameters.speedOfSound``:

- ``TX.Delay``, ``Receive.startDepth`` and ``TW.peak`` are in wavelengths, that is, in periods. Sample 0 comes
  ``2 startDepth`` periods after the trigger; ``TW.peak`` is the time from firing to the peak of the two-way pulse.
- ``Trans.ElementPos``, ``elementWidth`` and ``lensCorrection`` (one way) are in ``Trans.units``, wavelengths or mm.
- The record of element e is column ``Trans.Connector(e)`` of ``RcvData`` (``ConnectorES`` where there is no
  ``Connector``; ``HVMux.Aperture(e, Receive.aperture)`` for arrays with a multiplexer).
- Frames are a ring: the oldest follows ``Resource.RcvBuffer.lastFrame``. Without that field they are in order.

Where each of these is public: the ``Trans`` units and lens in ``computeTrans.m``, the sampling modes in ``VsUpdate.m``,
both from Verasonics' software and found in many laboratories' repositories; start depth, peak, lens and frame order in
the importers of USTB (``verasonics.m``) and zea (``zea/data/convert/verasonics.py``; its issue 441 is about the lens).
"""

from __future__ import annotations

import os

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import BadField, FileFormatError
from usbeam.io.convert.matlab import open_variables
from usbeam.io.convert.structs import Structs
from usbeam.io.convert.vantage_buffer import read_buffer
from usbeam.io.convert.vantage_modes import to_samples
from usbeam.io.convert.vantage_sequence import Sequence, read_sequence
from usbeam.io.convert.variables import Variables
from usbeam.io.convert.wavefront import transmits_of
from usbeam.probe import Probe
from usbeam.transmits import Transmits

REQUIRED = (
    "Trans.frequency",
    "Trans.units",
    "Trans.ElementPos",
    "TX.Delay",
    "TX.Apod",
    "Receive.startDepth",
    "Receive.startSample",
    "Receive.endSample",
    "Resource.Parameters.speedOfSound",
    "RcvData",
)
_KINDS = {0: "linear", 1: "curved", 2: "matrix"}


def sniff(path: str | os.PathLike[str]) -> bool:
    """Whether the file holds a Vantage workspace with raw data; reads the names in it only."""
    try:
        with open_variables(path) as variables:
            return {"Trans", "TX", "Receive", "Resource", "RcvData"} <= set(variables.top_level())
    except FileFormatError:
        return False


def read(path: str | os.PathLike[str]) -> Acquisition:
    """Read a Vantage workspace.

    Parameters
    ----------
    path
        The ``.mat`` file.

    Returns
    -------
    Acquisition
        One transmit for each acquisition of a frame, frames in the order in time. int16 RF where the system kept all
        samples (``NS200BW``, ``custom``), else complex64 IQ (`usbeam.io.convert.vantage_modes`). Of several receive
        buffers the first that is used; the provenance's ``notes`` say so.

    Raises
    ------
    MissingField, BadField
        If variables are absent (all are named at once), do not fit each other, or describe what cannot be one
        recording: sums of different transmits, records of different length, frames of different transmits.
    """
    with open_variables(path) as variables:
        variables.require(*REQUIRED)
        frequency = _positive(variables, "Trans.frequency") * 1e6
        sound_speed = _positive(variables, "Resource.Parameters.speedOfSound")
        probe = _probe(variables, frequency, sound_speed)
        receive = Structs(variables, "Receive")
        sequence = read_sequence(variables, receive)
        stored, elements = read_buffer(variables, receive, sequence, probe.n_elements)
        start_time = 2 * receive.numbers("startDepth")[sequence.receive] / frequency
        samples = to_samples(variables, receive, sequence.receive, stored, start_time, frequency)
        return Acquisition(
            samples=samples.array,
            kind=samples.kind,
            sampling_frequency=samples.sampling_frequency,
            demodulation_frequency=samples.demodulation_frequency,
            start_time=start_time,
            sound_speed=sound_speed,
            probe=probe,
            transmits=_transmits(variables, sequence, probe, sound_speed),
            receive_elements=elements,
            tgc_applied=True if "TGC" in variables.top_level() else None,
            title=os.path.basename(os.fspath(path)),
            provenance={"notes": sequence.notes} if sequence.notes else {},
        )


def _positive(variables: Variables, name: str) -> float:
    value = variables.scalar(name)
    if not (np.isfinite(value) and value > 0):
        raise BadField("not a positive number", path=variables.path, location=name, found=value)
    return value


def _probe(variables: Variables, frequency: float, sound_speed: float) -> Probe:
    units = Structs(variables, "Trans").texts("units")[0]
    if units not in ("wavelengths", "mm"):
        raise BadField(
            "unknown units", path=variables.path, location="Trans.units", expected="wavelengths or mm", found=units
        )
    unit = 1e-3 if units == "mm" else sound_speed / frequency
    positions = variables.array("Trans.ElementPos")
    if positions.dtype.kind == "c" or positions.ndim != 2 or positions.shape[1] < 3:
        raise BadField(
            "not element positions",
            path=variables.path,
            location="Trans.ElementPos",
            expected="(n_elements, 3 or more): x, y, z, azimuth, elevation",
            found=f"{positions.dtype} {positions.shape}",
        )

    def length(name: str, unit: float) -> float | None:
        """A size that is left out where it is not stored, or 0."""
        return (variables.scalar(name) * unit or None) if _is_stored(variables, name) else None

    band = variables.vector("Trans.Bandwidth") if _is_stored(variables, "Trans.Bandwidth") else np.empty(0)
    kind = variables.scalar("Trans.type") if _is_stored(variables, "Trans.type") else 0
    name = variables.find("Trans.name")
    return Probe(
        element_positions=positions[:, :3].astype(np.float64) * unit,
        element_normals=_normals(positions.astype(np.float64)) if kind == 1 else None,
        center_frequency=frequency,
        bandwidth=float(band[1] - band[0]) * 1e6 / frequency if band.size == 2 else None,
        element_width=length("Trans.elementWidth", unit),
        element_height=length("Trans.elevationApertureMm", 1e-3),
        lens_delay=(length("Trans.lensCorrection", unit) or 0.0) / sound_speed,
        name=name if isinstance(name, str) else "",
        kind=_KINDS.get(int(kind) if np.isfinite(kind) else -1, "custom"),
        manufacturer="Verasonics",
    )


def _is_stored(variables: Variables, name: str) -> bool:
    """Whether it is there and not empty."""
    value = variables.find(name)
    return value is not None and not (isinstance(value, np.ndarray) and value.size == 0)


def _normals(positions: Floats) -> Floats | None:
    """Where the elements look, from their azimuth and elevation [rad]; None if those are not stored."""
    if positions.shape[1] < 5:
        return None
    azimuth, elevation = positions[:, 3], positions[:, 4]
    return np.stack(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], axis=1
    )


def _transmits(variables: Variables, sequence: Sequence, probe: Probe, sound_speed: float) -> Transmits:
    """What was fired; the kinds of waves are found from the delays, which ``TX.Steer`` and ``TX.focus`` may not fit."""
    frequency = probe.center_frequency
    tx, tw = Structs(variables, "TX"), Structs(variables, "TW")
    waveform = tx.numbers("waveform", 1) if "waveform" in tx else np.ones(len(tx.values("Delay")))
    peaks = tw.numbers("peak") if "peak" in tw else np.zeros(max(1, int(waveform.max(initial=1))))
    fired = waveform[sequence.transmit]
    if np.any((fired < 1) | (fired > peaks.size)):
        raise BadField(
            "no such waveform", path=variables.path, location="TX.waveform", expected=f"1..{peaks.size}", found=fired
        )
    delays = [tx.vector("Delay", index, probe.n_elements) for index in sequence.transmit]
    weights = [tx.vector("Apod", index, probe.n_elements) for index in sequence.transmit]
    return transmits_of(
        probe,
        np.stack(delays) / frequency,
        np.stack(weights),
        sound_speed,
        pulse_peak_time=peaks[fired.astype(int) - 1] / frequency,
    )
