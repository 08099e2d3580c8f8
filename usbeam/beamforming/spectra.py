"""Spectra of recorded traces over the pass-band: the Fourier beamformer's only view of time."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.beamforming.sampling import ASSUMED_BANDWIDTH
from usbeam.beamforming.traces import Pairs
from usbeam.checks import Floats
from usbeam.errors import ConfigError
from usbeam.kernels.backend import CPU, Backend

EDGE_DB = 40.0
"""The default pass-band ends where a Gaussian pulse has fallen by so much: what is cut off rings no louder."""
_LOWEST = 0.05
"""Lowest frequency of the default pass-band, in units of the centre frequency."""
_MARGIN = 4.0
"""Reciprocal bandwidths kept before the first and after the last echo."""


def pass_band(acquisition: Acquisition, band: tuple[float, float] | None) -> tuple[float, float]:
    """Frequencies [Hz] that an image is made from.

    Parameters
    ----------
    acquisition
        Gives centre frequency, bandwidth and what the sampling can hold.
    band
        What the user asks for; the -40 dB points of the probe's band if None.

    Raises
    ------
    ConfigError
        If the band is empty or the samples hold no part of it.
    """
    rate, mixed = acquisition.sampling_frequency, acquisition.demodulation_frequency
    if acquisition.kind == "rf":
        held = (0.0, rate / 2)
    else:
        held = (mixed - rate / 2, mixed + rate / 2) if mixed else (0.0, rate)
    if band is None:
        probe = acquisition.probe
        relative = ASSUMED_BANDWIDTH if probe.bandwidth is None else probe.bandwidth
        half = probe.center_frequency * relative / 2 * np.sqrt(EDGE_DB / (20 * np.log10(2)))
        low, high = max(probe.center_frequency - half, _LOWEST * probe.center_frequency), probe.center_frequency + half
    else:
        try:
            low, high = (float(edge) for edge in band)
        except (TypeError, ValueError) as error:
            raise ConfigError("not a band", location="band", expected="(low, high) [Hz]", found=band) from error
        if not (0 < low < high < np.inf):
            raise ConfigError("not a band", location="band", expected="0 < low < high [Hz]", found=band)
    inside = max(low, held[0], rate * 1e-6), min(high, held[1])
    if inside[0] >= inside[1]:
        raise ConfigError(
            "the samples hold nothing of this band",
            path=acquisition.path,
            location="band",
            expected=f"frequencies within {held[0]:g}..{held[1]:g} Hz",
            found=f"{low:g}..{high:g} Hz",
        )
    return float(inside[0]), float(inside[1])


class Spectra:
    """Transforms traces over the part of time that an image needs, and keeps the pass-band.

    Parameters
    ----------
    acquisition
        Gives kind, rates and start times.
    shift : (n_tx,)
        Sample n of transmit t holds what has travelled for ``n / sampling_frequency - shift[t]`` [s].
    band
        First and last frequency [Hz].
    travel
        Shortest and longest travel time that the image asks for [s]. Times between them that were not recorded are
        zero; they must have room, or the other end of the record would be read in their place.
    backend
        Where traces are transformed.

    Attributes
    ----------
    frequencies : (n_blocks, 16)
        In blocks [Hz]. Past the band the last is repeated, and its spectrum is 0.
    n_fft : int
        Length of the transforms over time.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        shift: Floats,
        band: tuple[float, float],
        travel: tuple[float, float],
        *,
        backend: Backend = CPU,
    ) -> None:
        from scipy.fft import next_fast_len

        from usbeam.kernels.lanes import N_LANES

        self._backend = backend
        rate, mixed = acquisition.sampling_frequency, acquisition.demodulation_frequency
        margin = _MARGIN / (band[1] - band[0])
        earliest, latest = travel[0] - margin, travel[1] + margin
        self.n_fft = cast(int, next_fast_len(int(np.ceil((latest - earliest) * rate)) + 1, real=True))
        # Bins that mean one frequency each: neither 0 Hz nor half the sampling frequency of RF data.
        half = (self.n_fft - 1) // 2
        first, last = (-half, half) if mixed else (1, half if acquisition.kind == "rf" else self.n_fft - 1)
        low = max(int(np.ceil((band[0] - mixed) * self.n_fft / rate)), first)
        high = min(int(np.floor((band[1] - mixed) * self.n_fft / rate)), last)
        count = max(1, high - low + 1)  # a band narrower than a bin still has one
        n_blocks = -(-count // N_LANES)
        bins = np.minimum(low + np.arange(n_blocks * N_LANES), low + count - 1)
        self._first_bin = low
        self.frequencies = (mixed + bins * rate / self.n_fft).reshape(n_blocks, N_LANES)
        # Each transmit's first sample in the transform, and the travel time that it holds.
        first_sample = np.floor((earliest + shift) * rate).astype(np.int64)
        self._first_sample = backend.asarray(first_sample)
        begins = first_sample / rate - shift
        phase = -np.multiply.outer(begins, self.frequencies)
        if mixed:  # mixing is undone with the time after the trigger
            phase += (mixed * (np.asarray(acquisition.start_time) + first_sample / rate))[:, None, None]
        gain = np.where(np.arange(n_blocks * N_LANES) < count, 1, 0) / self.n_fft
        if acquisition.kind == "rf":  # negative frequencies are left out: the signal becomes analytic
            gain = 2 * gain
        factor = gain.reshape(n_blocks, N_LANES) * np.exp(2j * np.pi * (phase % 1.0))
        self._factor = backend.asarray(np.concatenate([factor.real, factor.imag], axis=-1).astype(np.float32))

    def sources(self, pairs: Pairs) -> tuple[Any, ...]:
        """What the kernel needs of some pairs, on the device: source, weight, owner."""
        owner = np.repeat(pairs.transmits, np.diff(pairs.first))
        return tuple(map(self._backend.asarray, (pairs.source, pairs.weight, owner)))

    def __call__(self, frame: Any, sources: tuple[Any, ...], blocks: slice, work_bytes: int) -> Any:
        """Spectra of pairs in some blocks of frequencies.

        Parameters
        ----------
        frame : (n_tx, n_rx, n_samples)
            As recorded, on the device.
        sources
            From `sources`: which traces are added, and with what weights.
        blocks
            Which rows of `frequencies`, from a stated start on.
        work_bytes
            Room for traces that are being transformed.

        Returns
        -------
        (n_blocks, n_pairs, 32) float32
            Complex lane elements (`usbeam.kernels.lanes`), on the device.
        """
        xp = self._backend.xp
        factor = xp.ascontiguousarray(self._factor[:, blocks])
        out = xp.empty((factor.shape[1], len(sources[0]), factor.shape[2]), np.float32)
        self._backend.spectra.spectra(
            frame.reshape(-1, frame.shape[-1]),
            *sources,
            self._first_sample,
            factor,
            self._first_bin + blocks.start * self.frequencies.shape[1],
            self.n_fft,
            work_bytes,
            out,
        )
        return out
