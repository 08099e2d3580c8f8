"""Spatial compounding: looks with speckle of their own, what their mean gains and what it costs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming import looks
from usbeam.errors import ConfigError, GeometryError, MeasurementError, UsbeamError
from usbeam.measure.diffraction import diffraction_limit

from .conftest import SPEED, WIDE, close, cone, fine_probe, record
from .conftest import probe as coarse_probe

Recordings = list[ub.Acquisition]

SPECKLE = ub.Grid.spaced(x=(-2.4e-3, 2.4e-3), z=(16e-3, 19e-3), spacing=(0.06e-3, 0.12e-3))
POINT = (0.4e-3, 15e-3)


def half(full: ub.Acquisition) -> ub.Acquisition:
    """The same recording with one trace of each reciprocal pair."""
    receivers = np.tile(np.arange(full.n_rx), (full.n_tx, 1))
    receivers[receivers < np.arange(full.n_tx)[:, None]] = -1
    samples = np.where(receivers[None, :, :, None] >= 0, full.samples[:], 0)
    return full.replace(samples=samples, receive_elements=receivers)


def speckles(kind: str, count: int) -> Recordings:
    """Fully developed speckle, a dozen scatterers per resolution cell of the whole aperture, seen from 48 elements."""
    array = ub.Probe.linear(48, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    angles = np.radians(np.linspace(-16, 16, 12))
    fired = ub.Transmits.elements(array) if kind == "elements" else ub.Transmits.plane(array, angles, SPEED)
    made = []
    for seed in range(count):
        scatterers = ub.simulate.phantoms.speckle(array, x=(-4e-3, 4e-3), z=(15e-3, 20e-3), density=12, seed=seed)
        options: dict[str, Any] = {"sampling_frequency": 20e6, "depth": (15e-3, 20e-3)}
        made.append(ub.simulate.record(scatterers, array, fired, **options))
    return made


@pytest.fixture(scope="module")
def uniform() -> Recordings:
    """Full matrices of uniform speckle."""
    return speckles("elements", 16)


def pooled(recordings: Recordings, plans: list[ub.Plan]) -> list[ub.Image]:
    """The images of all recordings, each level brought to one mean, side by side as one image per plan."""
    each = np.array([[np.abs(plan(made.frame(0))[0].data) for made in recordings] for plan in plans])
    # How the mean level changes over the image is no speckle.
    levels = each / each.mean(axis=1, keepdims=True)
    grid = ub.Grid.linear(x=(0, 1), z=(1, 2), shape=(len(recordings) * SPECKLE.shape[0], SPECKLE.shape[1]))
    return [ub.Image(level.reshape(grid.shape), grid, "envelope") for level in levels]


@pytest.mark.parametrize("n_looks", [2, 3, 4])
def test_looks_have_speckle_of_their_own_and_the_mean_is_as_smooth_as_they_predict(
    uniform: Recordings, n_looks: int
) -> None:
    views = pooled(uniform, list(ub.Looks(uniform[0], SPECKLE, n_looks=n_looks).plans))
    correlation = looks.speckle_correlation(views)
    assert np.abs(correlation - np.eye(n_looks)).max() < 0.1
    effective = looks.effective_looks(views)
    assert 0.85 * n_looks < effective < 1.05 * n_looks  # a little is shared at the rims of the groups
    mean = np.mean([view.data for view in views], axis=0)
    assert mean.mean() / mean.std() == pytest.approx(1.91 * np.sqrt(effective), rel=0.06)


def test_groups_that_overlap_by_half_have_more_looks_of_the_same_width(uniform: Recordings) -> None:
    disjoint, overlapping = (
        ub.Looks(uniform[0], SPECKLE, n_looks=2),
        ub.Looks(uniform[0], SPECKLE, n_looks=3, share=0.5),
    )
    groups = [np.flatnonzero(plan.weights[0]) for plan in overlapping.plans]
    assert [(group[0], len(group)) for group in groups] == [(0, 24), (12, 24), (24, 24)]
    views = pooled(uniform, list(overlapping.plans))
    assert looks.speckle_correlation(views)[0, 1] < 0.2
    effective = looks.effective_looks(views)
    assert effective > 1.2 * looks.effective_looks(pooled(uniform, list(disjoint.plans)))
    mean = np.mean([view.data for view in views], axis=0)
    assert mean.mean() / mean.std() == pytest.approx(1.91 * np.sqrt(effective), rel=0.06)


def test_looks_of_plane_waves_have_speckle_of_their_own() -> None:
    recordings = speckles("plane", 16)
    views = pooled(recordings, list(ub.Looks(recordings[0], SPECKLE, n_looks=3).plans))
    assert np.abs(looks.speckle_correlation(views) - np.eye(3)).max() < 0.12
    # Groups of angles alone, heard by every element, share most of their wave vectors.
    angles = [ub.Plan(recordings[0], SPECKLE, transmits=w) for w in ub.subsets.disjoint(12, 3)]
    assert looks.speckle_correlation(pooled(recordings, angles))[0, 1] > 0.3


def test_other_disjoint_halves_share_their_speckle(uniform: Recordings) -> None:
    few = uniform[:6]
    left, right = ub.subsets.disjoint(48, 2)

    def alike(one: tuple[Any, Any], other: tuple[Any, Any]) -> float:
        plans = [ub.Plan(few[0], SPECKLE, transmits=t, receive_weights=r) for t, r in (one, other)]
        return float(looks.speckle_correlation(pooled(few, plans))[0, 1])

    assert alike((left, right), (right, left)) > 0.99  # reciprocity: the same signal
    assert alike((left, None), (right, None)) > 0.2  # transmit halves, heard by all
    interleaved = [np.arange(48) % 2 == side for side in (0, 1)]
    assert alike((interleaved[0],) * 2, (interleaved[1],) * 2) > 0.8


@pytest.mark.parametrize("n_looks", [1, 2, 3])
def test_a_look_is_as_wide_as_its_aperture_allows(n_looks: int) -> None:
    array = fine_probe(48)
    made = record(ub.Transmits.elements(array), array, np.array([[POINT[0], 0, POINT[1]]]), depth=(13e-3, 17e-3))
    grid = ub.Grid.spaced(x=(-4e-3, 4e-3), z=(14e-3, 16e-3), spacing=(0.05e-3, 0.1e-3))
    views = ub.Looks(made, grid, n_looks=n_looks)(made.frame(0))
    for view in views:
        limit = diffraction_limit(
            array.element_positions,
            POINT,
            center_frequency=5e6,
            bandwidth=0.4,
            element_width=0.27e-3,
            transmit_weights=view.settings["transmit_weights"],
            receive_weights=view.settings["receive_weights"],
        )
        spot = ub.psf.measure(view, near=POINT, window=6e-3)
        # Oblique spots lie aslant; their width across is what both state.
        assert spot.lateral_fwhm == pytest.approx(limit.lateral_fwhm, rel=0.1)
    wide = ub.psf.measure(looks.mean_envelope(views), near=POINT, window=6e-3).lateral_fwhm
    full = ub.psf.measure(ub.beamform(made, grid), near=POINT, window=6e-3).lateral_fwhm
    assert wide / full == pytest.approx(n_looks, rel=0.3)


@pytest.mark.parametrize("method", ["das", "fourier"])
def test_one_look_is_the_plain_image(matrix: ub.Acquisition, grid: ub.Grid, method: str) -> None:
    one = ub.compound(matrix, grid, n_looks=1, method=method)
    plain = ub.beamform(matrix, grid, method=method)
    assert one.state == "envelope"
    np.testing.assert_array_equal(one.data, np.abs(plain.data))
    assert {name: one.settings[name] for name in plain.settings} == plain.settings


def test_the_image_says_how_it_was_made(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    image = ub.compound(matrix, grid, n_looks=3, f_number=0.8)
    assert image.settings["looks"] == {
        "n_looks": 3,
        "mean_of": "envelope",
        "transmits": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15]],
        "elements": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15]],
    }
    assert image.settings["transmit_weights"] == image.settings["receive_weights"] == [1.0] * 16
    assert image.settings["f_number"] == 0.8


def test_a_look_is_the_block_of_its_side(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    left, right = ub.Looks(matrix, grid, n_looks=2)(matrix.frame(0))
    for view, kept in ((left, slice(8)), (right, slice(8, 16))):
        block = np.zeros_like(matrix.frame(0))
        block[kept, kept] = matrix.frame(0)[kept, kept]
        wanted = ub.beamform(matrix.replace(samples=block[None]), grid).data
        assert close(view.data, wanted) < 1e-5
    mean = (np.abs(left.data) + np.abs(right.data)) / 2
    np.testing.assert_allclose(ub.compound(matrix, grid, n_looks=2).data, mean, rtol=1e-6)


def test_weights_are_grouped_where_they_are_not_zero(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    heard = np.where(np.arange(16) < 6, 0.0, 0.5)
    views = ub.Looks(matrix, grid, n_looks=2, transmits=ub.subsets.every(16, 4), receive_weights=heard)
    first, second = views(matrix.frame(0))
    assert np.flatnonzero(first.settings["transmit_weights"]).tolist() == [0, 4]
    assert np.flatnonzero(second.settings["transmit_weights"]).tolist() == [8, 12]
    assert first.settings["receive_weights"] == [0.0] * 6 + [0.5] * 5 + [0.0] * 5


def test_gain_and_frames(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    two = matrix.replace(samples=np.concatenate([matrix.samples[:], -3 * matrix.samples[:]]))
    first, second = (ub.compound(two, grid, n_looks=4, frame=index).data for index in (0, 1))
    np.testing.assert_allclose(second, 3 * first, rtol=1e-4, atol=1e-6 * second.max())
    assert first.min() >= 0


def test_mirrored_recordings_give_mirrored_looks() -> None:
    array = coarse_probe()
    fired = ub.Transmits.elements(array)
    place = np.array([[2.1e-3, 0, 14e-3]])
    grid = ub.Grid.linear(x=(-4e-3, 4e-3), z=(13e-3, 15e-3), shape=(41, 33))
    one, other = (record(fired, array, points) for points in (place, place * [-1, 1, 1]))
    views, mirrored = (ub.Looks(made, grid, n_looks=4)(made.frame(0)) for made in (one, other))
    for view, twin in zip(views, mirrored[::-1], strict=True):
        assert close(view.data[:, ::-1], twin.data) < 1e-3


def test_a_half_matrix_has_the_looks_of_the_full_one(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    stored = half(matrix)
    for n_looks in (1, 2, 5):
        pair = (ub.compound(made, grid, n_looks=n_looks) for made in (matrix, stored))
        full, halved = pair
        assert close(halved.data, full.data) < 1e-4
        assert halved.settings["half_matrix"] is True


@pytest.mark.parametrize("kind", ["plane", "diverging"])
def test_transmits_are_ordered_by_the_side_they_come_from(kind: str) -> None:
    array = coarse_probe()
    # Neither in order; the leftmost group belongs to waves that run to the right.
    if kind == "plane":
        fired = ub.Transmits.plane(array, np.radians([10, -10, 15, -15]), SPEED)
        wanted = [[0, 2], [1, 3]]
    else:
        sources = np.array([[3e-3, 0, -8e-3], [-3e-3, 0, -8e-3], [5e-3, 0, -8e-3], [-5e-3, 0, -8e-3]])
        fired = ub.Transmits.focused(array, sources, SPEED)
        wanted = [[1, 3], [0, 2]]
    made = record(fired, array)
    grid = ub.Grid.linear(x=(-1e-3, 1e-3), z=(14e-3, 16e-3), shape=(21, 9))
    image = ub.compound(made, grid, n_looks=2)
    assert image.settings["looks"]["transmits"] == wanted
    assert image.settings["looks"]["elements"] == [list(range(8)), list(range(8, 16))]


def test_fourier_makes_the_same_looks() -> None:
    array = fine_probe(32)
    made = record(ub.Transmits.elements(array), array, np.array([[0.3e-3, 0, 15e-3]]), depth=(13e-3, 17e-3))
    grid = ub.Grid.spaced(x=(-2e-3, 2e-3), z=(14e-3, 16e-3), spacing=(0.05e-3, 0.1e-3))
    options = cone(WIDE, WIDE)
    das = ub.compound(made, grid, n_looks=2, interpolation="cubic", upsampling=8, **options)
    fourier = ub.compound(made, grid, n_looks=2, method="fourier", **options)
    assert close(fourier.data, das.data) < 0.02


TINY = ub.Grid.linear(x=(-4e-3, 4e-3), z=(11e-3, 16e-3), shape=(11, 9))


def plane(count: int) -> ub.Acquisition:
    array = coarse_probe()
    return record(ub.Transmits.plane(array, np.radians(np.linspace(-5, 5, count)), SPEED), array)


def focused() -> ub.Acquisition:
    array = coarse_probe()
    return record(ub.Transmits.focused(array, np.array([[-1e-3, 0, 2e-2], [1e-3, 0, 2e-2]]), SPEED), array)


def few_receivers() -> ub.Acquisition:
    made = plane(4)
    return made.replace(samples=made.samples[:][:, :, :3], receive_elements=np.array([0, 1, 2]))


REFUSED: dict[str, tuple[Any, dict[str, Any], type[UsbeamError], str]] = {
    "no look": (lambda: plane(2), {"n_looks": 0}, ConfigError, "cannot make 0 looks"),
    "more looks than elements": (
        lambda: plane(20),
        {"n_looks": 17},
        ConfigError,
        "cannot make 17 looks of 16 elements (expected 1..16",
    ),
    "one transmit": (lambda: plane(1), {"n_looks": 2}, ConfigError, "cannot make 2 looks of 1 transmits"),
    "few transmits chosen": (
        lambda: plane(4),
        {"n_looks": 3, "transmits": [1, 1, 0, 0]},
        ConfigError,
        "cannot make 3 looks of 2 transmits",
    ),
    "few receivers": (few_receivers, {"n_looks": 4}, ConfigError, "cannot make 4 looks of 3 elements"),
    "focused": (focused, {"n_looks": 2}, GeometryError, "do not come from different sides"),
    "bad weights": (
        lambda: plane(2),
        {"n_looks": 2, "receive_weights": [1, 1]},
        ConfigError,
        "receive_weights: one weight per element",
    ),
    "a share that leaves some out": (lambda: plane(2), {"n_looks": 2, "share": 0.4}, ConfigError, "share: not a share"),
    "a share over 1": (lambda: plane(2), {"n_looks": 2, "share": 1.1}, ConfigError, "share: not a share"),
    "no number": (lambda: plane(2), {"n_looks": 2, "share": float("nan")}, ConfigError, "share: not a share"),
    "an option of no plan": (lambda: plane(2), {"n_looks": 2, "method": "mvdr"}, ConfigError, "unknown method"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_looks_is_refused(name: str) -> None:
    made, options, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        ub.compound(made(), TINY, **options)
    assert message in str(caught.value)


def test_one_look_of_focused_waves_is_the_plain_image() -> None:
    made = focused()
    np.testing.assert_array_equal(ub.compound(made, TINY, n_looks=1).data, np.abs(ub.beamform(made, TINY).data))


def test_measures_of_looks_refuse_what_shows_nothing() -> None:
    rng = np.random.default_rng(0)
    grids = TINY, dataclasses.replace(TINY, x=TINY.x + 1e-3)
    one, other = (ub.Image(rng.rayleigh(size=grid.shape), grid, "envelope") for grid in grids)
    with pytest.raises(ConfigError, match="no look"):
        looks.mean_envelope([])
    with pytest.raises(ConfigError, match="different grids"):
        looks.speckle_correlation([one, other])
    with pytest.raises(MeasurementError, match="does not vary"):
        looks.speckle_correlation([one, one], np.zeros(TINY.shape, bool))
    with pytest.raises(MeasurementError, match="one value per pixel"):
        looks.effective_looks([one, one], np.ones((3, 3), bool))
    assert looks.effective_looks([one]) == pytest.approx(1)
    assert looks.effective_looks([one, one]) == pytest.approx(1)
