"""Phantoms hold what their truth says."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.errors import ConfigError, GeometryError
from usbeam.probe import Probe
from usbeam.simulate import Phantom
from usbeam.simulate.phantoms import cysts, inclusions, points, resolution_cell, speckle

X, Z = (-20e-3, 20e-3), (5e-3, 45e-3)


@pytest.fixture
def probe() -> Probe:
    return Probe.linear(64, 0.625e-3, 7.5e6, bandwidth=0.65)


def distance(phantom: Phantom, circle: tuple[float, float, float]) -> np.ndarray:
    return np.hypot(phantom.positions[:, 0] - circle[0], phantom.positions[:, 2] - circle[1])


def test_points_are_round_multiples_inside_the_limits() -> None:
    phantom = points(x=X, z=Z, amplitude=2.0)
    expected = [(x, 0, z) for z in (10e-3, 20e-3, 30e-3, 40e-3) for x in (-10e-3, 0, 10e-3)]
    np.testing.assert_allclose(phantom.positions, expected, atol=1e-12)
    np.testing.assert_array_equal(phantom.truth.points, phantom.positions)
    assert set(phantom.amplitudes) == {2.0}
    assert len(points(x=X, z=Z, spacing=5e-3).amplitudes) == 7 * 7


def test_resolution_cell_follows_its_formula(probe: Probe) -> None:
    wavelength = 1540 / 7.5e6
    lateral, axial = resolution_cell(probe, 30e-3)
    assert lateral == pytest.approx(wavelength * 30e-3 / probe.aperture)
    assert axial == pytest.approx(1540 / (2 * 0.65 * 7.5e6))
    assert resolution_cell(probe, 1e-3)[0] == pytest.approx(wavelength / 2)


def test_speckle_has_the_asked_density_and_is_uniform(probe: Probe) -> None:
    phantom = speckle(probe, x=X, z=Z, density=2.0)
    lateral, axial = resolution_cell(probe, 25e-3)
    assert len(phantom.amplitudes) == round(2 * 1600e-6 / (lateral * axial))
    assert abs(phantom.amplitudes.mean()) < 0.02
    assert phantom.amplitudes.std() == pytest.approx(1, abs=0.02)
    counts, _, _ = np.histogram2d(phantom.positions[:, 0], phantom.positions[:, 2], bins=4, range=[X, Z])
    assert np.ptp(counts) < 0.1 * counts.mean()
    assert counts.sum() == len(phantom.amplitudes)
    assert not np.any(phantom.positions[:, 1])


def test_seeds_reproduce(probe: Probe) -> None:
    first, same, other = (speckle(probe, x=X, z=Z, density=0.1, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.positions, same.positions)
    np.testing.assert_array_equal(first.amplitudes, same.amplitudes)
    assert not np.array_equal(first.positions, other.positions)


def test_cysts_are_empty_and_the_rest_is_untouched(probe: Probe) -> None:
    ground = speckle(probe, x=X, z=Z, density=1.0, seed=1)
    phantom = cysts(probe, x=X, z=Z, density=1.0, seed=1)
    assert len(phantom.truth.regions) == 12
    assert (0.0, 20e-3, 3e-3) in phantom.truth.regions.values()
    empty = np.zeros(len(ground.amplitudes), bool)
    for circle in phantom.truth.regions.values():
        assert not np.any(distance(phantom, circle) < circle[2])
        inside = distance(ground, circle) < circle[2]
        assert inside.any()
        empty |= inside
    np.testing.assert_array_equal(phantom.positions, ground.positions[~empty])


def test_inclusions_have_the_stated_contrast(probe: Probe) -> None:
    circles = [(-10e-3, 20e-3, 4e-3), (10e-3, 30e-3, 5e-3)]
    phantom = inclusions(probe, x=X, z=Z, circles=circles, contrasts_db=[-6, 12], seed=1)
    assert phantom.truth.regions == {"inclusion_1_-6dB": circles[0], "inclusion_2_+12dB": circles[1]}
    outside = np.ones(len(phantom.amplitudes), bool)
    levels = []
    for circle in circles:
        inside = distance(phantom, circle) < circle[2]
        outside &= ~inside
        levels.append(np.mean(phantom.amplitudes[inside] ** 2))
    background = np.mean(phantom.amplitudes[outside] ** 2)
    assert 10 * np.log10(np.array(levels) / background) == pytest.approx([-6, 12], abs=0.2)


def test_contrasts_are_taken_in_turn(probe: Probe) -> None:
    names = list(inclusions(probe, x=X, z=Z, density=0.1, contrasts_db=[-6, 6]).truth.regions)
    assert names[:3] == ["inclusion_1_-6dB", "inclusion_2_+6dB", "inclusion_3_-6dB"]
    assert len(names) == 12


def test_bad_requests_are_refused(probe: Probe) -> None:
    with pytest.raises(ConfigError, match="no target fits"):
        points(x=(1e-3, 2e-3), z=Z)
    with pytest.raises(ConfigError, match="no target fits"):
        cysts(probe, x=(-1e-3, 1e-3), z=Z)
    with pytest.raises(ConfigError, match="spacing"):
        points(x=X, z=Z, spacing=0.0)
    with pytest.raises(ConfigError, match="inverted"):
        speckle(probe, x=X, z=(45e-3, 5e-3))
    with pytest.raises(ConfigError, match="density"):
        speckle(probe, x=X, z=Z, density=float("nan"))
    with pytest.raises(ConfigError, match="no contrast"):
        inclusions(probe, x=X, z=Z, contrasts_db=[])
    with pytest.raises(ConfigError, match="radii"):
        cysts(probe, x=X, z=Z, circles=[(0.0, 20e-3, 0.0)])
    with pytest.raises(ConfigError, match="no bandwidth"):
        speckle(Probe.linear(8, 0.3e-3, 5e6), x=X, z=Z)


def test_a_phantom_checks_its_parts() -> None:
    with pytest.raises(GeometryError, match="do not fit"):
        Phantom(positions=np.zeros((3, 3)), amplitudes=np.ones(2))
    with pytest.raises(GeometryError, match="do not fit"):
        Phantom(positions=np.zeros((3, 2)), amplitudes=np.ones(3))
    with pytest.raises(GeometryError, match="not finite"):
        Phantom(positions=np.full((1, 3), np.nan), amplitudes=np.ones(1))
