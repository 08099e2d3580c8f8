"""Checks on where things are and what was fired: elements, transmits, receivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from usbeam.acquisition import ABSENT
from usbeam.io.checks.registry import ERROR, HINT, WARNING, Problem, check
from usbeam.io.structure import Contents


@check(ERROR, "/probe/element_positions")
def positions_in_metres(header: Contents) -> Iterator[Problem]:
    """No probe reaches beyond a metre or fits into a micrometre."""
    positions = header.values["/probe/element_positions"]
    reach, size = np.abs(positions).max(), np.ptp(positions, axis=0).max()
    hint = "in metres: not in millimetres or wavelengths"
    if reach > 1:
        yield Problem("an element beyond one metre", expected="at most 1 m", found=f"{reach:g}", hint=hint)
    elif 0 < size < 1e-6:
        yield Problem("the whole array is below a micrometre", expected="metres", found=f"{size:g}", hint=hint)


@check(ERROR, "/probe/element_positions")
def elements_lie_apart(header: Contents) -> Iterator[Problem]:
    """No two elements share a place."""
    positions = header.values["/probe/element_positions"]
    _, first, count = np.unique(positions, axis=0, return_index=True, return_counts=True)
    for index in np.sort(first[count > 1])[:1]:
        twin = np.flatnonzero((positions == positions[index]).all(axis=1))[1]
        yield Problem(f"elements {index} and {twin} at the same place", hint="give every element its own position")


@check(WARNING, "/probe/element_positions")
def more_than_one_element(header: Contents) -> Iterator[Problem]:
    """One element cannot focus."""
    if header.dimensions["n_elements"] == 1:
        yield Problem("a probe of one element: there is nothing to focus")


@check(HINT, "/probe/element_positions")
def array_is_centred(header: Contents) -> Iterator[Problem]:
    """The origin is the array's centre."""
    x = header.values["/probe/element_positions"][:, 0]
    if abs(x.min() + x.max()) / 2 > 0.1 * np.ptp(x) > 0:
        yield Problem(
            "the array is not centred on the origin",
            expected="centre at x = 0",
            found=f"{(x.min() + x.max()) / 2:g} m",
        )


@check(HINT, "/probe/element_positions", "/probe/center_frequency", "/sound_speed")
def pitch_and_wavelength(header: Contents) -> Iterator[Problem]:
    """A pitch above one wavelength gives grating lobes at every steering angle."""
    positions = header.values["/probe/element_positions"]
    wavelength = header.values["/sound_speed"] / header.values["/probe/center_frequency"]
    pitch = np.linalg.norm(np.diff(positions, axis=0), axis=1).min(initial=np.inf)
    if np.isfinite(pitch) and pitch > 1.1 * wavelength:
        yield Problem(
            "neighbouring elements are more than one wavelength apart: expect grating lobes",
            expected=f"at most {wavelength:.3g} m",
            found=f"{pitch:.3g} m",
        )


@check(ERROR, "/probe/element_normals")
def normals_are_unit_vectors(header: Contents) -> Iterator[Problem]:
    """Every normal has length 1."""
    yield from _not_unit(header.values["/probe/element_normals"])


@check(ERROR, "/transmit/direction", "/transmit/kind")
def plane_directions_are_unit_vectors(header: Contents) -> Iterator[Problem]:
    """Directions of plane waves have length 1; other rows are not used."""
    plane = [kind == "plane" for kind in header.values["/transmit/kind"]]
    yield from _not_unit(header.values["/transmit/direction"], plane)


def _not_unit(vectors: Any, used: list[bool] | None = None) -> Iterator[Problem]:
    lengths = np.linalg.norm(vectors, axis=1)
    wrong = np.abs(lengths - 1) > 1e-3
    for row in np.flatnonzero(wrong if used is None else wrong & used)[:1]:
        yield Problem(
            f"row {row} is no unit vector",
            expected="length 1",
            found=f"{lengths[row]:.6g}",
            hint="(sin a, 0, cos a) for an angle a from +z toward +x, in radians",
        )


