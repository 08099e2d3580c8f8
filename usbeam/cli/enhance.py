"""``usbeam enhance``: images become better images, by a method of your choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, result

if TYPE_CHECKING:
    from usbeam.cli.enhance_files import Work
    from usbeam.cli.enhance_run import Done


def enhance(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="An image that `usbeam beamform` made (.h5), several, or a folder of them; or a B-mode picture (.png, "
            ".tif, .dcm); with --mode quality or --adapt recordings.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Image file to write (.h5; .png, .tif, .dcm, .nii for other programs); a folder for the results of "
            "several.",
            show_default=False,
        ),
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
    dynamic_range: Annotated[
        float | None,
        typer.Option(
            help="Displayed range, in dB, of an image that is not in dB; of a picture, from black to white.",
            show_default="60, or what usbeam noted in the picture",
        ),
    ] = None,
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
    device: Annotated[str, typer.Option(help="auto, cpu or gpu, for methods that can work on one.")] = "auto",
    frames: Annotated[
        str,
        typer.Option(
            "--frames", "--frame", help="Of a recording: one frame, or several as START:STOP; each its own file."
        ),
    ] = "0",
    x: Annotated[str | None, typer.Option(help="Of a recording: lateral range, -20mm:20mm.")] = None,
    z: Annotated[str | None, typer.Option(help="Of a recording: depth range, 5mm:45mm.")] = None,
    shape: Annotated[str | None, typer.Option(help="Of a recording: points in depth and across, 620x256.")] = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            help="Of a recording: step of both axes, 0.1mm. Of a picture: size of a pixel.",
            show_default="as in the training, or what the picture says",
        ),
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Also write a picture with axes in mm and a dB bar; of several into a folder.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show methods, parameters and references, and do nothing else.")
    ] = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Enhance images: trained networks, filters of speckle, and the controls that any of them must beat.

    Several files, folders and frames are taken one by one; what cannot be enhanced is told, and the others are made. If
    it is interrupted, the same command goes on where it was.
    """
    from usbeam.cli.enhance_files import survey
    from usbeam.cli.enhance_list import methods_and_weights
    from usbeam.cli.enhance_request import Request, read_parameters
    from usbeam.cli.enhance_run import run
    from usbeam.errors import ConfigError

    if listed:
        facts, lines = methods_and_weights()
        result(facts, as_json, lines)
        return
    given, target, name = _required({"FILES": files or None, "--output": output, "--with": method})
    if dynamic_range is not None and not (math.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="--dynamic-range", found=dynamic_range)
    options = {"mode": mode, "runtime": runtime}
    named = [f"{key}={value}" for key, value in options.items() if value is not None]
    request = Request(
        name,
        read_parameters(name, [*(assigned or []), *named]),
        dynamic_range,
        place={"x": x, "z": z, "shape": shape, "spacing": spacing},
        frames=frames,
        adapted=adapted,
        device=device,
    )
    work = survey(given, {"--output": target} | ({} if png is None else {"--png": png}), request)
    done = run(work, request)
    summary, line = _one(done, name) if work.lone else _several(done, work, name, target)
    result(summary, as_json, [line])
    if done.failed:
        raise typer.Exit(done.failed[0].error.exit_code)


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


def _one(done: Done, name: str) -> tuple[dict[str, Any], str]:
    """What is said of the only result."""
    (made,) = done.made
    n_z, n_x = made["shape"]
    where = f" on the {made['device'].upper()}" if "device" in made else ""
    seconds = f"{done.seconds['enhance']:.2f} s"
    line = f"{made['files'][0]}: {n_z} x {n_x} points, {made['state']}, by {name}{where} in {seconds}"
    return {**made, "seconds": done.seconds}, line


def _several(done: Done, work: Work, name: str, target: Path) -> tuple[dict[str, Any], str]:
    """What is said of several files or frames."""
    there = [str(path) for each in work.there for path in each.outputs.values()]
    failed = [
        {"file": str(each.source), "frame": each.frame, "error": str(each.error), "hint": each.error.hint}
        for each in done.failed
    ]
    summary = {"results": done.made, "there": there, "failed": failed, "seconds": done.seconds}
    counts = [
        f"{target}: {len(done.made)} enhanced by {name} in {done.seconds['enhance']:.2f} s",
        *([f"{len(work.there)} there before"] if work.there else []),
        *([f"{len(failed)} failed"] if failed else []),
    ]
    return summary, ", ".join(counts)
