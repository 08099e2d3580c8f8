"""One call for every method: domains, parameters, notes, and what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy import ndimage

import usbeam as ub
from usbeam.enhancers import METHODS
from usbeam.enhancers.registry import Task
from usbeam.errors import ConfigError, MeasurementError

GRID = ub.Grid.linear(x=(-6e-3, 6e-3), z=(10e-3, 20e-3), shape=(101, 61))  # 0.1 mm by 0.2 mm

QUICK = {"self2self": {"n_steps": 3, "n_predictions": 2}}
"""What some methods need, to be tested in little time; the others are tested with their defaults."""


def speckle(seed: int = 0, grid: ub.Grid = GRID) -> ub.Image:
    """Complex speckle with cells of some pixels, a dark half below."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((2, *grid.shape)), (0, 1.5, 1.0))
    data = noise[0] + 1j * noise[1]
    data[grid.shape[0] // 2 :] *= 0.25
    return ub.Image(data.astype(np.complex64), grid, settings={"method": "das"})


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    """What holds for each of them."""

    def test_gives_a_finite_image_on_the_same_grid(self, name: str) -> None:
        given = speckle()
        before = given.data.copy()
        found = ub.enhance(given, name, **QUICK.get(name, {}))
        assert found.grid == given.grid
        assert found.state == ("envelope" if METHODS[name].domain == "envelope" else "db")
        assert found.data.dtype == np.float32
        assert np.all(np.isfinite(found.data))
        assert found.data.min() >= (0 if found.state == "envelope" else -60)
        np.testing.assert_array_equal(given.data, before)

    def test_says_what_it_did(self, name: str) -> None:
        found = ub.enhance(speckle(), name, **QUICK.get(name, {}))
        (entry,) = found.settings["enhanced"]
        assert (entry["method"], entry["from_state"], found.settings["method"]) == (name, "complex", "das")
        assert set(entry["parameters"]) == set(METHODS[name].parameters)

    def test_has_its_facts(self, name: str) -> None:
        method = METHODS[name]
        assert method.title
        assert method.reference
        assert (method.function.__doc__ or "").strip()
        for parameter in method.parameters.values():
            assert parameter.description
            assert parameter.checked(parameter.default, name) == parameter.default

    def test_refuses_what_is_no_image(self, name: str) -> None:
        hollow = ub.Image(np.zeros(GRID.shape, np.float32), GRID, "envelope")
        broken = ub.Image(np.full(GRID.shape, np.nan, np.float32), GRID, "envelope")
        negative = ub.Image(np.full(GRID.shape, -1, np.float32), GRID, "envelope")
        for image, what in ((hollow, "empty"), (broken, "no numbers"), (negative, "not negative")):
            with pytest.raises(MeasurementError, match=what):
                ub.enhance(image, name)

    def test_a_db_image_is_taken_or_refused(self, name: str) -> None:
        shown = speckle().db(50)
        if METHODS[name].domain == "envelope":
            with pytest.raises(ConfigError, match="linear envelope"):
                ub.enhance(shown, name)
        else:
            assert ub.enhance(shown, name, **QUICK.get(name, {})).dynamic_range_db == 50


def test_methods_stack_and_are_all_remembered() -> None:
    found = ub.enhance(ub.enhance(speckle(), "median"), "gaussian", sigma=0.2e-3)
    assert [each["method"] for each in found.settings["enhanced"]] == ["median", "gaussian"]
    assert found.settings["enhanced"][1]["parameters"] == {"sigma": 0.2e-3}


def test_what_was_converted_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "usbeam"):
        ub.enhance(speckle(), "identity")
    assert "image converted from complex to db" in caplog.text


def test_identity_changes_nothing_but_the_state() -> None:
    np.testing.assert_allclose(ub.enhance(speckle(), "identity").data, speckle().db(60).data, atol=1e-5)


def test_gaussian_is_as_wide_in_metres_both_ways() -> None:
    data = np.full(GRID.shape, -50, np.float32)
    data[50, 30] = 0
    found = ub.enhance(ub.Image(data, GRID, "db", 50.0), "gaussian", sigma=0.5e-3)
    weight = (found.data + 50).astype(np.float64)
    for axis, where in ((0, GRID.z), (1, GRID.x)):
        profile = weight.sum(axis=1 - axis) / weight.sum()
        assert np.sqrt(profile @ (where - where[[50, 30][axis]]) ** 2) == pytest.approx(0.5e-3, rel=0.01)


def test_median_takes_out_a_line_thinner_than_half_its_window() -> None:
    data = np.full(GRID.shape, -20, np.float32)
    data[50] = 0
    found = ub.enhance(ub.Image(data, GRID, "db", 50.0), "median", size=0.3e-3)
    np.testing.assert_allclose(found.data, -20, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("magic", {}, "unknown method"),
        ("gaussian", {"sigma": -1e-3}, "not a value"),
        ("gaussian", {"sigma": float("nan")}, "not a value"),
        ("gaussian", {"sigma": "wide"}, "not a value"),
        ("gaussian", {"sigma": True}, "not a value"),
        ("gaussian", {"width": 1e-3}, "no such parameter"),
        ("nlm", {"patch": 2.5}, "not a value"),
        ("nlm", {"patch": 1}, "not a value"),
        ("nlm", {"patch": float("nan")}, "not a value"),
        ("nlm", {"patch": None}, "not a value"),
        ("identity", {"sigma": 1.0}, "no such parameter"),
    ],
)
def test_requests_that_cannot_be_met(method: str, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ub.enhance(speckle(), method, **parameters)
    assert caught.value.location
    assert caught.value.expected


@pytest.mark.parametrize("method", ["nlm", "wavelet"])
def test_images_smaller_than_a_patch(method: str) -> None:
    tiny = ub.Image(np.ones((2, 2), np.float32), ub.Grid.linear(x=(0, 1e-3), z=(1e-3, 2e-3), shape=(2, 2)), "envelope")
    with pytest.raises(ConfigError, match="too small"):
        ub.enhance(tiny, method)


def test_numbers_of_numpy_are_numbers() -> None:
    found = ub.enhance(speckle(), "nlm", patch=np.int64(3), strength=np.float32(0.5), reach=5.0)
    assert found.settings["enhanced"][0]["parameters"] == {"patch": 3, "strength": 0.5, "reach": 5}


def test_functions_take_a_task_and_keywords_only() -> None:
    for method in METHODS.values():
        first, *others = inspect.signature(method.function).parameters.values()
        assert first.annotation in (Task, "Task")
        assert all(each.kind is each.KEYWORD_ONLY for each in others)


def test_a_gpu_is_refused_for_what_works_on_the_cpu_only() -> None:
    for name in (each.name for each in METHODS.values() if not each.on_gpu):
        with pytest.raises(ConfigError, match=rf"device: {name} works on the CPU only"):
            ub.enhance(speckle(), name, device="gpu")
    with pytest.raises(ConfigError, match="device: unknown device"):
        ub.enhance(speckle(), "gaussian", device="cuda")
    assert ub.enhance(speckle(), "gaussian", device="auto").data.any()