@check(
    WARNING,
    "/transmit/direction",
    "/transmit/kind",
    "/transmit/delays",
    "/transmit/apodization",
    "/probe/element_positions",
)
def delays_steer_as_directed(header: Contents) -> Iterator[Problem]:
    """A plane wave travels toward the elements that fire last."""
    against: list[int] = []
    for row, kind in enumerate(header.values["/transmit/kind"]):
        fired = header.values["/transmit/apodization"][row] != 0
        if kind != "plane" or not fired.any():
            continue
        path = header.values["/probe/element_positions"][fired] @ header.values["/transmit/direction"][row]
        delays = header.values["/transmit/delays"][row][fired]
        path, delays = path - path.mean(), delays - delays.mean()
        # Steering below a micrometre over the array is rounding.
        if np.ptp(path) > 1e-6 and path @ delays < -0.5 * np.linalg.norm(path) * np.linalg.norm(delays):
            against.append(row)
    if against:
        yield Problem(
            f"{len(against)} plane wave(s) are steered against their direction, the first is transmit {against[0]}",
            hint="the sign of the angle or of the delays is wrong: the element that fires last is the one ahead",
        )


@check(WARNING, "/transmit/focus", "/transmit/kind")
def focus_lies_on_its_side(header: Contents) -> Iterator[Problem]:
    """A focus lies in front of the array, a virtual source behind it."""
    depth = header.values["/transmit/focus"][:, 2]
    for row, (kind, z) in enumerate(zip(header.values["/transmit/kind"], depth, strict=True)):
        if (kind == "focused" and z <= 0) or (kind == "diverging" and z > 0):
            yield Problem(
                f"the {kind} transmit {row} has its focus at z = {z:g} m",
                expected="z > 0 for focused, z < 0 for diverging",
            )
            return


@check(ERROR, "/transmit/apodization", "/transmit/kind")
def transmits_fire(header: Contents) -> Iterator[Problem]:
    """Something fires in every transmit; exactly one element where the kind says so."""
    fired = np.count_nonzero(header.values["/transmit/apodization"], axis=1)
    for row, (kind, count) in enumerate(zip(header.values["/transmit/kind"], fired, strict=True)):
        if not count:
            yield Problem(f"no element fires in transmit {row}", expected="a non-zero weight")
        elif kind == "element" and count != 1:
            yield Problem(
                f"transmit {row} of kind element fires {count} elements",
                expected="exactly one non-zero weight",
                hint="use kind diverging, focused or custom for several elements",
            )
        else:
            continue
        return


@check(HINT, "/transmit/apodization", "/transmit/kind")
def elements_fire_in_order(header: Contents) -> Iterator[Problem]:
    """Synthetic aperture usually fires each element once, in order."""
    if set(header.values["/transmit/kind"]) != {"element"}:
        return
    fired = np.argmax(header.values["/transmit/apodization"] != 0, axis=1)
    if len(np.unique(fired)) < len(fired):
        yield Problem("an element fires in more than one transmit of a frame")
    elif np.any(np.diff(fired) < 0):
        yield Problem("elements do not fire in order", hint="check that transmits and samples are in the same order")


@check(ERROR, "/receive/element_index", "/probe/element_positions")
def receivers_exist(header: Contents) -> Iterator[Problem]:
    """Every receive slot names an element of the probe, and no element twice in a transmit."""
    index, n_elements = header.values["/receive/element_index"], header.dimensions["n_elements"]
    if index.max() >= n_elements:
        yield Problem(
            "element out of range",
            expected=f"{ABSENT} (absent) or 0 to {n_elements - 1}",
            found=str(index.max()),
            hint="0-based: MATLAB counts from 1",
        )
    for row, elements in enumerate(np.atleast_2d(index)):
        used = elements[elements != ABSENT]
        if len(np.unique(used)) < len(used):
            yield Problem(f"an element appears twice in row {row}")
            return


@check(ERROR, "/samples:dtype", "/probe/element_positions")
def receivers_are_named(header: Contents) -> Iterator[Problem]:
    """Without an index, slot n is element n."""
    n_rx, n_elements = header.dimensions["n_rx"], header.dimensions["n_elements"]
    if "/receive/element_index" not in header.values and n_rx != n_elements:
        yield Problem(
            "the file does not say which elements received",
            expected=f"an element for each slot, or n_rx = n_elements = {n_elements}",
            found=f"n_rx = {n_rx}",
            location="/receive/element_index",
        )


@check(ERROR, "/transmit/waveform_index")
def waveforms_exist(header: Contents) -> Iterator[Problem]:
    """Every transmit's waveform is stored."""
    highest, count = header.values["/transmit/waveform_index"].max(), header.dimensions.get("n_waveforms", 0)
    if highest >= count:
        yield Problem("waveform out of range", expected=f"below {count}", found=str(highest))
