"""Real recordings, imported and beamformed: everything must appear where it is known to be."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

import usbeam as ub
from usbeam.io.convert import read

from .real import MAPPINGS, MM, SCENES, back_wall, best_correlation, converted, spot_size

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def small_aluminium(real_data, tmp_path_factory) -> list[ub.Image]:
    """The same recording in MATLAB v5 and in v7.3."""
    images = []
    for version in ("mat7", "mat73"):
        source = real_data / "fmc_aluminium_small" / f"exp_data.{version}.mat"
        recording = converted(source, tmp_path_factory.mktemp(version))
        images.append(ub.beamform(recording, SCENES["small block"].grid))
    return images


def test_both_mat_versions_give_the_same_image(small_aluminium):
    first, second = (image.data for image in small_aluminium)
    assert np.abs(first - second).max() <= 1e-5 * np.abs(first).max()


def test_notch_and_back_wall_of_the_small_block(small_aluminium):
    for image in small_aluminium:
        assert SCENES["small block"].error_mm(image) < 0.5
        assert back_wall(image) == pytest.approx(40, abs=1)


def test_notch_and_back_wall_of_the_large_block(real_data, tmp_path):
    recording = converted(real_data / SCENES["notch"].file, tmp_path)
    image = ub.beamform(recording, SCENES["notch"].grid)
    assert SCENES["notch"].error_mm(image) < 0.5
    assert back_wall(image) == pytest.approx(40, abs=1)


def test_a_half_matrix_is_not_just_half_the_image(real_data, tmp_path):
    """With two transmitters the stored half alone would show the notch from one side only."""
    recording = converted(real_data / SCENES["notch"].file, tmp_path)
    assert recording.is_half_matrix
    grid = ub.Grid.linear(x=(4 * MM, 9 * MM), z=(17 * MM, 22 * MM), shape=(101, 101))
    last = ub.subsets.last(recording, 1)  # stored: one single trace
    assert np.count_nonzero(recording.receivers[-1] >= 0) == 1
    assert SCENES["notch"].error_mm(ub.beamform(recording, grid, transmits=last)) < 1.0


def test_steel_pins_in_water(real_data, tmp_path):
    recording = converted(real_data / SCENES["water pins"].file, tmp_path, SCENES["water pins"].mapping)
    assert SCENES["water pins"].error_mm(ub.beamform(recording, SCENES["water pins"].grid)) < 0.5


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
