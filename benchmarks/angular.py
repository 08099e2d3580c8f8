"""What angular components cost, and what oblique looks gain: ``python benchmarks/angular.py [REPEATS]``.

*Time*: a full matrix of 64 elements at 0.3 mm and 7.5 MHz, 256 x 320 points, by delay-and-sum and as angular components
within the same angles, in turn, so that a machine that changes its speed meanwhile slows both. Both from raw samples;
the ratio is the median of the pairs' ratios. Eight looks of the components are timed apart.

*Compounds*: one cyst in speckle and one point, each in a recording of its own, from the same array with noise in every
channel; by the plain image, groups of elements, and oblique looks, once within the components' default angles and once
from all angles. Printed are the point's widths at -6 dB, lateral and axial; the speckle SNR beside the cyst; as how
many independent looks that counts; CNR, gCNR, contrast and edge width of the cyst. Compare at equal width.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import get_num_threads

import usbeam as ub
from usbeam.beamforming.angular import MAX_SINE, TAPER
from usbeam.measure.contrast import speckle_snr

PROBE = ub.Probe.linear(64, 0.3e-3, 7.5e6, bandwidth=0.65, element_width=0.27e-3)
GRID = ub.Grid.linear(x=(-8e-3, 8e-3), z=(8e-3, 24e-3), shape=(320, 256))
F_NUMBER = 0.5 * float(np.sqrt(1 / MAX_SINE**2 - 1))
SAME = {
    "f_number": F_NUMBER,
    "window": f"tukey:{2 * TAPER}",
    "transmit_f_number": F_NUMBER,
    "transmit_window": f"tukey:{2 * TAPER}",
}
"""The components' window on both legs, as a plan takes it."""
ZOOM = ub.Grid.spaced(x=(-4e-3, 4e-3), z=(12e-3, 20e-3), spacing=0.05e-3)
PLACE = (0.0, 16e-3)
NOISE_DB = -20.0
CYST = ub.roi.RegionPair("cyst", ub.roi.Circle(*PLACE, 1.7e-3), ub.roi.Annulus(*PLACE, 2.6e-3, 3.6e-3))
EDGE = ub.roi.RegionPair("edge", ub.roi.Circle(*PLACE, 2e-3), ub.roi.Annulus(*PLACE, 2e-3, 3.6e-3))

Make = Callable[[ub.Acquisition], ub.Image]


def groups(n_looks: int, share: float | None = None, **options: Any) -> Make:
    return lambda recording: ub.compound(recording, ZOOM, n_looks=n_looks, share=share, **options)


def oblique(n_looks: int, **options: Any) -> Make:
    return lambda recording: ub.compound(recording, ZOOM, n_looks=n_looks, kind="oblique", **options)


def components(max_sine: float) -> Make:
    return lambda recording: ub.Angular(recording, ZOOM, max_sine=max_sine)(recording.frame(0)).image()


WIDE = 0.7
"""Sine: beyond what the array reaches at the point."""
MADE: Sequence[tuple[str, Make]] = (
    (f"sin {MAX_SINE}: one image", components(MAX_SINE)),
    ("  3 groups of 1/2", groups(3, 1 / 2, **SAME)),
    ("  5 groups of 1/3", groups(5, 1 / 3, **SAME)),
    ("  2 oblique", oblique(2)),
    ("  4 oblique", oblique(4)),
    ("  8 oblique", oblique(8)),
    ("  16 oblique", oblique(16)),
    ("  8 oblique, fade 1", oblique(8, fade=1.0)),
    ("all angles: one image", components(WIDE)),
    ("  2 groups", groups(2)),
    ("  3 groups of 1/2", groups(3, 1 / 2)),
    ("  3 groups", groups(3)),
    ("  5 groups of 1/3", groups(5, 1 / 3)),
    ("  8 oblique", oblique(8, max_sine=WIDE)),
    ("  8 oblique, fade 1", oblique(8, max_sine=WIDE, fade=1.0)),
)


def recorded(phantom: ub.simulate.Phantom) -> ub.Acquisition:
    return ub.simulate.record(
        phantom,
        PROBE,
        ub.Transmits.elements(PROBE),
        sampling_frequency=40e6,
        depth=(8e-3, 24e-3),
        noise_db=NOISE_DB,
    )


