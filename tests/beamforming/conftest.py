"""Small recordings with every time offset non-zero, so that no sign can hide."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.apodization import Window

SPEED = 1540.0
POINTS = np.array([[0.0, 0.0, 15e-3], [-4e-3, 0.0, 12e-3], [3.1e-3, 0.0, 19e-3]])


def probe(n_elements: int = 16) -> ub.Probe:
    return ub.Probe.linear(n_elements, 0.6e-3, 5e6, bandwidth=0.65, element_width=0.3e-3, lens_delay=0.23e-6)


def record(transmits: ub.Transmits, array: ub.Probe, points: np.ndarray = POINTS, **options) -> ub.Acquisition:
    """Echoes of points; the record starts late, the pulse peaks late, the lens delays."""
    phantom = ub.simulate.Phantom(
        positions=points, amplitudes=np.ones(len(points)), truth=ub.Truth(points=points), title="points"
    )
    fired = dataclasses.replace(transmits, pulse_peak_time=0.41e-6)
    settings = {"sampling_frequency": 25e6, "depth": (10e-3, 21e-3), "sound_speed": SPEED, **options}
    return ub.simulate.record(phantom, array, fired, **settings)


@pytest.fixture(scope="session")
def matrix() -> ub.Acquisition:
    """Full matrix, 16 x 16."""
    array = probe()
    return record(ub.Transmits.elements(array), array)


@pytest.fixture(scope="session")
def grid() -> ub.Grid:
    return ub.Grid.linear(x=(-5e-3, 5e-3), z=(10.5e-3, 20.5e-3), shape=(101, 41))


def close(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference in units of the wanted image's peak."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def error_db(found: np.ndarray, wanted: np.ndarray) -> float:
    """RMS difference over RMS value [dB]."""
    return float(10 * np.log10(np.sum(np.abs(found - wanted) ** 2) / np.sum(np.abs(wanted) ** 2)))


def worst_db(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference over the wanted image's peak [dB]."""
    return 20 * np.log10(max(close(found, wanted), 1e-12))


def correlation(found: np.ndarray, wanted: np.ndarray) -> complex:
    """Normalised complex correlation: 1 where the images are equal but for a factor; its angle is that factor's."""
    return np.vdot(wanted, found) / (np.linalg.norm(found) * np.linalg.norm(wanted))


# A beamformer that sees a pass-band is compared with delay-and-sum on pulses that lie within it: at its edges the pulse
# is 60 dB down. One wavelength of pitch, so that 64 elements lie within 42 degrees of points at depths from 12 mm.
BAND = (1.8e6, 8.2e6)
NARROW, WIDE = Window(0.5, 0.5), Window(0.9, 0.3)


def fine_probe(n_elements: int, **others: float) -> ub.Probe:
    facts = {"bandwidth": 0.4, "element_width": 0.27e-3, "lens_delay": 0.23e-6, **others}
    return ub.Probe.linear(n_elements, 0.3e-3, 5e6, **facts)


def cone(transmit: Window, receive: Window) -> dict[str, object]:
    """The windows as a user gives them."""

    def f_number(window: Window) -> float:
        return 0.5 * float(np.sqrt(1 / window.max_sine**2 - 1))

    return {
        "f_number": f_number(receive),
        "window": f"tukey:{receive.taper}",
        "transmit_f_number": f_number(transmit),
        "transmit_window": f"tukey:{transmit.taper}",
    }


def fine_das(acquisition: ub.Acquisition, grid: ub.Grid, weights=None, **options) -> np.ndarray:
    """Delay-and-sum on samples refined eight times."""
    return ub.beamform(acquisition, grid, transmits=weights, interpolation="cubic", upsampling=8, **options).data
