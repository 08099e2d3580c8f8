"""What the sampling modes of a Vantage system keep of the signal, and the samples that they stand for.

The system samples at ``Receive.decimSampleRate``, four times the demodulation frequency f, and keeps (``VsUpdate.m``)

- ``NS200BW``: all samples. ``custom`` likewise, at a rate of the user's.
- ``BS100BW``, ``BS50BW``: two neighbours of every four or eight (``quadDecim`` 2 or 4): I, and a quarter of a period
  later -Q. The next pair comes one or two whole periods later. zea's importer reads the pairs in the same way.
- ``BS67BW``: every third sample, at 4/3 f (here ``decimSampleRate`` is that rate): real, below twice the frequency.

As Q was sampled a quarter of a period after I, it is brought to the same time by band-limited interpolation, which is
exact for signals of the band that the mode's name promises; taken as they are, the two would blur an echo by a quarter
of a period and shift it by an eighth. Phase is then counted from the trigger, as everywhere in usbeam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Kind
from usbeam.checks import Floats
from usbeam.errors import BadField
from usbeam.io.convert.demodulation import demodulate
from usbeam.io.convert.structs import Structs
from usbeam.io.convert.variables import Variables

CARRIER = {"BS100BW": 1 / 2, "BS67BW": 3 / 4, "BS50BW": 1.0}
"""Demodulation frequency over the number of values stored in a second."""
DECIMATION = {"NS200BW": 1, "BS100BW": 2, "BS67BW": 1, "BS50BW": 4, "custom": 1}
"""``decimSampleRate`` over the number of values stored in a second: ``Receive.quadDecim``."""
PAIRED = ("BS100BW", "BS50BW")
_PADDING = 64


@dataclass(frozen=True)
class Sampled:
    """Samples as `usbeam.acquisition.Acquisition` wants them.

    Parameters
    ----------
    array : (n_frames, n_tx, n_rx, n_samples)
        int16 or float32 RF, complex64 IQ.
    kind, sampling_frequency, demodulation_frequency
        As in `Acquisition`.
    """

    array: npt.NDArray[Any]
    kind: Kind
    sampling_frequency: float
    demodulation_frequency: float


def to_samples(
    variables: Variables,
    receive: Structs,
    used: npt.NDArray[np.int64],
    stored: npt.NDArray[Any],
    start_time: Floats,
    frequency: float,
) -> Sampled:
    """Samples from what the system kept.

    Parameters
    ----------
    variables, receive, used
        The workspace, its ``Receive``, and which of those are read.
    stored : (n_frames, n_tx, n_rx, n_values)
        What the buffer holds.
    start_time : (n_tx,)
        Of the first value [s].
    frequency
        Of the transducer [Hz].

    Raises
    ------
    MissingField, BadField
        If the mode or the rate is not known, or not the same for all.
    ConfigError
        If real samples were taken at a rate at which their band folds onto itself.
    """
    mode, rate = _mode(variables, receive, used), _rate(variables, receive, used, frequency)
    carrier = CARRIER.get(mode, 0.0) * rate
    _check_demodulation(variables, receive, used, carrier)
    if mode in PAIRED:
        return Sampled(_from_pairs(variables, stored, carrier, rate / 2, start_time), "iq", rate / 2, carrier)
    if not carrier and rate < 2 * frequency:
        carrier = frequency
    if carrier:
        return Sampled(demodulate(stored, carrier, rate, start_time), "iq", rate, carrier)
    return Sampled(stored, "rf", rate, 0.0)


def _one(variables: Variables, receive: Structs, field: str, used: npt.NDArray[np.int64]) -> float:
    """A number that must be the same in every ``Receive`` that is read."""
    found = np.unique(receive.numbers(field)[used])
    if found.size != 1 or found[0] <= 0:
        raise BadField(
            "not one positive number for all records",
            path=variables.path,
            location=f"Receive.{field}",
            found=", ".join(f"{number:.6g}" for number in found[:5]) or "none",
        )
    return float(found[0])


def _mode(variables: Variables, receive: Structs, used: npt.NDArray[np.int64]) -> str:
    texts = receive.texts("sampleMode")
    modes = {texts[index] for index in used}
    if len(modes) != 1 or not modes <= set(DECIMATION):
        raise BadField(
            "unknown sampling mode, or more than one",
            path=variables.path,
            location="Receive.sampleMode",
            expected="one of " + ", ".join(DECIMATION),
            found=", ".join(sorted(modes)),
            hint="interleave the two acquisitions of NS200BWI before saving" if "NS200BWI" in modes else None,
        )
    return modes.pop()


def _rate(variables: Variables, receive: Structs, used: npt.NDArray[np.int64], frequency: float) -> float:
    """Values stored in a second."""
    if "decimSampleRate" in receive:
        kept = _mode(variables, receive, used)
        return _one(variables, receive, "decimSampleRate", used) * 1e6 / DECIMATION[kept]
    return _one(variables, receive, "samplesPerWave", used) * frequency


def _check_demodulation(variables: Variables, receive: Structs, used: npt.NDArray[np.int64], carrier: float) -> None:
    """The system itself derives ``demodFrequency`` from the rate; where the two differ, one was changed afterwards."""
    if not carrier or "demodFrequency" not in receive:
        return
    stated = _one(variables, receive, "demodFrequency", used) * 1e6
    if abs(stated - carrier) > 0.01 * carrier:
        raise BadField(
            "does not fit the sampling rate",
            path=variables.path,
            location="Receive.demodFrequency",
            expected=f"{carrier / 1e6:.6g} MHz",
            found=f"{stated / 1e6:.6g} MHz",
        )


def _from_pairs(
    variables: Variables, stored: npt.NDArray[Any], carrier: float, pair_rate: float, start_time: Floats
) -> npt.NDArray[np.complex64]:
    """IQ from I and -Q in turn, the latter a quarter of a period later."""
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

    n_samples, odd = divmod(stored.shape[-1], 2)
    if odd:
        raise BadField(
            "half a pair of I and Q",
            path=variables.path,
            location="Receive.endSample",
            expected="an even number of values",
            found=stored.shape[-1],
        )
    n_fft = next_fast_len(n_samples + _PADDING, real=True)
    later = np.exp(-2j * np.pi * rfftfreq(n_fft, 1 / pair_rate) / (4 * carrier)).astype(np.complex64)
    phase = np.exp(-2j * np.pi * ((carrier * start_time) % 1)).astype(np.complex64)[:, None, None]
    iq = np.empty((*stored.shape[:-1], n_samples), np.complex64)
    for index, frame in enumerate(stored):
        pairs = frame.astype(np.float32)
        spectrum: Any = rfft(-pairs[..., 1::2], n_fft, axis=-1)
        quadrature: Any = irfft(spectrum * later, n_fft, axis=-1)
        iq[index] = (pairs[..., 0::2] + 1j * quadrature[..., :n_samples]) * phase
    return iq
