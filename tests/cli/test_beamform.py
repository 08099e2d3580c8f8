"""``usbeam beamform``: the image that Python makes, its report and pictures, and requests that leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import usbeam as ub
from usbeam import device
from usbeam.beamforming import subsets

from .conftest import PROGRAM, Done, Run, installed

GRID = ["--x", "-5mm:5mm", "--z", "10.5mm:20.5mm", "--shape", "101x41"]
SMALL = ["--x", "-5mm:5mm", "--z", "10.5mm:20.5mm", "--shape", "11x7"]
POINT = (0.0, 15e-3)
COMPILING = "compiling the kernels takes some seconds; USBEAM_NUMBA_CACHE=1 keeps them"


@pytest.fixture(scope="module")
def finished(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """One run of the installed program with everything that it can write."""
    folder = tmp_path_factory.mktemp("beamform")
    outputs = ["-o", folder / "image.h5", "--png", folder / "image.png", "--bare-png", folder / "bare.png"]
    return folder, installed("beamform", recording, *outputs, *GRID, "--dynamic-range", "50", "--json")


@pytest.fixture
def report(finished: tuple[Path, Done]) -> dict[str, Any]:
    """The one JSON object on stdout."""
    ended = finished[1]
    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 1
    return json.loads(ended.out)


def test_json_reports_shape_seconds_device_and_transmits(finished: tuple[Path, Done], report: dict[str, Any]) -> None:
    folder, ended = finished
    assert report["shape"] == [101, 41]
    assert report["x"] == pytest.approx([-5e-3, 5e-3])
    assert report["z"] == pytest.approx([10.5e-3, 20.5e-3])
    assert set(report["seconds"]) == {"load", "plan", "beamform", "write"}
    assert all(seconds > 0 for seconds in report["seconds"].values())
    assert report["device"] == device.resolve("auto")
    assert report["transmits"] == list(range(16))
    assert report["frames"] == [0]
    assert sorted(report["files"]) == sorted(str(folder / name) for name in ("image.h5", "image.png", "bare.png"))
    assert sorted(path.name for path in folder.iterdir()) == ["bare.png", "image.h5", "image.png"]
    assert ended.err.splitlines() == [f"device: {report['device']}", COMPILING]


def test_the_file_is_the_image_that_python_makes(recording: Path, finished: tuple[Path, Done]) -> None:
    stored = ub.load_image(finished[0] / "image.h5")
    made = ub.beamform(ub.load(recording), ub.Grid.linear(x=(-5e-3, 5e-3), z=(10.5e-3, 20.5e-3), shape=(101, 41)))
    assert stored.grid == made.grid
    assert np.abs(stored.data - made.data).max() < 1e-5 * np.abs(made.data).max()
    assert stored.settings["method"] == "das"
    assert stored.source["file"] == recording.name
    assert stored.settings["transmit_weights"] == [1.0] * 16


def test_the_picture_has_axes_and_the_bare_one_the_pixels(finished: tuple[Path, Done]) -> None:
    folder = finished[0]
    with PIL.Image.open(folder / "image.png") as picture:
        assert min(picture.size) > 300
        assert len(set(picture.convert("L").tobytes())) > 50
    with PIL.Image.open(folder / "bare.png") as picture:
        assert picture.size == (41, 101)
        grey = np.asarray(picture)
        notes = picture.info
    shown = ub.load_image(folder / "image.h5").db(50).data
    np.testing.assert_array_equal(grey, np.rint(255 * (1 + shown / 50)).astype(np.uint8))
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    x, z = np.linspace(-5e-3, 5e-3, 41)[column], np.linspace(10.5e-3, 20.5e-3, 101)[row]
    assert min(np.hypot(x - px, z - pz) for px, pz in (POINT, (-4e-3, 12e-3), (3.1e-3, 19e-3))) < 0.3e-3
    assert json.loads(notes["usbeam spacing_z_x_m"]) == pytest.approx([1e-4, 2.5e-4])


@pytest.mark.parametrize(
    "form",
    ["all", "first:3", "last:2", "every:5", "center:4", "ends:2", "index:0,15", "index:7", "random:4@11", "random:2"],
)
def test_every_form_of_transmits(run: Run, recording: Path, tmp_path: Path, form: str) -> None:
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *SMALL, "--transmits", form, "--json")
    assert ended.code == 0, ended.err
    wanted = subsets.parse(form, 16)
    assert json.loads(ended.out)["transmits"] == np.flatnonzero(wanted).tolist()
    assert ub.load_image(tmp_path / "a.h5").settings["transmit_weights"] == wanted.tolist()


def test_options_reach_the_plan(run: Run, recording: Path, tmp_path: Path) -> None:
    options = ["--f-number", "1.2", "--window", "tukey:0.3", "--transmit-f-number", "0.9", "--transmit-window", "hann"]
    more = ["--interpolation", "cubic", "--upsampling", "2", "--sound-speed", "1.48mm/us", "--device", "cpu"]
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *SMALL, *options, *more)
    assert ended.code == 0, ended.err
    assert ended.err.splitlines() == [COMPILING]  # a device that was named is not announced
    assert ended.out.startswith(f"{tmp_path / 'a.h5'}: 11 x 7 points from 16 of 16 transmits, 1 frame(s)")
    settings = ub.load_image(tmp_path / "a.h5").settings
    wanted = {"f_number": 1.2, "window": "tukey:0.3", "transmit_f_number": 0.9, "transmit_window": "hann"}
    wanted |= {"interpolation": "cubic", "upsampling": 2, "sound_speed": 1480.0, "device": "cpu"}
    assert {name: settings[name] for name in wanted} == wanted


def test_looks_are_compounded_as_in_python(run: Run, recording: Path, tmp_path: Path) -> None:
    options = ["--looks", "3", "--transmits", "every:2", "--frames", "0:2", "--png", tmp_path / "a.png", "--json"]
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *SMALL, *options)
    assert ended.code == 0, ended.err
    acquisition = ub.load(recording)
    weights = subsets.every(acquisition, 2)
    for index in (0, 1):
        written = ub.load_image(tmp_path / f"a_{index:04d}.h5")
        made = ub.compound(acquisition, written.grid, n_looks=3, transmits=weights, frame=index)
        assert written.state == "envelope"
        np.testing.assert_allclose(written.data, made.data, atol=1e-5 * made.data.max())
        assert written.settings == made.settings
    report = json.loads(ended.out)
    assert report["transmits"] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert report["looks"]["transmits"] == [[0, 2, 4], [6, 8], [10, 12, 14]]


def test_oblique_looks_are_compounded_as_in_python(run: Run, recording: Path, tmp_path: Path) -> None:
    options = ["--x", "-2mm:2mm", "--z", "13mm:16mm", "--shape", "61x21", "--f-number", "1", "--transmits", "first:9"]
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *options, "--looks", "oblique:4", "--json")
    assert ended.code == 0, ended.err
    written, acquisition = ub.load_image(tmp_path / "a.h5"), ub.load(recording)
    weights = subsets.first(acquisition, 9)
    # An f-number of 1 accepts what lies within 1 / sqrt(5) of the normal.
    chosen = {"transmits": weights, "max_sine": 1 / np.sqrt(5)}
    made = ub.compound(acquisition, written.grid, n_looks=4, kind="oblique", **chosen)
    np.testing.assert_allclose(written.data, made.data, atol=1e-5 * made.data.max())
    assert written.settings["max_sine"] == pytest.approx(chosen["max_sine"])
    report = json.loads(ended.out)
    assert report["method"] == "angular"
    assert [look["side"] for look in report["looks"]["oblique"]] == [-1, 1, -1, 1]


def test_fourier_is_the_image_that_python_makes(run: Run, recording: Path, tmp_path: Path) -> None:
    options = ["--method", "fourier", "--band", "3MHz:7MHz", "--weighting", "adjoint", "--transmits", "ends:2"]
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *SMALL, *options)
    assert ended.code == 0, ended.err
    written = ub.load_image(tmp_path / "a.h5")
    acquisition = ub.load(recording)
    chosen = {"band": (3e6, 7e6), "weighting": "adjoint", "transmits": subsets.ends(acquisition, 2)}
    made = ub.beamform(acquisition, written.grid, method="fourier", **chosen)
    np.testing.assert_allclose(written.data, made.data, atol=1e-5 * np.abs(made.data).max())
    wanted = {"method": "fourier", "band": [3e6, 7e6], "weighting": "adjoint", "transmit_window": "tukey:0.1"}
    assert {name: written.settings[name] for name in wanted} == wanted


def test_the_grid_comes_from_the_recording_where_it_is_not_given(run: Run, recording: Path, tmp_path: Path) -> None:
    default = ub.Plan(ub.load(recording)).grid
    run("beamform", recording, "-o", tmp_path / "a.h5")
    assert ub.load_image(tmp_path / "a.h5").grid.shape == default.shape
    run("beamform", recording, "-o", tmp_path / "b.h5", "--spacing", "0.5mm", "--z", "12mm:14mm")
    grid = ub.load_image(tmp_path / "b.h5").grid
    assert grid.spacing == pytest.approx((0.5e-3, 0.5e-3))
    assert (grid.z[0], grid.z[-1]) == pytest.approx((12e-3, 14e-3))
    assert grid.x[0] == default.x[0]


def test_frames_are_numbered_files(run: Run, recording: Path, tmp_path: Path) -> None:
    outputs = ["-o", tmp_path / "a.h5", "--bare-png", tmp_path / "b.png"]
    ended = run("beamform", recording, *outputs, *SMALL, "--frames", "0:3", "--json")
    assert json.loads(ended.out)["frames"] == [0, 1, 2]
    names = [f"{stem}_{index:04d}.{ending}" for stem, ending in (("a", "h5"), ("b", "png")) for index in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    images = [ub.load_image(tmp_path / f"a_{index:04d}.h5").data for index in range(3)]
    for k in (2, 3):
        np.testing.assert_allclose(images[k - 1], k * images[0], rtol=1e-4, atol=1e-5 * np.abs(images[0]).max())
    run("beamform", recording, "-o", tmp_path / "c.h5", *SMALL, "--frames", "2")
    np.testing.assert_array_equal(ub.load_image(tmp_path / "c.h5").data, images[2])


@pytest.mark.parametrize("before", [True, False])
def test_options_of_all_commands_stand_before_or_after(run: Run, recording: Path, tmp_path: Path, before: bool) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"precious")
    command = ["beamform", str(recording), "-o", str(path), *SMALL]
    ended = run(*command)
    assert ended.code == 2
    assert "the file exists" in ended.err
    assert "--overwrite" in ended.err
    assert path.read_bytes() == b"precious"
    flags = ["--overwrite", "--no-progress"]
    ended = run(*flags, *command) if before else run(*command, *flags)
    assert ended.code == 0, ended.err
    assert ub.load_image(path).data.shape == (11, 7)
    assert run(*command).code == 2  # the flag of one run does not reach the next


def test_quiet_says_nothing(run: Run, recording: Path, tmp_path: Path) -> None:
    ended = run("-q", "beamform", recording, "-o", tmp_path / "a.h5", *SMALL, "--z", "15mm:90mm")
    assert (ended.code, ended.err) == (0, "")


def test_a_grid_beyond_the_record_is_warned_of(run: Run, recording: Path, tmp_path: Path) -> None:
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *SMALL, "--z", "15mm:90mm")
    assert ended.code == 0
    assert "usbeam: warning: the grid reaches 90 mm, the record only" in ended.err


BAD: dict[str, tuple[list[str], int, str]] = {
    "49 unknown subset": (["--transmits", "some"], 2, "unknown subset"),
    "49 no transmit": (["--transmits", "index:"], 2, "no transmit is selected"),
    "49 repeated": (["--transmits", "index:1,1"], 2, "selected twice"),
    "49 out of range": (["--transmits", "index:16"], 2, "no such transmit (expected 0..15, found 16)"),
    "49 too many": (["--transmits", "first:17"], 2, "cannot take 17 transmits"),
    "no look": (["--looks", "0"], 2, "cannot make 0 looks of 16 transmits"),
    "looks of few transmits": (["--looks", "3", "--transmits", "ends:2"], 2, "cannot make 3 looks of 2 transmits"),
    "kind of looks": (
        ["--looks", "slanted:3"],
        2,
        "--looks: cannot read 'slanted:3' as looks (expected 3 or oblique:8)",
    ),
    "number of looks": (["--looks", "few"], 2, "--looks: cannot read 'few' as looks"),
    "odd looks": (["--looks", "oblique:3"], 2, "hint: each line has two sides"),
    "option of groups": (
        ["--looks", "oblique:4", "--method", "fourier"],
        2,
        "--method: oblique looks have no such option",
    ),
    "window of groups": (
        ["--looks", "oblique:4", "--window", "hann"],
        2,
        "--window: oblique looks have no such option",
    ),
    "coarse looks": (
        ["--looks", "oblique:4", "--spacing", "1mm"],
        2,
        "too coarse to tell the pulse's frequencies apart",
    ),
    "50 no points": (["--shape", "0x10"], 2, "the grid has no points"),
    "50 no shape": (["--shape", "620"], 2, "cannot read '620' as a shape"),
    "50 behind the array": (["--z", "-5mm:5mm"], 2, "in front of the array"),
    "50 inverted": (["--x", "5mm:-5mm"], 2, "inverted"),
    "50 spacing 0": (["--spacing", "0mm"], 2, "spacing must be positive"),
    "50 tiny spacing": (["--spacing", "1e-15"], 2, "too many points: the positions alone need"),
    "50 1e12 points": (["--shape", "1000000x1000000"], 3, "need about 1.6e+04 GB"),
    "52 f-number 0": (["--f-number", "0"], 2, "f_number: not a positive number"),
    "52 f-number nan": (["--f-number", "nan"], 2, "f_number: not a positive number"),
    "54 gpu": (["--device", "gpu"], 4, "no GPU can be used"),
    "54 other device": (["--device", "gpu:3"], 2, "unknown device"),
    "56 dynamic range": (["--dynamic-range", "-60"], 2, "--dynamic-range: not a positive number"),
    "56 dynamic range nan": (["--dynamic-range", "nan"], 2, "--dynamic-range: not a positive number"),
    "57 no folder": (["-o", "missing/out.h5"], 3, "its folder does not exist"),
    "57 ending": (["-o", "out.txt"], 2, "--output: unknown ending"),
    "57 picture ending": (["--png", "out.gif"], 2, "--png: unknown ending"),
    "57 one name twice": (["--png", "p.png", "--bare-png", "p.png"], 2, "two outputs have the same name"),
    "58 shape and spacing": (["--shape", "10x10", "--spacing", "1mm"], 2, "both --shape and --spacing"),
    "unit": (["--x", "-5MHz:5MHz"], 2, "cannot read '-5MHz' as a length"),
    "unit of speed": (["--sound-speed", "1.54mm"], 2, "cannot read '1.54mm' as a speed"),
    "method": (["--method", "mvdr"], 2, "unknown method"),
    "window": (["--window", "hann"], 2, "a hann window needs an f-number"),
    "interpolation": (["--interpolation", "sinc"], 2, "unknown interpolation"),
    "upsampling": (["--upsampling", "99"], 2, "upsampling: out of range"),
    "option of das": (["--method", "fourier", "--interpolation", "cubic"], 2, "method fourier has no such option"),
    "option of fourier": (["--band", "3MHz:7MHz"], 2, "method das has no such option"),
    "band": (["--method", "fourier", "--band", "3mm:7mm"], 2, "cannot read '3mm' as a frequency"),
    "band beyond the samples": (["--method", "fourier", "--band", "30MHz:40MHz"], 2, "nothing of this band"),
    "weighting": (["--method", "fourier", "--weighting", "none"], 2, "unknown weighting"),
    "angle": (["--method", "fourier", "--f-number", "0.1"], 2, "needs a limited angle"),
    "frame": (["--frames", "3"], 2, "no such frame (expected within 0..2, found 3)"),
    "frames": (["--frames", "1:9"], 2, "no such frame"),
    "many frames": (["--frames", "0:1000000000000"], 2, "no such frame"),
    "no frames": (["--frames", "2:1"], 2, "no such frame"),
    "frame words": (["--frames", "first"], 2, "cannot read 'first' as frames"),
    "memory": (["--max-gb", "1e-6"], 3, "GB"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_one_clear_line_and_writes_nothing(
    run: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    options, code, message = BAD[name]
    if code == 4 and device.gpu_obstacle() is None:
        pytest.skip("this machine has a usable GPU")
    monkeypatch.chdir(tmp_path)
    ended = run("beamform", recording, *([] if "-o" in options else ["-o", "out.h5"]), *options, "--json")
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert ended.err.splitlines()[-len(ended.errors) :] == ended.errors
    assert 1 <= len(ended.errors) <= 2
    assert not list(tmp_path.iterdir())


def test_any_output_that_exists_stops_all(run: Run, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "a_0002.h5").write_bytes(b"precious")
    ended = run("beamform", recording, "-o", tmp_path / "a.h5", *SMALL, "--frames", "0:3")
    assert ended.code == 2
    assert "a_0002.h5: the file exists" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["a_0002.h5"]
    assert (tmp_path / "a_0002.h5").read_bytes() == b"precious"


def test_a_single_column_has_no_bare_picture_and_leaves_nothing(run: Run, recording: Path, tmp_path: Path) -> None:
    outputs = ["-o", tmp_path / "a.h5", "--bare-png", tmp_path / "b.png"]
    ended = run("beamform", recording, *outputs, "--x", "-1mm:1mm", "--shape", "9x1")
    assert ended.code == 2
    assert "the pixels of a picture are equally spaced" in ended.err
    assert not list(tmp_path.iterdir())


def test_an_image_is_no_recording(run: Run, finished: tuple[Path, Done], tmp_path: Path) -> None:
    ended = run("beamform", finished[0] / "image.h5", "-o", tmp_path / "a.h5")
    assert (ended.code, ended.out) == (3, "")
    assert len(ended.errors) >= 1
    assert not list(tmp_path.iterdir())


# Ctrl-C

only_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child")


def interrupted(command: list[str | Path], ready: Path | None) -> subprocess.CompletedProcess[str]:
    """Start the program, wait until it works (and until `ready` is there), press Ctrl-C."""
    child = subprocess.Popen([PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    first = child.stderr.readline()
    deadline = time.monotonic() + 60
    while ready is not None and not ready.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    if ready is None:
        time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess(child.args, child.returncode, out, first + err)


@only_posix
def test_ctrl_c_keeps_the_old_file_and_leaves_no_other(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"precious")
    ended = interrupted(["beamform", recording, "-o", path, "--overwrite", "--shape", "2000x2000"], None)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert "usbeam: interrupted" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert path.read_bytes() == b"precious"


@only_posix
def test_ctrl_c_between_frames_leaves_whole_files_only(recording: Path, tmp_path: Path) -> None:
    command = ["beamform", recording, "-o", tmp_path / "a.h5", "--frames", "0:3", "--shape", "1500x1500"]
    ended = interrupted(command, tmp_path / "a_0000.h5")
    assert (ended.returncode, ended.stdout) == (130, ""), ended.stderr
    assert "Traceback" not in ended.stderr
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names in (["a_0000.h5"], ["a_0000.h5", "a_0001.h5"])
    for name in names:
        assert ub.load_image(tmp_path / name).data.any()
