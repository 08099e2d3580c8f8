"""``usbeam enhance``: what Python does, saved; the list of methods; one error for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import usbeam as ub
from tests.enhancers.test_enhance import speckle
from usbeam import weights
from usbeam.enhancers import METHODS

from .conftest import Run, installed


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("enhance") / "speckle.h5"
    speckle().save(path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.h5"


def test_as_installed(file: Path, out: Path) -> None:
    done = installed("enhance", file, "-o", out, "--with", "srad", "--set", "n_iterations=5", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert summary["files"] == [str(out)]
    assert (summary["method"], summary["state"], summary["shape"]) == ("srad", "envelope", [101, 61])
    assert summary["parameters"]["n_iterations"] == 5
    assert set(summary["seconds"]) == {"load", "enhance", "write"}
    assert summary["q0"]["from"] == "quietest window"
    found = ub.load_image(out)
    assert found.settings["enhanced"][-1]["method"] == "srad"
    assert found.settings["method"] == "das"


@pytest.mark.parametrize(
    ("method", "assigned", "parameters"),
    [
        ("gaussian", ["sigma=0.2mm"], {"sigma": 0.2e-3}),
        ("gaussian", ["sigma = 200um"], {"sigma": 0.2e-3}),
        ("gaussian", ["sigma=2e-4"], {"sigma": 0.2e-3}),
        ("nlm", ["patch=3pixels", "strength=0.2"], {"patch": 3, "strength": 0.2}),
        ("wavelet", [], {}),
        ("srad", ["q0=-2mm:2mm@11mm:14mm", "window=1mm"], {"q0": "-2mm:2mm@11mm:14mm", "window": 1e-3}),
        ("srad-exp", ["q0=0.1", "time_step=0.5"], {"q0": "0.1", "time_step": 0.5}),
    ],
)
def test_the_file_is_what_python_makes(
    run: Run, file: Path, out: Path, method: str, assigned: list[str], parameters: dict[str, object]
) -> None:
    options = [option for text in assigned for option in ("--set", text)]
    done = run("enhance", file, "-o", out, "--with", method, *options, "--dynamic-range", "50")
    assert done.code == 0
    wanted = ub.enhance(ub.load_image(file), method, dynamic_range=50.0, **parameters)
    found = ub.load_image(out)
    np.testing.assert_array_equal(found.data, wanted.data)
    assert (found.state, found.dynamic_range_db) == (wanted.state, wanted.dynamic_range_db)
    assert found.settings["enhanced"] == wanted.settings["enhanced"]
    assert done.out.startswith(f"{out}: 101 x 61 points, {wanted.state}, by {method} in ")


@pytest.mark.usefixtures("gpu")
def test_a_gpu_by_name(run: Run, file: Path, out: Path) -> None:
    done = run("enhance", file, "-o", out, "--with", "srad", "--set", "n_iterations=5", "--device", "gpu")
    assert done.code == 0
    wanted = ub.enhance(ub.load_image(file), "srad", n_iterations=5, device="cpu").data
    np.testing.assert_allclose(ub.load_image(out).data, wanted, atol=1e-5 * wanted.max())
    out.unlink()
    done = run("enhance", file, "-o", out, "--with", "median", "--device", "gpu")
    assert (done.code != 0, out.exists()) == (True, False)
    assert "median works on the CPU only" in done.errors[0]


@pytest.mark.parametrize("method", ["srad", "median"])
def test_picture(run: Run, file: Path, out: Path, method: str) -> None:
    png = out.with_suffix(".png")
    done = run("enhance", file, "-o", out, "--with", method, "--png", png, "--json")
    assert json.loads(done.out)["files"] == [str(out), str(png)]
    with PIL.Image.open(png) as picture:
        assert min(picture.size) > 300


def test_nothing_is_replaced_unless_asked(run: Run, file: Path, out: Path) -> None:
    out.write_text("mine")
    done = run("enhance", file, "-o", out, "--with", "identity")
    assert (done.code, done.out, out.read_text()) == (2, "", "mine")
    assert "the file exists" in done.errors[0]
    assert run("enhance", file, "-o", out, "--with", "identity", "--overwrite").code == 0
    assert ub.load_image(out).state == "db"


def test_the_image_itself_is_never_replaced(run: Run, file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    alias = tmp_path / "alias.h5"
    alias.symlink_to(file)
    for output in (file, alias, file.parent / "." / file.name):
        done = run("--overwrite", "enhance", file, "-o", output, "--with", "identity")
        assert (done.code, done.out) == (2, "")
        assert "is the image itself" in done.errors[0]
    assert file.read_bytes() == before


# The list


def test_list_as_json_holds_every_method(run: Run) -> None:
    done = run("enhance", "--list", "--json")
    assert (done.code, done.err) == (0, "")
    methods = {each["name"]: each for each in json.loads(done.out)["methods"]}
    assert set(methods) == set(METHODS)
    for name, facts in methods.items():
        assert facts["title"] == METHODS[name].title
        assert facts["domain"] in ("envelope", "display")
        assert {"reference", "licence"} <= set(facts)
        assert [each["name"] for each in facts["parameters"]] == list(METHODS[name].parameters)
    (sigma,) = methods["gaussian"]["parameters"]
    assert sigma == {
        "name": "sigma", "type": "float", "default": 1e-4, "least": 0, "most": 0.1, "unit": "m", "words": None,
        "description": "standard deviation",
    }  # fmt: skip


def test_list_for_people(run: Run) -> None:
    done = run("enhance", "--list")
    assert done.code == 0
    headings = [line.partition(":")[0] for line in done.out.splitlines() if line and not line.startswith(" ")]
    assert headings[: len(METHODS)] == list(METHODS)
    assert headings[len(METHODS) :] == weights.names()
    lines = done.out.splitlines()
    at = lines.index("srad: Speckle-reducing anisotropic diffusion of the envelope")
    assert lines[at + 1].split(maxsplit=2) == ["works", "on", "the linear envelope"]
    assert "Yu and S. T. Acton" in lines[at + 2]
    assert lines[at + 4].split()[:3] == ["parameters", "n_iterations=100", "1"]
    assert any(line.split()[:2] == ["q0=automatic", "text"] for line in lines[at:])
    assert any(line.split()[:1] == ["window=2mm"] for line in lines[at:])
    assert all(line == line.rstrip() for line in lines)


# Refusals


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "missing: FILES, --output, --with"),
        (["IMAGE"], 2, "missing: --output, --with"),
        (["IMAGE", "-o", "out.h5"], 2, "missing: --with"),
        (["IMAGE", "-o", "out.h5", "--with", "magic"], 2, "unknown method (expected identity, gaussian"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", "--set", "width=1mm"], 2, "no such parameter"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", "--set", "sigma"], 2, "cannot read 'sigma'"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", "--set", "sigma="], 2, "cannot read 'sigma='"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", "--set", "sigma=wide"], 2, "gaussian.sigma: cannot read"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", "--set", "sigma=1MHz"], 2, "gaussian.sigma: cannot read"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", "--set", "sigma=1m"], 2, "not a value"),
        (["IMAGE", "-o", "out.h5", "--with", "gaussian", *2 * ["--set", "sigma=1mm"]], 2, "twice"),
        (["IMAGE", "-o", "out.h5", "--with", "nlm", "--set", "patch=2.5"], 2, "nlm.patch: not a value"),
        (["IMAGE", "-o", "out.h5", "--with", "nlm", "--set", "patch=many"], 2, "nlm.patch: not a value"),
        (["IMAGE", "-o", "out.h5", "--with", "srad", "--set", "q0=roi"], 2, "srad.q0: cannot read 'roi'"),
        (["IMAGE", "-o", "out.h5", "--with", "srad", "--set", "q0=0mm:9mm@11mm:12mm"], 1, "outside the image"),
        (["IMAGE", "-o", "out.jpg", "--with", "identity"], 2, "--output: unknown ending"),
        (["IMAGE", "-o", "out.h5", "--with", "identity", "--png", "out.h5"], 2, "--png: unknown ending"),
        (["IMAGE", "-o", "no/out.h5", "--with", "identity"], 3, "its folder does not exist"),
        (["IMAGE", "-o", "out.h5", "--with", "identity", "--png", "no/out.png"], 3, "its folder does not exist"),
        (["IMAGE", "-o", "out.h5", "--with", "identity", "--dynamic-range", "0"], 2, "not a positive number of dB"),
        (["IMAGE", "-o", "out.h5", "--with", "identity", "--dynamic-range", "nan"], 2, "not a positive number of dB"),
        (["missing.h5", "-o", "out.h5", "--with", "identity"], 3, "missing.h5"),
    ],
)
def test_refusals(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("enhance", *(str(file) if each == "IMAGE" else each for each in arguments))
    assert done.code == code
    assert message in done.errors[0]
    assert sum(line.startswith("usbeam: error: ") for line in done.errors) == 1
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_image_for_the_method(run: Run, file: Path, recording: Path, tmp_path: Path, out: Path) -> None:
    stored = ub.load_image(file)
    stored.db(60).save(tmp_path / "db.h5")
    ub.Image(0 * stored.data, stored.grid).save(tmp_path / "empty.h5")
    for given, code, message in (
        (tmp_path / "db.h5", 2, "linear envelope"),
        (tmp_path / "empty.h5", 1, "the image is empty"),
        (recording, 3, "not an image"),
    ):
        done = run("enhance", given, "-o", out, "--with", "srad")
        assert (done.code, done.out) == (code, "")
        assert message in done.errors[0]
        assert not out.exists()
