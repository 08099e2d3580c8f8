"""``usbeam report``: one page from image files; what cannot be is refused before any work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub

from .conftest import Run

MM = 1e-3
ROIS = """
[cyst]
inside = {shape = "circle", x = "0mm", z = "13mm", radius = "1mm"}
outside = {shape = "annulus", x = "0mm", z = "13mm", inner = "1.2mm", outer = "1.8mm"}
"""


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Two image files of one spot, on different grids."""
    paths = [tmp_path / "first.h5", tmp_path / "second.h5"]
    for path, shape in zip(paths, [(61, 41), (121, 41)], strict=True):
        grid = ub.Grid.linear(x=(-2 * MM, 2 * MM), z=(10 * MM, 16 * MM), shape=shape)
        x, z = np.meshgrid(grid.x / (0.6 * MM), (grid.z - 13 * MM) / (0.5 * MM))
        ub.Image(np.exp(-4 * np.log(2) * (x**2 + z**2)).astype(np.complex64), grid).save(path)
    return paths


def data(page: Path) -> dict:
    (found,) = re.findall(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found)


def test_a_page_is_made(run: Run, images: list[Path], tmp_path: Path) -> None:
    rois, page = tmp_path / "rois.toml", tmp_path / "report.html"
    rois.write_text(ROIS)
    ended = run(
        "report", *images, "-o", page, "--rois", rois, "--near", "0mm,13mm", "--near", "0.1mm,13.1mm",
        "--title", "A spot", "--dynamic-range", "50", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    summary = json.loads(ended.out)
    assert summary["file"] == str(page)
    assert summary["bytes"] == page.stat().st_size
    assert summary["pixels"] == 61 * 41 + 121 * 41
    assert summary["regions"] == ["cyst"]
    assert np.array(summary["points"]) == pytest.approx(np.array([[0, 0.013], [0.0001, 0.0131]]))
    found = data(page)
    assert found["title"] == "A spot"
    assert found["dynamic_range"] == 50
    assert [image["name"] for image in found["images"]] == ["first", "second"]
    assert [spot["lateral_fwhm"] for spot in found["points"][0]["spots"]] == pytest.approx([0.6 * MM] * 2, rel=1e-3)


def test_it_says_how_large_the_page_is(run: Run, images: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ended = run("report", images[0], "-o", page)
    assert ended.code == 0, ended.err
    assert f"{page.stat().st_size / 1e6:.2f} MB" in ended.out
    assert data(page)["title"] == "first"


def test_names_that_collide_are_told_apart(run: Run, images: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    twin = images[0].rename(folder / "second.h5")
    assert run("report", images[1], twin, "-o", tmp_path / "report.html").code == 0
    assert [image["name"] for image in data(tmp_path / "report.html")["images"]] == [str(images[1]), str(twin)]


def test_a_page_that_is_there_stays(run: Run, images: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("precious")
    ended = run("report", images[0], "-o", page)
    assert ended.code == 2
    assert "exists" in ended.err
    assert page.read_text() == "precious"
    assert run("report", images[0], "-o", page, "--overwrite").code == 0
    assert "precious" not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["first.h5", "-o", "page.txt"], 2, "unknown ending"),
        (["first.h5", "-o", "missing/page.html"], 3, "folder does not exist"),
        (["first.h5", "first.h5", "-o", "page.html"], 2, "the same image twice"),
        (["absent.h5", "-o", "page.html"], 3, "absent.h5"),
        (["first.h5", "-o", "page.html", "--near", "13mm"], 2, "cannot read '13mm' as a place"),
        (["first.h5", "-o", "page.html", "--near", "0mm,deep"], 2, "cannot read 'deep' as a length"),
        (["first.h5", "-o", "page.html", "--dynamic-range", "0"], 2, "positive number of dB"),
        (["first.h5", "-o", "page.html", "--rois", "absent.toml"], 3, "absent.toml"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run, images: list[Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(images[0].parent)
    ended = run("report", *arguments)
    assert ended.code == code
    assert words in ended.err
    assert len(ended.errors) >= 1
    assert "Traceback" not in ended.err
    assert sorted(path.name for path in images[0].parent.iterdir()) == ["first.h5", "second.h5"]
