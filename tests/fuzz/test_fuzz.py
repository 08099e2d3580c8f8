"""Spoilt files of every format: whatever is done to a file, only `UsbeamError` comes out of reading it.

``python -m tests.fuzz`` does the same with 10,000 files.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.samples import SAMPLES, shared
from tests.fuzz.spoiling import spoil
from usbeam.io.convert import FORMATS

FILES = 600
"""Of all formats together."""


def test_every_format_has_a_sample() -> None:
    assert set(FORMATS) <= {name.split()[0] for name in SAMPLES}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_valid_file_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"valid{SAMPLES[name].ending}"
    path.write_bytes(SAMPLES[name].content)
    SAMPLES[name].read(path)


@pytest.mark.parametrize(("name", "files"), shared(FILES).items())
def test_only_usbeam_errors_escape(name: str, files: int) -> None:
    tally = spoil(name, files)
    assert tally.files >= 0.9 * files
    assert tally.refused > 0.2 * files - 3  # the damage was real
