"""``usbeam beamform``: a recording becomes an image file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.grid import Grid
    from usbeam.image import Image


Outputs = tuple[Path | None, Path | None, Path | None]
"""Image file, picture and bare pixels of one frame."""


def beamform(
    file: Annotated[Path, typer.Argument(help="A usbeam recording.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Image file to write (.h5).", show_default=False)],
    png: Annotated[Path | None, typer.Option(help="Also write a picture with axes in mm and a dB bar.")] = None,
    bare_png: Annotated[
        Path | None, typer.Option(help="Also write the bare 8-bit pixels, spacing in metadata.")
    ] = None,
    method: Annotated[str, typer.Option(help="das or fourier.")] = "das",
    transmits: Annotated[
        str,
        typer.Option(
            help="all | first:N | last:N | every:N | center:N | ends:N | inner:N | index:0,31 | random:N@SEED."
        ),
    ] = "all",
    looks: Annotated[
        str | None,
        typer.Option(help="Spatial compounding: the mean envelope of 3 looks from one side each, or of oblique:8."),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Lateral range, -20mm:20mm.")] = None,
    z: Annotated[str | None, typer.Option(help="Depth range, 5mm:45mm.")] = None,
    shape: Annotated[str | None, typer.Option(help="Points in depth and across, 620x256.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Step of both axes, 0.1mm.")] = None,
    f_number: Annotated[float | None, typer.Option(help="Limit the receive aperture: depth over width.")] = None,
    window: Annotated[str | None, typer.Option(help="Receive window: boxcar, hann, hamming, tukey, tukey:0.5.")] = None,
    transmit_f_number: Annotated[float | None, typer.Option(help="Limit the transmit aperture.")] = None,
    transmit_window: Annotated[str | None, typer.Option(help="Transmit window.")] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="Of das: nearest, linear or cubic; chosen if not given.")
    ] = None,
    upsampling: Annotated[int | None, typer.Option(help="Of das: refine samples first; chosen if not given.")] = None,
    weighting: Annotated[str | None, typer.Option(help="Of fourier: das or adjoint; das if not given.")] = None,
    band: Annotated[str | None, typer.Option(help="Of fourier: 3MHz:9MHz; the probe's if not given.")] = None,
    sound_speed: Annotated[str | None, typer.Option(help="Instead of the recording's, 1540 or 1.54mm/us.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    frames: Annotated[str, typer.Option(help="One frame, or several as START:STOP; each its own file.")] = "0",
    dynamic_range: Annotated[float, typer.Option(help="Of the pictures, in dB.")] = 60.0,
    max_gb: Annotated[float | None, typer.Option(help="Refuse frames that would take more memory.")] = None,
    on_nonfinite: Annotated[Literal["error", "zero"], typer.Option(help="What NaN or infinite samples are.")] = "error",
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Beamform a recording: any transmits, any grid."""
    import time

    import usbeam as ub
    from usbeam import io
    from usbeam.io.atomic import check_output
    from usbeam.kernels.conventions import CACHE
    from usbeam.units import parse_quantity, parse_range

    start = time.perf_counter()
    _check_outputs({"--output": output, "--png": png, "--bare-png": bare_png}, dynamic_range)
    acquisition = io.load(file, on_nonfinite=on_nonfinite, max_gb=max_gb)
    indices = read_frames(frames, acquisition)
    outputs = {index: _numbered((output, png, bare_png), index, len(indices)) for index in indices}
    for paths in outputs.values():
        for path in paths:
            if path is not None:
                check_output(path, overwrite=settings.overwrite)
    loaded = time.perf_counter()
    grid = read_grid(acquisition, x, z, shape, spacing)
    options: dict[str, Any] = {
        "method": method,
        "transmits": ub.subsets.parse(transmits, acquisition),
        "f_number": f_number,
        "window": window,
        "transmit_f_number": transmit_f_number,
        "transmit_window": transmit_window,
        "interpolation": interpolation,
        "upsampling": upsampling,
        "weighting": weighting,
        "band": None if band is None else parse_range(band, "frequency"),
        "sound_speed": None if sound_speed is None else parse_quantity(sound_speed, "speed"),
        "device": device,
    }
    make, resolved = _beamformer(acquisition, grid, looks, options)
    planned = time.perf_counter()
    if device == "auto":
        say(f"device: {resolved}")
    if not CACHE:
        say("compiling the kernels takes some seconds; USBEAM_NUMBA_CACHE=1 keeps them")
    seconds = {"load": loaded - start, "plan": planned - loaded}
    made, spent = _image_frames(make(list(outputs)), outputs, dynamic_range)
    seconds |= spent
    summary: dict[str, Any] = {
        "files": [str(path) for paths in outputs.values() for path in paths if path is not None],
        "shape": list(grid.shape),
        "x": [float(grid.x[0]), float(grid.x[-1])],
        "z": [float(grid.z[0]), float(grid.z[-1])],
        "frames": indices,
        "seconds": seconds,
        "transmits": [int(i) for i in options["transmits"].nonzero()[0]],
        **made,
    }
    n_z, n_x = grid.shape
    used = len(summary["transmits"])
    line = (
        f"{summary['files'][0]}: {n_z} x {n_x} points from {used} of {acquisition.n_tx} transmits, "
        f"{len(indices)} frame(s), {seconds['beamform']:.2f} s"
    )
    result(summary, as_json, [line])


