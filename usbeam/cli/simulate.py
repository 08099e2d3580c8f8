"""``usbeam simulate``: a phantom is recorded by a linear array, with its truth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, settings

if TYPE_CHECKING:
    from usbeam.probe import Probe
    from usbeam.simulate import Phantom
    from usbeam.transmits import Transmits

PLANE_SPAN = math.radians(30)
"""Angle between the outermost plane waves."""


def simulate(
    output: Annotated[Path, typer.Argument(help="Recording to write (.h5).", show_default=False)],
    phantom: Annotated[
        str,
        typer.Option(help="points, cysts, inclusions or speckle; its truth goes into the file.", show_default=False),
    ],
    elements: Annotated[int, typer.Option(help="Elements of a linear array.")] = 64,
    width: Annotated[str, typer.Option(help="Of the array; elements fill it without gaps.")] = "40mm",
    center_frequency: Annotated[str, typer.Option(help="Of the two-way pulse.")] = "7.5MHz",
    bandwidth: Annotated[float, typer.Option(help="Two-way, -6 dB, as a fraction of the centre frequency.")] = 0.65,
    sampling_frequency: Annotated[str, typer.Option(help="Of the samples.")] = "31.25MHz",
    depth: Annotated[str, typer.Option(help="Range of the phantom and of the record.")] = "5mm:45mm",
    transmit: Annotated[
        str,
        typer.Option(
            help="element: each alone (full matrix); plane:N: N angles within +-15 degrees; "
            "diverging:N: N virtual sources behind the array."
        ),
    ] = "element",
    density: Annotated[float, typer.Option(help="Scatterers per resolution cell, where there is speckle.")] = 20.0,
    sound_speed: Annotated[str, typer.Option(help="In the phantom.")] = "1540m/s",
    frames: Annotated[int, typer.Option(help="Frames, each with its own noise.")] = 1,
    noise_db: Annotated[
        float | None, typer.Option(help="Noise of every channel, in dB over the largest echo, -30; none if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of scatterers and noise.")] = 0,
    int16: Annotated[bool, typer.Option("--int16", help="Store integers with their scale.")] = False,
    rois: Annotated[
        Path | None,
        typer.Option(
            help="Also write the phantom's regions (.toml): each circle against a ring around it.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Simulate a recording: points, cysts, inclusions or speckle before a linear array."""
    import time

    from usbeam import simulate as room
    from usbeam.errors import ConfigError
    from usbeam.io.atomic import check_output
    from usbeam.measure import roi
    from usbeam.probe import Probe
    from usbeam.units import parse_quantity, parse_range

    start = time.perf_counter()
    for path in (output, rois):
        if path is not None:
            check_output(path, overwrite=settings.overwrite)
    if elements < 1:
        raise ConfigError("the array needs elements", location="--elements", expected=">= 1", found=elements)
    pitch = parse_quantity(width, "length") / elements
    probe = Probe.linear(
        elements,
        pitch,
        parse_quantity(center_frequency, "frequency"),
        bandwidth=bandwidth,
        element_width=pitch,
        name="simulated linear array",
    )
    speed = parse_quantity(sound_speed, "speed")
    depths = parse_range(depth, "length")
    scatterers = _phantom(phantom, probe, pitch * elements, depths, density, speed, seed)
    transmits = _transmits(transmit, probe, speed)
    pairs = {} if rois is None else roi.from_truth(scatterers.truth)
    with progress_bar("simulating") as advance:
        acquisition = room.record(
            scatterers,
            probe,
            transmits,
            sampling_frequency=parse_quantity(sampling_frequency, "frequency"),
            depth=depths,
            sound_speed=speed,
            noise_db=noise_db,
            n_frames=frames,
            seed=seed,
            int16=int16,
            progress=advance,
        )
    simulated = time.perf_counter()
    acquisition.save(output, overwrite=settings.overwrite)
    if rois is not None:
        roi.save(pairs, rois, overwrite=settings.overwrite)
    seconds = {"simulate": simulated - start, "write": time.perf_counter() - simulated}
    summary: dict[str, Any] = {
        "file": str(output),
        "rois": None if rois is None else str(rois),
        "phantom": scatterers.title,
        "scatterers": len(scatterers.amplitudes),
        "shape": list(acquisition.samples.shape),
        "dtype": acquisition.samples.dtype.name,
        "points": scatterers.truth.points.tolist(),
        "regions": {name: list(circle) for name, circle in scatterers.truth.regions.items()},
        "seconds": seconds,
    }
    n_frames, n_tx, n_rx, n_samples = acquisition.samples.shape
    line = (
        f"{output}: {scatterers.title}; {n_frames} frame(s), {n_tx} transmits, {n_rx} receivers, {n_samples} samples, "
        f"{seconds['simulate']:.1f} s"
    )
    result(summary, as_json, [line])


def _phantom(
    name: str, probe: Probe, width: float, depths: tuple[float, float], density: float, speed: float, seed: int
) -> Phantom:
    """The named phantom, across the array's width and over the depths."""
    from usbeam.errors import ConfigError
    from usbeam.simulate import phantoms

    across = (-width / 2, width / 2)
    if name == "points":
        return phantoms.points(x=across, z=depths)
    makers = {"cysts": phantoms.cysts, "inclusions": phantoms.inclusions, "speckle": phantoms.speckle}
    if name not in makers:
        raise ConfigError("unknown phantom", location="--phantom", expected=f"points, {', '.join(makers)}", found=name)
    return makers[name](probe, x=across, z=depths, density=density, sound_speed=speed, seed=seed)


def _transmits(text: str, probe: Probe, speed: float) -> Transmits:
    """``element``, ``plane:N`` or ``diverging:N``."""
    import numpy as np

    from usbeam.errors import ConfigError
    from usbeam.transmits import Transmits

    kind, colon, number = text.partition(":")
    if kind == "element" and not colon:
        return Transmits.elements(probe)
    count = int(number) if number.isdecimal() else 0
    if kind not in ("plane", "diverging") or count < 1:
        raise ConfigError(
            "unknown transmit", location="--transmit", expected="element, plane:N or diverging:N, N >= 1", found=text
        )
    # One wave alone goes straight ahead; several are spread evenly.
    place = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
    if kind == "plane":
        return Transmits.plane(probe, place * PLANE_SPAN, speed)
    # Half an aperture behind the array, a source opens a sector of 90 degrees straight ahead.
    aperture = max(probe.aperture, speed / probe.center_frequency)
    focus = np.stack([place * aperture, np.zeros(count), np.full(count, -aperture / 2)], axis=1)
    return Transmits.focused(probe, focus, speed)
