"""What the Fourier beamformer cannot do is refused, with the reason and the beamformer that can."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.errors import ConfigError, TooLarge, UsbeamError

from .conftest import SPEED


def bent(matrix: ub.Acquisition, change: Callable[[np.ndarray], np.ndarray], **facts: Any) -> ub.Acquisition:
    positions = change(matrix.probe.element_positions.copy())
    return matrix.replace(probe=dataclasses.replace(matrix.probe, element_positions=positions, **facts))


def with_transmits(matrix: ub.Acquisition, fired: ub.Transmits) -> ub.Acquisition:
    return matrix.replace(transmits=fired, samples=np.asarray(matrix.samples)[:, : len(fired)], start_time=1e-5)


def shifted(positions: np.ndarray, element: Any, axis: int, by: float) -> np.ndarray:
    positions[element, axis] += by
    return positions


def arc(positions: np.ndarray) -> np.ndarray:
    positions[:, 2] = 40e-3 - np.sqrt(40e-3**2 - positions[:, 0] ** 2)
    return positions


NOT_THIS: dict[str, Callable[[ub.Acquisition], ub.Acquisition]] = {
    "uneven pitch": lambda a: bent(a, lambda p: shifted(p, 5, 0, 0.05e-3)),
    "curved array": lambda a: bent(a, arc, kind="curved"),
    "element out of line": lambda a: bent(a, lambda p: shifted(p, 5, 1, 1e-3)),
    "line beside the image plane": lambda a: bent(a, lambda p: shifted(p, slice(None), 1, 5e-3)),
    "tilted array": lambda a: bent(a, lambda p: p + np.linspace(0, 1e-3, 16)[:, None] * [0, 0, 1]),
    "focused": lambda a: with_transmits(a, ub.Transmits.focused(a.probe, [[0, 0, 30e-3]] * 16, SPEED)),
    "diverging": lambda a: with_transmits(a, ub.Transmits.focused(a.probe, [[0, 0, -5e-3]] * 16, SPEED)),
    "custom": lambda a: with_transmits(a, dataclasses.replace(ub.Transmits.elements(a.probe), kind=("custom",) * 16)),
}


@pytest.mark.parametrize("name", NOT_THIS)
def test_what_it_cannot_do_is_refused_and_delay_and_sum_named(matrix, grid, name):
    with pytest.raises(UsbeamError) as caught:
        ub.Plan(NOT_THIS[name](matrix), grid, method="fourier")
    assert "das" in (caught.value.hint or "")


def test_uneven_depths_are_refused_and_delay_and_sum_named(matrix, grid):
    uneven = ub.Grid(grid.x, np.delete(grid.z, 50))
    with pytest.raises(UsbeamError, match=r"grid\.z") as caught:
        ub.Plan(matrix, uneven, method="fourier")
    assert "das" in (caught.value.hint or "")


def test_points_behind_a_raised_array_are_refused(matrix, grid):
    raised = bent(matrix, lambda p: shifted(p, slice(None), 2, 11e-3))
    with pytest.raises(UsbeamError, match=r"grid\.z"):
        ub.Plan(raised, grid, method="fourier")


@pytest.mark.parametrize(
    "options",
    [
        {"weighting": "exact"},
        {"band": (6e6, 4e6)},
        {"band": (13e6, 14e6)},
        {"band": (float("nan"), 6e6)},
        {"band": (0.0, 0.0)},
    ],
    ids=str,
)
def test_requests_that_cannot_be_met(matrix, grid, options):
    with pytest.raises(ConfigError) as caught:
        ub.Plan(matrix, grid, method="fourier", **options)
    assert caught.value.location in options


def test_a_period_that_does_not_fit_into_memory_is_refused(matrix):
    """A pitch of a hundredth of a wavelength, and nearly every angle to 3 m."""
    dense = bent(matrix, lambda p: p * 0.01)
    deep = ub.Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 3.0), shape=(20, 5))
    with pytest.raises(TooLarge, match="a lateral period of") as refused:
        ub.Plan(dense, deep, method="fourier")
    assert "larger f-number" in (refused.value.hint or "")
