"""Everything that is wrong with a file, at once: structure, physics and, on request, every stored byte."""

from __future__ import annotations

import os
from collections.abc import Iterator

import h5py

from usbeam.errors import FileFormatError
from usbeam.io import safe
from usbeam.io.channel_data import read_recording
from usbeam.io.checks.samples import checksum_findings, gather, sample_findings
from usbeam.io.findings import Finding, Importance
from usbeam.io.identify import find_spec
from usbeam.io.spec import Spec, load_spec
from usbeam.io.structure import read_contents
from usbeam.io.values import check_value


def validate(path: str | os.PathLike[str], *, full: bool = False, max_gb: float | None = None) -> list[Finding]:
    """Check a recording, an image or a pairs file.

    Three layers: the structure that its contract in ``data_specs`` asks for; whether header and first frame make
    physical sense; and, if `full`, every stored byte: checksums, finite samples, ``sha256_samples``.

    Parameters
    ----------
    path
        The file.
    full
        Whether to read all of it.
    max_gb
        See `usbeam.io.load`.

    Returns
    -------
    list of Finding
        Errors first; empty if nothing was found. A recording without an ERROR at its header loads.

    Raises
    ------
    FileAccessError, FileFormatError
        If the file cannot be opened safely, or is not a usbeam file, so that nothing can be said about its content.

    Examples
    --------
    >>> import usbeam as ub
    >>> for finding in ub.validate("recording.h5"):  # doctest: +SKIP
    ...     print(finding)
    WARNING /probe/center_frequency above half the sampling frequency (expected at most 3.3e+06 Hz, found 5e+06 Hz)
    """
    with safe.safe_open(path, max_gb=max_gb) as file:
        spec = find_spec(file)
        if spec == load_spec("channel_data"):
            findings = list(_recording_findings(file, full, max_gb))
        else:
            findings = list(read_contents(file, spec, max_gb=max_gb).findings)
            if full:
                findings += _streamed_findings(file, spec, findings)
    order = list(Importance)
    return sorted(findings, key=lambda finding: order.index(finding.importance))


def _recording_findings(file: h5py.File, full: bool, max_gb: float | None) -> Iterator[Finding]:
    header = read_recording(file, max_gb=max_gb)
    yield from header.findings
    if "/samples:dtype" in header.values:
        statistics = gather(file, header, full=full)
        yield from sample_findings(statistics, header)
        if full:
            yield from checksum_findings(statistics, header.values.get("/:sha256_samples"))


def _streamed_findings(file: h5py.File, spec: Spec, found: list[Finding]) -> Iterator[Finding]:
    """What is wrong inside the fields that are too large to be read with the header."""
    bad = {finding.location for finding in found}
    for field in spec.fields:
        if not field.streamed or field.path in bad:
            continue
        dataset = safe.open_dataset(file, field.path.lstrip("/"))
        for index in range(len(dataset)):
            location = f"{field.path} {index}"
            try:
                with safe.guard(file.filename, location):
                    check_value(field, dataset[index])
            except FileFormatError as error:
                yield Finding.of(error, location, field.hint)
