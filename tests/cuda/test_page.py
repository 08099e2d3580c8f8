"""The page about GPUs: its example runs, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import usbeam as ub

PAGE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")


def test_the_example_prints_what_it_says(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = ub.Probe.linear(8, 0.6e-3, 7.5e6, bandwidth=0.65)
    phantom = ub.simulate.phantoms.points(x=(-1e-3, 1e-3), z=(9e-3, 11e-3), spacing=2e-3)
    fired = ub.Transmits.elements(probe)
    made = ub.simulate.record(phantom, probe, fired, sampling_frequency=31.25e6, depth=(8e-3, 16e-3))
    made.save(tmp_path / "recording.h5")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(example, "docs/gpu.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.+)", example)


def test_what_was_not_measured_has_no_numbers() -> None:
    measured = PAGE.split("<!-- from gpu.txt: all -->")[1].split("<!-- end -->")[0]
    assert ("Not measured" in measured) != ("GB/s" in measured)
