"""Quantities as people write them: every unit, round trips, and refusals that say what is expected."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbeam.errors import ConfigError
from usbeam.units import format_quantity, parse_quantity, parse_range

KNOWN = [
    ("40mm", "length", 0.04),
    ("-7.5 cm", "length", -0.075),
    ("620um", "length", 620e-6),
    ("620 µm", "length", 620e-6),
    ("+1.5m", "length", 1.5),
    ("39.3us", "time", 39.3e-6),
    ("39.3µs", "time", 39.3e-6),
    ("80ns", "time", 80e-9),
    ("2ms", "time", 2e-3),
    ("7.5MHz", "frequency", 7.5e6),
    ("31250 kHz", "frequency", 31.25e6),
    ("1e-3GHz", "frequency", 1e6),
    ("1.54mm/us", "speed", 1540.0),
    ("6.3 km/s", "speed", 6300.0),
    ("1480m/s", "speed", 1480.0),
    ("180deg", "angle", math.pi),
    (".5rad", "angle", 0.5),
    ("65%", "ratio", 0.65),
    ("2GB", "size", 2e9),
    (" 1540 ", "speed", 1540.0),
    ("1e3", "length", 1000.0),
    ("5.", "time", 5.0),
]


@pytest.mark.parametrize(("text", "dimension", "value"), KNOWN)
def test_known_quantities(text: str, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("40MHz", "length"),
        ("40mm", "frequency"),
        ("40 MM", "length"),
        ("7.5mhz", "frequency"),
        ("mm", "length"),
        ("", "length"),
        ("four", "length"),
        ("4,5mm", "length"),
        ("4mm mm", "length"),
        ("1 2mm", "length"),
        ("nan", "length"),
        ("inf", "time"),
        ("1e999", "length"),
        ("5mm:6mm", "length"),
        ("5m\nm", "length"),
    ],
)
def test_what_is_no_quantity_is_refused_in_one_line(text: str, dimension: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_quantity(text, dimension)
    assert dimension in str(caught.value)
    assert "expected a number with one of the units" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "SI" in (caught.value.hint or "")


@given(st.floats(-1e6, 1e6), st.sampled_from([("length", "mm", 1e-3), ("time", "us", 1e-6), ("frequency", "MHz", 1e6)]))
def test_a_number_with_a_unit_is_the_number_times_the_unit(number: float, unit: tuple[str, str, float]) -> None:
    dimension, name, scale = unit
    assert parse_quantity(f"{number!r}{name}", dimension) == pytest.approx(number * scale, rel=1e-15, abs=1e-300)
    assert parse_quantity(repr(number), dimension) == number


UNITS = {"length": "m", "time": "s", "frequency": "Hz", "speed": "m/s", "size": "B"}


@given(st.floats(1e-12, 1e12), st.sampled_from([1.0, -1.0]), st.sampled_from(sorted(UNITS)))
def test_what_is_written_can_be_read(magnitude: float, sign: float, dimension: str) -> None:
    value = sign * magnitude
    text = format_quantity(value, UNITS[dimension])
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "m", "0 m"),
        (-0.0125, "m", "-12.5 mm"),
        (39.3e-6, "s", "39.3 µs"),
        (1e-9, "s", "1 ns"),
        (5e9, "Hz", "5 GHz"),
        (999.0, "B", "999 B"),
        (2.56e8, "B", "256 MB"),
    ],
)
def test_the_prefix_that_reads_best(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


def test_ranges() -> None:
    assert parse_range("-20mm:20mm", "length") == (-0.02, 0.02)
    assert parse_range("0.005:4.5cm", "length") == (0.005, 0.045)


@pytest.mark.parametrize("text", ["20mm:-20mm", "5mm:5mm", "5mm", "1mm:2mm:3mm", "5mm:", ":5mm", "1us:2us"])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_range(text, "length")


def test_an_inverted_range_is_said_to_be_inverted() -> None:
    with pytest.raises(ConfigError, match="inverted"):
        parse_range("45mm:5mm", "length")
