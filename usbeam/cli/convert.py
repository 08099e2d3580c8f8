"""``usbeam convert``: another laboratory's file becomes a recording, a folder of them, and a recording theirs again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings
from usbeam.errors import FileFormatError

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition

UFF = ".uff"
"""The one ending that names a format to write."""


def convert(
    source: Annotated[Path, typer.Argument(help="The file to convert, or a folder of files.", show_default=False)],
    out: Annotated[
        Path, typer.Argument(help="Recording to write (.h5), or the folder for recordings.", show_default=False)
    ],
    format_name: Annotated[
        str | None,
        typer.Option("--from", help="brain, must, picmus, uff, verasonics, zea or mapping; recognised if not given."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Write another format: uff or zea; uff also where OUT ends with .uff.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that describes a .mat, .h5, .npz or .npy file.")
    ] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Convert another format to a recording, or a recording (or another format) to UFF or zea.

    Of a folder every file is converted. Given again, the command goes on where it was interrupted. Exit code 3: some
    files could not be converted; they are told at the end.
    """
    from usbeam.io.convert import convert as convert_file

    if source.is_dir():
        _convert_folder(source, out, format_name, to, mapping, as_json)
        return
    target = to or ("uff" if out.suffix.lower() == UFF else None)
    if target is None:
        recording = convert_file(source, out, format=format_name, mapping=mapping, overwrite=settings.overwrite)
    else:
        recording = _export(source, out, format_name, mapping, target)
    facts = _facts(recording, out, target)
    result(facts, as_json, _lines(recording, out, target))


def _export(source: Path, out: Path, format_name: str | None, mapping: Path | None, target: str) -> Acquisition:
    """Write a recording of ours, or of any format that can be read, in another format."""
    from usbeam.errors import ConfigError
    from usbeam.io import load
    from usbeam.io.atomic import check_output
    from usbeam.io.convert import read
    from usbeam.io.export import WRITERS

    if target not in WRITERS:
        raise ConfigError("unknown format to write", location="--to", expected=", ".join(WRITERS), found=target)
    check_output(out, overwrite=settings.overwrite)
    told = format_name is not None or mapping is not None
    recording = load(source) if not told and _is_ours(source) else read(source, format=format_name, mapping=mapping)
    WRITERS[target].write(recording, out, overwrite=settings.overwrite)
    return recording


def _is_ours(source: Path) -> bool:
    """Whether a file says that it is one of usbeam's own."""
    from usbeam.io.identify import find_spec
    from usbeam.io.safe import safe_open

    try:
        with safe_open(source) as file:
            find_spec(file)
    except FileFormatError:
        return False
    return True


def _convert_folder(
    source: Path, out: Path, format_name: str | None, to: str | None, mapping: Path | None, as_json: bool
) -> None:
    """Convert every file; tell what could not be converted, and leave with exit code 3 then."""
    from usbeam.errors import ConfigError
    from usbeam.io.convert.folder import convert_folder

    if to is not None:
        raise ConfigError("a folder is converted to recordings", location="--to", found=to, hint="convert one file")
    try:
        with progress_bar("converting") as advance:
            done = convert_folder(
                source, out, format=format_name, mapping=mapping, overwrite=settings.overwrite, progress=advance
            )
    except KeyboardInterrupt:
        say("usbeam: the recordings that are made stay; the same command goes on with the others")
        raise
    failed = [each for each in done if each.error is not None]
    there = [each for each in done if each.there]
    made = [each for each in done if each.error is None and not each.there]
    facts = {
        "output": str(out),
        "converted": [str(each.output) for each in made],
        "there": [str(each.output) for each in there],
        "failed": [
            {"file": str(each.source), "error": str(each), "hint": each.error.hint} for each in failed if each.error
        ],
    }
    counts = [f"{len(made)} converted"]
    counts += [f"{len(there)} there before"] if there else []
    counts += [f"{len(failed)} not converted"] if failed else []
    result(facts, as_json, [f"{out}: {', '.join(counts)}"])
    for each in failed:
        print(f"usbeam: error: {each}", file=sys.stderr)
    if failed:
        raise typer.Exit(FileFormatError.exit_code)


def _facts(recording: Acquisition, out: Path, target: str | None) -> dict[str, Any]:
    import numpy as np

    return {
        "output": str(out),
        "to": target,
        "format": recording.provenance.get("source_format"),
        "shape": list(recording.samples.shape),
        "dtype": recording.samples.dtype.name,
        "kind": recording.kind,
        "n_elements": recording.probe.n_elements,
        "transmits": sorted(set(recording.transmits.kind)),
        "half_matrix": recording.is_half_matrix,
        "center_frequency": recording.probe.center_frequency,
        "sampling_frequency": recording.sampling_frequency,
        "start_time": float(np.min(recording.start_time)),
        "sound_speed": recording.sound_speed,
    }


def _lines(recording: Acquisition, out: Path, target: str | None) -> list[str]:
    import numpy as np

    from usbeam.units import format_quantity

    kinds = ", ".join(sorted(set(recording.transmits.kind)))
    start = format_quantity(float(np.min(recording.start_time)), "s")
    sampling = f"{format_quantity(recording.sampling_frequency, 'Hz')} from {start}"
    shape, dtype = recording.samples.shape, recording.samples.dtype.name
    written = "" if target is None else f"written as {target}, "
    return [
        f"{out}: {written}{kinds} transmits{', half matrix' if recording.is_half_matrix else ''}",
        f"  (frames, transmits, receives, samples) = {shape} {dtype} {recording.kind}",
        f"  {recording.probe.n_elements} elements at {format_quantity(recording.probe.center_frequency, 'Hz')}",
        f"  sampled at {sampling}, {recording.sound_speed:.6g} m/s",
    ]
