"""Values between samples: the tap weights, their error as predicted and as measured, the choice, the filter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

import usbeam as ub
from usbeam.beamforming.sampling import DEGREES, ERROR_DB, Interpolation, Sampler, choose
from usbeam.errors import ConfigError

FS, CARRIER = 25e6, 5e6
N_PHASES = 2048
names = st.sampled_from(sorted(DEGREES))


def recording(samples: np.ndarray, start: float = 0.0, bandwidth: float | None = 0.65, **facts) -> ub.Acquisition:
    """One transmit, one trace."""
    probe = ub.Probe.linear(1, 1e-3, CARRIER, bandwidth=bandwidth)
    kind = "iq" if np.iscomplexobj(samples) else "rf"
    return ub.Acquisition(
        samples=samples.reshape(1, 1, 1, -1).astype(np.complex64 if kind == "iq" else np.float32),
        **{"kind": kind, "sampling_frequency": FS, **facts},
        start_time=start,
        sound_speed=1540.0,
        probe=probe,
        transmits=ub.Transmits.elements(probe),
    )


def pulse(time: np.ndarray, width: float = 0.65 * CARRIER, frequency: float = CARRIER) -> np.ndarray:
    """Analytic Gaussian pulse at time 0 with a -6 dB width in Hz."""
    spread = 2 * np.log(2) / (np.pi * width) * np.sqrt(2)
    return np.exp(-((time / spread) ** 2) * 2 * np.log(2) + 2j * np.pi * frequency * time)


def read(sampler: Sampler, signal: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values at fractional samples `at`, as the kernel forms them."""
    shifted = at + sampler.table_offset
    first = np.floor(shifted).astype(int)
    rows = sampler.table(N_PHASES)[np.floor((shifted - first) * N_PHASES).astype(int)]
    return np.sum(rows * signal[first[:, None] + np.arange(rows.shape[1])], axis=1)


# The table


@pytest.mark.parametrize("name", DEGREES)
@pytest.mark.parametrize("upsampling", [1, 3])
def test_weights_of_zero_carrier_are_a_partition_of_unity(name: str, upsampling: int) -> None:
    sampler = Sampler(recording(np.zeros(64)), Interpolation(name, upsampling))
    table = sampler.table(64)
    assert table.shape == (64, DEGREES[name] + 1)
    # Taking the carrier's phase out of each tap leaves the B-spline.
    distance = (np.arange(64)[:, None] + 0.5) / 64 - sampler.table_offset - np.arange(table.shape[1])
    spline = table * np.exp(-2j * np.pi * CARRIER / sampler.rate * distance)
    np.testing.assert_allclose(spline.imag, 0, atol=1e-6)
    assert spline.real.min() >= -1e-7
    np.testing.assert_allclose(spline.real.sum(axis=1), 1, atol=1e-6)


@given(names, st.integers(1, 4), st.floats(10, 50))
def test_a_wave_at_the_carrier_is_read_exactly(name: str, upsampling: int, at: float) -> None:
    """The exponential carries the phase: there even the nearest sample is exact, up to the phase row."""
    sampler = Sampler(recording(np.zeros(64)), Interpolation(name, upsampling))
    cycles = CARRIER / sampler.rate
    wave = np.exp(2j * np.pi * cycles * np.arange(64 * upsampling))
    found = read(sampler, wave, np.array([at]))
    assert abs(found[0] - np.exp(2j * np.pi * cycles * at)) < 2 * np.pi * cycles / N_PHASES


# The error


@given(names, st.integers(1, 15), st.floats(5e6, 60e6), st.floats(0.1, 1.2))
def test_the_predicted_error_falls_with_upsampling_and_degree(
    name: str, upsampling: int, rate: float, bandwidth: float
) -> None:
    width = bandwidth * CARRIER
    here = Interpolation(name, upsampling).predicted_error_db(rate, width)
    assert Interpolation(name, upsampling + 1).predicted_error_db(rate, width) < here
    if width < rate / 4:  # below that, a spline of higher degree is the better filter
        linear, cubic = (Interpolation(n, upsampling).predicted_error_db(rate, width) for n in ("linear", "cubic"))
        nearest = Interpolation("nearest", upsampling).predicted_error_db(rate, width)
        assert cubic < linear < nearest
    assert Interpolation(name, upsampling).predicted_error_db(rate, width / 2) < here


@pytest.mark.parametrize("bandwidth", [0.4, 0.65])
@pytest.mark.parametrize("upsampling", [1, 2])
@pytest.mark.parametrize("name", DEGREES)
def test_the_predicted_error_is_the_measured_one(name: str, upsampling: int, bandwidth: float) -> None:
    """RMS over RMS of a Gaussian pulse, over all phases of the pulse against the samples."""
    interpolation, width = Interpolation(name, upsampling), bandwidth * CARRIER
    fine = np.arange(20, 108, 0.01) / FS
    wrong = right = 0.0
    for phase in np.linspace(0, 1, 8, endpoint=False):
        peak = (64 + phase) / FS
        samples = pulse(np.arange(128) / FS - peak, width).real
        sampler = Sampler(recording(samples), interpolation)
        signal = sampler.analytic(samples[None].astype(np.float32), np.array([0]))[0]
        wanted = pulse(fine - peak, width)
        wrong += np.sum(np.abs(read(sampler, signal, fine * sampler.rate) - wanted) ** 2)
        right += np.sum(np.abs(wanted) ** 2)
    measured = 10 * np.log10(wrong / right)
    predicted = interpolation.predicted_error_db(FS, width)
    # Below -60 dB the phase table and float32 show.
    assert measured == pytest.approx(predicted, abs=2) or (predicted < -60 and measured < -58)


# The choice


