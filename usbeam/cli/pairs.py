"""``usbeam pairs``: recordings become pairs of images to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.diagnosis import Split
    from usbeam.grid import Grid
    from usbeam.io.pairs_file import Pairs


def pairs(
    files: Annotated[list[Path], typer.Argument(help="Recordings, one or several.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Pairs file to write (.h5).", show_default=False)
    ] = None,
    diagnose: Annotated[
        bool,
        typer.Option("--diagnose", help="Make no pairs: show how alike the speckle of every strategy's images is."),
    ] = False,
    strategy: Annotated[
        str,
        typer.Option(
            help="looks: both sides of lines through two-way k-space; paper: inner:2 against all; random: 2 to half of "
            "the transmits against all; disjoint: left against right transmits."
        ),
    ] = "looks",
    lq: Annotated[
        list[str] | None,
        typer.Option(
            help="Transmits of lq, in place of a strategy: inner:2, random:2@SEED, or random:2@SEED*8 for eight fresh "
            "draws a frame. May be repeated.",
            metavar="SUBSET",
            show_default=False,
        ),
    ] = None,
    hq: Annotated[
        str | None,
        typer.Option(help="Transmits of hq, in place of a strategy.", metavar="SUBSET", show_default=False),
    ] = None,
    n_pairs: Annotated[
        int | None, typer.Option(help="Pairs of each frame: of looks, 24 if not given, and random, 16.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    frames: Annotated[str | None, typer.Option(help="Which of each recording, 3 or 0:10; all if not given.")] = None,
    dynamic_range: Annotated[
        float | None, typer.Option(help="Of both images, in dB; 100 for looks, 60 for the others if not given.")
    ] = None,
    x: Annotated[str | None, typer.Option(help="Lateral range, -20mm:20mm.")] = None,
    z: Annotated[str | None, typer.Option(help="Depth range, 5mm:45mm.")] = None,
    shape: Annotated[str | None, typer.Option(help="Points in depth and across, 620x256.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Step of both axes, 0.1mm.")] = None,
    method: Annotated[str | None, typer.Option(help="Of subsets: das or fourier; das if not given.")] = None,
    f_number: Annotated[float | None, typer.Option(help="Of subsets: limit the receive aperture.")] = None,
    window: Annotated[str | None, typer.Option(help="Of subsets: receive window.")] = None,
    transmit_f_number: Annotated[float | None, typer.Option(help="Of subsets: limit the transmit aperture.")] = None,
    transmit_window: Annotated[str | None, typer.Option(help="Of subsets: transmit window.")] = None,
    max_sine: Annotated[
        float | None, typer.Option(help="Of looks: sine of the largest angle; 0.35 if not given.")
    ] = None,
    interpolation: Annotated[str | None, typer.Option(help="nearest, linear or cubic; chosen if not given.")] = None,
    upsampling: Annotated[int | None, typer.Option(help="Refine samples first; chosen if not given.")] = None,
    sound_speed: Annotated[str | None, typer.Option(help="Instead of the recordings', 1540 or 1.54mm/us.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or gpu.")] = None,
    max_gb: Annotated[float | None, typer.Option(help="Refuse frames that would take more memory.")] = None,
    on_nonfinite: Annotated[Literal["error", "zero"], typer.Option(help="What NaN or infinite samples are.")] = "error",
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Make pairs of images of the same frame to train on, from any recordings.

    They are written one after the other. If it is interrupted, the same command goes on where it was.
    """
    import time

    import usbeam as ub
    from usbeam import io
    from usbeam.cli.beamform import read_frames, read_grid
    from usbeam.errors import ConfigError
    from usbeam.units import parse_quantity

    start = time.perf_counter()
    if (output is None) != diagnose:
        raise ConfigError(
            "--diagnose makes no pairs" if diagnose else "no file to write the pairs to",
            location="--output",
            hint="give either -o PAIRS.h5 or --diagnose",
        )
    options: dict[str, Any] = {
        "method": method,
        "f_number": f_number,
        "window": window,
        "transmit_f_number": transmit_f_number,
        "transmit_window": transmit_window,
        "max_sine": max_sine,
        "interpolation": interpolation,
        "upsampling": upsampling,
        "sound_speed": None if sound_speed is None else parse_quantity(sound_speed, "speed"),
        "device": device,
    }
    options = {name: value for name, value in options.items() if value is not None}
    recordings = [io.load(file, on_nonfinite=on_nonfinite, max_gb=max_gb) for file in files]
    asked = any(text is not None for text in (x, z, shape, spacing))
    grid = read_grid(recordings[0], x, z, shape, spacing) if asked else None
    chosen = None if frames is None else read_frames(frames, recordings[0])
    if output is None:
        _diagnose(dict(zip(files, recordings, strict=True)), grid, (chosen or [0])[0], seed, options, as_json)
        return
    try:
        with progress_bar("making pairs") as advance:
            made = ub.make_pairs(
                recordings,
                grid,
                out=output,
                lq=lq or None,
                hq=hq,
                strategy=strategy,
                n_pairs=n_pairs,
                seed=seed,
                dynamic_range=dynamic_range,
                frames=chosen,
                overwrite=settings.overwrite,
                progress=advance,
                **options,
            )
    except KeyboardInterrupt:
        say(f"usbeam: the pairs that are made stay in {output}.partial; the same command goes on with them")
        raise
    summary, lines = _summary(made, output, time.perf_counter() - start)
    result(summary, as_json, lines)


def _summary(made: Pairs, output: Path, seconds: float) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    n_z, n_x = made.grid.shape
    low, middle, high = np.quantile(made.correlation, (0, 0.5, 1))
    summary: dict[str, Any] = {
        "file": str(output),
        "n_pairs": len(made),
        "shape": [n_z, n_x],
        "strategy": made.strategy,
        "seed": made.seed,
        "dynamic_range_db": made.dynamic_range_db,
        "recordings": list(made.source.file),
        "correlation": {"median": middle, "least": low, "largest": high},
        "overlap": float(np.median(made.overlap)),
        "seconds": seconds,
    }
    return summary, [
        f"{output}: {len(made)} pairs of {n_z} x {n_x} points from {len(made.source.file)} recording(s), "
        f"{made.strategy}, {made.dynamic_range_db:g} dB, {seconds:.1f} s",
        f"correlation of their speckle: {middle:.2f} ({low:.2f} to {high:.2f})",
    ]


def _diagnose(
    recordings: dict[Path, Acquisition],
    grid: Grid | None,
    frame: int,
    seed: int,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    """Print the table of each recording."""
    import dataclasses

    import usbeam as ub

    tables: dict[Path, list[Split]] = {}
    with progress_bar("measuring") as advance:
        for file, recording in recordings.items():
            tables[file] = ub.diagnose(recording, grid, frame=frame, seed=seed, **options)
            advance(len(tables) / len(recordings))
    found = [
        {"file": str(file), "splits": [dataclasses.asdict(split) for split in table]} for file, table in tables.items()
    ]
    lines: list[str] = []
    for file, table in tables.items():
        lines += [f"{file}: correlation of speckle", *(_line(split) for split in table)]
    result({"recordings": found}, as_json, lines)


def _line(split: Split) -> str:
    value = f"absent: {split.reason}" if split.correlation is None else f"{split.correlation:5.2f}"
    return f"  {split.strategy:10}{f'{split.lq} / {split.hq}':34}{value}"
