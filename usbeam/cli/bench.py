"""``usbeam bench``: speed on this machine, as a table."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from usbeam.cli.common import Json, Overwrite, result, say, settings

BENCHMARKS = ("das", "fourier", "compounding", "enhancers")


def bench(
    what: Annotated[str, typer.Argument(help="das, fourier, compounding or enhancers.")] = "das",
    repeats: Annotated[int, typer.Option(help="Runs of each row; the median is printed.", min=1)] = 7,
    figure: Annotated[Path | None, typer.Option(help="Draw the result (PNG); fourier and compounding.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure speed, accuracy and memory on this machine; takes some minutes."""
    from usbeam.errors import ConfigError
    from usbeam.io.atomic import check_output
    from usbeam.show import plot

    if what not in BENCHMARKS:
        raise ConfigError("no such benchmark", location="bench", expected=", ".join(BENCHMARKS), found=what)
    module = _load(what)
    if figure is not None:
        if not hasattr(module, "draw"):
            raise ConfigError("this benchmark has no figure", location="--figure", found=what)
        check_output(figure, overwrite=settings.overwrite)
    say("measuring; other work on this machine spoils the numbers")
    found = module.run(repeats)
    if figure is not None:
        plot.save_figure(module.draw(found), figure, overwrite=settings.overwrite)
    result(found, as_json, module.report(found))


def _load(name: str) -> Any:
    """A benchmark's module: beside the package in a wheel, beside it in the source tree otherwise."""
    package = Path(__file__).parents[1]
    for folder in (package / "benchmarks", package.parent / "benchmarks"):
        path = folder / f"{name}.py"
        specification = importlib.util.spec_from_file_location(f"usbeam_benchmark_{name}", path)
        if path.is_file() and specification and specification.loader:
            module = importlib.util.module_from_spec(specification)
            sys.modules[specification.name] = module  # dataclasses look their module up
            specification.loader.exec_module(module)
            return module
    raise FileNotFoundError(f"benchmarks/{name}.py belongs to the installation and is missing")
