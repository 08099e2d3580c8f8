"""Non-local low rank (NLLR): patches that look alike, put side by side, are a matrix of low rank and noise."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from usbeam.enhancers.controls import refuse_smaller
from usbeam.enhancers.registry import Range, Task, Values, enhancer
from usbeam.errors import ConfigError

GUIDANCE = 1.0
"""Standard deviation [pixels] of the Gaussian filter of the first round's guidance image."""
SAMPLE = 500
"""Groups from which the noise is estimated, spread over the image."""
TOGETHER = 16
"""Rows of patches between two reports of progress."""


@enhancer(
    title="Non-local low rank, after Zhu and others",
    domain="display",
    reference="L. Zhu, C.-W. Fu, M. S. Brown and P.-A. Heng, A non-local low-rank framework for ultrasound speckle "
    "reduction, CVPR 2017, 5650-5658",
    licence="own code, written from the paper's idea; we know of no public code of its authors",
)
def nllr(
    task: Task,
    *,
    strength: Annotated[float, Range(0, 100), "singular values below so many noise levels become zero"] = 1.2,
    free: Annotated[int, Range(1, 8), "singular values that are never shrunk"] = 1,
    outlier: Annotated[float, Range(1, 1e6), "a patch so many times as far off as the median one is no match"] = 3.0,
    patch: Annotated[int, Range(3, 15, "pixels"), "side of a patch"] = 7,
    step: Annotated[int, Range(1, 15, "pixels"), "between patches for which others are sought, at most a patch"] = 4,
    reach: Annotated[int, Range(2, 50, "pixels"), "how far off similar patches are sought"] = 10,
    similar: Annotated[int, Range(8, 1000), "patches in a group"] = 60,
    rounds: Annotated[int, Range(1, 20), "how often everything is done"] = 3,
    feedback: Annotated[float, Range(0, 1), "share of what was removed that the next round gets back"] = 0.1,
) -> Values:
    """Keep what similar patches have in common.

    Every few pixels the patches nearest to the one there are sought, by their distance in a guidance image. As rows of
    a matrix P they are split into a low-rank part L, some outliers S (whole patches that do not belong), and noise, by
    turns: L from P - S by shrinking singular values, S from P - L by its longest rows. A pixel becomes the mean of all
    L that cover it, and rounds follow on that image with a share of the removed given back.

    From the paper: guidance, groups, a weighted nuclear norm that leaves the first singular values free (truncated),
    structured sparsity, and rounds. **Ours**, where the paper leaves a choice or we know no program of its authors to
    look it up:

    - The guidance is the image under a Gaussian filter of one pixel, and in later rounds the estimate before.
    - Weights are inverse to the singular values of L, ``w = tau^2 / (4 sigma_L)``, so that a singular value sigma of P
      becomes ``(sigma + sqrt(sigma^2 - tau^2)) / 2``, and zero below tau.
    - tau is the strength times the noise level: the median over the image's groups of the first singular value
      that is not free, since most groups hold nothing but one structure and speckle. So it follows the size of the
      speckle's cells, too. Groups that are flat (below the displayed range) do not count; in an image without noise
      that leaves the edges, which then lose a little. The levels are noted, one a round.
    - An outlier is counted, not weighed by its length: beyond some times the group's median distance it takes no part,
      and L takes its place. A group without noise is thus recovered as it is.
    - Every number among the defaults.
    """
    refuse_smaller(task, patch + reach, "nllr")
    if step > patch:
        raise ConfigError(
            "patches leave gaps", location="nllr.step", expected=f"at most the patch, {patch}", found=step
        )
    if similar > (reach + 1) ** 2:
        raise ConfigError(
            "too few patches within reach of a corner",
            location="nllr.similar",
            expected=f"at most {(reach + 1) ** 2} at this reach",
            found=similar,
        )
    from usbeam.kernels.nllr_cpu import estimates, match, spectra

    given = task.values.astype(np.float64)
    rows, columns = (_corners(n, patch, step) for n in given.shape)
    noisy, guidance = given, ndimage.gaussian_filter(given, GUIDANCE, mode="nearest")
    levels: list[float] = []
    for turn in range(rounds):
        places = match(guidance.astype(np.float32), rows, columns, patch, reach, similar)
        groups = places.reshape(-1, similar)
        levels.append(_level(spectra(noisy, groups[:: 1 + len(groups) // SAMPLE], patch), free))
        # One row of patches reaches over several rows of pixels: each sums apart, and they are added in order.
        sums = np.zeros((2, given.shape[0] + 2 * reach, given.shape[1]))
        for first in range(0, len(rows), TOGETHER):
            some = rows[first : first + TOGETHER]
            found = estimates(
                noisy, places[first : first + TOGETHER], some, patch, reach, free, strength * levels[-1], outlier, 5
            )
            for k, top in enumerate(some):
                sums[:, top : top + found.shape[2]] += found[:, k]
            task.progress((turn + min(1, (first + TOGETHER) / len(rows))) / rounds)
        guidance = sums[0, reach:-reach] / sums[1, reach:-reach]
        noisy = guidance + feedback * (given - guidance)
    task.notes["noise_levels"] = levels
    return guidance


def _corners(n: int, patch: int, step: int) -> npt.NDArray[np.int64]:
    """First pixels of patches: every so many, and the last."""
    return np.unique(np.append(np.arange(0, n - patch, step), n - patch)).astype(np.int64)


def _level(values: npt.NDArray[np.float64], free: int) -> float:
    """The median of the first singular values that are not free, of groups that are not flat."""
    first = values[:, free][values[:, free] > 1e-5 * values[:, 0]]
    return float(np.median(first)) if first.size else 0.0
