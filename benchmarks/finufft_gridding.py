"""The gridding of Fourier beamforming beside FINUFFT, a library of non-uniform Fourier transforms.

    pip install finufft
    python benchmarks/finufft_gridding.py

A 64 x 64 full matrix of `fourier.py` at sine 0.5. The work is the sum over waves of any kz at uniform depths, one
transform for each lateral wavenumber n dk; n and -n have the same kz and are two vectors of one transform. FINUFFT gets
all positions and values ready made, without those of weight 0, as contiguous single precision arrays; its time is that
of `setpts` and `execute`. usbeam computes weights and positions as it goes; its time is that of its kernel, less that
of the spatial transforms in it (measured apart), plus the transform to depths. Errors are RMS against the sum written
out, in float64, for a few n.

Barnett, Magland, af Klinteberg 2019, SIAM J. Sci. Comput. 41(5):C479 (FINUFFT).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import finufft
import fourier
import numpy as np
from numba import get_num_threads, njit, prange

import usbeam as ub
from usbeam.beamforming.traces import pair
from usbeam.kernels.conventions import NUMBA_OPTIONS
from usbeam.kernels.lane_fft import stages
from usbeam.kernels.lane_gridding import double_spectrum
from usbeam.kernels.lanes import ELEMENT, N_LANES

SINE = 0.5
SETTINGS = tuple(itertools.product((1e-2, 1e-3, 1e-4), (1.25, 2.0), (0, 1)))
"""FINUFFT's eps, upsampfac, spread_sort."""
TOLERANCE = 5.0
"""Decibels by which FINUFFT may be less accurate and still count as equal: its eps comes in steps."""


@njit(parallel=True, **NUMBA_OPTIONS)
def spatial_spectra(spectrum, first, receive_slot, transmit_slot, reach, period, stages, n_workers, out):
    """What the kernel does before it grids: Q of each block, one after the other."""
    n_pairs, n_tx, samples = spectrum.shape[1], transmit_slot.size, spectrum.reshape(-1)
    for worker in prange(n_workers):
        data, work = np.empty(period * ELEMENT, np.float32), np.empty(period * ELEMENT, np.float32)
        across = np.empty(period * n_tx * ELEMENT, np.float32)
        for block in range(worker, len(reach), n_workers):
            rooms = (data, work, across, out[block % len(out)])
            most = max(reach[block, 0], reach[block, 1])
            double_spectrum(samples, block * n_pairs, first, receive_slot, transmit_slot, most, stages, period, rooms)


