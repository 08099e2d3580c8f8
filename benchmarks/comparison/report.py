"""What came out, as text, Markdown, JSON and figures."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np

import usbeam as ub
from usbeam.comparison import Comparison
from usbeam.comparison.markdown import markdown
from usbeam.comparison.methods import IDENTITY, Sweep
from usbeam.comparison.statistics import Estimate
from usbeam.comparison.summary import Row
from usbeam.show import comparison as pictures
from usbeam.show import plot

from .images import BESIDE, LOOKS, MADE, ORIGINAL, SNR_DB
from .protocol import COMPOUND, GRAY_RANGE, JOIN, Frozen, OnPoints, Protocol, Set

COLUMNS = ("R", "CNR", "gCNR", "difference", "SNR", "FWHM", "level error", "CNR over blur", "s")
PRINTED = ("CNR", "its ratio", f"eq. 2, 0 to {GRAY_RANGE:g}", "its ratio", "gCNR", "s")
APART_COLUMNS = ("R", "CNR", "gCNR", "CNR over blur", "level error", "line level")
LEGEND = """\
method: chosen on the selection set as that of the highest CNR whose mean R is no larger than aimed at. R: edge width
over that of the plain image, geometric mean over images. CNR, gCNR, difference of levels [dB, magnitude], speckle SNR
of the surroundings, displayed levels being decompressed: means over circles, then over images, with the 95 % bootstrap
interval of the CNR. FWHM: apparent lateral width of points [mm], mean. Level error: RMS against the true echo level
[dB], mean over images. CNR over blur: ratio to the CNR that the better of a Gaussian and a median filter of the plain
image reaches at the same R, image by image; - where they do not reach. s: seconds of the filter for one image,
beamforming not counted, median of three runs. eq. 2: the CNR as the zero-shot paper prints it, with the square root of
the sum of standard deviations, magnitude; it depends on the range of grey levels. Line level: how far specular lines
stand out of what surrounds them [dB]."""
NAMES = {"test": "cysts, inclusions, layers", "lines": "specular lines", "aberrated": "an aberrating layer"}


def table(labels: Iterable[str], columns: Sequence[str], cells: Callable[[str], Sequence[str]]) -> str:
    """One row for each label, as Markdown."""
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join([*lines, *(f"| {label} | " + " | ".join(cells(label)) + " |" for label in labels)])


class Figures:
    """What settings do to a set, as cells of tables."""

    def __init__(self, found: Set, on_points: Mapping[str, OnPoints]) -> None:
        self.rows = {row.setting.label: row for row in found.comparison.rows}
        self.others, self.on_points = found.others, on_points

    def present(self, labels: Iterable[str]) -> list[str]:
        """The plain image, and those of the labels that were measured."""
        return [label for label in dict.fromkeys([IDENTITY, *labels]) if label in self.rows]

    def chosen(self, label: str) -> Sequence[str]:
        """For `COLUMNS`."""
        row, points = self.rows[label], self.on_points[label]
        return [
            _number(row, "edge_ratio", ".2f"),
            _number(row, "cnr", ".2f") + _interval(row.figures.get("cnr")),
            _number(row, "gcnr", ".3f"),
            _number(row, "mean_difference_db", ".1f"),
            self._other(label, "speckle_snr", ".2f"),
            "-" if points.width is None else f"{1e3 * points.width:.2f}",
            self._other(label, "level_error_db", ".1f"),
            _against(row),
            f"{points.seconds:.2g}",
        ]

    def printed(self, label: str) -> Sequence[str]:
        """For `PRINTED`."""
        row, before = self.rows[label], self.rows[IDENTITY]
        ratio = row.figures["cnr"].value / before.figures["cnr"].value
        ratio_eq2 = self.others[label]["cnr_eq2"] / self.others[IDENTITY]["cnr_eq2"]
        return [
            _number(row, "cnr", ".2f"),
            f"{ratio:.2f}",
            self._other(label, "cnr_eq2", ".1f"),
            f"{ratio_eq2:.2f}",
            _number(row, "gcnr", ".3f"),
            f"{self.on_points[label].seconds:.2g}",
        ]

    def apart(self, label: str) -> Sequence[str]:
        """For `APART_COLUMNS`."""
        row = self.rows[label]
        return [
            _number(row, "edge_ratio", ".2f"),
            _number(row, "cnr", ".2f"),
            _number(row, "gcnr", ".3f"),
            _against(row),
            self._other(label, "level_error_db", ".1f"),
            self._other(label, "line_level_db", ".1f"),
        ]

    def _other(self, label: str, name: str, how: str) -> str:
        found = self.others[label].get(name)
        return "-" if found is None else format(found, how)


def write(
    protocol: Protocol, selection: Set, applied: Mapping[str, Set], frozen: Sequence[Frozen], folder: Path
) -> str:
    """Write everything into a folder; returns the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    single = [name for name in MADE if name != ORIGINAL]
    labels = [IDENTITY, *single, *(label for each in frozen for label in each.settings.values())]
    on_points = protocol.on_points(list(dict.fromkeys(labels)))
    figures = {which: Figures(found, on_points) for which, found in applied.items()}
    tested, widest = figures["test"], frozen[-1].settings.values()
    size = protocol.size
    n_z, n_x = size.grid.shape
    counts = ", ".join(f"{len(found.scenes)} of {NAMES[which]}" for which, found in applied.items())
    parts = [
        f"{size.n_elements} elements, every one fires alone; {n_z} x {n_x} points; rf SNR {SNR_DB:g} dB in a channel; "
        f"{len(selection.scenes)} images for selection; for test {counts}. "
        f"usbeam {ub.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{numba.get_num_threads()} threads.",
    ]
    for each in frozen:
        chosen = tested.present(each.settings.values())
        parts += [f"## Edges at most {each.target:g} times as wide", table(chosen, COLUMNS, tested.chosen)]
    parts += ["## Other images of the same recordings", table(tested.present(single), COLUMNS, tested.chosen)]
    parts += ["## As the zero-shot paper prints it", table(tested.present([*BESIDE, *widest]), PRINTED, tested.printed)]
    for which, name in NAMES.items():
        if which != "test":
            found = figures[which]
            parts += [f"## The same settings on {name}", table(found.present(widest), APART_COLUMNS, found.apart)]
    parts += ["## Columns", LEGEND]
    text = "\n\n".join(parts) + "\n"
    (folder / "comparison.md").write_text(f"# Comparison on simulated recordings\n\n{text}", encoding="utf-8")
    (folder / "test_set.md").write_text(markdown(applied["test"].comparison), encoding="utf-8")
    settings: dict[str, Any] = {f"{each.target:g}": dict(each.settings) for each in frozen}
    (folder / "frozen.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    for which, found in (("selection", selection), ("test", applied["test"])):
        for name, comparison in (("alone", _alone(found.comparison)), ("after_looks", _after(found.comparison))):
            plot.save_figure(pictures.curves(comparison)[0], folder / f"curves_{which}_{name}.png", overwrite=True)
    for which, found in applied.items():
        shown = found.comparison.enhanced
        chosen = [label for label in (IDENTITY, *frozen[-1].settings.values()) if label in shown]
        pictured({label: shown[label] for label in chosen}, folder / f"pictures_{which}.png")
    return text


def _alone(comparison: Comparison) -> Comparison:
    """The methods on the plain image, and every compound by itself."""
    sweeps: list[Sweep] = []
    for sweep in comparison.sweeps:
        if sweep.label == COMPOUND:
            sweeps += [Sweep(each.label, COMPOUND, (each,)) for each in sweep.settings]
        elif JOIN not in sweep.label:
            sweeps.append(sweep)
    return dataclasses.replace(comparison, sweeps=sweeps)


def _after(comparison: Comparison) -> Comparison:
    """The methods on the first compound, beside the yardsticks: one curve each."""
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


def pictured(images: Mapping[str, ub.Image], path: Path) -> None:
    """Images side by side, each at its own maximum."""
    from matplotlib.figure import Figure

    grid = next(iter(images.values())).grid
    columns = min(4, len(images))
    n_rows = -(-len(images) // columns)
    height = 0.7 + 2.7 * float(np.ptp(grid.z) / np.ptp(grid.x))
    figure = Figure(figsize=(3.6 * columns, height * n_rows), layout="constrained")
    for index, (label, image) in enumerate(images.items()):
        ax = figure.add_subplot(n_rows, columns, index + 1)
        plot.bmode(image, ax=ax)
        ax.set_title(label, fontsize=8)
    figure.savefig(path, dpi=110)


def _number(row: Row, name: str, how: str) -> str:
    found = row.figures.get(name)
    return "-" if found is None else format(found.value, how)


def _against(row: Row) -> str:
    found = row.against_best.get("cnr_ratio")
    return "-" if found is None else f"{found.value:.2f}{_interval(found)}"


def _interval(found: Estimate | None) -> str:
    return "" if found is None or found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
