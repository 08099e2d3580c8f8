"""Networks, and what it takes to fit them. Needs the extra ``train``; nothing here is loaded with usbeam itself.

Examples
--------
>>> import usbeam as ub
>>> ub.train.Config(model="unet-light", epochs=5).learning_rate
0.001
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Config": "usbeam.train.config",
    "Run": "usbeam.train.run",
    "fit": "usbeam.train.training",
    "load_run": "usbeam.train.run",
}

if TYPE_CHECKING:
    from usbeam.train.config import Config as Config
    from usbeam.train.run import Run as Run
    from usbeam.train.run import load_run as load_run
    from usbeam.train.training import fit as fit

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'usbeam.train' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
