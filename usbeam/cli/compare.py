"""``usbeam compare``: methods against each other and against controls, on the same images and regions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.comparison import Comparison

FORMAT = "usbeam-comparison 1.0"
REQUEST = "request.json"
RESULTS = "results"
FIGURES = {name: [f"{name}.{ending}" for ending in ("png", "pdf")] for name in ("curves", "pictures")}
TABLES = ("table.csv", "table.md", "summary.json")


def compare(
    images: Annotated[list[Path], typer.Argument(help="Image files (.h5), on any grids.", show_default=False)],
    rois: Annotated[Path, typer.Option(help="Regions: a TOML file of pairs, inside and outside.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what comes out.", show_default=False)],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="A method, at its defaults or NAME:PARAMETER=VALUE; several values make an operating curve: "
            "bilateral:sigma_color=0.05,0.1,0.2. Parameters are parted by semicolons. May be repeated.",
            metavar="METHOD",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Image to compare with: PSNR, SSIM, LNCC.", show_default=False)
    ] = None,
    dynamic_range: Annotated[float, typer.Option(help="Displayed range, in dB, of images that are not in dB.")] = 60.0,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Compare methods: every image by every method, measured in the regions, judged at the same edge width.

    Identity, Gaussian and median filters are always among them. An interrupted comparison goes on where it was when the
    command is given again.
    """
    from usbeam.comparison import compare as run
    from usbeam.comparison.comparing import check
    from usbeam.comparison.results import fingerprint, regions_fingerprint
    from usbeam.errors import ConfigError
    from usbeam.io.image_file import load_image
    from usbeam.measure import roi

    given = methods or []
    for file in images:
        if images.count(file) > 1:
            raise ConfigError("the same image twice", path=file, location="IMAGES")
    pairs = roi.load(rois)
    loaded = {str(file): load_image(file) for file in images}
    wanted = None if reference is None else load_image(reference)
    check(loaded, pairs, given, dynamic_range=dynamic_range)  # before the folder is taken
    request = {
        "images": {name: fingerprint(image) for name, image in loaded.items()},
        "regions": regions_fingerprint(pairs),
        "reference": None if wanted is None else fingerprint(wanted),
        "methods": given,
        "dynamic_range_db": dynamic_range,
    }
    _claim(output, request)
    with progress_bar("comparing") as advance:
        found = run(
            loaded,
            pairs,
            given,
            reference=wanted,
            dynamic_range=dynamic_range,
            keep=output / RESULTS,
            progress=advance,
        )
    summary = {"folder": str(output), "rois": str(rois), "reference": reference and str(reference)}
    lines = _write(found, output, summary)
    result(summary, as_json, lines)
    say(f"usbeam: tables, figures and single results are in {output}")


def _claim(folder: Path, request: dict[str, Any]) -> None:
    """Make the folder this comparison's own, or find that it is."""
    from usbeam.errors import FileAccessError, OutputExists
    from usbeam.io.atomic import atomic_write
    from usbeam.io.safe import access_error

    whole = {"format": FORMAT, **request}
    if folder.exists() and not folder.is_dir():
        raise FileAccessError("is a file, not a folder", path=folder)
    before = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = [each.name for each in folder.iterdir() if not each.name.startswith(".usbeam-")]
        if REQUEST in held:
            with contextlib.suppress(ValueError):
                before = json.loads((folder / REQUEST).read_text("utf-8"))
    except OSError as error:
        raise access_error(error, folder) from error
    if before == whole:
        return
    if held and not settings.overwrite:
        what = "holds another comparison" if REQUEST in held else "holds other files"
        hint = "choose another folder, or give --overwrite to replace its tables and figures"
        raise OutputExists(f"the folder {what}", path=folder, hint=hint)
    if REQUEST in held:  # what another comparison came to must not be taken for this one's, should it be interrupted
        for name in (*TABLES, *FIGURES["curves"], *FIGURES["pictures"]):
            (folder / name).unlink(missing_ok=True)
    with atomic_write(folder / REQUEST, overwrite=True) as temporary:
        temporary.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def _write(found: Comparison, folder: Path, summary: dict[str, Any]) -> list[str]:
    """All files; the summary is completed, and the Markdown's lines are returned."""
    from usbeam.comparison.markdown import markdown
    from usbeam.comparison.tables import as_dict, write_csv
    from usbeam.errors import MeasurementError
    from usbeam.show import comparison as show
    from usbeam.show.figure import save_figure

    text = markdown(found)
    summary |= as_dict(found)
    figures: dict[str, Any] = {"pictures": show.pictures(found)[0]}
    try:
        figures["curves"] = show.curves(found)[0]
    except MeasurementError as error:
        say(f"usbeam: warning: {error}")
    summary["files"] = [*TABLES, *(name for figure in figures for name in FIGURES[figure])]
    _write_text(folder / "table.csv", lambda stream: write_csv(found, stream))
    _write_text(folder / "table.md", lambda stream: stream.write(text))
    _write_text(folder / "summary.json", lambda stream: json.dump(summary, stream, indent=1))
    for figure, ax in figures.items():
        for name in FIGURES[figure]:
            save_figure(ax, folder / name, overwrite=True)
    return text.splitlines()


def _write_text(path: Path, write: Callable[[TextIO], Any]) -> None:
    from usbeam.io.atomic import atomic_write

    with (
        atomic_write(path, overwrite=True) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        write(stream)
