"""The table of all cases at the end of a run, and the fixtures that they use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_inputs.cases import TOLD, Desk
from tests.beamforming.conftest import grid, matrix
from tests.cli.conftest import recording as points
from tests.cli.conftest import run
from tests.enhancers.networks import one_thread
from tests.io.conftest import unprivileged
from tests.io.recordings import small
from tests.train.conftest import _begun_once, begun  # pyright: ignore[reportPrivateUsage]
from usbeam import device
from usbeam.io import save

__all__ = ["_begun_once", "begun", "grid", "matrix", "one_thread", "points", "run", "unprivileged"]


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "recording.h5"
    save(small(), path)
    return path.read_bytes()


@pytest.fixture
def recording(_whole: bytes, tmp_path: Path) -> Path:
    """A small valid recording."""
    path = tmp_path / "recording.h5"
    path.write_bytes(_whole)
    return path


@pytest.fixture
def desk(tmp_path: Path, recording: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as patch:
        yield Desk(tmp_path, recording, patch, request.getfixturevalue)
    device.forget()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a person is told for each bad input."""
    told = sorted(
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == TOLD
    )
    if told:
        numbers = len({number for number, _, _ in told})
        terminalreporter.section(f"bad inputs: {numbers} cases in {len(told)} forms, and what is told")
        for number, title, line in told:
            terminalreporter.write_line(f"{number:3}  {title}: {line}")