@njit
def block_points(n, reach, double, period, leg, height, position, values):
    """Waves of one block with lateral wavenumbers +-n dk; returns how many there are, without those of weight 0.

    Q is a block of `spatial_spectra`, both legs have one window, `height` is kz of a leg [rad per depth step].
    """
    count = 0
    for a in range(max(-reach, n - reach), n // 2 + 1):
        b = n - a
        half = 0.5 if a == b else 1.0
        for w in range(N_LANES):
            p, q = leg[abs(a), w], leg[abs(b), w]
            p = p + 1j * leg[abs(a), w + N_LANES]
            q = q + 1j * leg[abs(b), w + N_LANES]
            if p == 0 or q == 0:
                continue
            if count < position.size:
                position[count] = height[abs(a), w] + height[abs(b), w]
                for vector, sign in ((0, 1), (1, -1)):
                    row = sign * n % period * period
                    total = 0j
                    for m in (a, b):
                        at = (row + sign * m % period) * ELEMENT + w
                        total += double[at] + 1j * double[at + N_LANES]
                    values[vector, count] = half * p * q * total
            count += 1
    return count


@dataclass(frozen=True, eq=False)
class Problem:
    """One frame's gridding.

    Parameters
    ----------
    beamformer
        The plan's.
    spectrum, places, tables
        As its kernel takes them.
    n_depths
        Uniform depths.
    """

    beamformer: Any
    spectrum: np.ndarray
    places: Any
    tables: Any
    n_depths: int

    @classmethod
    def of(cls, work: fourier.Work) -> Problem:
        data, grid = work.recording(work.elements[0]), work.grid()
        plan = fourier.plans(data, grid, SINE)["fourier"]
        weights = ub.subsets.all(data)
        pairs = pair(data, weights, np.arange(data.n_tx), fold=True)
        blocks = slice(0, len(plan._beamformer._spectra.frequencies))
        made, waves = plan._beamformer._spectra, plan._beamformer._waves
        spectrum = made(data.frame(0), made.sources(pairs), blocks, plan._beamformer._work_bytes)
        return cls(plan._beamformer, spectrum, waves.places(pairs), waves.tables(blocks), grid.shape[0])

    def grid(self) -> np.ndarray:
        """usbeam's, spatial transforms included: cells of all n."""
        waves = self.beamformer._waves
        cells = np.zeros(waves.cells_shape, np.complex64)
        waves.grid(self.spectrum, self.places, self.tables, self.beamformer._at_once, cells)
        return waves.rows(cells)

    def depths(self, rows: np.ndarray) -> np.ndarray:
        """usbeam's, cells to depths: (n_n, n_depths), n from -n_max to n_max."""
        return self.beamformer._gridding.depths(rows, self.beamformer._waves.lowest)

    def transform(self, kept: int) -> np.ndarray:
        """The spatial transforms alone; of the last `kept` blocks the spectra are returned."""
        period, workers = self.beamformer._waves._geometry.period, self.beamformer._at_once
        out = np.empty((kept, period * period * ELEMENT), np.float32)
        spatial_spectra(self.spectrum, *self.places, self.tables[0], period, stages(period), workers, out)
        return out

    def points(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each n >= 0: positions (m,) float64 and values (2, m) of its waves, for n and -n."""
        waves = self.beamformer._waves
        geometry, legs = waves._geometry, self.tables[1]
        heights = geometry.kz(waves._q, geometry.k[:, None, :], waves._widest) * 2 * np.pi
        heights /= geometry.gridding.cell * geometry.gridding.n_cells
        reach = self.tables[0].max(axis=1)
        double = self.transform(len(reach))
        rows: list[tuple[np.ndarray, np.ndarray]] = []
        for n in range(2 * int(reach.max()) + 1):
            parts = []
            for block in np.flatnonzero(2 * reach >= n):
                facts = (n, reach[block], double[block], geometry.period, legs[block], heights[block])
                most = 16 * (reach[block] + n // 2 + 1)
                position, values = np.empty(most), np.empty((2, most), np.complex64)
                count = block_points(*facts, position, values)
                parts.append((position[:count], values[:, :count]))
            rows.append((np.concatenate([p for p, _ in parts]), np.concatenate([v for _, v in parts], axis=1)))
        return [row for row in rows if len(row[0])]


def written_out(position: np.ndarray, values: np.ndarray, n_depths: int) -> np.ndarray:
    """The sum itself, (2, n_depths)."""
    depth = np.arange(n_depths) - n_depths // 2
    parts = np.array_split(np.arange(len(position)), 1 + len(position) // 4096)
    return sum(values[:, part].astype(complex) @ np.exp(1j * np.outer(position[part], depth)) for part in parts)


def library(rows: list[Any], n_depths: int, at_once: int, eps: float, upsampfac: float, sort: int) -> list[np.ndarray]:
    """FINUFFT's transforms of all rows: so many rows at once, the threads shared among them."""
    options = {"nthreads": get_num_threads() // at_once, "upsampfac": upsampfac, "spread_sort": sort}

    def some(start: int) -> list[np.ndarray]:
        plan = finufft.Plan(1, (n_depths,), 2, eps, 1, "complex64", **options)
        images = []
        for position, values in rows[start::at_once]:
            plan.setpts(position)
            images.append(plan.execute(values))
        return images

    if at_once == 1:
        return some(0)
    with ThreadPoolExecutor(at_once) as pool:
        parts = list(pool.map(some, range(at_once)))
    return [parts[i % at_once][i // at_once] for i in range(len(rows))]


def run(repeats: int = 5, work: fourier.Work = fourier.STANDARD) -> dict[str, Any]:
    """Everything; the numbers of `report`."""
    problem = Problem.of(work)
    exact = problem.points()
    checked = np.linspace(0, 0.75 * len(exact), 4).astype(int)
    wanted = np.stack([written_out(*exact[n], problem.n_depths) for n in checked])
    single = [(np.remainder(p + np.pi, 2 * np.pi).astype(np.float32) - np.float32(np.pi), v) for p, v in exact]

    def seconds(call: Callable[[], object]) -> float:
        return fourier.median_seconds(call, repeats)

    cells = problem.grid()
    images, middle = problem.depths(cells), len(cells) // 2
    mine = np.stack([images[[middle + n, middle - n]] for n in checked])
    grid, spatial = seconds(problem.grid), seconds(lambda: problem.transform(problem.beamformer._at_once))
    depths = seconds(lambda: problem.depths(cells))
    rows: list[dict[str, Any]] = []
    for at_once, (eps, upsampfac, sort) in itertools.product(sorted({1, get_num_threads()}), SETTINGS):
        options = (single, problem.n_depths, at_once, eps, upsampfac, sort)
        found = library(*options)
        row = {"rows_at_once": at_once, "eps": eps, "upsampfac": upsampfac, "sort": sort}
        error = fourier.error_db(np.stack([found[n] for n in checked]), wanted)
        rows.append({**row, "seconds": seconds(lambda options=options: library(*options)), "error_db": error})
    error = fourier.error_db(mine, wanted)
    equal = [row["seconds"] for row in rows if row["error_db"] <= error + TOLERANCE]
    return {
        "threads": get_num_threads(),
        "points": sum(len(position) for position, _ in exact),
        "transforms": len(exact),
        "spatial_seconds": spatial,
        "gridding_seconds": grid - spatial,
        "depths_seconds": depths,
        "seconds": grid - spatial + depths,
        "error_db": error,
        "library": rows,
        "ratio": min(equal) / (grid - spatial + depths) if equal else None,
    }


def report(found: dict[str, Any]) -> list[str]:
    """The tables of `run` as text."""
    header = ["", "rows at once", "eps", "upsampfac", "sort", "s", "dB"]
    rows: list[list[object]] = [["usbeam", "", "", "", "", found["seconds"], f"{found['error_db']:.1f}"]]
    for row in found["library"]:
        options = [row["rows_at_once"], f"{row['eps']:g}", f"{row['upsampfac']:g}", row["sort"]]
        rows.append(["finufft", *options, row["seconds"], f"{row['error_db']:.1f}"])
    parts = ", ".join(f"{name} {found[f'{name}_seconds']:.3f} s" for name in ("gridding", "depths"))
    ratio = "no setting is as accurate" if found["ratio"] is None else f"{found['ratio']:.2f} times usbeam's time"
    size = f"{found['transforms']} transforms of two vectors, {found['points'] / 1e6:.1f} M waves"
    return [
        f"{size}, {found['threads']} threads",
        *fourier.table(header, rows),
        f"usbeam: {parts}; before it, spatial transforms {found['spatial_seconds']:.3f} s",
        f"FINUFFT at equal accuracy, at best: {ratio}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The gridding of Fourier beamforming beside FINUFFT.")
    parser.add_argument("--repeats", type=int, default=5)
    print("\n".join(report(run(parser.parse_args().repeats))))
