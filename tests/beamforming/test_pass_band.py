"""The pass-band: what it is by default, where it ends, and bands that are none."""

from __future__ import annotations

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.spectra import EDGE_DB, Spectra, pass_band
from usbeam.errors import ConfigError

CARRIER = 5e6
KINDS = {"rf": 0.0, "analytic": 0.0, "mixed": CARRIER, "mixed beside the centre": 4.3e6}


def empty(kind: str = "rf", bandwidth: float | None = 0.65, rate: float = 25e6) -> ub.Acquisition:
    probe = ub.Probe.linear(1, 0.3e-3, CARRIER, bandwidth=bandwidth)
    return ub.Acquisition(
        samples=np.zeros((1, 1, 1, 8), np.float32 if kind == "rf" else np.complex64),
        kind="rf" if kind == "rf" else "iq",
        sampling_frequency=rate,
        demodulation_frequency=KINDS[kind],
        start_time=0.0,
        sound_speed=1540.0,
        probe=probe,
        transmits=ub.Transmits.elements(probe),
    )


@pytest.mark.parametrize("bandwidth", [0.2, 0.65])
def test_the_default_band_ends_where_a_gaussian_pulse_has_fallen(bandwidth: float) -> None:
    low, high = pass_band(empty(bandwidth=bandwidth), None)
    assert low + high == pytest.approx(2 * CARRIER)
    # Half of the amplitude at half of the bandwidth from the centre.
    level = 0.5 ** (((high - CARRIER) / (bandwidth * CARRIER / 2)) ** 2)
    assert 20 * np.log10(level) == pytest.approx(-EDGE_DB)


def test_an_unstated_bandwidth_is_assumed_wide_and_stays_above_zero() -> None:
    assert pass_band(empty(bandwidth=None), None) == pass_band(empty(bandwidth=1.0), None)
    assert pass_band(empty(bandwidth=1.5), None)[0] == pytest.approx(0.05 * CARRIER)


@pytest.mark.parametrize(
    ("kind", "rate", "held"),
    [
        ("rf", 16e6, (0, 8e6)),
        ("analytic", 8e6, (0, 8e6)),
        ("mixed", 4e6, (3e6, 7e6)),
        ("mixed beside the centre", 4e6, (2.3e6, 6.3e6)),
    ],
)
def test_bands_end_where_the_samples_do(kind: str, rate: float, held: tuple[float, float]) -> None:
    acquisition = empty(kind, rate=rate, bandwidth=1.5)
    np.testing.assert_allclose(pass_band(acquisition, None), (max(held[0], 0.05 * CARRIER), held[1]))
    np.testing.assert_allclose(pass_band(acquisition, (1e6, 20e6)), (max(held[0], 1e6), held[1]))
    inside = (held[0] + 1e6, held[1] - 1e6)
    assert pass_band(acquisition, inside) == inside
    beyond = (held[1] + 1, held[1] + 1e6)
    with pytest.raises(ConfigError, match="band: the samples hold nothing of this band") as caught:
        pass_band(acquisition, beyond)
    assert f"{held[1]:g} Hz" in str(caught.value)


@pytest.mark.parametrize(
    "band", [(6e6, 4e6), (5e6, 5e6), (0.0, 5e6), (-1e6, 5e6), (1e6, np.inf), (np.nan, 5e6), (1e6, np.nan)], ids=str
)
def test_bands_that_are_none(band: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"band: not a band .expected 0 < low < high"):
        pass_band(empty(), band)


@pytest.mark.parametrize("band", [(1e6, 2e6, 3e6), ("a", "b"), 5e6], ids=str)
def test_a_band_that_is_no_pair_of_numbers_is_refused(band: object) -> None:
    with pytest.raises(ConfigError, match="band"):
        pass_band(empty(), band)  # pyright: ignore[reportArgumentType]


def test_each_frequency_counts_once_where_the_band_ends_with_the_rate() -> None:
    """Half the sampling frequency above and below the mixing frequency are one and the same bin."""
    recording = empty("mixed", rate=CARRIER)
    made = Spectra(recording, np.zeros(1), pass_band(recording, None), (5e-6, 20e-6))
    assert len(np.unique(made.frequencies)) <= made.n_fft
