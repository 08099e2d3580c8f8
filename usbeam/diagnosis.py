"""How alike the speckle of two images of one frame is, for the ways in which a recording can be split in two."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from usbeam.acquisition import Acquisition
from usbeam.beamforming import subsets
from usbeam.beamforming.angular import Angular
from usbeam.beamforming.draws import LQ, Draw, by_request, by_strategy, options_of
from usbeam.beamforming.draws import pairs as make
from usbeam.beamforming.looks import Looks
from usbeam.beamforming.plan import Plan
from usbeam.beamforming.requests import default_grid
from usbeam.errors import ConfigError, GeometryError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.measure import speckle

ANGLES = (0, 45, 90, 135)
"""Of the looks [degrees]."""
N_DRAWS = 4
"""Random subsets whose correlations are averaged."""


@dataclass(frozen=True)
class Split:
    """One way to make two images of a frame.

    Parameters
    ----------
    strategy
        The strategy of `usbeam.make_pairs` that makes such pairs; empty if none does.
    lq, hq
        What the two images are made of.
    correlation
        Of their speckle; None where the recording cannot be split so.
    reason
        Why not.
    """

    strategy: str
    lq: str
    hq: str
    correlation: float | None
    reason: str = ""


def diagnose(
    acquisition: Acquisition, grid: Grid | None = None, *, frame: int = 0, seed: int = 0, **options: Any
) -> list[Split]:
    """Measure how alike the speckle of two images is, for every strategy of pairs and some splits beside.

    Parameters
    ----------
    acquisition
        The recording.
    grid
        Image points, as for `Plan`.
    frame
        Which frame.
    seed
        Of random subsets.
    **options
        Of `Plan` and of `Angular`; each takes what it knows.

    Returns
    -------
    list of Split
        Whose `correlation` is that of `usbeam.measure.speckle.correlation`.

    Raises
    ------
    ConfigError
        For an option that neither has, and what `Plan` refuses.

    Examples
    --------
    >>> import usbeam as ub
    >>> probe = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    >>> phantom = ub.simulate.phantoms.speckle(probe, x=(-3e-3, 3e-3), z=(8e-3, 12e-3))
    >>> recording = ub.simulate.record(
    ...     phantom, probe, ub.Transmits.elements(probe), sampling_frequency=20e6, depth=(8e-3, 12e-3))
    >>> splits = diagnose(recording, ub.Grid.spaced(
    ...     x=(-2e-3, 2e-3), z=(8.5e-3, 11.5e-3), spacing=(0.06e-3, 0.12e-3)))
    >>> [(each.strategy, each.lq, each.hq) for each in splits][0]
    ('paper', 'inner:2', 'all')
    """
    unknown = sorted(set(options) - options_of(Plan) - options_of(Angular))
    if unknown:
        raise ConfigError(f"no such option: {', '.join(unknown)}", location=unknown[0])
    plan, angular = ({name: options[name] for name in options if name in options_of(kind)} for kind in (Plan, Angular))
    grid = default_grid(acquisition) if grid is None else grid
    samples, everything = acquisition.frame(frame), subsets.all(acquisition)
    fired = Plan(acquisition, grid, **plan).transmit_images(samples)
    found: list[Split] = []

    def add(strategy: str, lq: str, hq: str, pairs: Callable[[], Iterable[tuple[Image, Image]]]) -> None:
        try:
            measured = [speckle.correlation(*pair) for pair in pairs()]
        except (ConfigError, GeometryError) as error:
            found.append(Split(strategy, lq, hq, None, str(error)))
        else:
            found.append(Split(strategy, lq, hq, float(np.mean(measured))))

    def drawn(subset: str, complement: bool) -> list[Draw]:
        """Some transmits against all, or against the others; random ones several times."""
        repeated = subset if subset.startswith("every") else f"{subset}@{seed}*{N_DRAWS}"
        each = by_request([repeated], "all", acquisition, ())
        return [Draw(draw.lq, everything - draw.lq if complement else everything) for draw in each]

    few, half = max(1, acquisition.n_tx // 4), max(1, acquisition.n_tx // 2)
    add("paper", LQ, "all", lambda: make(fired, by_strategy("paper", acquisition, None, ())))
    add("random", f"random:{few}", "all", lambda: make(fired, drawn(f"random:{few}", False)))
    add("", f"random:{half}", "the others", lambda: make(fired, drawn(f"random:{half}", True)))
    add("", "every:2", "the others", lambda: make(fired, drawn("every:2", True)))
    add("disjoint", "left half", "right half", lambda: make(fired, by_strategy("disjoint", acquisition, None, ())[:1]))
    add("", "fired and heard left", "right", lambda: [_two_sides(Looks(acquisition, grid, n_looks=2, **plan)(samples))])
    components = functools.cache(lambda: Angular(acquisition, grid, **angular)(samples))
    for degrees in ANGLES:
        draw = Draw(everything, everything, np.radians(degrees))
        add("looks", f"below {degrees} degrees", "above", lambda draw=draw: make(components(), [draw]))
    return found


def _two_sides(looks: Sequence[Image]) -> tuple[Image, Image]:
    left, right = looks
    return left, right
