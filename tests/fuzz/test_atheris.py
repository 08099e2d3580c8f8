"""libFuzzer over all readers, for as many seconds as ``USBEAM_FUZZ_SECONDS`` says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = int(os.environ.get("USBEAM_FUZZ_SECONDS", "60"))


def test_no_reader_fails(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed")
    target = [sys.executable, "-m", "tests.fuzz.atheris_targets", str(tmp_path), f"-max_total_time={SECONDS}"]
    ended = subprocess.run(target, capture_output=True, text=True, timeout=SECONDS + 120, check=False)
    assert [each.name for each in (tmp_path / "found").iterdir()] == [], ended.stderr[-4000:]
    assert ended.returncode == 0, ended.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", ended.stderr)
    assert runs
    assert int(runs[1]) > 0
