"""The picture of the report page in docs/report.md: ``python -m docs.make_report_image``.

It simulates a phantom with cysts and wires, images it with few and with all transmitters, writes the report with
regions and curves, opens it in headless Chromium (`tests/show/browser.py`) and leaves the picture in docs/images. It
takes half a minute.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import usbeam as ub
from tests.show.browser import chromium
from tests.show.test_report_browser import Page
from usbeam.measure.roi import Annulus, Circle, Polygon, Rectangle, RegionPair
from usbeam.show import report

PICTURE = Path(__file__).parent / "images" / "report.png"
SIZE = (1440, 980)
COLOURS, GREYS = 112, 40
MM = 1e-3
WIDTH, DEPTH = (-10 * MM, 10 * MM), (5 * MM, 35 * MM)
CIRCLES = ((-5 * MM, 14 * MM, 2 * MM), (4.5 * MM, 20 * MM, 3 * MM), (-4.5 * MM, 27 * MM, 3 * MM))
WIRES = ((3 * MM, 11 * MM), (-4 * MM, 20.5 * MM), (4 * MM, 31 * MM))
WIRE_AMPLITUDE = 60.0
"""Strength of a wire beside scatterers of variance 1."""
CORNERS = ((-6, 25.5), (-4.5, 24.6), (-2.8, 25.6), (-2.6, 28), (-4.6, 29.3), (-6.5, 28))
REGIONS = {
    "upper cyst": (Circle(-5 * MM, 14 * MM, 1.7 * MM), Annulus(-5 * MM, 14 * MM, 2.4 * MM, 3.2 * MM)),
    "middle cyst": (Circle(4.5 * MM, 20 * MM, 2.7 * MM), Annulus(4.5 * MM, 20 * MM, 3.4 * MM, 4.4 * MM)),
    "lower cyst": (
        Polygon(tuple((x * MM, z * MM) for x, z in CORNERS)),
        Rectangle((0.5 * MM, 6 * MM), (25 * MM, 29 * MM)),
    ),
}


def images() -> Mapping[str, ub.Image]:
    """Cysts in speckle with three wires, from 4 and from all 96 transmitters."""
    probe = ub.Probe.linear(96, 0.2 * MM, 7.5e6, bandwidth=0.65, element_width=0.18 * MM)
    cysts = ub.simulate.phantoms.cysts(probe, x=WIDTH, z=DEPTH, density=8, circles=CIRCLES)
    wires = np.array([(x, 0.0, z) for x, z in WIRES])
    phantom = ub.simulate.Phantom(
        positions=np.concatenate([cysts.positions, wires]),
        amplitudes=np.concatenate([cysts.amplitudes, np.full(len(wires), WIRE_AMPLITUDE)]),
    )
    recording = ub.simulate.record(
        phantom, probe, ub.Transmits.elements(probe), sampling_frequency=31.25e6, depth=DEPTH, noise_db=-50
    )
    grid = ub.Grid.linear(x=WIDTH, z=DEPTH, shape=(600, 200))
    few, every = ub.subsets.parse("every:24", recording), ub.subsets.all(recording)
    windows = {"f_number": 1.0, "window": "tukey:0.3", "transmit_f_number": 0.5, "transmit_window": "tukey:0.3"}
    made = ub.Plan(recording, grid, transmits=[few, every], **windows)(recording.frame(0))
    return dict(zip(("4 transmitters", "96 transmitters"), made, strict=True))


def _with_few_colours(picture: Image.Image) -> Image.Image:
    """A small palette: even greys for the speckle, the rest for what is coloured."""
    pixels = np.asarray(picture).reshape(-1, 3)
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > 8]
    others = Image.fromarray(coloured[np.newaxis]).quantize(COLOURS - GREYS, Image.Quantize.MAXCOVERAGE)
    palette = Image.new("P", (1, 1))
    greys = np.linspace(0, 255, GREYS).round().astype(int).repeat(3).tolist()
    palette.putpalette(greys + (others.getpalette() or [])[: 3 * (COLOURS - GREYS)])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def main() -> None:
    """Write the page, open it, choose a region, point at a wire, take the picture."""
    shown = dict(images())
    regions = {name: RegionPair(name, *parts) for name, parts in REGIONS.items()}
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as driver:
        path = Path(folder) / "report.html"
        report.write(shown, path, regions=regions, points=WIRES, title="Cysts and wires in speckle")
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False},
        )
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        page = Page.open(driver, path, shown)
        page.tap(1, (4.5 * MM, 20 * MM))
        page.point(1, WIRES[1])
        page.script("scrollTo(0, 0)")
        page.settle()
        with Image.open(io.BytesIO(driver.get_screenshot_as_png())) as picture:
            _with_few_colours(picture.convert("RGB")).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
