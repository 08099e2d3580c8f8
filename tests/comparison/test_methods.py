"""What text means a method, a setting, a sweep; and what is refused."""

from __future__ import annotations

import pytest

from usbeam.comparison.methods import CONTROLS, parse, sweeps
from usbeam.errors import ConfigError


def test_a_bare_name_is_the_method_at_its_defaults() -> None:
    found = parse("nlm")
    (setting,) = found.settings
    assert (found.label, found.method, setting.label, setting.method) == ("nlm", "nlm", "nlm", "nlm")
    assert dict(setting.parameters) == {"strength": 0.1, "patch": 5, "reach": 7}


def test_several_values_are_a_sweep_in_their_order() -> None:
    found = parse("nlm: strength = 0.2, 0.05 ; patch=7")
    assert found.label == "nlm:patch=7"
    assert [setting.parameters["strength"] for setting in found.settings] == [0.2, 0.05]
    assert {setting.parameters["patch"] for setting in found.settings} == {7}
    assert [setting.label for setting in found.settings] == ["nlm:patch=7;strength=0.2", "nlm:patch=7;strength=0.05"]


def test_lengths_take_units() -> None:
    found = parse("gaussian:sigma=0.2mm,150um,3e-4")
    assert [setting.parameters["sigma"] for setting in found.settings] == pytest.approx([2e-4, 1.5e-4, 3e-4])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("srud", "unknown method"),
        ("", "unknown method"),
        (":strength=1", "unknown method"),
        ("NLM", "unknown method"),
        ("nlm:", "cannot read"),
        ("nlm:strength", "cannot read"),
        ("nlm:strength=", "cannot read"),
        ("nlm:strength=0.1,", "cannot read"),
        ("nlm:=0.1", "cannot read"),
        ("nlm:strength=0.1;", "cannot read"),
        ("nlm:strength=0.1,0.1", "cannot read"),
        ("nlm:strength=0.1;strength=0.2", "cannot read"),
        ("nlm:strength=0.1,0.2;patch=3,5", "a sweep is of one parameter"),
        ("nlm:h=0.1", "no such parameter"),
        ("nlm:strength=strong", "not a value"),
        ("nlm:strength=nan", "not a value"),
        ("nlm:strength=7", "not a value"),
        ("nlm:patch=3.5", "not a value"),
        ("gaussian:sigma=2s", "cannot read"),
        ("identity:sigma=1", "no such parameter"),
    ],
)
def test_what_is_no_method_is_refused(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        parse(text)


def test_controls_are_always_there_and_come_first() -> None:
    assert [each.label for each in sweeps([])] == ["identity", "gaussian", "median"]
    found = sweeps(["wavelet", "median:size=0.3mm,0.5mm", "gaussian"])
    assert [each.label for each in found] == ["identity", "gaussian", "median", "wavelet"]
    assert [len(each.settings) for each in found] == [1, CONTROLS["gaussian"].count(",") + 1, 2, 1]
    assert [each.is_control for each in found] == [True, True, True, False]
    assert [each.is_yardstick for each in found] == [False, True, True, False]


@pytest.mark.parametrize(
    "texts",
    [
        ["wavelet", "wavelet"],
        ["nlm:strength=0.1,0.2", "nlm:strength=0.2"],
        ["nlm:strength=0.1,0.2", "nlm:patch=5,7"],  # two curves that would both be called nlm
        ["gaussian", "gaussian"],
    ],
)
def test_the_same_twice_is_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="the same method twice"):
        sweeps(texts)
