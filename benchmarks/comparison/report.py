"""What came out, as text, Markdown, JSON and figures."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import usbeam as ub
from usbeam.comparison import Comparison
from usbeam.comparison.markdown import markdown
from usbeam.comparison.methods import Sweep
from usbeam.comparison.summary import Row
from usbeam.show import comparison as pictures
from usbeam.show import plot

from .images import LOOKS, SNR_DB
from .protocol import COMPOUND, JOIN, Frozen, Protocol, Set

COLUMNS = ("R", "CNR", "gCNR", "difference", "SNR", "FWHM", "level error", "CNR over blur", "s")
LEGEND = """\
method: chosen on the selection set as that of the highest CNR whose mean R is no larger than aimed at. R: edge width
over that of the plain image, geometric mean over test images. CNR, gCNR, difference of levels [dB, magnitude], speckle
SNR of the surroundings: means over circles, then over test images, with the 95 % bootstrap interval of the CNR.
FWHM: apparent lateral width of points [mm], mean. Level error: RMS against the true echo level [dB], mean over images.
CNR over blur: ratio to the CNR that the better of a Gaussian and a median filter of the plain image reaches at the same
R, image by image; - where they do not reach. s: median seconds of the filter for one image, beamforming not counted."""


def table(
    chosen: Iterable[str], rows: Mapping[str, Row], widths: Mapping[str, float], errors: Mapping[str, float]
) -> str:
    """What settings do on the test set, as Markdown."""
    lines = ["| method | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    labels = ["identity", *(label for label in dict.fromkeys(chosen) if label in rows)]
    for label in labels:
        row = rows[label]
        cnr = row.figures.get("cnr")
        interval = "" if cnr is None or cnr.low is None else f" [{cnr.low:.2f}, {cnr.high:.2f}]"
        cells = [
            _number(row, "edge_ratio", ".2f"),
            _number(row, "cnr", ".2f") + interval,
            _number(row, "gcnr", ".3f"),
            _number(row, "mean_difference_db", ".1f"),
            _number(row, "speckle_snr", ".2f"),
            f"{1e3 * widths[label]:.2f}" if label in widths else "-",
            f"{errors[label]:.1f}" if label in errors else "-",
            _against(row),
            f"{row.seconds:.2g}",
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(protocol: Protocol, selection: Set, tested: Set, frozen: Sequence[Frozen], folder: Path) -> str:
    """Write everything into a folder; returns the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {row.setting.label: row for row in tested.comparison.rows}
    labels = ["identity", *dict.fromkeys(label for each in frozen for label in each.settings.values())]
    widths, errors = protocol.widths([*labels, *(name for name in LOOKS if name not in labels)]), tested.level_errors
    size = protocol.size
    n_z, n_x = size.grid.shape
    parts = [
        f"{size.n_elements} elements, every one fires alone; {n_z} x {n_x} points; rf SNR {SNR_DB:g} dB in a channel; "
        f"{len(selection.scenes)} images for selection, {len(tested.scenes)} for test. "
        f"usbeam {ub.__version__}, Python {platform.python_version()}, {platform.machine()}.",
    ]
    for each in frozen:
        parts += [
            f"## Edges at most {each.target:g} times as wide",
            table(each.settings.values(), rows, widths, errors),
        ]
    parts += ["## Spatial compounding alone, however wide", table(LOOKS, rows, widths, errors)]
    parts.append(LEGEND)
    text = "\n\n".join(parts) + "\n"
    (folder / "comparison.md").write_text(f"# Comparison on simulated recordings\n\n{text}", encoding="utf-8")
    (folder / "test_set.md").write_text(markdown(tested.comparison), encoding="utf-8")
    chosen: dict[str, Any] = {f"{each.target:g}": dict(each.settings) for each in frozen}
    (folder / "frozen.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    for which, found in (("selection", selection), ("test", tested)):
        for name, comparison in (("alone", _alone(found.comparison)), ("after_looks", _after(found.comparison))):
            plot.save_figure(pictures.curves(comparison)[0], folder / f"curves_{which}_{name}.png", overwrite=True)
    _pictures(tested, frozen, folder / "pictures.png")
    return text


def _alone(comparison: Comparison) -> Comparison:
    """The methods on the plain image, and compounding."""
    return dataclasses.replace(comparison, sweeps=[each for each in comparison.sweeps if JOIN not in each.label])


def _after(comparison: Comparison) -> Comparison:
    """The methods on one compound, beside the yardsticks: one curve each."""
    base = next(iter(LOOKS)) + JOIN
    sweeps: list[Sweep] = []
    for sweep in comparison.sweeps:
        kept = tuple(each for each in sweep.settings if each.label.startswith(base))
        if sweep.is_control:
            sweeps.append(sweep)
        elif kept:
            sweeps.append(
                dataclasses.replace(sweep, label=sweep.label.replace(COMPOUND, base.removesuffix(JOIN)), settings=kept)
            )
    return dataclasses.replace(comparison, sweeps=sweeps)


def _pictures(tested: Set, frozen: Sequence[Frozen], path: Path) -> None:
    """The first test image by every method at the widest R, each at its own maximum."""
    from matplotlib.figure import Figure

    shown = tested.comparison.enhanced
    labels = [label for label in ("identity", *frozen[-1].settings.values()) if label in shown]
    columns = min(4, len(labels))
    n_rows = -(-len(labels) // columns)
    height = 0.6 + 2.7 * float(np.ptp(shown[labels[0]].grid.z) / np.ptp(shown[labels[0]].grid.x))
    figure = Figure(figsize=(3.6 * columns, height * n_rows), layout="constrained")
    for index, label in enumerate(labels):
        ax = figure.add_subplot(n_rows, columns, index + 1)
        plot.bmode(shown[label], ax=ax)
        ax.set_title(label, fontsize=8)
    figure.savefig(path, dpi=110)


def _number(row: Row, name: str, how: str) -> str:
    found = row.figures.get(name)
    return "-" if found is None else format(found.value, how)


def _against(row: Row) -> str:
    found = row.against_best.get("cnr_ratio")
    if found is None:
        return "-"
    interval = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}{interval}"
