"""Every example in a docstring and every Python block of the README runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import usbeam

MODULES = [
    "usbeam",
    *(m.name for m in pkgutil.walk_packages(usbeam.__path__, "usbeam.") if m.name != "usbeam.__main__"),
]


def examples(name: str) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]


def test_there_are_examples() -> None:
    assert sum(len(examples(name)) for name in MODULES) >= 15


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner()
    reports: list[str] = []
    for example in examples(name):
        runner.run(example, out=reports.append)
    assert runner.failures == 0, "".join(reports)


README = Path(__file__).parents[1] / "README.md"


def test_readme_python_runs(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}  # a page is read from top to bottom
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert (tmp_path / "image.png").stat().st_size > 1000


def test_readme_links_lead_somewhere() -> None:
    for page in (README, README.parent / "docs" / "beamforming.md", README.parent / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
