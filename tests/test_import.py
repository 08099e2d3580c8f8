"""Importing and asking for help cost little: nothing heavy is loaded before it is needed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import usbeam

HEAVY = {"numba", "llvmlite", "h5py", "matplotlib", "PIL", "scipy", "torch", "cupy", "tqdm", "typer", "psutil"}
PROGRAM = Path(sys.executable).with_name("usbeam")


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after running `code` in a fresh interpreter."""
    ask = f"{code}\nimport sys, json; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    found = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(json.loads(found.stdout))


def test_import_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("import usbeam")


def test_nouns_need_only_numpy() -> None:
    code = (
        "import usbeam as ub\n"
        "ub.Grid.linear(x=(-1, 1), z=(1, 2), shape=(3, 3)); ub.Probe.linear(4, 1e-3, 5e6)\n"
        "ub.Image; ub.subsets.first(8, 2)"
    )
    loaded = loaded_by(code)
    assert "numpy" in loaded
    assert not HEAVY & loaded


def test_the_command_line_loads_nothing_heavy_but_typer() -> None:
    assert HEAVY & loaded_by("import usbeam.cli.main") <= {"typer"}


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell the time of one child")
def test_help_takes_less_than_half_a_second() -> None:
    """Processor time of the installed program, which a busy machine does not stretch as it does the wall clock."""
    seconds = []
    for _ in range(3):
        child = subprocess.Popen([PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        assert b"beamform" in child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.communicate()
        assert child.returncode == 0
        seconds.append(used.ru_utime + used.ru_stime)
    assert statistics.median(seconds) < 0.5


@pytest.mark.parametrize("name", usbeam.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(usbeam, name) is not None
    assert name in dir(usbeam)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'usbeam' has no attribute 'beamforn'"):
        usbeam.beamforn  # noqa: B018


def test_python_m_usbeam_is_the_program() -> None:
    found = subprocess.run([sys.executable, "-m", "usbeam", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == f"usbeam {usbeam.__version__}\n"
    assert found.stderr == ""
