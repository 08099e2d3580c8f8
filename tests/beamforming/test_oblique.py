"""Oblique looks: disjoint sides of lines through k-space, with speckle of their own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming import looks, oblique
from usbeam.beamforming.angular import AngularImages
from usbeam.errors import ConfigError, GeometryError, MeasurementError, UsbeamError
from usbeam.measure import speckle

from .conftest import SPEED, close, record

ANGLES = np.radians([0, 45, 90, 135])
ARRAY = ub.Probe.linear(64, 0.3e-3, 7.5e6, bandwidth=0.65, element_width=0.27e-3)
SPECKLE = ub.Grid.spaced(x=(-4e-3, 4e-3), z=(15e-3, 18e-3), spacing=(0.05e-3, 0.1e-3))
MIDDLE = ub.Grid.spaced(x=(-1.2e-3, 1.2e-3), z=(15e-3, 18e-3), spacing=(0.05e-3, 0.1e-3))
"""Points that both halves of the array fire at alike."""
CONE = 0.5 * np.sqrt(1 / 0.35**2 - 1)
"""The f-number of what `Angular` accepts."""
POINT = (0.7e-3, 16e-3)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def waves(frequencies: list[float], weights: np.ndarray, n_z: int = 400) -> np.ndarray:
    """Components of unit waves along depth: ``weights[m, i]`` of the i-th frequency [cycles per sample]."""
    cycles = np.outer(frequencies, np.arange(n_z))
    return (weights @ np.exp(2j * np.pi * cycles)).astype(np.complex64)[:, :, None].repeat(3, axis=2)


# The centre of k-space


def test_the_centre_is_that_of_the_energy() -> None:
    position = np.linspace(-0.9, 0.9, 7)
    power = np.exp(-0.5 * ((position - 0.2) / 0.3) ** 2)
    n, depth = 4000, np.fft.fftfreq(4000)
    # A Gaussian band around 0.48 cycles a sample reaches over the end of the periodic axis.
    along = np.exp(-0.25 * (((depth - 0.48 + 0.5) % 1 - 0.5) / 0.06) ** 2)
    spectra = np.sqrt(power)[:, None, None] * along[:, None] * noise(7, n, 5)
    found = oblique.centre(np.fft.ifft(spectra, axis=1).astype(np.complex64), position)
    mean = power @ position / power.sum()
    assert found.position == pytest.approx(mean, abs=0.01)
    assert found.position_deviation == pytest.approx(np.sqrt(power @ (position - mean) ** 2 / power.sum()), rel=0.02)
    assert found.frequency == pytest.approx(0.48, abs=0.003)
    assert found.frequency_deviation == pytest.approx(0.06, rel=0.03)


def test_gain_changes_no_centre() -> None:
    data, position = noise(5, 200, 4), np.linspace(-1, 1, 5)
    data[:, 1:] += 0.8 * data[:, :-1]
    wanted = dataclasses.astuple(oblique.centre(data, position))
    for gain in (1e-25, 1e25):
        scaled = (data * np.float32(gain)).astype(np.complex64)
        assert dataclasses.astuple(oblique.centre(scaled, position)) == pytest.approx(wanted, rel=1e-4)


# The split


def test_masks_are_their_formula() -> None:
    where = oblique.Centre(0.1, 0.3, 0.2, 0.08)
    position = np.linspace(-0.8, 0.8, 5)
    frequencies = [0.05, 0.17, 0.2, 0.24, 0.33]
    for angle in (0.0, 0.6, np.pi / 2, 2.4):
        for m, component in enumerate(position):
            for frequency in frequencies:
                weights = np.zeros((5, 1))
                weights[m] = 1
                (sides,) = oblique.split(waves([frequency], weights), position, np.array([angle]), where)
                distance = np.cos(angle) * (component - 0.1) / 0.3 + np.sin(angle) * (frequency - 0.2) / 0.08
                for side, look in zip((-1, 1), sides, strict=True):
                    wanted = 0.5 - 0.5 * np.cos(np.pi * np.clip(side * distance / 0.3, 0, 1))
                    # In the middle, away from where the wave begins and ends.
                    assert np.abs(look[200]) == pytest.approx(np.full(3, wanted), abs=0.02)


def test_frequencies_are_told_apart_around_the_centre_wherever_that_lies() -> None:
    """The axis is periodic: beyond a half comes minus a half."""
    where = oblique.Centre(0.0, 1.0, 0.49, 0.05)
    low, high = waves([0.42], np.ones((1, 1))), waves([-0.42], np.ones((1, 1)))
    below, above = oblique.split(low + 3 * high, np.zeros(1), np.array([np.pi / 2]), where)[0]
    assert close(below[100:300], low[0, 100:300]) < 0.02
    assert close(above[100:300], 3 * high[0, 100:300]) < 0.02


def test_linear_and_nothing_in_common() -> None:
    one, other, position = noise(9, 120, 6), noise(9, 120, 6, seed=1), np.linspace(-0.8, 0.8, 9)
    where = oblique.Centre(0.0, 0.4, 0.1, 0.1)
    both, first, second = (oblique.split(data, position, ANGLES, where) for data in (one - 2j * other, one, other))
    assert close(first - 2j * second, both) < 1e-5
    # What is in a look already stays out of the other: across the aperture, where no record ends, exactly.
    left = np.where(position[:, None, None] < 0, one, 0)
    below, above = oblique.split(left.astype(np.complex64), position, np.zeros(1), where)[0]
    assert np.abs(above).max() < 1e-6 * np.abs(below).max()


def test_what_lies_at_the_bottom_does_not_come_in_at_the_top() -> None:
    where = oblique.Centre(0.0, 0.4, 0.3, 0.08)
    data = np.zeros((3, 300, 1), np.complex64)
    data[:, 290:] = waves([0.3], np.ones((3, 1)), 10)[:, :, :1]
    found = np.abs(oblique.split(data, np.array([-0.5, 0, 0.5]), ANGLES, where))
    assert np.all(found[:, :, :60].max(axis=2) < 1e-2 * found.max(axis=2))


# Looks of recordings


def matrix_of(scatterers: ub.simulate.Phantom, depth: tuple[float, float]) -> ub.Acquisition:
    return ub.simulate.record(scatterers, ARRAY, ub.Transmits.elements(ARRAY), sampling_frequency=40e6, depth=depth)


def uniform(seed: int) -> ub.Acquisition:
    """Fully developed speckle, a dozen scatterers per resolution cell."""
    limits: dict[str, Any] = {"x": (-6e-3, 6e-3), "z": (14e-3, 19e-3)}
    return matrix_of(ub.simulate.phantoms.speckle(ARRAY, density=12, seed=seed, **limits), (14e-3, 19e-3))


@pytest.fixture(scope="module")
def recordings() -> list[ub.Acquisition]:
    return [uniform(seed) for seed in range(4)]


def correlation(views: list[list[ub.Image]]) -> np.ndarray:
    """Of the speckle of views ``[recording][view]``, over all recordings."""
    levels = np.array([[view.envelope().data for view in each] for each in views])
    # How the mean level changes from side to side is no speckle.
    levels /= levels.mean(axis=(0, 2), keepdims=True)
    each = [[dataclasses.replace(views[0][0].envelope(), data=data) for data in row] for row in levels]
    return np.mean([looks.speckle_correlation(row) for row in each], axis=0)


def test_both_sides_of_a_line_have_speckle_of_their_own(recordings: list[ub.Acquisition]) -> None:
    angular = ub.Angular(recordings[0], SPECKLE)
    views = [angular(made.frame(0)).looks(ANGLES) for made in recordings]
    alike = correlation(views)
    for line in range(4):
        assert abs(alike[2 * line, 2 * line + 1]) < 0.1
    for view in range(8):
        each = [made[view].envelope().data for made in views]
        assert np.mean([data.mean() / data.std() for data in each]) == pytest.approx(1.91, abs=0.12)


def test_other_splits_share_their_speckle(recordings: list[ub.Acquisition]) -> None:
    """The research's table: 0.35 for the left and right transmits heard by all, 0.95 for the even and odd ones."""
    windows = {"f_number": CONE, "window": "tukey:0.3", "transmit_f_number": CONE, "transmit_window": "tukey:0.3"}

    def alike(parts: list[np.ndarray]) -> float:
        plan = ub.Plan(recordings[0], MIDDLE, transmits=parts, **windows)
        return correlation([plan(made.frame(0)) for made in recordings])[0, 1]

    even = (np.arange(64) % 2 == 0).astype(float)
    assert alike(ub.subsets.disjoint(64, 2)) > 0.25
    assert alike([even, 1 - even]) > 0.8


