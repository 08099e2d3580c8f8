"""How long each enhancer takes, and how that grows with the image: ``python benchmarks/enhancers.py [METHOD ...]``.

Complex speckle with a dark disk, in images of 128 x 310, 256 x 620 and 512 x 1240 points; every method with its
defaults, from the complex image to the enhanced one (so with the envelope or the log compression before it). The first
call of the smallest image, which compiles, is apart; the others are repeated until `ENOUGH` seconds are over, three
times at least unless a single one takes as long, and `repeats` times at most. Printed are medians, and the growth: the
time per pixel of the largest image over that of the middle one, 1 where time grows as the number of pixels does.
Methods that run until a given time is over are left out, unless they are named.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import get_num_threads
from scipy import ndimage

import usbeam as ub
from usbeam.enhancers import METHODS

SHAPES = ((310, 128), (620, 256), (1240, 512))
"""Depths by columns."""
ENOUGH = 10.0
"""Seconds of calls to one method with one image."""
TIMED = frozenset(name for name, method in METHODS.items() if "max_seconds" in method.parameters)
"""Methods whose time is a parameter."""


def speckle(shape: tuple[int, int]) -> ub.Image:
    """Fully developed speckle in cells of some pixels, with a disk 20 dB below."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((2, *shape)), (0, 1.5, 1.5))
    data = (noise[0] + 1j * noise[1]).astype(np.complex64)
    z, x = (np.linspace(-1, 1, n) for n in shape)
    data[z[:, None] ** 2 + x**2 < 0.25] *= np.float32(0.1)
    return ub.Image(data, ub.Grid.linear(x=(-20e-3, 20e-3), z=(2e-3, 42e-3), shape=shape))


def measure(method: str, shape: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Seconds of the first call and the median of the others."""
    image, times = speckle(shape), list[float]()
    while len(times) <= repeats:
        start = time.perf_counter()
        ub.enhance(image, method)
        times.append(time.perf_counter() - start)
        if sum(times[1:]) > ENOUGH and (len(times) > 3 or times[1] > ENOUGH):
            break
    return {
        "method": method,
        "shape": shape,
        "seconds": float(np.median(times[1:])),
        "first_seconds": times[0],
        "calls": len(times) - 1,
    }


def run(repeats: int = 7, methods: Sequence[str] = (), shapes: Sequence[tuple[int, int]] = SHAPES) -> dict[str, Any]:
    """Every method with every image; the numbers of `report`."""
    names = methods or [name for name in METHODS if name not in TIMED]
    return {
        "threads": get_num_threads(),
        "shapes": shapes,
        "rows": [measure(name, shape, repeats) for name in names for shape in shapes],
    }


def report(found: dict[str, Any]) -> list[str]:
    """The table of `run` as text."""
    shapes, names = found["shapes"], dict.fromkeys(row["method"] for row in found["rows"])
    seconds = {(row["method"], row["shape"]): row for row in found["rows"]}
    head = "".join(f"{f'{n_x} x {n_z}':>12}" for n_z, n_x in shapes)
    lines = [f"seconds a call, {found['threads']} threads", f"{'method':<20}{head}{'first call':>12}{'growth':>8}"]
    for name in names:
        rows = [seconds[name, shape] for shape in shapes]
        per_pixel = [row["seconds"] / np.prod(row["shape"]) for row in rows]
        growth = f"{per_pixel[-1] / per_pixel[-2]:.2f}" if len(rows) > 1 else "-"
        times = "".join(f"{row['seconds']:>12.4f}" for row in rows)
        lines.append(f"{name:<20}{times}{rows[0]['first_seconds']:>12.2f}{growth:>8}")
    return lines


if __name__ == "__main__":
    print("\n".join(report(run(methods=sys.argv[1:]))))
