"""``usbeam evaluate``: contrast and its companions of images, in regions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, Overwrite, result, settings
from usbeam.errors import printable

if TYPE_CHECKING:
    from usbeam.image import Image
    from usbeam.measure.metrics import Evaluation
    from usbeam.measure.roi import RegionPair

COLUMNS = {
    "cnr": "CNR",
    "control_cnr": "control",
    "gcnr": "gCNR",
    "cnr_eq2": "CNR eq2",
    "contrast_db": "contrast [dB]",
    "mean_difference_db": "difference [dB]",
    "speckle_snr": "speckle SNR",
    "enl": "ENL",
    "edge_width": "edge [mm]",
}
"""Figures of a pair of regions, and their headings."""
WHOLE = {"psnr": "PSNR [dB]", "ssim": "SSIM", "lncc": "LNCC"}
"""Figures of a whole image against the reference."""


def evaluate(
    images: Annotated[list[Path], typer.Argument(help="Image files (.h5).", show_default=False)],
    rois: Annotated[Path, typer.Option(help="Regions: a TOML file of pairs, inside and outside.", show_default=False)],
    original: Annotated[
        Path | None,
        typer.Option(
            help="Image that the others were made from, for the control of CNR; the first one if not given.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Image to compare with: PSNR, SSIM, LNCC.", show_default=False)
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the table, in SI units and dB.")] = None,
    gray_range: Annotated[
        float | None,
        typer.Option(help="Also give CNR by equation 2 of Li, Lu and Monkam, on grey levels from 0 to this."),
    ] = None,
    dynamic_range: Annotated[float, typer.Option(help="Displayed range, in dB, of images that are not in dB.")] = 60.0,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Measure images: CNR with its control, gCNR, contrast, speckle and edges, for every pair of regions.

    A figure that an image does not have is "-" in the table and null in JSON, with the reason; the others are given.
    """
    from usbeam.io.atomic import check_output
    from usbeam.io.image_file import load_image
    from usbeam.measure import metrics, roi

    if csv is not None:
        check_output(csv, overwrite=settings.overwrite)
    pairs = roi.load(rois)
    source = _load(original or images[0], pairs)
    wanted = None if reference is None else load_image(reference)
    reports: list[dict[str, Any]] = []
    for file in images:
        found = metrics.evaluate(
            _load(file, pairs),
            pairs,
            original=source,
            reference=wanted,
            dynamic_range=dynamic_range,
            gray_range=gray_range,
        )
        reports.append(_report(file, found))
    summary = {
        "rois": str(rois),
        "original": str(original or images[0]),
        "reference": None if reference is None else str(reference),
        "dynamic_range_db": dynamic_range,
        "gray_range": gray_range,
        "images": reports,
    }
    if csv is not None:
        _write_csv(csv, reports)
    result(summary, as_json, _lines(summary))


def _load(file: Path, pairs: dict[str, RegionPair]) -> Image:
    """An image that holds the regions; an error about them names the file."""
    from usbeam.errors import MeasurementError
    from usbeam.io.image_file import load_image
    from usbeam.measure import roi

    image = load_image(file)
    try:
        roi.check(image, pairs)
    except MeasurementError as error:
        error.path = str(file)
        raise
    return image


def _report(file: Path, found: Evaluation) -> dict[str, Any]:
    """An evaluation in plain types; what is absent is None."""
    absent = dict(found.absent)
    whole = {name: found.whole[name].value if name in found.whole else None for name in WHOLE}
    if whole["psnr"] == math.inf:  # which JSON cannot say
        whole["psnr"], absent["psnr"] = None, "infinite: the image equals the reference"
    pairs = [
        {
            "name": name,
            **{key: figures[key].value if key in figures else None for key in COLUMNS},
            "n_pixels": dict(zip(("inside", "outside"), figures["gcnr"].n_pixels, strict=True)),
        }
        for name, figures in found.pairs.items()
    ]
    measured = [metric for figures in (*found.pairs.values(), found.whole) for metric in figures.values()]
    return {
        "file": str(file),
        "pairs": pairs,
        "mean": {key: found.mean(key) for key in COLUMNS},
        **whole,
        "definitions": {
            metric.name: {"definition": metric.definition, "domain": metric.domain, "unit": metric.unit}
            for metric in measured
        },
        "absent": absent,
    }


def _write_csv(path: Path, reports: list[dict[str, Any]]) -> None:
    """One row for each image and pair; an absent figure is an empty field."""
    import csv

    from usbeam.io.atomic import atomic_write

    with (
        atomic_write(path, overwrite=settings.overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        table = csv.DictWriter(stream, ["file", "name", *COLUMNS, *WHOLE], extrasaction="ignore")
        table.writeheader()
        table.writerows({**report, **pair} for report in reports for pair in report["pairs"])


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    """The table for people, and below it what its figures are."""
    reports = summary["images"]
    shown = {key: heading for key, heading in COLUMNS.items() if key != "cnr_eq2" or summary["gray_range"] is not None}
    rows = [["image", "region", *shown.values()]]
    for report in reports:
        several: list[dict[str, Any]] = [{"name": "mean", **report["mean"]}] if len(report["pairs"]) > 1 else []
        for index, pair in enumerate([*report["pairs"], *several]):
            name = printable(report["file"]) if not index else ""
            rows.append([name, printable(pair["name"]), *(_cell(key, pair[key]) for key in shown)])
    yield from _aligned(rows, texts=2)
    if summary["reference"] is not None:
        yield ""
        heading = [f"against {printable(summary['reference'])}", *WHOLE.values()]
        cells = [[printable(report["file"]), *(_cell(key, report[key]) for key in WHOLE)] for report in reports]
        yield from _aligned([heading, *cells], texts=1)
    yield ""
    yield (
        f"control: the CNR of {printable(summary['original'])} with its grey levels mapped, in their order, to the "
        "histogram of the image."
    )
    yield (
        "Where CNR is no higher than its control, grey levels were remapped and nothing is separated better; "
        "gCNR does not change under such maps."
    )
    definitions = (
        f"{(COLUMNS | WHOLE)[name].partition(' [')[0]}: {each['definition']}; {each['domain']}"
        for report in reports
        for name, each in report["definitions"].items()
        if name != "control_cnr"
    )
    yield from dict.fromkeys(definitions)
    for report in reports:
        reasons: dict[str, list[str]] = {}
        for name, reason in report["absent"].items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            yield printable(f"-: {report['file']}: {', '.join(names)}: {reason}")


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1e3:.3f}" if key == "edge_width" else f"{value:.2f}" if key.endswith("_db") else f"{value:.3f}"


def _aligned(rows: list[list[str]], *, texts: int) -> Iterable[str]:
    """Columns of equal width, the first `texts` flush left, the others flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            f"{cell:<{width}}" if column < texts else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
