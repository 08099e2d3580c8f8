"""How long the experiment will take: every piece is run once, and multiplied by how often it occurs."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .judging import APART, Judging, methods
from .machines import BASE, Geometry
from .scenes import recorded, training
from .training import STRATEGIES, Effort, Say, Workshop

N_TRIED, STEPS_TRIED = 2, 4
"""Recordings for training and steps of each network that are tried."""
TRIED = "lines", "aberrated"
"""Sets of which one phantom each is tried; the second one's time counts, what compiles having been compiled."""


def plan(
    geometries: Mapping[str, Geometry], texts: Sequence[str], effort: Effort, seeds: Sequence[int], say: Say
) -> str:
    """A table of steps with their times, as Markdown.

    Parameters
    ----------
    geometries
        All of them take as long as one does.
    texts
        The filters.
    effort, seeds
        Of the training.
    say
        Told what is being done.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(geometries, texts, effort, len(seeds), Path(folder), say)
    lines = ["| step | s each | times | min |", "|---|---|---|---|"]
    lines += [f"| {name} | {each:.2f} | {times} | {each * times / 60:.1f} |" for name, each, times in rows]
    total = sum(each * times for _, each, times in rows)
    lines.append(f"| all, {len(geometries)} geometries, {len(seeds)} seeds, no adaptation | | | {total / 60:.0f} |")
    return "\n".join(lines)


def _rows(
    geometries: Mapping[str, Geometry], texts: Sequence[str], effort: Effort, n_seeds: int, folder: Path, say: Say
) -> list[tuple[str, float, int]]:
    """Name of a step, its seconds, how often."""
    tried = dataclasses.replace(BASE, training=N_TRIED, per_family=dict.fromkeys(BASE.per_family, 1))
    steps = dict.fromkeys(STRATEGIES, STEPS_TRIED)
    few = dataclasses.replace(effort, epochs=1, steps=steps, machines=N_TRIED, held_out=1)
    workshop = Workshop(few, folder, say)
    judging = Judging(tried, texts, folder, say)
    n_recordings = {
        "paper": sum(size.training for size in geometries.values()),
        "looks": effort.machines,
    }
    n_selected, n_tested = (
        sum(_count(judging, size, sets) for size in geometries.values()) for sets in (("selection",), ("test", *APART))
    )
    record = [
        _seconds(lambda number=number: recorded(training(number, tried), tried, folder / "recordings"))
        for number in range(N_TRIED)
    ]
    rows = [("a recording", record[-1], sum(n_recordings.values()) + n_selected)]
    for strategy in dict.fromkeys(STRATEGIES.values()):
        seconds = _seconds(lambda name=strategy: workshop.pairs(name, tried, folder))
        rows.append((f"pairs of a recording, {strategy}", seconds / N_TRIED, n_recordings[strategy]))
    runs = {model: [workshop.trained(model, 0, tried, folder)] for model in STRATEGIES}
    n_paper = sum(size.training > 0 for size in geometries.values())
    for model, (run,) in runs.items():
        is_paper = STRATEGIES[model] == "paper"
        n_trained = n_seeds * effort.epochs * (n_paper if is_paper else 1)
        held_out = round(effort.config(model, 0).held_out * n_recordings[STRATEGIES[model]])
        held_out *= 1 if is_paper else effort.looks
        last, n_validated = run.history[-1], run.facts["n_pairs"]["validation"]
        validated = max(0.0, last.seconds - STEPS_TRIED * last.step_seconds) / n_validated
        rows.append((f"a step of {model}", last.step_seconds, n_trained * effort.steps[model]))
        rows.append((f"a validation image of {model}", validated, n_trained * held_out))
    for which in TRIED:
        for scene in judging.drawn(which):
            recorded(scene, tried, folder / "recordings")
    selected = [_seconds(lambda which=which: judging.measured(which, texts)) for which in TRIED]
    rows.append(("a phantom of the selection set", selected[-1], n_selected))
    frozen = judging.select(judging.measured(TRIED[-1], texts))
    judging = Judging(tried, texts, folder / "networks", say, methods(runs))
    applied = [_seconds(lambda which=which: judging.applied(which, frozen)) for which in TRIED]
    rows.append(("a phantom of the other sets: recorded, filters, networks of one seed", applied[-1], n_tested))
    return rows


def _count(judging: Judging, size: Geometry, sets: Sequence[str]) -> int:
    """Phantoms of these sets in a geometry."""
    judging = Judging(size, judging.texts, judging.folder, judging.say)
    return sum(len(judging.drawn(which)) for which in sets if which in size.per_family)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
