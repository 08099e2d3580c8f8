"""What ``usbeam enhance --list`` shows: every method with its parameters and references, and weights by their cards."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usbeam.enhancers import Enhancer, Parameter


def methods_and_weights() -> tuple[dict[str, Any], Iterator[str]]:
    """The list in plain types, and as lines for people."""
    from usbeam import weights
    from usbeam.enhancers import METHODS

    facts = {"methods": [_facts(each) for each in METHODS.values()], "weights": weights.names()}
    return facts, itertools.chain(_listing(METHODS.values()), _cards())


def _facts(method: Enhancer) -> dict[str, Any]:
    """A method in plain types."""
    return {
        "name": method.name,
        "title": method.title,
        "domain": method.domain,
        "reference": method.reference,
        "licence": method.licence,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.kind.__name__,
                "default": parameter.default,
                **_allowed(parameter),
                "description": parameter.description,
            }
            for parameter in method.parameters.values()
        ],
    }


def _allowed(parameter: Parameter) -> dict[str, Any]:
    """Limits and unit of a number, or the words that may stand there; what has none is None."""
    from usbeam.enhancers.registry import Choice, Range

    allowed = parameter.allowed
    limits = allowed if isinstance(allowed, Range) else None
    return {
        "least": None if limits is None else limits.least,
        "most": None if limits is None or math.isinf(limits.most) else limits.most,
        "unit": None if limits is None else limits.unit,
        "words": list(allowed.words) if isinstance(allowed, Choice) else None,
    }


def _listing(methods: Iterable[Enhancer]) -> Iterator[str]:
    """For each method what it is, what it takes, and whom to thank."""
    for method in methods:
        works_on = {"envelope": "the linear envelope", "display": "the displayed image"}[method.domain]
        yield f"{method.name}: {method.title}"
        yield f"  works on    {works_on}"
        yield f"  reference   {method.reference}"
        if method.licence:
            yield f"  licence     {method.licence}"
        rows = [_row(parameter) for parameter in method.parameters.values()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for i, row in enumerate(rows):
            cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            yield f"  {'parameters' if i == 0 else '':<10}  {cells}".rstrip()
        yield ""


def _cards() -> Iterator[str]:
    """Weights that come with usbeam, by the titles of their cards."""
    from usbeam import weights

    for name in weights.names():
        title = next(iter(weights.card(name).splitlines()), "no card")
        yield f"{name}: {title.lstrip('# ')}"


def _row(parameter: Parameter) -> tuple[str, str, str]:
    """Name with default, what is allowed, and what it is."""
    from usbeam.enhancers.registry import Range
    from usbeam.units import format_quantity

    unit = parameter.allowed.unit if isinstance(parameter.allowed, Range) else ""
    default = parameter.default
    if default is None:
        shown = "chosen"
    elif unit in ("m", "s", "Hz"):
        shown = format_quantity(default, unit).replace(" ", "")
    else:
        shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"{parameter.name}={shown}", str(parameter.allowed or "text"), parameter.description
