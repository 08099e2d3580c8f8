"""The report page as a file: whole, self-contained, with the images' own numbers; what is no report is refused."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.errors import ConfigError, FileAccessError, OutputExists
from usbeam.measure.roi import Annulus, Circle, Mask, Polygon, Rectangle, RegionPair
from usbeam.show import report
from usbeam.show.report import page as page_module

MM = 1e-3
GRID = ub.Grid.linear(x=(-2 * MM, 2 * MM), z=(10 * MM, 16 * MM), shape=(61, 41))


def speckle(grid: ub.Grid = GRID, **options: Any) -> ub.Image:
    parts = np.random.default_rng(0).standard_normal((2, *grid.shape)).astype(np.float32)
    return ub.Image((parts[0] + 1j * parts[1]).astype(np.complex64), grid, **options)


def contents(text: str) -> dict[str, Any]:
    """What the page's script finds."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), kind)


def written(path: Path, images: dict[str, ub.Image], **options: Any) -> str:
    report.write(images, path, **options)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("state", ["complex", "envelope", "db"])
def test_the_page_holds_the_numbers_themselves(tmp_path: Path, state: str) -> None:
    image = {"complex": speckle(), "envelope": speckle().envelope(), "db": speckle().db(50)}[state]
    (found,) = contents(written(tmp_path / "a.html", {"an image": image}))["images"]
    assert (found["name"], found["state"]) == ("an image", state)
    expected = image.data if state == "db" else image.envelope().data
    assert np.array_equal(unpacked(found["values"], "<f4").reshape(GRID.shape), expected)
    assert np.array_equal(unpacked(found["x"], "<f8"), GRID.x)
    assert np.array_equal(unpacked(found["z"], "<f8"), GRID.z)
    left, right, bottom, top = GRID.extent_mm
    assert found["extent"] == pytest.approx([left * MM, right * MM, top * MM, bottom * MM], abs=1e-12)


def test_regions_have_the_keys_of_their_file(tmp_path: Path) -> None:
    pixels = np.zeros((3, 5), bool)
    pixels[1, 2] = True
    pairs = {
        "a": RegionPair("a", Circle(0, 13 * MM, MM), Annulus(0, 13 * MM, 1.5 * MM, 2 * MM)),
        "b": RegionPair("b", Rectangle((0, MM), (11 * MM, 12 * MM)), Polygon(((0, 0.01), (0.001, 0.01), (0, 0.012)))),
        "c": RegionPair("c", Mask(pixels, "c.png"), Circle(0, 13 * MM, MM)),
    }
    found = contents(written(tmp_path / "a.html", {"image": speckle()}, regions=pairs))["regions"]
    assert found[0]["inside"] == {"shape": "circle", "x": 0, "z": 13 * MM, "radius": MM}
    assert found[0]["outside"] == {"shape": "annulus", "x": 0, "z": 13 * MM, "inner": 1.5 * MM, "outer": 2 * MM}
    assert found[1]["inside"] == {"shape": "rectangle", "x": [0, MM], "z": [11 * MM, 12 * MM]}
    assert found[1]["outside"]["points"] == [[0, 0.01], [0.001, 0.01], [0, 0.012]]
    mask = found[2]["inside"]
    assert (mask["shape"], mask["file"], mask["n_z"], mask["n_x"]) == ("mask", "c.png", 3, 5)
    assert np.array_equal(unpacked(mask["pixels"], "u1").reshape(3, 5), pixels)


def test_points_have_pythons_figures_or_a_reason(tmp_path: Path) -> None:
    x, z = np.meshgrid(GRID.x / (0.6 * MM), (GRID.z - 13 * MM) / (0.5 * MM))
    spot = ub.Image(np.exp(-4 * np.log(2) * (x**2 + z**2)).astype(np.complex64), GRID)
    places = [(0.0, 13 * MM), (50 * MM, 13 * MM)]
    near, away = contents(written(tmp_path / "a.html", {"spot": spot, "dB": spot.db()}, points=places))["points"]
    measured = ub.psf.measure(spot, places[0])
    assert near["spots"][0]["lateral_fwhm"] == measured.lateral_fwhm
    assert near["spots"][0]["axial"]["level_db"] == measured.axial.level_db.tolist()
    assert "dB image" in near["spots"][1]["problem"]
    assert all("problem" in each for each in away["spots"])


