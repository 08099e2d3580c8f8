"""Spoil files and read them: what comes out, how long it takes, how much memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.fields import opened
from tests.fuzz.mutations import of_bytes, of_fields
from tests.fuzz.samples import SAMPLES, Sample
from usbeam.errors import UsbeamError

MAX_SECONDS = 2.0
MAX_BYTES = 500 * 10**6


@dataclass
class Tally:
    """What was seen in a run.

    Parameters
    ----------
    files, refused
        How many files, and how many of them raised a `UsbeamError`.
    seconds, nbytes
        Longest time and most memory that one file took.
    """

    files: int = 0
    refused: int = 0
    seconds: float = 0.0
    nbytes: int = 0

    def __str__(self) -> str:
        slowest, most = f"slowest {self.seconds:.3f} s", f"most memory {self.nbytes / 1e6:.1f} MB"
        return f"{self.files} files, {self.refused} refused, {slowest}, {most}"

    def __add__(self, other: Tally) -> Tally:
        slower, larger = max(self.seconds, other.seconds), max(self.nbytes, other.nbytes)
        return Tally(self.files + other.files, self.refused + other.refused, slower, larger)


def spoil(name: str, files: int, number: int = 0) -> Tally:
    """Read so many spoilt files of one sample.

    Parameters
    ----------
    name
        One of `SAMPLES`.
    files
        How many.
    number
        Seed: which ones.

    Raises
    ------
    AssertionError
        For a file that takes too long or too much memory.
    Exception
        Whatever reading raised that is no `UsbeamError`; Hypothesis says with which mutations.
    """
    sample, tally = SAMPLES[name], Tally()
    of_either = st.one_of(of_fields, of_bytes) if sample.has_fields else of_bytes
    phases = (Phase.generate, Phase.shrink)
    checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

    @seed(number)
    @settings(max_examples=files, deadline=None, database=None, phases=phases, suppress_health_check=checks)
    @given(of_either)
    def one(mutations: list[Callable[..., object]]) -> None:
        path = Path(folder) / f"spoilt{sample.ending}"
        spoilt(sample, path, mutations)
        measured(sample, path, tally)

    with tempfile.TemporaryDirectory() as folder:
        one()
    return tally


def spoilt(sample: Sample, path: Path, mutations: list[Callable[..., object]]) -> None:
    """Write the sample's file with some of its fields, or of its bytes, changed."""
    path.write_bytes(sample.content)
    by_bytes = [each for each in mutations if each.__qualname__.startswith(("truncated", "flipped"))]
    by_fields = [each for each in mutations if each not in by_bytes]
    with warnings.catch_warnings(), contextlib.suppress(NotWritable):
        warnings.simplefilter("ignore")  # from casting in a mutation
        if by_fields:
            variables = sample.variables() if sample.variables else None
            with not_writable(), opened(path, variables, sample.write) as fields:
                for each in by_fields:
                    each(fields)
    for each in by_bytes:
        path.write_bytes(each(path.read_bytes()))


class NotWritable(Exception):
    """The library that writes a format refuses what a mutation made."""


@contextlib.contextmanager
def not_writable() -> object:
    try:
        yield
    except (TypeError, ValueError, KeyError, OSError, RuntimeError) as error:
        raise NotWritable from error


def measured(sample: Sample, path: Path, tally: Tally) -> None:
    """Read one file; once more if it took too long, because others use this machine too."""
    tally.files += 1
    for last in (False, True):
        before = _rss_from_now_on()
        begin = time.perf_counter()
        refused = _refuses(sample, path)
        seconds, nbytes = time.perf_counter() - begin, _highest_rss() - before
        if last or seconds < MAX_SECONDS:
            break
    tally.refused += refused
    tally.seconds, tally.nbytes = max(tally.seconds, seconds), max(tally.nbytes, nbytes)
    assert seconds < MAX_SECONDS, f"{seconds:.1f} s"
    assert nbytes < MAX_BYTES, f"{nbytes / 1e6:.0f} MB"


def _refuses(sample: Sample, path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)  # what the file has beyond the contract
        line = None
        try:
            sample.read(path)
        except UsbeamError as error:
            line = str(error)
    assert line is None or line.isprintable()
    return line is not None


def _rss_from_now_on() -> int:
    """Memory of this process now; the system begins to note the highest anew, where it can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return psutil.Process().memory_info().rss


def _highest_rss() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return psutil.Process(os.getpid()).memory_info().rss
