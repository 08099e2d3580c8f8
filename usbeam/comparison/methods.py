"""What is compared: methods, each in one setting or in several of one parameter, as text says it.

``obnlm`` is a method at its defaults, ``obnlm:strength=1.2;gamma=0`` one with two parameters of its own, and
``obnlm:strength=0.7,1.2,1.8`` a sweep of three settings. Lengths take units: ``gaussian:sigma=0.1mm,0.2mm``. A trained
network is named by its run folder, its file of weights, or the name of weights that come with usbeam:
``runs/a:gate=true``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from usbeam.enhancers import find
from usbeam.enhancers.registry import Enhancer
from usbeam.errors import ConfigError

IDENTITY = "identity"
CONTROLS = {
    IDENTITY: IDENTITY,
    "gaussian": "gaussian:sigma=0.05mm,0.1mm,0.15mm,0.2mm,0.3mm,0.4mm,0.6mm,0.8mm",
    "median": "median:size=0.15mm,0.3mm,0.45mm,0.6mm,0.8mm,1mm",
}
"""What is in every comparison, and its settings if none are given."""
FORM = "NAME, NAME:PARAMETER=VALUE, several VALUEs with commas, several PARAMETERs with semicolons"


@dataclass(frozen=True, eq=False)
class Setting:
    """A method with a value for each of its parameters.

    Parameters
    ----------
    label
        As it was written: ``obnlm:strength=1.2``.
    method
        What `usbeam.enhancers.find` finds.
    parameters
        All of them, defaults too.
    """

    label: str
    method: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Sweep:
    """A method in all its settings, in the order in which they were given; often only one.

    Parameters
    ----------
    label
        The method and what its settings have in common: ``obnlm``, ``obnlm:gamma=0``.
    method
        What `usbeam.enhancers.find` finds.
    settings
        At least one.
    """

    label: str
    method: str
    settings: tuple[Setting, ...]

    @property
    def is_yardstick(self) -> bool:
        """Whether it is a control that blurs: what that reaches, any method must beat at the same edge width."""
        return self.is_control and self.method != IDENTITY

    @property
    def is_control(self) -> bool:
        """Whether it is in every comparison."""
        return self.method in CONTROLS


def sweeps(texts: Sequence[str]) -> list[Sweep]:
    """The methods that texts name, after the controls that are always there.

    Parameters
    ----------
    texts
        As `parse` takes them. A control that is among them, with settings, is not added again.

    Raises
    ------
    ConfigError
        See `parse`; also for a method that is given twice.

    Examples
    --------
    >>> [each.label for each in sweeps(["wavelet", "gaussian:sigma=0.2mm,0.4mm"])]
    ['identity', 'gaussian', 'median', 'wavelet']
    """
    given = [parse(CONTROLS.get(text, text)) for text in texts]
    named = {each.method for each in given}
    found = [parse(text) for name, text in CONTROLS.items() if name not in named] + given
    settings = [setting.label for each in found for setting in each.settings]
    for labels in ([each.label for each in found], settings):
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ConfigError(
                "the same method twice",
                location=twice,
                hint="several values of one parameter make one sweep: NAME:PARAMETER=VALUE,VALUE",
            )
    return sorted(found, key=lambda each: [*CONTROLS, each.method].index(each.method))


def parse(text: str) -> Sweep:
    """Read one method with its settings.

    Parameters
    ----------
    text
        ``NAME[:PARAMETER=VALUE[,VALUE...]][;...]``; one parameter at most has several values.

    Raises
    ------
    ConfigError
        For another form, an unknown method or parameter, a value that is not allowed or stands there twice, and two
        parameters with several values.

    Examples
    --------
    >>> found = parse("nlm:strength=0.05,0.1;patch=7")
    >>> found.label, [setting.parameters["strength"] for setting in found.settings]
    ('nlm:patch=7', [0.05, 0.1])
    """
    name, colon, rest = text.partition(":")
    try:
        method = find(name)
    except ConfigError as error:
        error.location = text
        raise
    assigned: dict[str, list[str]] = {}
    for part in rest.split(";") if colon else ():
        key, equals, values = (each.strip() for each in part.partition("="))
        several = [value.strip() for value in values.split(",")]
        if not (key and equals and all(several)) or key in assigned or len(set(several)) < len(several):
            raise ConfigError("cannot read this as a method", location=text, expected=FORM, found=part or "nothing")
        assigned[key] = several
    swept = [key for key, values in assigned.items() if len(values) > 1]
    if len(swept) > 1:
        found = " and ".join(swept)
        raise ConfigError("a sweep is of one parameter", location=text, expected="several values of one", found=found)
    fixed = {key: values[0] for key, values in assigned.items() if key not in swept}
    steps = [{key: value} for key in swept for value in assigned[key]] or [{}]
    settings = tuple(_setting(name, method, {**fixed, **step}) for step in steps)
    return Sweep(_written(name, fixed), name, settings)


def _setting(name: str, method: Enhancer, texts: Mapping[str, str]) -> Setting:
    # A name that is no parameter's keeps its text, for `resolved` to refuse.
    known = method.parameters
    given = {key: known[key].parsed(text) if key in known else text for key, text in texts.items()}
    return Setting(_written(name, texts), name, method.resolved(given))


def _written(name: str, texts: Mapping[str, str]) -> str:
    return f"{name}:{';'.join(f'{key}={text}' for key, text in texts.items())}" if texts else name