def _beamformer(
    acquisition: Acquisition, grid: Grid, looks: str | None, options: dict[str, Any]
) -> tuple[Callable[[list[int]], Iterator[Image]], str]:
    """What makes images of the frames of these indices, one after the other, and on which device."""
    import usbeam as ub

    if looks is None:
        plan = ub.Plan(acquisition, grid, **options)
        return lambda indices: (image for (image,) in plan.frames(indices)), plan.device
    kind, n_looks = _looks(looks)
    if kind == "oblique":
        oblique = ub.ObliqueLooks(acquisition, grid, n_looks=n_looks, **_angular(options))
        compound, device = oblique.compound, oblique.angular.device
    else:
        views = ub.Looks(acquisition, grid, n_looks=n_looks, **options)
        compound, device = views.compound, views.plans[0].device
    return lambda indices: (compound(acquisition.frame(index)) for index in indices), device


def _looks(text: str) -> tuple[str, int]:
    """Kind and number of ``3``, ``groups:3`` or ``oblique:8``."""
    from usbeam.beamforming.looks import KINDS
    from usbeam.errors import ConfigError

    kind, colon, count = text.rpartition(":")
    if (colon and kind not in KINDS) or not count.isdecimal():
        raise ConfigError(f"cannot read {text!r} as looks", location="--looks", expected="3 or oblique:8")
    return kind or "groups", int(count)


