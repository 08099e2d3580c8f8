"""All figures of an image at once: of each pair of regions, and against a reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from usbeam.errors import ConfigError, MeasurementError
from usbeam.image import Image
from usbeam.measure import roi
from usbeam.measure.contrast import cnr, cnr_eq2, contrast_db, enl, gcnr, mean_difference_db, speckle_snr
from usbeam.measure.edge import edge_width
from usbeam.measure.metric import Metric
from usbeam.measure.reference import lncc, psnr, remapped, ssim
from usbeam.measure.roi import RegionPair

Figures = Mapping[str, Metric]
"""Name -> figure; one that could not be measured is absent."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of one image.

    Parameters
    ----------
    pairs
        Name of the pair -> its figures: ``cnr``, ``control_cnr``, ``gcnr``, ``contrast_db``, ``mean_difference_db``,
        ``speckle_snr``, ``enl``, ``edge_width``, and ``cnr_eq2`` where a grey range was given.
    whole
        ``psnr``, ``ssim``, ``lncc`` where there was a reference.
    absent
        Why figures are missing: ``cyst.edge_width`` or ``psnr`` -> the reason.
    """

    pairs: Mapping[str, Figures]
    whole: Figures = field(default_factory=dict[str, Metric])
    absent: Mapping[str, str] = field(default_factory=dict[str, str])

    def mean(self, name: str) -> float | None:
        """Mean of a figure over the pairs; None unless all of them have it, so that means of images can be compared."""
        if not all(name in figures for figures in self.pairs.values()):
            return None
        return float(np.mean([figures[name].value for figures in self.pairs.values()]))


def evaluate(
    image: Image,
    pairs: Mapping[str, RegionPair],
    *,
    original: Image | None = None,
    reference: Image | None = None,
    dynamic_range: float = 60.0,
    gray_range: float | None = None,
) -> Evaluation:
    """Measure everything that there is to measure in an image.

    Parameters
    ----------
    image
        In any state; the figures of linear data are absent for an image in dB.
    pairs
        The regions, as `usbeam.measure.roi.load` gives them.
    original
        What the image was made from. The control of its CNR, ``control_cnr``, is the CNR of this original `remapped` to
        the image's histogram: what its grey levels alone would give. The image itself if not given.
    reference
        Ground truth or best available image, for ``psnr``, ``ssim`` and ``lncc``.
    dynamic_range
        Displayed range [dB] of images that are not in dB.
    gray_range
        Grey value of 0 dB, for ``cnr_eq2``.

    Raises
    ------
    MeasurementError
        If a region is empty in the image or the original, or reaches outside one of them.
    ConfigError
        If there is no pair, or `dynamic_range` or `gray_range` is not positive.

    Examples
    --------
    >>> import usbeam as ub
    >>> grid = ub.Grid.linear(x=(-10e-3, 10e-3), z=(10e-3, 30e-3), shape=(201, 201))
    >>> image = ub.Image(np.random.default_rng(0).rayleigh(size=grid.shape).astype(np.float32), grid, "envelope")
    >>> regions = ub.roi.from_truth(ub.Truth(regions={"cyst": (0.0, 20e-3, 3e-3)}))
    >>> found = ub.metrics.evaluate(image, regions)
    >>> sorted(found.pairs["cyst"])
    ['cnr', 'contrast_db', 'control_cnr', 'enl', 'gcnr', 'mean_difference_db', 'speckle_snr']
    >>> list(found.absent)  # uniform speckle
    ['cyst.edge_width']
    """
    if not pairs:
        raise ConfigError("no regions to evaluate", location="pairs")
    if not (np.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="dynamic_range", found=dynamic_range)
    if gray_range is not None and not (np.isfinite(gray_range) and gray_range > 0):
        raise ConfigError("the grey scale must be positive", location="gray_range", found=gray_range)
    source = image if original is None else original
    for each in (image, source):
        roi.check(each, pairs)
    control = remapped(source, image, dynamic_range=dynamic_range)
    absent: dict[str, str] = {}
    measured = {
        name: _measured(_of_pair(image, control, pair, dynamic_range, gray_range), absent, f"{name}.")
        for name, pair in pairs.items()
    }
    compared = {} if reference is None else _of_image(image, reference, dynamic_range)
    return Evaluation(measured, _measured(compared, absent, ""), absent)


def _of_pair(
    image: Image, control: Image, pair: RegionPair, dynamic_range: float, gray_range: float | None
) -> dict[str, Callable[[], Metric]]:
    figures: dict[str, Callable[[], Metric]] = {
        "cnr": lambda: cnr(image, pair, dynamic_range=dynamic_range),
        "control_cnr": lambda: _control_cnr(control, pair),
        "gcnr": lambda: gcnr(image, pair),
        "contrast_db": lambda: contrast_db(image, pair),
        "mean_difference_db": lambda: mean_difference_db(image, pair, dynamic_range=dynamic_range),
        "speckle_snr": lambda: speckle_snr(image, pair),
        "enl": lambda: enl(image, pair),
        "edge_width": lambda: edge_width(image, pair, dynamic_range=dynamic_range),
    }
    if gray_range is not None:
        figures["cnr_eq2"] = lambda: cnr_eq2(image, pair, gray_range=gray_range, dynamic_range=dynamic_range)
    return figures


def _control_cnr(control: Image, pair: RegionPair) -> Metric:
    definition = "CNR of the original with its grey levels mapped, in their order, to this image's histogram"
    return dataclasses.replace(cnr(control, pair), name="control_cnr", definition=definition)


def _of_image(image: Image, reference: Image, dynamic_range: float) -> dict[str, Callable[[], Metric]]:
    return {
        "psnr": lambda: psnr(image, reference, dynamic_range=dynamic_range),
        "ssim": lambda: ssim(image, reference, dynamic_range=dynamic_range),
        "lncc": lambda: lncc(image, reference, dynamic_range=dynamic_range),
    }


def _measured(figures: Mapping[str, Callable[[], Metric]], absent: dict[str, str], where: str) -> Figures:
    """The figures that can be measured; why the others cannot goes into `absent`."""
    found: dict[str, Metric] = {}
    for name, measure in figures.items():
        try:
            found[name] = measure()
        except (MeasurementError, ConfigError) as error:
            absent[where + name] = str(error)
    return found