def test_compounding_smooths_as_the_looks_predict(recordings: list[ub.Acquisition]) -> None:
    views = ub.ObliqueLooks(recordings[0], SPECKLE, n_looks=8)
    plain, smooth, effective = [], [], []
    for made in recordings:
        each = views(made.frame(0))
        effective.append(looks.effective_looks(each))
        mean = looks.mean_envelope(each).data
        smooth.append(mean.mean() / mean.std())
        whole = np.abs(views.angular(made.frame(0)).image().data)
        plain.append(whole.mean() / whole.std())
    assert np.mean(smooth) > 1.5 * np.mean(plain)
    assert np.mean(smooth) == pytest.approx(1.91 * np.sqrt(np.mean(effective)), rel=0.06)


def test_soft_rims_have_no_more_in_common(recordings: list[ub.Acquisition]) -> None:
    soft = ub.ObliqueLooks(recordings[0], SPECKLE, fade=1.0)
    views = [soft(made.frame(0)) for made in recordings]
    alike = correlation(views)
    assert max(abs(alike[i, i + 1]) for i in range(0, 8, 2)) < 0.1
    assert views[0][0].settings["look"] == {"angle": 0.0, "side": -1, "fade": 1.0}


def test_a_point_is_in_its_place_in_every_look() -> None:
    place = np.array([[POINT[0], 0, POINT[1]]])
    scatterers = ub.simulate.Phantom(positions=place, amplitudes=np.ones(1), truth=ub.Truth(points=place))
    made = matrix_of(scatterers, (14e-3, 18e-3))
    grid = ub.Grid.spaced(x=(-1.5e-3, 2.5e-3), z=(15e-3, 17e-3), spacing=(0.02e-3, 0.04e-3))
    views = ub.ObliqueLooks(made, grid, n_looks=8)(made.frame(0))
    assert len(views) == 8
    for view in views:
        spot = ub.psf.measure(view, near=POINT, window=3e-3)
        assert abs(spot.x - POINT[0]) < 0.05 * spot.lateral_fwhm
        assert abs(spot.z - POINT[1]) < 0.05 * spot.axial_fwhm


