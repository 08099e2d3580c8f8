"""``usbeam evaluate``: the figures of Python as a table, JSON and CSV; what is absent; requests that cannot be met."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam import metrics, roi

from .conftest import Run, installed

GRID = ub.Grid.linear(x=(-8e-3, 8e-3), z=(12e-3, 28e-3), shape=(161, 161))
PAIRS = {
    "cyst": roi.RegionPair("cyst", roi.Circle(-3e-3, 20e-3, 2e-3), roi.Annulus(-3e-3, 20e-3, 3e-3, 4e-3)),
    "lesion": roi.RegionPair(
        "lesion", roi.Circle(4e-3, 20e-3, 2e-3), roi.Polygon(((1e-3, 24e-3), (7e-3, 24e-3), (4e-3, 27e-3)))
    ),
}
COLUMNS = [
    "cnr",
    "control_cnr",
    "gcnr",
    "cnr_eq2",
    "contrast_db",
    "mean_difference_db",
    "speckle_snr",
    "enl",
    "edge_width",
]
WHOLE = ["psnr", "ssim", "lncc"]


def speckle(seed: int) -> ub.Image:
    data = np.random.default_rng(seed).rayleigh(size=GRID.shape)
    for pair, contrast in zip(PAIRS.values(), (-18.0, -8.0), strict=True):
        distance = pair.inside.signed_distance(GRID)
        data *= 10 ** (contrast / 20 / (1 + np.exp(distance / 0.1e-3)))
    return ub.Image((1000 * data).astype(np.float32), GRID, "envelope")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image; the same with its values squared, and in dB; another look at the same; their regions."""
    folder = tmp_path_factory.mktemp("images")
    image = speckle(0)
    image.save(folder / "image.h5")
    dataclasses.replace(image, data=(image.data / 1000) ** 2).save(folder / "squared.h5")
    image.db(60).save(folder / "shown.h5")
    speckle(1).save(folder / "other.h5")
    roi.save(PAIRS, folder / "rois.toml")
    return folder


