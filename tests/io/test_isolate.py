"""Reading in a child process: a crash, a hang and a bloat there are ordinary errors here."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

import pytest

from tests.io.test_channel_data import drop, put, spoil
from usbeam.errors import FileFormatError, MissingField, TooLarge, UsbeamError
from usbeam.io import isolate, validate


def crashes(path: str) -> str:
    """As a library does that follows a damaged pointer."""
    ctypes.string_at(0)
    return path


def aborts(path: str) -> str:
    """As the HDF5 library does where one of its own checks fails."""
    ctypes.CDLL(None).abort()
    return path


def hangs(path: str) -> str:
    while True:
        time.sleep(1)


def bloats(path: str) -> int:
    return len(bytearray(2**31)) + len(path)


def raises(path: str) -> None:
    raise MissingField("nothing there", path=path, location="/a", expected="b", found="c", hint="d")


def fails(path: str) -> None:
    raise KeyError(path)


def chatters(path: str) -> list[str]:
    """Prints, from Python and from C, what could be taken for an answer."""
    print('{"value": 1, "error": null}', flush=True)
    os.write(1, b"more")
    return [path, str(os.getpid())]


def test_a_value_comes_back() -> None:
    value = isolate.run(chatters, "a.h5")
    assert value[0] == "a.h5"
    assert value[1] != str(os.getpid())


ENDS = {
    crashes: (FileFormatError, "the process that read it crashed (SIGSEGV)"),
    aborts: (FileFormatError, "the process that read it crashed (SIGABRT)"),
    fails: (FileFormatError, "reading it failed with KeyError: 'a.h5'"),
    bloats: (TooLarge, "reading it took more than 0.268 GB"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="signals and limits as Linux has them")
@pytest.mark.parametrize("job", ENDS, ids=lambda job: job.__name__)
def test_every_end_is_an_ordinary_error(job: object) -> None:
    kind, line = ENDS[job]
    with pytest.raises(UsbeamError) as caught:
        isolate.run(job, "a.h5", memory=2**28)
    assert type(caught.value) is kind
    assert str(caught.value) == f"a.h5: {line}"
    assert caught.value.exit_code == 3


def test_a_hang_ends() -> None:
    begin = time.monotonic()
    with pytest.raises(FileFormatError, match=r"a\.h5: reading it took more than 2 s"):
        isolate.run(hangs, "a.h5", seconds=2)
    assert time.monotonic() - begin < 12


def test_errors_come_back_whole() -> None:
    with pytest.raises(MissingField) as caught:
        isolate.run(raises, "a.h5")
    assert str(caught.value) == "a.h5: /a: nothing there (expected b, found c)"
    assert caught.value.hint == "d"


def test_the_same_findings(recording: Path) -> None:
    for change in (drop("start_time"), put("sound_speed", -1.0)):
        spoil(recording, change)
    found = isolate.validate(recording, full=True)
    assert found == validate(recording, full=True)
    assert len(found) > 1
