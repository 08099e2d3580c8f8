"""``usbeam train``: pairs become a trained network in a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.train.loop import Epoch
    from usbeam.train.run import Run


def train(
    pairs: Annotated[
        Path,
        typer.Argument(
            help="Pairs that `usbeam pairs` made (.h5); with --from also a recording, for the network to adapt to.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to write.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(help="looks, looks-light, unet or unet-light.", show_default="looks, or that of --from"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="After each the network is validated and kept.", show_default="20")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the starting weights, the split and the crops.", show_default="0")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML with these and further settings; options go before it.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that is there.")] = False,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Weights to start from: a file, or a run folder.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Train a network on pairs of images, or adapt one to a recording.

    The run folder holds the best weights, settings, facts, curves, a picture after each epoch, and the state from
    which --resume goes on to the same result. Needs the extra `train`.
    """
    from usbeam.errors import ConfigError

    try:
        from usbeam.adaptation import adapt
        from usbeam.io import load
        from usbeam.train import gpu
        from usbeam.train.config import read_toml
        from usbeam.train.run import STATE
        from usbeam.train.training import fit
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}", hint="pip install 'usbeam[train]'") from error

    given: dict[str, Any] = {} if config is None else read_toml(config)
    options = {"model": model, "epochs": epochs, "seed": seed}
    given |= {name: value for name, value in options.items() if value is not None}

    taken = gpu.resolve(device)
    if device == "auto" and _speaks():
        say(f"device: {taken}")
    if start is not None and _is_recording(pairs):
        if resume:
            raise ConfigError("an adaptation begins anew", location="--resume", hint="leave it out")
        with progress_bar("adapting") as advance:
            run = adapt(
                load(pairs),
                start,
                out=output,
                config=given,
                device=device,
                overwrite=settings.overwrite,
                progress=advance,
            )
        _report(run, as_json)
        return

    def tell(epoch: Epoch) -> None:
        say(f"epoch {epoch.epoch}: loss {epoch.train_loss:.4g}, held out {epoch.validation_loss:.4g}")

    try:
        with progress_bar("training") as advance:
            run = fit(
                pairs,
                given,
                out=output,
                resume=resume,
                start=start,
                device=device,
                overwrite=settings.overwrite,
                progress=advance,
                on_epoch=tell,
            )
    except KeyboardInterrupt:
        if (output / STATE).is_file():
            say(f"usbeam: the last state is in {output}; --resume goes on from it")
        raise
    if _speaks():
        _report(run, as_json)


def _speaks() -> bool:
    """Of the processes that torchrun starts, one does."""
    return os.environ.get("RANK", "0") == "0"


def _is_recording(path: Path) -> bool:
    """Whether a file says so; what cannot be read is left to those who report it."""
    from usbeam.errors import UsbeamError
    from usbeam.io.identify import find_spec
    from usbeam.io.safe import open_hdf5

    try:
        with open_hdf5(path) as file:
            return find_spec(file).name == "usbeam-channel-data"
    except UsbeamError:
        return False


def _report(run: Run, as_json: bool) -> None:
    best, last = run.best, run.history[-1]
    summary: dict[str, Any] = {
        "folder": str(run.folder),
        "model": run.config.model,
        "parameters": run.facts["n_parameters"],
        "epochs": len(run.history),
        "train_loss": last.train_loss,
        "validation_loss": last.validation_loss,
        "best": None if best is None else {"epoch": best.epoch, "validation_loss": best.validation_loss},
        "seconds": sum(epoch.seconds for epoch in run.history),
        "step_seconds": min(epoch.step_seconds for epoch in run.history),
        "waiting": max(epoch.waiting for epoch in run.history),
        "split": run.facts["split"],
        "device": run.facts["device"],
        "adapted": run.facts.get("adapted"),
    }
    line = (
        f"{run.folder}: {run.config.model}, {summary['parameters']} parameters, {len(run.history)} epochs in "
        f"{summary['seconds']:.0f} s ({summary['step_seconds']:.3g} s a step, {100 * summary['waiting']:.1f} % of it "
        f"waiting for data), loss held out "
        f"{last.validation_loss:.4g}; {run.facts['split']}"
    )
    adapted = summary["adapted"]
    if adapted is not None:
        losses = ", ".join(f"{each:.4g}" for each in adapted["loss"]["rounds"])
        line += f"; loss held out before {adapted['loss']['before']:.4g}, at best in each round {losses}"
    result(summary, as_json, [line])
