"""How long adaptation takes, and that more of it changes nothing: ``python -m benchmarks.zero_shot.adaptation``.

The first recordings of the machines that are left out, once the experiment has run: a network as it was trained,
adapted, and adapted with ten times as many rounds allowed. The stop rule is to end both at the same image.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import usbeam as ub
from benchmarks.comparison.images import MADE, ORIGINAL, made, psf_width
from benchmarks.comparison.scenes import scenes
from usbeam.adaptation import MAX_ROUNDS
from usbeam.measure.roi import RegionPair

from .__main__ import RESULTS
from .machines import FULL, Geometry
from .scenes import recorded

SIZES = [name for name, size in FULL.items() if size.adapted]


def rows(name: str, size: Geometry, network: Path, count: int, folder: Path) -> Iterator[str]:
    """A line of the table for each recording."""
    width = psf_width(size).lateral_fwhm
    for scene in scenes("test", size, width)[:count]:
        recording = recorded(scene, size, folder)
        regions = list(scene.regions(width).values())
        image = made(recording, size.grid, MADE[ORIGINAL])
        cells = [cnr(image, regions), cnr(ub.enhance(image, network), regions)]
        spent: list[float] = []
        rounds: list[int] = []
        for most in (MAX_ROUNDS, 10 * MAX_ROUNDS):
            with tempfile.TemporaryDirectory() as place:
                start = time.perf_counter()
                run = ub.adapt(recording, network, size.grid, out=Path(place) / "run", max_rounds=most)
                spent.append(time.perf_counter() - start)
                rounds.append(len(run.facts["adapted"]["loss"]["rounds"]))
                cells.append(cnr(ub.enhance(image, run), regions))
        figures = " | ".join(f"{each:.2f}" for each in cells)
        times = ", ".join(f"{seconds:.0f} s in {n} rounds" for seconds, n in zip(spent, rounds, strict=True))
        yield f"| {name}: {scene.name} | {figures} | {100 * (cells[3] / cells[2] - 1):+.1f} % | {times} |"


def cnr(image: ub.Image, regions: Sequence[RegionPair]) -> float:
    """A mean over regions."""
    return float(np.mean([float(ub.metrics.cnr(image, pair)) for pair in regions]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zero_shot.adaptation", description=__doc__)
    parser.add_argument("--network", type=Path, default=RESULTS / "full" / "machines" / "runs" / "looks 0")
    parser.add_argument("--recordings", type=int, default=2, help="of each machine, 3 at most (%(default)s)")
    options = parser.parse_args()
    print("| recording | CNR: original | as trained | adapted | ten times as many rounds | difference | time |")
    print("|---" * 7 + "|")
    for name in SIZES:
        size = dataclasses.replace(FULL[name], per_family={"test": 1})
        folder = RESULTS / "full" / name.replace(",", "").replace(" ", "_") / "kept" / "recordings"
        for row in rows(name, size, options.network, options.recordings, folder):
            print(row, flush=True)


if __name__ == "__main__":
    main()
