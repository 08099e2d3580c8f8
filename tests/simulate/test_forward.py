"""The forward model against a plain double-precision sum, its own statement of time, and an independent simulator."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.acquisition import Acquisition, Probe, Transmits, Truth
from usbeam.simulate import Phantom, record

C = 1540.0
RATE = 31.25e6
DEPTH = (5e-3, 20e-3)


def a_probe(n_elements: int = 16, **others: object) -> Probe:
    return Probe.linear(n_elements, 0.3e-3, 7.5e6, bandwidth=0.65, **{"element_width": 0.27e-3, **others})


def some_points(n: int = 3, seed: int = 1) -> Phantom:
    rng = np.random.default_rng(seed)
    positions = np.stack([rng.uniform(-3e-3, 3e-3, n), rng.uniform(-1e-3, 1e-3, n), rng.uniform(7e-3, 18e-3, n)], 1)
    return Phantom(positions=positions, amplitudes=rng.uniform(-1, 1, n), truth=Truth(points=positions))


def oracle(phantom: Phantom, probe: Probe, transmits: Transmits, acquisition: Acquisition) -> np.ndarray:
    """Every echo written out in float64: scatterer by scatterer, element by element, as the module states it."""
    samples = np.zeros(acquisition.samples.shape[1:])
    time = np.arange(samples.shape[-1]) / acquisition.sampling_frequency
    wavelength = acquisition.sound_speed / probe.center_frequency
    peak_time = np.broadcast_to(transmits.pulse_peak_time, len(transmits))
    half_width = probe.bandwidth * probe.center_frequency / 2

    def leg(point: np.ndarray, element: int) -> tuple[float, float]:
        ray = point - probe.element_positions[element]
        distance = np.linalg.norm(ray)
        normal = probe.normals[element]
        width = np.cross([0, 1, 0], normal)
        gain = max(ray @ normal / distance, 0) / np.sqrt(distance)
        for side, axis in ((probe.element_width, width), (probe.element_height, np.cross(normal, width))):
            if side is not None:
                gain *= np.sinc(side / wavelength * (ray @ axis) / distance)
        return distance / acquisition.sound_speed, gain

    for point, amplitude in zip(phantom.positions, phantom.amplitudes, strict=True):
        legs = [leg(point, element) for element in range(probe.n_elements)]
        for t, e in np.argwhere(transmits.apodization != 0):
            for r in range(probe.n_elements):
                peak = transmits.delays[t, e] + legs[e][0] + legs[r][0] + peak_time[t] + 2 * probe.lens_delay
                at = time + acquisition.start_time[t] - peak
                # A Gaussian spectrum that is one half at half_width is this Gaussian envelope.
                envelope = np.exp(-((np.pi * half_width * at) ** 2) / np.log(2))
                echo = envelope * np.cos(2 * np.pi * probe.center_frequency * at)
                samples[t, r] += amplitude * transmits.apodization[t, e] * legs[e][1] * legs[r][1] * echo
    return samples


def simulate(phantom: Phantom, probe: Probe, transmits: Transmits, **others: object) -> Acquisition:
    return record(phantom, probe, transmits, **{"sampling_frequency": RATE, "depth": DEPTH, **others})


def curved_probe() -> Probe:
    angle = np.linspace(-0.4, 0.4, 9)
    normals = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    return Probe(
        element_positions=10e-3 * (normals - [0, 0, 1]),
        element_normals=normals,
        center_frequency=5e6,
        bandwidth=0.8,
        element_width=0.5e-3,
        element_height=0.6e-3,
        kind="curved",
    )


@pytest.mark.parametrize(
    "case", ["element", "plane", "diverging", "focused", "every time non-zero", "curved", "finely sampled"]
)
def test_equals_the_naive_sum(case: str) -> None:
    probe, others = a_probe(), {}
    transmits = Transmits.elements(probe, [0, 7, 15])
    if case == "plane":
        transmits = Transmits.plane(probe, [-0.2, 0.3], C, time_zero="center")
    elif case in ("diverging", "focused"):
        sign = -1 if case == "diverging" else 1
        transmits = Transmits.focused(probe, [[1e-3, 0, sign * 12e-3]], C)
    elif case == "every time non-zero":
        probe = a_probe(8, lens_delay=0.11e-6)
        rng = np.random.default_rng(5)
        transmits = Transmits(
            kind=("custom",) * 2,
            delays=rng.uniform(-1e-6, 2e-6, (2, 8)),
            apodization=[[1, 0.5, -1, 0, 0, 1, 1, 0.2], [0, 0, 0, 1, -0.3, 0, 0, 0]],
            pulse_peak_time=[0.37e-6, 0.21e-6],
        )
        others = {"start_time": [7.123e-6, 4.9e-6]}
    elif case == "curved":
        probe = curved_probe()
        transmits = Transmits.elements(probe)
    elif case == "finely sampled":
        others = {"sampling_frequency": 100e6}
    phantom = some_points()
    acquisition = simulate(phantom, probe, transmits, **others)
    expected = oracle(phantom, probe, transmits, acquisition)
    np.testing.assert_allclose(acquisition.samples[0], expected, rtol=0, atol=2e-4 * np.abs(expected).max())
    assert np.abs(expected).max() > 0
