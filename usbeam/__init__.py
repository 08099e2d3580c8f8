"""usbeam: from raw ultrasound channel data to images, with any subset of transmitters.

Everything a user needs is reached from here; names load their modules when first used, so that ``import usbeam``
costs little.

Examples
--------
>>> import usbeam as ub
>>> ub.Grid.linear(x=(-20e-3, 20e-3), z=(5e-3, 45e-3), shape=(620, 256)).size
158720
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Acquisition": "usbeam.acquisition",
    "Probe": "usbeam.probe",
    "Transmits": "usbeam.transmits",
    "Truth": "usbeam.acquisition",
    "Grid": "usbeam.grid",
    "Image": "usbeam.image",
    "UsbeamError": "usbeam.errors",
    "Plan": "usbeam.beamforming.plan",
    "beamform": "usbeam.beamforming.plan",
    "Angular": "usbeam.beamforming.angular",
    "Looks": "usbeam.beamforming.looks",
    "ObliqueLooks": "usbeam.beamforming.looks",
    "compound": "usbeam.beamforming.looks",
    "load": "usbeam.io",
    "load_image": "usbeam.io",
    "load_pairs": "usbeam.io.pairs_file",
    "make_pairs": "usbeam.pairs",
    "adapt": "usbeam.adaptation",
    "diagnose": "usbeam.diagnosis",
    "open_variables": "usbeam.io.convert.matlab",
    "save": "usbeam.io",
    "save_images": "usbeam.io",
    "convert": "usbeam.io.convert",
    "validate": "usbeam.io",
    "simulate": "usbeam.simulate",
    "enhance": "usbeam.enhancers",
    "enhance_recording": "usbeam.recordings",
    "compare": "usbeam.comparison",
    "subsets": "usbeam.beamforming",
    "metrics": "usbeam.measure",
    "psf": "usbeam.measure",
    "roi": "usbeam.measure",
    "train": "usbeam.train",
    "plot": "usbeam.show",
}
_MODULES = frozenset({"metrics", "plot", "psf", "roi", "simulate", "subsets", "train"})

if TYPE_CHECKING:
    from usbeam import simulate as simulate
    from usbeam import train as train
    from usbeam.acquisition import Acquisition as Acquisition
    from usbeam.acquisition import Truth as Truth
    from usbeam.adaptation import adapt as adapt
    from usbeam.beamforming import subsets as subsets
    from usbeam.beamforming.angular import Angular as Angular
    from usbeam.beamforming.looks import Looks as Looks
    from usbeam.beamforming.looks import ObliqueLooks as ObliqueLooks
    from usbeam.beamforming.looks import compound as compound
    from usbeam.beamforming.plan import Plan as Plan
    from usbeam.beamforming.plan import beamform as beamform
    from usbeam.comparison import compare as compare
    from usbeam.diagnosis import diagnose as diagnose
    from usbeam.enhancers import enhance as enhance
    from usbeam.errors import UsbeamError as UsbeamError
    from usbeam.grid import Grid as Grid
    from usbeam.image import Image as Image
    from usbeam.io import load as load
    from usbeam.io import load_image as load_image
    from usbeam.io import save as save
    from usbeam.io import save_images as save_images
    from usbeam.io import validate as validate
    from usbeam.io.convert import convert as convert
    from usbeam.io.convert.matlab import open_variables as open_variables
    from usbeam.io.pairs_file import load_pairs as load_pairs
    from usbeam.measure import metrics as metrics
    from usbeam.measure import psf as psf
    from usbeam.measure import roi as roi
    from usbeam.pairs import make_pairs as make_pairs
    from usbeam.probe import Probe as Probe
    from usbeam.recordings import enhance_recording as enhance_recording
    from usbeam.show import plot as plot
    from usbeam.transmits import Transmits as Transmits

__all__ = ["__version__", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'usbeam' has no attribute {name!r}")
    if name in _MODULES:
        return importlib.import_module(home if home.endswith(name) else f"{home}.{name}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