def _angular(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a plan as angular components take them; an f-number limits both legs."""
    from usbeam.beamforming.apodization import acceptance
    from usbeam.errors import ConfigError

    shared = ("transmits", "interpolation", "upsampling", "sound_speed", "device")
    kept = {name: options[name] for name in shared}
    if options["f_number"] is not None:
        kept["max_sine"] = acceptance(options["f_number"]).max_sine
    for name, value in options.items():
        if name not in (*shared, "f_number") and value not in (None, "das"):
            raise ConfigError(
                "oblique looks have no such option",
                location=f"--{name.replace('_', '-')}",
                found=value,
                hint="leave it out, or take looks of groups (--looks 3)",
            )
    return kept


def _image_frames(
    images: Iterator[Image], outputs: dict[int, Outputs], dynamic_range: float
) -> tuple[dict[str, Any], dict[str, float]]:
    """Write one image after the other as they are made; return their settings and the seconds of each stage."""
    import time

    made: dict[str, Any] = {}
    seconds = {"beamform": 0.0, "write": 0.0}
    with progress_bar("beamforming") as advance:
        for done, paths in enumerate(outputs.values()):
            before = time.perf_counter()
            image = next(images)
            imaged = time.perf_counter()
            _write(image, paths, dynamic_range)
            seconds["beamform"] += imaged - before
            seconds["write"] += time.perf_counter() - imaged
            made = dict(image.settings)
            advance((done + 1) / len(outputs))
    return made, seconds


def _check_outputs(paths: dict[str, Path | None], dynamic_range: float) -> None:
    """Refuse before any work what would fail when writing, with some of the outputs written and some not."""
    from usbeam.errors import ConfigError

    for option, path in paths.items():
        endings = {"--output": (".h5", ".hdf5"), "--png": (".png", ".pdf", ".svg"), "--bare-png": (".png",)}[option]
        if path is not None and path.suffix.lower() not in endings:
            raise ConfigError("unknown ending", path=path, location=option, expected=", ".join(endings))
    given = [path.resolve() for path in paths.values() if path is not None]
    if len(set(given)) < len(given):
        raise ConfigError("two outputs have the same name", location=", ".join(paths), found=given[-1])
    if not (math.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="--dynamic-range", found=dynamic_range)


def _write(image: Any, paths: Outputs, dynamic_range: float) -> None:
    """The bare pixels first: they alone make demands on the grid."""
    output, png, bare_png = paths
    if bare_png is not None:
        image.db(dynamic_range).save(bare_png, overwrite=settings.overwrite)
    if png is not None:
        from usbeam.show import plot

        plot.save_figure(plot.bmode(image, dynamic_range=dynamic_range), png, overwrite=settings.overwrite)
    image.save(output, overwrite=settings.overwrite)


def read_frames(text: str, acquisition: Acquisition) -> list[int]:
    """Frame indices of ``3`` or ``0:10``."""
    from usbeam.errors import ConfigError

    start, colon, stop = text.partition(":")
    try:
        chosen = range(int(start or 0), int(stop or acquisition.n_frames)) if colon else [int(start)]
    except ValueError as error:
        raise ConfigError(f"cannot read {text!r} as frames", location="--frames", expected="3 or 0:10") from error
    if not chosen or chosen[0] < 0 or chosen[-1] >= acquisition.n_frames:
        raise ConfigError(
            "no such frame", location="--frames", expected=f"within 0..{acquisition.n_frames - 1}", found=text
        )
    return list(chosen)


def _numbered(paths: tuple[Path | None, ...], index: int, count: int) -> Outputs:
    """The three outputs of a frame; with several frames each name gets the frame's number."""
    output, png, bare = (
        path if path is None or count == 1 else path.with_stem(f"{path.stem}_{index:04d}") for path in paths
    )
    return output, png, bare


def read_grid(acquisition: Acquisition, x: str | None, z: str | None, shape: str | None, spacing: str | None) -> Grid:
    """The grid of the options; what is not given comes from the recording."""
    from usbeam.beamforming.requests import default_grid
    from usbeam.errors import ConfigError
    from usbeam.grid import Grid
    from usbeam.units import parse_quantity, parse_range

    if shape is not None and spacing is not None:
        raise ConfigError("both --shape and --spacing are given", location="--shape", hint="give one of them")
    default = default_grid(acquisition)
    x_range = parse_range(x, "length") if x else (float(default.x[0]), float(default.x[-1]))
    z_range = parse_range(z, "length") if z else (float(default.z[0]), float(default.z[-1]))
    if shape is not None:
        try:
            n_z, n_x = (int(part) for part in shape.lower().split("x"))
        except ValueError as error:
            raise ConfigError(f"cannot read {shape!r} as a shape", location="--shape", expected="620x256") from error
        return Grid.linear(x=x_range, z=z_range, shape=(n_z, n_x))
    step = default.spacing if spacing is None else parse_quantity(spacing, "length")
    return Grid.spaced(x=x_range, z=z_range, spacing=step)
