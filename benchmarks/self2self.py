"""PSNR of Self2Self against the time it is given, on an image with Gaussian noise.

    python benchmarks/self2self.py                          # 10 minutes and some for the predictions
    python benchmarks/self2self.py --seconds 60 --json
    python benchmarks/self2self.py --grain 1 --block 4      # noise as correlated as speckle is, squares hidden

The image is made of smooth parts with edges, discs and lines. The noise has a standard deviation of 25/255, is
independent in every pixel unless a grain is given, and is clipped to the range of display, as the image of any method
for display is. PSNR is of the displayed image, against the image without noise. Times are of the fit alone; that of the
predictions stands beside it. For comparison: the same image by the controls, each with the setting of a sweep that is
best for this very image.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from scipy import ndimage

import usbeam as ub
from usbeam.train.self2self import Fit, Settings

SIGMA = 25 / 255
RANGE_DB = 60.0
MARKS = (5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600)
"""Seconds of fitting after which PSNR is measured."""
CONTROLS = {
    "gaussian": [{"sigma": sigma} for sigma in (0.6e-4, 0.8e-4, 1.0e-4, 1.2e-4, 1.5e-4, 2e-4)],
    "nlm": [{"strength": strength} for strength in (0.04, 0.06, 0.08, 0.1, 0.12, 0.15)],
}


def clean(side: int) -> ub.Image:
    """Smooth parts with edges, 0.1 mm a pixel."""
    z, x = np.mgrid[:side, :side] / side
    values = 0.4 + 0.15 * z + 0.1 * np.sin(4 * np.pi * x) * z
    for center_z, center_x, radius, level in (
        (0.30, 0.30, 0.15, 0.8),
        (0.65, 0.60, 0.20, 0.2),
        (0.25, 0.75, 0.10, 0.25),
        (0.80, 0.20, 0.08, 0.75),
        (0.50, 0.45, 0.04, 0.85),
    ):
        values[(z - center_z) ** 2 + (x - center_x) ** 2 < radius**2] = level
    values[int(0.90 * side) : int(0.93 * side)] += 0.2
    extent = (side - 1) * 0.1e-3
    grid = ub.Grid.linear(x=(-extent / 2, extent / 2), z=(10e-3, 10e-3 + extent), shape=(side, side))
    return _shown(values, grid)


def noisy(image: ub.Image, grain: float = 0.0, seed: int = 0) -> ub.Image:
    """With Gaussian noise: independent in every pixel, or filtered by a Gaussian of `grain` pixels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(image.data.shape), grain)
    noise *= SIGMA / noise.std()
    return _shown(1 + image.data / RANGE_DB + noise, image.grid)


def psnr(image: ub.Image, reference: ub.Image) -> float:
    return float(ub.metrics.psnr(image, reference, dynamic_range=RANGE_DB))


def run(seconds: float, side: int, grain: float, settings: Settings, n_predictions: int) -> dict[str, Any]:
    """Fit, stopping now and then to look at how far it is."""
    reference = clean(side)
    given = noisy(reference, grain)
    before = psnr(given, reference)
    fit = Fit(1 + given.data / RANGE_DB, settings)
    rows: list[dict[str, float]] = []
    spent = 0.0
    for mark in [mark for mark in MARKS if mark < seconds] + [seconds]:
        start = time.perf_counter()
        fit.run(sys.maxsize, mark - spent)
        spent += time.perf_counter() - start
        start = time.perf_counter()
        found = psnr(_shown(fit.predict(n_predictions), given.grid), reference)
        predicted = time.perf_counter() - start
        rows.append({"seconds": spent, "steps": fit.step, "psnr": found, "predict_seconds": predicted})
        print(f"{spent:.0f} s: {found - before:+.2f} dB", file=sys.stderr)
    controls = [
        {"method": method, "psnr": value, **parameters}
        for method, sweep in CONTROLS.items()
        for value, parameters in [
            max(((psnr(ub.enhance(given, method, **each), reference), each) for each in sweep), key=lambda row: row[0])
        ]
    ]
    return {
        "threads": torch.get_num_threads(),
        "side": side,
        "grain": grain,
        "noisy_psnr": before,
        "settings": vars(settings),
        "n_predictions": n_predictions,
        "rows": rows,
        "controls": controls,
    }


def report(found: dict[str, Any]) -> list[str]:
    """The numbers of `run` as text."""
    before, settings = found["noisy_psnr"], found["settings"]
    lines = [
        f"{found['side']} x {found['side']} pixels, noise of 25/255, grain {found['grain']:g}, "
        f"{found['threads']} threads; "
        + ", ".join(f"{name} {value}" for name, value in settings.items())
        + f", {found['n_predictions']} predictions",
        "",
        f"{'fit s':>7} {'steps':>7} {'PSNR dB':>8} {'gain dB':>8} {'predictions s':>14}",
        f"{0:>7} {0:>7} {before:>8.2f} {0:>8.2f}",
    ]
    lines += [
        f"{row['seconds']:>7.0f} {row['steps']:>7} {row['psnr']:>8.2f} {row['psnr'] - before:>8.2f} "
        f"{row['predict_seconds']:>14.1f}"
        for row in found["rows"]
    ]
    lines += [""] + [
        f"{row['method']} at its best: {row['psnr']:.2f} dB, gain {row['psnr'] - before:.2f} dB"
        for row in found["controls"]
    ]
    return lines


def _shown(values: np.ndarray, grid: ub.Grid) -> ub.Image:
    data = ((np.clip(values, 0, 1) - 1) * RANGE_DB).astype(np.float32)
    return ub.Image(data, grid, "db", RANGE_DB)


def main() -> None:
    parser = argparse.ArgumentParser(description="PSNR of Self2Self against the time it is given.")
    parser.add_argument("--seconds", type=float, default=600.0, help="of the fit (default 600)")
    parser.add_argument("--side", type=int, default=192, help="of the image, in pixels (default 192)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument(
        "--grain", type=float, default=0.0, help="pixels (standard deviation) that the noise is blurred"
    )
    parser.add_argument("--block", type=int, default=1, help="pixels, as high as wide")
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--predictions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    settings = Settings(
        crop=chosen.crop,
        block=(chosen.block, chosen.block),
        learning_rate=chosen.learning_rate,
        width=chosen.width,
        seed=chosen.seed,
    )
    found = run(chosen.seconds, chosen.side, chosen.grain, settings, chosen.predictions)
    print(json.dumps(found, indent=2) if chosen.json else "\n".join(report(found)))


if __name__ == "__main__":
    main()
