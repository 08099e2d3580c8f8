"""Methods on small images: what is measured, what is kept, what is refused, what the tables and figures show."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from usbeam.comparison import Comparison, comparing
from usbeam.comparison.markdown import markdown
from usbeam.comparison.results import Result
from usbeam.comparison.tables import COLUMNS, as_dict, missing, write_csv
from usbeam.enhancers import METHODS
from usbeam.enhancers.registry import Task, Values, enhancer
from usbeam.errors import ConfigError, MeasurementError
from usbeam.measure import metrics, roi
from usbeam.show import comparison as show

from .phantoms import GRID, PAIRS, image

QUICK = ["gaussian:sigma=0.1mm,0.3mm", "median:size=0.3mm,0.7mm"]


@pytest.fixture(scope="module")
def images() -> dict[str, ub.Image]:
    return {"a.h5": image(0), "b.h5": image(1)}


@pytest.fixture(scope="module")
def found(images: dict[str, ub.Image]) -> Comparison:
    return ub.compare(images, PAIRS, [*QUICK, "nlm:strength=0.05,0.15", "wavelet"])


def test_figures_are_those_of_evaluate(found: Comparison, images: dict[str, ub.Image]) -> None:
    assert list(found.results) == ["a.h5", "b.h5"]
    for name, original in images.items():
        enhanced = ub.enhance(original, "nlm", strength=0.15)
        expected = metrics.evaluate(enhanced, PAIRS, original=original)
        result = found.results[name]["nlm:strength=0.15"]
        for pair, figures in expected.pairs.items():
            assert result.pairs[pair] == {key: pytest.approx(metric.value) for key, metric in figures.items()}
        assert result.notes["parameters"]["strength"] == 0.15
        assert result.seconds > 0
    assert np.array_equal(
        found.enhanced["nlm:strength=0.15"].data, ub.enhance(images["a.h5"], "nlm", strength=0.15).data
    )


def test_rows_say_what_pictures_show(found: Comparison) -> None:
    rows = {row.setting.label: row for row in found.rows}
    assert rows["identity"].figures["edge_ratio"].value == 1.0
    widths = [rows[f"gaussian:sigma={sigma}"].figures["edge_ratio"].value for sigma in ("0.1mm", "0.3mm")]
    assert 1.0 < widths[0] < widths[1]
    assert rows["gaussian:sigma=0.3mm"].figures["cnr"].value > 1.5 * rows["identity"].figures["cnr"].value
    mild = rows["nlm:strength=0.15"]
    ratios = []
    for name, results in found.results.items():  # the interpolation once more, by NumPy
        index = list(found.results).index(name)
        at, cnr = mild.points[index].edge_ratio, mild.points[index].cnr
        labels = ["identity", "gaussian:sigma=0.1mm", "gaussian:sigma=0.3mm"]
        widths = [
            np.exp(
                np.mean(
                    [
                        np.log(results[label].pairs[pair]["edge_width"] / results["identity"].pairs[pair]["edge_width"])
                        for pair in PAIRS
                    ]
                )
            )
            for label in labels
        ]
        heights = [np.mean([results[label].pairs[pair]["cnr"] for pair in PAIRS]) for label in labels]
        assert widths[0] < at < widths[-1]
        ratios.append(cnr / np.interp(at, widths, heights))
    assert cnr / mild.matched["gaussian"]["cnr"].value == pytest.approx(np.mean(ratios), rel=0.1)
    assert set(mild.matched) == {"gaussian", "median"}


def test_a_mere_remapping_is_unmasked(images: dict[str, ub.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    @enhancer(title="A curve of grey levels", domain="display", reference="none")
    def curve(task: Task) -> Values:
        return task.values**6

    monkeypatch.setitem(METHODS, "curve", curve)
    rows = {row.setting.label: row for row in ub.compare(images, PAIRS, [*QUICK, "curve"]).rows}
    figures, before = rows["curve"].figures, rows["identity"].figures
    assert abs(figures["cnr"].value - before["cnr"].value) > 0.1 * before["cnr"].value
    assert figures["control_cnr"].value == pytest.approx(figures["cnr"].value, rel=0.02)
    assert figures["gcnr"].value == pytest.approx(before["gcnr"].value, abs=0.01)
    blurred = rows["gaussian:sigma=0.3mm"].figures
    assert blurred["cnr"].value > 1.5 * blurred["control_cnr"].value


def test_a_first_run_is_repeated_unless_it_takes_too_long(
    images: dict[str, ub.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    @enhancer(title="Slow at first", domain="display", reference="none")
    def slow(task: Task) -> Values:
        calls.append("slow")
        time.sleep(0.3 if len(calls) == 1 else 0.0)
        return task.values

    monkeypatch.setitem(METHODS, "slow", slow)
    monkeypatch.setattr(comparing, "_CLOCK", comparing._Clock())
    (row,) = [row for row in ub.compare(images, PAIRS, [*QUICK, "slow"]).rows if row.setting.label == "slow"]
    assert (len(calls), row.compiled) == (3, False)
    assert row.seconds < 0.2
    calls.clear()
    monkeypatch.setattr(comparing, "_CLOCK", comparing._Clock())
    monkeypatch.setattr(comparing, "REPEAT", 0.1)
    found = ub.compare({"a": images["a.h5"]}, PAIRS, [*QUICK, "slow"])
    (row,) = [row for row in found.rows if row.setting.label == "slow"]
    assert (len(calls), row.compiled) == (1, True)
    assert "but for slow, which took over a minute" in markdown(found)


def test_grids_may_differ(images: dict[str, ub.Image]) -> None:
    finer = ub.Grid.linear(x=(-6.5e-3, 6.5e-3), z=(13e-3, 27e-3), shape=(201, 141))
    found = ub.compare({**images, "finer": image(2, finer)}, PAIRS, QUICK)
    assert set(found.results["finer"]) == set(found.results["a.h5"])
    assert all(row.figures["cnr"].n == 3 for row in found.rows)


def test_figures_against_a_reference(images: dict[str, ub.Image]) -> None:
    found = ub.compare(images, PAIRS, QUICK, reference=images["b.h5"])
    rows = {row.setting.label: row for row in found.rows}
    expected = metrics.ssim(ub.enhance(images["a.h5"], "gaussian", sigma=3e-4), images["b.h5"]).value
    assert found.results["a.h5"]["gaussian:sigma=0.3mm"].whole["ssim"] == pytest.approx(expected)
    assert rows["identity"].figures["psnr"].n == 2
    assert "| PSNR [dB] |" in markdown(found)
    json.dumps(as_dict(found), allow_nan=False)
    same = metrics.evaluate(images["b.h5"], PAIRS, reference=images["b.h5"])
    result = Result.of(same, seconds=0.1, compiled=False, notes={})
    assert (result.absent["psnr"], "psnr" in result.whole, result.whole["ssim"]) == ("infinite", False, 1.0)


def test_kept_results_are_not_computed_again(images: dict[str, ub.Image], tmp_path: Path) -> None:
    first = ub.compare(images, PAIRS, QUICK, keep=tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(path.suffix for path in written) == [".h5"] * 5 + [".json"] * 10
    again = ub.compare({"renamed": images["a.h5"], "b": images["b.h5"]}, PAIRS, QUICK, keep=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    assert list(again.results.values()) == list(first.results.values())
    for label, shown in first.enhanced.items():
        assert np.array_equal(again.enhanced[label].data, shown.data)
    # What the result hangs on is part of its name.
    ub.compare(images, PAIRS, QUICK, keep=tmp_path, dynamic_range=50)
    assert len(list(tmp_path.glob("*.json"))) == 20
    moved = {**PAIRS, "cyst": dataclasses.replace(PAIRS["cyst"], inside=roi.Circle(-2.9e-3, 20e-3, 1.5e-3))}
    ub.compare(images, moved, QUICK, keep=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 30


@pytest.mark.parametrize("damage", [b"", b"{", b'{"seconds": 1}', b"\xff\xfe"])
def test_a_damaged_result_is_made_again(images: dict[str, ub.Image], tmp_path: Path, damage: bytes) -> None:
    only = {"a": images["a.h5"]}
    before = ub.compare(only, PAIRS, QUICK, keep=tmp_path)
    victim = next(tmp_path.glob("*.json"))
    victim.write_bytes(damage)
    picture = next(path for path in tmp_path.glob("*.h5") if path.stem != victim.stem)
    picture.write_bytes(damage)
    after = ub.compare(only, PAIRS, QUICK, keep=tmp_path)
    assert json.loads(victim.read_text())["pairs"]
    assert ub.load_image(picture).state == "db"
    for label, result in before.results["a"].items():
        assert after.results["a"][label].pairs == result.pairs


def test_progress_rises_to_one(images: dict[str, ub.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    @enhancer(title="One that says how far it is", domain="display", reference="none")
    def talking(task: Task) -> Values:
        task.progress(0.5)
        return task.values

    monkeypatch.setitem(METHODS, "talking", talking)
    seen: list[float] = []
    ub.compare({"a": images["a.h5"]}, PAIRS, [*QUICK, "talking"], progress=seen.append)
    assert seen == sorted(seen)
    assert pytest.approx(5.5 / 6) in seen
    assert seen[-1] == 1.0


def test_what_cannot_be_compared_is_refused(images: dict[str, ub.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    a = images["a.h5"]
    with pytest.raises(ConfigError, match=r"^copy: the same image twice .*found the image of a"):
        ub.compare({"a": a, "copy": dataclasses.replace(a, data=a.data.copy(), settings={"other": 1})}, PAIRS)
    with pytest.raises(ConfigError, match="no image"):
        ub.compare({}, PAIRS)
    with pytest.raises(ConfigError, match="no regions"):
        ub.compare({"a": a}, {})
    with pytest.raises(ConfigError, match="unknown method"):
        ub.compare({"a": a}, PAIRS, ["srud"])
    small = ub.Image(a.data[:60], ub.Grid(GRID.x, GRID.z[:60]))
    with pytest.raises(MeasurementError, match=r"^small: cyst\.inside: the region reaches .* outside the image"):
        ub.compare({"a": a, "small": small}, PAIRS)
    broken = dataclasses.replace(a, data=np.where(np.arange(GRID.x.size) == 0, np.nan, a.data).astype(np.complex64))
    with pytest.raises(MeasurementError, match=r"^broken: image.data: .* no numbers"):
        ub.compare({"broken": broken}, PAIRS)

    @enhancer(title="Linear", domain="envelope", reference="none")
    def linear(task: Task) -> Values:
        return task.values

    monkeypatch.setitem(METHODS, "linear", linear)
    with pytest.raises(ConfigError, match=r"^shown: linear: works on the linear envelope"):
        ub.compare({"a": a, "shown": image(3).db(60)}, PAIRS, ["linear"])
    (row,) = [row for row in ub.compare({"a": a}, PAIRS, [*QUICK, "linear"]).rows if row.setting.label == "linear"]
    assert 1.5 < row.figures["speckle_snr"].value < 2.3


def test_csv_has_a_row_for_each_image_setting_and_pair(found: Comparison) -> None:
    stream = io.StringIO()
    write_csv(found, stream)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 2 * (1 + 2 + 2 + 2 + 1) * 2
    row = next(
        row for row in rows if (row["image"], row["setting"], row["pair"]) == ("b.h5", "nlm:strength=0.15", "lesion")
    )
    result = found.results["b.h5"]
    assert float(row["cnr"]) == result["nlm:strength=0.15"].pairs["lesion"]["cnr"]
    widths = [result[label].pairs["lesion"]["edge_width"] for label in ("nlm:strength=0.15", "identity")]
    assert float(row["edge_ratio"]) == widths[0] / widths[1]
    assert row["speckle_snr"] == ""
    assert json.loads(row["parameters"])["strength"] == 0.15


def test_markdown_has_tables_of_equal_width_and_all_reasons(found: Comparison) -> None:
    lines = markdown(found).splitlines()
    sections = [line for line in lines if line.startswith("#")]
    assert sections == [
        "# Comparison",
        *(f"## {name}" for name in ("Means", "At the same edge width", "Tests", "Times", "Definitions", "Missing")),
    ]
    for section in sections[1:5]:
        start = lines.index(section) + 2
        table = lines[start : lines.index("", start)]
        assert len({line.count("|") for line in table}) == 1
        assert len(table) == 2 + (3 if section in sections[2:4] else 8)
    assert "- speckle\\_snr: image.state: a dB image has no linear envelope any more: all methods" in lines
    assert any("Fewer than 6 images are not tested" in line for line in lines)


def test_what_is_missing_is_said_once_for_a_method(
    images: dict[str, ub.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    @enhancer(title="Linear", domain="envelope", reference="none")
    def linear(task: Task) -> Values:
        return task.values

    monkeypatch.setitem(METHODS, "linear", linear)
    lines = missing(ub.compare(images, PAIRS, [*QUICK, "nlm:strength=0.05,1", "linear"]))
    assert "enl: image.state: a dB image has no linear envelope any more: identity, gaussian, median, nlm" in lines
    assert "no control at the same edge width: its edges are wider: nlm:strength=1 (2 of 2 images)" in lines


def test_names_are_no_markdown(images: dict[str, ub.Image]) -> None:
    odd = {"a | b *c*": dataclasses.replace(PAIRS["cyst"], name="a | b *c*")}
    text = markdown(ub.compare({"a": images["a.h5"]}, odd, QUICK))
    assert "regions a \\| b \\*c\\*;" in text


def test_controls_alone_are_a_comparison_too(images: dict[str, ub.Image]) -> None:
    found = ub.compare({"a": images["a.h5"]}, PAIRS, QUICK)
    assert "## Tests" not in markdown(found)
    assert show.curves(found)[0].lines


def test_curves_go_from_setting_to_setting(found: Comparison) -> None:
    left, right = show.curves(found)
    rows = {row.setting.label: row for row in found.rows}
    for ax, name in ((left, "cnr"), (right, "gcnr")):
        lines = {line.get_label(): line for line in ax.lines}
        assert list(lines) == ["identity", "gaussian", "median", "nlm", "wavelet"]
        drawn = lines["nlm"].get_xydata()
        expected = [rows[f"nlm:strength={strength}"].figures for strength in ("0.05", "0.15")]
        assert drawn[:, 0] == pytest.approx([each["edge_ratio"].value for each in expected])
        assert drawn[:, 1] == pytest.approx([each[name].value for each in expected])
        assert len(lines["gaussian"].get_xydata()) == 3  # from the original on
        assert {lines[label].get_color() for label in ("gaussian", "median")} == {"0.55"}
    assert left.get_xlim()[1] > max(rows["nlm:strength=0.15"].figures["edge_ratio"].value, 1.2)


def test_pictures_are_of_settings_of_like_sharpness(found: Comparison) -> None:
    places = show.pictures(found)
    titles = [ax.get_title() for ax in places]
    assert [title.partition("\n")[0] for title in titles] == ["identity", "gaussian", "median", "nlm", "wavelet"]
    rows = {row.setting.label: row for row in found.rows}
    near = min(
        (f"nlm:strength={each}" for each in ("0.05", "0.15")),
        key=lambda name: abs(rows[name].points[0].edge_ratio - 1.2),
    )
    assert titles[3].splitlines()[1] == near.partition(":")[2]
    assert np.array_equal(places[3].images[0].get_array(), found.enhanced[near].data)
    assert places[0].get_figure() is places[-1].get_figure()


def test_without_any_edge_there_are_no_curves_but_tables() -> None:
    flat = ub.Image(np.random.default_rng(0).rayleigh(size=GRID.shape).astype(np.float32), GRID, "envelope")
    found = ub.compare({"flat": flat}, PAIRS, [*QUICK, "wavelet"])
    with pytest.raises(MeasurementError, match="no edge could be measured"):
        show.curves(found)
    assert show.pictures(found)
    assert "no control at the same edge width: an edge or its CNR could not be measured: wavelet" in missing(found)
