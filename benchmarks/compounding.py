"""Images one by one, or summed from the parts that they share: ``usbeam bench compounding``.

One full matrix, 64 x 64 x 2048 samples, 256 x 620 image points; subsets of 16 transmits drawn at random; the same
windows for every method, up to 30 degrees on both legs. Beamformed is either every subset, or every part that the
subsets share (`usbeam.beamforming.compounding.parts_of`): the single transmits, as soon as there are more than a few
subsets. The break-even is the number of subsets from which on parts are faster: as measured, on a straight line between
the two numbers around it, and as the plan's cost model predicts. Beside it, the time of 1,000 subsets from
low-resolution images that are there already (`usbeam.Plan.transmit_images`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import get_num_threads

import usbeam as ub
from usbeam.beamforming.compounding import PARTS_SHARE, Compounding, cheapest, parts_of
from usbeam.beamforming.plan import METHODS

COUNTS = (1, 2, 4, 8, 16, 32, 64, 96)
"""Numbers of subsets that are timed."""
CACHED = 1000
"""Subsets made from low-resolution images."""
HALF = 0.5 * float(np.sqrt(1 / 0.5**2 - 1))
"""The f-number of 30 degrees."""
WINDOWS = {"f_number": HALF, "window": "tukey:0.3", "transmit_f_number": HALF, "transmit_window": "tukey:0.3"}
COLORS = {"das": "tab:blue", "fourier": "tab:orange"}


def recording(n_elements: int, n_samples: int) -> ub.Acquisition:
    """Noise: no time depends on the samples."""
    probe = ub.Probe.linear(n_elements, 40e-3 / n_elements, 7.5e6, bandwidth=0.65)
    shape = (1, n_elements, n_elements, n_samples)
    return ub.Acquisition(
        samples=np.random.default_rng(0).standard_normal(shape, np.float32),
        kind="rf",
        sampling_frequency=31.25e6,
        start_time=0.0,
        sound_speed=1540.0,
        probe=probe,
        transmits=ub.Transmits.elements(probe),
    )


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def measure(method: str, data: ub.Acquisition, grid: ub.Grid, counts: Sequence[int], repeats: int) -> dict[str, Any]:
    """Both ways for the first so many of one list of subsets, and the way from low-resolution images."""
    drawn = np.stack([ub.subsets.random(data, data.n_tx // 4, seed) for seed in range(max(CACHED, *counts))])
    plan, frame = ub.Plan(data, grid, method=method, **WINDOWS), data.frame(0)
    beamformer, budget = plan._beamformer, plan._budget * PARTS_SHARE
    low = plan.transmit_images(frame)  # compiles, and fills the tables
    rows: list[dict[str, Any]] = []
    for count in counts:
        ways = Compounding(drawn[:count]), Compounding(*parts_of(drawn[:count]))
        runs = -(-repeats // count)  # many subsets take long enough to be timed once
        direct, parts = (
            median_seconds(lambda way=way: way.images(beamformer, frame[None], grid, budget), runs) for way in ways
        )
        rows.append({"subsets": count, "parts": len(ways[1].parts), "direct_seconds": direct, "parts_seconds": parts})

    def favours_parts(count: int) -> bool:
        return cheapest(beamformer, drawn[:count], grid.size).mix is not None

    for row in rows:
        chosen, other = ("parts", "direct") if favours_parts(row["subsets"]) else ("direct", "parts")
        row["chosen"] = chosen
        row["gain"] = row[f"{other}_seconds"] / row[f"{chosen}_seconds"]
    refused = [count for count in range(1, max(counts) + 1) if not favours_parts(count)]
    return {
        "method": method,
        "rows": rows,
        "measured_break_even": break_even(rows),
        "predicted_break_even": max(refused, default=0) + 1,
        "build_seconds": median_seconds(lambda: plan.transmit_images(frame), 1),
        "cached_subsets": CACHED,
        "cached_seconds": median_seconds(lambda: [None for _ in low.images(drawn[:CACHED])], min(repeats, 3)),
    }


def break_even(rows: Sequence[dict[str, Any]]) -> float | None:
    """Number of subsets from which on parts are faster; None if there is none among those measured."""
    ahead = np.array([row["direct_seconds"] - row["parts_seconds"] for row in rows])
    counts = [row["subsets"] for row in rows]
    slower = np.flatnonzero(ahead <= 0)
    if not len(slower):
        return float(counts[0])
    last = slower[-1]
    if last == len(rows) - 1:
        return None
    return float(np.interp(0, ahead[last : last + 2], counts[last : last + 2]))


def run(
    repeats: int = 7,
    n_elements: int = 64,
    n_samples: int = 2048,
    shape: tuple[int, int] = (620, 256),
    counts: Sequence[int] = COUNTS,
) -> dict[str, Any]:
    """Everything; the numbers of `report` and `draw`."""
    data = recording(n_elements, n_samples)
    grid = ub.Grid.linear(x=(-20e-3, 20e-3), z=(2e-3, min(42e-3, n_samples / 31.25e6 * 770)), shape=shape)
    return {
        "threads": get_num_threads(),
        "transmits": n_elements,
        "samples": n_samples,
        "shape": shape,
        "methods": [measure(method, data, grid, counts, repeats) for method in METHODS],
    }


def report(found: dict[str, Any]) -> list[str]:
    """The tables of `run` as text."""
    n, (n_z, n_x) = found["transmits"], found["shape"]
    lines = [
        f"{n} x {n} x {found['samples']} samples, {n_x} x {n_z} points, {found['threads']} threads; "
        f"subsets of {n // 4} transmits at random",
    ]
    for method in found["methods"]:
        lines += ["", f"{method['method']:<8} {'subsets':>8} {'parts':>6} {'direct s':>9} {'parts s':>8}  plan takes"]
        for row in method["rows"]:
            lines.append(
                f"{'':<8} {row['subsets']:>8} {row['parts']:>6} {row['direct_seconds']:>9.3f} "
                f"{row['parts_seconds']:>8.3f}  {row['chosen']}, {row['gain']:.2f} times as fast"
            )
        measured = method["measured_break_even"]
        lines += [
            f"break-even: {'none' if measured is None else f'{measured:.0f}'} measured, "
            f"{method['predicted_break_even']} predicted",
            f"low-resolution images: {method['build_seconds']:.2f} s once, then {method['cached_seconds']:.2f} s for "
            f"{method['cached_subsets']} subsets",
        ]
    return lines


def draw(found: dict[str, Any]) -> Any:
    """Time against the number of subsets, both ways of each method, as matplotlib Axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    ax = figure.add_subplot()
    for method in found["methods"]:
        name, rows = method["method"], method["rows"]
        color = COLORS[name]
        counts = [row["subsets"] for row in rows]
        ax.plot(counts, [row["direct_seconds"] for row in rows], "o-", color=color, ms=4, label=f"{name}: each subset")
        ax.plot(counts, [row["parts_seconds"] for row in rows], "s--", color=color, ms=4, label=f"{name}: shared parts")
        if method["measured_break_even"] is not None:
            ax.axvline(method["measured_break_even"], color=color, lw=1, label=f"{name}: break-even, measured")
        predicted = method["predicted_break_even"]
        ax.axvline(predicted, color=color, lw=1.5, ls=":", label=f"{name}: break-even, predicted")
        ax.plot(
            method["cached_subsets"],
            method["cached_seconds"],
            "*",
            color=color,
            ms=11,
            label=f"{name}: from cached images",
        )
    ax.set(xscale="log", yscale="log", xlabel="number of subsets", ylabel="all images of a frame [s]")
    ax.grid(alpha=0.3)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return ax


if __name__ == "__main__":
    print("\n".join(report(run())))
