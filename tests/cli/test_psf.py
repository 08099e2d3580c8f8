"""``usbeam psf``: what Python measures, as a table, as JSON and as a figure; one error for what cannot be measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import usbeam as ub
from tests.measure.spots import MM, gaussian, grid, image

from .conftest import Run, installed

PLACES = [(-1.5 * MM, 19.0 * MM), (1.0 * MM, 21.0 * MM)]
KEYS = {
    "x", "z", "peak", "lateral_fwhm", "axial_fwhm", "major_fwhm", "minor_fwhm", "angle",
    "peak_sidelobe_db", "integrated_sidelobe_db", "grating_lobe_db", "warnings",
}  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two spots in a file."""
    where = grid()
    path = tmp_path_factory.mktemp("psf") / "two.h5"
    envelope = gaussian(where, (0.5 * MM, 0.3 * MM), at=PLACES[0]) + 0.5 * gaussian(
        where, (0.6 * MM, 0.25 * MM), at=PLACES[1], angle=0.3
    )
    image(where, envelope).save(path)
    return path


def test_as_installed(file: Path) -> None:
    done = installed("psf", file, "--near", "-1.5mm,19mm", "--window", "0.9mm", "--json")
    assert (done.code, done.err) == (0, "")
    (point,) = json.loads(done.out)["points"]
    assert set(point) == KEYS
    assert (point["x"], point["z"]) == pytest.approx(PLACES[0], abs=1e-7)
    assert (point["lateral_fwhm"], point["axial_fwhm"]) == pytest.approx((0.5 * MM, 0.3 * MM), rel=1e-3)
    assert point["grating_lobe_db"] is None
    assert point["warnings"] == []


def test_json_is_what_python_measures(run: Run, file: Path) -> None:
    done = run("psf", file, "--near", "1mm,21mm", "--near", "-1500um,0.019", "--json")
    assert done.code == 0
    points = json.loads(done.out)["points"]
    stored = ub.load_image(file)
    for point, place in zip(points, reversed(PLACES), strict=True):
        spot = ub.psf.measure(stored, place)
        assert point == {key: pytest.approx(getattr(spot, key), nan_ok=False) for key in KEYS - {"warnings"}} | {
            "warnings": list(spot.warnings)
        }
    assert json.loads(done.out)["file"] == str(file)


def test_without_places_it_finds_the_spots(run: Run, file: Path) -> None:
    points = json.loads(run("psf", file, "--json").out)["points"]
    assert [(point["x"], point["z"]) for point in points] == [pytest.approx(place, abs=1e-6) for place in PLACES]


def test_table_and_warnings(run: Run, file: Path) -> None:
    done = run("psf", file, "--near", "-1.5mm,19mm", "--near", "1mm,21mm", "--window", "1.2mm")
    headings, units, first, second = done.out.splitlines()
    assert headings.split()[:4] == ["x", "z", "lateral", "axial"]
    assert units.split() == ["mm"] * 6 + ["deg"] + ["dB"] * 3
    assert first.split()[:7] == ["-1.50", "19.00", "0.500", "0.300", "0.500", "0.300", "0"]
    assert second.split()[:2] + second.split()[4:7] == ["1.00", "21.00", "0.600", "0.250", "17"]
    assert second.split()[-1] == "-"
    assert len({len(line) for line in (headings, units, first, second)}) == 1
    assert done.err == ""
    doubtful = run("psf", file, "--near", "1mm,21mm", "--window", "5mm")
    assert doubtful.err.startswith("usbeam: warning: (1.000, 21.000) mm: the window reaches beyond the image")
    assert run("-q", "psf", file, "--near", "1mm,21mm", "--window", "5mm").err == ""


@pytest.mark.parametrize("places", [["--near", "1mm,21mm"], []])
def test_figure(run: Run, file: Path, tmp_path: Path, places: list[str]) -> None:
    for name in ("spots.png", "spots.pdf"):
        assert run("psf", file, *places, "--plot", tmp_path / name).code == 0
    with PIL.Image.open(tmp_path / "spots.png") as picture:
        assert min(picture.size) > 300
        colours = np.asarray(picture.convert("RGB"), int)
        assert np.any(np.ptp(colours, axis=2) > 60)
    assert (tmp_path / "spots.pdf").read_bytes().startswith(b"%PDF")
    again = run("psf", file, *places, "--plot", tmp_path / "spots.png")
    assert again.code == 2
    assert again.out == ""
    assert run("psf", file, *places, "--plot", tmp_path / "spots.png", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--near", "5mm,20mm"], 1, "(5, 20) mm: the place lies outside the image"),
        (["--near", "0mm,22.5mm"], 1, "no peak there"),
        (["--near", "0mm"], 2, "cannot read '0mm' as a place"),
        (["--near", "0mm,20mm,3mm"], 2, "cannot read '0mm,20mm,3mm' as a place"),
        (["--near", "0mm,20MHz"], 2, "cannot read '20MHz' as a length"),
        (["--window", "0mm"], 2, "window: not a positive length"),
        (["--window", "wide"], 2, "cannot read 'wide' as a length"),
        (["--plot", "picture.txt"], 2, "not a picture format"),
        (["--plot", "missing/picture.png"], 3, "missing"),
    ],
)
def test_refusals(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("psf", file, *arguments)
    assert done.code == code
    assert message in done.errors[0]
    assert sum(line.startswith("usbeam: error: ") for line in done.errors) == 1
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_images_that_cannot_be_measured(run: Run, file: Path, recording: Path, tmp_path: Path) -> None:
    stored = ub.load_image(file)
    stored.db(60).save(tmp_path / "db.h5")
    done = run("psf", tmp_path / "db.h5")
    assert (done.code, done.out) == (2, "")
    assert "no linear envelope" in done.errors[0]
    ub.Image(0 * stored.data, stored.grid).save(tmp_path / "empty.h5")
    done = run("psf", tmp_path / "empty.h5")
    assert (done.code, done.out) == (1, "")
    assert "the image is empty" in done.errors[0]
    done = run("psf", recording)
    assert (done.code, done.out) == (3, "")
    assert "not an image" in done.errors[0]
    assert run("psf", tmp_path / "missing.h5").code == 3


def test_a_found_spot_that_cannot_be_measured_is_left_out(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = grid()
    widths = (0.5 * MM, 0.3 * MM)
    envelope = gaussian(where, widths) + gaussian(where, widths, at=(2.9 * MM, 18 * MM))
    image(where, envelope).save(tmp_path / "cut.h5")
    done = run("psf", tmp_path / "cut.h5", "--json")
    assert done.code == 0
    (point,) = json.loads(done.out)["points"]
    assert point["x"] == pytest.approx(0, abs=1e-7)
    assert "not measured: (2.9, 18) mm: the spot does not fall to half" in caplog.text
