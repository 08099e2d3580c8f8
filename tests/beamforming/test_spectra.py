"""Spectra of traces against sums over samples, and against the pulse that they hold."""

from __future__ import annotations

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.spectra import Spectra
from usbeam.beamforming.traces import Pairs, pair

RATE, CARRIER, N = 25e6, 5e6, 160
BAND, TRAVEL = (2e6, 8e6), (2e-6, 5e-6)
STARTS = np.array([7e-6, 7.37e-6, 6.1e-6])
SHIFT = np.array([-1.1e-6, -0.93e-6, -1.513e-6])
PULSE_TIME = 3.517e-6
"""Travel time of the echo in `echo`."""
KINDS = {"rf": 0.0, "analytic": 0.0, "mixed": CARRIER, "mixed beside the centre": 4.3e6}
every_kind = pytest.mark.parametrize("kind", KINDS)


def recording(samples: np.ndarray, kind: str = "rf") -> ub.Acquisition:
    """Three elements that fire in turn, each with its own start time."""
    probe = ub.Probe.linear(3, 0.3e-3, CARRIER)
    return ub.Acquisition(
        samples=samples[None],
        kind="rf" if kind == "rf" else "iq",
        sampling_frequency=RATE,
        demodulation_frequency=KINDS[kind],
        start_time=STARTS,
        sound_speed=1540.0,
        probe=probe,
        transmits=ub.Transmits.elements(probe),
    )


def travel_times() -> np.ndarray:
    """Of each sample ``(n_tx, n_samples)``."""
    return np.arange(N) / RATE - SHIFT[:, None]


def times() -> np.ndarray:
    """After the trigger, of each sample ``(n_tx, n_samples)``."""
    return np.arange(N) / RATE + STARTS[:, None]


def stored(signal: np.ndarray, kind: str) -> ub.Acquisition:
    """Analytic ``(n_tx, n_samples)``, in all receivers but one, which hears twice as much."""
    samples = signal[:, None] * np.array([[1], [1], [2]])
    if kind == "rf":
        return recording(samples.real.astype(np.float32))
    mixed = samples * np.exp(-2j * np.pi * KINDS[kind] * times())[:, None]
    return recording(mixed.astype(np.complex64), kind)


def transformed(made: Spectra, frame: np.ndarray, pairs: Pairs, blocks: slice) -> np.ndarray:
    return made(frame, made.sources(pairs), blocks, 10**6)


def spectra_of(acquisition: ub.Acquisition, blocks: slice | None = None, travel=TRAVEL, band=BAND):
    """The transformer, the pairs, and the spectra ``(n_pairs, n_frequencies)``."""
    pairs = pair(acquisition, None, np.arange(3), fold=False)
    made = Spectra(acquisition, SHIFT, band, travel)
    out = transformed(made, acquisition.frame(0), pairs, blocks or slice(0, len(made.frequencies)))
    return made, pairs, np.moveaxis(out[..., :16] + 1j * out[..., 16:], 1, 0).reshape(len(pairs), -1)


def count(made: Spectra) -> int:
    """Frequencies before the last begins to repeat."""
    return len(np.unique(made.frequencies))


@every_kind
def test_equal_to_the_sum_over_samples(kind: str) -> None:
    """Sample n counts with exp(-i w travel time); what was mixed to zero is mixed back."""
    rng = np.random.default_rng(0)
    wanted_times = (travel_times() >= TRAVEL[0]) & (travel_times() <= TRAVEL[1])
    assert np.all((wanted_times.sum(axis=1) > 70) & ~wanted_times.all(axis=1))
    signal = np.where(wanted_times, rng.standard_normal((3, N)) + 1j * rng.standard_normal((3, N)), 0)
    acquisition = stored(signal, kind)
    made, pairs, found = spectra_of(acquisition)
    samples = acquisition.frame(0).astype(np.complex128)
    used = made.frequencies.ravel()[: count(made)]
    for p, t in enumerate(np.repeat(pairs.transmits, np.diff(pairs.first))):
        phase = KINDS[kind] * times()[t] - np.multiply.outer(used, travel_times()[t])
        wanted = np.exp(2j * np.pi * phase) @ samples[t, p % 3] * (2 if kind == "rf" else 1) / made.n_fft
        np.testing.assert_allclose(found[p, : len(used)], wanted, atol=3e-6 * np.abs(wanted).max())
    assert not found[:, len(used) :].any()


