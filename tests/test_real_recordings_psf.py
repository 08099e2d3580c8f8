"""Spots in real recordings: steel pins in water and a notch in aluminium, about as wide as their arrays let them be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import usbeam as ub

from .cli.conftest import installed
from .real import MM, SCENES, by_both, echo_band

pytestmark = pytest.mark.real_data


def limit(recording: ub.Acquisition, place: tuple[float, float], element_width: float) -> float:
    """Lateral width in theory; the unknown bandwidth hardly matters for it."""
    return ub.psf.diffraction_limit(
        recording.probe.element_positions,
        place,
        center_frequency=recording.probe.center_frequency,
        bandwidth=0.6,
        sound_speed=recording.sound_speed,
        element_width=element_width,
    ).lateral_fwhm


def measured(name: str, folder: Path, file: Path) -> list[dict[str, Any]]:
    """By ``usbeam psf`` at the places where reflectors are known to be."""
    scene = SCENES[name]
    ub.beamform(scene.read(folder), scene.grid).save(file)
    near = [argument for x, z in scene.reflectors for argument in ("--near", f"{x}mm,{z}mm")]
    done = installed("psf", file, *near, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)["points"]


def test_water_pins(real_data, tmp_path):
    """0.3 mm thick, under elements of unknown width: between points and as wide as the pitch."""
    recording = SCENES["water pins"].read(real_data)
    wavelength, pitch = recording.sound_speed / recording.probe.center_frequency, recording.probe.pitch
    for place, point in zip(
        SCENES["water pins"].reflectors, measured("water pins", real_data, tmp_path / "i.h5"), strict=True
    ):
        x, z = (MM * each for each in place)
        assert (point["x"], point["z"]) == pytest.approx((x, z), abs=0.2 * MM)
        assert limit(recording, (x, z), 0.0) < point["lateral_fwhm"] < limit(recording, (x, z), pitch)
        assert 0.5 * wavelength < point["axial_fwhm"] < wavelength
        assert point["major_fwhm"] >= point["lateral_fwhm"]
        assert -30 < point["peak_sidelobe_db"] < -15
        # Pitch and wavelength stand in the image; more than two wavelengths apart, the elements make grating lobes.
        assert -35 < point["grating_lobe_db"] < -25
        assert point["warnings"] == []


def test_notch(real_data, tmp_path):
    recording = SCENES["notch"].read(real_data)
    wavelength = recording.sound_speed / recording.probe.center_frequency
    (point,) = measured("notch", real_data, tmp_path / "i.h5")
    x, z = (MM * each for each in SCENES["notch"].reflectors[0])
    width = recording.probe.element_width
    assert (point["x"], point["z"]) == pytest.approx((x, z), abs=0.2 * MM)
    assert 1 < point["lateral_fwhm"] / limit(recording, (x, z), width) < 1.3
    assert wavelength / 3 < point["axial_fwhm"] < wavelength
    assert point["grating_lobe_db"] is None  # a quarter of a wavelength of pitch


@pytest.mark.parametrize("name", ["water pins", "notch"])
def test_both_methods_make_the_same_spot(name, real_data):
    echoes = SCENES[name].read_echoes(real_data)
    for x, z in SCENES[name].reflectors:
        x, z = x * MM, z * MM
        near = ub.Grid.spaced(x=(x - 3 * MM, x + 3 * MM), z=(z - 2 * MM, z + 2 * MM), spacing=(0.05 * MM, 0.1 * MM))
        first, second = (ub.psf.measure(image, (x, z)) for image in by_both(echoes, near, band=echo_band(echoes)))
        assert (second.x, second.z) == pytest.approx((first.x, first.z), abs=0.05 * MM)
        assert second.lateral_fwhm == pytest.approx(first.lateral_fwhm, rel=0.03)
        assert second.axial_fwhm == pytest.approx(first.axial_fwhm, rel=0.03)
