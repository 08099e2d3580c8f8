"""Real recordings, imported and beamformed: everything must appear where it is known to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

import usbeam as ub
from usbeam.io.convert import read

pytestmark = pytest.mark.real_data

MAPPINGS = Path(__file__).parents[1] / "data_specs" / "mappings"
MM = 1e-3


def brightest(image: ub.Image, x: tuple[float, float], z: tuple[float, float]) -> tuple[float, float]:
    """Place of the largest envelope within limits in mm, as (x, z) in mm."""
    grid = image.grid
    inside = np.outer((grid.z > z[0] * MM) & (grid.z < z[1] * MM), (grid.x > x[0] * MM) & (grid.x < x[1] * MM))
    envelope = np.where(inside, np.abs(image.data), 0)
    i, k = np.unravel_index(np.argmax(envelope), envelope.shape)
    return float(grid.x[k] / MM), float(grid.z[i] / MM)


def converted(source: Path, folder: Path, mapping: str | None = None) -> ub.Acquisition:
    """Through the file, as a user goes: convert, then load."""
    ub.convert(source, folder / "recording.h5", mapping=None if mapping is None else MAPPINGS / mapping)
    return ub.load(folder / "recording.h5")


@pytest.fixture(scope="module")
def small_aluminium(real_data, tmp_path_factory) -> list[ub.Image]:
    """The same recording in MATLAB v5 and in v7.3."""
    images = []
    for version in ("mat7", "mat73"):
        source = real_data / "fmc_aluminium_small" / f"exp_data.{version}.mat"
        recording = converted(source, tmp_path_factory.mktemp(version))
        grid = ub.Grid.linear(x=(-20 * MM, 20 * MM), z=(2 * MM, 45 * MM), shape=(431, 201))
        images.append(ub.beamform(recording, grid))
    return images


def test_both_mat_versions_give_the_same_image(small_aluminium):
    first, second = (image.data for image in small_aluminium)
    assert np.abs(first - second).max() <= 1e-5 * np.abs(first).max()


def test_notch_and_back_wall_of_the_small_block(small_aluminium):
    for image in small_aluminium:
        x, z = brightest(image, (-20, 20), (5, 35))
        assert np.hypot(x + 2.1, z - 20.0) < 0.5
        # The wall is its first strong echo: half of its maximum, averaged over the array's width.
        profile = np.abs(image.data).mean(axis=1) * (image.grid.z > 30 * MM)
        wall = image.grid.z[np.argmax(profile > profile.max() / 2)] / MM
        assert wall == pytest.approx(40, abs=1)


def test_notch_and_back_wall_of_the_large_block(real_data, tmp_path):
    recording = converted(real_data / "fmc_aluminium_notch" / "contact_notch_aluminium.mat", tmp_path)
    grid = ub.Grid.linear(x=(-9 * MM, 9 * MM), z=(5 * MM, 45 * MM), shape=(401, 181))
    image = ub.beamform(recording, grid)
    x, z = brightest(image, (-9, 9), (10, 35))
    assert x == pytest.approx(6.7, abs=0.5)
    assert z == pytest.approx(19.6, abs=0.5)
    profile = np.abs(image.data).mean(axis=1) * (image.grid.z > 30 * MM)
    assert image.grid.z[np.argmax(profile > profile.max() / 2)] / MM == pytest.approx(40, abs=1)


def test_a_half_matrix_is_not_just_half_the_image(real_data, tmp_path):
    """With two transmitters the stored half alone would show the notch from one side only."""
    recording = converted(real_data / "fmc_aluminium_notch" / "contact_notch_aluminium.mat", tmp_path)
    assert recording.is_half_matrix
    grid = ub.Grid.linear(x=(4 * MM, 9 * MM), z=(17 * MM, 22 * MM), shape=(101, 101))
    last = ub.subsets.last(recording, 1)  # stored: one single trace
    assert np.count_nonzero(recording.receivers[-1] >= 0) == 1
    x, z = brightest(ub.beamform(recording, grid, transmits=last), (4, 9), (17, 22))
    assert np.hypot(x - 6.7, z - 19.6) < 1.0


def test_steel_pins_in_water(real_data, tmp_path):
    recording = converted(real_data / "sta_water_pins" / "ArraySteelPins.mat", tmp_path, "water_pins.toml")
    grid = ub.Grid.linear(x=(-16 * MM, 16 * MM), z=(32 * MM, 48 * MM), shape=(321, 321))
    image = ub.beamform(recording, grid)
    for pin in ((-9.5, 42.6), (10.5, 37.6)):
        x, z = brightest(image, (pin[0] - 4, pin[0] + 4), (pin[1] - 2.4, pin[1] + 2.4))
        assert np.hypot(x - pin[0], z - pin[1]) < 0.5


def spot_size(recording: ub.Acquisition, x: float, z: float) -> tuple[float, float, float]:
    """Peak, -6 dB lateral and axial width in mm of the envelope within 1 mm of a place in mm."""
    grid = ub.Grid.linear(x=((x - 1) * MM, (x + 1) * MM), z=((z - 1) * MM, (z + 1) * MM), shape=(401, 81))
    envelope = np.abs(ub.beamform(recording, grid).data)
    step_z, step_x = (step / MM for step in grid.spacing)
    widths = [
        np.count_nonzero(cut > cut.max() / 2) * step
        for cut, step in ((envelope.max(0), step_x), (envelope.max(1), step_z))
    ]
    return float(envelope.max()), widths[0], widths[1]


def test_fibres_are_sharp_only_with_the_right_sign_of_the_angle(real_data):
    """With the sign flipped, the seven angles put a fibre at depths that differ by 2 x sin(angle).

    The error grows with the distance from the array's middle and splits the spot in depth; across, the receive focus
    alone keeps it narrow, because angles within 1.5 degrees make a transmit beam of 6 mm.
    """
    recording = read(real_data / "planewave_fibres" / "RFdata1.mat", mapping=MAPPINGS / "planewave_fibres.toml")
    for x, z in ((1.7, 22.5), (2.0, 42.2), (1.9, 61.6), (2.0, 81.2)):
        _, lateral, axial = spot_size(recording, x, z)
        assert lateral < 1.1
        assert axial < 0.6
    angles = np.arctan2(recording.transmits.direction[:, 0], recording.transmits.direction[:, 2])
    flipped = recording.replace(transmits=ub.Transmits.plane(recording.probe, -angles, recording.sound_speed))
    for x, z in ((-8.0, 32.5), (-11.9, 81.2)):
        right, wrong = spot_size(recording, x, z), spot_size(flipped, x, z)
        assert wrong[2] > 1.5 * right[2]
        assert wrong[0] < right[0] / 5


def test_disk_looks_like_the_reference(real_data):
    recording = read(real_data / "planewave_disk" / "PWI_disk.mat", mapping=MAPPINGS / "planewave_disk.toml")
    reference = scipy.io.loadmat(real_data / "planewave_disk" / "bmode_PWI_disk.mat")["I"][..., 0].astype(float)
    # The reference's grid: 2.5 cm wide, centred, from 1 cm to 3.5 cm deep, 251 x 251 points.
    grid = ub.Grid.linear(x=(-12.5 * MM, 12.5 * MM), z=(10 * MM, 35 * MM), shape=(251, 251))
    made = ub.beamform(recording, grid, f_number=1.0).db(40).data
    assert best_correlation(made, reference) > 0.9


def best_correlation(made: np.ndarray, reference: np.ndarray) -> float:
    """Correlation over the dynamic range in which both grey scales agree best: below its floor the reference is 0."""
    levels = [np.clip(made, floor, top) for top in (0, -5, -10) for floor in (-40, -35, -30, -25)]
    return max(float(np.corrcoef(level.ravel(), reference.ravel())[0, 1]) for level in levels)
