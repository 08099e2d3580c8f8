"""Angular components against a naive float64 oracle, and what they must show for any recording."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.signal

import usbeam as ub
from usbeam.errors import BadField, ConfigError, GeometryError, TooLarge, UsbeamError

from .conftest import SPEED, close, fine_probe, probe, record
from .oracle import DEGREES, analytic, arrival, interpolate

TOLERANCE = 2e-4
"""Of the whole chain: delays are rounded to 1 / 2048 of a sample."""
SINE, N_BINS, RIM = 0.5, 5, 0.15
SETTINGS: dict[str, Any] = {"max_sine": SINE, "n_bins": N_BINS, "interpolation": "cubic", "upsampling": 1}
TINY = ub.Grid.linear(x=(-4e-3, 4e-3), z=(11e-3, 16e-3), shape=(11, 9))


def reached(array: ub.Probe, grid: ub.Grid) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sine ``(n_z, n_x)`` at which a linear array is seen, by the definition."""
    elements = array.element_positions[:, 0]
    half = np.diff(elements).mean() / 2
    return np.maximum(sine(elements.min() - half, grid), -SINE), np.minimum(sine(elements.max() + half, grid), SINE)


def sine(x: np.ndarray | float, grid: ub.Grid, z: float = 0.0) -> np.ndarray:
    """At which a place is seen from every image point."""
    away = x - grid.x
    return away / np.hypot(away, z - grid.z[:, None])


