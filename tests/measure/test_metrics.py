"""Figures of merit against closed forms, naive formulas and each other; and what cannot be measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import usbeam as ub
from usbeam import metrics, roi
from usbeam.errors import ConfigError, MeasurementError, UsbeamError
from usbeam.measure.contrast import BINS
from usbeam.measure.edge import WIDTH

GRID = ub.Grid.linear(x=(-8e-3, 8e-3), z=(12e-3, 28e-3), shape=(321, 321))  # 0.05 mm
CYST = roi.RegionPair("cyst", roi.Circle(0.0, 20e-3, 3e-3), roi.Annulus(0.0, 20e-3, 4e-3, 5e-3))
SMALL = ub.Grid.linear(x=(-2e-3, 2e-3), z=(10e-3, 14e-3), shape=(24, 20))
HALVES = roi.RegionPair(
    "halves", roi.Rectangle((-2e-3, -0.05e-3), (10e-3, 14e-3)), roi.Rectangle((0.05e-3, 2e-3), (10e-3, 14e-3))
)
NEPER = 20 / math.log(10)  # dB
BY_PAIR = {
    "cnr": metrics.cnr,
    "gcnr": metrics.gcnr,
    "mean_difference_db": metrics.mean_difference_db,
    "contrast_db": metrics.contrast_db,
    "speckle_snr": metrics.speckle_snr,
    "enl": metrics.enl,
    "edge_width": metrics.edge_width,
}


def envelope(data: np.ndarray, grid: ub.Grid = GRID) -> ub.Image:
    return ub.Image(np.asarray(data, np.float32), grid, "envelope")


def decibels(data: np.ndarray, grid: ub.Grid = GRID, dynamic_range: float = 60.0) -> ub.Image:
    return ub.Image(np.asarray(data, np.float32), grid, "db", dynamic_range)


def speckle(contrast_db: float, seed: int, pair: roi.RegionPair = CYST, grid: ub.Grid = GRID) -> ub.Image:
    """Independent Rayleigh pixels; the inside is brighter by the contrast."""
    data = np.random.default_rng(seed).rayleigh(size=grid.shape)
    data[pair.inside.inside(grid)] *= 10 ** (contrast_db / 20)
    return envelope(data, grid)


def blurred_speckle(contrast_db: float, seed: int, cell: float = 2.0) -> ub.Image:
    """Rayleigh speckle with cells of some pixels; the step of the contrast is a Gaussian edge in dB."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal(GRID.shape), cell) + 1j * gaussian_filter(
        rng.standard_normal(GRID.shape), cell
    )
    return envelope(np.abs(field) * 10 ** (contrast_db / 20 * ndtr(-CYST.inside.signed_distance(GRID) / 0.15e-3)))


def bootstrapped(measure: Callable[[np.ndarray, np.ndarray], float], image: ub.Image) -> float:
    """Standard error of a figure of independent pixels."""
    rng = np.random.default_rng(1)
    inside, outside = (roi.values(image, shape).astype(float) for shape in (CYST.inside, CYST.outside))
    draws = [measure(rng.choice(inside, inside.size), rng.choice(outside, outside.size)) for _ in range(100)]
    return float(np.std(draws))


# Closed forms for Rayleigh speckle


def cnr_of_envelopes(contrast_db: float) -> float:
    one, other = 10 ** (contrast_db / 20), 1.0
    return abs(one - other) * math.sqrt(math.pi / 2) / math.sqrt((2 - math.pi / 2) * (one**2 + other**2))


def cnr_of_decibels(contrast_db: float) -> float:
    """Standard deviation of the log of a Rayleigh variable: pi / sqrt(24) Np, 5.57 dB."""
    return abs(contrast_db) / (math.sqrt(2) * NEPER * math.pi / math.sqrt(24))


def gcnr_of_rayleigh(contrast_db: float) -> float:
    """Difference of the two distribution functions where the densities cross; y is the intensity in units of 2 s^2."""
    ratio = 10 ** (contrast_db / 10)
    crossing = math.log(ratio) * ratio / (ratio - 1)
    return abs(math.exp(-crossing / ratio) - math.exp(-crossing))


def ratio_of_cnr(inside: np.ndarray, outside: np.ndarray) -> float:
    return abs(inside.mean() - outside.mean()) / math.sqrt(inside.var() + outside.var())


