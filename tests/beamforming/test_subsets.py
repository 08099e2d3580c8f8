"""Subsets of transmits: weight vectors of the right size, and requests that name no transmits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbeam.beamforming import subsets
from usbeam.errors import ConfigError

Counted = Callable[[int, int], np.ndarray]
BY_COUNT: dict[str, Counted] = {
    "first": subsets.first,
    "last": subsets.last,
    "center": subsets.center,
    "ends": subsets.ends,
    "inner": subsets.inner,
    "random": lambda n, count: subsets.random(n, count, seed=3),
}
n_and_count = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@pytest.mark.parametrize("name", BY_COUNT)
@given(n_and_count)
def test_as_many_ones_as_asked_for(name: str, sizes: tuple[int, int]) -> None:
    n, count = sizes
    weights = BY_COUNT[name](n, count)
    assert (weights.shape, weights.dtype) == ((n,), np.float32)
    assert set(np.unique(weights)) <= {0, 1}
    assert weights.sum() == count


@given(n_and_count)
def test_where_they_are(sizes: tuple[int, int]) -> None:
    n, count = sizes
    assert subsets.first(n, count)[:count].all()
    assert subsets.last(n, count)[-count:].all()
    middle = np.flatnonzero(subsets.center(n, count))
    np.testing.assert_array_equal(np.diff(middle), 1)
    assert abs(middle.mean() - (n - 1) / 2) <= 0.5
    spread = np.flatnonzero(subsets.ends(n, count))
    if count > 1:
        assert (spread[0], spread[-1]) == (0, n - 1)
        assert np.ptp(np.diff(spread)) <= 1
    within = np.flatnonzero(subsets.inner(n, count))
    assert abs(within.mean() - (n - 1) / 2) <= 0.5
    assert np.ptp(within) <= max(n / 6, count - 1) + 1
    stepped = np.flatnonzero(subsets.every(n, count))
    np.testing.assert_array_equal(stepped, np.arange(0, n, count))


@given(n_and_count)
def test_disjoint_blocks_cover_all(sizes: tuple[int, int]) -> None:
    n, count = sizes
    blocks = subsets.disjoint(n, count)
    assert len(blocks) == count
    np.testing.assert_array_equal(np.sum(blocks, axis=0), subsets.all(n))
    lengths = [int(block.sum()) for block in blocks]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


@given(n_and_count, st.integers(0, 2**32))
def test_random_is_the_seed_s(sizes: tuple[int, int], seed: int) -> None:
    n, count = sizes
    np.testing.assert_array_equal(subsets.random(n, count, seed), subsets.random(n, count, seed))


def test_seeds_differ() -> None:
    draws = {tuple(np.flatnonzero(subsets.random(64, 4, seed))) for seed in range(20)}
    assert len(draws) == 20


@given(st.lists(st.integers(0, 30), min_size=1, max_size=31, unique=True))
def test_index_in_any_order(chosen: list[int]) -> None:
    np.testing.assert_array_equal(np.flatnonzero(subsets.index(31, chosen)), sorted(chosen))
    text = "index:" + ",".join(map(str, chosen))
    np.testing.assert_array_equal(subsets.parse(text, 31), subsets.index(31, chosen))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]),
        (" all ", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("first:3", [0, 1, 2]),
        ("last:2", [6, 7]),
        ("every:3", [0, 3, 6]),
        ("center:2", [3, 4]),
        ("ends:3", [0, 4, 7]),
        ("ends:1", [3]),
        ("index:0,5", [0, 5]),
        ("index:7", [7]),
    ],
)
def test_forms_of_the_command_line(text: str, wanted: list[int]) -> None:
    np.testing.assert_array_equal(np.flatnonzero(subsets.parse(text, 8)), wanted)


def test_random_on_the_command_line_has_a_seed() -> None:
    np.testing.assert_array_equal(subsets.parse("random:3@7", 8), subsets.random(8, 3, 7))
    np.testing.assert_array_equal(subsets.parse("random:3", 8), subsets.random(8, 3, 0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some",
        "first",
        "first:",
        "first:0",
        "first:9",
        "first:-1",
        "first:two",
        "first:1.5",
        "all:3",
        "every:0",
        "ends:99",
        "index:",
        "index:8",
        "index:-1",
        "index:1,1",
        "index:1;2",
        "random:9@1",
        "random:2@-1",
        "random:2@x",
        "random:@1",
        "disjoint:2",
    ],
)
def test_what_names_no_transmits_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        subsets.parse(text, 8)
    assert "\n" not in str(caught.value)
    assert caught.value.expected or caught.value.found


@given(st.text(max_size=20))
def test_any_text_is_a_subset_or_a_configuration_error(text: str) -> None:
    try:
        weights = subsets.parse(text, 8)
    except ConfigError:
        return
    assert weights.shape == (8,)
    assert weights.any()


def test_own_weights_are_kept() -> None:
    given_weights = [0, -0.5, 2, 0]
    checked = subsets.check(given_weights, 4)
    np.testing.assert_array_equal(checked, given_weights)
    assert checked.dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1, 1], r"one weight per transmit \(expected \(4,\), found \(3,\)\)"),
        ([[1, 1, 1, 1]], "one weight per transmit"),
        (1.0, "one weight per transmit"),
        ([1, float("nan"), 0, 0], "a weight is not finite"),
        ([1, float("inf"), 0, 0], "a weight is not finite"),
        ([0, 0, 0, 0], "no transmit is selected"),
        ("all", "weights are numbers"),
        ([[1], [1, 2]], "weights are numbers"),
    ],
)
def test_own_weights_that_are_none(weights: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        subsets.check(weights, 4)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "no transmit is selected"),
        ([0, 3, 0], r"a transmit is selected twice \(found \[0, 3, 0\]\)"),
        ([0, 4, -1], r"no such transmit \(expected 0\.\.3, found 4, -1\)"),
    ],
)
def test_indices_that_are_none(indices: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        subsets.index(4, indices)


def test_a_recording_says_how_many_transmits_there_are(matrix) -> None:
    np.testing.assert_array_equal(subsets.ends(matrix, 2), subsets.ends(16, 2))


@pytest.mark.parametrize(
    "ask", [lambda: subsets.first(8, 2.5), lambda: subsets.index(8, [1.5]), lambda: subsets.index(8, ["a"])]
)
def test_counts_and_indices_are_whole_numbers(ask):
    with pytest.raises(ConfigError):
        ask()
