"""The forward model against a plain double-precision sum, its own statement of time, and an independent simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import hilbert

from usbeam.acquisition import Acquisition, Truth
from usbeam.errors import ConfigError, GeometryError
from usbeam.probe import Probe
from usbeam.simulate import Phantom, echoes, record
from usbeam.simulate.phantoms import points, speckle
from usbeam.transmits import Transmits

C = 1540.0
RATE = 31.25e6
DEPTH = (5e-3, 20e-3)


def a_probe(n_elements: int = 16, **others: Any) -> Probe:
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


def simulate(phantom: Phantom, probe: Probe, transmits: Transmits, **others: Any) -> Acquisition:
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


def delayed_everywhere(n_elements: int = 8) -> tuple[Probe, Transmits]:
    """A probe and transmits with every time of the file non-zero."""
    probe = a_probe(n_elements, lens_delay=0.11e-6)
    delays = 0.4e-6 + 0.1e-6 * np.arange(n_elements) * np.eye(n_elements)
    transmits = Transmits(
        kind=("element",) * n_elements,
        delays=delays,
        apodization=np.eye(n_elements),
        pulse_peak_time=0.3e-6 + 0.02e-6 * np.arange(n_elements),
    )
    return probe, transmits


def test_envelope_peaks_at_the_stated_time() -> None:
    probe, transmits = delayed_everywhere()
    point = np.array([0.7e-3, 0.0, 12e-3])
    phantom = Phantom(positions=[point], amplitudes=[1.0])
    start = 5e-6 + 0.05e-6 * np.arange(8)
    acquisition = simulate(phantom, probe, transmits, start_time=start)
    np.testing.assert_array_equal(acquisition.start_time, start)
    leg = np.linalg.norm(point - probe.element_positions, axis=1) / C
    peak_time = np.asarray(transmits.pulse_peak_time)
    for t in range(8):
        for r in (0, 3, 7):
            expected = transmits.delays[t, t] + leg[t] + leg[r] + peak_time[t] + 2 * probe.lens_delay - start[t]
            envelope = np.abs(hilbert(acquisition.samples[0, t, r]))
            top = int(envelope.argmax())
            # A Gaussian is a parabola in its logarithm, so three samples give its peak exactly.
            before, at, after = np.log(envelope[top - 1 : top + 2])
            found = top + (before - after) / (2 * (before - 2 * at + after))
            assert abs(found - expected * RATE) < 0.02


@pytest.mark.parametrize("name", ["start_time", "pulse_peak_time", "lens_delay", "delays"])
def test_each_time_moves_the_echo_by_itself(name: str) -> None:
    phantom = Phantom(positions=[[0.5e-3, 0, 12e-3]], amplitudes=[1.0])
    whole = 3 / RATE
    probe = a_probe(4)
    plain: dict[str, Any] = {"kind": ("plane",), "delays": np.zeros((1, 4)), "apodization": np.ones((1, 4))}
    plain["direction"] = [[0, 0, 1]]
    reference = simulate(phantom, probe, Transmits(**plain), start_time=5e-6).samples[0]
    start, moved = 5e-6, 3
    if name == "start_time":
        start, moved = 5e-6 + whole, -3
    elif name == "lens_delay":
        probe, moved = a_probe(4, lens_delay=whole), 6
    else:
        plain[name] = plain[name] + whole if name == "delays" else whole
    samples = simulate(phantom, probe, Transmits(**plain), start_time=start).samples[0]
    n = min(samples.shape[-1], reference.shape[-1])
    np.testing.assert_allclose(
        np.roll(reference, moved, axis=-1)[..., 10 : n - 10], samples[..., 10 : n - 10], atol=1e-4 * reference.max()
    )


def test_default_record_holds_all_echoes_of_the_depth_range() -> None:
    probe, transmits = delayed_everywhere()
    corners = [[x, 0, z] for x in (-4e-3, 4e-3) for z in DEPTH]
    below_the_first = [*probe.element_positions[0, :2], DEPTH[0]]
    phantom = Phantom(positions=[*corners, below_the_first], amplitudes=np.ones(5))
    short = simulate(phantom, probe, transmits)
    longer = simulate(phantom, probe, transmits, depth=(0.0, 40e-3))
    assert short.n_samples < longer.n_samples
    assert np.all(np.modf(np.asarray(short.start_time) * RATE + 1e-6)[0] < 1e-5)
    energy = [np.sum(np.square(a.samples, dtype=np.float64)) for a in (short, longer)]
    assert energy[0] == pytest.approx(energy[1], rel=1e-6)
    # Nothing to spare: the first echo rises within the pulse's length of sample 0, the last falls as near the end.
    level = np.abs(short.samples).max(axis=(0, 1, 2)) > 1e-3 * np.abs(short.samples).max()
    assert np.flatnonzero(level)[0] < 25
    assert np.flatnonzero(level)[-1] > short.n_samples - 25


def test_echoes_outside_the_record_do_not_come_back() -> None:
    probe, transmits = delayed_everywhere()
    outside = Phantom(positions=[[0, 0, 2e-3], [0, 0, 60e-3]], amplitudes=[1.0, 1.0])
    acquisition = simulate(outside, probe, transmits, depth=(10e-3, 12e-3))
    assert np.abs(acquisition.samples).max() < 1e-4


def test_scatterers_add_up() -> None:
    probe = a_probe()
    transmits = Transmits.plane(probe, [0.1], C)
    phantom = some_points(5)
    whole = simulate(phantom, probe, transmits)
    parts = [
        simulate(
            Phantom(positions=phantom.positions[half], amplitudes=phantom.amplitudes[half]),
            probe,
            transmits,
            start_time=whole.start_time[0],
        )
        for half in (slice(2), slice(2, 5))
    ]
    n = min(part.n_samples for part in (whole, *parts))
    total = sum(part.samples[..., :n] for part in parts)
    np.testing.assert_allclose(whole.samples[..., :n], total, atol=1e-5 * np.abs(total).max())


def test_full_matrix_is_reciprocal() -> None:
    probe = a_probe()
    samples = simulate(some_points(), probe, Transmits.elements(probe)).samples[0]
    np.testing.assert_allclose(samples, samples.swapaxes(0, 1), atol=1e-5 * np.abs(samples).max())


def test_plane_wave_is_the_sum_of_delayed_elements() -> None:
    probe = a_probe()
    plane = Transmits.plane(probe, [0.25], C, pulse_peak_time=0.2e-6)
    single = Transmits(
        kind=("element",) * 16,
        delays=np.tile(plane.delays, (16, 1)),
        apodization=np.eye(16),
        pulse_peak_time=0.2e-6,
    )
    wave = simulate(some_points(), probe, plane, start_time=5e-6).samples[0, 0]
    summed = simulate(some_points(), probe, single, start_time=5e-6).samples[0].sum(axis=0)
    n = min(wave.shape[-1], summed.shape[-1])
    np.testing.assert_allclose(wave[:, :n], summed[:, :n], atol=1e-5 * np.abs(wave).max())


def test_chunks_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = a_probe()
    transmits = Transmits.elements(probe, [1, 8])
    phantom = speckle(probe, x=(-1e-3, 1e-3), z=(10e-3, 11e-3), density=10.0)
    fractions: list[float] = []
    whole = simulate(phantom, probe, transmits, progress=fractions.append).samples
    assert fractions == [1.0]
    monkeypatch.setattr(echoes, "TRACE_BYTES", 1)
    monkeypatch.setattr(echoes, "LEG_BYTES", 1)
    fractions.clear()
    cut = simulate(phantom, probe, transmits, progress=fractions.append).samples
    np.testing.assert_allclose(cut, whole, atol=1e-5 * np.abs(whole).max())
    assert len(fractions) >= 32
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_scatterer_behind_an_element_is_not_heard() -> None:
    probe = a_probe(4)
    transmits = Transmits.elements(probe)
    behind = Phantom(positions=[[0, 0, -12e-3], [0, 0, 0]], amplitudes=[1.0, 1.0])
    assert not np.any(simulate(behind, probe, transmits).samples)


def test_no_scatterer_gives_silence() -> None:
    probe = a_probe(4)
    empty = Phantom(positions=np.zeros((0, 3)), amplitudes=np.zeros(0))
    for int16 in (False, True):
        assert not np.any(simulate(empty, probe, Transmits.elements(probe), int16=int16).samples)
    with pytest.raises(ConfigError, match="no echo"):
        simulate(empty, probe, Transmits.elements(probe), noise_db=-30)


def test_noise_has_the_stated_level_and_seed() -> None:
    probe = a_probe()
    transmits = Transmits.elements(probe)
    phantom = some_points()
    clean = simulate(phantom, probe, transmits).samples[0]
    noisy = simulate(phantom, probe, transmits, noise_db=-40, n_frames=3, seed=4)
    assert noisy.n_frames == 3
    noise = noisy.samples - clean
    assert 20 * np.log10(noise.std(axis=(1, 2, 3)) / np.abs(clean).max()) == pytest.approx([-40] * 3, abs=0.05)
    # Fresh in every frame and white along time.
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[0, ..., 1:].ravel(), noise[0, ..., :-1].ravel())[0, 1]) < 0.02
    again = simulate(phantom, probe, transmits, noise_db=-40, n_frames=1, seed=4)
    np.testing.assert_array_equal(again.samples[0], noisy.samples[0])
    other = simulate(phantom, probe, transmits, noise_db=-40, seed=5)
    assert not np.array_equal(other.samples[0], noisy.samples[0])


def test_frames_without_noise_are_alike() -> None:
    probe = a_probe(4)
    samples = simulate(some_points(), probe, Transmits.elements(probe), n_frames=2).samples
    np.testing.assert_array_equal(samples[0], samples[1])


@pytest.mark.parametrize("noise_db", [None, -20.0, 0.0])
def test_int16_keeps_the_values_and_its_headroom(noise_db: float | None) -> None:
    probe = a_probe()
    transmits = Transmits.elements(probe)
    real = simulate(some_points(), probe, transmits, noise_db=noise_db).samples
    integer = simulate(some_points(), probe, transmits, noise_db=noise_db, int16=True)
    assert integer.samples.dtype == np.int16
    np.testing.assert_allclose(integer.scale * integer.samples, real, atol=0.51 * integer.scale)
    peak = np.abs(integer.samples.astype(np.int64)).max() / 32767
    assert peak == pytest.approx(0.8, abs=1e-3) if noise_db is None else 0.5 < peak < 0.95


def test_truth_and_facts_are_in_the_recording() -> None:
    probe, transmits = delayed_everywhere()
    phantom = points(x=(-12e-3, 12e-3), z=(5e-3, 25e-3))
    acquisition = record(phantom, probe, transmits, sampling_frequency=RATE, depth=(5e-3, 25e-3), sound_speed=1480.0)
    assert acquisition.truth is phantom.truth
    assert acquisition.probe is probe
    assert acquisition.transmits is transmits
    assert (acquisition.kind, acquisition.sound_speed, acquisition.demodulation_frequency) == ("rf", 1480.0, 0.0)
    assert acquisition.title == "6 point targets"


def test_speckle_traces_are_rayleigh() -> None:
    probe = a_probe(24)
    phantom = speckle(probe, x=(-6e-3, 6e-3), z=(5e-3, 25e-3), seed=2)
    acquisition = simulate(phantom, probe, Transmits.elements(probe), depth=(5e-3, 25e-3))
    middle = slice(acquisition.n_samples // 4, acquisition.n_samples // 2)
    # Every second receiver and every fifth sample: near enough to independent.
    envelope = np.abs(hilbert(acquisition.samples[0].astype(np.float64)))[::4, ::2, middle][..., ::5]
    envelope /= envelope.mean(axis=(0, 1))
    # Mean over standard deviation of a Rayleigh variable: sqrt(pi / (4 - pi)).
    assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.1)


def test_bad_requests_are_refused() -> None:
    probe = a_probe(4)
    transmits = Transmits.elements(probe)
    phantom = some_points()
    for changes, message in (
        ({"sampling_frequency": 15e6}, "half the sampling frequency"),
        ({"sampling_frequency": float("nan")}, "half the sampling frequency"),
        ({"depth": (20e-3, 5e-3)}, "depth is inverted"),
        ({"depth": (0.0, float("inf"))}, "depth is inverted"),
        ({"sound_speed": 0.0}, "positive"),
        ({"noise_db": float("nan")}, "finite number of dB"),
        ({"n_frames": 0}, "no frame"),
        ({"start_time": 1.0}, "starts after"),
    ):
        with pytest.raises(ConfigError, match=message):
            simulate(phantom, probe, transmits, **changes)
    with pytest.raises(ConfigError, match="no bandwidth"):
        simulate(phantom, Probe.linear(4, 0.3e-3, 5e6), transmits)
    with pytest.raises(GeometryError, match="another probe"):
        simulate(phantom, a_probe(5), transmits)


@pytest.mark.parametrize(("bandwidth", "least"), [(0.2, 0.999), (0.7, 0.98)])
@pytest.mark.parametrize("kind", ["element", "plane"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_agrees_with_an_independent_simulator(kind: str, bandwidth: float, least: float) -> None:
    """PyMUST's SIMUS: frequency domain, elements split into segments, a windowed sine seen through the probe's band.

    Its time 0 is the trigger and its pulse is centred on it, so nothing is aligned. Its pulse is no Gaussian; ours gets
    the centre and width of its spectrum. At a bandwidth of 0.2 the two have the same shape, at 0.7 nearly so.
    """
    import pymust

    parameters = pymust.utils.Param()
    parameters.fc, parameters.bandwidth, parameters.fs, parameters.c = 5e6, 100 * bandwidth, 40e6, C
    parameters.Nelements, parameters.pitch, parameters.width, parameters.radius = 32, 0.3e-3, 0.27e-3, np.inf
    parameters.baffle = "soft"
    pulse, time = pymust.getpulse(parameters, 2)
    spectrum = np.abs(np.fft.rfft(pulse, 2**18))
    band = np.fft.rfftfreq(2**18, time[1] - time[0])[spectrum >= spectrum.max() / 2]
    center = (band[0] + band[-1]) / 2
    probe = Probe.linear(32, 0.3e-3, center, bandwidth=(band[-1] - band[0]) / center, element_width=0.27e-3)
    transmits = Transmits.elements(probe, [10]) if kind == "element" else Transmits.plane(probe, [0.15], C)
    parameters.TXapodization = transmits.apodization.copy()
    x, z, amplitudes = np.array([[0.0, 3e-3, -2e-3], [12e-3, 18e-3, 25e-3], [1.0, 0.8, 1.0]])
    theirs, _ = pymust.simus(x[None], z[None], amplitudes[None], transmits.delays.copy(), parameters)
    phantom = Phantom(positions=np.stack([x, 0 * x, z], axis=1), amplitudes=amplitudes)
    ours = record(phantom, probe, transmits, sampling_frequency=40e6, depth=(0.0, 30e-3), start_time=0.0).samples[0, 0]
    n = min(len(theirs), ours.shape[-1])
    their_envelope, our_envelope = np.abs(hilbert(theirs[:n].T)), np.abs(hilbert(ours[:, :n]))

    def correlation(shift: int) -> float:
        return np.corrcoef(np.roll(their_envelope, shift, axis=1).ravel(), our_envelope.ravel())[0, 1]

    assert correlation(0) > least
    assert correlation(0) > max(correlation(-1), correlation(1))
    # Directivity and spreading: the receivers see the same relative levels.
    ratio = their_envelope.max(axis=1) / our_envelope.max(axis=1)
    assert np.ptp(ratio) < 0.03 * ratio.mean()
