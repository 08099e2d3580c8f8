"""The methods on real recordings that have something to measure: a disk with an edge, and points.

Nothing is chosen here, and there is one image of each kind: a few settings of each method, light to strong, with no
interval and no test. The disk (one plane wave, which has no looks) is compared as the simulated images are, but its
border lies under side lobes and is wide to begin with, so that R says little there. Of fibres, pins and a notch the
apparent lateral width is given. The recordings are those that the tests read; their places were confirmed by
beamforming.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import usbeam as ub
from usbeam.comparison import compare
from usbeam.comparison.markdown import markdown
from usbeam.comparison.methods import IDENTITY, sweeps
from usbeam.io.convert import read
from usbeam.measure.roi import Annulus, Circle, RegionPair
from usbeam.show import comparison as pictures
from usbeam.show import plot

from .images import LOOKS, MADE, ORIGINAL, made
from .protocol import apparent_width
from .report import pictured

SETTINGS = (
    "gaussian:sigma=0.1mm,0.2mm,0.4mm,0.8mm",
    "median:size=0.3mm,0.6mm,1mm",
    "bilateral:sigma_color=0.1,0.3",
    "nlm:strength=0.08,0.2",
    "wavelet:sigma=0.1,0.25",
    "srad:n_iterations=40,150",
    "obnlm:strength=0.7,1.6",
    "nllr:strength=1.2",
    "self2self:n_steps=300;n_predictions=8",
)
SHOWN = (
    "gaussian:sigma=0.2mm",
    "median:size=0.6mm",
    "srad:n_iterations=150",
    "obnlm:strength=1.6",
    "nllr:strength=1.2",
)
"""Settings in the pictures of points, beside the original and compounds, where they are among those asked for."""
MAPPINGS = Path(__file__).parents[2] / "data_specs" / "mappings"
MM = 1e-3


@dataclass(frozen=True)
class Recording:
    """A file below the folder of recordings, how it is imaged, and its points (x, z) [m]."""

    file: str
    grid: ub.Grid
    mapping: str | None = None
    points: tuple[tuple[float, float], ...] = ()
    options: Mapping[str, Any] | None = None

    def read(self, folder: Path) -> ub.Acquisition:
        """As recorded."""
        return read(folder / self.file, mapping=None if self.mapping is None else MAPPINGS / self.mapping)

    def image(self, recording: ub.Acquisition, made_by: Mapping[str, Any]) -> ub.Image:
        """Its envelope, by what `images.MADE` says; oblique looks have an acceptance of their own."""
        own = {} if made_by.get("kind") == "oblique" else self.options or {}
        return made(recording, self.grid, {**own, **made_by})


DISK = Recording(
    "planewave_disk/PWI_disk.mat",
    ub.Grid.spaced(x=(-16 * MM, 14 * MM), z=(8 * MM, 36 * MM), spacing=(0.09 * MM, 0.18 * MM)),
    "planewave_disk.toml",
    options={"f_number": 1.5},
)
REGIONS = RegionPair(
    "disk", Circle(-1.05 * MM, 21.9 * MM, 8.8 * MM), Annulus(-1.05 * MM, 21.9 * MM, 11.2 * MM, 13 * MM)
)
POINTS = {
    "fibres": Recording(
        "planewave_fibres/RFdata1.mat",
        ub.Grid.spaced(x=(-8 * MM, 12 * MM), z=(18 * MM, 66 * MM), spacing=(0.07 * MM, 0.2 * MM)),
        "planewave_fibres.toml",
        points=((1.7 * MM, 22.5 * MM), (1.9 * MM, 42.2 * MM), (1.9 * MM, 61.6 * MM)),
        options={"f_number": 1.5},
    ),
    "water pins": Recording(
        "sta_water_pins/ArraySteelPins.mat",
        ub.Grid.spaced(x=(-16 * MM, 16 * MM), z=(33 * MM, 47 * MM), spacing=(0.07 * MM, 0.2 * MM)),
        "water_pins.toml",
        points=((-9.5 * MM, 42.6 * MM), (10.5 * MM, 37.6 * MM)),
    ),
    "notch": Recording(
        "fmc_aluminium_notch/contact_notch_aluminium.mat",
        ub.Grid.spaced(x=(-2 * MM, 15 * MM), z=(12 * MM, 28 * MM), spacing=(0.25 * MM, 0.4 * MM)),
        points=((6.7 * MM, 19.6 * MM),),
    ),
}


def disk(folder: Path, texts: Sequence[str], out: Path) -> str:
    """Every setting on the disk's first frame; writes curves and pictures, returns Markdown."""
    image = DISK.image(DISK.read(folder), MADE[ORIGINAL])
    found = compare({"disk": image}, {"disk": REGIONS}, texts)
    plot.save_figure(pictures.curves(found)[0], out / "real_disk_curves.png", overwrite=True)
    plot.save_figure(pictures.pictures(found)[0], out / "real_disk.png", overwrite=True)
    return markdown(found).replace("# ", "## ")


def enhanced(name: str, folder: Path, texts: Sequence[str]) -> dict[str, ub.Image]:
    """A recording's image in every setting, its compounds, and the original first."""
    recording = POINTS[name].read(folder)
    plain = POINTS[name].image(recording, MADE[ORIGINAL])
    images = {ORIGINAL: plain}
    images |= {label: POINTS[name].image(recording, options) for label, options in LOOKS.items()}
    for sweep in sweeps(texts):
        for setting in sweep.settings:
            images[setting.label] = ub.enhance(plain, setting.method, **setting.parameters)
    return {label: image for label, image in images.items() if label != IDENTITY}


def widths(name: str, images: Mapping[str, ub.Image]) -> dict[str, list[float | None]]:
    """Apparent lateral widths [m] of a recording's points: label -> one for each point, None where none is seen."""
    return {label: [apparent_width(image, place) for place in POINTS[name].points] for label, image in images.items()}


def report(folder: Path, texts: Sequence[str], out: Path, say: Callable[[str], None]) -> str:
    """Everything that the folder holds; returns Markdown and writes it."""
    out.mkdir(parents=True, exist_ok=True)
    parts = ["# Comparison on real recordings"]
    there = {name: each for name, each in {"disk": DISK, **POINTS}.items() if (folder / each.file).exists()}
    parts += [f"{name}: not in {folder.name}" for name in ("disk", *POINTS) if name not in there]
    if "disk" in there:
        say("disk")
        parts.append(disk(folder, texts, out))
    found: dict[str, dict[str, list[float | None]]] = {}
    for name in POINTS:
        if name in there:
            say(name)
            images = enhanced(name, folder, texts)
            found[name] = widths(name, images)
            shown = {label: images[label] for label in (ORIGINAL, *LOOKS, *SHOWN) if label in images}
            pictured(shown, out / f"real_{name.replace(' ', '_')}.png")
    if found:
        labels = next(iter(found.values()))
        lines = ["| method | " + " | ".join(f"{name} [mm]" for name in found) + " |", "|---" * (len(found) + 1) + "|"]
        lines += [
            f"| {label} | " + " | ".join(_millimetres(each[label]) for each in found.values()) + " |"
            for label in labels
        ]
        parts += ["## Apparent lateral width of points, in mm", "\n".join(lines)]
    text = "\n\n".join(parts) + "\n"
    (out / "real.md").write_text(text, encoding="utf-8")
    return text


def _millimetres(found: Sequence[float | None]) -> str:
    return ", ".join("-" if width is None else f"{width / MM:.2f}" for width in found)