def test_mirrored_recordings_have_mirrored_looks() -> None:
    place = np.array([[1.1e-3, 0, 14.2e-3], [-0.4e-3, 0, 15e-3]])
    grid = ub.Grid.linear(x=(-2.01e-3, 2.01e-3), z=(13.507e-3, 15.5e-3), shape=(81, 34))
    fired = ub.Transmits.elements(ARRAY)
    one, other = (record(fired, ARRAY, points, sampling_frequency=40e6) for points in (place, place * [-1, 1, 1]))
    # The angle of a mirrored line is 180 degrees less its own; which side is which is mirrored with it.
    views = ub.Angular(one, grid)(one.frame(0)).looks(ANGLES)
    mirrored = ub.Angular(other, grid)(other.frame(0)).looks(np.pi - ANGLES)
    for line in range(4):
        for side in (0, 1):
            assert close(mirrored[2 * line + side].data[:, ::-1], views[2 * line + side].data) < 5e-3


# Asking for them


def test_compound_takes_oblique_looks(recordings: list[ub.Acquisition]) -> None:
    image = ub.compound(recordings[0], SPECKLE, n_looks=4, kind="oblique")
    views = ub.Angular(recordings[0], SPECKLE)(recordings[0].frame(0)).looks((0, np.pi / 2))
    np.testing.assert_allclose(image.data, np.mean([np.abs(view.data) for view in views], axis=0), rtol=1e-5)
    assert image.state == "envelope"
    assert image.settings["looks"]["n_looks"] == 4
    assert image.settings["looks"]["oblique"] == [
        {"angle": angle, "side": side, "fade": 0.3} for angle in (0.0, np.pi / 2) for side in (-1, 1)
    ]
    assert "look" not in image.settings
    assert image.settings["method"] == "angular"