def test_the_cheapest_that_is_good_enough_is_chosen() -> None:
    cost = [("linear", 1), ("cubic", 1), ("cubic", 2), ("cubic", 3), ("cubic", 4)]
    chosen = []
    for rate in (100e6, 25e6, 14e6, 11e6):
        for bandwidth in (0.3, 0.65, 1.0):
            acquisition = recording(np.zeros(64), bandwidth=bandwidth, sampling_frequency=rate)
            found = choose(acquisition)
            rank = cost.index((found.name, found.upsampling))
            errors = [Interpolation(n, u).predicted_error_db(rate, bandwidth * CARRIER) for n, u in cost]
            assert errors[rank] <= ERROR_DB
            assert all(error > ERROR_DB for error in errors[:rank])
            chosen.append(rank)
    assert len(set(chosen)) > 2


def test_what_the_user_fixed_stays_fixed() -> None:
    coarse = recording(np.zeros(64), sampling_frequency=11e6)
    assert choose(coarse, "nearest", 1) == Interpolation("nearest", 1)
    assert choose(coarse, "linear").name == "linear"
    assert choose(coarse, "linear").upsampling > 1
    assert choose(coarse, upsampling=1) == Interpolation("cubic", 1)
    assert choose(coarse, upsampling=4).upsampling == 4


def test_an_unstated_bandwidth_is_assumed_wide() -> None:
    assert choose(recording(np.zeros(64), bandwidth=None)) == choose(recording(np.zeros(64), bandwidth=1.0))


@pytest.mark.parametrize(
    ("name", "upsampling"), [("lanczos", 1), ("", 1), ("linear", 0), ("linear", -1), ("cubic", 17)]
)
def test_interpolations_that_are_none(name: str, upsampling: int) -> None:
    with pytest.raises(ConfigError):
        Interpolation(name, upsampling)
    with pytest.raises(ConfigError):
        choose(recording(np.zeros(64)), name, upsampling)


# The analytic signal


def unfiltered(sampler: Sampler, samples: np.ndarray) -> np.ndarray:
    return sampler.analytic(samples[None], np.array([0]))[0]


def test_rf_becomes_analytic() -> None:
    samples = pulse(np.arange(128) / FS - 64.3 / FS).real.astype(np.float32)
    sampler = Sampler(recording(samples), Interpolation("cubic", 1))
    signal = unfiltered(sampler, samples)
    assert (signal.dtype, signal.shape, sampler.rate, sampler.n_samples) == (np.complex64, (128,), FS, 128)
    spectrum = np.abs(np.fft.fft(signal))
    assert spectrum[65:].max() < 1e-3 * spectrum.max()
    np.testing.assert_allclose(
        read(sampler, signal, np.arange(5.0, 120)), scipy.signal.hilbert(samples)[5:120], atol=4e-3
    )


@pytest.mark.parametrize("n_samples", [5, 63, 64, 101, 750])
@pytest.mark.parametrize("upsampling", [1, 2, 3])
def test_any_length_keeps_its_length(n_samples: int, upsampling: int) -> None:
    samples = pulse(np.arange(n_samples) / FS - (n_samples // 2) / FS)
    for kind in (samples.real.astype(np.float32), samples.astype(np.complex64)):
        sampler = Sampler(recording(kind), Interpolation("linear", upsampling))
        assert unfiltered(sampler, kind).shape == (n_samples * upsampling,)
        assert sampler.rate == FS * upsampling


def test_zero_in_zero_out() -> None:
    for zeros in (np.zeros(64, np.float32), np.zeros(64, np.complex64)):
        assert not unfiltered(Sampler(recording(zeros), Interpolation("cubic", 2)), zeros).any()


@pytest.mark.parametrize("upsampling", [1, 2])
@pytest.mark.parametrize("demodulation", [0.0, CARRIER, 4.3e6])
@pytest.mark.parametrize("start", [0.0, 3.137e-6])
def test_rf_and_iq_of_one_echo_read_the_same(upsampling: int, demodulation: float, start: float) -> None:
    time = start + np.arange(160) / FS
    echo = pulse(time - (start + 80.4 / FS), width=0.5 * CARRIER)
    mixed = echo * np.exp(-2j * np.pi * demodulation * time)
    at = np.arange(60, 100, 0.37) * upsampling
    values = []
    for samples in (echo.real.astype(np.float32), mixed.astype(np.complex64)):
        facts = {"demodulation_frequency": demodulation} if np.iscomplexobj(samples) else {}
        sampler = Sampler(recording(samples, start, **facts), Interpolation("cubic", upsampling))
        values.append(read(sampler, unfiltered(sampler, samples), at))
    np.testing.assert_allclose(values[1], values[0], atol=5e-3)
    np.testing.assert_allclose(values[1], pulse((at / upsampling - 80.4) / FS, width=0.5 * CARRIER), atol=5e-3)


def test_each_trace_of_iq_takes_the_phase_of_its_own_transmit() -> None:
    one = recording(np.ones(64, np.complex64), demodulation_frequency=CARRIER)
    probe = ub.Probe.linear(2, 1e-3, CARRIER)
    starts = np.array([0.0, 0.03e-6])
    two = one.replace(
        samples=np.ones((1, 2, 2, 64), np.complex64),
        probe=probe,
        transmits=dataclasses.replace(ub.Transmits.elements(probe)),
        receive_elements=None,
        start_time=starts,
    )
    sampler = Sampler(two, Interpolation("linear", 1))
    signal = sampler.analytic(np.ones((3, 64), np.complex64), np.array([0, 1, 0]))
    np.testing.assert_allclose(signal[0], signal[2])
    np.testing.assert_allclose(signal[1], signal[0] * np.exp(2j * np.pi * CARRIER * starts[1]), atol=1e-5)
