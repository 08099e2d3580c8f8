"""The comparison's protocol: sets that share nothing, regions that hold one tissue each, choices as they are stated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from benchmarks.comparison import images, protocol, real, scenes
from benchmarks.comparison.regions import apart, pair
from usbeam.comparison.methods import IDENTITY, sweeps
from usbeam.measure import roi

PSF = 0.3e-3
SIZES = {"full": scenes.FULL, "quick": scenes.QUICK}


def test_selection_and_test_share_no_value() -> None:
    for name in ("diameters", "contrasts_db", "gradient_db", "step_db"):
        for one, other in itertools.product(getattr(scenes.SELECTION, name), getattr(scenes.TEST, name)):
            assert min(one[1], other[1]) <= max(one[0], other[0]), name
    seeds = [{scene.seed for scene in scenes.scenes(which, scenes.FULL, PSF)} for which in ("selection", "test")]
    assert len(seeds[0]) == 9
    assert len(seeds[1]) == 18
    assert not seeds[0] & seeds[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["selection", "test"])
def test_circles_are_those_of_their_set_and_their_regions_hold_one_tissue(size: str, which: str) -> None:
    large, ranges = SIZES[size], scenes.SETS[which]
    drawn = scenes.scenes(which, large, PSF)
    image = ub.Image(np.ones(large.grid.shape, np.float32), large.grid, "envelope")
    z, x = np.meshgrid(large.grid.z, large.grid.x, indexing="ij")
    for scene in drawn:
        assert scene.circles, scene.name
        regions = scene.regions(PSF)
        roi.check(image, regions)  # inside the image
        for circle, region in zip(scene.circles, regions.values(), strict=True):
            assert any(low <= 2 * circle.radius <= high for low, high in ranges.diameters)
            if scene.family == "cysts":
                assert circle.level_db == scenes.ANECHOIC_DB
            else:
                assert any(low <= circle.level_db <= high for low, high in ranges.contrasts_db)
            level = replace(scene, gradient_db=(0.0, 0.0)).level_db(x, z, large.middle)
            assert np.ptp(level[region.inside.inside(large.grid)]) == 0
            assert np.ptp(level[region.outside.inside(large.grid)]) == 0
    assert scenes.scenes(which, large, PSF) == drawn


def test_the_rule_of_the_regions() -> None:
    made = pair("a", (1e-3, 20e-3, 2e-3), PSF)
    assert made.inside == roi.Circle(1e-3, 20e-3, 2e-3 - PSF)
    assert made.outside == roi.Annulus(1e-3, 20e-3, 2.4e-3, 3.2e-3)
    assert apart((0, 20e-3, 2e-3), (5.6e-3, 20e-3, 2e-3), PSF)
    assert not apart((0, 20e-3, 2e-3), (5.4e-3, 20e-3, 2e-3), PSF)
    assert not apart((0, 20e-3, 1e-3), (4.4e-3, 20e-3, 2e-3), PSF)  # the large one's ring


def test_a_set_without_room_is_noticed() -> None:
    with pytest.raises(ValueError, match="selection cysts 1: no circle fits"):
        scenes.scenes("selection", replace(scenes.QUICK, half_width=1e-3), PSF)


@dataclass
class Value:
    value: float


@dataclass
class Row:
    """As much of a row as the choice looks at."""

    sweep: Any
    setting: Any
    figures: dict[str, Value]


def test_the_choice_is_the_highest_cnr_no_wider_than_allowed() -> None:
    plain = sweeps(["gaussian:sigma=0.1mm,0.2mm,0.3mm"])
    figures = {
        "gaussian:sigma=0.1mm": (1.1, 2.0),
        "gaussian:sigma=0.2mm": (1.39, 3.0),
        "gaussian:sigma=0.3mm": (1.6, 9),
    }
    figures |= {IDENTITY: (1.0, 1.0), "median:size=0.15mm": (1.39, 4), "3 looks of 1/2": (1.5, 5), "apodised": (1.1, 9)}
    rows = [
        Row(sweep, setting, {"edge_ratio": Value(found[0]), "cnr": Value(found[1])})
        for sweep in [*plain, *protocol.compounded(plain)]
        for setting in sweep.settings
        if (found := figures.get(setting.label))
    ]
    chosen = [protocol._best(rows, target) for target in (1.05, 1.2, 1.4, 1.7)]
    assert chosen == [
        {},
        {"gaussian": "gaussian:sigma=0.1mm"},
        {"gaussian": "gaussian:sigma=0.2mm", "median": "median:size=0.15mm"},
        {"gaussian": "gaussian:sigma=0.3mm", "median": "median:size=0.15mm", "looks": "3 looks of 1/2"},
    ]


def test_every_curve_is_one_that_can_be_run() -> None:
    for quick in (False, True):
        texts = protocol.curves(quick)
        assert all(len(sweep.settings) > 1 for sweep in sweeps(texts) if sweep.method != IDENTITY)
    sweeps(real.SETTINGS)
    assert {"original", *images.LOOKS}.isdisjoint(real.SHOWN)
    assert protocol.curves(True, ["wavelet", "srad"]) == ["wavelet", f"srad:{protocol.QUICK_CURVES['srad']}"]
    slow = sweeps(["self2self:n_steps=1;block=0mm,0.2mm"])
    after = protocol._wanted(slow, "3 looks of 1/2", lambda label: True)
    assert [text.partition(":")[0] for text in after] == ["gaussian", "median"]


def test_settings_are_written_as_they_are_read() -> None:
    texts = ["gaussian:sigma=0.1mm,0.2mm", "nlm:strength=0.05,0.1;patch=7", "wavelet"]
    settings = [setting for sweep in sweeps(texts) for setting in sweep.settings if setting.method != "median"]
    again = [setting for sweep in sweeps(protocol._grouped(settings)) for setting in sweep.settings]
    assert {each.label for each in settings} <= {each.label for each in again}


TINY = scenes.Size(
    24, 3.5e-3, (10e-3, 22e-3), 2.5e-3, 3.0, {"selection": 1, "test": 1, "lines": 1, "aberrated": 1}, circles=1
)


def test_the_truth_is_no_level_error_and_speckle_is() -> None:
    scene = scenes.scenes("test", scenes.QUICK, PSF)[-1]
    wanted = images.truth(scene, scenes.QUICK)
    grid = scenes.QUICK.grid
    shaded = wanted.data * np.linspace(1, 2, grid.shape[0], dtype=np.float32)[:, None]
    assert images.level_error_db(replace(wanted, data=shaded), scene, scenes.QUICK) < 0.2
    speckle = np.random.default_rng(0).rayleigh(size=grid.shape).astype(np.float32)
    # The standard deviation of Rayleigh speckle in dB is 5.57.
    error = images.level_error_db(replace(wanted, data=wanted.data * speckle), scene, scenes.QUICK)
    assert error == pytest.approx(5.57, abs=0.4)


@pytest.mark.slow
def test_the_whole_protocol_runs_and_goes_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.comparison import report

    said: list[str] = []
    texts = ["gaussian:sigma=0.05mm,0.1mm,0.2mm", "median:size=0.3mm,0.5mm", "wavelet:sigma=0.1"]
    for name in set(images.LOOKS) - {"3 looks of 1/2"}:
        monkeypatch.delitem(images.LOOKS, name)
        monkeypatch.delitem(images.MADE, name)

    def everything() -> str:
        made = protocol.Protocol(TINY, texts, tmp_path / "kept", said.append)
        selection = made.measured("selection", texts)
        frozen = made.select(selection)
        applied = {which: made.applied(which, frozen) for which in ("test", *scenes.APART)}
        return report.write(made, selection, applied, frozen, tmp_path / "out")

    def untimed(text: str) -> list[str]:
        return [line.rpartition("|")[0].rpartition("|")[0] for line in text.splitlines()]

    text = everything()
    assert "## Edges at most 1.2 times as wide" in text
    assert "| 3 looks of 1/2 |" in text
    assert len(said) == 3 + 3 + 2 + 1
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [
        "comparison.md",
        *(f"curves_{which}_{name}.png" for which in ("selection", "test") for name in ("after_looks", "alone")),
        "frozen.json",
        *(f"pictures_{which}.png" for which in ("aberrated", "lines", "test")),
        "test_set.md",
    ]

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("recorded again")

    monkeypatch.setattr(images, "record", refused)
    assert untimed(everything()) == untimed(text)


def test_real_recordings_that_are_not_there_are_said(tmp_path) -> None:
    text = real.report(tmp_path / "none", [], tmp_path / "out", print)
    assert [line for line in text.splitlines() if line] == [
        "# Comparison on real recordings",
        *(f"{name}: not in none" for name in ("disk", "fibres", "water pins", "notch")),
    ]
    assert (tmp_path / "out" / "real.md").read_text() == text


@pytest.mark.real_data
def test_looks_widen_real_pins(real_data) -> None:
    made = real.enhanced("water pins", real_data, ["gaussian:sigma=0.1mm", "median:size=0.3mm"])
    found = real.widths("water pins", made)
    assert set(found) == {"original", *images.LOOKS, "gaussian:sigma=0.1mm", "median:size=0.3mm"}
    for pin, width in enumerate(found["original"]):
        assert found["3 looks of 2/3"][pin] > 1.1 * width
        assert found["3 looks of 1/2"][pin] > found["3 looks of 2/3"][pin]
