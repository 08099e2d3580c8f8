"""The plan: what it settles before any work, what it refuses and how, and what an image remembers."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam import device
from usbeam.beamforming import subsets
from usbeam.beamforming.requests import default_grid
from usbeam.errors import BadField, ConfigError, DeviceUnavailable, GeometryError, TooLarge, UsbeamError

from .conftest import SPEED, close, error_db

TINY = ub.Grid.linear(x=(-4.5e-3, 1e-3), z=(11e-3, 16e-3), shape=(31, 12))
nan, inf = float("nan"), float("inf")


def quiet(**facts: Any) -> ub.Acquisition:
    """4 x 4, silent: for what is decided before any sample is read."""
    probe = ub.Probe.linear(4, 0.3e-3, 5e6, bandwidth=0.65)
    return ub.Acquisition(
        **{
            "samples": np.zeros((2, 4, 4, 500), np.float32),
            "kind": "rf",
            "sampling_frequency": 20e6,
            "start_time": 0.0,
            "sound_speed": SPEED,
            "probe": probe,
            "transmits": ub.Transmits.elements(probe),
            **facts,
        }
    )


# What is refused

REFUSED: dict[str, tuple[dict[str, Any], type[UsbeamError], str]] = {
    "no subset": ({"transmits": []}, ConfigError, "transmits: no transmit is selected"),
    "an empty subset": ({"transmits": [0, 0, 0, 0]}, ConfigError, "transmits: no transmit is selected"),
    "a short weight vector": (
        {"transmits": [1, 1]},
        ConfigError,
        "one weight per transmit (expected (4,), found (2,))",
    ),
    "a NaN weight": ({"transmits": [1, nan, 1, 1]}, ConfigError, "a weight is not finite"),
    "one bad subset of two": ({"transmits": [np.ones(4), np.ones(5)]}, ConfigError, "one weight per transmit"),
    "a word": ({"transmits": "all"}, ConfigError, "weights are numbers"),
    "a number": ({"transmits": 3}, ConfigError, "one weight per transmit"),
    "a short receive vector": (
        {"receive_weights": [1, 1]},
        ConfigError,
        "receive_weights: one weight per element (expected (4,), found (2,))",
    ),
    "a NaN receive weight": ({"receive_weights": [1, nan, 1, 1]}, ConfigError, "receive_weights: a weight is not fin"),
    "no receiver": ({"receive_weights": np.zeros(4)}, ConfigError, "receive_weights: no element receives"),
    "receivers in a word": ({"receive_weights": "all"}, ConfigError, "weights are numbers, one per element"),
    "f-number 0": ({"f_number": 0.0}, ConfigError, "f_number: not a positive number"),
    "f-number NaN": ({"f_number": nan}, ConfigError, "f_number: not a positive number"),
    "transmit f-number": ({"transmit_f_number": -1.0}, ConfigError, "f_number: not a positive number"),
    "a window without width": ({"window": "hann"}, ConfigError, "needs an f-number"),
    "an unknown window": ({"f_number": 1.0, "window": "kaiser"}, ConfigError, "unknown window"),
    "an unknown method": ({"method": "mvdr"}, ConfigError, "method: unknown method"),
    "an unknown device": ({"device": "cuda"}, ConfigError, "device: unknown device"),
    "an unknown interpolation": ({"interpolation": "sinc"}, ConfigError, "interpolation: unknown interpolation"),
    "no upsampling": ({"upsampling": 0}, ConfigError, "upsampling: out of range"),
    "sound speed 0": ({"sound_speed": 0}, ConfigError, "sound_speed: not a positive number"),
    "sound speed NaN": ({"sound_speed": nan}, ConfigError, "sound_speed: not a positive number"),
    "no memory": ({"memory_budget": 0}, ConfigError, "memory_budget: not a positive number"),
    "a huge grid": (
        {"grid": ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 6e-3), shape=(10**6, 10**6))},
        TooLarge,
        "need about 1.6e+04 GB",
    ),
    "another planet": (
        {"grid": ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 1e3), shape=(5, 5))},
        GeometryError,
        "delays are longer than the kernel can count",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_cannot_be_met_is_refused_before_any_work(name: str) -> None:
    options, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        ub.Plan(quiet(), **{"grid": TINY, **options})
    line = str(caught.value)
    assert message in line
    assert "\n" not in line
    assert caught.value.expected or caught.value.found or caught.value.hint


@pytest.mark.skipif(device.gpu_obstacle() is None, reason="this machine has a usable GPU")
def test_a_gpu_that_is_not_there_is_refused_with_the_reason() -> None:
    with pytest.raises(DeviceUnavailable, match="no GPU can be used") as caught:
        ub.Plan(quiet(), TINY, device="gpu")
    assert caught.value.hint
    assert ub.Plan(quiet(), TINY, device="auto").device == "cpu"


def test_undersampled_rf_is_refused() -> None:
    with pytest.raises(ConfigError, match="sampling_frequency: RF sampled below twice") as caught:
        ub.Plan(quiet(sampling_frequency=9e6), TINY)
    assert "demodulate" in (caught.value.hint or "")


def test_a_plane_wave_has_no_angle_to_limit() -> None:
    recording = quiet(transmits=ub.Transmits.plane(quiet().probe, [0.0] * 4, SPEED))
    with pytest.raises(GeometryError, match="transmit_f_number: a transmit of kind plane has no angle"):
        ub.Plan(recording, TINY, transmit_f_number=1.0)
    ub.Plan(recording, TINY, f_number=1.0)


def test_contradicting_transmits_are_refused_by_the_plan() -> None:
    fired = ub.Transmits.plane(quiet().probe, np.full(4, 0.5), SPEED)
    assert fired.direction is not None
    flipped = dataclasses.replace(fired, direction=fired.direction * [-1, 1, 1])
    with pytest.raises(GeometryError, match="contradict its direction"):
        ub.Plan(quiet(transmits=flipped), TINY)


@pytest.mark.parametrize("options", [{}, {"fold": False}, {"method": "fourier"}], ids=str)
def test_receive_weights_are_those_of_the_samples(matrix: ub.Acquisition, options: dict[str, Any]) -> None:
    weights = np.array([0, 0, 0, 1, 1, 1, 1, 0.5, -2, 0, 0, 1, 1, 1, 1, 0], np.float32)
    found = ub.beamform(matrix, TINY, receive_weights=weights, **options)
    weighted = matrix.replace(samples=weights[:, None] * matrix.samples[:])
    assert close(found.data, ub.beamform(weighted, TINY, **options).data) < 1e-5
    assert found.settings["receive_weights"] == weights.tolist()
    plan, whole = (ub.Plan(matrix, TINY, receive_weights=chosen, **options) for chosen in (weights, None))
    assert plan.cost < whole.cost
    assert whole.settings["receive_weights"] == [1.0] * 16


FRAME = np.zeros((4, 4, 500), np.float32)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME[0], "samples: wrong shape (expected (4, 4, 500), found (4, 500))"),
        (FRAME[None], "wrong shape"),
        (FRAME[:, :, :499], "wrong shape"),
        (FRAME.transpose(2, 0, 1), "wrong shape"),
        (FRAME.astype(np.complex64), "complex64 samples for a recording of kind rf"),
        (FRAME.astype(bool), "bool samples"),
        (FRAME.astype(str), "samples for a recording of kind rf"),
    ],
)
def test_frames_of_another_recording_are_refused(frame: np.ndarray, message: str) -> None:
    with pytest.raises(BadField) as caught:
        ub.Plan(quiet(), TINY)(frame)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [nan, inf])
def test_samples_that_are_not_finite_are_refused_with_their_place(matrix: ub.Acquisition, value: float) -> None:
    frame = matrix.frame(0).copy()
    frame[3, 5, 100:103] = value
    with pytest.raises(BadField) as caught:
        ub.Plan(matrix, TINY)(frame)
    assert "3 sample(s) are NaN or infinite, first at (transmit, receive, sample) (3, 5, 100)" in str(caught.value)
    assert "on_nonfinite" in (caught.value.hint or "")


def test_beamform_refuses_a_missing_frame_and_unknown_options() -> None:
    with pytest.raises(ConfigError, match="no such frame"):
        ub.beamform(quiet(), TINY, frame=2)
    with pytest.raises(TypeError, match="f_nummer"):
        ub.beamform(quiet(), TINY, f_nummer=1.0)
    with pytest.raises(ConfigError, match="one weight per transmit"):
        ub.beamform(quiet(), TINY, transmits=np.ones((2, 4)))


# What is warned of


def test_a_grid_deeper_than_the_record_is_warned_of_once() -> None:
    """500 samples at 20 MHz are 19.25 mm."""
    with pytest.warns(UserWarning, match=r"the grid reaches 20 mm, the record only 19\.25 mm") as caught:
        ub.Plan(quiet(), ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 20e-3), shape=(5, 5)))
    assert len(caught) == 1
    ub.Plan(quiet(), ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 19.2e-3), shape=(5, 5)))


# What is settled


def test_an_image_remembers_how_it_was_made(matrix: ub.Acquisition) -> None:
    weights = subsets.ends(matrix, 2)
    plan = ub.Plan(matrix, TINY, transmits=[weights, subsets.all(matrix)], f_number=1.5, window="hann")
    low, high = plan(matrix.frame(0))
    for image in (low, high):
        assert (image.state, image.data.dtype, image.data.shape) == ("complex", np.complex64, (31, 12))
        assert image.data.flags.c_contiguous
        assert image.grid == TINY
        assert image.settings["f_number"] == 1.5
        assert image.settings["window"] == "hann"
        assert image.settings["sound_speed"] == SPEED
        assert image.settings["interpolation"] == plan.settings["interpolation"]
        assert image.settings["device"] == plan.device
    assert low.settings["transmit_weights"] == [1.0] + [0.0] * 14 + [1.0]
    assert high.settings["transmit_weights"] == [1.0] * 16
    assert low.source == {}


def test_the_source_names_the_file_but_not_its_folder(matrix: ub.Acquisition) -> None:
    image = ub.beamform(matrix.replace(path="/somewhere/private/a.h5"), TINY)
    assert image.source == {"file": "a.h5"}


def test_one_vector_is_one_image_and_a_matrix_is_several(matrix: ub.Acquisition) -> None:
    one = ub.Plan(matrix, TINY, transmits=subsets.first(matrix, 3))
    three = ub.Plan(matrix, TINY, transmits=np.eye(16)[:3])
    assert (one.weights.shape, three.weights.shape) == ((1, 16), (3, 16))
    assert len(one(matrix.frame(0))) == 1
    images = [image.data for image in three(matrix.frame(0))]
    assert close(np.sum(images, axis=0), one(matrix.frame(0))[0].data) < 1e-5


def test_a_plan_can_be_used_again(matrix: ub.Acquisition) -> None:
    plan = ub.Plan(matrix, TINY)
    first = plan(matrix.frame(0))[0].data
    frame = matrix.frame(0).copy()
    plan(np.zeros_like(frame))
    np.testing.assert_array_equal(plan(frame)[0].data, first)
    np.testing.assert_array_equal(frame, matrix.frame(0))


def test_frames_come_in_the_order_asked_for(matrix: ub.Acquisition) -> None:
    samples = np.concatenate([k * np.asarray(matrix.samples) for k in (1, 2, 3)]).astype(np.float32)
    plan = ub.Plan(matrix.replace(samples=samples), TINY)
    peaks = [np.abs(images[0].data).max() for images in plan.frames([2, 0])]
    assert peaks[0] == pytest.approx(3 * peaks[1], rel=1e-5)
    assert len(list(plan.frames())) == 3


def test_cost_counts_what_is_done(matrix: ub.Acquisition) -> None:
    assert ub.Plan(matrix, TINY, fold=False).cost == TINY.size * 16 * 16
    assert ub.Plan(matrix, TINY).cost == TINY.size * 16 * 17 // 2
    assert ub.Plan(matrix, TINY, transmits=subsets.ends(matrix, 2)).cost == TINY.size * (2 * 16 - 1)


def test_scale_and_offset_give_the_physical_image(matrix: ub.Acquisition) -> None:
    """An offset left in the samples would be a step at both ends of every record."""
    step = float(np.abs(matrix.samples).max()) / 3000
    integers = np.round(np.asarray(matrix.samples) / step)
    wanted = ub.beamform(matrix, TINY).data
    for offset in (0, 8000):
        stored = matrix.replace(samples=(integers + offset).astype(np.int16), scale=step, offset=-offset * step)
        assert error_db(ub.beamform(stored, TINY).data, wanted) < -50


def test_the_first_work_of_a_process_says_that_it_compiles(
    matrix: ub.Acquisition, caplog: pytest.LogCaptureFixture
) -> None:
    from usbeam.beamforming import frames as module

    module._say_once_that_kernels_compile.cache_clear()
    with caplog.at_level(logging.INFO, logger="usbeam"):
        for _ in range(2):
            ub.beamform(matrix, TINY)
    assert [record.message for record in caplog.records if "compiling" in record.message] == [
        "compiling the kernels, once per process (usbeam warmup and USBEAM_NUMBA_CACHE=1 avoid it)"
    ]


# The default grid


def test_the_default_grid_is_what_the_record_covers() -> None:
    recording = quiet()
    grid = default_grid(recording)
    x = recording.probe.element_positions[:, 0]
    assert grid.spacing == pytest.approx((recording.wavelength / 4, recording.wavelength / 2))
    assert grid.x[0] == x.min()
    assert x.max() - grid.x[-1] < grid.spacing[1]
    assert grid.z[0] == pytest.approx(2 * recording.wavelength)
    assert 0 <= 500 / 20e6 * SPEED / 2 - grid.z[-1] < grid.spacing[0]
    assert ub.Plan(recording).grid == grid


def test_the_default_grid_starts_with_the_record_and_heeds_peak_and_lens() -> None:
    late = quiet(start_time=6e-6)
    assert default_grid(late).z[0] == pytest.approx(6e-6 * SPEED / 2)
    fired = dataclasses.replace(late.transmits, pulse_peak_time=0.5e-6)
    lens = dataclasses.replace(late.probe, lens_delay=0.2e-6)
    assert default_grid(late.replace(transmits=fired, probe=lens)).z[0] == pytest.approx(5.1e-6 * SPEED / 2)


def test_a_single_element_has_a_default_grid() -> None:
    probe = ub.Probe.linear(1, 0.3e-3, 5e6)
    alone = quiet(samples=np.zeros((1, 1, 1, 500), np.float32), probe=probe, transmits=ub.Transmits.elements(probe))
    grid = default_grid(alone)
    assert grid.x[0] == pytest.approx(-5 * alone.wavelength)
    assert grid.shape[1] == 21
