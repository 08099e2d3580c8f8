"""Shipped networks on a real recording with an edge: ``python -m benchmarks.zero_shot.real FOLDER_OF_RECORDINGS``.

The disk of `benchmarks.comparison.real`: one plane wave of a probe that no network has seen, and one image, so that
there is no interval. Not adapted: its pulse is long, and looks need finer steps than the network's scale has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import usbeam as ub
from benchmarks.comparison.real import DISK, REGIONS
from usbeam.measure.metrics import cnr, edge_width, gcnr, mean_difference_db

GRID = ub.Grid.spaced(x=(-16e-3, 14e-3), z=(8e-3, 36e-3), spacing=(0.07e-3, 0.18e-3))
"""That of the comparison with finer steps in depth, which looks need."""
FILTERS = {
    "gaussian": [{"sigma": each} for each in (0.1e-3, 0.2e-3, 0.4e-3, 0.8e-3)],
    "median": [{"size": each} for each in (0.3e-3, 0.6e-3, 1e-3)],
    "srad": [{"n_iterations": each} for each in (40, 100, 250, 400, 900, 1400)],
    "obnlm": [{"strength": each} for each in (0.7, 1.2, 1.6, 2.2)],
}


def images(recording: ub.Acquisition) -> dict[str, ub.Image]:
    """The original, and what filters and networks make of it."""
    whole = ub.Angular(recording, GRID)(recording.frame(0)).image()
    found = {"original": whole.envelope()}
    for method, settings in FILTERS.items():
        for each in settings:
            label = ", ".join(f"{name}={value:g}" for name, value in each.items())
            found[f"{method}, {label}"] = ub.enhance(whole.envelope(), method, **each)
    for name in ("looks-light", "looks"):
        for mode in ("fast", "quality"):
            found[f"{name}, {mode}"] = ub.enhance_recording(recording, name, GRID, mode=mode)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zero_shot.real", description=__doc__)
    parser.add_argument("folder", type=Path, help="with planewave_disk/PWI_disk.mat in it")
    recording = DISK.read(parser.parse_args().folder)
    print("| method | edge width [mm] | CNR | gCNR | difference [dB] |\n|---|---|---|---|---|")
    for label, image in images(recording).items():
        cells = (
            f"{1e3 * float(edge_width(image, REGIONS)):.2f}",
            f"{float(cnr(image, REGIONS)):.2f}",
            f"{float(gcnr(image, REGIONS)):.3f}",
            f"{abs(float(mean_difference_db(image, REGIONS))):.1f}",
        )
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