def echo() -> np.ndarray:
    """An analytic pulse of amplitude 1 that peaks after `PULSE_TIME`, within the band down to -60 dB."""
    late = travel_times() - PULSE_TIME
    return np.exp(-((late / 0.35e-6) ** 2) + 2j * np.pi * CARRIER * late)


@every_kind
def test_the_waves_add_up_to_the_echo(kind: str) -> None:
    """In phase at its travel time, and to the analytic pulse at any other."""
    made, _, found = spectra_of(stored(echo(), kind))
    at = np.linspace(*TRAVEL, 50)
    signal = found @ np.exp(2j * np.pi * np.multiply.outer(made.frequencies.ravel(), at))
    pulse = np.exp(-(((at - PULSE_TIME) / 0.35e-6) ** 2) + 2j * np.pi * CARRIER * (at - PULSE_TIME))
    np.testing.assert_allclose(signal, np.tile([[1], [1], [2]], (3, 1)) * pulse, atol=3e-3)


@every_kind
@pytest.mark.parametrize("band", [BAND, (4.9e6, 5.1e6), (5.001e6, 5.002e6)], ids=str)
def test_frequencies_are_all_bins_of_the_band(kind: str, band: tuple[float, float]) -> None:
    made = Spectra(stored(echo(), kind), SHIFT, band, TRAVEL)
    frequencies, step = made.frequencies.ravel(), RATE / made.n_fft
    assert made.frequencies.shape[1] == 16
    assert np.all(frequencies[count(made) :] == frequencies[count(made) - 1])
    used = frequencies[: count(made)]
    np.testing.assert_allclose(np.diff(used), step)
    offset = (used - KINDS[kind]) / step
    np.testing.assert_allclose(offset, np.round(offset), atol=1e-6)
    if band[1] - band[0] < step:
        assert len(used) == 1
        assert abs(used[0] - band[0]) < step
    else:
        assert used[0] - step < band[0] <= used[0]
        assert used[-1] <= band[1] < used[-1] + step


@every_kind
def test_the_transform_has_room_for_all_travel_times(kind: str) -> None:
    """A record that begins after the first and ends before the last: the rest is silent, and does not wrap around."""
    acquisition = stored(echo(), kind)
    made, _, found = spectra_of(acquisition, travel=(0.2e-6, 30e-6))
    assert made.n_fft > 29.8e-6 * RATE
    at = np.concatenate([np.linspace(0.2e-6, 0.9e-6, 20), np.linspace(8e-6, 30e-6, 100)])
    signal = found @ np.exp(2j * np.pi * np.multiply.outer(made.frequencies.ravel(), at))
    assert np.abs(signal).max() < 5e-3


@every_kind
def test_echoes_that_are_not_asked_for_are_not_heard(kind: str) -> None:
    assert np.abs(spectra_of(stored(echo(), kind), travel=(5.3e-6, 6e-6), band=(1e6, 11e6))[2]).max() < 1e-6


def test_blocks_are_parts_of_the_whole() -> None:
    acquisition = stored(echo(), "rf")
    made, _, whole = spectra_of(acquisition, band=(1e6, 12e6))
    assert len(made.frequencies) == 3
    part = spectra_of(acquisition, slice(1, 2), band=(1e6, 12e6))[2]
    np.testing.assert_array_equal(part, whole[:, 16:32])


def test_weights_and_folded_pairs() -> None:
    rng = np.random.default_rng(1)
    acquisition = recording(rng.standard_normal((3, 3, N)).astype(np.float32))
    weights = np.array([0.5, -1, 2], np.float32)
    frame, made = acquisition.frame(0), Spectra(acquisition, np.full(3, SHIFT[0]), BAND, TRAVEL)
    every = slice(0, len(made.frequencies))
    plain = transformed(made, frame, pair(acquisition, weights, np.arange(3), fold=False), every)
    folded = pair(acquisition, weights, np.arange(3), fold=True)
    assert len(folded) == 6
    np.testing.assert_allclose(transformed(made, frame, folded, every).sum(axis=1), plain.sum(axis=1), atol=1e-5)
    unweighted = pair(acquisition, None, np.arange(3), fold=False)
    alone = transformed(made, weights[:, None, None] * frame, unweighted, every)
    np.testing.assert_allclose(plain, alone, atol=1e-6)
