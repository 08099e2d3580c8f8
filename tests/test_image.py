"""Images know what they are: states and their conversions, log compression without surprises, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from usbeam import Grid, Image, load_image
from usbeam.errors import ConfigError, OutputExists

GRID = Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 6e-3), shape=(3, 2))
DATA = np.array([[1, 1j], [-0.1, 0.01 + 0j], [1e-9, 0]], np.complex64)


def image(data: np.ndarray = DATA, **changes: Any) -> Image:
    return Image(**{"data": data, "grid": GRID, "settings": {"method": "das"}, "source": {"file": "a.h5"}, **changes})


def test_envelope_is_the_magnitude() -> None:
    envelope = image().envelope()
    assert envelope.state == "envelope"
    assert envelope.data.dtype == np.float32
    np.testing.assert_allclose(envelope.data, np.abs(DATA))
    assert envelope.envelope() is envelope
    assert (envelope.settings, envelope.source) == ({"method": "das"}, {"file": "a.h5"})


def test_db_is_twenty_log_ten_below_the_peak() -> None:
    shown = image().db(60)
    assert (shown.state, shown.dynamic_range_db, shown.data.dtype) == ("db", 60.0, np.float32)
    np.testing.assert_allclose(shown.data, [[0, 0], [-20, -40], [-60, -60]], atol=1e-4)
    np.testing.assert_allclose(image().envelope().db(60).data, shown.data)


def test_db_under_a_reference_is_clipped_at_zero() -> None:
    np.testing.assert_allclose(image().db(30, reference=0.1).data, [[0, 0], [0, -20], [-30, -30]], atol=1e-4)


@pytest.mark.parametrize("dtype", [np.complex64, np.float32])
def test_an_image_of_zeros_is_at_the_floor(dtype: type) -> None:
    black = image(np.zeros((3, 2), dtype), state="complex" if dtype is np.complex64 else "envelope")
    np.testing.assert_array_equal(black.db(45).data, -45)


magnitudes = hnp.arrays(np.float32, (3, 2), elements=st.floats(0, 2.0**100, width=32))


@given(magnitudes, st.floats(1, 200))
def test_db_stays_within_its_range_and_keeps_the_order(data: np.ndarray, dynamic_range: float) -> None:
    shown = image(data, state="envelope").db(dynamic_range).data
    assert np.all((shown >= np.float32(-dynamic_range)) & (shown <= 0))
    if data.max() > 0:
        assert shown.max() == 0
    order = np.argsort(data, axis=None)
    assert np.all(np.diff(shown.ravel()[order]) >= 0)


@given(magnitudes, st.integers(-10, 10))
def test_db_does_not_depend_on_the_unit_of_the_samples(data: np.ndarray, exponent: int) -> None:
    scaled = image(data * np.float32(2.0**exponent), state="envelope").db(60).data
    np.testing.assert_allclose(scaled, image(data, state="envelope").db(60).data, atol=1e-3)


@pytest.mark.parametrize("bad", [0, -60, float("nan"), float("inf")])
def test_dynamic_range_must_be_positive(bad: float) -> None:
    with pytest.raises(ConfigError, match="dynamic_range: dynamic range must be a positive number"):
        image().db(bad)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf")])
def test_reference_must_be_positive(bad: float) -> None:
    with pytest.raises(ConfigError, match="reference"):
        image().db(60, reference=bad)


def test_a_db_image_is_refused_where_linear_values_are_needed() -> None:
    shown = image().db(60)
    with pytest.raises(ConfigError, match="no linear envelope") as caught:
        shown.envelope()
    assert caught.value.hint == "keep the complex image and derive both"
    with pytest.raises(ConfigError, match="no linear envelope"):
        shown.db(40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": "picture"}, "unknown image state"),
        ({"data": DATA.T}, "data and grid differ"),
        ({"state": "envelope"}, "complex64 values in an image of state envelope"),
        ({"data": DATA.real}, "float32 values in an image of state complex"),
        ({"data": DATA.real, "state": "db"}, "has a dynamic range"),
        ({"dynamic_range_db": 60.0}, "has a dynamic range"),
    ],
)
def test_parts_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        image(**changes)


def test_save_goes_by_the_ending(tmp_path: Path) -> None:
    image().save(tmp_path / "a.h5")
    np.testing.assert_array_equal(load_image(tmp_path / "a.h5").data, DATA)
    with pytest.raises(OutputExists):
        image().save(tmp_path / "a.h5")
    image().save(tmp_path / "a.h5", overwrite=True)
    image().db(60).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError) as caught:
        image().save(tmp_path / "b.png")
    assert "envelope().db(60)" in (caught.value.hint or "")
    assert not (tmp_path / "b.png").exists()


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        image().state = "db"  # type: ignore[misc]
