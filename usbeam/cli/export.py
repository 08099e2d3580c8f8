"""``usbeam export``: a trained network becomes an ONNX model, with the numbers that prove it equal to torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from usbeam.cli.common import Json, Overwrite, result, settings


def export(
    run: Annotated[
        str,
        typer.Argument(
            help="A run folder, a file of weights, or the name of weights that come with usbeam.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model to write (.onnx).", show_default=False)],
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a trained network as an ONNX model for images of any size.

    What ONNX Runtime and OpenVINO make of it is compared with what torch makes; a model that differs is not written.
    As RUN/weights.onnx it is what `usbeam enhance --runtime onnx` takes, which else makes it anew each time. Needs the
    extras `train` and `export`.
    """
    from usbeam.enhancers import trained
    from usbeam.errors import ConfigError

    if output.suffix.lower() != ".onnx":
        raise ConfigError("unknown ending", path=output, location="--output", expected=".onnx")
    network = trained.find(run).network
    from usbeam.train import export as exporting  # after what says that torch is missing

    done = exporting.export(network, output, overwrite=settings.overwrite)
    summary = {
        "file": str(done.path),
        "model": network.model,
        "sha256": network.sha256,
        "difference": done.difference,
        "tolerance": exporting.TOLERANCE,
        "sizes": [list(size) for size in done.sizes],
    }
    sizes = ", ".join(f"{n_z} x {n_x}" for n_z, n_x in done.sizes)
    proof = [f"  {name} differs from torch by {value:.1e} at most" for name, value in done.difference.items()]
    result(summary, as_json, [f"{done.path}: {network.model}, checked on images of {sizes}", *proof])
