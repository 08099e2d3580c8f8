"""The program ``usbeam``: registers the commands, and turns errors into one line and an exit code."""

from __future__ import annotations

import _thread
import logging
import os
import sys
import threading
import traceback
import warnings
from typing import Annotated, Any

import typer

from usbeam import __version__
from usbeam.cli.beamform import beamform
from usbeam.cli.bench import bench
from usbeam.cli.common import settings
from usbeam.cli.compare import compare
from usbeam.cli.convert import convert
from usbeam.cli.demo import demo
from usbeam.cli.doctor import doctor, warmup
from usbeam.cli.enhance import enhance
from usbeam.cli.evaluate import evaluate
from usbeam.cli.export import export
from usbeam.cli.info import info
from usbeam.cli.pairs import pairs
from usbeam.cli.psf import psf
from usbeam.cli.report import report
from usbeam.cli.simulate import simulate
from usbeam.cli.train import train
from usbeam.cli.validate import validate
from usbeam.errors import UsbeamError

INTERRUPTED = 130
LAST_WORDS = "usbeam: interrupted; finished outputs are whole, unfinished ones were removed"

app = typer.Typer(
    name="usbeam",
    help="From raw ultrasound channel data to images, with any subset of transmitters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    simulate,
    info,
    validate,
    convert,
    beamform,
    pairs,
    train,
    enhance,
    export,
    psf,
    evaluate,
    compare,
    report,
    doctor,
    warmup,
):
    app.command()(command)
app.command("bench")(bench)


def _print_version(value: bool) -> None:
    if value:
        print(f"usbeam {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(  # pyright: ignore[reportUnusedFunction]
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv shows tracebacks of errors.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Draw no progress bars.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    settings.verbosity = -1 if quiet else verbose
    settings.progress = not no_progress
    settings.overwrite = overwrite
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(settings.verbosity, logging.DEBUG)
    logging.basicConfig(format="usbeam: %(message)s", stream=sys.stderr)
    logging.getLogger("usbeam").setLevel(level)  # ours only: other libraries' debugging helps nobody here


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    if settings.verbosity >= 0:
        print(f"usbeam: warning: {message}", file=sys.stderr)


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Python drops a Ctrl-C that arrives in a callback from C, as Numba's compiler makes them: raise it again soon."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        threading.Timer(0.02, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


def _comes_from_ctrl_c(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def run() -> None:
    """Run the program and leave with its exit code: 0, 1 check failed, 2 usage, 3 file, 4 device, 5 diverged, 130."""
    warnings.showwarning = _show_warning
    sys.unraisablehook = _interrupt_again
    try:
        try:
            app()
        finally:
            print(end="", flush=True)  # here a closed pipe can still be answered; when the interpreter ends it cannot
    except UsbeamError as error:
        if settings.verbosity >= 2:
            traceback.print_exc()
        print(f"usbeam: error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {' '.join(error.hint.split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # Typer's answer to Ctrl-C
            print(LAST_WORDS, file=sys.stderr)
        raise
    except SystemError as error:
        # Compiled code that a Ctrl-C met reports it as its own failure.
        if not _comes_from_ctrl_c(error):
            raise
        print(LAST_WORDS, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our stdout has gone; point stdout elsewhere so that the interpreter's last flush is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
