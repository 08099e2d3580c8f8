"""Real recordings by Fourier: the image of delay-and-sum with the same windows, and everything where it is known to be.

Known to differ is the constant phase: the wave form's weights are those of a stationary point, to first order in
1 / (k z), so that each leg turns by 3 / (8 k z), here a few thousandths.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

import usbeam as ub
from usbeam.beamforming.requests import fourier_acceptance
from usbeam.io.convert import read

from .real import (
    MAPPINGS,
    MM,
    SCENES,
    back_wall,
    best_correlation,
    brightest,
    by_both,
    echo_band,
    likeness,
    spot_size,
    within_cone,
)

pytestmark = pytest.mark.real_data

FIBRES = ((1.7, 22.5), (2.0, 42.2), (1.9, 61.6), (2.0, 81.2))


@pytest.fixture(scope="module", params=SCENES)
def scene(request):
    return SCENES[request.param]


@pytest.fixture(scope="module")
def recording(real_data, scene) -> ub.Acquisition:
    return scene.read(real_data)


@pytest.fixture(scope="module")
def echoes(real_data, scene) -> ub.Acquisition:
    return scene.read_echoes(real_data)


# Full and half matrices


def test_everything_is_where_it_is_known_to_be(recording, scene):
    """By a user's call, with Fourier's own windows and band."""
    image = ub.beamform(recording, scene.grid, method="fourier")
    assert image.settings["half_matrix"] == recording.is_half_matrix
    assert scene.error_mm(image) < 0.5
    if recording.is_half_matrix:
        assert back_wall(image) == pytest.approx(40, abs=1)


def test_reflectors_are_where_delay_and_sum_shows_them(recording, scene):
    reach = recording.wavelength
    for place in scene.reflectors:
        x, z = np.multiply(place, MM)
        grid = ub.Grid.linear(x=(x - reach, x + reach), z=(z - reach, z + reach), shape=(81, 81))
        das, fourier = (brightest(image, place, (np.inf, np.inf)) for image in by_both(recording, grid))
        assert np.hypot(*np.subtract(fourier, das)) * MM < 0.06 * recording.wavelength


@pytest.mark.parametrize("transmits", ["all", "ends:2", "random:7@3"])
def test_equals_delay_and_sum_as_recorded(recording, scene, transmits):
    """Delay-and-sum hears offset, drift and ring-down in full; Fourier what lies in its band."""
    weights = ub.subsets.parse(transmits, recording)
    similarity, gain = likeness(by_both(recording, scene.grid, weights), within_cone(recording, scene.grid))
    assert similarity.real > 0.99
    assert gain == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("transmits", ["all", "ends:2", "random:7@3"])
def test_equals_delay_and_sum_of_the_echoes(echoes, scene, transmits):
    weights = ub.subsets.parse(transmits, echoes)
    images = by_both(echoes, scene.grid, weights, band=echo_band(echoes))
    similarity, gain = likeness(images, within_cone(echoes, scene.grid))
    assert similarity.real > 0.9999
    assert abs(np.angle(similarity)) < 0.01
    assert gain == pytest.approx(1, abs=0.001)
    # Outside of the cone, too.
    assert likeness(images)[0].real > 0.999


def test_equals_delay_and_sum_where_it_is_dark(echoes, scene):
    """Layer by layer: over the whole image, the correlation is that of its brightest echo."""
    inside = within_cone(echoes, scene.grid)
    images = by_both(echoes, scene.grid, band=echo_band(echoes))
    depth = scene.grid.z / MM
    layers = [inside & ((depth >= top) & (depth < top + 5))[:, None] for top in range(10, 50, 5)]
    layers = [layer for layer in layers if np.any(layer)]
    assert len(layers) >= 4
    for layer in layers:
        similarity, gain = likeness(images, layer)
        assert similarity.real > 0.99
        assert gain == pytest.approx(1, abs=0.02)


# Plane waves: they have no angle on transmit, and on receive every point has elements outside of its cone, so that
# images are compared as a whole.


def heard(recording: ub.Acquisition) -> dict[str, object]:
    """Fourier's own window on receive, for both methods."""
    return fourier_acceptance(recording)[1]._asdict()


@pytest.fixture(scope="module")
def fibres(real_data) -> ub.Acquisition:
    return read(real_data / "planewave_fibres" / "RFdata1.mat", mapping=MAPPINGS / "planewave_fibres.toml")


@pytest.mark.parametrize("transmits", ["all", "first:1"])
def test_fibres_equal_delay_and_sum(fibres, transmits):
    grid = ub.Grid.linear(x=(-18 * MM, 18 * MM), z=(10 * MM, 90 * MM), shape=(1001, 121))
    images = by_both(fibres, grid, ub.subsets.parse(transmits, fibres), **heard(fibres))
    similarity, gain = likeness(images)
    assert similarity.real > 0.999
    assert abs(np.angle(similarity)) < 0.01
    assert gain == pytest.approx(1, abs=0.01)


def test_fibres_are_where_delay_and_sum_shows_them_and_as_sharp(fibres):
    for x, z in FIBRES:
        grid = ub.Grid.linear(x=((x - 1) * MM, (x + 1) * MM), z=((z - 1) * MM, (z + 1) * MM), shape=(201, 81))
        das, fourier = (brightest(image, (x, z), (1, 1)) for image in by_both(fibres, grid, **heard(fibres)))
        assert np.hypot(*np.subtract(fourier, das)) * MM < 0.1 * fibres.wavelength
        _, lateral, axial = spot_size(fibres, x, z, method="fourier")
        assert lateral < 1.1
        assert axial < 0.6


def test_disk_equals_delay_and_sum_and_looks_like_the_reference(real_data):
    """Undersampled RF, demodulated on import: Fourier of IQ samples."""
    recording = read(real_data / "planewave_disk" / "PWI_disk.mat", mapping=MAPPINGS / "planewave_disk.toml")
    grid = ub.Grid.linear(x=(-12.5 * MM, 12.5 * MM), z=(10 * MM, 35 * MM), shape=(251, 251))  # the reference's
    images = by_both(recording, grid, **heard(recording))
    similarity, gain = likeness(images)
    assert similarity.real > 0.999
    assert abs(np.angle(similarity)) < 0.01
    assert gain == pytest.approx(1, abs=0.01)
    reference = scipy.io.loadmat(real_data / "planewave_disk" / "bmode_PWI_disk.mat")["I"][..., 0].astype(float)
    made = ub.beamform(recording, grid, method="fourier", f_number=1.0).db(40).data
    assert best_correlation(made, reference) > 0.9