def test_the_closed_forms_by_integration() -> None:
    """The formulas above are right: moments and overlap by quadrature of the densities."""

    def density(x: float, s: float) -> float:
        return x / s**2 * math.exp(-(x**2) / (2 * s**2))

    one = 10 ** (9 / 20)
    moments = [[integrate.quad(lambda x, s=s, k=k: x**k * density(x, s), 0, 30)[0] for k in (1, 2)] for s in (one, 1)]
    (mean_1, square_1), (mean_2, square_2) = moments
    wanted = abs(mean_1 - mean_2) / math.sqrt(square_1 - mean_1**2 + square_2 - mean_2**2)
    assert cnr_of_envelopes(9) == pytest.approx(wanted, rel=1e-6)
    logs = [integrate.quad(lambda x, k=k: (NEPER * math.log(x)) ** k * density(x, 1), 0, 30)[0] for k in (1, 2)]
    assert math.sqrt(logs[1] - logs[0] ** 2) == pytest.approx(5.57, abs=5e-3)
    assert cnr_of_decibels(9) == pytest.approx(9 / math.sqrt(2 * (logs[1] - logs[0] ** 2)), rel=1e-5)
    overlap = integrate.quad(lambda x: min(density(x, one), density(x, 1)), 0, 30, limit=200)[0]
    assert gcnr_of_rayleigh(9) == pytest.approx(1 - overlap, abs=1e-6)


@pytest.mark.parametrize("contrast_db", [-20.0, -6.0, 3.0, 12.0])
def test_cnr_of_speckle_is_the_closed_form_within_its_error(contrast_db: float) -> None:
    image = speckle(contrast_db, seed=3)
    linear = metrics.cnr(image, CYST, domain="envelope")
    error = bootstrapped(ratio_of_cnr, image)
    assert error < 0.03 * cnr_of_envelopes(contrast_db) + 0.01
    assert abs(linear.value - cnr_of_envelopes(contrast_db)) < 4 * error
    shown = metrics.cnr(image, CYST, dynamic_range=150.0)  # nothing is clipped
    logarithms = dataclasses.replace(image, data=20 * np.log10(image.data))
    error = bootstrapped(ratio_of_cnr, logarithms)
    assert error < 0.03 * cnr_of_decibels(contrast_db) + 0.01
    assert abs(shown.value - cnr_of_decibels(contrast_db)) < 4 * error


@pytest.mark.parametrize("contrast_db", [-20.0, -6.0, 3.0, 12.0])
def test_gcnr_of_speckle_is_the_closed_form_within_its_error(contrast_db: float) -> None:
    image = speckle(contrast_db, seed=4)
    found = metrics.gcnr(image, CYST)

    def overlap(inside: np.ndarray, outside: np.ndarray) -> float:
        edges = np.quantile(np.r_[inside, outside], np.arange(1, BINS) / BINS)
        return 1 - sum(
            min(np.mean((inside > low) & (inside <= high)), np.mean((outside > low) & (outside <= high)))
            for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)
        )

    inside, outside = (roi.values(image, shape).astype(float) for shape in (CYST.inside, CYST.outside))
    assert found.value == pytest.approx(overlap(inside, outside), abs=1e-12)  # the definition, written out
    error = bootstrapped(overlap, image)
    assert error < 0.01
    assert found.n_pixels == (inside.size, outside.size)
    # What the bins lose, and what few pixels add where the two histograms are nearly equal.
    wanted = gcnr_of_rayleigh(contrast_db)
    assert wanted - 4 * error - binning_loss(contrast_db, BINS) < found.value < wanted + 4 * error + 0.004


def binning_loss(contrast_db: float, bins: int) -> float:
    """What bins that are equally probable for both regions together lose, without any statistical error."""
    ratio = 10 ** (contrast_db / 10)

    def mixture(y: float) -> float:
        return 1 - math.exp(-y / ratio) / 2 - math.exp(-y) / 2

    top = 60 * max(ratio, 1.0)
    edges = [optimize.brentq(lambda y, part=k / bins: mixture(y) - part, 0, top, xtol=1e-14) for k in range(1, bins)]
    shares = [np.diff([0.0, *(1 - np.exp(-np.array(edges) / scale)), 1.0]) for scale in (ratio, 1.0)]
    return gcnr_of_rayleigh(contrast_db) - (1 - float(np.minimum(*shares).sum()))


def test_what_the_bins_lose_is_what_the_handbook_says() -> None:
    losses = {contrast: binning_loss(contrast, BINS) for contrast in np.arange(0.25, 40, 0.25)}
    assert min(losses.values()) > -1e-9
    assert max(loss for contrast, loss in losses.items() if contrast <= 12) < 0.0013
    assert max(loss for contrast, loss in losses.items() if contrast <= 18) < 0.0031
    assert max(losses.values()) < 0.012


@pytest.mark.parametrize("bins", [16, 32, 100])
def test_few_pixels_overestimate_gcnr_as_the_handbook_says(bins: int) -> None:
    found = [metrics.gcnr(speckle(0.0, seed, HALVES, SMALL), HALVES, bins=bins) for seed in range(400)]
    n_in, n_out = found[0].n_pixels
    wanted = math.sqrt((bins - 1) / (2 * math.pi) * (1 / n_in + 1 / n_out))
    assert np.mean([float(each) for each in found]) == pytest.approx(wanted, rel=0.05)


