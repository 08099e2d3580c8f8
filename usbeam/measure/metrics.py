"""Figures of merit of images, each with its definition, domain and regions: what ``ub.metrics`` offers.

All means and variances are those of the pixels themselves (divided by n), in float64. Every function returns a
`Metric`. Figures of linear data refuse images in dB (`ConfigError`); what an image and its regions do not have is a
`MeasurementError`: no pixel in a region, a region outside the image, no variance.

Examples
--------
>>> import numpy as np
>>> import usbeam as ub
>>> grid = ub.Grid.linear(x=(-10e-3, 10e-3), z=(10e-3, 30e-3), shape=(201, 201))
>>> cyst = ub.roi.RegionPair("cyst", ub.roi.Circle(0.0, 20e-3, 3e-3), ub.roi.Annulus(0.0, 20e-3, 4e-3, 5e-3))
>>> speckle = np.random.default_rng(0).rayleigh(size=grid.shape)
>>> speckle[cyst.inside.inside(grid)] /= 4
>>> image = ub.Image(speckle.astype(np.float32), grid, "envelope")
>>> round(float(ub.metrics.contrast_db(image, cyst)))
-12
"""

from __future__ import annotations

from usbeam.measure.contrast import cnr, cnr_eq2, contrast_db, enl, gcnr, mean_difference_db, speckle_snr
from usbeam.measure.edge import edge_width
from usbeam.measure.evaluation import Evaluation, evaluate
from usbeam.measure.metric import Metric
from usbeam.measure.reference import lncc, psnr, remapped, ssim

__all__ = [
    "Evaluation",
    "Metric",
    "cnr",
    "cnr_eq2",
    "contrast_db",
    "edge_width",
    "enl",
    "evaluate",
    "gcnr",
    "lncc",
    "mean_difference_db",
    "psnr",
    "remapped",
    "speckle_snr",
    "ssim",
]
