"""``usbeam demo``: what usbeam does, shown on recordings that it simulates itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usbeam.cli import demo_training
from usbeam.cli.common import Json, NoProgress, Overwrite, progress_bar, result, say, settings

if TYPE_CHECKING:
    from usbeam.acquisition import Acquisition
    from usbeam.image import Image
    from usbeam.measure.roi import RegionPair
    from usbeam.probe import Probe
    from usbeam.simulate import Phantom

N_ELEMENTS = 96
WIDTH, DEPTH = (-10e-3, 10e-3), (5e-3, 35e-3)
CIRCLES = ((-5e-3, 14e-3, 2e-3), (4e-3, 20e-3, 3e-3), (-4e-3, 28e-3, 3e-3))
DENSITY, QUICK_DENSITY = 12.0, 4.0
"""Scatterers to a resolution cell of the speckle."""
METHODS = {"das": "delay-and-sum", "fourier": "Fourier"}
COUNTS = ("2", "all")
SHAPES = {"points": (600, 400), "cysts": (600, 200)}
"""Of the images; widths of points want more columns than speckle."""
FIGURES = ("cnr", "gcnr", "edge_width")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for recordings, images and pictures.")] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="No training, and a coarser speckle phantom; under 60 s.")
    ] = False,
    as_json: Json = False,
    overwrite: Overwrite = False,
    no_progress: NoProgress = False,
) -> None:
    """Simulate recordings, beamform them with 2 and with all transmitters by both methods, train, enhance, measure.

    The network is trained briefly, on looks of one of the recordings; that needs the extra `train`. Leaves recordings,
    images, pictures, the network and a report.
    """
    import time

    import usbeam as ub
    from usbeam.show.report import write

    start = time.perf_counter()
    trains = not quick and demo_training.is_possible()
    files = _make_room(out, trains)
    probe = ub.Probe.linear(N_ELEMENTS, 0.2e-3, 7.5e6, bandwidth=0.65, element_width=0.18e-3, name="demo array")
    phantoms = {
        "points": ub.simulate.phantoms.points(x=WIDTH, z=DEPTH, spacing=5e-3),
        "cysts": ub.simulate.phantoms.cysts(
            probe, x=WIDTH, z=DEPTH, density=QUICK_DENSITY if quick else DENSITY, circles=CIRCLES
        ),
    }
    say("the first images also compile the kernels, some ten seconds")
    recordings = {name: _record(phantom, probe, out / f"{name}.h5") for name, phantom in phantoms.items()}
    shown = {name: _images(name, recording, out) for name, recording in recordings.items()}
    _draw_widths(shown["points"], phantoms["points"], out / "widths.png")
    images, regions = shown["cysts"], ub.roi.from_truth(phantoms["cysts"].truth)
    ub.roi.save(regions, out / "rois.toml", overwrite=settings.overwrite)
    if trains:
        original = images[_title(probe.n_elements, "das")]
        enhanced = demo_training.enhanced(recordings["cysts"], original, phantoms["cysts"].truth, out)
        images |= {f"{METHODS['das']}, {title}": image for title, image in enhanced.items()}
    write(images, out / "report.html", regions=regions, title="usbeam demo", overwrite=settings.overwrite)
    figures = {title: _figures(image, regions) for title, image in images.items()}
    seconds = time.perf_counter() - start
    summary = {"folder": str(out), "files": [str(file) for file in files], "figures": figures, "seconds": seconds}
    result(summary, as_json, [*_table(figures), *_left(out, probe, trains), f"{seconds:.0f} s"])


def _make_room(out: Path, trains: bool) -> list[Path]:
    """The folder; and all that will be in it, or an error before any work is done if something must not be replaced."""
    from usbeam.errors import FileAccessError
    from usbeam.io.atomic import check_output

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileAccessError("cannot make the folder", path=out, found=error.strerror) from error
    endings = [".h5", ".png", *(f"_{count}_{method}.h5" for method in METHODS for count in COUNTS)]
    names = [f"{name}{ending}" for name in SHAPES for ending in endings] + ["widths.png", "rois.toml", "report.html"]
    files = [out / name for name in names + (demo_training.names() if trains else [])]
    for file in files:
        check_output(file, overwrite=settings.overwrite)
    return [*files, demo_training.make_room(out)] if trains else files


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


def _images(name: str, recording: Acquisition, out: Path) -> dict[str, Image]:
    """By both methods, stored and drawn; by their titles."""
    images = {method: _beamform(recording, method, SHAPES[name]) for method in METHODS}
    for method, pair in images.items():
        for count, image in zip(COUNTS, pair, strict=True):
            image.save(out / f"{name}_{count}_{method}.h5", overwrite=settings.overwrite)
    return _draw(images, out / f"{name}.png")


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
    titles = [_title(count, method) for method in images for count in counts]
    shown = dict(zip(titles, (image for pair in images.values() for image in pair), strict=True))
    axes = plot.side_by_side(list(shown.values()), titles)
    plot.save_figure(axes[0], path, overwrite=settings.overwrite)
    return shown


def _title(count: int, method: str) -> str:
    return f"{count} transmitters, {METHODS[method]}"


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


def _figures(image: Image, regions: dict[str, RegionPair]) -> dict[str, float | None]:
    """Means over the cysts, as ``usbeam evaluate`` has them."""
    import usbeam as ub

    found = ub.metrics.evaluate(image, regions)
    return {name: found.mean(name) for name in FIGURES}


def _table(figures: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    yield f"{'mean of the cysts':<34} {'CNR':>6} {'gCNR':>6} {'edge [mm]':>10}"
    for title, found in figures.items():
        cnr, gcnr, edge = (found[name] for name in FIGURES)
        yield f"{title:<34} {_number(cnr, '6.2f')} {_number(gcnr, '6.3f')} {_number(edge and 1e3 * edge, '10.2f')}"


def _number(value: float | None, form: str) -> str:
    return f"{'-' if value is None else format(value, form):>{form.partition('.')[0]}}"


def _left(out: Path, probe: Probe, trains: bool) -> Iterator[str]:
    """What there is to look at."""
    yield f"{out / 'points.png'}: points from 2 and from {probe.n_elements} transmitters, by delay-and-sum and Fourier"
    yield f"{out / 'widths.png'}: how wide these points are, against depth"
    yield f"{out / 'cysts.png'}: cysts in speckle, as the points"
    if trains:
        yield from demo_training.left(out)
    yield f"{out / 'report.html'}: the cysts in a page; open it in a browser and draw regions of your own"
    yield f"{out / 'points.h5'}, {out / 'cysts.h5'}: the recordings; try: usbeam info {out / 'cysts.h5'}"
