"""The tree of errors: what they say, what they are, and which exit code they end a command with."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbeam import errors
from usbeam.errors import BadField, FileAccessError, UsbeamError, printable

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, UsbeamError)]
CODES = {
    "FileAccessError": (3, OSError),
    "FileFormatError": (3, ValueError),
    "NotHDF5": (3, ValueError),
    "TruncatedFile": (3, ValueError),
    "UnsupportedVersion": (3, ValueError),
    "MissingField": (3, ValueError),
    "BadField": (3, ValueError),
    "UnsafeFile": (3, ValueError),
    "TooLarge": (3, ValueError),
    "ChecksumMismatch": (3, ValueError),
    "GeometryError": (2, ValueError),
    "ConfigError": (2, ValueError),
    "MeasurementError": (1, ValueError),
    "OutputExists": (2, ValueError),
    "DeviceError": (4, RuntimeError),
    "DeviceUnavailable": (4, RuntimeError),
    "DeviceOutOfMemory": (4, RuntimeError),
    "CheckpointError": (3, UsbeamError),
    "TrainingDiverged": (5, UsbeamError),
    "UsbeamError": (1, Exception),
}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_its_place_and_exit_code(kind: type[UsbeamError]) -> None:
    code, base = CODES[kind.__name__]
    assert kind.exit_code == code
    assert issubclass(kind, base)
    assert issubclass(kind, UsbeamError)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_says_all_it_knows_in_one_line(kind: type[UsbeamError]) -> None:
    error = kind(
        "wrong shape",
        path=Path("a.h5"),
        location="/transmit/delays",
        expected=(64, 64),
        found=(64, 63),
        hint="transpose it",
    )
    assert str(error) == "a.h5: /transmit/delays: wrong shape (expected (64, 64), found (64, 63))"
    assert error.hint == "transpose it"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.hint, copy.path) == (str(error), error.hint, os.fspath(Path("a.h5")))


def test_parts_that_are_not_given_leave_no_trace() -> None:
    assert str(UsbeamError("no frame")) == "no frame"
    assert str(UsbeamError("no frame", path="a.h5")) == "a.h5: no frame"
    assert str(UsbeamError("no frame", expected=0)) == "no frame (expected 0)"
    assert str(UsbeamError("no frame", found=False)) == "no frame (found False)"
    assert str(FileAccessError("is a folder", path="a")) == "a: is a folder"


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_text_of_a_file_cannot_break_the_line_or_steer_the_terminal(what: str, location: str, found: str) -> None:
    line = str(BadField(f"a{what}", location=location, found=found))
    assert line.isprintable()
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(("text", "shown"), [("\x1b[2J", "\ufffd[2J"), ("a\x00b", "a\ufffdb"), ("Müller", "Müller")])
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_errors_import_nothing_of_usbeam() -> None:
    code = "import sys, usbeam.errors; print(sorted(m for m in sys.modules if m.startswith('usbeam')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['usbeam', 'usbeam.errors']"