def test_speckle_has_snr_1_913_and_one_look() -> None:
    snr, looks = (
        [measure(blurred_speckle(-6, seed), CYST).value for seed in range(30)]
        for measure in (metrics.speckle_snr, metrics.enl)
    )
    for found, wanted in ((snr, math.sqrt(math.pi / (4 - math.pi))), (looks, 1.0)):
        error = np.std(found) / math.sqrt(len(found))
        assert error < 0.015 * wanted
        assert abs(np.mean(found) - wanted) < 4 * error + 0.01 * wanted  # and a bias of order one by cells


def test_the_mean_of_four_images_of_speckle_has_four_looks() -> None:
    intensity = np.mean([speckle(0.0, seed).data.astype(float) ** 2 for seed in range(4)], axis=0)
    assert float(metrics.enl(envelope(np.sqrt(intensity)), CYST)) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("contrast_db", [-20.0, 6.0])
def test_contrast_in_db(contrast_db: float) -> None:
    image = speckle(contrast_db, seed=5)
    contrast, difference = metrics.contrast_db(image, CYST), metrics.mean_difference_db(image, CYST, dynamic_range=150)
    # Standard errors: of a mean envelope 1 / (1.913 sqrt(n)), of a mean level 5.57 dB / sqrt(n).
    n = math.sqrt(sum(1 / count for count in contrast.n_pixels))
    assert abs(contrast.value - contrast_db) < 4 * NEPER / 1.913 * n
    assert abs(difference.value - contrast_db) < 4 * 5.57 * n
    assert (contrast.unit, difference.unit) == ("dB", "dB")


def test_the_printed_form_depends_on_the_grey_scale() -> None:
    image = speckle(-12.0, seed=6)
    grey = image.db(60).data.astype(float) / 60 + 1
    inside, outside = grey[CYST.inside.inside(GRID)], grey[CYST.outside.inside(GRID)]
    wanted = (inside.mean() - outside.mean()) / math.sqrt(inside.std() + outside.std())
    assert wanted < 0
    assert float(metrics.cnr_eq2(image, CYST, gray_range=1)) == pytest.approx(wanted, rel=1e-9)
    assert float(metrics.cnr_eq2(image, CYST, gray_range=255)) == pytest.approx(wanted * math.sqrt(255), rel=1e-9)
    assert "scaled to 0..255" in metrics.cnr_eq2(image, CYST, gray_range=255).domain
    with pytest.raises(TypeError):
        metrics.cnr_eq2(image, CYST)  # type: ignore[call-arg]


# Grey levels


def squared_twice(image: ub.Image) -> ub.Image:
    return dataclasses.replace(image, data=(image.data / image.data.max()) ** 4)


def s_curve(image: ub.Image) -> ub.Image:
    """A steep rising map of the displayed levels about the middle of what occurs."""
    levels = 20 * np.log10(image.data.astype(float) / image.data.max())
    return decibels(-60 / (1 + np.exp((levels + 25) / 4)))


@pytest.mark.parametrize("remap", [squared_twice, s_curve])
@pytest.mark.parametrize("contrast_db", [-12.0, -3.0, 6.0])
def test_a_remapping_changes_cnr_not_gcnr_and_the_control_shows_it(remap: Any, contrast_db: float) -> None:
    original = blurred_speckle(contrast_db, seed=7)
    changed = remap(original)
    assert abs(metrics.gcnr(changed, CYST).value - metrics.gcnr(original, CYST).value) < 0.002
    before, after = metrics.cnr(original, CYST).value, metrics.cnr(changed, CYST).value
    assert abs(after - before) > 0.02 * before
    control = metrics.cnr(metrics.remapped(original, changed), CYST).value
    assert control == pytest.approx(after, rel=1e-6)


def test_cnr_can_be_raised_without_separating_anything() -> None:
    """The S-curve's gain is large where the regions lie on its two sides."""
    original = blurred_speckle(-20.0, seed=8)
    levels = 20 * np.log10(original.data / original.data.max())
    steep = decibels(-60 / (1 + np.exp((levels + 22) / 1.5)))
    assert metrics.cnr(steep, CYST).value > 1.3 * metrics.cnr(original, CYST).value
    assert abs(metrics.gcnr(steep, CYST).value - metrics.gcnr(original, CYST).value) < 0.002


def test_what_really_separates_beats_its_control() -> None:
    """The mean of eight images with speckle of their own."""
    looks = [blurred_speckle(-6.0, seed).data.astype(float) ** 2 for seed in range(8)]
    original, better = envelope(np.sqrt(looks[0])), envelope(np.sqrt(np.mean(looks, axis=0)))
    cnr = metrics.cnr(better, CYST).value
    assert cnr > 2 * metrics.cnr(metrics.remapped(original, better), CYST).value
    assert metrics.gcnr(better, CYST).value > metrics.gcnr(original, CYST).value + 0.2


