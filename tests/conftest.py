"""What every test shares: where the real recordings are, and how many of their tests ran."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Where a run decides something, the same examples every time; elsewhere new ones, which may find something new.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell that starts the tests in the background has them ignore Ctrl-C, and programs that they start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(os.environ.get("USBEAM_REAL_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        choices=("auto", "cpu", "gpu", "host"),
        default="auto",
        help="what device auto means in this run; host: CUDA on the host, for tests that start no other process",
    )


@pytest.fixture(scope="session", autouse=True)
def _device(request: pytest.FixtureRequest) -> Iterator[None]:
    """The whole run on one device."""
    from tests.cuda import host

    chosen = request.config.getoption("--device")
    with pytest.MonkeyPatch.context() as patch:
        if chosen == "host":
            host.install(patch)
        if chosen != "auto":
            patch.setenv("USBEAM_DEVICE", "gpu" if chosen == "host" else chosen)
        yield


@pytest.fixture
def gpu() -> Iterator[Any]:
    """CuPy on this machine's GPU; where there is none, CUDA on the host (`tests.cuda.host`) in its place."""
    from tests.cuda import host
    from usbeam import device

    if device.gpu_obstacle() is None:
        import cupy

        yield cupy
    else:
        with pytest.MonkeyPatch.context() as patch:
            yield host.install(patch)
        host.forget()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips where it is missing."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real recordings at {REAL_DATA}; set USBEAM_REAL_DATA to their folder")
    return REAL_DATA


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests on real recordings ran, so that a green run cannot hide that none did."""
    counts = {
        outcome: sum("real_data" in report.keywords for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed", "skipped")
    }
    line = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    terminalreporter.write_line(f"tests on real recordings ({REAL_DATA}): {line}")
