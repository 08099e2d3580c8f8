"""Figures that compare two images: with a reference, and with what a mere remapping of grey levels would give."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.exposure import match_histograms
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from usbeam.checks import Floats
from usbeam.errors import ConfigError, MeasurementError
from usbeam.image import Image
from usbeam.measure.metric import Metric, displayed, displayed_domain, displayed_range

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
"""Pixels across the Gaussian window of `ssim`: 3.5 sigma to either side."""
FLAT = 1e-6
"""Variance [dB^2] below which a window of `lncc` is flat: a thousandth of a dB is nothing but rounding."""


def psnr(image: Image, reference: Image, *, dynamic_range: float = 60.0) -> Metric:
    """Peak signal-to-noise ratio, ``20 log10(range / root mean square difference)`` [dB], of displayed images.

    The peak is the displayed range, the same for every image. Infinite for equal images.

    Parameters
    ----------
    image, reference
        On one grid.
    dynamic_range
        Displayed range [dB] of images that are not in dB.

    Raises
    ------
    ConfigError
        If the grids or displayed ranges differ.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> grid = Grid.linear(x=(-1e-3, 1e-3), z=(9e-3, 11e-3), shape=(4, 4))
    >>> brighter, darker = (Image(np.full((4, 4), level, np.float32), grid, "db", 60.0) for level in (-10, -16))
    >>> print(round(float(psnr(brighter, darker)), 6))  # 20 log10(60 / 6)
    20.0
    """
    grey, wanted, shown = _grey_levels(image, reference, dynamic_range)
    same = mean_squared_error(wanted, grey) == 0
    value = np.inf if same else peak_signal_noise_ratio(wanted, grey, data_range=displayed_range(shown))
    return _of_image(value, "psnr", "20 log10(range / rms difference)", shown, unit="dB")


def ssim(image: Image, reference: Image, *, dynamic_range: float = 60.0) -> Metric:
    """Structural similarity index of displayed images, from -1 to 1.

    Grey levels are dB above the floor. Gaussian window of sigma 1.5 pixels, 11 pixels wide; k1 = 0.01, k2 = 0.03 of the
    displayed range; variances divided by n; mean over the image but for a rim of half a window.

    Parameters
    ----------
    image, reference
        On one grid.
    dynamic_range
        Displayed range [dB] of images that are not in dB.

    Raises
    ------
    ConfigError
        If the grids or displayed ranges differ.
    MeasurementError
        If the images are smaller than the window.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Trans. Image Process. 13(4), 600-612, 2004, equation 13. Computed by scikit-image.
    """
    grey, wanted, shown = _grey_levels(image, reference, dynamic_range)
    _check_size(grey, SSIM_WINDOW)
    value = structural_similarity(
        wanted,
        grey,
        data_range=displayed_range(shown),
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
    )
    definition = f"structural similarity, Gaussian window of sigma {SSIM_SIGMA:g} pixels"
    return _of_image(value, "ssim", definition, shown)


def lncc(
    image: Image, reference: Image, *, size: int = 9, squared: bool = False, dynamic_range: float = 60.0
) -> Metric:
    """Local normalised cross-correlation of displayed images: the mean of the correlations of all windows.

    ``cov / sqrt(var var)`` in every window of `size` x `size` pixels that lies wholly in the image, from -1 to 1; or
    its square, as it is common in registration. A window where one of the images is flat counts as 0; windows where
    both are do not count.

    Parameters
    ----------
    image, reference
        On one grid.
    size
        Pixels across a window, >= 2.
    squared
        Whether the mean is taken of the squared correlations.
    dynamic_range
        Displayed range [dB] of images that are not in dB.

    Raises
    ------
    ConfigError
        If the grids or displayed ranges differ, or a window is smaller than 2 pixels.
    MeasurementError
        If the images are smaller than a window, or both flat in every window.
    """
    if size < 2:
        raise ConfigError("too small a window", location="size", expected=">= 2 pixels", found=size)
    grey, wanted, shown = _grey_levels(image, reference, dynamic_range)
    _check_size(grey, size)
    # Differences from the mean keep the rounding of the running sums small.
    a, b = (values - values.mean() for values in (grey, wanted))
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (_windows(values, size) for values in (a, b, a * a, b * b, a * b))
    var_a, var_b, cov = mean_aa - mean_a**2, mean_bb - mean_b**2, mean_ab - mean_a * mean_b
    counted, both = (var_a > FLAT) | (var_b > FLAT), (var_a > FLAT) & (var_b > FLAT)
    if not counted.any():
        raise MeasurementError("both images are flat in every window", location="lncc")
    correlation = cov[both] / np.sqrt(var_a[both] * var_b[both])
    value = np.sum(correlation**2 if squared else correlation) / np.count_nonzero(counted)
    formula = "cov^2 / (var var)" if squared else "cov / sqrt(var var)"
    return _of_image(value, "lncc", f"mean of {formula} in windows of {size} x {size} pixels", shown)


def remapped(original: Image, enhanced: Image, *, dynamic_range: float = 60.0) -> Image:
    """The original with its grey levels mapped, in their order, to the displayed histogram of another image.

    The control for everything that claims to enhance: this image shows exactly the grey levels of `enhanced`, but
    whatever it separates is what the original separated. If its CNR is as high as that of `enhanced`, then the gain is
    one of grey levels, not of the image. A pixel whose value is the k-th smallest gets the k-th smallest grey level;
    equal values stay equal (scikit-image's ``match_histograms``).

    Parameters
    ----------
    original
        Its values are taken as they are, before any clipping, so that none of their order is lost.
    enhanced
        Its displayed grey levels are the ones to get.
    dynamic_range
        Displayed range [dB] of an `enhanced` that is not in dB.

    Returns
    -------
    Image
        In dB, on the original's grid.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> grid = Grid.linear(x=(-1e-3, 1e-3), z=(9e-3, 11e-3), shape=(1, 3))
    >>> original = Image(np.array([[2, 3, 4]], np.float32), grid, "envelope")
    >>> enhanced = Image(np.array([[0, -7, -3]], np.float32), grid, "db", 60.0)
    >>> remapped(original, enhanced).data
    array([[-7., -3.,  0.]], dtype=float32)
    """
    shown = displayed(enhanced, dynamic_range)
    levels = original if original.state == "db" else original.envelope()
    data = match_histograms(levels.data.astype(np.float64), shown.data.astype(np.float64)).astype(np.float32)
    return dataclasses.replace(original, data=data, state="db", dynamic_range_db=shown.dynamic_range_db)


def _grey_levels(image: Image, reference: Image, dynamic_range: float) -> tuple[Floats, Floats, Image]:
    """Both images as dB above the floor, in float64, and the image as it is displayed."""
    if image.grid != reference.grid:
        raise ConfigError(
            "image and reference lie on different grids",
            location="reference",
            hint="beamform both with the same --x, --z and --shape",
        )
    shown, shown_reference = displayed(image, dynamic_range), displayed(reference, dynamic_range)
    span, wanted = displayed_range(shown), displayed_range(shown_reference)
    if span != wanted:
        raise ConfigError(
            "image and reference show different ranges",
            location="reference",
            expected=f"{span:g} dB",
            found=f"{wanted:g} dB",
        )
    return shown.data.astype(np.float64) + span, shown_reference.data.astype(np.float64) + span, shown


def _check_size(grey: Floats, window: int) -> None:
    if min(grey.shape) < window:
        raise MeasurementError(
            "the image is smaller than a window",
            expected=f"at least {window} x {window} pixels",
            found=f"{grey.shape[0]} x {grey.shape[1]}",
        )


def _windows(values: Floats, size: int) -> Floats:
    """Mean of every window of size x size pixels that lies wholly in the image."""
    before, after = size // 2, (size - 1) // 2
    means = uniform_filter(values, size)
    return means[tuple(slice(before, length - after) for length in values.shape)]


def _of_image(value: Any, name: str, definition: str, shown: Image, *, unit: str = "") -> Metric:
    return Metric(value, name, definition, displayed_domain(shown), ("image",), unit, (shown.data.size,))