def test_remapped_has_the_order_of_the_one_and_the_levels_of_the_other() -> None:
    original, enhanced = speckle(0.0, 1, HALVES, SMALL), speckle(-10.0, 2, HALVES, SMALL)
    made = metrics.remapped(original, enhanced, dynamic_range=50)
    assert (made.state, made.dynamic_range_db, made.grid) == ("db", 50.0, SMALL)
    np.testing.assert_allclose(np.sort(made.data, axis=None), np.sort(enhanced.db(50).data, axis=None), atol=1e-5)
    order = np.argsort(original.data, axis=None)
    assert np.all(np.diff(made.data.ravel()[order]) >= 0)
    np.testing.assert_allclose(metrics.remapped(original, original).data, original.db(60).data, atol=1e-5)


def test_remapped_keeps_equal_values_equal() -> None:
    original = envelope(np.round(speckle(0.0, 1, HALVES, SMALL).data * 2), SMALL)
    made = metrics.remapped(original, speckle(0.0, 2, HALVES, SMALL))
    for value in np.unique(original.data):
        assert np.ptp(made.data[original.data == value]) == 0


# Properties

seeds = st.integers(0, 2**32 - 1)
contrasts = st.floats(-40, 40)


@given(seeds, contrasts, st.floats(1e-6, 1e6))
@settings(max_examples=40, deadline=None)
def test_swapping_the_regions_and_gain_change_nothing(seed: int, contrast_db: float, gain: float) -> None:
    image = speckle(contrast_db, seed, HALVES, SMALL)
    swapped = roi.RegionPair("swapped", HALVES.outside, HALVES.inside)
    louder = envelope(image.data * np.float32(gain), SMALL)
    for measure in (metrics.cnr, metrics.gcnr, lambda *a: metrics.cnr(*a, domain="envelope")):
        value = measure(image, HALVES).value
        assert measure(image, swapped).value == pytest.approx(value, rel=1e-9, abs=1e-12)
        assert measure(louder, HALVES).value == pytest.approx(
            value, rel=1e-4, abs=5e-3 if measure is metrics.gcnr else 0
        )
    for signed in (metrics.contrast_db, metrics.mean_difference_db):
        assert signed(image, swapped).value == pytest.approx(-signed(image, HALVES).value, abs=1e-9)
        assert signed(louder, HALVES).value == pytest.approx(signed(image, HALVES).value, abs=1e-3)


@given(seeds, contrasts, st.sampled_from([0, 1, 2]), st.integers(2, 300))
@settings(max_examples=60, deadline=None)
def test_gcnr_lies_between_0_and_1(seed: int, contrast_db: float, digits: int, bins: int) -> None:
    image = speckle(contrast_db, seed, HALVES, SMALL)
    rounded = envelope(np.round(image.data, digits), SMALL)  # many pixels of equal value
    assert -1e-12 <= metrics.gcnr(rounded, HALVES, bins=bins).value <= 1 + 1e-12


@given(seeds, contrasts)
@settings(max_examples=30, deadline=None)
def test_the_mirrored_image_has_the_same_figures(seed: int, contrast_db: float) -> None:
    image = speckle(contrast_db, seed, HALVES, SMALL)
    left = roi.RegionPair("a", roi.Circle(-1e-3, 12e-3, 0.8e-3), roi.Rectangle((0.2e-3, 1.8e-3), (11e-3, 13e-3)))
    right = roi.RegionPair("b", roi.Circle(1e-3, 12e-3, 0.8e-3), roi.Rectangle((-1.8e-3, -0.2e-3), (11e-3, 13e-3)))
    other = envelope(image.data[:, ::-1], SMALL)
    for name, measure in BY_PAIR.items():
        if name != "edge_width":
            assert measure(image, left).value == pytest.approx(measure(other, right).value, rel=1e-9), name


@pytest.mark.parametrize("sign", [1, -1])
def test_gcnr_of_regions_that_do_not_overlap_is_1(sign: float) -> None:
    levels = sign * speckle(0.0, 5, CYST).data.astype(np.float64)
    levels[CYST.inside.inside(GRID)] -= 100  # far fewer pixels than outside: the border lies within a quantile's bin
    image = ub.Image((levels - levels.max()).astype(np.float32), GRID, "db", 200.0)
    assert metrics.gcnr(image, CYST).value == 1


def test_gcnr_tells_a_floor_from_what_is_just_above_it() -> None:
    inside, outside = HALVES.inside.inside(SMALL), HALVES.outside.inside(SMALL)
    levels = np.full(SMALL.shape, -60.0)
    levels[outside] = -59 + np.random.default_rng(0).random(np.count_nonzero(outside))
    assert metrics.gcnr(decibels(levels, SMALL), HALVES).value == pytest.approx(1)
    levels[outside] = -60
    assert metrics.gcnr(decibels(levels, SMALL), HALVES).value == 0
    levels[inside] = -20
    assert metrics.gcnr(decibels(levels, SMALL), HALVES).value == 1


