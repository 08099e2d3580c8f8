"""The zero-shot experiment: sets that share no seed, a wrong sound speed that moves no circle, figures as stated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from benchmarks.comparison import images
from benchmarks.comparison import scenes as comparison_scenes
from benchmarks.comparison.scenes import MM, Scene
from benchmarks.zero_shot import __main__ as command
from benchmarks.zero_shot import judging, machines, scenes, training
from benchmarks.zero_shot.figures import Figures
from usbeam.comparison.curves import Point
from usbeam.comparison.methods import IDENTITY, Setting, Sweep

PSF = 0.3e-3
COUNTS = dict.fromkeys(machines.EVERYWHERE, 1)
TINY = machines.Geometry(24, 3.5 * MM, (10 * MM, 22 * MM), 2.5 * MM, 2.0, COUNTS, circles=1)


def test_the_two_probes_are_as_long_as_they_are_called() -> None:
    for name in ("20 mm", "40 mm"):
        size = machines.FULL[name]
        assert size.n_elements * size.pitch == pytest.approx(float(name.removesuffix(" mm")) * MM)
        assert size.probe.center_frequency == 7.5e6
    assert all(size.grid == machines.BASE.grid for size in machines.FULL.values())


def test_machines_differ_and_none_is_one_that_is_left_out() -> None:
    base = machines.FULL["20 mm"]
    drawn = [machines.machine(number, base) for number in range(60)]
    assert drawn == [machines.machine(number, base) for number in range(60)]
    assert {size.kind for size in drawn} == {"element", "plane", "diverging"}
    assert len({size.pitch for size in drawn}) == 60
    left_out = [size for name, size in machines.FULL.items() if name.startswith("left out")]
    assert {size.kind for size in left_out} == {"element", "plane"}
    for size in left_out:
        assert not any(abs(size.center_frequency - other.center_frequency) < 0.4e6 for other in drawn)
        assert size.adapted


@pytest.mark.parametrize("kind", ["element", "plane", "diverging"])
def test_points_lie_where_the_phantom_says_whatever_is_sent(kind: str) -> None:
    size = dataclasses.replace(TINY, n_elements=48, density=0.05, kind=kind, n_waves=5, spread=np.radians(8))
    place = (1e-3, 16e-3)
    recording = images.record(Scene("point", "points", 1, points=(place,)), size)
    assert set(recording.transmits.kind) == {kind}
    spot = ub.psf.measure(ub.beamform(recording, size.grid), near=place)
    assert np.hypot(spot.x - place[0], spot.z - place[1]) < 0.1e-3


def test_no_seed_is_in_two_sets() -> None:
    size = machines.FULL["20 mm"]
    seeds = [{scene.seed for scene in comparison_scenes.scenes(which, size, PSF)} for which in size.per_family]
    seeds.append({scenes.training(number, size).seed for number in range(training.FULL.machines)})
    assert sum(map(len, seeds)) == len(set().union(*seeds)) == 6 + 12 + 3 + 3 + 3 + training.FULL.machines


def test_phantoms_to_train_on_have_everything_and_are_drawn_alike_again() -> None:
    size = machines.FULL["20 mm"]
    drawn = [scenes.training(number, size) for number in range(40)]
    assert drawn == [scenes.training(number, size) for number in range(40)]
    assert {scene.layer is None for scene in drawn} == {True, False}
    levels = [ellipse.level_db for scene in drawn for ellipse in scene.ellipses]
    assert any(level == scenes.ANECHOIC_DB for level in levels)
    assert all(scene.points and scene.gradient_db != (0.0, 0.0) for scene in drawn)


def test_an_ellipse_holds_what_lies_in_it() -> None:
    ellipse = scenes.Ellipse(1e-3, 20e-3, (3e-3, 1e-3), np.pi / 2, -6.0)  # the long axis stands upright
    assert ellipse.holds(np.array([1e-3, 1.9e-3, 3e-3]), np.array([22.9e-3, 20e-3, 20e-3])).tolist() == [
        True,
        True,
        False,
    ]
    scene = scenes.TrainingScene("a", "training", 0, gradient_db=(10.0, 0.0), ellipses=(ellipse,))
    level = scene.level_db(np.array([1e-3, 4e-3]), np.array([20e-3, 20e-3]), 20e-3)
    np.testing.assert_allclose(level, [1 - 6, 4])


def test_a_wrong_sound_speed_blurs_points_but_does_not_move_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SNR_DB", 60.0)
    place = (1e-3, 14e-3)
    size = dataclasses.replace(TINY, n_elements=32, density=0.05)
    right = Scene("right", "points", 1, points=(place,))
    widths: list[float] = []
    for scene in (right, scenes.misjudged(dataclasses.replace(right, name="wrong"))):
        recording = scenes.recorded(scene, size, tmp_path)
        spot = ub.psf.measure(ub.beamform(recording, size.grid), near=place)
        assert np.hypot(spot.x - place[0], spot.z - place[1]) < 0.1e-3
        widths.append(spot.lateral_fwhm)
    assert widths[1] > 1.02 * widths[0]


def test_a_recording_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scenes.training(0, TINY)
    first = scenes.recorded(scene, TINY, tmp_path)
    monkeypatch.setattr(images, "record", None)
    np.testing.assert_array_equal(scenes.recorded(scene, TINY, tmp_path).frame(0), first.frame(0))


@dataclasses.dataclass
class Value:
    value: float


def test_a_network_is_compared_with_the_best_filter_at_its_own_edge_width() -> None:
    names = ["net, fast, seed 0", "net, fast, seed 1"]
    net = Sweep("net, fast", "net, fast", tuple(Setting(name, "net, fast", {}) for name in names))
    weak, strong = (Sweep(name, name, (Setting(f"{name} 1", name, {}),)) for name in ("weak", "strong"))
    start, nothing = Point(1.0, 1.0, 0.5), Sweep(IDENTITY, IDENTITY, (Setting(IDENTITY, IDENTITY, {}),))
    points: dict[str, list[Point | None]] = {
        IDENTITY: [start, start],
        "weak 1": [Point(2.0, 2.0, 0.6)] * 2,
        "strong 1": [Point(2.0, 3.0, 0.9)] * 2,
        names[0]: [Point(1.5, 4.0, 0.8), Point(2.5, 9.0, 0.9)],  # the second is beyond all filters
        names[1]: [Point(1.5, 1.0, 0.8), None],
    }
    means = {
        IDENTITY: (1.0, 5.0),
        "weak 1": (2.0, 4.0),
        "strong 1": (2.0, 3.0),
        names[0]: (1.5, 2.0),
        names[1]: (1.5, 6.0),
    }
    rows = [
        SimpleNamespace(points=each, setting=Setting(label, "", {}), figures={"edge_ratio": Value(means[label][0])})
        for label, each in points.items()
    ]
    others = {label: {"level_error_db": error} for label, (_, error) in means.items()}
    comparison = SimpleNamespace(rows=rows, sweeps=[nothing, weak, strong, net])
    found: Any = SimpleNamespace(comparison=comparison, others=others, scenes=[0, 1])
    networks: Any = [SimpleNamespace(name="net, fast")]
    against = Figures(found, networks).against(names)
    assert against.n_images == 1
    assert against.cnr_ratio is not None
    assert against.cnr_ratio.value == pytest.approx(1.0)  # of 4/2 and 1/2, the geometric mean
    assert against.gcnr_gain is not None
    assert against.gcnr_gain.value == pytest.approx(0.1)
    assert against.level_error_ratio == pytest.approx(1.0)  # of 2/4 and 6/4, the median


def test_another_experiment_is_refused(tmp_path: Path) -> None:
    command.check_settings({"size": 1}, tmp_path)
    command.check_settings({"size": 1}, tmp_path)
    with pytest.raises(SystemExit, match="other settings"):
        command.check_settings({"size": 2}, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the speckle of lq and hq")
@pytest.mark.parametrize("strategy", ["looks", "paper"])
def test_the_whole_experiment_runs_and_goes_on(strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    effort = training.Effort(1, dict.fromkeys(training.STRATEGIES, 2), 2, 2, 1)
    monkeypatch.setattr(judging, "COMPOUNDS", ("8 soft oblique looks",))
    monkeypatch.setattr(comparison_scenes, "FAMILIES", ("inclusions",))
    texts = ["gaussian:sigma=0.05mm,0.1mm,0.2mm", "median:size=0.3mm,0.5mm"]
    said: list[str] = []
    monkeypatch.setattr(training, "machine", lambda number, size: size)
    workshop = training.Workshop(effort, tmp_path / "machines", said.append)
    size, ways = TINY, {"fast", "fast, gate", "quality", "quality, gate"}
    if strategy == "paper":
        few = {"selection": 1, "test": 1, "lines": 1}
        size, ways = dataclasses.replace(TINY, training=2, max_sine=None, per_family=few), {"fast", "fast, gate"}

    def everything() -> str:
        return command.experiment(size, texts, workshop, [0], tmp_path)

    text = everything()
    models = {model for model, theirs in training.STRATEGIES.items() if theirs == strategy}
    found = json.loads((tmp_path / "zero_shot.json").read_text())
    learnt = {label for label in found["sets"]["test"] if label.endswith(", seed 0")}
    assert learnt == {f"{model}, {way}, seed 0" for model in models for way in ways}
    assert all(f"| {model}, fast |" in text for model in models)
    assert ("## The paper's networks" in text) == ("2 transmitters" in found["sets"]["test"]) == (strategy == "paper")
    assert found["speckle_correlation"].keys() == {strategy}
    assert found["points"][min(learnt)]["of"] == 6
    pictures = {f"pictures_{which.replace(' ', '_')}.png" for which in size.per_family if which != "selection"}
    assert {path.name for path in tmp_path.glob("*.png")} == {"curves_test.png", *pictures}
    for place, name in ((images, "record"), (training, "fit"), (ub, "Angular")):
        monkeypatch.setattr(place, name, None)  # nothing is made again
    assert everything() == text


def test_images_have_the_angles_of_their_geometry(tmp_path: Path) -> None:
    wide = dataclasses.replace(TINY, max_sine=None)
    scene = comparison_scenes.scenes("test", TINY, PSF)[0]
    plain = {
        size.max_sine: judging.Judging(size, judging.curves(True), tmp_path / str(size.max_sine), str).made(scene)
        for size in (TINY, wide)
    }
    recording = scenes.recorded(scene, TINY, tmp_path / "None" / "recordings")
    angular = ub.Angular(recording, TINY.grid)(recording.frame(0)).image().envelope()
    np.testing.assert_allclose(plain[TINY.max_sine]["original"].data, angular.data, rtol=1e-5)
    whole = ub.beamform(recording, TINY.grid).envelope()
    np.testing.assert_allclose(plain[None]["original"].data, whole.data, rtol=1e-4, atol=1e-4 * whole.data.max())
