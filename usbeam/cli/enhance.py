"""``usbeam enhance``: an image becomes a better image, by a method of your choice."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.enhancers import Enhancer, Parameter
    from usbeam.grid import Grid
    from usbeam.image import Image
    from usbeam.train.run import Run

ENDINGS = {"--output": (".h5", ".hdf5"), "--png": (".png", ".pdf", ".svg")}


def enhance(
    image: Annotated[
        Path | None,
        typer.Argument(
            help="An image that `usbeam beamform` made (.h5); with --mode quality or --adapt a recording.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Image file to write (.h5).", show_default=False)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="A method; --list shows them. Or a trained network: a run folder, a file of weights, or the name of "
            "weights that come with usbeam.",
            metavar="METHOD|RUN",
            show_default=False,
        ),
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
    mode: Annotated[
        str | None,
        typer.Option(
            help="Of a trained network. fast: the image alone; quality: looks as well, which takes a recording.",
            show_default="fast; with --adapt quality",
        ),
    ] = None,
    adapted: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Train the network a little further on looks of this recording; kept beside it, and used again.",
        ),
    ] = False,
    runtime: Annotated[
        str | None, typer.Option(help="What runs a trained network: torch, onnx or openvino.", show_default="torch")
    ] = None,
    frame: Annotated[int, typer.Option(help="Of a recording, which frame.")] = 0,
    x: Annotated[str | None, typer.Option(help="Of a recording: lateral range, -20mm:20mm.")] = None,
    z: Annotated[str | None, typer.Option(help="Of a recording: depth range, 5mm:45mm.")] = None,
    shape: Annotated[str | None, typer.Option(help="Of a recording: points in depth and across, 620x256.")] = None,
    spacing: Annotated[
        str | None,
        typer.Option(help="Of a recording: step of both axes, 0.1mm.", show_default="that of the training"),
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Also write a picture with axes in mm and a dB bar.")] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show methods, parameters and references, and do nothing else.")
    ] = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Enhance an image: trained networks, filters of speckle, and the controls that any of them must beat."""
    import time

    import usbeam as ub
    from usbeam import weights
    from usbeam.enhancers import METHODS
    from usbeam.io.image_file import load_image

    if listed:
        facts = {"methods": [_facts(each) for each in METHODS.values()], "weights": weights.names()}
        result(facts, as_json, itertools.chain(_listing(METHODS.values()), _cards()))
        return
    source, target, name = _required({"IMAGE": image, "--output": output, "--with": method})
    _check_outputs(source, {"--output": target, "--png": png}, dynamic_range)
    options = {"mode": mode, "runtime": runtime}
    named = [f"{key}={value}" for key, value in options.items() if value is not None]
    parameters = _parameters(name, [*(assigned or []), *named])
    place = {"x": x, "z": z, "shape": shape, "spacing": spacing}
    network: str | Run = name
    start = time.perf_counter()
    if adapted or parameters.get("mode") == "quality":
        recording = _recording(source, "--adapt" if adapted else "--mode")
        network = _adapted(recording, name, frame) if adapted else name
        grid = _grid(recording, network, place)
        loaded = time.perf_counter()
        with progress_bar(name) as advance:
            found = ub.enhance_recording(
                recording, network, grid, frame=frame, dynamic_range=dynamic_range, progress=advance, **parameters
            )
    else:
        _refuse_places({**place, "frame": frame or None})
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
        "adapted": None if isinstance(network, str) else str(network.folder),
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


def _recording(source: Path, option: str) -> Acquisition:
    """The channel data that an option asks for; an image, which has none, is refused."""
    import usbeam as ub
    from usbeam.errors import ConfigError, FileFormatError

    try:
        return ub.load(source)
    except FileFormatError as error:
        if error.found != "usbeam-image":
            raise
        what = {"--mode": "quality", "--adapt": "adapting"}[option]
        raise ConfigError(
            f"{what} needs channel data, of which an image holds none any more",
            path=source,
            location=option,
            expected="a recording",
            found="an image",
            hint="give the recording that it was made of" + (", or --mode fast" if option == "--mode" else ""),
        ) from error


def _adapted(recording: Acquisition, name: str, frame: int) -> Run:
    """A network after a brief training on looks of the recording: the one that is kept beside it, if there is one."""
    from usbeam.enhancers import METHODS
    from usbeam.errors import ConfigError

    if name in METHODS:
        raise ConfigError("is for trained networks", location="--adapt", found=name)
    try:
        from usbeam.adaptation import adapt
    except ModuleNotFoundError as error:
        raise ConfigError(f"adapting needs {error.name}", hint="pip install 'usbeam[train]'") from error
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it greets every process, twice
    with progress_bar("adapting") as advance:
        return adapt(recording, name, frames=[frame], progress=advance)


def _grid(recording: Acquisition, network: str | Run, place: Mapping[str, str | None]) -> Grid | None:
    """That of the options; pixels are those of the training where no option says otherwise."""
    from usbeam.cli.beamform import read_grid
    from usbeam.grid import Grid
    from usbeam.recordings import trained_grid
    from usbeam.units import parse_range

    if not any(place.values()):
        return None
    if place["shape"] is not None or place["spacing"] is not None:
        return read_grid(recording, **place)
    whole = trained_grid(recording, network)
    x, z = (
        (float(axis[0]), float(axis[-1])) if text is None else parse_range(text, "length")
        for axis, text in ((whole.x, place["x"]), (whole.z, place["z"]))
    )
    return Grid.spaced(x=x, z=z, spacing=whole.spacing)


def _refuse_places(place: Mapping[str, Any]) -> None:
    """An image lies where it lies."""
    from usbeam.errors import ConfigError

    for name, value in place.items():
        if value is not None:
            raise ConfigError(
                "is for a recording", location=f"--{name}", found=value, hint="an image is enhanced on its own grid"
            )


def _parameters(name: str, assigned: Iterable[str]) -> dict[str, Any]:
    """The parameters that ``NAME=VALUE`` set, checked; an unknown method is refused."""
    from usbeam.enhancers import find
    from usbeam.errors import ConfigError

    try:
        method = find(name)
    except ConfigError as error:
        error.location = "--with"
        error.hint = error.hint or "usbeam enhance --list says what they are"
        raise
    known = method.parameters
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
            error.location = f"{method.name}.{key}"
            raise
    method.resolved(given)
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
