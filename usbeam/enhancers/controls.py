"""Controls: what any method must beat. Well-known filters of the displayed image, from SciPy, scikit-image, PyWavelets.

Lengths are in metres, so that a setting means the same on every grid; pixels may be higher than wide.
"""

from __future__ import annotations

from typing import Annotated

from scipy import ndimage

from usbeam.enhancers.registry import Range, Task, Values, enhancer
from usbeam.errors import ConfigError

_BSD = "BSD-3-Clause library"


@enhancer(title="The image itself", domain="display", reference="none")
def identity(task: Task) -> Values:
    """Change nothing: the reference point of every table."""
    return task.values


@enhancer(
    title="Gaussian filter of the displayed image",
    domain="display",
    reference="SciPy, ndimage.gaussian_filter",
    licence=_BSD,
)
def gaussian(task: Task, *, sigma: Annotated[float, Range(0, 0.1, "m"), "standard deviation"] = 0.1e-3) -> Values:
    """Average with a Gaussian weight, as wide in metres across as in depth."""
    return ndimage.gaussian_filter(task.values, [sigma / step for step in task.spacing], mode="nearest")


@enhancer(
    title="Median filter of the displayed image",
    domain="display",
    reference="SciPy, ndimage.median_filter",
    licence=_BSD,
)
def median(task: Task, *, size: Annotated[float, Range(0, 0.1, "m"), "side of the square window"] = 0.3e-3) -> Values:
    """Median of a square window of odd numbers of pixels."""
    window = [2 * round(size / step / 2) + 1 for step in task.spacing]
    return ndimage.median_filter(task.values, window, mode="nearest")


@enhancer(
    title="Bilateral filter of the displayed image",
    domain="display",
    reference="C. Tomasi and R. Manduchi, ICCV 1998; scikit-image, restoration.denoise_bilateral",
    licence=_BSD,
)
def bilateral(
    task: Task,
    *,
    sigma_color: Annotated[float, Range(1e-3, 1), "standard deviation of grey levels, of the displayed range"] = 0.15,
    sigma_spatial: Annotated[float, Range(0.1, 50, "pixels"), "standard deviation of distances"] = 2.0,
) -> Values:
    """Average of near pixels of near grey level."""
    from skimage.restoration import denoise_bilateral

    return denoise_bilateral(task.values, sigma_color=sigma_color, sigma_spatial=sigma_spatial, mode="edge")


@enhancer(
    title="Non-local means of the displayed image",
    domain="display",
    reference="A. Buades, B. Coll and J.-M. Morel, CVPR 2005; scikit-image, restoration.denoise_nl_means",
    licence=_BSD,
)
def nlm(
    task: Task,
    *,
    strength: Annotated[float, Range(1e-3, 1), "h: grey-level distance of patches that count, of the range"] = 0.1,
    patch: Annotated[int, Range(3, 31, "pixels"), "side of a patch"] = 5,
    reach: Annotated[int, Range(1, 50, "pixels"), "how far off similar patches are sought"] = 7,
) -> Values:
    """Average of pixels whose surroundings look alike."""
    from skimage.restoration import denoise_nl_means

    refuse_smaller(task, patch, "nlm")
    return denoise_nl_means(task.values, patch_size=patch, patch_distance=reach, h=strength, fast_mode=True)


@enhancer(
    title="Soft threshold of wavelet coefficients of the displayed image",
    domain="display",
    reference="D. L. Donoho, IEEE Trans. Inf. Theory 41(3), 1995; scikit-image and PyWavelets",
    licence=_BSD,
)
def wavelet(
    task: Task,
    *,
    sigma: Annotated[float | None, Range(0, 1), "noise of grey levels, of the range; estimated if not given"] = None,
    levels: Annotated[int, Range(1, 10), "how often the scale is doubled"] = 3,
) -> Values:
    """Shrink small wavelet coefficients (BayesShrink thresholds, averaged over shifts would be dearer)."""
    from skimage.restoration import denoise_wavelet

    refuse_smaller(task, 2 ** (levels + 2), "wavelet")
    return denoise_wavelet(
        task.values, sigma=sigma, wavelet="db4", mode="soft", wavelet_levels=levels, method="BayesShrink"
    )


def refuse_smaller(task: Task, side: int, name: str) -> None:
    """An image must hold what the method compares.

    Raises
    ------
    ConfigError
        If the image has fewer pixels than `side` in depth or across.
    """
    if min(task.values.shape) < side:
        raise ConfigError(
            f"the image is too small for {name}",
            location="image",
            expected=f"at least {side} x {side} pixels",
            found=f"{task.values.shape[0]} x {task.values.shape[1]}",
        )