def evaluated(run: Run, folder: Path, *arguments: str | Path) -> dict[str, Any]:
    ended = run("evaluate", *arguments, "--rois", folder / "rois.toml", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 1
    return json.loads(ended.out)


def test_json_has_the_figures_of_python(run: Run, folder: Path) -> None:
    options = ["--gray-range", "255", "--dynamic-range", "50", "--reference", folder / "other.h5"]
    report = evaluated(run, folder, folder / "image.h5", folder / "squared.h5", *options)
    assert [each["file"] for each in report["images"]] == [str(folder / "image.h5"), str(folder / "squared.h5")]
    original, other = ub.load_image(folder / "image.h5"), ub.load_image(folder / "other.h5")
    assert (report["original"], report["reference"]) == (str(folder / "image.h5"), str(folder / "other.h5"))
    for each in report["images"]:
        image = ub.load_image(each["file"])
        found = metrics.evaluate(image, PAIRS, original=original, reference=other, dynamic_range=50, gray_range=255)
        assert [pair["name"] for pair in each["pairs"]] == ["cyst", "lesion"]
        for pair in each["pairs"]:
            assert {key: pair[key] for key in COLUMNS} == {key: found.pairs[pair["name"]][key].value for key in COLUMNS}
            assert pair["n_pixels"]["inside"] == np.count_nonzero(PAIRS[pair["name"]].inside.inside(GRID))
        assert each["mean"] == {key: pytest.approx(np.mean([pair[key] for pair in each["pairs"]])) for key in COLUMNS}
        assert {key: each[key] for key in WHOLE} == {key: found.whole[key].value for key in WHOLE}
        assert each["absent"] == {}
        assert set(each["definitions"]) == {*COLUMNS, *WHOLE}
        assert each["definitions"]["cnr"]["domain"] == "dB below the image's maximum, clipped at -50"
        assert each["definitions"]["edge_width"]["unit"] == "m"


def test_the_control_unmasks_a_mere_remapping(run: Run, folder: Path) -> None:
    first, second = evaluated(run, folder, folder / "image.h5", folder / "squared.h5")["images"]
    for before, after in zip(first["pairs"], second["pairs"], strict=True):
        assert before["control_cnr"] == pytest.approx(before["cnr"], rel=1e-6)
        assert after["gcnr"] == pytest.approx(before["gcnr"], abs=1e-9)
        assert abs(after["cnr"] - before["cnr"]) > 0.02 * before["cnr"]
        assert after["control_cnr"] == pytest.approx(after["cnr"], rel=1e-6)


def test_the_original_may_be_another_image(run: Run, folder: Path) -> None:
    report = evaluated(run, folder, folder / "squared.h5", "--original", folder / "other.h5")
    remapped = metrics.remapped(ub.load_image(folder / "other.h5"), ub.load_image(folder / "squared.h5"))
    for pair in report["images"][0]["pairs"]:
        assert pair["control_cnr"] == metrics.cnr(remapped, PAIRS[pair["name"]]).value
        assert pair["control_cnr"] != pair["cnr"]
    assert report["original"] == str(folder / "other.h5")


def test_the_table_is_aligned_and_says_what_it_shows(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ended = run("evaluate", "image.h5", "squared.h5", "--rois", "rois.toml")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    heading, *rows = lines[: lines.index("")]
    names = ["CNR", "control", "gCNR", "contrast [dB]", "difference [dB]", "speckle SNR", "ENL", "edge [mm]"]
    places = [heading.index(name) + len(name) for name in names]
    assert [row.split()[:2] for row in rows] == [
        ["image.h5", "cyst"],
        ["lesion", rows[1].split()[1]],
        ["mean", rows[2].split()[1]],
        ["squared.h5", "cyst"],
        ["lesion", rows[4].split()[1]],
        ["mean", rows[5].split()[1]],
    ]
    image = ub.load_image("image.h5")
    found = metrics.evaluate(image, PAIRS)
    keys = [key for key in COLUMNS if key != "cnr_eq2"]
    for key, end in zip(keys, places, strict=True):
        for row, pair in zip(rows, PAIRS, strict=False):
            cell = row[:end].split()[-1]
            scale = 1e3 if key == "edge_width" else 1
            assert float(cell) == pytest.approx(found.pairs[pair][key].value * scale, abs=6e-3)
            assert len(row) == end or row[end] == " "  # flush right
        mean = found.mean(key)
        assert mean is not None
        assert float(rows[2][:end].split()[-1]) == pytest.approx(mean * scale, abs=6e-3)
    below = lines[lines.index("") + 1 :]
    assert below[0].startswith("control: the CNR of image.h5 with its grey levels mapped")
    assert "nothing is separated better" in below[1]
    assert [line.partition(":")[0] for line in below[2:]] == [
        name.partition(" [")[0] for name in names if name != "control"
    ]
    assert "CNR eq2" not in ended.out


def test_one_region_has_no_mean_and_a_reference_its_own_table(run: Run, folder: Path, tmp_path: Path) -> None:
    roi.save({"cyst": PAIRS["cyst"]}, tmp_path / "one.toml")
    arguments = [folder / "image.h5", folder / "other.h5", "--reference", folder / "other.h5", "--gray-range", "1"]
    ended = run("evaluate", *arguments, "--rois", tmp_path / "one.toml")
    assert "mean" not in ended.out.split("\n\n")[0]
    assert "CNR eq2" in ended.out.splitlines()[0]
    heading, first, second = ended.out.split("\n\n")[1].splitlines()
    assert heading.split()[-4:] == ["PSNR", "[dB]", "SSIM", "LNCC"]
    wanted = metrics.psnr(ub.load_image(folder / "image.h5"), ub.load_image(folder / "other.h5")).value
    assert float(first.split()[1]) == pytest.approx(wanted, abs=1e-3)
    assert second.split()[1:] == ["-", "1.000", "1.000"]
    assert f"-: {folder / 'other.h5'}: psnr: infinite: the image equals the reference" in ended.out


def test_what_a_db_image_lacks_is_absent_with_the_reason_once(run: Run, folder: Path) -> None:
    report = evaluated(run, folder, folder / "shown.h5", folder / "image.h5", "--reference", folder / "shown.h5")
    shown, image = report["images"]
    for pair, other in zip(shown["pairs"], image["pairs"], strict=True):
        for key in ("contrast_db", "speckle_snr", "enl"):
            assert pair[key] is None
            assert other[key] is not None
            assert "no linear envelope" in shown["absent"][f"{pair['name']}.{key}"]
        assert pair["cnr"] == pytest.approx(other["cnr"], rel=1e-6)
        assert pair["gcnr"] == pytest.approx(other["gcnr"], abs=2e-3)
    assert shown["mean"]["enl"] is None
    assert shown["mean"]["cnr"] is not None
    assert (shown["psnr"], shown["ssim"]) == (None, pytest.approx(1))
    ended = run("evaluate", folder / "shown.h5", "--rois", folder / "rois.toml")
    assert ended.code == 0
    assert ended.out.count("no linear envelope") == 1
    assert ended.out.splitlines()[1].split().count("-") == 3


def test_a_figure_that_one_pair_lacks_has_no_mean(run: Run, folder: Path, tmp_path: Path) -> None:
    plain = roi.RegionPair("plain", roi.Circle(0.0, 26e-3, 1e-3), roi.Annulus(0.0, 26e-3, 1.2e-3, 1.6e-3))
    roi.save({"cyst": PAIRS["cyst"], "plain": plain}, tmp_path / "rois.toml")
    (report,) = evaluated(run, tmp_path, folder / "image.h5")["images"]
    assert "no step stands out of the noise" in report["absent"]["plain.edge_width"]
    assert report["pairs"][0]["edge_width"] > 0
    assert report["pairs"][1]["edge_width"] is None
    assert report["mean"]["edge_width"] is None
    assert report["mean"]["cnr"] is not None


def test_csv_has_a_row_for_each_image_and_pair(run: Run, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    arguments = [folder / "image.h5", folder / "shown.h5", "--reference", folder / "other.h5", "--csv", path]
    report = evaluated(run, folder, *arguments)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["file", "name", *COLUMNS, *WHOLE]
    wanted = [{**image, **pair} for image in report["images"] for pair in image["pairs"]]
    assert len(rows) == 4
    for row, each in zip(rows, wanted, strict=True):
        assert (row["file"], row["name"]) == (each["file"], each["name"])
        for key in (*COLUMNS, *WHOLE):
            assert (float(row[key]) if row[key] else None) == each[key]


def test_csv_is_not_replaced_without_being_asked(run: Run, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("precious")
    arguments = ["evaluate", folder / "image.h5", "--rois", folder / "rois.toml", "--csv", path]
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "table.csv: the file exists" in ended.err
    assert path.read_text() == "precious"
    assert run(*arguments, "--overwrite").code == 0
    assert path.read_text(encoding="utf-8").startswith("file,name,cnr,")


def test_names_cannot_steer_the_terminal(run: Run, folder: Path, tmp_path: Path) -> None:
    pairs = {"a\x1b[2J": dataclasses.replace(PAIRS["cyst"], name="a\x1b[2J")}
    roi.save(pairs, tmp_path / "rois.toml")
    image = tmp_path / "b\x1b[2J.h5"
    speckle(0).db(60).save(image)
    ended = run("evaluate", image, "--rois", tmp_path / "rois.toml", "--reference", image)
    assert ended.code == 0
    assert all(line.isprintable() for line in ended.out.splitlines())


def test_from_a_phantom_to_its_figures(run: Run, tmp_path: Path) -> None:
    """Simulate with regions, beamform with few and all transmitters; the installed program evaluates."""
    recording, rois = tmp_path / "c.h5", tmp_path / "rois.toml"
    array = ["--elements", "32", "--width", "10mm", "--density", "2", "--depth", "12mm:28mm"]
    ended = run("simulate", recording, "--phantom", "cysts", "--rois", rois, *array, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["rois"] == str(rois)
    ((name, circle),) = json.loads(ended.out)["regions"].items()
    assert roi.load(rois) == roi.from_truth(ub.Truth(regions={name: tuple(circle)}))
    images = [tmp_path / "few.h5", tmp_path / "all.h5"]
    grid = ["--x", "-5mm:5mm", "--z", "14mm:26mm", "--spacing", "0.08mm"]
    for image, transmits in zip(images, ("ends:2", "all"), strict=True):
        assert run("beamform", recording, "-o", image, "--transmits", transmits, *grid).code == 0
    ended = installed("evaluate", *images, "--rois", rois, "--json")
    assert ended.code == 0, ended.err
    few, every = (report["pairs"][0] for report in json.loads(ended.out)["images"])
    assert every["contrast_db"] < few["contrast_db"] < 0
    assert every["cnr"] > few["cnr"]
    assert every["cnr"] > every["control_cnr"]  # all transmitters do separate better
    assert every["gcnr"] > few["gcnr"]


def test_a_phantom_without_regions_has_none_to_write(run: Run, tmp_path: Path) -> None:
    ended = run("simulate", tmp_path / "p.h5", "--phantom", "points", "--rois", tmp_path / "rois.toml")
    assert (ended.code, ended.out) == (2, "")
    assert "the phantom holds no region" in ended.err
    (tmp_path / "rois.toml").write_text("precious")
    ended = run("simulate", tmp_path / "p.h5", "--phantom", "cysts", "--rois", tmp_path / "rois.toml")
    assert ended.code == 2
    assert "rois.toml: the file exists" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["rois.toml"]


BAD: dict[str, tuple[list[str], int, str]] = {
    "no such image": (["missing.h5"], 3, "missing.h5"),
    "a recording": (["{recording}"], 3, "not an image"),
    "no such original": (["{image}", "--original", "missing.h5"], 3, "missing.h5"),
    "no such reference": (["{image}", "--reference", "missing.h5"], 3, "missing.h5"),
    "no such regions": (["{image}", "--rois", "missing.toml"], 3, "missing.toml: No such file"),
    "regions are an image": (["{image}", "--rois", "{image}"], 2, "not TOML"),
    "regions are a folder": (["{image}", "--rois", "."], 3, "Is a directory"),
    "region outside": (
        ["{image}", "--rois", "outside.toml"],
        1,
        "off.inside: the region reaches 2.95 mm outside the image",
    ),
    "dynamic range": (["{image}", "--dynamic-range", "0"], 2, "dynamic_range: not a positive number of dB"),
    "dynamic range nan": (["{image}", "--dynamic-range", "nan"], 2, "dynamic_range"),
    "grey range": (["{image}", "--gray-range", "-1"], 2, "gray_range: the grey scale must be positive"),
    "csv is a folder": (["{image}", "--csv", "."], 3, "is a folder"),
    "csv nowhere": (["{image}", "--csv", "missing/t.csv"], 3, "its folder does not exist"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_one_clear_line_and_writes_nothing(
    run: Run, folder: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments, code, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside.toml").write_text(
        roi.dumps({"off": dataclasses.replace(PAIRS["cyst"], name="off", inside=roi.Circle(9e-3, 20e-3, 2e-3))})
    )
    before = sorted(tmp_path.iterdir())
    given = [part.format(image=folder / "image.h5", recording=recording) for part in arguments]
    rois = [] if "--rois" in given else ["--rois", str(folder / "rois.toml")]
    csv_file = [] if "--csv" in given else ["--csv", "table.csv"]
    ended = run("evaluate", *given, *rois, *csv_file, "--json")
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert 1 <= len(ended.errors) <= 2
    assert sorted(tmp_path.iterdir()) == before


def test_an_error_about_a_region_names_the_image(run: Run, folder: Path, tmp_path: Path) -> None:
    grid = ub.Grid.linear(x=(-8e-3, 8e-3), z=(12e-3, 20e-3), shape=(81, 161))
    upper = tmp_path / "upper.h5"
    ub.Image(np.ones(grid.shape, np.float32), grid, "envelope").save(upper)
    ended = run("evaluate", folder / "image.h5", upper, "--rois", folder / "rois.toml")
    assert ended.code == 1
    assert f"{upper}: cyst.inside: the region reaches 1.95 mm outside the image" in ended.err
    ended = run("evaluate", folder / "image.h5", "--original", upper, "--rois", folder / "rois.toml")
    assert ended.code == 1
    assert f"{upper}: cyst.inside" in ended.err


def test_a_constant_image_lacks_what_needs_variance(run: Run, folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.h5"
    ub.Image(np.ones(GRID.shape, np.float32), GRID, "envelope").save(flat)
    (report,) = evaluated(run, folder, flat)["images"]
    for pair in report["pairs"]:
        assert (pair["gcnr"], pair["contrast_db"]) == (0, 0)
        for key in ("cnr", "control_cnr", "speckle_snr", "enl"):
            assert pair[key] is None
            assert "no variance" in report["absent"][f"{pair['name']}.{key}"]
    assert not any(isinstance(value, float) and math.isnan(value) for value in report["mean"].values())
