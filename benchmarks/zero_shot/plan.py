"""How long the experiment will take: every piece is run once, and multiplied by how often it occurs."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .judging import APART, Judging, methods
from .scenes import Geometry, recorded, training
from .training import STRATEGIES, Effort, Say, pairs, trained

N_TRIED, STEPS_TRIED = 2, 4
"""Recordings for training and steps of each network that are tried."""
TRIED = "lines", "aberrated"
"""Sets of which one phantom each is tried; the second one's time counts, what compiles having been compiled."""


def plan(
    size: Geometry, n_geometries: int, texts: Sequence[str], effort: Effort, seeds: Sequence[int], say: Say
) -> str:
    """A table of steps with their times, as Markdown.

    Parameters
    ----------
    size
        One of the geometries; the others take as long.
    n_geometries
        How many there are.
    texts
        The filters.
    effort, seeds
        Of the training.
    say
        Told what is being done.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(size, texts, effort, len(seeds), Path(folder), say)
    lines = ["| step | s each | times | min |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {each:.2f} | {times * n_geometries} | {each * times * n_geometries / 60:.1f} |"
        for name, each, times in rows
    ]
    total = sum(each * times for _, each, times in rows) * n_geometries
    lines.append(f"| all, {n_geometries} geometries, {len(seeds)} seeds | | | {total / 60:.0f} |")
    return "\n".join(lines)


def _rows(
    size: Geometry, texts: Sequence[str], effort: Effort, n_seeds: int, folder: Path, say: Say
) -> list[tuple[str, float, int]]:
    """Name of a step, its seconds, how often in one geometry."""
    tried = dataclasses.replace(size, training=N_TRIED, per_family=dict.fromkeys(size.per_family, 1))
    short = dataclasses.replace(effort, epochs=1, steps=dict.fromkeys(STRATEGIES, STEPS_TRIED))
    counts = {which: len(Judging(size, texts, folder, say).drawn(which)) for which in ("selection", "test", *APART)}
    record = [_seconds(lambda scene=scene: recorded(scene, size, folder / "recordings")) for scene in training(tried)]
    rows = [("a recording", record[-1], size.training + counts["selection"])]
    for strategy in dict.fromkeys(STRATEGIES.values()):
        seconds = _seconds(lambda name=strategy: pairs(name, tried, short, folder, say))
        rows.append((f"pairs of a recording, {strategy}", seconds / N_TRIED, size.training))
    runs = {model: [trained(model, 0, tried, short, folder, say)] for model in STRATEGIES}
    n_held_out = round(size.training * effort.config("looks", 0).held_out)
    for model, (run,) in runs.items():
        last, n_validated = run.history[-1], run.facts["n_pairs"]["validation"]
        validated = max(0.0, last.seconds - STEPS_TRIED * last.step_seconds) / n_validated
        per_recording = effort.looks if STRATEGIES[model] == "looks" else 1
        rows.append((f"a step of {model}", last.step_seconds, n_seeds * effort.epochs * effort.steps[model]))
        rows.append((f"a validation image of {model}", validated, n_seeds * effort.epochs * n_held_out * per_recording))
    judging = Judging(tried, texts, folder, say)
    for which in TRIED:
        for scene in judging.drawn(which):
            recorded(scene, tried, folder / "recordings")
    selected = [_seconds(lambda which=which: judging.measured(which, texts)) for which in TRIED]
    rows.append(("a phantom of the selection set", selected[-1], counts["selection"]))
    frozen = judging.select(judging.measured(TRIED[-1], texts))
    judging = Judging(tried, texts, folder / "networks", say, methods(runs))
    applied = [_seconds(lambda which=which: judging.applied(which, frozen)) for which in TRIED]
    n_tested = sum(count for which, count in counts.items() if which != "selection")
    rows.append(("a phantom of the other sets: recorded, filters, networks of one seed", applied[-1], n_tested))
    return rows


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
