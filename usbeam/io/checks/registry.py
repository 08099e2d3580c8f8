"""The registry of checks on the header of a recording.

A check is a function that takes the header and yields what is wrong. It is registered with the importance of its
findings, the place where they are shown, and the fields that it needs; without one of these it does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from usbeam.io.findings import Finding, Importance
from usbeam.io.structure import Contents

ERROR, WARNING, HINT = Importance.ERROR, Importance.WARNING, Importance.HINT


@dataclass(frozen=True)
class Problem:
    """What a check yields; see `Finding`. The location is the check's own unless given."""

    message: str
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class Check:
    """One registered check."""

    importance: Importance
    location: str
    needs: tuple[str, ...]
    run: Callable[[Contents], Iterator[Problem]]


CHECKS: list[Check] = []


def check(
    importance: Importance, location: str, *needs: str
) -> Callable[[Callable[[Contents], Iterator[Problem]]], Callable[[Contents], Iterator[Problem]]]:
    """Register a check of the header.

    Parameters
    ----------
    importance
        Of what it finds.
    location
        Where its findings are shown; a field that it needs.
    *needs
        Further fields that it needs.
    """

    def register(run: Callable[[Contents], Iterator[Problem]]) -> Callable[[Contents], Iterator[Problem]]:
        CHECKS.append(Check(importance, location, (location, *needs), run))
        return run

    return register


def physics_findings(header: Contents) -> Iterator[Finding]:
    """What every registered check says of a header, as far as its fields are there."""
    for each in CHECKS:
        if not all(location in header.values for location in each.needs):
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers may overflow; infinity is judged as well
            problems = list(each.run(header))
        for problem in problems:
            yield Finding(
                importance=each.importance,
                location=problem.location or each.location,
                message=problem.message,
                expected=problem.expected,
                found=problem.found,
                hint=problem.hint,
            )
