"""Groups of neighbours: which transmits and which elements a look from one side takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import ConfigError, GeometryError


def sides(acquisition: Acquisition) -> Floats:
    """``(n_tx,)``: a number for each transmit that rises with the side that it comes from, -x to +x."""
    transmits = acquisition.transmits
    kinds = set(transmits.kind)
    if kinds == {"element"}:
        return acquisition.probe.element_positions[transmits.element_index, 0]
    if kinds == {"plane"} and transmits.direction is not None:
        return -transmits.direction[:, 0]  # a wave that runs toward +x comes from -x
    if kinds == {"diverging"} and transmits.focus is not None:
        return transmits.focus[:, 0]
    raise GeometryError(
        "the transmits do not come from different sides",
        path=acquisition.path,
        location="transmit/kind",
        expected="all of kind element, all plane or all diverging",
        found=", ".join(sorted(kinds)),
        hint="one look of everything is the plain image",
    )


def checked_share(share: float | None, n_looks: int) -> float:
    """Of transmits and elements that each look takes: what the user gave, or as much as leaves none in two groups."""
    if share is not None and not 1 / n_looks - 1e-9 <= share <= 1:
        raise ConfigError(
            "not a share", location="share", expected=f"1 / n_looks = {1 / n_looks:.3g} to 1", found=share
        )
    return 1 / n_looks if share is None else share


def grouped(weights: npt.NDArray[np.float32], place: Floats, count: int, share: float) -> list[npt.NDArray[np.float32]]:
    """The weights of each of `count` groups of neighbours, from the lowest place to the highest."""
    used = np.flatnonzero(weights)
    order = used[np.argsort(place[used], kind="stable")]
    first = np.linspace(0, (1 - share) * len(order), count)
    groups: list[npt.NDArray[np.float32]] = []
    for start, stop in np.stack([first, first + share * len(order)], axis=1).round().astype(int):
        members = order[start:stop]
        group = np.zeros_like(weights)
        group[members] = weights[members]
        groups.append(group)
    return groups


def refuse_many(n_looks: int, there: dict[str, int]) -> None:
    """More looks than there are transmits or elements."""
    for name, count in there.items():
        if n_looks not in range(1, count + 1):
            raise ConfigError(
                f"cannot make {n_looks} looks of {count} {name}",
                location="n_looks",
                expected=f"1..{min(there.values())}",
                found=n_looks,
                hint="every look has transmits and elements of its own",
            )
