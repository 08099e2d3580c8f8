"""``usbeam convert``: another laboratory's file becomes a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from usbeam.cli.common import Json, Overwrite, result, settings


def convert(
    source: Annotated[Path, typer.Argument(help="The file to convert.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Recording to write (.h5).", show_default=False)],
    format_name: Annotated[
        str | None, typer.Option("--from", help="brain or mapping; recognised if not given.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that describes a .mat, .h5, .npz or .npy file.")
    ] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert another format to a recording: BRAIN, or any file that a mapping describes."""
    import numpy as np

    from usbeam.io.convert import convert as convert_file
    from usbeam.units import format_quantity

    recording = convert_file(source, out, format=format_name, mapping=mapping, overwrite=settings.overwrite)
    start = float(np.min(recording.start_time))
    kinds = sorted(set(recording.transmits.kind))
    facts = {
        "output": str(out),
        "format": recording.provenance["source_format"],
        "shape": list(recording.samples.shape),
        "dtype": recording.samples.dtype.name,
        "kind": recording.kind,
        "n_elements": recording.probe.n_elements,
        "transmits": kinds,
        "half_matrix": recording.is_half_matrix,
        "center_frequency": recording.probe.center_frequency,
        "sampling_frequency": recording.sampling_frequency,
        "start_time": start,
        "sound_speed": recording.sound_speed,
    }
    sampling = f"{format_quantity(recording.sampling_frequency, 'Hz')} from {format_quantity(start, 's')}"
    lines = [
        f"{out}: {', '.join(kinds)} transmits{', half matrix' if recording.is_half_matrix else ''}",
        f"  (frames, transmits, receives, samples) = {recording.samples.shape} {facts['dtype']} {recording.kind}",
        f"  {recording.probe.n_elements} elements at {format_quantity(recording.probe.center_frequency, 'Hz')}",
        f"  sampled at {sampling}, {recording.sound_speed:.6g} m/s",
    ]
    result(facts, as_json, lines)
