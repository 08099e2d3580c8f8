"""What adaptation does and how long it takes: ``python -m benchmarks.zero_shot.adaptation``.

The first recordings of the machines that are left out, once the experiment has run: a network as it was trained,
adapted, adapted with ten times as many rounds allowed, and after one round that was kept whatever it gained. The stop
rule is to end the first two at the same image, and the last shows what it guards against.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np

import usbeam as ub
from benchmarks.comparison.images import psf_width
from benchmarks.comparison.scenes import scenes
from usbeam.adaptation import MAX_ROUNDS
from usbeam.errors import MeasurementError
from usbeam.measure.metrics import edge_width
from usbeam.measure.roi import RegionPair

from .__main__ import RESULTS
from .judging import tissue
from .machines import FULL, Geometry
from .scenes import recorded

WAYS: Sequence[Mapping[str, Any]] = ({}, {"max_rounds": 10 * MAX_ROUNDS}, {"max_rounds": 1, "gain": -1.0})
"""With the stop rule; with ten times as many rounds allowed; and one round that is kept."""
SIZES = [name for name, size in FULL.items() if size.adapted]


def rows(name: str, size: Geometry, network: Path, count: int, folder: Path) -> Iterator[str]:
    """A line of the table for each recording."""
    width = psf_width(size).lateral_fwhm
    for scene in scenes("test", size, width)[:count]:
        recording = recorded(scene, size, folder)
        regions = list(scene.regions(width).values())
        image = ub.Angular(recording, size.grid)(recording.frame(0)).image().envelope()
        enhanced = [image, ub.enhance(image, network)]
        spent: list[str] = []
        gained, grid = 0.0, tissue(recording, network, size)
        for options in WAYS:
            with tempfile.TemporaryDirectory() as place:
                start = time.perf_counter()
                run = ub.adapt(recording, network, grid, out=Path(place) / "run", **options)
                losses = run.facts["adapted"]["loss"]
                spent.append(f"{time.perf_counter() - start:.0f} s in {len(losses['rounds'])}")
                gained = 1 - losses["rounds"][0] / losses["before"]
                enhanced.append(ub.enhance(image, run))
        figures = [cnr(each, regions) for each in enhanced]
        cells = [
            f"{value:.2f} ({edge_ratio(each, image, regions):.2f})"
            for value, each in zip(figures, enhanced, strict=True)
        ]
        cells.insert(4, f"{100 * (figures[3] / figures[2] - 1):+.1f} %")
        yield f"| {' | '.join([f'{name}: {scene.name}', *cells, f'{100 * gained:+.2f} %', ', '.join(spent)])} |"


def cnr(image: ub.Image, regions: Sequence[RegionPair]) -> float:
    """A mean over regions."""
    return float(np.mean([float(ub.metrics.cnr(image, pair)) for pair in regions]))


def edge_ratio(image: ub.Image, original: ub.Image, regions: Sequence[RegionPair]) -> float:
    """Of the edge width to that in the original: a geometric mean over the regions in which both can be measured."""
    ratios: list[float] = []
    for pair in regions:
        with suppress(MeasurementError):
            ratios.append(float(edge_width(image, pair)) / float(edge_width(original, pair)))
    return float(geometric_mean(ratios)) if ratios else float("nan")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zero_shot.adaptation", description=__doc__)
    parser.add_argument("--network", type=Path, default=RESULTS / "full" / "machines" / "runs" / "looks 0")
    parser.add_argument("--recordings", type=int, default=1, help="of each machine, 3 at most (%(default)s)")
    options = parser.parse_args()
    head = ["recording", "CNR (and R): original", "as trained", "adapted", "ten times as many rounds", "difference",
            "one round, kept", "loss bettered by it", "time and rounds of the three"]  # fmt: skip
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for name in SIZES:
        size = dataclasses.replace(FULL[name], per_family={"test": 1})
        folder = RESULTS / "full" / name.replace(",", "").replace(" ", "_") / "kept" / "recordings"
        for row in rows(name, size, options.network, options.recordings, folder):
            print(row, flush=True)


if __name__ == "__main__":
    main()