# Edges


def edge(step_db: float, sigma: float, pair: roi.RegionPair = CYST, offset: float = 0.0) -> np.ndarray:
    """Levels that rise outwards by an error function about the border of the inside."""
    return -40 + step_db * ndtr((pair.inside.signed_distance(GRID) - offset) / sigma)


@pytest.mark.parametrize("sigma", [0.05e-3, 0.2e-3, 0.6e-3])
@pytest.mark.parametrize("offset", [0.0, 0.3e-3])
@pytest.mark.parametrize(
    "inside",
    [
        CYST.inside,
        roi.Rectangle((-3e-3, 3e-3), (17e-3, 23e-3)),
        roi.Polygon(((-3e-3, 17e-3), (3e-3, 18e-3), (2e-3, 23e-3), (-2e-3, 22e-3))),
        roi.Mask(CYST.inside.inside(GRID), "m.png"),
    ],
    ids=lambda inside: type(inside).__name__,
)
def test_edge_width_of_a_gaussian_edge(inside: Any, offset: float, sigma: float) -> None:
    pair = roi.RegionPair("a", inside, CYST.outside)
    for step in (-15.0, 20.0):
        found = metrics.edge_width(decibels(edge(step, sigma, pair, offset)), pair)
        assert found.value == pytest.approx(2 * 1.2815515655446004 * sigma, rel=1e-3)
        assert (found.unit, found.regions) == ("m", ("a.inside",))


@pytest.mark.parametrize("margin", [0.0, 0.5e-3])
@pytest.mark.parametrize("sigma", [0.1e-3, 0.2e-3, 0.4e-3])
def test_edge_width_of_a_blurred_disc_with_and_without_speckle(sigma: float, margin: float) -> None:
    step = GRID.spacing[0]
    cover = np.clip(0.5 - CYST.inside.signed_distance(GRID) / step, 0, 1)
    levels = gaussian_filter(-15 - 20 * cover, sigma / step, truncate=6)
    pair = roi.from_truth(ub.Truth(regions={"a": (0.0, 20e-3, 3e-3)}), margin=margin)["a"]
    # The disc's own border is as wide as a pixel.
    wanted = WIDTH * math.hypot(sigma, step / math.sqrt(12))
    assert metrics.edge_width(decibels(levels), pair).value == pytest.approx(wanted, rel=0.01)
    found = []
    for seed in range(24):
        noise = 20 * np.log10(np.random.default_rng(seed).rayleigh(size=GRID.shape))
        found.append(metrics.edge_width(decibels(levels + noise), pair).value)
    error = np.std(found) / math.sqrt(len(found))
    assert error < 0.015 * wanted
    assert abs(np.mean(found) - wanted) < 4 * error + 0.01 * wanted


def test_edge_width_in_correlated_speckle() -> None:
    levels = edge(20.0, 0.3e-3)
    found = []
    for seed in range(24):
        grains = 20 * np.log10(blurred_speckle(0.0, seed).data)
        found.append(metrics.edge_width(decibels(levels + grains), CYST).value)
    wanted = WIDTH * 0.3e-3
    assert abs(np.mean(found) - wanted) < 4 * np.std(found) / math.sqrt(len(found)) + 0.01 * wanted
    assert np.std(found) < 0.2 * wanted


def test_edge_width_of_a_small_disc_whose_border_lies_in_the_gap() -> None:
    """Beyond the depth of the inside: only the gap up to the outside lets it be seen."""
    disc = roi.Circle(0.0, 20e-3, 1.1e-3)
    levels = -40 + 20 * ndtr(disc.signed_distance(GRID) / 0.15e-3)
    pair = roi.from_truth(ub.Truth(regions={"a": (0.0, 20e-3, 1.1e-3)}), margin=0.5e-3)["a"]
    assert metrics.edge_width(decibels(levels), pair).value == pytest.approx(WIDTH * 0.15e-3, rel=1e-3)


def test_edge_width_is_the_fit_to_single_pixels() -> None:
    """An independent fit, without any averaging over equal distances."""
    levels = edge(12.0, 0.3e-3) + 20 * np.log10(np.random.default_rng(2).rayleigh(size=GRID.shape))
    distance = CYST.inside.signed_distance(GRID)
    near = distance <= 4e-3  # as deep as the inside, beyond a gap of 1 mm
    (_, _, _, sigma), _ = optimize.curve_fit(
        lambda d, low, step, place, sigma: low + step * ndtr((d - place) / sigma),
        distance[near] * 1e3,
        levels[near],
        p0=(-40, 10, 0.1, 0.2),
    )
    found = metrics.edge_width(decibels(levels), CYST)
    assert found.value == pytest.approx(WIDTH * sigma * 1e-3, rel=2e-3)
    assert found.n_pixels[0] == pytest.approx(np.count_nonzero(near), abs=20)


