"""The program as a whole: its errors, exit codes, talk and data, and how it takes Ctrl-C and a closed pipe."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import usbeam as ub
from usbeam import device
from usbeam.cli import main
from usbeam.cli.bench import BENCHMARKS, _load

from .conftest import PROGRAM, Run, installed


def test_version_and_help(run: Run) -> None:
    assert run("--version").out == f"usbeam {ub.__version__}\n"
    shown = run("-h")
    assert shown.code == 0
    for command in ("simulate", "info", "validate", "convert", "beamform", "doctor", "warmup", "bench", "demo"):
        assert command in shown.out
    assert "beamform" in run().out + run().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["beamfrom"],
        ["beamform"],
        ["doctor", "--fast"],
        ["bench", "--repeats", "0"],
        ["bench", "nothing"],
        ["bench", "das", "--figure", "das.png"],
    ],
)
def test_usage_errors_are_exit_code_2(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err
    assert "Traceback" not in ended.err


def test_an_error_is_one_line_and_a_hint(run: Run, tmp_path: Path) -> None:
    ended = run("info", tmp_path / "missing.h5")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(f"usbeam: error: {tmp_path / 'missing.h5'}: ")
    assert ended.err.splitlines() == ended.errors


def test_the_installed_program_ends_with_the_same_code(recording: Path, tmp_path: Path) -> None:
    """A file cut in half: exit code 3, one line, nothing on stdout, nothing written."""
    cut = tmp_path / "cut.h5"
    cut.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    ended = installed("beamform", cut, "-o", tmp_path / "out.h5")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines() == ended.errors
    assert str(cut) in ended.err
    assert "the file is cut off" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["cut.h5"]


def test_tracebacks_are_for_those_who_ask(run: Run, tmp_path: Path) -> None:
    arguments = ["info", str(tmp_path / "missing.h5")]
    for flags in ([], ["-v"], ["-q"]):
        assert "Traceback" not in run(*flags, *arguments).err
    ended = run("-vv", *arguments)
    assert ended.err.startswith("Traceback (most recent call last):")
    assert ended.code == 3
    assert len(ended.errors) >= 1


def test_doctor_tells_what_is_there(run: Run) -> None:
    report = json.loads(run("doctor", "--json").out)
    assert report["usbeam"] == ub.__version__
    assert report["gpu"] == str(device.gpu_obstacle() or "usable")
    lines = run("doctor").out.splitlines()
    assert len(lines) == len(report)
    for line, (name, value) in zip(lines, report.items(), strict=True):
        assert line.startswith(name)
        if not name.endswith("memory"):
            assert line.endswith(value)


@pytest.mark.slow
def test_warmup_compiles(run: Run) -> None:
    ended = run("-q", "warmup", "--json")
    assert ended.code == 0
    assert ended.err == ""
    assert json.loads(ended.out)["seconds"] > 0


@pytest.mark.slow
def test_warmup_keeps_every_kernel(tmp_path: Path) -> None:
    environment = {**os.environ, "USBEAM_NUMBA_CACHE": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([PROGRAM, "warmup", "--json"], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [ended.stderr for ended in runs] == ["", ""]  # Numba warns of what it cannot cache
    cold, warm = (json.loads(ended.stdout)["seconds"] for ended in runs)
    assert warm < cold / 4


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_are_found(name: str) -> None:
    module = _load(name)
    assert callable(module.run)
    assert callable(module.report)


@pytest.mark.skipif(os.name == "nt", reason="pipes close differently on Windows")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("arguments", [["--version"], ["doctor", "--json"]])
def test_a_closed_stdout_is_quiet(arguments: list[str], buffered: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    if not buffered:
        environment["PYTHONUNBUFFERED"] = "1"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [PROGRAM, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=environment
    )
    os.close(writing)
    assert ended.stderr == ""
    assert ended.returncode == 1


def test_ctrl_c_in_a_callback_from_c_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops it there, and Numba compiles in such callbacks; it must come back."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    callback = ctypes.CFUNCTYPE(None)(interrupt)

    def work() -> None:
        callback()
        for _ in range(1000):
            time.sleep(0.01)

    monkeypatch.setattr(sys, "unraisablehook", main._interrupt_again)
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.perf_counter() - start < 5


def test_other_exceptions_in_callbacks_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(sys, "unraisablehook", main._interrupt_again)
    ctypes.CFUNCTYPE(None)(broken)()
    assert "ZeroDivisionError: broken" in capsys.readouterr().err


def test_a_ctrl_c_inside_compiled_code_is_a_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Numba's dispatcher turns it into a SystemError whose cause is the interrupt."""
    from usbeam.cli import main

    def wrapped() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise SystemError("returned a result with an exception set") from interrupt

    monkeypatch.setattr(main, "app", wrapped)
    with pytest.raises(SystemExit) as left:
        main.run()
    assert left.value.code == 130
    assert "interrupted" in capsys.readouterr().err


def test_another_system_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    from usbeam.cli import main

    def broken() -> None:
        raise SystemError("something else")

    monkeypatch.setattr(main, "app", broken)
    with pytest.raises(SystemError, match="something else"):
        main.run()
