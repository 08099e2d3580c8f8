"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

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
