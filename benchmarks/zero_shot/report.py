"""What came out of one geometry, as Markdown, JSON and pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import usbeam as ub
from benchmarks.comparison.images import BESIDE, SNR_DB, truth
from benchmarks.comparison.protocol import COMPOUND, GRAY_RANGE, JOIN, Frozen, Set
from benchmarks.comparison.report import pictured, table
from usbeam.comparison.methods import IDENTITY
from usbeam.comparison.statistics import Estimate
from usbeam.show import comparison as pictures
from usbeam.show import plot
from usbeam.train import Run

from .figures import Figures
from .judging import APART, FILTERS, Judging, Method, PointsSeen
from .machines import Geometry

PRINTED = {IDENTITY: 1.0, "unet-light, fast": 1.145, "unet, fast": 1.29}
"""Ratios of CNR that Li, Lu and Monkam print, of private in-vivo data: original, light and full network."""
PAPER = ("R", "CNR", "its ratio", f"eq. 2, 0 to {GRAY_RANGE:g}", "its ratio", "gCNR", "difference", "SNR",
         "level error", "the paper's ratio, private in-vivo data")  # fmt: skip
OPERATING = ("R", "CNR", "gCNR", "difference", "of faint", "SNR", "level error", "CNR over best", "gCNR gain",
             "error over best", "points", "FWHM")  # fmt: skip
OUTSIDE = ("R", "CNR", "gCNR", "difference", "level error", "line level", "CNR over best", "images")
TRAINING = ("parameters", "training pairs", "epochs", "steps", "validation loss", "s per step", "waiting for data")
NAMES = {"lines": "specular lines", "aberrated": "an aberrating layer", "sound speed": "a sound speed 2 % too high"}
LEGEND = """\
Networks: medians over training seeds; fast: the image alone; quality: with looks from channel data; gate: bright
points come back. Filters: settings chosen on the selection set. R: edge width over that of the plain image. CNR,
gCNR, difference of levels [dB, magnitude], speckle SNR of the surroundings: means over circles, then over images;
of faint: of circles of less than 9 dB. eq. 2: the CNR as the paper prints it, which depends on the range of grey
levels. Level error: RMS against the true echo level, blurred by the point-spread function of the elements that the
image takes [dB]. Over best, gain: against the best of all filters, in whichever of all their settings is best
there, compounds and filtered compounds at the same R, image by image, with the 95 % bootstrap interval over
recordings; of the level error, between means. Images: those in which a filter reaches that R, of all. Points: seen,
of all; FWHM: their apparent lateral width [mm]. Line level: how far specular lines stand out [dB]."""
Cells = Callable[[Sequence[str]], Sequence[str]]


def write(
    judging: Judging,
    applied: Mapping[str, Set],
    frozen: Sequence[Frozen],
    n_machines: int,
    shared: Mapping[str, float],
    folder: Path,
) -> str:
    """Write everything about a geometry into its folder; returns the tables."""
    networks, size = judging.networks, judging.geometry
    figures = {which: Figures(found, networks) for which, found in applied.items()}
    filters = list(dict.fromkeys(label for each in frozen for label in each.settings.values()))
    learnt = {method.name: method.labels for method in networks}
    seen = judging.points_seen([IDENTITY, *filters, *(label for labels in learnt.values() for label in labels)])
    tested = figures["test"]
    alone = {label: [label] for label in (IDENTITY, *filters) if label in tested.rows}
    paper = {label: [label] for label in (IDENTITY, *BESIDE) if label in tested.rows}
    paper |= {name: learnt[name] for name in PRINTED if name in learnt}
    widest = [label for label in frozen[-1].settings.values() if label in tested.rows]
    runs = {method.model: method.runs for method in networks if method.way == "fast"}
    parts = [_described(size, applied, runs, n_machines, shared)]
    if size.training:
        parts += ["## The paper's networks", _table(paper, PAPER, lambda labels: _paper(tested, labels))]
    parts += [
        "## At the same edge width",
        _table({**alone, **learnt}, OPERATING, lambda labels: _operating(tested, labels, seen)),
    ]
    for which in (which for which in APART if which in figures):
        chosen = {IDENTITY: [IDENTITY], **{label: [label] for label in widest}, **learnt}
        cells = _outside(figures[which])
        parts += [f"## The same on {NAMES[which]}", _table(chosen, OUTSIDE, cells)]
    parts += ["## Training", _table({name: [name] for name in runs}, TRAINING, lambda names: _training(runs[names[0]]))]
    parts += ["## Columns", LEGEND]
    text = "\n\n".join(parts) + "\n"
    (folder / "zero_shot.md").write_text(f"# Zero-shot training on simulated recordings\n\n{text}", encoding="utf-8")
    _write_json(figures, learnt, frozen, seen, shared, folder / "zero_shot.json")
    for which, found in applied.items():
        _pictures(found, networks, widest, judging, folder / f"pictures_{which.replace(' ', '_')}.png")
    plot.save_figure(pictures.curves(_drawn(applied["test"], networks))[0], folder / "curves_test.png", overwrite=True)
    return text


def _described(
    size: Geometry,
    applied: Mapping[str, Set],
    runs: Mapping[str, Sequence[Run]],
    n_machines: int,
    shared: Mapping[str, float],
) -> str:
    """What was recorded, and what networks learnt from."""
    n_z, n_x = size.grid.shape
    sent = "every one fires alone" if size.kind == "element" else f"{size.n_waves} {size.kind} waves"
    counts = ", ".join(f"{len(found.scenes)} of {NAMES.get(which, which)}" for which, found in applied.items())
    if size.training:
        learnt_from = f"{size.training} recordings of this machine"
    else:
        learnt_from = f"{n_machines} recordings of as many machines"
    angles = "angles of any sine" if size.max_sine is None else f"angles of sines up to {size.max_sine:g}"
    seeds = ", ".join(str(run.config.seed) for run in next(iter(runs.values())))
    spoken = ", ".join(f"{name} {value:.2f}" for name, value in shared.items())
    return (
        f"{size.n_elements} elements, {size.pitch * 1e3:.4g} mm from one to the next, "
        f"{size.center_frequency / 1e6:g} MHz, {sent}; {n_z} x {n_x} points, {angles}; rf SNR {SNR_DB:g} dB in a "
        f"channel. Phantoms: {counts}. Networks learnt from {learnt_from}; seeds {seeds}. Correlation of the speckle "
        f"of both images of a pair, median: {spoken}. usbeam {ub.__version__}."
    )


def _training(runs: Sequence[Run]) -> Sequence[str]:
    """Of the first seed; losses of all."""
    first, last = runs[0], runs[0].history[-1]
    return [
        f"{first.facts['n_parameters']:,}",
        str(first.facts["n_pairs"]["training"]),
        str(last.epoch),
        str(last.step),
        ", ".join(f"{run.best.validation_loss:.4f}" for run in runs),
        f"{last.step_seconds:.3f}",
        f"{100 * last.waiting:.0f} %",
    ]


def _table(rows: Mapping[str, Sequence[str]], columns: Sequence[str], cells: Cells) -> str:
    return table(rows, columns, lambda name: cells(rows[name]))


def _paper(tested: Figures, labels: Sequence[str]) -> Sequence[str]:
    """For `PAPER`."""
    name = labels[0].partition(", seed")[0]
    return [
        _number(tested.value(labels, "edge_ratio"), ".2f"),
        _number(tested.value(labels, "cnr"), ".2f"),
        _number(tested.ratio(labels, "cnr"), ".2f"),
        _number(tested.value(labels, "cnr_eq2"), ".1f"),
        _number(tested.ratio(labels, "cnr_eq2"), ".2f"),
        _number(tested.value(labels, "gcnr"), ".3f"),
        _number(tested.value(labels, "mean_difference_db"), ".1f"),
        _number(tested.value(labels, "speckle_snr"), ".2f"),
        _number(tested.value(labels, "level_error_db"), ".1f"),
        _number(PRINTED.get(name), "g"),
    ]


def _operating(tested: Figures, labels: Sequence[str], seen: Mapping[str, PointsSeen]) -> Sequence[str]:
    """For `OPERATING`."""
    is_network = ", seed" in labels[0]
    against = tested.against(labels) if is_network else None
    points = [seen[label] for label in labels]
    widths = [each.width for each in points if each.width is not None]
    return [
        _number(tested.value(labels, "edge_ratio"), ".2f"),
        _number(tested.value(labels, "cnr"), ".2f"),
        _number(tested.value(labels, "gcnr"), ".3f"),
        _number(tested.value(labels, "mean_difference_db"), ".1f"),
        _number(tested.value(labels, "faint_difference_db"), ".2f"),
        _number(tested.value(labels, "speckle_snr"), ".2f"),
        _number(tested.value(labels, "level_error_db"), ".2f"),
        "-" if against is None else _estimated(against.cnr_ratio, ".2f"),
        "-" if against is None else _estimated(against.gcnr_gain, "+.3f"),
        "-" if against is None else _number(against.level_error_ratio, ".2f"),
        ", ".join(f"{each.count}/{each.of}" for each in points),
        _number(1e3 * sum(widths) / len(widths) if widths else None, ".2f"),
    ]


def _outside(found: Figures) -> Cells:
    """For `OUTSIDE`."""

    def cells(labels: Sequence[str]) -> Sequence[str]:
        if any(label not in found.rows for label in labels):
            return ["-"] * len(OUTSIDE)
        against = found.against(labels) if ", seed" in labels[0] else None
        return [
            _number(found.value(labels, "edge_ratio"), ".2f"),
            _number(found.value(labels, "cnr"), ".2f"),
            _number(found.value(labels, "gcnr"), ".3f"),
            _number(found.value(labels, "mean_difference_db"), ".1f"),
            _number(found.value(labels, "level_error_db"), ".1f"),
            _number(found.value(labels, "line_level_db"), ".1f"),
            "-" if against is None else _estimated(against.cnr_ratio, ".2f"),
            "-" if against is None else f"{against.n_images}/{len(found.found.scenes)}",
        ]

    return cells


def _write_json(
    figures: Mapping[str, Figures],
    learnt: Mapping[str, Sequence[str]],
    frozen: Sequence[Frozen],
    seen: Mapping[str, PointsSeen],
    shared: Mapping[str, float],
    path: Path,
) -> None:
    data = {
        "frozen": {f"{each.target:g}": dict(each.settings) for each in frozen},
        "speckle_correlation": dict(shared),
        "sets": {which: each.table(list(each.rows)) for which, each in figures.items()},
        "against_best": {
            which: {name: dataclasses.asdict(each.against(labels)) for name, labels in learnt.items()}
            for which, each in figures.items()
        },
        "points": {label: dataclasses.asdict(each) for label, each in seen.items()},
    }
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _drawn(found: Set, networks: Sequence[Method]) -> Any:
    """The comparison with one curve for each filter, for OBNLM after each compound, and for each network."""
    names = {*(method.name for method in networks), IDENTITY, *FILTERS, f"{COMPOUND}{JOIN}obnlm"}
    sweeps = [sweep for sweep in found.comparison.sweeps if sweep.label in names]
    return dataclasses.replace(found.comparison, sweeps=sweeps)


def _pictures(found: Set, networks: Sequence[Method], widest: Sequence[str], judging: Judging, path: Path) -> None:
    """The first image of a set by everything, and the truth."""
    shown = found.comparison.enhanced
    labels = [IDENTITY, *(label for label in widest if label in shown), *(method.labels[0] for method in networks)]
    pictured({**{label: shown[label] for label in labels}, "truth": truth(found.scenes[0], judging.size)}, path)


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _estimated(found: Estimate | None, how: str) -> str:
    if found is None or found.low is None:
        return _number(None if found is None else found.value, how)
    return f"{found.value:{how}} [{found.low:{how}}, {found.high:{how}}]"
