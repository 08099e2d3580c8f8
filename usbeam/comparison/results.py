"""What came of one method in one setting on one image, kept on disk so that an interrupted comparison goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usbeam.errors import UsbeamError
from usbeam.image import Image
from usbeam.io.atomic import atomic_write
from usbeam.io.image_file import load_image
from usbeam.measure.metrics import Evaluation
from usbeam.measure.roi import RegionPair
from usbeam.measure.shapes import Mask


@dataclass(frozen=True)
class Result:
    """The figures of one enhanced image.

    Parameters
    ----------
    seconds
        That the method took.
    compiled
        Whether these may include the compilation of the method.
    pairs
        Pair of regions -> name of the figure -> its value in SI units or dB.
    whole
        Figures against the reference.
    absent
        Why figures are missing, as in `usbeam.metrics.Evaluation`.
    definitions
        Figure -> its definition, domain and unit.
    notes
        What the method had to say.
    """

    seconds: float
    compiled: bool
    pairs: Mapping[str, Mapping[str, float]]
    whole: Mapping[str, float]
    absent: Mapping[str, str]
    definitions: Mapping[str, Mapping[str, str]]
    notes: Mapping[str, Any]

    @classmethod
    def of(cls, found: Evaluation, *, seconds: float, compiled: bool, notes: Mapping[str, Any]) -> Result:
        """The result in plain types. A figure that is infinite, as PSNR of equal images is, counts as absent."""
        absent = dict(found.absent)
        absent |= {name: "infinite" for name, metric in found.whole.items() if not math.isfinite(metric.value)}
        metrics = [metric for figures in (*found.pairs.values(), found.whole) for metric in figures.values()]
        return cls(
            seconds,
            compiled,
            {pair: {name: metric.value for name, metric in figures.items()} for pair, figures in found.pairs.items()},
            {name: metric.value for name, metric in found.whole.items() if name not in absent},
            absent,
            {each.name: {"definition": each.definition, "domain": each.domain, "unit": each.unit} for each in metrics},
            notes,
        )


class Store:
    """A folder with one JSON file for each result, and the enhanced images that are to be shown.

    Files are named by a checksum of all that the result depends on, so that a result is never taken for another.

    Parameters
    ----------
    folder
        Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def result(self, key: str) -> Result | None:
        """A kept result; None if there is none, or its file is damaged."""
        try:
            return Result(**json.loads((self.folder / f"{key}.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def image(self, key: str) -> Image | None:
        """A kept image; None if there is none, or its file is damaged."""
        try:
            return load_image(self.folder / f"{key}.h5")
        except UsbeamError:
            return None

    def keep(self, key: str, result: Result, image: Image | None) -> None:
        """Write a result, whole or not at all, and before it its image."""
        if image is not None:
            image.save(self.folder / f"{key}.h5", overwrite=True)
        with atomic_write(self.folder / f"{key}.json", overwrite=True) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(result), default=float), encoding="utf-8")


def fingerprint(image: Image) -> str:
    """A checksum of what an image shows: values, places, state."""
    found = hashlib.sha256(f"{image.state} {image.dynamic_range_db} {image.data.dtype} {image.grid.shape}".encode())
    for values in (image.grid.z, image.grid.x, image.data):
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def regions_fingerprint(pairs: Mapping[str, RegionPair]) -> str:
    """A checksum of regions."""
    found = hashlib.sha256()
    for pair in pairs.values():
        found.update(repr(pair).encode())
        for shape in (pair.inside, pair.outside):
            if isinstance(shape, Mask):  # of which the text shows only the corners
                found.update(shape.pixels.tobytes())
    return found.hexdigest()


def key(*facts: object) -> str:
    """A checksum of plain facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