def seen(array: ub.Probe, grid: ub.Grid, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bin ``(n_elements, n_z, n_x)`` of a linear array's elements, by the definition."""
    at = sine(array.element_positions[:, 0, None, None], grid)
    low, high = reached(array, grid)
    u = (at - low) / np.where(high > low, high - low, np.nan)
    rim = np.clip(np.minimum(u, 1 - u) / RIM, 0, 1)
    weight = np.where((np.abs(at) <= SINE) & (u > 0) & (u < 1), 0.5 - 0.5 * np.cos(np.pi * rim), 0)
    return weight, np.clip(np.nan_to_num(u) * n_bins, 0, n_bins - 1).astype(int)


def arriving(acquisition: ub.Acquisition, grid: ub.Grid, n_bins: int) -> np.ndarray:
    """Bins ``(n_tx, n_z, n_x)`` of plane or diverging waves, by the definition."""
    fired = acquisition.transmits
    if fired.direction is None:
        assert fired.focus is not None
        at = np.stack([sine(x, grid, z) for x, _, z in fired.focus])
    else:
        at = np.broadcast_to(-fired.direction[:, 0, None, None], (len(fired), *grid.shape))
    low, high = reached(acquisition.probe, grid)
    width, half = np.where(high > low, (high - low) / n_bins, np.inf), n_bins // 2
    return np.clip(np.round((at - at.mean(axis=0)) / width), -half, half).astype(int) + half


def naive(
    acquisition: ub.Acquisition, grid: ub.Grid, weights: np.ndarray | None = None, n_bins: int = N_BINS
) -> np.ndarray:
    """Components ``(n, n_z, n_x)``, one pair after the other."""
    degree, rate = DEGREES["cubic"], acquisition.sampling_frequency
    z, x = np.meshgrid(grid.z, grid.x, indexing="ij")
    points = np.stack([x, np.zeros_like(x), z], axis=-1)
    places, lens = acquisition.probe.element_positions, acquisition.probe.lens_delay
    weight, bins = seen(acquisition.probe, grid, n_bins)
    if acquisition.transmits.kind[0] == "element":
        fires = acquisition.transmits.element_index
        sent, left = weight[fires], bins[fires]
        out = np.zeros((2 * n_bins - 1, *grid.shape), np.complex128)
    else:
        left = arriving(acquisition, grid, n_bins)
        sent = np.ones(left.shape)
        out = np.zeros((n_bins + 2 * (n_bins // 2), *grid.shape), np.complex128)
    rows, columns = np.indices(grid.shape)
    for t in range(acquisition.n_tx):
        start = float(np.asarray(acquisition.start_time)[t])
        leave = arrival(acquisition, t, points, SPEED) + acquisition.transmits.pulse_peak_time[t] + 2 * lens - start
        for slot, e in enumerate(acquisition.receivers[t]):
            signal, carrier = analytic(acquisition, acquisition.frame(0)[t, slot], start, degree, 1)
            back = np.linalg.norm(points - places[e], axis=-1) / SPEED
            value = interpolate(signal, (leave + back) * rate, carrier / rate, degree) * sent[t] * weight[e]
            out[left[t] + bins[e], rows, columns] += value * (1 if weights is None else weights[t])
    return out


def components(acquisition: ub.Acquisition, grid: ub.Grid, **options: Any) -> np.ndarray:
    return ub.Angular(acquisition, grid, **{**SETTINGS, **options})(acquisition.frame(0)).data


def waves(kind: str) -> ub.Acquisition:
    array = probe()
    if kind == "plane":
        return record(ub.Transmits.plane(array, np.deg2rad([-8, 0, 11]), SPEED), array)
    return record(ub.Transmits.focused(array, [[-3e-3, 0, -6e-3], [2e-3, 0, -4e-3]], SPEED), array)


def test_equals_the_oracle(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    found = components(matrix, grid)
    assert found.shape == (9, *grid.shape)
    assert close(found, naive(matrix, grid)) < TOLERANCE


def test_subsets_and_weights_equal_the_oracle(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    weights = ub.subsets.random(matrix, 5, seed=1) * np.linspace(-1, 2, 16)
    assert close(components(matrix, grid, transmits=weights), naive(matrix, grid, weights)) < TOLERANCE


@pytest.mark.parametrize(("n_bins", "n_components"), [(5, 9), (8, 16)])
@pytest.mark.parametrize("kind", ["plane", "diverging"])
def test_waves_equal_the_oracle(grid: ub.Grid, kind: str, n_bins: int, n_components: int) -> None:
    recording = waves(kind)
    found, wanted = components(recording, grid, n_bins=n_bins), naive(recording, grid, n_bins=n_bins)
    assert found.shape == (n_components, *grid.shape)
    # Whatever the bins, their sum is the image of the receive window; a component has a small part of its peak.
    image = wanted.sum(axis=0)
    assert close(found.sum(axis=0), image) < TOLERANCE
    assert np.abs(found - wanted).max() < TOLERANCE * np.abs(image).max()


def test_one_wave_fills_the_components_in_the_middle() -> None:
    recording = waves("plane")
    for weights in np.eye(3):
        power = np.square(np.abs(components(recording, TINY, transmits=weights, n_bins=8))).sum(axis=(1, 2))
        assert np.flatnonzero(power).tolist() == list(range(4, 12))


def test_their_sum_is_the_image_of_the_same_windows(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    made = ub.Angular(matrix, grid, **SETTINGS)(matrix.frame(0))
    assert made.image().state == "complex"
    assert close(made.image().data, naive(matrix, grid).sum(axis=0)) < TOLERANCE
    # In the middle the array reaches the whole cone, and its window is one that a plan has, too.
    array = fine_probe(64)
    full = record(ub.Transmits.elements(array), array)
    middle = ub.Grid.linear(x=(-1e-3, 1e-3), z=(13e-3, 17e-3), shape=(41, 9))
    cone = {"f_number": 0.5 * np.sqrt(1 / 0.35**2 - 1), "window": "tukey:0.3"}
    plain = ub.beamform(full, middle, **cone, transmit_f_number=cone["f_number"], transmit_window="tukey:0.3")
    assert close(ub.Angular(full, middle)(full.frame(0)).image().data, plain.data) < 1e-5


def test_positions_run_from_left_to_right(matrix: ub.Acquisition) -> None:
    both = ub.Angular(matrix, TINY)(matrix.frame(0))
    one = ub.Angular(waves("plane"), TINY)(waves("plane").frame(0))
    np.testing.assert_allclose(both.position, (np.arange(15) - 7) / 8)
    np.testing.assert_allclose(one.position, (np.arange(16) - 7.5) / 8)
    # Only the rightmost elements fire and hear: every echo comes from the right.
    right = (np.arange(16) >= 12).astype(float)
    shallow = ub.Grid.linear(x=(-0.5e-3, 0.5e-3), z=(14.5e-3, 15.5e-3), shape=(21, 5))
    power = np.square(np.abs(components(matrix, shallow, transmits=right, receive_weights=right))).sum(axis=(1, 2))
    assert power.sum() > 0
    # They are the array's only elements then, and fill all bins of the aperture that they reach.
    assert np.count_nonzero(power) == 9


def test_fold_changes_nothing(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    folded, plain = (ub.Angular(matrix, grid, fold=fold, **SETTINGS) for fold in (True, False))
    assert folded.settings["folded"] is True
    assert plain.settings["folded"] is False
    assert close(folded(matrix.frame(0)).data, plain(matrix.frame(0)).data) < 1e-5
    assert ub.Angular(waves("plane"), grid).settings["folded"] is False


def test_a_half_matrix_has_the_components_of_the_full_one(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    receivers = np.tile(np.arange(16), (16, 1))
    receivers[receivers < np.arange(16)[:, None]] = -1
    stored = np.where(receivers[None, :, :, None] >= 0, matrix.samples[:], 0)
    half = matrix.replace(samples=stored, receive_elements=receivers)
    assert close(components(half, grid), components(matrix, grid)) < 1e-4
    assert ub.Angular(half, grid).settings["half_matrix"] is True


def test_demodulated_and_integer_samples(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    wanted = components(matrix, grid)
    signal = scipy.signal.hilbert(np.asarray(matrix.samples), axis=-1)
    start = np.asarray(matrix.start_time)[:, None, None]
    time = start + np.arange(matrix.n_samples) / matrix.sampling_frequency
    mixed = (signal * np.exp(-2j * np.pi * 4.6e6 * time)).astype(np.complex64)
    iq = matrix.replace(samples=mixed, kind="iq", demodulation_frequency=4.6e6)
    assert close(components(iq, grid), wanted) < 2e-3
    step = float(np.abs(matrix.samples).max()) / 30000
    stored = np.round(np.asarray(matrix.samples) / step + 1000).astype(np.int16)
    assert close(components(matrix.replace(samples=stored, scale=step, offset=-1000 * step), grid), wanted) < 1e-3


def test_linear_in_transmits(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    parts = ub.subsets.disjoint(matrix, 3)
    assert close(sum(components(matrix, grid, transmits=part) for part in parts), components(matrix, grid)) < 1e-5


@pytest.mark.parametrize("kind", ["element", "plane", "diverging"])
def test_mirrored_recordings_have_mirrored_components(kind: str) -> None:
    array = fine_probe(32)
    place = np.array([[2.1e-3, 0, 14e-3]])
    # No point between two elements, nor below one: there a bin's rim lies upon an element.
    grid = ub.Grid.linear(x=(-3.01e-3, 3.01e-3), z=(13.007e-3, 15e-3), shape=(31, 44))

    def made(side: int) -> np.ndarray:
        fired = {
            "element": lambda: ub.Transmits.elements(array),
            "plane": lambda: ub.Transmits.plane(array, side * np.radians([-8, 0, 11]), SPEED),
            "diverging": lambda: ub.Transmits.focused(
                array, [[side * -3e-3, 0, -6e-3], [side * 2e-3, 0, -4e-3]], SPEED
            ),
        }[kind]()
        return components(record(fired, array, place * [side, 1, 1]), grid)

    assert close(made(-1)[::-1, :, ::-1], made(1)) < 1e-3


def test_pieces_of_any_size_make_the_same(matrix: ub.Acquisition, grid: ub.Grid) -> None:
    whole, pieces = (ub.Angular(matrix, grid, memory_budget=budget) for budget in (1e9, 2e5))
    assert len(whole._domain.blocks) == 1
    assert len(pieces._domain.blocks) > 3
    assert close(pieces(matrix.frame(0)).data, whole(matrix.frame(0)).data) < 1e-5


def test_frames_one_after_the_other(matrix: ub.Acquisition) -> None:
    angular = ub.Angular(matrix, TINY)
    first, second = (angular(frame).data for frame in (matrix.frame(0), -2 * matrix.frame(0)))
    np.testing.assert_allclose(second, -2 * first, rtol=1e-5, atol=1e-6 * np.abs(first).max())


@pytest.mark.usefixtures("gpu")
class TestGpu:
    @pytest.mark.parametrize("budget", [1e9, 3e4])
    @pytest.mark.parametrize("kind", ["element", "plane", "diverging"])
    def test_makes_the_same(self, matrix: ub.Acquisition, kind: str, budget: float) -> None:
        recording = matrix if kind == "element" else waves(kind)
        cpu, gpu = (
            ub.Angular(recording, TINY, memory_budget=budget, device=device)(recording.frame(0))
            for device in ("cpu", "gpu")
        )
        assert gpu.settings == {**cpu.settings, "device": "gpu"}
        assert close(gpu.data, cpu.data) < 1e-4

    def test_pieces_are_many(self, matrix: ub.Acquisition) -> None:
        pieces = ub.Angular(matrix, TINY, memory_budget=3e4, device="gpu")
        assert len(pieces._domain.blocks) > 3
        assert pieces._domain.most_pairs < matrix.n_tx

    def test_equals_the_oracle(self, matrix: ub.Acquisition) -> None:
        wanted = naive(matrix, TINY)
        assert close(components(matrix, TINY, device="gpu"), wanted) < TOLERANCE
        step = float(np.abs(matrix.samples).max()) / 30000
        stored = matrix.replace(samples=np.round(np.asarray(matrix.samples) / step).astype(np.int16), scale=step)
        assert close(components(stored, TINY, device="gpu"), wanted) < 1e-3

    def test_a_frame_may_lie_there(self, matrix: ub.Acquisition, gpu: Any) -> None:
        angular = ub.Angular(matrix, TINY, device="gpu")
        found = angular(gpu.asarray(matrix.frame(0))).data
        np.testing.assert_array_equal(found, angular(matrix.frame(0)).data)
        assert isinstance(found, np.ndarray)

    def test_a_frame_that_is_not_finite_is_refused(self, matrix: ub.Acquisition) -> None:
        bad = matrix.frame(0).copy()
        bad[3, 2, 100] = np.nan
        with pytest.raises(BadField, match=r"first at \(transmit, receive, sample\) \(3, 2, 100\)"):
            ub.Angular(matrix, TINY, device="gpu")(bad)


def test_the_settings_say_what_was_chosen(matrix: ub.Acquisition) -> None:
    image = ub.Angular(matrix, TINY, n_bins=4, transmits=ub.subsets.ends(matrix, 2))(matrix.frame(0)).image()
    chosen = image.settings
    assert (chosen["method"], chosen["max_sine"], chosen["n_bins"]) == ("angular", 0.35, 4)
    assert np.flatnonzero(chosen["transmit_weights"]).tolist() == [0, 15]
    assert chosen["wavelength"] == pytest.approx(SPEED / 5e6)


def custom() -> ub.Acquisition:
    array = probe()
    single = ub.Transmits.elements(array, [2, 9])
    return record(dataclasses.replace(single, kind=("custom", "custom")), array)


def focused() -> ub.Acquisition:
    array = probe()
    return record(ub.Transmits.focused(array, np.array([[-1e-3, 0, 2e-2], [1e-3, 0, 2e-2]]), SPEED), array)


REFUSED: dict[str, tuple[Any, dict[str, Any], type[UsbeamError], str]] = {
    "focused": (focused, {}, GeometryError, "from one direction each"),
    "custom": (custom, {}, GeometryError, "found custom"),
    "no angle": (waves, {"max_sine": 0}, ConfigError, "max_sine: not the sine"),
    "NaN": (waves, {"max_sine": float("nan")}, ConfigError, "max_sine: not the sine"),
    "beyond 90 degrees": (waves, {"max_sine": 1.5}, ConfigError, "max_sine: not the sine"),
    "one bin": (waves, {"n_bins": 1}, ConfigError, "n_bins: not a number of bins"),
    "half a bin": (waves, {"n_bins": 2.5}, ConfigError, "n_bins: not a number of bins"),
    "more bins than a byte counts": (waves, {"n_bins": 500}, ConfigError, "n_bins: not a number of bins"),
    "weights": (waves, {"receive_weights": [1, 1]}, ConfigError, "receive_weights: one weight per element"),
    "speed": (waves, {"sound_speed": -1}, ConfigError, "sound_speed: not a positive number"),
    "budget": (waves, {"memory_budget": 0}, ConfigError, "memory_budget: not a positive number"),
    "interpolation": (waves, {"interpolation": "sinc"}, ConfigError, "unknown interpolation"),
    "far away": (
        waves,
        {"grid": ub.Grid.linear(x=(-4, 4), z=(11e-3, 16), shape=(3, 3))},
        GeometryError,
        "longer than the kernel can count",
    ),
    "too large": (
        waves,
        {"grid": ub.Grid.linear(x=(-4e-3, 4e-3), z=(11e-3, 16e-3), shape=(200_000, 200_000))},
        TooLarge,
        "16 image(s)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_met_is_refused(name: str) -> None:
    make, options, kind, message = REFUSED[name]
    made = make("plane") if make is waves else make()
    with pytest.raises(kind) as caught:
        ub.Angular(made, **{"grid": TINY, **options})
    assert message in str(caught.value)


def test_frames_that_do_not_fit_are_refused(matrix: ub.Acquisition) -> None:
    angular = ub.Angular(matrix, TINY)
    bad = matrix.frame(0).copy()
    bad[3, 2, 100] = np.nan
    with pytest.raises(BadField, match=r"first at \(transmit, receive, sample\) \(3, 2, 100\)"):
        angular(bad)
    with pytest.raises(BadField, match="wrong shape"):
        angular(bad[:3])


def test_depths_beyond_the_record_are_said(matrix: ub.Acquisition) -> None:
    with pytest.warns(UserWarning, match="zero where nothing was recorded"):
        ub.Angular(matrix, ub.Grid.linear(x=(-1e-3, 1e-3), z=(10e-3, 60e-3), shape=(5, 3)))
