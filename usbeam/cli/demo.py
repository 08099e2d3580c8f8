"""``usbeam demo``: what usbeam does, shown on recordings that it simulates itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.image import Image
    from usbeam.probe import Probe
    from usbeam.simulate import Phantom

WIDTH, DEPTH = (-10e-3, 10e-3), (5e-3, 35e-3)
METHODS = {"das": "delay-and-sum", "fourier": "Fourier"}
COUNTS = ("2", "all")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for recordings, images and pictures.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A coarser speckle phantom; under 60 s.")] = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Simulate recordings, beamform them with 2 and with all transmitters, by both methods, and leave the pictures."""
    import time

    import usbeam as ub
    from usbeam.errors import FileAccessError
    from usbeam.io.atomic import check_output

    start = time.perf_counter()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileAccessError("cannot make the folder", path=out, found=error.strerror) from error
    endings = [".h5", ".png", *(f"_{count}_{method}.h5" for method in METHODS for count in COUNTS)]
    names = [f"{name}{ending}" for name in ("points", "cysts") for ending in endings]
    for name in names:
        check_output(out / name, overwrite=settings.overwrite)
    probe = ub.Probe.linear(96, 0.2e-3, 7.5e6, bandwidth=0.65, element_width=0.18e-3, name="demo array")
    circles = ((-5e-3, 14e-3, 2e-3), (4e-3, 20e-3, 3e-3), (-4e-3, 28e-3, 3e-3))
    phantoms = {
        "points": ub.simulate.phantoms.points(x=WIDTH, z=DEPTH, spacing=5e-3),
        "cysts": ub.simulate.phantoms.cysts(probe, x=WIDTH, z=DEPTH, density=4 if quick else 12, circles=circles),
    }
    say("the first images also compile the kernels, some ten seconds")
    for name, phantom in phantoms.items():
        recording = _record(phantom, probe, out / f"{name}.h5")
        images = {method: _beamform(recording, method) for method in METHODS}
        for method, pair in images.items():
            for count, image in zip(COUNTS, pair, strict=True):
                image.save(out / f"{name}_{count}_{method}.h5", overwrite=settings.overwrite)
        _draw(images, out / f"{name}.png")
    seconds = time.perf_counter() - start
    lines = [
        f"{out / 'points.png'}: points from 2 and from {probe.n_elements} transmitters, by delay-and-sum and Fourier",
        f"{out / 'cysts.png'}: cysts in speckle, the same",
        f"{out / 'points.h5'}, {out / 'cysts.h5'}: the recordings; try: usbeam info {out / 'cysts.h5'}",
        f"{seconds:.0f} s",
    ]
    result({"folder": str(out), "files": [str(out / name) for name in names], "seconds": seconds}, as_json, lines)


def _record(phantom: Phantom, probe: Probe, path: Path) -> Acquisition:
    """Simulate, store, and read back: the images come from the file, as a user's would."""
    import usbeam as ub

    with progress_bar(f"simulating {path.stem}") as advance:
        recording = ub.simulate.record(
            phantom,
            probe,
            ub.Transmits.elements(probe, pulse_peak_time=0.3e-6),
            sampling_frequency=31.25e6,
            depth=DEPTH,
            noise_db=-50,
            int16=True,
            progress=advance,
        )
    recording.save(path, overwrite=settings.overwrite)
    return ub.load(path)


def _beamform(recording: Acquisition, method: str) -> list[Image]:
    """The images of the two outermost transmitters and of all, in one plan with the same angles for both methods."""
    import usbeam as ub

    grid = ub.Grid.linear(x=WIDTH, z=DEPTH, shape=(600, 200))
    subsets: list[Any] = [ub.subsets.ends(recording, 2), ub.subsets.all(recording)]
    plan = ub.Plan(
        recording,
        grid,
        method=method,
        transmits=subsets,
        f_number=1.0,
        window="tukey:0.3",
        # Nearly every angle: where two transmitters are to make an image, no window may part their beams.
        transmit_f_number=0.25,
        transmit_window="tukey:0.1",
    )
    return plan(recording.frame(0))


def _draw(images: dict[str, list[Image]], path: Path) -> None:
    from usbeam.show import plot

    counts = [2, len(images["das"][0].settings["transmit_weights"])]
    titles = [f"{count} transmitters, {METHODS[method]}" for method in images for count in counts]
    axes = plot.side_by_side([image for pair in images.values() for image in pair], titles)
    plot.save_figure(axes[0], path, overwrite=settings.overwrite)
