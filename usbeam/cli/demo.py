"""``usbeam demo``: what usbeam does, shown on recordings that it simulates itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.image import Image
    from usbeam.measure.roi import RegionPair
    from usbeam.probe import Probe
    from usbeam.simulate import Phantom

WIDTH, DEPTH = (-10e-3, 10e-3), (5e-3, 35e-3)
METHODS = {"das": "delay-and-sum", "fourier": "Fourier"}
COUNTS = ("2", "all")
SHAPES = {"points": (600, 400), "cysts": (600, 200)}
"""Of the images; widths of points want more columns than speckle."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for recordings, images and pictures.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A coarser speckle phantom; under 60 s.")] = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Simulate recordings, beamform them with 2 and with all transmitters by both methods, measure, leave pictures."""
    import time

    import usbeam as ub
    from usbeam.errors import FileAccessError
    from usbeam.io.atomic import check_output
    from usbeam.show.report import write

    start = time.perf_counter()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileAccessError("cannot make the folder", path=out, found=error.strerror) from error
    endings = [".h5", ".png", *(f"_{count}_{method}.h5" for method in METHODS for count in COUNTS)]
    names = [f"{name}{ending}" for name in ("points", "cysts") for ending in endings]
    names += ["widths.png", "rois.toml", "report.html"]
    for name in names:
        check_output(out / name, overwrite=settings.overwrite)
    probe = ub.Probe.linear(96, 0.2e-3, 7.5e6, bandwidth=0.65, element_width=0.18e-3, name="demo array")
    circles = ((-5e-3, 14e-3, 2e-3), (4e-3, 20e-3, 3e-3), (-4e-3, 28e-3, 3e-3))
    phantoms = {
        "points": ub.simulate.phantoms.points(x=WIDTH, z=DEPTH, spacing=5e-3),
        "cysts": ub.simulate.phantoms.cysts(probe, x=WIDTH, z=DEPTH, density=4 if quick else 12, circles=circles),
    }
    say("the first images also compile the kernels, some ten seconds")
    shown: dict[str, dict[str, Image]] = {}
    for name, phantom in phantoms.items():
        recording = _record(phantom, probe, out / f"{name}.h5")
        images = {method: _beamform(recording, method, SHAPES[name]) for method in METHODS}
        for method, pair in images.items():
            for count, image in zip(COUNTS, pair, strict=True):
                image.save(out / f"{name}_{count}_{method}.h5", overwrite=settings.overwrite)
        shown[name] = _draw(images, out / f"{name}.png")
    _draw_widths(shown["points"], phantoms["points"], out / "widths.png")
    regions = ub.roi.from_truth(phantoms["cysts"].truth)
    ub.roi.save(regions, out / "rois.toml", overwrite=settings.overwrite)
    write(shown["cysts"], out / "report.html", regions=regions, title="usbeam demo", overwrite=settings.overwrite)
    seconds = time.perf_counter() - start
    lines = [
        *_measured(shown["cysts"], regions),
        f"{out / 'points.png'}: points from 2 and from {probe.n_elements} transmitters, by delay-and-sum and Fourier",
        f"{out / 'widths.png'}: how wide these points are, against depth",
        f"{out / 'cysts.png'}: cysts in speckle, as the points",
        f"{out / 'report.html'}: the cysts in a page; open it in a browser and draw regions of your own",
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


def _beamform(recording: Acquisition, method: str, shape: tuple[int, int]) -> list[Image]:
    """The images of the two outermost transmitters and of all, in one plan with the same angles for both methods."""
    import usbeam as ub

    grid = ub.Grid.linear(x=WIDTH, z=DEPTH, shape=shape)
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


def _draw(images: dict[str, list[Image]], path: Path) -> dict[str, Image]:
    """Side by side; return the images by their titles."""
    from usbeam.show import plot

    counts = [2, len(images["das"][0].settings["transmit_weights"])]
    titles = [f"{count} transmitters, {METHODS[method]}" for method in images for count in counts]
    shown = dict(zip(titles, (image for pair in images.values() for image in pair), strict=True))
    axes = plot.side_by_side(list(shown.values()), titles)
    plot.save_figure(axes[0], path, overwrite=settings.overwrite)
    return shown


def _draw_widths(images: dict[str, Image], phantom: Phantom, path: Path) -> None:
    """FWHM against depth of the points on the axis, one diagram for few and one for all transmitters."""
    import usbeam as ub
    from usbeam.show import plot

    points = [(x, z) for x, _, z in phantom.truth.points if x == 0]
    axes = plot.axes((8.4, 3.2), 2)
    for ax, (title, image) in zip(axes, images.items(), strict=False):  # by delay-and-sum; Fourier's are the same
        plot.fwhm_against_depth(ub.psf.survey(image, points), ax=ax).set_title(title)
    top = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(0, top)
    plot.save_figure(axes[0], path, overwrite=settings.overwrite)


def _measured(images: dict[str, Image], regions: dict[str, RegionPair]) -> Iterator[str]:
    """Means over the cysts, as ``usbeam evaluate`` has them."""
    import usbeam as ub

    yield f"{'mean of the cysts':<34} {'CNR':>6} {'gCNR':>6}"
    for title, image in images.items():
        found = ub.metrics.evaluate(image, regions)
        yield f"{title:<34} {found.mean('cnr'):6.2f} {found.mean('gcnr'):6.3f}"