@pytest.mark.parametrize("cell", [1.0, 2.0, 4.0])
def test_uniform_speckle_has_no_edge(cell: float) -> None:
    for seed in range(20):
        with pytest.raises(MeasurementError, match="no step stands out of the noise"):
            metrics.edge_width(blurred_speckle(0.0, seed, cell), CYST)


def test_a_neighbour_beyond_the_mirrored_depth_does_not_matter() -> None:
    levels = edge(20.0, 0.2e-3)
    levels[np.hypot(GRID.x, GRID.z[:, np.newaxis] - 20e-3) > 7.1e-3] = -60
    assert metrics.edge_width(decibels(levels), CYST).value == pytest.approx(WIDTH * 0.2e-3, rel=1e-3)


# Against a reference


def pictures() -> tuple[ub.Image, ub.Image]:
    return speckle(-6.0, 11, HALVES, SMALL), speckle(-9.0, 12, HALVES, SMALL)


def test_psnr_is_the_formula_and_scikit_images() -> None:
    image, reference = pictures()
    a, b = (each.db(50).data.astype(float) for each in (image, reference))
    found = metrics.psnr(image, reference, dynamic_range=50)
    assert found.value == pytest.approx(10 * math.log10(50**2 / np.mean((a - b) ** 2)), abs=1e-9)
    assert found.value == pytest.approx(peak_signal_noise_ratio(b, a, data_range=50), abs=1e-6)
    assert metrics.psnr(image, image).value == math.inf
    assert metrics.psnr(envelope(2 * image.data, SMALL), image).value == math.inf  # each below its own maximum


