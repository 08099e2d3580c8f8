"""Recordings that never were: phantoms and a forward model, with their truth.

`phantoms` makes scatterers; `record` turns them into an `Acquisition`.

Examples
--------
>>> import usbeam as ub
>>> probe = ub.Probe.linear(8, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.28e-3)
>>> phantom = ub.simulate.phantoms.points(x=(-5e-3, 5e-3), z=(5e-3, 15e-3))
>>> acquisition = ub.simulate.record(
...     phantom, probe, ub.Transmits.elements(probe), sampling_frequency=20e6, depth=(5e-3, 15e-3)
... )
>>> acquisition.n_tx, acquisition.n_rx
(8, 8)
"""

from __future__ import annotations

from usbeam.simulate import phantoms
from usbeam.simulate.forward import record
from usbeam.simulate.phantoms import Phantom

__all__ = ["Phantom", "phantoms", "record"]