def times(repeats: int) -> dict[str, float]:
    """Median seconds of one image, of its components, of eight looks, and the ratio of the first two."""
    point = ub.simulate.phantoms.points(x=(-6e-3, 6e-3), z=(10e-3, 22e-3), spacing=6e-3)
    recording = recorded(point)
    frame = recording.frame(0)
    plan, angular = ub.Plan(recording, GRID, **SAME), ub.Angular(recording, GRID)
    steps = [lambda: plan(frame), lambda: angular(frame), lambda: angular(frame).looks()]
    rows: list[list[float]] = []
    for _ in range(repeats + 1):
        rows.append([])
        for step in steps:
            start = time.perf_counter()
            step()
            rows[-1].append(time.perf_counter() - start)
    seconds = np.array(rows[1:])  # the first compiles
    image, components, looks = np.median(seconds, axis=0)
    ratio, whole = np.median(seconds[:, 1:] / seconds[:, :1], axis=0)
    return {"image": image, "components": components, "looks": looks, "ratio": ratio, "looks_ratio": whole}


def compounds() -> list[dict[str, Any]]:
    """Every compound of `MADE`: widths of the point, speckle and cyst."""
    x, z = (-7e-3, 7e-3), (9e-3, 23e-3)
    cyst = recorded(ub.simulate.phantoms.cysts(PROBE, x=x, z=z, circles=[(*PLACE, 2e-3)], density=20))
    place = np.array([[PLACE[0], 0, PLACE[1]]])
    point = recorded(ub.simulate.Phantom(positions=place, amplitudes=np.ones(1), truth=ub.Truth(points=place)))
    rows: list[dict[str, Any]] = []
    for name, make in MADE:
        spot = ub.psf.measure(make(point), near=PLACE, window=5e-3)
        image = make(cyst).envelope()
        snr = float(speckle_snr(image, CYST))
        rows.append(
            {
                "name": name,
                "lateral_fwhm": spot.lateral_fwhm,
                "axial_fwhm": spot.axial_fwhm,
                "speckle_snr": snr,
                "looks": (snr / 1.91) ** 2,
                "cnr": float(ub.metrics.cnr(image, CYST)),
                "gcnr": float(ub.metrics.gcnr(image, CYST)),
                "contrast_db": float(ub.metrics.contrast_db(image, CYST)),
                "edge_width": float(ub.metrics.edge_width(image, EDGE)),
            }
        )
    return rows


def run(repeats: int = 7) -> dict[str, Any]:
    """The numbers of `report`."""
    return {"threads": get_num_threads(), "times": times(repeats), "compounds": compounds()}


def report(found: dict[str, Any]) -> list[str]:
    """The tables of `run` as text."""
    spent = found["times"]
    lines = [
        f"64 x 64 traces, {GRID.shape[1]} x {GRID.shape[0]} points, {found['threads']} threads",
        f"one image             {spent['image']:.3f} s",
        f"angular components    {spent['components']:.3f} s   {spent['ratio']:.2f} times an image",
        f"... and eight looks   {spent['looks']:.3f} s   {spent['looks_ratio']:.2f} times an image",
        "",
        f"{'compound':<24}{'lateral mm':>11}{'axial mm':>10}{'SNR':>7}{'looks':>7}{'CNR':>7}{'gCNR':>7}"
        f"{'contrast dB':>13}{'edge mm':>9}",
    ]
    lines += [
        f"{row['name']:<24}{1e3 * row['lateral_fwhm']:>11.2f}{1e3 * row['axial_fwhm']:>10.2f}"
        f"{row['speckle_snr']:>7.2f}{row['looks']:>7.1f}{row['cnr']:>7.2f}{row['gcnr']:>7.3f}"
        f"{row['contrast_db']:>13.1f}{1e3 * row['edge_width']:>9.2f}"
        for row in found["compounds"]
    ]
    return lines


if __name__ == "__main__":
    print("\n".join(report(run(*map(int, sys.argv[1:2])))))
