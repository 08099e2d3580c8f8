"""Delays alone say what wave they make."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from usbeam.errors import GeometryError
from usbeam.io.convert.wavefront import AGREEMENT, transmits_of
from usbeam.probe import Probe
from usbeam.transmits import Transmits

SPEED = 1540.0
LINEAR = Probe.linear(64, 0.3e-3, 5e6)


def curved() -> Probe:
    angle = np.linspace(-0.5, 0.5, 64)
    places = np.stack([40e-3 * np.sin(angle), 0 * angle, 40e-3 * np.cos(angle) - 40e-3], axis=1)
    return Probe(element_positions=places, center_frequency=3.5e6, kind="curved")


def matrix() -> Probe:
    x, y = np.meshgrid(*[(np.arange(12) - 5.5) * 0.4e-3] * 2)
    places = np.stack([x.ravel(), y.ravel(), np.zeros(144)], axis=1)
    return Probe(element_positions=places, center_frequency=3e6, kind="matrix")


def found(probe: Probe, fired: Transmits) -> Transmits:
    """The wave of the delays, shifted in time and with anything for those that are silent."""
    delays = np.where(fired.apodization != 0, fired.delays + 3e-6, 1.0)
    return transmits_of(probe, delays, fired.apodization, SPEED, pulse_peak_time=1e-7)


@pytest.mark.parametrize("probe", [LINEAR, curved(), matrix()])
def test_plane_waves(probe: Probe) -> None:
    fired = Transmits.plane(probe, np.linspace(-0.6, 0.6, 9), SPEED)
    wave = found(probe, fired)
    assert set(wave.kind) == {"plane"}
    np.testing.assert_allclose(wave.direction, fired.direction, atol=1e-9)
    assert np.all(np.asarray(wave.pulse_peak_time) == 1e-7)


@pytest.mark.parametrize("probe", [LINEAR, curved(), matrix()])
@pytest.mark.parametrize("depth", [2e-3, 10e-3, 50e-3, 200e-3, -45e-3, -100e-3])
def test_focused_and_diverging_waves(probe: Probe, depth: float) -> None:
    points = np.array([[x, 0, depth] for x in (-9e-3, 0, 4e-3)])
    wave = found(probe, Transmits.focused(probe, points, SPEED))
    assert set(wave.kind) == {"focused" if depth > 0 else "diverging"}
    np.testing.assert_allclose(wave.focus, points, atol=1e-7)


def test_a_part_of_the_array_fires() -> None:
    weights = np.zeros((3, 64))
    weights[0, :20], weights[1, 30:50], weights[2, 40] = 1, -0.5, 1
    points = np.array([[-5e-3, 0, 20e-3], [2e-3, 0, -15e-3], [0, 0, 30e-3]])
    wave = found(LINEAR, dataclasses.replace(Transmits.focused(LINEAR, points, SPEED), apodization=weights))
    assert wave.kind == ("focused", "diverging", "element")
    np.testing.assert_allclose(wave.focus[:2], points[:2], atol=1e-7)
    np.testing.assert_allclose(wave.origin[0], LINEAR.element_positions[:20].mean(axis=0))


def test_a_curved_array_that_fires_at_once() -> None:
    probe = curved()
    wave = transmits_of(probe, np.zeros((1, 64)), np.ones((1, 64)), SPEED)
    assert wave.kind == ("diverging",)
    np.testing.assert_allclose(wave.focus, [[0, 0, -40e-3]], atol=1e-9)


def test_delays_of_a_clock() -> None:
    """Rounded to steps of 4 ns, as a scanner fires."""
    fired = Transmits.plane(LINEAR, [0.0, 0.3], SPEED)
    wave = found(LINEAR, dataclasses.replace(fired, delays=np.round(fired.delays / 4e-9) * 4e-9))
    assert wave.kind == ("plane", "plane")
    np.testing.assert_allclose(wave.direction, fired.direction, atol=1e-3)


def test_delays_of_no_wave_are_kept_as_they_are() -> None:
    noise = np.random.default_rng(0).uniform(0, 1e-6, (2, 64))
    noise[1] = Transmits.plane(LINEAR, [0.2], SPEED).delays
    noise[1, 7] += 2 * AGREEMENT / 5e6
    few = np.zeros((2, 64))
    few[:, :3] = 1
    assert transmits_of(LINEAR, noise, np.ones((2, 64)), SPEED).kind == ("custom", "custom")
    assert transmits_of(LINEAR, noise, few, SPEED).kind == ("custom", "custom")
    np.testing.assert_array_equal(transmits_of(LINEAR, noise, few, SPEED).delays, noise)


def test_what_cannot_be_fired_is_refused() -> None:
    with pytest.raises(GeometryError, match="wrong shape"):
        transmits_of(LINEAR, np.zeros((1, 63)), np.ones((1, 63)), SPEED)
    with pytest.raises(GeometryError, match="non-finite"):
        transmits_of(LINEAR, np.full((1, 64), np.nan), np.ones((1, 64)), SPEED)
    with pytest.raises(GeometryError, match="no element fires"):
        transmits_of(LINEAR, np.zeros((1, 64)), np.zeros((1, 64)), SPEED)
    assert transmits_of(LINEAR, np.full((1, 64), 1e300) * np.arange(64), np.ones((1, 64)), SPEED).kind == ("custom",)