def test_they_are_saved_and_read(recordings: list[ub.Acquisition], tmp_path: Any) -> None:
    image = ub.compound(recordings[0], SPECKLE, n_looks=2, kind="oblique", max_sine=0.3)
    image.save(tmp_path / "image.h5")
    read = ub.load_image(tmp_path / "image.h5")
    np.testing.assert_array_equal(read.data, image.data)
    assert dict(read.settings) == dict(image.settings)


# Looks of waves

WAVES = ub.Grid.spaced(x=(-2.8e-3, 2.8e-3), z=(15e-3, 18e-3), spacing=(0.05e-3, 0.1e-3))
"""Points at which the array reaches the whole acceptance angle, +-0.35, so that 8 bins are 0.0875 wide everywhere."""
STEERED = np.radians(np.linspace(-16, 16, 15))
BEHIND = np.stack([np.linspace(-8e-3, 8e-3, 15), np.zeros(15), np.full(15, -8e-3)], axis=1)


def fired(kind: str) -> ub.Transmits:
    if kind == "plane":
        return ub.Transmits.plane(ARRAY, STEERED, SPEED)
    return ub.Transmits.focused(ARRAY, BEHIND, SPEED)


def arriving(kind: str) -> np.ndarray:
    """Bins ``(n_tx, n_z, n_x)`` between a wave and the mean of all."""
    x, z = WAVES.x, WAVES.z[:, None]
    if kind == "plane":
        sines = np.broadcast_to(-np.sin(STEERED)[:, None, None], (15, *WAVES.shape))
    else:
        sines = np.stack([(place - x) / np.hypot(place - x, behind - z) for place, _, behind in BEHIND])
    return np.round((sines - sines.mean(axis=0)) / 0.0875).astype(int)


def of_sides(views: list[ub.Image]) -> list[float]:
    """Speckle correlation of the two sides of each line."""
    return [speckle.correlation(*views[i : i + 2]) for i in range(0, len(views), 2)]


def moved(waves: list[np.ndarray], bins: np.ndarray) -> np.ndarray:
    """The components of single waves, each moved up by its bins, together."""
    component = np.arange(16)[:, None, None]
    # The outer components of a single wave are empty: what comes from beyond them is nothing, too.
    sources = np.clip(component - bins[:, None], 0, 15)
    return np.sum([np.take_along_axis(*each, axis=0) for each in zip(waves, sources, strict=True)], axis=0)


@pytest.mark.parametrize("kind", ["plane", "diverging"])
def test_waves_from_many_angles(kind: str) -> None:
    """A wave's own direction counts: without it, or with its sign turned, both sides share their speckle."""
    limits: dict[str, Any] = {"x": (-7e-3, 7e-3), "z": (14e-3, 19e-3)}
    made: dict[int, list[list[float]]] = {1: [], 0: [], -1: []}
    for seed in range(4):
        scatterers = ub.simulate.phantoms.speckle(ARRAY, density=12, seed=seed, **limits)
        recording = ub.simulate.record(scatterers, ARRAY, fired(kind), sampling_frequency=40e6, depth=(14e-3, 19e-3))
        frame = recording.frame(0)
        whole = ub.Angular(recording, WAVES)(frame)
        made[1].append(of_sides(whole.looks(ANGLES)))
        alone = [ub.Angular(recording, WAVES, transmits=one)(frame).data for one in np.eye(15)]
        assert close(moved(alone, arriving(kind)), whole.data) < 1e-5
        for sign in (0, -1):
            other = dataclasses.replace(whole, data=moved(alone, sign * arriving(kind)))
            made[sign].append(of_sides(other.looks(ANGLES)))
    right, heard_only, turned = (np.mean(each, axis=0) for each in made.values())
    assert right.max() < 0.1
    assert heard_only[0] > 0.2
    assert turned[0] > 0.4


