"""All bad inputs of the list, in one place: each gives one clear line, or works as the list says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bad_inputs import container, header, images, request, samples
from tests.bad_inputs.cases import CASES, TOLD, Case, Desk

LISTED = range(1, 71)
REGISTERED_BY = (container, header, samples, request, images)


def test_no_case_is_missing() -> None:
    assert {case.number for case in CASES} == set(LISTED)
    names = [(case.number, case.title) for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "case", sorted(CASES, key=lambda case: case.number), ids=lambda case: f"{case.number:02} {case.title}"
)
def test_bad_input(case: Case, desk: Desk, record_property: Callable[[str, object], None]) -> None:
    line = case.told(desk)
    record_property(TOLD, (case.number, case.title, line))
