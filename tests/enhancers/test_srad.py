"""SRAD: what it must do to speckle and edges, against an oracle, its three conventions, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq
from scipy.special import ndtr

import usbeam as ub
from tests.kernels.test_srad_cpu import naive_step
from usbeam import metrics, roi
from usbeam.enhancers.srad import RAYLEIGH, RAYLEIGH_DB
from usbeam.errors import ConfigError, MeasurementError

METHODS = ("srad", "srad-decompressed", "srad-exp")
PIXEL = 0.05e-3
GRID = ub.Grid.linear(x=(-8e-3, 8e-3), z=(12e-3, 28e-3), shape=(321, 321))
SMALL = ub.Grid.linear(x=(-2e-3, 2e-3), z=(10e-3, 13e-3), shape=(26, 21))
DISC = roi.RegionPair("disc", roi.Circle(0.0, 20e-3, 4e-3), roi.Annulus(0.0, 20e-3, 4e-3, 7e-3))
EVERYWHERE = roi.RegionPair(
    "speckle", roi.Circle(0.0, 20e-3, 1e-3), roi.Rectangle((-7.5e-3, 7.5e-3), (12.5e-3, 27.5e-3))
)
BESIDE = "-7.5mm:-5mm@12.5mm:27.5mm"


def envelope(values: np.ndarray, grid: ub.Grid = GRID) -> ub.Image:
    return ub.Image(np.asarray(values, np.float32), grid, "envelope")


def speckle(seed: int, looks: int = 1, cell: float = 1.0, grid: ub.Grid = GRID) -> np.ndarray:
    """Fully developed: the root of the mean intensity of `looks` complex Gaussian fields, cells of some pixels."""
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.standard_normal((looks, 2, *grid.shape)), (0, 0, cell, cell))
    return np.sqrt((fields**2).sum(axis=1).mean(axis=0))


def snr(values: np.ndarray) -> float:
    return float(metrics.speckle_snr(envelope(values), EVERYWHERE))


def srad(values: np.ndarray, grid: ub.Grid = GRID, **parameters: Any) -> np.ndarray:
    return ub.enhance(envelope(values, grid), "srad", **parameters).data


# Speckle


@pytest.mark.parametrize("q0", ["automatic", BESIDE, "decay", "0.5"])
def test_speckle_is_smoothed_monotonically_and_keeps_its_mean(q0: str) -> None:
    given = speckle(seed=1)
    assert snr(given) == pytest.approx(1.91, abs=0.04)  # fully developed
    found = [given] + [srad(given, n_iterations=n, time_step=0.2, q0=q0) for n in (2, 5, 10, 20, 50, 100, 200)]
    assert np.all(np.diff([snr(each) for each in found]) > 0)
    assert snr(found[-1]) > 3 * snr(given)
    inside = EVERYWHERE.outside.inside(GRID)
    means = [each[inside].mean() / given[inside].mean() for each in found]
    np.testing.assert_allclose(means, 1, atol=0.01)
    assert found[-1].mean(dtype=float) == pytest.approx(given.mean(), rel=1e-5)


# Edges


def widths(looks: int, seeds: range, **parameters: Any) -> tuple[float, float, float]:
    """Mean 10-90 % width [m] of a 6 dB edge: given, by SRAD, by a Gaussian that raises speckle SNR as much."""
    uniform = speckle(seed=99, looks=looks)
    wanted = snr(srad(uniform, **parameters))
    sigma = brentq(lambda sigma: snr(gaussian_filter(uniform, sigma)) - wanted, 0.3, 20, xtol=1e-3)
    step_db = 6 * ndtr(-DISC.inside.signed_distance(GRID) / (0.8 * PIXEL))
    images = [speckle(seed, looks) * 10 ** (step_db / 20) for seed in seeds]
    found = [
        [float(metrics.edge_width(envelope(each), DISC)) for each in (image, srad(image, **parameters), blurred)]
        for image, blurred in ((image, gaussian_filter(image, sigma)) for image in images)
    ]
    given, diffused, blurred = np.mean(found, axis=0)
    return given, diffused, blurred


@pytest.mark.parametrize(("looks", "n_iterations"), [(10, 300), (25, 200)])
def test_an_edge_in_compounded_speckle_stays_where_a_gaussian_doubles_it(looks: int, n_iterations: int) -> None:
    given, diffused, blurred = widths(looks, range(4), n_iterations=n_iterations, time_step=0.3)
    assert diffused < 1.2 * given
    assert blurred > 2 * given


def test_an_edge_in_single_look_speckle_is_blurred_as_by_a_gaussian() -> None:
    """A limit of the method, said in its text: between two pixels 6 dB apart q is that of the speckle itself."""
    darker = np.full((1, 6), 1.0)
    darker[0, 3:] = 10 ** (6 / 20)
    variation = np.sqrt((0.5 - 1 / 16) * (darker[0, 3] - 1) ** 2) / (1 + (darker[0, 3] - 1) / 4)
    assert variation == pytest.approx(RAYLEIGH, abs=0.02)
    given, diffused, blurred = widths(1, range(4), n_iterations=100, time_step=0.2)
    assert diffused > 2 * given
    assert diffused == pytest.approx(blurred, rel=0.15)


# Oracle


def naive(values: np.ndarray, q0: str, start: float, n_iterations: int, time_step: float) -> np.ndarray:
    """In float64, with q0 of rows 3 to 14, columns 4 to 15; or decaying."""
    image = values.astype(np.float64)
    for i in range(n_iterations):
        region = image[3:15, 4:16]
        squared = (start * np.exp(-i * time_step / 6)) ** 2 if q0 == "decay" else region.var() / region.mean() ** 2
        image = naive_step(image, squared, time_step)
    return image


@pytest.mark.parametrize("q0", ["decay", "-1.3mm:1.1mm@0.0103:0.01175"])
@pytest.mark.parametrize("method", METHODS)
def test_equals_the_naive_oracle(method: str, q0: str) -> None:
    given = envelope(speckle(seed=2, grid=SMALL) + 0.02, SMALL)
    found = ub.enhance(given, method, n_iterations=20, time_step=0.5, q0=q0, dynamic_range=50)
    if method == "srad":
        wanted = naive(given.data, q0, RAYLEIGH, 20, 0.5)
        np.testing.assert_allclose(found.data, wanted, atol=1e-5 * wanted.max())
        return
    shown = 1 + given.db(50).data.astype(np.float64) / 50
    if method == "srad-decompressed":
        wanted = 50 + 20 * np.log10(naive(10 ** ((shown - 1) * 50 / 20), q0, RAYLEIGH, 20, 0.5))
    else:
        wanted = 50 * np.log(naive(np.exp(shown), q0, RAYLEIGH_DB / 50, 20, 0.5))
    np.testing.assert_allclose((found.data + 50) / 50, wanted / 50, atol=1e-5)


def test_the_defaults_with_the_automatic_window_too() -> None:
    given = speckle(seed=3, grid=SMALL) + 0.02
    image = ub.enhance(envelope(given, SMALL), "srad", n_iterations=20, window=1e-3)
    note = image.settings["enhanced"][0]["q0"]
    assert note["from"] == "quietest window"
    rows, columns = (
        slice(np.searchsorted(axis, low - 1e-9), np.searchsorted(axis, high + 1e-9))
        for axis, (low, high) in ((SMALL.z, note["z"]), (SMALL.x, note["x"]))
    )
    n_z, n_x = given[rows, columns].shape
    assert (n_z, n_x) == (8, 8)
    windows = np.lib.stride_tricks.sliding_window_view(given, (n_z, n_x))
    variations = windows.std(axis=(2, 3)) / windows.mean(axis=(2, 3))
    extremes = (given == given.min()) | (given == given.max())
    variations[np.lib.stride_tricks.sliding_window_view(extremes, (n_z, n_x)).any(axis=(2, 3))] = np.inf
    assert note["first"] == pytest.approx(variations.min(), rel=1e-5)
    wanted = given
    for _ in range(20):
        region = wanted[rows, columns]
        wanted = naive_step(wanted, region.var() / region.mean() ** 2, 0.05)
    np.testing.assert_allclose(image.data, wanted, atol=1e-5 * wanted.max())
    assert note["last"] == pytest.approx(region.std() / region.mean(), rel=1e-3)


# Scale, conventions, q0


@pytest.mark.parametrize("q0", ["automatic", "decay"])
def test_scaling_the_image_scales_the_result(q0: str) -> None:
    given = speckle(seed=4)
    given[:40] = 0
    found = srad(given, q0=q0)
    for scale in (3e-30, 2**-20, 3e12):
        np.testing.assert_allclose(srad(scale * given, q0=q0), scale * found, atol=1e-6 * scale * found.max())


def test_decompression_is_the_envelope_again() -> None:
    """What was clipped apart, the two linear methods do the same; exp of the display does not."""
    given = envelope(speckle(seed=5) + 0.05)
    parameters = {"n_iterations": 50, "time_step": 0.2, "q0": "decay"}
    linear = ub.enhance(given, "srad", **parameters)
    peak = float(given.data.max())
    for dynamic_range in (40, 80):
        shown = ub.enhance(given.db(dynamic_range), "srad-decompressed", **parameters)
        assert shown.dynamic_range_db == dynamic_range
        np.testing.assert_allclose(shown.data, linear.db(dynamic_range, reference=peak).data, atol=1e-3)
    other = ub.enhance(given, "srad-exp", **parameters)
    assert np.abs(other.data - linear.db(60, reference=peak).data).max() > 1


@pytest.mark.parametrize("method", METHODS[1:])
def test_all_images_are_taken_with_their_own_dynamic_range(method: str) -> None:
    given = envelope(speckle(seed=6))
    from_envelope = ub.enhance(given, method, dynamic_range=45)
    from_db = ub.enhance(given.db(45), method, dynamic_range=99)
    np.testing.assert_array_equal(from_envelope.data, from_db.data)


def test_the_quietest_window_is_speckle_and_neither_empty_nor_clipped() -> None:
    given = speckle(seed=7)
    given[:, 160:] = speckle(seed=8, looks=16)[:, 160:]  # quieter, on the right
    given[:100] = 0
    given[220:] = np.minimum(2 * given.max(), 100 + given[220:])  # saturated
    given[:220, 230:] = 0.002 + 1e-4 * given[:220, 230:]  # side lobes, -50 dB and smooth
    for method, parameters in (("srad", {}), ("srad-decompressed", {}), ("srad-exp", {})):
        found = ub.enhance(envelope(given), method, n_iterations=1, **parameters)
        note = found.settings["enhanced"][0]["q0"]
        assert -0.5e-3 < note["x"][0] < note["x"][1] < GRID.x[230]
        assert GRID.z[100] <= note["z"][0] < note["z"][1] < GRID.z[220]
        assert note["z"][1] - note["z"][0] == pytest.approx(2e-3 - PIXEL)


def test_it_decays_where_no_window_holds_speckle() -> None:
    flat = np.ones(GRID.shape)
    tiny = ub.Grid.linear(x=(0, 1e-3), z=(10e-3, 11e-3), shape=(5, 5))
    for values, grid in ((flat, GRID), (speckle(9, grid=tiny), tiny)):
        found = ub.enhance(envelope(values, grid), "srad", time_step=0.5, n_iterations=3)
        note = found.settings["enhanced"][0]["q0"]
        assert note["from"] == "decay"
        assert "no window" in note["because"]
        assert note["first"] == pytest.approx(RAYLEIGH)
        assert note["last"] == pytest.approx(RAYLEIGH * np.exp(-1 / 6))
    np.testing.assert_array_equal(srad(flat), flat)


def test_q0_from_a_number_and_from_a_region_are_noted() -> None:
    given = envelope(speckle(10))
    number = ub.enhance(given, "srad", q0="0.25", decay=0.0).settings["enhanced"][0]
    assert number["q0"] == {"from": "number", "first": pytest.approx(0.25), "last": pytest.approx(0.25)}
    region = ub.enhance(given, "srad", q0="-1mm:1mm@19mm:0.021").settings["enhanced"][0]["q0"]
    assert (region["from"], *region["x"], *region["z"]) == ("region", *map(pytest.approx, (-1e-3, 1e-3, 19e-3, 21e-3)))
    assert region["last"] < region["first"] < 0.7


def test_zeros_are_taken() -> None:
    given = speckle(11)
    given[::3] = 0
    given[100:200, 100:200] = 0
    found = srad(given, n_iterations=50, time_step=1.0)
    assert np.all(np.isfinite(found))
    assert found.min() >= 0
    assert found[140:160, 140:160].max() < found[:100].mean()


def test_progress_and_the_image_that_was_given() -> None:
    given, steps = envelope(speckle(12)), []
    before = given.data.copy()
    ub.enhance(given, "srad", n_iterations=4, progress=steps.append)
    assert steps == [0.25, 0.5, 0.75, 1]
    np.testing.assert_array_equal(given.data, before)


# Refusals


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_iterations": 0}, "not a value"),
        ({"n_iterations": 10**9}, "not a value"),
        ({"n_iterations": 2.5}, "not a value"),
        ({"time_step": 0.0}, "not a value"),
        ({"time_step": 1.01}, "not a value"),
        ({"time_step": float("nan")}, "not a value"),
        ({"window": -1e-3}, "not a value"),
        ({"decay": -1.0}, "not a value"),
        ({"q0": 0.5}, "not a value"),
        ({"q0": "roi"}, "cannot read 'roi'"),
        ({"q0": "0"}, "not a coefficient"),
        ({"q0": "-1"}, "not a coefficient"),
        ({"q0": "nan"}, "not a coefficient"),
        ({"q0": "inf"}, "not a coefficient"),
        ({"q0": "1mm:2mm"}, "cannot read '1mm:2mm'"),
        ({"q0": "1mm@20mm"}, "cannot read '1mm' as a range|cannot read '20mm' as a range"),
        ({"q0": "2mm:1mm@19mm:20mm"}, "inverted"),
        ({"q0": "1MHz:2MHz@19mm:20mm"}, "as a length"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_parameters_that_cannot_be(method: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ub.enhance(envelope(np.ones(SMALL.shape), SMALL), method, **parameters)
    assert caught.value.expected
    assert caught.value.location


@pytest.mark.parametrize(
    ("q0", "message"),
    [
        ("-9mm:9mm@19mm:20mm", "outside the image"),
        ("-1mm:1mm@1mm:20mm", "outside the image"),
        ("0.01mm:0.02mm@20.01mm:20.02mm", "nothing varies"),
        ("2mm:4mm@19mm:20mm", "nothing varies"),
    ],
)
def test_regions_without_speckle(q0: str, message: str) -> None:
    given = speckle(13)
    given[:, 180:] = 0
    with pytest.raises(MeasurementError, match=message) as caught:
        srad(given, q0=q0)
    assert caught.value.location == "srad.q0"


@pytest.mark.parametrize("method", METHODS)
def test_images_that_cannot_be(method: str) -> None:
    hollow, broken, negative = speckle(14), speckle(14), speckle(14)
    hollow[:], broken[7, 7], negative[8, 8] = 0, np.nan, -1
    for values, message in ((hollow, "empty"), (broken, "no numbers"), (negative, "not negative")):
        with pytest.raises(MeasurementError, match=message):
            ub.enhance(envelope(values), method)
    thin = ub.Grid.linear(x=(0, 0), z=(1e-3, 2e-3), shape=(50, 1))
    with pytest.raises(ConfigError, match="too small"):
        ub.enhance(envelope(np.ones(thin.shape), thin), method)


def test_decibels_are_refused_by_the_linear_method() -> None:
    with pytest.raises(ConfigError, match="linear envelope"):
        ub.enhance(envelope(speckle(15)).db(60), "srad")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("q0", ["automatic", "decay", "-1.3mm:1.1mm@0.0103:0.01175"])
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_makes_the_same(method: str, q0: str) -> None:
    given = envelope(speckle(seed=16, grid=SMALL) + 0.02, SMALL)
    parameters: dict[str, Any] = {"n_iterations": 20, "time_step": 0.5, "q0": q0, "window": 1e-3}
    cpu, gpu = (ub.enhance(given, method, device=device, **parameters) for device in ("cpu", "gpu"))
    assert np.abs(cpu.data - given.data).max() > 0.01 * np.abs(cpu.data).max()  # it did something
    np.testing.assert_allclose(gpu.data, cpu.data, atol=1e-5 * np.abs(cpu.data).max())
    notes = [image.settings["enhanced"][0]["q0"] for image in (cpu, gpu)]
    assert notes[1] == {**notes[0], **{key: pytest.approx(notes[0][key], rel=1e-4) for key in ("first", "last")}}
