"""A comparison as Markdown: tables of means, of what controls reach at the same edge width, of tests and of times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from usbeam.comparison.comparing import Comparison
from usbeam.comparison.methods import IDENTITY
from usbeam.comparison.statistics import MIN_IMAGES, Estimate
from usbeam.comparison.summary import COMPARED, CONTROL, Row, SignedRank
from usbeam.comparison.tables import definitions, missing
from usbeam.errors import printable

HEADINGS = {
    "edge_ratio": "R",
    "cnr": "CNR",
    "control_cnr": "control CNR",
    "gcnr": "gCNR",
    "mean_difference_db": "difference [dB]",
    "speckle_snr": "speckle SNR",
    "edge_width": "edge [mm]",
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "lncc": "LNCC",
}
FINE = ("gcnr", "gcnr_gain", "ssim", "lncc")
"""Figures between -1 and 1, shown with three decimals."""
MEANS = (
    "R: edge width over that of the original; geometric mean. Others: means over pairs, then over images; of the "
    "difference the magnitude. In brackets the 95 % bootstrap interval over images; n where images lack a figure.",
    "control CNR: that of the original with its grey levels mapped, in their order, to the histogram of the image. "
    "Where CNR is no higher, grey levels were remapped and nothing is separated better.",
    "difference: a filter that changes it changes the contrast.",
)
MATCHED = (
    "at R: the CNR that a control reaches at the method's own R in each image, linear between its settings, the "
    "original being the first; - beyond them.",
    "ratio: CNR over that of the better control; geometric mean. gain: gCNR less that of the better control.",
)
TESTED = (
    "Two-sided p of Wilcoxon's signed-rank test over images, Holm-corrected in each column, against the original and, "
    f"at R, against the better control there. Fewer than {MIN_IMAGES} images are not tested (-).",
)
TIMED = "Median seconds for one image. The first run of a method was repeated, so that compilation is not counted"


def markdown(comparison: Comparison) -> str:
    """All tables, and what they show."""
    rows, n = comparison.rows, len(comparison.images)
    others = [row for row in rows if not row.sweep.is_control]
    regions = ", ".join(map(_safe, comparison.pairs))
    parts = [
        ["# Comparison", "", f"{n} image(s); regions {regions}; {comparison.dynamic_range:g} dB displayed."],
        ["## Means", "", *_means(rows, n), "", *_items(MEANS)],
        ["## At the same edge width", "", *_matched(others, n), "", *_items(MATCHED)] if others else [],
        ["## Tests", "", *_tests(others), "", *_items(TESTED)] if others else [],
        ["## Times", "", *_times(rows), "", *_items([_timed(rows)])],
        ["## Definitions", "", *_items(_defined(comparison))],
        ["## Missing", "", *_items(_safe(line) for line in missing(comparison) or ["nothing"])],
    ]
    return "\n".join(line for part in parts if part for line in (*part, ""))


def _means(rows: Sequence[Row], n: int) -> Iterator[str]:
    shown = {name: heading for name, heading in HEADINGS.items() if any(name in row.figures for row in rows)}
    yield from _table(
        ["method", *shown.values()],
        ([_safe(row.setting.label), *(_cell(row.figures.get(name), n, name) for name in shown)] for row in rows),
    )


def _matched(rows: Sequence[Row], n: int) -> Iterator[str]:
    controls = list(rows[0].matched)
    cells = (
        [
            _safe(row.setting.label),
            *(_cell(row.figures.get(name), n, name) for name in ("edge_ratio", "cnr")),
            *(_cell(row.matched[control].get("cnr"), n, "cnr") for control in controls),
            *(_cell(row.against_best.get(name), n, name) for name in ("cnr_ratio", "gcnr_gain")),
        ]
        for row in rows
    )
    yield from _table(["method", "R", "CNR", *(f"{_safe(each)} at R" for each in controls), "ratio", "gain"], cells)


def _tests(rows: Sequence[Row]) -> Iterator[str]:
    columns = [(other, name) for other in (IDENTITY, CONTROL) for name in COMPARED]
    yield from _table(
        ["method", "CNR", "gCNR", "CNR at R", "gCNR at R"],
        ([_safe(row.setting.label), *(_p(row.tests[other][name]) for other, name in columns)] for row in rows),
    )


def _times(rows: Sequence[Row]) -> Iterator[str]:
    yield from _table(["method", "s"], ([_safe(row.setting.label), f"{row.seconds:.3g}"] for row in rows))


def _timed(rows: Sequence[Row]) -> str:
    compiled = ", ".join(_safe(row.setting.label) for row in rows if row.compiled)
    return f"{TIMED}, but for {compiled}, which took over a minute." if compiled else f"{TIMED}."


def _defined(comparison: Comparison) -> Iterator[str]:
    for name, domains in definitions(comparison).items():
        if name in HEADINGS and name != "control_cnr":
            definition = next(iter(domains.values()))["definition"]
            yield f"{HEADINGS[name].partition(' [')[0]}: {definition}; {', or '.join(domains)}"


def _cell(found: Estimate | None, n: int, name: str) -> str:
    """A mean with its interval: ``1.23 [1.10, 1.41]``."""
    if found is None:
        return "-"
    scale, digits = (1e3, 3) if name == "edge_width" else (1.0, 3 if name in FINE else 2)
    text = f"{found.value * scale:.{digits}f}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low * scale:.{digits}f}, {found.high * scale:.{digits}f}]"
    return text if found.n == n else f"{text} (n = {found.n})"


def _p(test: SignedRank) -> str:
    return "-" if test.p_holm is None else f"{test.p_holm:.2g} (n = {test.n})"


def _safe(text: str) -> str:
    """Text as Markdown shows it, whatever a file or region is called."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", printable(text))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rule = ["---", *(["---:"] * (len(headings) - 1))]
    for cells in (headings, rule, *rows):
        yield f"| {' | '.join(cells)} |"


def _items(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield f"- {text}"
