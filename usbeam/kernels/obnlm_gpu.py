"""Blockwise non-local means on the GPU: twin of `usbeam.kernels.obnlm_cpu` (CuPy).

Nothing is shared between patches but what the caches hold: sums of boxes, which the CPU needs, would make threads wait
for each other.
"""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

from typing import Any

import numpy as np

from usbeam.kernels.cuda import Variant, kernel, launch

VARIANTS = (Variant("obnlm.cu"),)
WEIGHTS_BYTES = 64 << 20
"""Of the weights that are in memory together, unless one row of blocks has more."""
_MOST_ROWS = 65535
"""Blocks of a grid along z."""


def blockwise_means(
    padded: Any,
    inverse: Any,
    mean: Any,
    variance: Any,
    rows: Any,
    columns: Any,
    half: int,
    reach: int,
    decay: np.float32,
    ratios: Any,
) -> Any:
    """As `usbeam.kernels.obnlm_cpu.blockwise_means`, arrays of CuPy."""
    import cupy

    out = cupy.zeros(mean.shape, np.float32)
    n_z, n_x = mean.shape
    sizes = tuple(np.int32(size) for size in (columns.size, n_z, n_x, half, reach))
    covering = (*_covering(rows, n_z, half), *_covering(columns, n_x, half))
    n_offsets = (2 * reach + 1) ** 2
    together = min(rows.size, _MOST_ROWS, max(1, WEIGHTS_BYTES // (4 * n_offsets * columns.size)))
    found = cupy.empty(n_offsets * together * columns.size, np.float32)
    for start in range(0, rows.size, together):
        n_rows = min(together, rows.size - start)
        band, n_blocks = (np.int32(start), np.int32(n_rows)), n_rows * columns.size
        threads = (columns.size, n_offsets, n_rows)
        images = (padded, inverse, mean, variance)
        launch(_kernel("distances"), threads, (128, 1, 1), *images, rows, columns, *band, *sizes, ratios, found)
        launch(_kernel("weights"), (n_blocks,), (128,), found, band[1], sizes[0], sizes[-1], np.float32(decay))
        launch(_kernel("means"), (n_x, n_z), (32, 4), padded, found, *covering, *band, *sizes, out)
    return out


def _kernel(name: str) -> Any:
    return kernel(VARIANTS[0], name)


def _covering(centres: Any, n: int, half: int) -> tuple[Any, Any]:
    """First block and the one after the last that cover each place."""
    import cupy

    places = cupy.arange(n)
    return cupy.searchsorted(centres, places - half), cupy.searchsorted(centres, places + half, side="right")
