"""What all commands share: the global options, progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import typer


@dataclass
class Settings:
    """The global options, as given before or after the command's name."""

    verbosity: int = 0
    progress: bool = True
    overwrite: bool = False


settings = Settings()


def _set_overwrite(value: bool) -> bool:
    settings.overwrite = settings.overwrite or value
    return value


def _set_quiet_progress(value: bool) -> bool:
    settings.progress = settings.progress and not value
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output if it is there.", callback=_set_overwrite)
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Draw no progress bar.", callback=_set_quiet_progress)]


def say(text: str) -> None:
    """Talk: one line on stderr, unless ``-q``."""
    if settings.verbosity >= 0:
        print(text, file=sys.stderr)


def result(data: dict[str, Any], as_json: bool, lines: Iterable[str]) -> None:
    """Data: one JSON object, or lines for people, on stdout."""
    if as_json:
        print(json.dumps(data, indent=None, default=float))
    else:
        for line in lines:
            print(line)


@contextlib.contextmanager
def progress_bar(description: str) -> Generator[Callable[[float], None]]:
    """A bar on stderr, fed with the fraction done; silent where stderr is no terminal.

    Parameters
    ----------
    description
        What is being done.
    """
    from tqdm import tqdm

    silent = not settings.progress or settings.verbosity < 0 or not sys.stderr.isatty()
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=1.0, desc=description, disable=silent, bar_format=layout, leave=False, file=sys.stderr) as bar:

        def advance(fraction: float) -> None:
            bar.update(max(0.0, fraction - bar.n))

        yield advance


def place(text: str) -> tuple[float, float]:
    """Lateral position and depth [m] of ``0mm,20mm``, as ``--near`` takes them."""
    from usbeam.errors import ConfigError
    from usbeam.units import parse_quantity

    parts = text.split(",")
    if len(parts) != 2:
        raise ConfigError(
            f"cannot read {text!r} as a place", location="--near", expected="lateral position and depth, 0mm,20mm"
        )
    return parse_quantity(parts[0], "length"), parse_quantity(parts[1], "length")
