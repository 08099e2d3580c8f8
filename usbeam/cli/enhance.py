"""``usbeam enhance``: an image becomes a better image, by a method of your choice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, settings

if TYPE_CHECKING:
    from usbeam.enhancers import Enhancer, Parameter
    from usbeam.image import Image

ENDINGS = {"--output": (".h5", ".hdf5"), "--png": (".png", ".pdf", ".svg")}


def enhance(
    image: Annotated[
        Path | None, typer.Argument(help="An image that `usbeam beamform` made (.h5).", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Image file to write (.h5).", show_default=False)
    ] = None,
    method: Annotated[
        str | None, typer.Option("--with", help="A method; --list shows them.", metavar="METHOD", show_default=False)
    ] = None,
    assigned: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A parameter of the method: n_iterations=50, sigma=0.2mm; repeatable.",
            metavar="NAME=VALUE",
            show_default=False,
        ),
    ] = None,
    dynamic_range: Annotated[float, typer.Option(help="Displayed range, in dB, of an image that is not in dB.")] = 60.0,
    png: Annotated[Path | None, typer.Option(help="Also write a picture with axes in mm and a dB bar.")] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show methods, parameters and references, and do nothing else.")
    ] = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Enhance an image: filters of speckle, and the controls that any of them must beat."""
    import time

    import usbeam as ub
    from usbeam.enhancers import METHODS
    from usbeam.io.image_file import load_image

    if listed:
        result({"methods": [_facts(each) for each in METHODS.values()]}, as_json, _listing(METHODS.values()))
        return
    source, target, name = _required({"IMAGE": image, "--output": output, "--with": method})
    _check_outputs(source, {"--output": target, "--png": png}, dynamic_range)
    parameters = _parameters(name, METHODS, assigned or [])
    start = time.perf_counter()
    given = load_image(source)
    loaded = time.perf_counter()
    with progress_bar(name) as advance:
        found = ub.enhance(given, name, dynamic_range=dynamic_range, progress=advance, **parameters)
    enhanced = time.perf_counter()
    _write(found, target, png, dynamic_range)
    seconds = {
        "load": loaded - start,
        "enhance": enhanced - loaded,
        "write": time.perf_counter() - enhanced,
    }
    summary = {
        "file": str(source),
        "files": [str(path) for path in (target, png) if path is not None],
        "state": found.state,
        "shape": list(found.grid.shape),
        "seconds": seconds,
        **found.settings["enhanced"][-1],
    }
    n_z, n_x = found.grid.shape
    line = f"{target}: {n_z} x {n_x} points, {found.state}, by {name} in {seconds['enhance']:.2f} s"
    result(summary, as_json, [line])


def _required(given: Mapping[str, Any]) -> tuple[Any, ...]:
    """What cannot be left out, unless only the list is wanted."""
    from usbeam.errors import ConfigError

    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise ConfigError(
            f"missing: {', '.join(missing)}",
            expected="usbeam enhance IMAGE.h5 -o OUT.h5 --with METHOD",
            hint="usbeam enhance --list shows the methods",
        )
    return tuple(given.values())


def _check_outputs(source: Path, outputs: Mapping[str, Path | None], dynamic_range: float) -> None:
    """Refuse before any work what could not be written, or would replace what is read."""
    from usbeam.errors import ConfigError
    from usbeam.io.atomic import check_output

    taken = {source.resolve(): "the image itself"}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.suffix.lower() not in ENDINGS[option]:
            raise ConfigError("unknown ending", path=path, location=option, expected=", ".join(ENDINGS[option]))
        if path.resolve() in taken:
            raise ConfigError(f"is {taken[path.resolve()]}", path=path, location=option, hint="choose another name")
        taken[path.resolve()] = "another output"
        check_output(path, overwrite=settings.overwrite)
    if not (math.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="--dynamic-range", found=dynamic_range)


def _parameters(name: str, methods: Mapping[str, Enhancer], assigned: Iterable[str]) -> dict[str, Any]:
    """The parameters that ``NAME=VALUE`` set, checked; an unknown method is refused."""
    from usbeam.errors import ConfigError

    if name not in methods:
        raise ConfigError(
            "unknown method",
            location="--with",
            expected=", ".join(methods),
            found=name,
            hint="usbeam enhance --list says what they are",
        )
    known = methods[name].parameters
    given: dict[str, Any] = {}
    for text in assigned:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals and value):
            raise ConfigError(f"cannot read {text!r}", location="--set", expected="NAME=VALUE")
        if key in given:
            raise ConfigError("the same parameter twice", location=f"--set {key}")
        try:
            given[key] = known[key].parsed(value) if key in known else value
        except ConfigError as error:
            error.location = f"{name}.{key}"
            raise
    methods[name].resolved(given)
    return given


def _write(found: Image, output: Path, png: Path | None, dynamic_range: float) -> None:
    if png is not None:
        from usbeam.show import plot

        plot.save_figure(plot.bmode(found, dynamic_range=dynamic_range), png, overwrite=settings.overwrite)
    found.save(output, overwrite=settings.overwrite)


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
