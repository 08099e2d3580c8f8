"""``python -m benchmarks.zero_shot``: hours at full size, minutes with ``--quick``; goes on where it was stopped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import usbeam as ub
from benchmarks.comparison.images import SNR_DB

from . import training
from .judging import APART, Judging, curves, methods
from .machines import FULL, QUICK, Geometry
from .plan import plan
from .report import write
from .training import Workshop

RESULTS = Path(__file__).parents[1] / "results" / "zero_shot"


def main() -> None:
    """Read the options and run everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zero_shot", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small images, few steps: does it run?")
    parser.add_argument("--plan", action="store_true", help="only say how long it will take; minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="of the training (0)")
    parser.add_argument("--geometry", choices=FULL, help="only this one")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="for results and what is kept (%(default)s)")
    options = parser.parse_args()
    geometries = QUICK if options.quick else FULL
    if options.geometry and not options.quick:
        geometries = {options.geometry: FULL[options.geometry]}
    effort = training.QUICK if options.quick else training.FULL
    texts, seeds = curves(options.quick), list(dict.fromkeys(options.seeds))

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if options.plan:
        print(plan(geometries, texts, effort, seeds, say))
        return
    everything = options.folder / ("quick" if options.quick else "full")
    workshop = Workshop(effort, everything / "machines", say)
    for name, size in geometries.items():
        folder = everything / name.replace(",", "").replace(" ", "_")
        say(name)
        print(experiment(size, texts, workshop, seeds, folder))
        say(f"written to {folder}")


def experiment(size: Geometry, texts: list[str], workshop: Workshop, seeds: list[int], folder: Path) -> str:
    """Everything about one geometry; returns the tables."""
    effort = dataclasses.asdict(workshop.effort)
    check_settings({"size": dataclasses.asdict(size), "effort": effort, "snr_db": SNR_DB, "filters": texts}, folder)
    kept = folder / "kept"
    judging = Judging(size, texts, kept, workshop.say)
    frozen = judging.select(judging.measured("selection", texts))
    runs = workshop.networks(size, seeds, kept)
    judging = Judging(size, texts, kept, workshop.say, methods(runs, adapted=size.adapted))
    applied = {which: judging.applied(which, frozen) for which in ("test", *APART) if which in size.per_family}
    shared = training.shared_speckle(kept if size.training else workshop.common)
    return write(judging, applied, frozen, workshop.effort.machines, shared, folder)


def check_settings(settings: dict[str, Any], folder: Path) -> None:
    """Write what the experiment is of, or refuse a folder that holds another.

    Raises
    ------
    SystemExit
        If it does.
    """
    path = folder / "settings.json"
    text = json.dumps({"usbeam": ub.__version__, **settings}, indent=2) + "\n"
    if path.exists() and path.read_text("utf-8") != text:
        raise SystemExit(f"{folder} holds an experiment with other settings; name another with --folder, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
