"""``usbeam enhance`` of folders, several files and several frames: one by one, named after their sources, and gone on
with; what cannot be enhanced does not stop the rest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usbeam as ub
from tests.enhancers.networks import one_thread, run_folder
from tests.enhancers.test_enhance import speckle
from usbeam import adaptation
from usbeam.recordings import looks_grid, trained_grid
from usbeam.train import inference

from .conftest import PROGRAM, Run, installed

__all__ = ["one_thread"]

SRAD = ("--with", "srad", "--set", "n_iterations=5")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three images, and what is none."""
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate("cab"):
        speckle(seed).save(folder / f"{name}.h5")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.h5").write_text("not looked at")
    (folder / "older").mkdir()
    speckle(9).save(folder / "older" / "d.h5")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of three frames, and one of two of which the first has a NaN."""
    probe = ub.Probe.linear(8, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    phantom = ub.simulate.phantoms.speckle(probe, x=(-2e-3, 2e-3), z=(7e-3, 10e-3), density=2)
    fired = ub.Transmits.elements(probe)
    one = ub.simulate.record(phantom, probe, fired, sampling_frequency=20e6, depth=(7e-3, 10e-3))
    samples = np.asarray(one.samples)
    noise = np.random.default_rng(0).normal(0, samples.std(), (2, *samples.shape[1:])).astype(np.float32)
    folder = tmp_path_factory.mktemp("recordings")
    one.replace(samples=np.concatenate([samples, samples + noise])).save(folder / "tissue.h5")
    one.replace(samples=np.concatenate([samples, samples])).save(folder / "noisy.h5")
    with h5py.File(folder / "noisy.h5", "r+") as file:
        dataset = file["samples"]
        assert isinstance(dataset, h5py.Dataset)
        dataset[0, 2, 3, 4] = np.nan
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def corrupt(folder: Path, images: Path) -> Path:
    """A copy of the images, one of which is cut in half, and one of which shows nothing."""
    shutil.copytree(images, folder)
    (folder / "b.h5").write_bytes((images / "b.h5").read_bytes()[:3000])
    black = ub.load_image(images / "a.h5")
    ub.Image(0 * black.data, black.grid).save(folder / "black.h5")
    return folder


# Folders and several files


def test_a_folder_as_installed(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "srad"
    done = installed("enhance", images, "-o", out, *SRAD, "--png", out, "--dynamic-range", "50")
    assert (done.code, done.err) == (0, "")
    assert names(out) == ["a.h5", "a.png", "b.h5", "b.png", "c.h5", "c.png"]
    assert done.out.startswith(f"{out}: 3 enhanced by srad in ")
    for name in "abc":
        found = ub.load_image(out / f"{name}.h5")
        wanted = ub.enhance(ub.load_image(images / f"{name}.h5"), "srad", n_iterations=5)
        np.testing.assert_array_equal(found.data, wanted.data)
        assert found.settings == wanted.settings


def test_several_files_as_json(run: Run, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("enhance", images / "c.h5", images / "a.h5", "-o", out, "--with", "median", "--json")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert [each["file"] for each in summary["results"]] == [str(images / "c.h5"), str(images / "a.h5")]
    assert [each["files"] for each in summary["results"]] == [[str(out / "c.h5")], [str(out / "a.h5")]]
    assert {each["method"] for each in summary["results"]} == {"median"}
    assert (summary["there"], summary["failed"], names(out)) == ([], [], ["a.h5", "c.h5"])
    assert summary["seconds"]["enhance"] > 0


def test_one_file_into_a_folder(run: Run, images: Path, tmp_path: Path) -> None:
    done = run("enhance", images / "a.h5", "-o", tmp_path, "--with", "median")
    assert done.out.startswith(f"{tmp_path / 'a.h5'}: 101 x 61 points, db, by median in ")
    assert names(tmp_path) == ["a.h5"]


def test_of_a_mixed_folder_what_the_method_takes(run: Run, images: Path, recordings: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(images / "a.h5", mixed)
    shutil.copy(recordings / "tissue.h5", mixed)
    done = run("enhance", mixed, "-o", tmp_path / "out", "--with", "median")
    assert done.code == 0
    assert done.err == f"usbeam: {mixed}: left out: 1 usbeam-channel-data\n"
    assert names(tmp_path / "out") == ["a.h5"]


def test_a_bad_file_is_told_and_does_not_stop_the_rest(run: Run, images: Path, tmp_path: Path) -> None:
    bad, out = corrupt(tmp_path / "bad", images), tmp_path / "out"
    done = run("enhance", bad, "-o", out, *SRAD)
    assert done.code == 3  # that of the first
    assert names(out) == ["a.h5", "c.h5"]
    assert done.errors[0].startswith(f"usbeam: error: {bad / 'b.h5'}: the file is cut off")
    assert f"usbeam: error: {bad / 'black.h5'}: image.data: the image is empty (found zero everywhere)" in done.errors
    assert done.out.startswith(f"{out}: 2 enhanced by srad in ")
    assert done.out.endswith(" s, 2 failed\n")

    again = run("enhance", bad, "-o", out, *SRAD, "--json")
    assert again.code == 3
    summary = json.loads(again.out)
    assert summary["there"] == [str(out / "a.h5"), str(out / "c.h5")]
    assert [each["file"] for each in summary["failed"]] == [str(bad / "b.h5"), str(bad / "black.h5")]
    assert "cut off" in summary["failed"][0]["error"]


def test_a_folder_of_one_bad_file(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.h5").write_text("no image")
    done = run("enhance", source, "-o", tmp_path / "out", *SRAD)
    assert (done.code, names(tmp_path / "out")) == (3, [])
    assert "not an HDF5 file but text" in done.errors[0]
    assert done.out.endswith("1 failed\n")


# Names


def test_nothing_is_computed_before_all_names_are_free(run: Run, images: Path, tmp_path: Path) -> None:
    for name in ("b.h5", "c.h5"):
        (tmp_path / name).write_text("mine")
    done = run("enhance", images, "-o", tmp_path, *SRAD)
    assert (done.code, done.out) == (2, "")
    assert done.errors[0].startswith(f"usbeam: error: {tmp_path / 'b.h5'}: the file exists")
    assert "2 such file(s)" in done.errors[0]
    assert "--overwrite" in done.errors[1]
    assert (names(tmp_path), (tmp_path / "c.h5").read_text()) == (["b.h5", "c.h5"], "mine")
    assert run("enhance", images, "-o", tmp_path, *SRAD, "--overwrite").code == 0
    assert names(tmp_path) == ["a.h5", "b.h5", "c.h5"]
    assert ub.load_image(tmp_path / "b.h5").state == "envelope"


def test_results_of_another_request_or_another_image_are_not_taken(run: Run, images: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(images, source)
    assert run("enhance", source, "-o", out, *SRAD).code == 0
    before = stamps(out)
    for changed in (
        ("--with", "srad", "--set", "n_iterations=6"),
        (*SRAD, "--dynamic-range", "50"),
        ("--with", "median"),
    ):
        done = run("enhance", source, "-o", out, *changed)
        assert (done.code, "3 such file(s)" in done.errors[0]) == (2, True)
    speckle(7).save(source / "a.h5", overwrite=True)
    done = run("enhance", source, "-o", out, *SRAD)
    assert done.errors[0].startswith(f"usbeam: error: {out / 'a.h5'}: the file exists")
    assert stamps(out) == before
    done = run("enhance", source, "-o", out, *SRAD, "--overwrite")
    assert " 1 enhanced by srad" in done.out
    assert ", 2 there before" in done.out
    wanted = ub.enhance(speckle(7), "srad", n_iterations=5)
    np.testing.assert_array_equal(ub.load_image(out / "a.h5").data, wanted.data)


def test_a_picture_that_is_missing_is_made(run: Run, images: Path, tmp_path: Path) -> None:
    command = ("enhance", images, "-o", tmp_path, *SRAD, "--png", tmp_path)
    assert run(*command).code == 0
    (tmp_path / "b.png").unlink()
    done = run(*command)
    assert (done.code, names(tmp_path)) == (0, ["a.h5", "a.png", "b.h5", "b.png", "c.h5", "c.png"])
    assert " 1 enhanced by srad" in done.out


def test_refusals(run: Run, images: Path, recordings: Path, network: Path, tmp_path: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    a, b = images / "a.h5", images / "b.h5"
    occupied = tmp_path / "file"
    occupied.write_text("mine")
    quality = ("--with", network, "--mode", "quality")
    for given, arguments, code, message in (
        (
            (empty,),
            SRAD,
            3,
            f"{empty}: nothing to enhance in this folder (expected files of format usbeam-image, found",
        ),
        ((recordings,), SRAD, 3, "nothing to enhance in this folder"),
        ((images,), quality, 3, "nothing to enhance in this folder (expected files of format usbeam-channel-data"),
        ((a, images / "older" / ".." / "a.h5"), SRAD, 2, "two results would have this name"),
        ((a, b), (*SRAD, "-o", occupied), 3, "is a file, not a folder"),
        ((a, b), (*SRAD, "-o", tmp_path / "one.h5"), 2, "--output: several results go into a folder"),
        ((a, b), (*SRAD, "--png", tmp_path / "one.png"), 2, "--png: several results go into a folder"),
        ((a, b), (*SRAD, "-o", images), 2, "is the image itself"),
        ((a, b), (*SRAD, "-o", occupied / "below"), 3, "file"),
        ((a, b), (*SRAD, "--frames", "0:2"), 2, "--frames: is for a recording"),
        ((a, b), quality, 2, "quality needs channel data"),
        ((recordings,), (*quality, "--x", "left"), 2, "cannot read 'left'"),
        ((recordings,), (*quality, "--frames", "all"), 2, "cannot read 'all' as frames"),
        ((recordings,), ("--with", "srad", "--adapt"), 2, "--adapt: is for trained networks"),
    ):
        before = names(tmp_path)
        output = () if "-o" in arguments else ("-o", out)
        done = run("enhance", *given, *output, *arguments)
        assert done.code == code, (arguments, done.err)
        assert message in done.errors[0], (arguments, done.err)
        assert sum(line.startswith("usbeam: error: ") for line in done.errors) == 1
        assert (done.out, names(tmp_path)) == ("", before), arguments


# Frames


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """The arguments of every call of a function, which still does what it did."""
    calls: list[Any] = []
    real = getattr(module, name)

    def call(*arguments: Any, **options: Any) -> Any:
        calls.append((arguments, options))
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, call)
    return calls


def test_frames_of_a_recording(
    run: Run, recordings: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = shutil.copytree(network, tmp_path / "run")
    out, loads = tmp_path / "out.h5", counted(monkeypatch, inference, "load")
    command = ("enhance", recordings / "tissue.h5", "-o", out, "--with", fresh, "--mode", "quality")
    done = run(*command, "--frames", "0:2", "--png", tmp_path / "out.png")
    assert done.code == 0, done.err
    frames = ["out_0000.h5", "out_0001.h5"]
    assert names(tmp_path) == ["out_0000.h5", "out_0000.png", "out_0001.h5", "out_0001.png", "run"]
    assert len(loads) == 1
    recording = ub.load(recordings / "tissue.h5")
    for frame, name in enumerate(frames):
        wanted = ub.enhance_recording(recording, fresh, frame=frame)
        np.testing.assert_array_equal(ub.load_image(tmp_path / name).data, wanted.data)
    assert (ub.load_image(tmp_path / frames[0]).data != ub.load_image(tmp_path / frames[1]).data).any()

    before = stamps(tmp_path)
    done = run(*command, "--frames", ":", "--json")
    summary = json.loads(done.out)
    assert summary["there"] == [str(tmp_path / name) for name in frames]
    assert [(each["frame"], each["files"]) for each in summary["results"]] == [(2, [str(tmp_path / "out_0002.h5")])]
    assert before.items() <= stamps(tmp_path).items()
    other = run(*command, "--frames", "1:3")  # whose grid would be that of another frame
    assert (other.code, "2 such file(s)" in other.errors[0]) == (2, True)

    assert run(*command, "--json").code == 0  # the first frame if none is asked for, as `usbeam beamform` does
    np.testing.assert_array_equal(ub.load_image(out).data, ub.load_image(tmp_path / frames[0]).data)


def test_a_bad_frame_does_not_stop_the_others(run: Run, recordings: Path, network: Path, tmp_path: Path) -> None:
    command = ("enhance", recordings, "-o", tmp_path, "--with", network, "--mode", "quality", "--frames", ":")
    done = run(*command, "--json")
    assert done.code == 3
    assert names(tmp_path) == ["noisy_0001.h5", *(f"tissue_000{frame}.h5" for frame in range(3))]
    (failed,) = json.loads(done.out)["failed"]
    assert (failed["file"], failed["frame"]) == (str(recordings / "noisy.h5"), 0)
    assert "not finite" in failed["error"]


def test_a_recording_that_lacks_a_frame(run: Run, recordings: Path, network: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("enhance", recordings, "-o", out, "--with", network, "--mode", "quality", "--frames", "2")
    assert (done.code, names(out)) == (2, ["tissue.h5"])
    assert done.errors[0].startswith(f"usbeam: error: {recordings / 'noisy.h5'}: --frames: no such frame")


def test_adapted_once_for_all_frames(
    run: Run, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = run_folder(tmp_path / "run", spacing=[5e-5, 2.5e-5])  # columns enough to hold out a part of the field
    quick = {"epochs": 1, "steps_per_epoch": 2, "crop": (32, 32), "warm_up": 1}
    monkeypatch.setattr(adaptation, "ROUND", quick)
    calls = counted(monkeypatch, adaptation, "adapt")
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(recordings / "tissue.h5", source)
    done = run("enhance", source, "-o", tmp_path / "out", "--with", network, "--adapt", "--frames", ":", "--json")
    assert done.code == 0, done.err
    assert [options["frames"] for _, options in calls] == [[0, 1, 2]]
    (folder,) = (source / "tissue.h5.usbeam-adapted").iterdir()
    assert [each["adapted"] for each in json.loads(done.out)["results"]] == 3 * [str(folder)]
    recording, found = ub.load(source / "tissue.h5"), ub.load_image(tmp_path / "out" / "tissue_0002.h5")
    assert found.grid == trained_grid(recording, folder, frame=0)  # one grid for all frames
    wanted = ub.enhance_recording(recording, folder, found.grid, frame=2)
    np.testing.assert_array_equal(found.data, wanted.data)

    whole = looks_grid(recording, network)
    z = whole.z[0], whole.z[0] + 0.8 * np.ptp(whole.z)
    part = ("-o", tmp_path / "part.h5", f"--z={z[0] * 1e3}mm:{z[1] * 1e3}mm")
    done = run("enhance", source / "tissue.h5", *part, "--with", network, "--adapt")
    assert done.code == 0, done.err
    (_, _, grid), _ = calls[-1]  # looks are made where the image is
    wanted_grid = ub.Grid.spaced(x=(whole.x[0], whole.x[-1]), z=z, spacing=whole.spacing)
    np.testing.assert_allclose(grid.x, wanted_grid.x)
    np.testing.assert_allclose(grid.z, wanted_grid.z)


def test_what_holds_for_all_is_warned_of_once(
    run: Run, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = run_folder(tmp_path / "run", spacing=[3e-4, 4e-4])
    assert run("enhance", images, "-o", tmp_path / "out", "--with", other).code == 0
    assert len([record for record in caplog.records if "trained on 300 µm x 400 µm" in record.message]) == 1


# One by one


def slow(images: Path, out: Path) -> Sequence[str | Path]:
    return ("enhance", images, "-o", out, "--with", "srad", "--set", "n_iterations=5000")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one child")
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_on_after_an_interruption(run: Run, images: Path, tmp_path: Path, kill: signal.Signals) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen([PROGRAM, *slow(images, out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 100
    while not (out / "a.h5").exists() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(child.pid, kill)
    told, err = child.communicate(timeout=60)
    assert told == ""
    before = {name: stamp for name, stamp in stamps(out).items() if name.endswith(".h5")}
    assert sorted(before) in (["a.h5"], ["a.h5", "b.h5"])
    if kill == signal.SIGINT:
        assert child.returncode == 130
        assert "usbeam: the results that are made stay; the same command goes on with the others" in err
        assert stamps(out) == before
    done = run(*slow(images, out))
    assert done.code == 0
    assert f"{3 - len(before)} enhanced by srad" in done.out
    assert f", {len(before)} there before" in done.out
    assert before.items() <= stamps(out).items()
    for name in "abc":
        wanted = ub.enhance(ub.load_image(images / f"{name}.h5"), "srad", n_iterations=5000)
        np.testing.assert_array_equal(ub.load_image(out / f"{name}.h5").data, wanted.data)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
def test_on_a_terminal_one_bar_runs_over_all(images: Path, tmp_path: Path) -> None:
    import pty
    import termios

    bad = corrupt(tmp_path / "bad", images)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [PROGRAM, "enhance", bad, "-o", tmp_path / "out", *SRAD]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    talk = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        talk += part
    os.close(ours)
    assert child.communicate(timeout=60)[0].endswith(b"2 failed\n")
    assert child.returncode == 3
    shown = [float(each) for each in re.findall(rb"srad: +(\d+)%", talk)]
    assert shown[0] == 0
    assert shown == sorted(shown)
    assert talk.count(b"usbeam: error: ") == 2
