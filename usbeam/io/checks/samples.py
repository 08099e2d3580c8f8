"""Whether samples look like echoes: what can only be known by reading them.

One pass gathers `SampleStatistics`; the checks are questions asked of these.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from usbeam.acquisition import ABSENT
from usbeam.errors import ChecksumMismatch, FileFormatError
from usbeam.io import safe
from usbeam.io.findings import Finding, Importance
from usbeam.io.structure import Contents

CLIPPED_SHARE = 1e-3
"""Share of samples at the highest or lowest value above which a recording is called clipped."""
CLIPPED_COUNT = 16
"""How many there must be of them: the peak of a single echo is not clipping."""
_SHOWN = 8


@dataclass
class SampleStatistics:
    """What one pass over samples leaves behind. Elements are told apart, not receive slots.

    Parameters
    ----------
    elements : (n,)
        Numbers of the elements that received something.
    """

    elements: npt.NDArray[np.int64]
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    high: float = -np.inf
    low: float = np.inf
    at_high: int = 0
    at_low: int = 0
    absent_filled: int = 0
    nonfinite: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    damaged: list[tuple[int, int, FileFormatError]] = field(default_factory=list[tuple[int, int, FileFormatError]])

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.element_high = np.full(len(self.elements), -np.inf)
        self.element_low = np.full(len(self.elements), np.inf)
        self.element_digests = [hashlib.blake2b(digest_size=16) for _ in self.elements]

    def add(self, frame: int, transmit: int, traces: npt.NDArray[Any], receivers: npt.NDArray[np.int64]) -> None:
        """Take in the ``(n_rx, n_samples)`` traces of one transmit; `receivers` are their elements or `ABSENT`."""
        little = np.ascontiguousarray(traces, dtype=traces.dtype.newbyteorder("<"))
        self.sha256.update(little.data)
        numbers = traces.view(np.float32) if traces.dtype.kind == "c" else traces
        finite = np.isfinite(numbers)
        if not finite.all():
            self.nonfinite[frame, transmit] = int((~finite).sum())
            numbers = np.where(finite, numbers, 0)
        present = receivers != ABSENT
        places = np.searchsorted(self.elements, receivers[present])
        self.absent_filled += int(numbers[~present].any(axis=1).sum())
        for place, trace in zip(places, little[present], strict=True):
            self.element_digests[place].update(transmit.to_bytes(4, "little") + trace.tobytes())
        numbers = numbers[present]
        if not numbers.size:
            return
        high, low = numbers.max(axis=1), numbers.min(axis=1)
        np.maximum.at(self.element_high, places, high)
        np.minimum.at(self.element_low, places, low)
        self._count_extremes(numbers, float(high.max()), float(low.min()))
        self.count += numbers.size
        self.total += float(numbers.sum(dtype=np.float64))
        self.squares += float(np.square(numbers, dtype=np.float64).sum())

    def _count_extremes(self, numbers: npt.NDArray[Any], high: float, low: float) -> None:
        """Count the samples at the highest and at the lowest value of all."""
        if high >= self.high:
            count = int(np.count_nonzero(numbers == high))
            self.at_high = count + (self.at_high if high == self.high else 0)
            self.high = high
        if low <= self.low:
            count = int(np.count_nonzero(numbers == low))
            self.at_low = count + (self.at_low if low == self.low else 0)
            self.low = low


def gather(file: h5py.File, header: Contents, *, full: bool) -> SampleStatistics:
    """Read the first frame, or all if `full`, transmit by transmit; damaged ones are noted and left out."""
    n_frames, n_tx, n_rx = (header.dimensions[name] for name in ("n_frames", "n_tx", "n_rx"))
    receivers = np.broadcast_to(header.values.get("/receive/element_index", np.arange(n_rx)), (n_tx, n_rx))
    statistics = SampleStatistics(np.setdiff1d(receivers, [ABSENT]))
    dataset = safe.open_dataset(file, "samples")
    dtype = np.dtype(header.values["/samples:dtype"])
    needed = math.prod(dataset.shape[2:]) * dtype.itemsize + safe.chunk_bytes(dataset)
    safe.check_memory(needed, path=file.filename, location="/samples")
    for frame in range(n_frames if full else 1):
        for transmit in range(n_tx):
            try:
                with safe.guard(file.filename, f"/samples frame {frame}, transmit {transmit}"):
                    traces = np.asarray(dataset[frame, transmit]).astype(dtype, copy=False)
            except FileFormatError as error:
                statistics.damaged.append((frame, transmit, error))
            else:
                statistics.add(frame, transmit, traces, receivers[transmit])
    return statistics


def sample_findings(statistics: SampleStatistics, header: Contents) -> Iterator[Finding]:
    """What the samples that were read say about the recording."""
    for frame, transmit, error in statistics.damaged[:_SHOWN]:
        yield Finding.of(error, f"/samples frame {frame}, transmit {transmit}")
    if len(statistics.damaged) > _SHOWN:
        yield _finding("ERROR", f"{len(statistics.damaged) - _SHOWN} more transmits cannot be read")
    for (frame, transmit), count in list(statistics.nonfinite.items())[:_SHOWN]:
        yield _finding(
            "ERROR",
            f"{count} sample(s) not finite",
            f"/samples frame {frame}, transmit {transmit}",
            hint='load(..., on_nonfinite="zero") takes them as zero',
        )
    if len(statistics.nonfinite) > _SHOWN:
        yield _finding("ERROR", f"{len(statistics.nonfinite) - _SHOWN} more transmits hold samples that are not finite")
    if statistics.absent_filled:
        yield _finding(
            "WARNING",
            f"{statistics.absent_filled} trace(s) hold samples although /receive/element_index marks them absent",
            expected="zeros",
        )
    if not statistics.count:
        return
    if statistics.high == statistics.low:
        what = "zero" if statistics.high == 0 else f"{statistics.high:g}"
        yield _finding("ERROR", f"every sample is {what}", hint="check what was exported")
        return
    yield from _channel_findings(statistics)
    yield from _level_findings(statistics, header)


def _channel_findings(statistics: SampleStatistics) -> Iterator[Finding]:
    """Elements that heard nothing, one constant value, or exactly what their neighbour heard."""
    flat = statistics.element_high == statistics.element_low
    dead = statistics.elements[flat & (statistics.element_high == 0)]
    constant = statistics.elements[flat & (statistics.element_high != 0)]
    if dead.size:
        yield _finding("WARNING", f"{dead.size} element(s) received only zeros: {_list(dead)}")
    if constant.size:
        yield _finding("WARNING", f"{constant.size} element(s) received one constant value: {_list(constant)}")
    heard = np.isfinite(statistics.element_high) & ~flat
    digests = [digest.digest() for digest in statistics.element_digests]
    twins = [int(statistics.elements[n]) for n in range(1, len(digests)) if heard[n] and digests[n] == digests[n - 1]]
    if twins:
        yield _finding("HINT", f"{len(twins)} element(s) received exactly what their neighbour did: {_list(twins)}")


def _level_findings(statistics: SampleStatistics, header: Contents) -> Iterator[Finding]:
    """Clipping, and a constant part that stands above the echoes."""
    clipped = max(statistics.at_high, statistics.at_low)
    share = clipped / statistics.count
    coarse = header.values["/samples:dtype"] == "int16" and statistics.high - statistics.low < 64
    if share > CLIPPED_SHARE and clipped >= CLIPPED_COUNT and not coarse:
        yield _finding(
            "WARNING",
            "the samples look clipped",
            expected=f"at most {CLIPPED_SHARE:.1%} of them at the highest or lowest value",
            found=f"{share:.1%}",
            hint="less gain; near echoes that clip do not matter for deeper ones",
        )
    mean = statistics.total / statistics.count
    spread = np.sqrt(max(statistics.squares / statistics.count - mean**2, 0.0))
    level = mean + header.values.get("/samples:offset", 0.0) / (header.values.get("/samples:scale") or 1.0)
    if abs(level) > spread and header.values.get("/samples:kind") == "rf":
        yield _finding(
            "WARNING",
            "a constant part stands above the echoes",
            expected="a mean near 0",
            found=f"mean {level:.3g}, standard deviation {spread:.3g}",
            hint="subtract the mean, or give it as the offset",
        )


def checksum_findings(statistics: SampleStatistics, sha256: str | None) -> Iterator[Finding]:
    """Whether the samples of a file that was read whole are those that were written."""
    if sha256 is None:
        yield _finding("HINT", "not given: changes to the samples cannot be seen", "/:sha256_samples")
    elif not statistics.damaged and statistics.sha256.hexdigest() != sha256.lower():
        yield _finding(
            "ERROR",
            "the samples are not those that were written",
            "/:sha256_samples",
            expected=sha256,
            found=statistics.sha256.hexdigest(),
            error=ChecksumMismatch,
        )


def _finding(importance: str, message: str, location: str = "/samples", **others: Any) -> Finding:
    return Finding(importance=Importance(importance), location=location, message=message, **others)


def _list(indices: npt.NDArray[np.int64] | list[int]) -> str:
    shown = ", ".join(str(int(index)) for index in indices[:_SHOWN])
    return shown + (", ..." if len(indices) > _SHOWN else "")
