"""Optimised Bayesian non-local means (OBNLM): patches of speckle compared by their Pearson distance."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from usbeam import device as devices
from usbeam.enhancers.controls import refuse_smaller
from usbeam.enhancers.registry import Range, Task, Values, enhancer
from usbeam.errors import ConfigError
from usbeam.kernels.backend import backend

WHITE = 255.0
"""The grey levels that the authors' strength is meant for."""
OFFSET = 100.0
"""Added to grey levels wherever they divide: to the Pearson distance's denominator and to the means of patches."""


@enhancer(
    title="Optimised Bayesian non-local means",
    domain="display",
    reference="P. Coupe, P. Hellier, C. Kervrann and C. Barillot, IEEE Trans. Image Process. 18(10), 2221-2229, 2009",
    licence="own code; the method is the subject of patent application WO/2009/133307 (INRIA): for research only",
    on_gpu=True,
)
def obnlm(
    task: Task,
    *,
    strength: Annotated[float, Range(1e-3, 1e3), "h: distance of patches that count"] = 0.7,
    gamma: Annotated[float, Range(0, 1), "noise grows as the grey level to this power; 0: it does not grow"] = 0.5,
    patch: Annotated[int, Range(1, 31, "pixels"), "side of a patch, odd"] = 7,
    reach: Annotated[int, Range(1, 25, "pixels"), "how far off similar patches are sought"] = 7,
    step: Annotated[int, Range(1, 31, "pixels"), "between centres of blocks, at most a patch"] = 2,
    mean_ratio: Annotated[float, Range(0, 1), "patches of less alike means are passed over; 0: none are"] = 0.0,
    variance_ratio: Annotated[float, Range(0, 1), "the same for their variances"] = 0.0,
) -> Values:
    """Average of near patches that look alike, where alike is meant as speckle means it.

    A patch i is replaced by the mean of the patches j around it, each with the weight ``exp(-d / h^2)``, where d is the
    paper's Pearson distance, here the *mean* over the pixels p of a patch (some programs sum, which needs another h)::

        d(i, j) = mean over p of (u_i[p] - u_j[p])^2 / (u_j[p] + 100)^(2 gamma)

    Grey levels u run from 0 to 255; the 100 is the authors' offset, which keeps dark pixels from dividing by zero. The
    patch itself has the largest weight of the others. Blocks overlap, and a pixel is the mean of what all blocks that
    cover it say. Beyond the border the image is mirrored. Defaults are those of the authors' demonstration (patch
    half-size 3, search half-size 7, h 0.7); the step is the paper's. Pre-selection (0.95 and 0.5 in their work on MRI)
    skips patches of another mean (with the offset) or variance.
    """
    refuse_smaller(task, patch, "obnlm")
    if patch % 2 == 0:
        raise ConfigError("a patch has a centre", location="obnlm.patch", expected="an odd number", found=patch)
    if step > patch:
        raise ConfigError(
            "blocks leave gaps", location="obnlm.step", expected=f"at most the patch, {patch}", found=step
        )
    on = backend(devices.resolve(task.device))
    xp, half = on.xp, patch // 2
    padded = xp.pad(WHITE * on.asarray(task.values.astype(np.float64)), half + reach, mode="symmetric")
    near = padded[reach:-reach, reach:-reach]
    mean = _patch_means(near, patch)
    variance = xp.maximum(_patch_means(near**2, patch) - mean**2, 0)
    found = on.obnlm.blockwise_means(
        padded.astype(np.float32),
        ((padded + OFFSET) ** (-2 * gamma)).astype(np.float32),
        (mean + OFFSET).astype(np.float32),
        variance.astype(np.float32),
        *(on.asarray(_centres(n, step)) for n in task.values.shape),
        half,
        reach,
        np.float32(1 / strength**2),
        on.asarray(np.array([mean_ratio, variance_ratio], np.float32)),
    )
    return on.numpy(found) / np.float32(WHITE)


def _patch_means(values: Any, patch: int) -> Any:
    """Mean of the patch around every pixel that is half a patch from the border."""
    n_z, n_x = (n - patch + 1 for n in values.shape)
    down: Any = sum(values[p : p + n_z] for p in range(patch)) / patch
    return sum(down[:, p : p + n_x] for p in range(patch)) / patch


def _centres(n: int, step: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Every so many pixels, and the last."""
    return np.unique(np.append(np.arange(0, n, step), n - 1)).astype(np.int64)
