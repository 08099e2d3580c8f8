"""What wave a set of firing delays makes: plane, focused, diverging, or none of these.

Scanners store the delays that they fired, and beside them, each in its own convention, angles or foci from which the
delays may have been made. The delays are what happened, so the wave is found from them alone: no angle's sign and no
focus' unit can be misread.

A spherical front of curvature k [1/m] (above 0 diverging, below 0 converging, 0 plane) that passes a point in direction
d has a longer way to a place at distance u from that point, by

    (2 d.u + k |u|^2) / (1 + |d + k u|)

The direction and the curvature are found by Gauss-Newton steps, for all transmits at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats
from usbeam.errors import GeometryError
from usbeam.probe import Probe
from usbeam.transmits import Transmits

FEWEST = 4
"""Delays of fewer elements fit a wave of any kind."""
AGREEMENT = 1 / 8
"""Largest disagreement of a wave with its delays, peak to peak, in periods of the centre frequency."""
ROUNDING = 1e-3
"""Disagreement that means nothing [periods]."""
_STEPS = 40
_NUDGE = 1e-7


def transmits_of(
    probe: Probe, delays: npt.ArrayLike, apodization: npt.ArrayLike, sound_speed: float, **others: Any
) -> Transmits:
    """Transmits that fire with these delays, of the kind that the delays make.

    Parameters
    ----------
    probe, sound_speed
        The array; speed [m/s] for which the delays were made.
    delays : (n_tx, n_elements)
        Firing times [s]; those of silent elements are not looked at.
    apodization : (n_tx, n_elements)
        Weights; 0 is silent.
    **others
        Any other field of `Transmits`.

    Returns
    -------
    Transmits
        Of kind ``element`` where one element fires; ``plane``, ``focused`` or ``diverging`` where the delays agree with
        such a wave within `AGREEMENT`; else ``custom``.

    Raises
    ------
    GeometryError
        For wrong shapes, non-finite values and silent transmits.

    Examples
    --------
    >>> probe = Probe.linear(32, 0.3e-3, 5e6)
    >>> fired = Transmits.plane(probe, [0.1], 1540.0)
    >>> transmits_of(probe, fired.delays, fired.apodization, 1540.0).kind
    ('plane',)
    """
    times = np.asarray(delays, np.float64)
    weights = np.asarray(apodization, np.float64)
    custom = Transmits(kind=("custom",) * len(np.atleast_2d(times)), delays=times, apodization=weights, **others)
    if custom.delays.shape[1] != probe.n_elements:
        raise GeometryError(
            "wrong shape",
            location="transmit/delays",
            expected=f"(n_tx, n_elements={probe.n_elements})",
            found=custom.delays.shape,
        )
    fired = custom.apodization != 0
    count = fired.sum(axis=1)
    wavelength = sound_speed / probe.center_frequency
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # delays that are no delays make no wave
        origin = fired @ probe.element_positions / count[:, None]
        places = np.where(fired[..., None], probe.element_positions - origin[:, None], 0.0)
        paths = _centered(custom.delays * sound_speed, fired)
        plane = _fit(places, paths, fired, None)
        sphere = _fit(places, paths, fired, plane)
        source = origin - sphere.direction / sphere.curvature[:, None]
        is_plane = plane.spread <= 2 * sphere.spread + ROUNDING * wavelength
        is_wave = (np.where(is_plane, plane.spread, sphere.spread) <= AGREEMENT * wavelength) & (count >= FEWEST)
    kinds = np.where(is_plane, "plane", np.where(sphere.curvature > 0, "diverging", "focused"))
    kinds = np.where(count == 1, "element", np.where(is_wave, kinds, "custom"))
    is_spherical = (kinds == "focused") | (kinds == "diverging")
    return dataclasses.replace(
        custom,
        kind=tuple(str(kind) for kind in kinds),
        direction=np.where((kinds == "plane")[:, None], plane.direction, (0.0, 0.0, 1.0)),
        focus=np.where(is_spherical[:, None], source, 0.0) if is_spherical.any() else None,
        origin=origin,
    )


@dataclass(frozen=True)
class _Front:
    """Fronts that pass the middles of the firing apertures.

    Parameters
    ----------
    direction : (n_tx, 3)
        Unit vectors.
    curvature : (n_tx,)
        [1/m].
    spread : (n_tx,)
        Disagreement with the delays, peak to peak [m].
    """

    direction: Floats
    curvature: Floats
    spread: Floats


def _fit(places: Floats, paths: Floats, fired: npt.NDArray[np.bool_], plane: _Front | None) -> _Front:
    """The fronts that fit best: plane ones, or spherical ones that start from those.

    The unknowns are the slopes d_x / d_z and d_y / d_z and, in units of the apertures' size, the curvature.
    """
    n_tx = len(paths)
    size = np.maximum(np.sqrt(np.max(np.sum(places**2, axis=2), axis=1, initial=0.0)), 1e-9)
    unknowns = np.zeros((n_tx, 2 if plane is None else 3))
    if plane is not None:
        along = np.einsum("tei,ti->te", places, plane.direction)
        bow = _centered((np.sum(places**2, axis=2) - along**2) / 2, fired)
        left = paths - _centered(along, fired)
        unknowns[:, :2] = plane.direction[:, :2] / plane.direction[:, 2:]
        unknowns[:, 2] = size * np.sum(bow * left, axis=1) / np.maximum(np.sum(bow**2, axis=1), 1e-30)

    def front(unknowns: Floats) -> tuple[Floats, Floats, Floats]:
        direction = np.concatenate([unknowns[:, :2], np.ones((n_tx, 1))], axis=1)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        curvature = unknowns[:, 2] / size if unknowns.shape[1] == 3 else np.zeros(n_tx)
        turned = np.linalg.norm(direction[:, None] + curvature[:, None, None] * places, axis=2)
        along = np.einsum("tei,ti->te", places, direction)
        longer = (2 * along + curvature[:, None] * np.sum(places**2, axis=2)) / (1 + turned)
        return direction, curvature, _centered(longer, fired)

    # A slope along an axis that the array does not span is not known from its delays.
    spanned = np.append(np.ptp(places, axis=(0, 1))[:2] > 0, True)[: unknowns.shape[1]]
    best, damping = unknowns, np.full(n_tx, 1e-6)
    _, _, model = front(best)
    error = np.sum((paths - model) ** 2, axis=1)
    for _ in range(_STEPS):
        changes = [(front(best + _NUDGE * axis)[2] - model) / _NUDGE for axis in np.eye(len(spanned))]
        changes = np.stack(changes, axis=2) * spanned  # (n_tx, n_elements, n_unknowns)
        normal = np.einsum("tei,tej->tij", changes, changes)
        diagonal = np.einsum("tii->ti", normal)
        diagonal += damping[:, None] * diagonal + 1e-15 * size[:, None] ** 2
        step = np.linalg.solve(normal, np.einsum("tei,te->ti", changes, paths - model)[..., None])[..., 0]
        trial = front(best + step)[2]
        trial_error = np.sum((paths - trial) ** 2, axis=1)
        better = trial_error < error
        best = np.where(better[:, None], best + step, best)
        model, error = np.where(better[:, None], trial, model), np.where(better, trial_error, error)
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-12, 1e3)
        if np.all(np.abs(step) < _NUDGE):
            break
    direction, curvature, model = front(best)
    left = np.where(fired, paths - model, 0.0)
    return _Front(direction, curvature, left.max(axis=1, initial=0.0) - left.min(axis=1, initial=0.0))


def _centered(values: Floats, fired: npt.NDArray[np.bool_]) -> Floats:
    """Less their mean over the firing elements; 0 where silent."""
    mean = np.sum(np.where(fired, values, 0.0), axis=1) / fired.sum(axis=1)
    return np.where(fired, values - mean[:, None], 0.0)
