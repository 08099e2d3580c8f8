"""Size and correlation of speckle, against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import usbeam as ub
from usbeam.errors import ConfigError, MeasurementError
from usbeam.measure import speckle

GRID = ub.Grid.spaced(x=(-10e-3, 10e-3), z=(10e-3, 30e-3), spacing=(0.05e-3, 0.1e-3))
Z, X = np.meshgrid(GRID.z, GRID.x, indexing="ij")
TO_WIDTH = np.sqrt(8 * np.log(2))


def noise(seed: int, deviation: tuple[float, float] = (2.0, 1.5)) -> np.ndarray:
    """Circular Gaussian speckle, whose correlation is Gaussian."""
    rng = np.random.default_rng(seed)
    parts = (ndimage.gaussian_filter(rng.standard_normal(GRID.shape), deviation, mode="wrap") for _ in range(2))
    return sum(part * unit for part, unit in zip(parts, (1, 1j), strict=True))


def image(data: np.ndarray) -> ub.Image:
    return ub.Image(data.astype(np.complex64), GRID)


def alike(share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two fields of speckle whose complex correlation is the root of a share."""
    common, own = noise(3 * seed), (noise(3 * seed + 1), noise(3 * seed + 2))
    one, other = (np.sqrt(share) ** 0.5 * common + np.sqrt(1 - np.sqrt(share)) * each for each in own)
    return one, other


def plain(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(np.abs(one).ravel(), np.abs(other).ravel())[0, 1])


def tissue() -> np.ndarray:
    """Amplitude of inclusions from -25 to 9 dB, and a gradient of 8 dB in depth."""
    level = -8 * (Z - 10e-3) / 20e-3
    for x, z, radius, contrast in ((-5, 15, 2.5, -25), (4, 16, 3, 9), (-3, 25, 3, -12), (6, 25, 2, 6)):
        level[np.hypot(X * 1e3 - x, Z * 1e3 - z) < radius] += contrast
    return 10 ** (level / 20)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.6, 0.9])
def test_uniform_speckle_has_its_plain_correlation_and_so_has_speckle_in_tissue(share: float) -> None:
    found = np.zeros(4)
    for seed in range(2):
        one, other = alike(share, seed)
        seen = one * tissue(), other * tissue()
        found += plain(one, other), speckle.correlation(image(one), image(other)), plain(*seen), 0
        found[3] += speckle.correlation(*map(image, seen))
    true, uniform, misled, measured = found / 2
    assert true == pytest.approx(0.92 * share + 0.08 * share**2, abs=0.04)  # the squared complex correlation, nearly
    assert uniform == pytest.approx(true, abs=0.03)
    assert measured == pytest.approx(true, abs=0.03)
    if share < 0.8:
        assert misled > true + 0.1