def test_nothing_in_the_data_ends_its_element(tmp_path: Path) -> None:
    hostile = "</script><!--<script>alert(1)</script>\u2028\x00\u202e"
    image = speckle(settings={hostile: [hostile, {"deep": hostile}]}, source={"file": hostile})
    pair = RegionPair(hostile, Circle(0, 13 * MM, MM), Annulus(0, 13 * MM, 1.5 * MM, 2 * MM))
    text = written(tmp_path / "a.html", {hostile: image}, regions={hostile: pair}, title=hostile)
    assert text.count("</script") == text.count("<script") == 2
    assert "<!--" not in text
    data = contents(text)
    assert data["regions"][0]["name"] == hostile  # as `usbeam evaluate` knows it
    assert "\u202e" not in data["images"][0]["name"]
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    assert title
    assert "<" not in title[1]


def test_settings_of_any_kind_can_be_shown(tmp_path: Path) -> None:
    settings = {
        "nan": np.nan,
        "inf": -np.inf,
        "array": np.arange(3),
        "scalar": np.float32(0.5),
        "path": Path("a"),
        "no": None,
    }
    (found,) = contents(written(tmp_path / "a.html", {"a": speckle(settings=settings)}))["images"]
    assert found["settings"] == {"nan": None, "inf": None, "array": [0, 1, 2], "scalar": 0.5, "path": "a", "no": None}


def test_names_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    (found,) = contents(written(tmp_path / "a.html", {"odd\udcff": speckle()}))["images"]
    assert found["name"] == "odd\N{REPLACEMENT CHARACTER}"


def test_the_policy_allows_this_style_and_script_alone(tmp_path: Path) -> None:
    text = written(tmp_path / "a.html", {"a": speckle()})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    for name, pattern in (
        ("script-src", r'<script type="module">(.*?)</script>'),
        ("style-src", r"<style>(.*?)</style>"),
    ):
        (content,) = re.findall(pattern, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", text.split('id="data"')[0])
    # Names of XML's own vocabulary are no addresses that anything asks for.
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) == {"http://www.w3.org/2000/svg"}


def test_the_page_is_the_same_for_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [contents(written(tmp_path / f"{i}.html", {"a": speckle()})) for i in range(2)]
    for page in pages:
        page.pop("created")
    assert pages[0] == pages[1]


def test_titles_default(tmp_path: Path) -> None:
    assert contents(written(tmp_path / "a.html", {"a": speckle()}))["title"] == "usbeam report"
    assert contents(written(tmp_path / "b.html", {"a": speckle()}, title="Mine"))["title"] == "Mine"


def test_a_page_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("precious")
    with pytest.raises(OutputExists):
        report.write({"a": speckle()}, path)
    assert path.read_text() == "precious"
    report.write({"a": speckle()}, path, overwrite=True)
    assert path.read_text().startswith("<!doctype html>")
    assert [each.name for each in tmp_path.iterdir()] == ["a.html"]


def test_what_is_no_report_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.html"
    with pytest.raises(ConfigError, match="no image"):
        report.write({}, path)
    for dynamic_range in (0, -60, np.nan, np.inf):
        with pytest.raises(ConfigError, match="positive number of dB"):
            report.write({"a": speckle()}, path, dynamic_range=dynamic_range)
    broken = speckle().envelope().data.copy()
    broken[3, 4] = np.nan
    with pytest.raises(ConfigError, match="bad: a pixel is not finite"):
        report.write({"good": speckle(), "bad": ub.Image(broken, GRID, "envelope")}, path)
    with pytest.raises(FileAccessError, match="folder"):
        report.write({"a": speckle()}, tmp_path / "missing" / "a.html")
    monkeypatch.setattr(page_module, "MAX_PIXELS", GRID.size)
    report.write({"a": speckle()}, path)
    with pytest.raises(ConfigError, match=r"too many pixels.*expected at most 2,501.*found 5,002") as caught:
        report.write({"a": speckle(), "b": speckle()}, path, overwrite=True)
    assert "larger step" in str(caught.value.hint)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_one_row_column_or_point_is_an_image(tmp_path: Path, shape: tuple[int, int]) -> None:
    limits = {
        "x": (0.0, MM) if shape[1] > 1 else (0.0, 0.0),
        "z": (5 * MM, 6 * MM) if shape[0] > 1 else (5 * MM, 5 * MM),
    }
    (found,) = contents(written(tmp_path / "a.html", {"a": speckle(ub.Grid.linear(**limits, shape=shape))}))["images"]
    left, right, top, bottom = found["extent"]
    assert left < right
    assert top < bottom