@pytest.mark.parametrize("angles", [[0.0], [7.0], [-1.5, -0.5, 0.0, 0.5, 1.5]])
def test_looks_of_waves_of_nearly_one_direction(angles: list[float]) -> None:
    """They are told apart by the receive leg alone: the looks are those of the waves, one by one, put together."""
    scatterers = ub.simulate.phantoms.speckle(ARRAY, x=(-6e-3, 6e-3), z=(14e-3, 19e-3), density=12)
    waves = ub.Transmits.plane(ARRAY, np.radians(angles), SPEED)
    recording = ub.simulate.record(scatterers, ARRAY, waves, sampling_frequency=40e6, depth=(14e-3, 19e-3))
    made = ub.Angular(recording, WAVES)(recording.frame(0))
    views = made.looks(ANGLES)
    assert max(map(abs, of_sides(views))) < 0.15
    alone = [ub.Angular(recording, WAVES, transmits=one)(recording.frame(0)).data for one in np.eye(len(angles))]
    # Eight components of one leg, and no empty ones beside them.
    apart = dataclasses.replace(made, data=np.sum(alone, axis=0)[4:12], position=(np.arange(8) - 3.5) / 4)
    for view, wanted in zip(views, apart.looks(ANGLES), strict=True):
        assert close(view.data, wanted.data) < 1e-4


COARSE = ub.Grid.spaced(x=(-1e-3, 1e-3), z=(15e-3, 17e-3), spacing=(0.1e-3, 0.1e-3))
UNEVEN = ub.Grid(x=np.linspace(-1e-3, 1e-3, 5), z=np.geomspace(15e-3, 17e-3, 60))
SINGLE = ub.Grid(x=np.linspace(-1e-3, 1e-3, 5), z=np.array([16e-3]))
REFUSED: dict[str, tuple[dict[str, Any], type[UsbeamError], str]] = {
    "none": ({"n_looks": 0}, ConfigError, "cannot make 0 oblique looks"),
    "an odd number": ({"n_looks": 7}, ConfigError, "hint: each line has two sides"),
    "too many": ({"n_looks": 10_000}, ConfigError, "an even number, 2..360"),
    "half a look": ({"n_looks": 2.5}, ConfigError, "cannot make 2.5 oblique looks"),
    "coarse depths": ({"grid": COARSE}, GeometryError, "hint: take a step in depth of at most 0.079 mm"),
    "uneven depths": ({"grid": UNEVEN}, GeometryError, "looks need evenly spaced depths"),
    "one depth": ({"grid": SINGLE}, GeometryError, "looks need evenly spaced depths"),
    "an unknown kind": ({"kind": "slanted"}, ConfigError, "unknown kind of looks"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_looks_is_refused(name: str, recordings: list[ub.Acquisition]) -> None:
    options, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        ub.compound(recordings[0], **{"grid": SPECKLE, "n_looks": 8, "kind": "oblique", **options})
    assert message in f"{caught.value} hint: {caught.value.hint}"


def made_of(data: np.ndarray, grid: ub.Grid = SPECKLE) -> AngularImages:
    settings = {"wavelength": 0.2e-3, "bandwidth": 0.65}
    return AngularImages(data, np.linspace(-0.8, 0.8, len(data)), grid, settings, {})


@pytest.mark.parametrize("angles", [[], [np.nan], [[0.0]], np.inf])
def test_angles_that_are_none_are_refused(angles: Any) -> None:
    with pytest.raises(ConfigError, match="angles: not a list of angles"):
        made_of(noise(15, *SPECKLE.shape)).looks(angles)


@pytest.mark.parametrize("fade", [0, -1.0, np.nan, np.inf])
def test_rims_without_a_width_are_refused(fade: float) -> None:
    with pytest.raises(ConfigError, match="fade: not a width"):
        made_of(noise(15, *SPECKLE.shape)).looks(fade=fade)


def test_images_without_anything_to_split_are_refused() -> None:
    nothing = np.zeros((15, *SPECKLE.shape), np.complex64)
    with pytest.raises(MeasurementError, match="zero everywhere"):
        made_of(nothing).looks()
    alone = nothing.copy()
    alone[4] = noise(*SPECKLE.shape)
    with pytest.raises(MeasurementError, match="cannot be split"):
        made_of(alone).looks()
    with pytest.raises(MeasurementError, match="cannot be split"):
        made_of(nothing + 1).looks()