def test_of_beamformed_speckle_and_of_inclusions() -> None:
    """The simulated recording of one look against the other, and of few transmits against all."""
    array = ub.Probe.linear(32, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    grid = ub.Grid.spaced(x=(-4e-3, 4e-3), z=(11e-3, 19e-3), spacing=(0.06e-3, 0.12e-3))
    limits = {"x": (-6e-3, 6e-3), "z": (10e-3, 20e-3), "density": 12}
    circles = [(-2e-3, 13e-3, 1.3e-3), (2e-3, 16e-3, 1.5e-3)]
    made = {
        "uniform": ub.simulate.phantoms.speckle(array, seed=1, **limits),
        "inclusions": ub.simulate.phantoms.inclusions(array, seed=1, circles=circles, contrasts_db=[-20, 9], **limits),
    }
    away = np.all([np.hypot(*np.meshgrid(grid.x - x, grid.z - z)) > r + 0.8e-3 for x, z, r in circles], axis=0)
    options = {"sampling_frequency": 20e6, "depth": (10e-3, 20e-3), "noise_db": -60}
    for name, phantom in made.items():
        recording = ub.simulate.record(phantom, array, ub.Transmits.elements(array), **options)
        pairs = [ub.subsets.ends(recording, 2), ub.subsets.first(recording, 16), ub.subsets.all(recording)]
        few, left, full = ub.Plan(recording, grid, transmits=pairs, f_number=1.0)(recording.frame(0))
        for one in (few, left):
            where = away if name == "inclusions" else np.ones(grid.shape, bool)
            # The level of speckle alone, which changes with place, is no speckle.
            levels = [np.abs(each.data) / ndimage.gaussian_filter(np.abs(each.data), 20) for each in (one, full)]
            true = np.corrcoef(*(level[where] for level in levels))[0, 1]
            assert speckle.correlation(one, full) == pytest.approx(true, abs=0.03)
            if name == "inclusions":
                assert plain(one.data, full.data) > true + 0.08


def test_size_of_a_speckle() -> None:
    for deviation in ((2.0, 1.5), (4.0, 1.0)):
        cells = np.mean([speckle.cell(image(noise(seed, deviation))) for seed in range(4)], axis=0)
        # The squared correlation of Gaussian-filtered noise is as wide as the filter.
        assert cells == pytest.approx(np.multiply(deviation, GRID.spacing) * TO_WIDTH, rel=0.06)


@pytest.mark.parametrize("deviation", [(1.3, 1.3), (2.0, 1.5), (3.0, 6.0)])
def test_size_of_a_speckle_without_phases(deviation: tuple[float, float]) -> None:
    """In tissue as in uniform speckle, from the envelope as from what is displayed."""
    data = noise(0, deviation)
    wanted = np.multiply(deviation, GRID.spacing) * TO_WIDTH
    seen = image(data * tissue())
    for given in (image(data).envelope(), seen.envelope(), seen.db(60)):
        assert speckle.cell(given) == pytest.approx(wanted, rel=0.12)


def test_neither_a_bright_point_nor_a_gradient_decides_on_the_size() -> None:
    data = noise(0)
    point = 300 * np.abs(data).max() * np.exp(-(((X - 1e-3) / 0.2e-3) ** 2) - ((Z - 2e-2) / 0.15e-3) ** 2)
    seen = speckle.cell(image(data * 10 ** (-3 * (Z - 10e-3) / 20e-3)))
    assert seen == pytest.approx(speckle.cell(image(data)), rel=0.05)
    assert speckle.correlation(image(data + point), image(noise(1) + point)) < 0.1


def test_without_speckle_it_is_that_of_the_complex_images() -> None:
    """Points in silence: their envelopes are alike whichever part of k-space shows them, their phases are not."""
    spot = np.exp(-(((X - 1e-3) / 0.4e-3) ** 2) - ((Z - 20e-3) / 0.3e-3) ** 2)
    steps = {"same": 1, "half": np.exp(1j * X / 0.4e-3 * 2 * np.sqrt(np.log(2))), "apart": np.exp(9j * X / 0.4e-3)}
    found = {name: speckle.correlation(image(spot), image(spot * turn)) for name, turn in steps.items()}
    assert found == {
        "same": pytest.approx(1),
        "half": pytest.approx(0.5, abs=0.01),
        "apart": pytest.approx(0, abs=1e-4),
    }


def test_silent_parts_do_not_count() -> None:
    one, other = alike(0.35, 0)
    there = GRID.z[:, None] < 22e-3
    found = speckle.correlation(image(one * there), image(other * there))
    assert found == pytest.approx(plain(one[there[:, 0]], other[there[:, 0]]), abs=0.05)


def test_what_cannot_be_measured() -> None:
    flat, silent = image(np.ones(GRID.shape)), image(np.zeros(GRID.shape))
    for measure in (speckle.cell, lambda each: speckle.correlation(flat, each)):
        with pytest.raises(MeasurementError, match="zero everywhere"):
            measure(silent)
    with pytest.raises(ConfigError, match="complex"):
        speckle.correlation(image(noise(0)).envelope(), image(noise(1)).envelope())
    points = np.zeros(GRID.shape)
    points[::40, ::40] = 1
    with pytest.raises(MeasurementError, match="hardly any speckle"):
        speckle.cell(image(ndimage.gaussian_filter(points, 2)).envelope())
    other = ub.Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 2e-3), shape=GRID.shape)
    with pytest.raises(ConfigError, match="different grids"):
        speckle.correlation(flat, ub.Image(flat.data, other))
    line = ub.Grid.linear(x=(0, 0), z=(1e-3, 2e-3), shape=(9, 1))
    with pytest.raises(ConfigError, match="2 x 2"):
        speckle.cell(ub.Image(np.ones((9, 1), np.complex64), line))