def naive_ssim(a: np.ndarray, b: np.ndarray, span: float) -> float:
    """Equation 13 of Wang et al., window by window."""
    offset = np.arange(-5, 6)
    window = np.exp(-(offset[:, np.newaxis] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    found = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            x, y = (values[i : i + 11, j : j + 11] for values in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            cov = (window * (x - mean_x) * (y - mean_y)).sum()
            found.append(
                (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
            )
    return float(np.mean(found))


def test_ssim_is_the_formula_and_scikit_images() -> None:
    image, reference = pictures()
    a, b = (each.db(60).data.astype(float) + 60 for each in (image, reference))
    found = metrics.ssim(image, reference).value
    assert found == pytest.approx(naive_ssim(a, b, 60.0), abs=1e-9)
    options: dict[str, Any] = {"data_range": 60, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert found == pytest.approx(structural_similarity(a, b, **options), abs=1e-6)
    assert metrics.ssim(image, image).value == pytest.approx(1)
    grey = [each / 60 for each in (a, b)]
    assert found == pytest.approx(structural_similarity(*grey, **{**options, "data_range": 1}), abs=1e-6)


@pytest.mark.parametrize("size", [2, 5, 8, 9])
@pytest.mark.parametrize("squared", [False, True])
def test_lncc_is_the_naive_loop(size: int, squared: bool) -> None:
    image, reference = pictures()
    a, b = (each.db(60).data.astype(float) for each in (image, reference))
    a[:10, :10] = b[:10, 5:15] = -60  # one flat, the other, both
    found = metrics.lncc(decibels(a, SMALL), decibels(b, SMALL), size=size, squared=squared).value
    wanted = []
    for i in range(a.shape[0] - size + 1):
        for j in range(a.shape[1] - size + 1):
            x, y = (values[i : i + size, j : j + size] for values in (a, b))
            if np.ptp(x) > 0 and np.ptp(y) > 0:
                wanted.append(np.corrcoef(x.ravel(), y.ravel())[0, 1] ** (2 if squared else 1))
            elif np.ptp(x) > 0 or np.ptp(y) > 0:
                wanted.append(0.0)
    assert found == pytest.approx(np.mean(wanted), abs=1e-9)
    assert metrics.lncc(image, image, size=size).value == pytest.approx(1)
    negative = decibels(-60 - a, SMALL)
    assert metrics.lncc(negative, decibels(a, SMALL), size=size).value == pytest.approx(-1)


# Together


def test_evaluate_gives_every_figure_as_its_function_does() -> None:
    original = blurred_speckle(-12.0, 1)
    image = squared_twice(original)
    other = dataclasses.replace(CYST, name="other", outside=roi.Annulus(0.0, 20e-3, 5e-3, 6e-3))
    found = metrics.evaluate(
        image, {"cyst": CYST, "other": other}, original=original, reference=original, gray_range=255, dynamic_range=50
    )
    assert list(found.pairs) == ["cyst", "other"]
    shown = {"cnr", "mean_difference_db", "edge_width"}
    for name, measure in BY_PAIR.items():
        wanted = measure(image, CYST, **({"dynamic_range": 50} if name in shown else {}))
        assert found.pairs["cyst"][name] == wanted
    assert found.pairs["other"]["cnr_eq2"] == metrics.cnr_eq2(image, other, gray_range=255, dynamic_range=50)
    control = metrics.cnr(metrics.remapped(original, image, dynamic_range=50), CYST)
    assert found.pairs["cyst"]["control_cnr"].value == control.value
    assert found.pairs["cyst"]["control_cnr"].value == pytest.approx(found.pairs["cyst"]["cnr"].value, rel=1e-6)
    for name in ("psnr", "ssim", "lncc"):
        assert found.whole[name] == getattr(metrics, name)(image, original, dynamic_range=50)
    values = [figures["gcnr"].value for figures in found.pairs.values()]
    assert found.mean("gcnr") == pytest.approx(np.mean(values))
    assert found.absent == {}


def test_evaluate_leaves_out_what_a_db_image_does_not_have() -> None:
    shown = blurred_speckle(-12.0, 1).db(60)
    found = metrics.evaluate(shown, {"cyst": CYST})
    missing = {"contrast_db", "speckle_snr", "enl"}
    assert set(found.absent) == {f"cyst.{name}" for name in missing}
    assert set(BY_PAIR) - missing < set(found.pairs["cyst"])
    assert found.mean("enl") is None
    assert found.whole == {}


def test_a_metric_says_what_it_is() -> None:
    found = metrics.cnr(blurred_speckle(-12.0, 1), CYST, dynamic_range=50)
    assert float(found) == found.value
    assert found.regions == ("cyst.inside", "cyst.outside")
    assert found.n_pixels == tuple(np.count_nonzero(shape.inside(GRID)) for shape in (CYST.inside, CYST.outside))
    assert found.domain == "dB below the image's maximum, clipped at -50"
    assert str(found).startswith(f"cnr = {found.value:.6g} (|mean_in - mean_out| / sqrt(var_in + var_out); dB below")
    assert len(str(found).splitlines()) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.value = 3.0  # type: ignore[misc]


# What cannot be measured

OFF = roi.RegionPair("off", roi.Circle(7e-3, 20e-3, 3e-3), CYST.outside)
OVERLAP = roi.RegionPair("over", CYST.inside, roi.Annulus(0.0, 20e-3, 2.9e-3, 5e-3))
TOUCH = roi.RegionPair("touch", CYST.inside, roi.Annulus(0.0, 20e-3, 3e-3, 5e-3))  # pixels on the circle are in both
TINY = roi.RegionPair("tiny", roi.Circle(0.02e-3, 20.02e-3, 1e-6), CYST.outside)
DB = decibels(np.linspace(-60, 0, GRID.size).reshape(GRID.shape))
FLAT = envelope(np.full(GRID.shape, 0.1))
ZERO = envelope(np.zeros(GRID.shape))
NOISE = speckle(0.0, 0)
OTHER = speckle(0.0, 0, HALVES, SMALL)

REFUSED: dict[str, tuple[Callable[[], Any], type[UsbeamError], str]] = {
    **{
        f"{name} outside": (
            lambda measure=measure: measure(NOISE, OFF),
            MeasurementError,
            "off.inside: the region reaches",
        )
        for name, measure in BY_PAIR.items()
        if name not in ("speckle_snr", "enl")
    },
    **{
        f"{name} empty": (
            lambda measure=measure: measure(NOISE, TINY),
            MeasurementError,
            "tiny.inside: no pixel's centre",
        )
        for name, measure in BY_PAIR.items()
        if name not in ("speckle_snr", "enl")
    },
    **{
        f"{name} of dB": (lambda measure=measure: measure(DB, CYST), ConfigError, "a dB image has no linear envelope")
        for name, measure in BY_PAIR.items()
        if name in ("contrast_db", "speckle_snr", "enl")
    },
    "cnr of dB": (lambda: metrics.cnr(DB, CYST, domain="envelope"), ConfigError, "a dB image has no linear envelope"),
    "cnr domain": (lambda: metrics.cnr(DB, CYST, domain="power"), ConfigError, "unknown domain"),  # type: ignore[arg-type]
    "cnr of regions that overlap": (lambda: metrics.cnr(NOISE, OVERLAP), MeasurementError, "over: inside and outside"),
    "regions that overlap": (
        lambda: metrics.evaluate(NOISE, {"over": OVERLAP}),
        MeasurementError,
        "over: inside and outside overlap",
    ),
    "cnr flat": (lambda: metrics.cnr(FLAT, CYST), MeasurementError, "cyst: no variance"),
    "cnr_eq2 flat": (lambda: metrics.cnr_eq2(FLAT, CYST, gray_range=255), MeasurementError, "cyst: no variance"),
    "speckle_snr flat": (lambda: metrics.speckle_snr(FLAT, CYST), MeasurementError, "cyst.outside: no variance"),
    "enl flat": (lambda: metrics.enl(FLAT, CYST), MeasurementError, "cyst.outside: no variance"),
    "contrast of zeros": (lambda: metrics.contrast_db(ZERO, CYST), MeasurementError, "cyst: no contrast in dB"),
    "edge flat": (lambda: metrics.edge_width(FLAT, CYST), MeasurementError, "no step stands out of the noise"),
    "edge of noise": (lambda: metrics.edge_width(NOISE, CYST), MeasurementError, "no step stands out of the noise"),
    "edge of a ramp": (
        lambda: metrics.edge_width(decibels(-30 + 5e3 * CYST.inside.signed_distance(GRID)), CYST),
        MeasurementError,
        "wider than what was fitted",
    ),
    "edge of a step": (
        lambda: metrics.edge_width(decibels(np.where(CYST.inside.inside(GRID), -40, -20)), CYST),
        MeasurementError,
        "finer than the pixels",
    ),
    "edge of few": (
        lambda: metrics.edge_width(NOISE, roi.RegionPair("few", roi.Circle(0.0, 20e-3, 0.1e-3), CYST.outside)),
        MeasurementError,
        "few.inside: too few pixels at the border",
    ),
    "edge of all": (
        lambda: metrics.edge_width(
            NOISE, roi.RegionPair("all", roi.Mask(np.ones(GRID.shape, bool), "m.png"), CYST.outside)
        ),
        MeasurementError,
        "all.inside: too few pixels at the border",
    ),
    "mask of another": (
        lambda: metrics.cnr(NOISE, roi.RegionPair("m", roi.Mask(np.ones((2, 2), bool), "m.png"), CYST.outside)),
        MeasurementError,
        "was made for another image",
    ),
    "gray_range": (lambda: metrics.cnr_eq2(NOISE, CYST, gray_range=0), ConfigError, "gray_range: the grey scale"),
    "gray_range nan": (lambda: metrics.cnr_eq2(NOISE, CYST, gray_range=math.nan), ConfigError, "gray_range"),
    "dynamic range": (lambda: metrics.cnr(NOISE, CYST, dynamic_range=-60), ConfigError, "dynamic_range"),
    "one bin": (lambda: metrics.gcnr(NOISE, CYST, bins=1), ConfigError, "bins: too few"),
    "psnr of grids": (lambda: metrics.psnr(NOISE, OTHER), ConfigError, "lie on different grids"),
    "ssim of ranges": (
        lambda: metrics.ssim(NOISE.db(60), NOISE.db(50)),
        ConfigError,
        "show different ranges (expected 60 dB, found 50 dB)",
    ),
    "ssim too small": (
        lambda: metrics.ssim(*[envelope(np.ones((5, 30)), ub.Grid.linear(x=(0, 1), z=(1, 2), shape=(5, 30)))] * 2),
        MeasurementError,
        "smaller than a window (expected at least 11 x 11 pixels, found 5 x 30)",
    ),
    "lncc too small": (lambda: metrics.lncc(OTHER, OTHER, size=25), MeasurementError, "smaller than a window"),
    "lncc of a pixel": (lambda: metrics.lncc(OTHER, OTHER, size=1), ConfigError, "size: too small a window"),
    "lncc flat": (lambda: metrics.lncc(FLAT, FLAT), MeasurementError, "both images are flat"),
    "evaluate nothing": (lambda: metrics.evaluate(NOISE, {}), ConfigError, "no regions to evaluate"),
    "evaluate outside": (lambda: metrics.evaluate(NOISE, {"off": OFF}), MeasurementError, "off.inside: the region"),
    "evaluate range": (
        lambda: metrics.evaluate(DB, {"cyst": CYST}, dynamic_range=math.nan),
        ConfigError,
        "dynamic_range: not a positive number",
    ),
    "evaluate grey": (lambda: metrics.evaluate(DB, {"cyst": CYST}, gray_range=-1), ConfigError, "gray_range"),
    "evaluate original": (
        lambda: metrics.evaluate(NOISE, {"cyst": CYST}, original=OTHER),
        MeasurementError,
        "cyst.inside: the region reaches",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_one_clear_error(name: str) -> None:
    measure, kind, message = REFUSED[name]
    with pytest.raises(UsbeamError) as caught:
        measure()
    assert type(caught.value) is kind
    assert message in str(caught.value)


def test_regions_may_touch() -> None:
    assert (TOUCH.inside.inside(GRID) & TOUCH.outside.inside(GRID)).any()
    assert float(metrics.gcnr(NOISE, TOUCH)) < 0.2


def test_not_finite_pixels_are_refused_in_regions() -> None:
    data = NOISE.data.copy()
    data[160, 160] = np.nan
    for measure in (metrics.gcnr, metrics.contrast_db):
        with pytest.raises(MeasurementError, match=r"cyst\.inside: a value in the region is not finite"):
            measure(envelope(data), CYST)


def test_what_metrics_offers() -> None:
    assert ub.metrics is metrics
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)
