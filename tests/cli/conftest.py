"""The program: in this process where that is equal, as installed where it is not."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from tests.beamforming.conftest import probe, record

PROGRAM = Path(sys.executable).with_name("usbeam")


@dataclass
class Done:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that are an error or its hint."""
        return [line for line in self.err.splitlines() if line.startswith(("usbeam: error: ", "hint: "))]


Run = Callable[..., Done]


def installed(*arguments: str | Path) -> Done:
    """Run the console script in a process of its own."""
    found = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)
    return Done(found.returncode, found.stdout, found.stderr)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same entry point as the console script's, without the seconds that a new process takes to compile."""
    from usbeam.cli import main

    def run(*arguments: str | Path) -> Done:
        with monkeypatch.context() as patch, warnings.catch_warnings():
            # What the program sets for its whole process is set back.
            patch.setattr(sys, "argv", ["usbeam", *map(str, arguments)])
            patch.setattr(sys, "unraisablehook", sys.unraisablehook)
            patch.setattr(logging.getLogger("usbeam"), "level", logging.NOTSET)
            warnings.simplefilter("default")
            capsys.readouterr()
            with pytest.raises(SystemExit) as leaving:
                main.run()
        text = capsys.readouterr()
        code = leaving.value.code
        assert isinstance(code, int | None)
        return Done(code or 0, text.out, text.err)

    return run


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 16 x 16 traces in three frames, of strength 1, 2 and 3."""
    array = probe()
    one = record(ub.Transmits.elements(array), array)
    samples = np.concatenate([k * np.asarray(one.samples) for k in (1, 2, 3)]).astype(np.float32)
    path = tmp_path_factory.mktemp("recording") / "points.h5"
    ub.save(one.replace(samples=samples), path)
    return path
