"""A trained network, ready for images: levels in dB go in and come out, whatever its domain and its runtime."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.errors import CheckpointError, MeasurementError
from usbeam.io.safe import access_error
from usbeam.train import weights
from usbeam.train.data import SCALE_DB, fed
from usbeam.train.networks import Network
from usbeam.train.runtimes import OTHERS, SHA256, Runner, refuse_missing, runner

Levels = npt.NDArray[np.float64]
DOMAINS = ("display", "median")
_NOTHING: dict[tuple[str, str], Runner] = {}


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with its weights, and what it was trained on.

    Parameters
    ----------
    network
        On the CPU.
    domain
        What it is fed; see `usbeam.train.data.fed`.
    dynamic_range_db
        Of the images that it was trained on.
    spacing : (z, x), optional
        Of their pixels [m].
    cell : (z, x), optional
        Size of their speckle, in pixels.
    path, sha256
        File and checksum of the weights.
    """

    network: Network
    domain: str
    dynamic_range_db: float
    spacing: tuple[float, float] | None
    cell: tuple[float, float] | None
    path: Path
    sha256: str
    _runners: dict[tuple[str, str], Runner] = field(default_factory=_NOTHING.copy, repr=False)

    @property
    def model(self) -> str:
        """The name of the network."""
        return self.network.architecture.name

    @property
    def smallest(self) -> int:
        """Side [pixels] of the smallest image that it takes."""
        return self.network.architecture.block + 1

    def enhanced(self, level_db: npt.NDArray[np.floating[Any]], runtime: str = "torch", device: str = "cpu") -> Levels:
        """Enhance an image, once as it is and once flipped left to right.

        Parameters
        ----------
        level_db : (n_z, n_x)
            Re the image's maximum.
        runtime
            One of `usbeam.train.runtimes.RUNTIMES`.
        device
            ``cpu`` or ``gpu``, as `usbeam.train.gpu.resolve` says it for the runtime.

        Returns
        -------
        array : (n_z, n_x)
            In dB re the median of what was given, which is the same for all looks at one thing.

        Raises
        ------
        ConfigError
            If the image is smaller than `smallest`, or the runtime is not there.
        MeasurementError
            If the network makes values of it that are no numbers.
        DeviceUnavailable, DeviceOutOfMemory
            If the GPU cannot be used, or the image is too large for it.
        """
        where = runtime, device
        if where not in self._runners:
            refuse_missing(runtime)
            model = self._exported() if runtime in OTHERS else None
            self._runners[where] = runner(self.network, runtime, model, device)
        run = self._runners[where]
        values = np.clip(1 + np.asarray(level_db, np.float64) / self.dynamic_range_db, 0, 1)
        given = fed(values, self.dynamic_range_db, self.domain)
        straight, flipped = (run(np.ascontiguousarray(each)) for each in (given, given[:, ::-1]))
        found = (straight.astype(np.float64) + flipped[:, ::-1]) / 2
        if not np.all(np.isfinite(found)):
            raise MeasurementError(
                "the network makes values that are no numbers of this image",
                path=self.path,
                location=self.model,
                hint="train it anew; its weights may be too large",
            )
        if self.domain == "median":
            return SCALE_DB * found
        return self.dynamic_range_db * (found - np.median(values))

    def _exported(self) -> bytes | None:
        """The ONNX model beside the weights, if it was made of them."""
        file = self.path.with_suffix(".onnx")
        if not file.is_file():
            return None
        import onnx
        from google.protobuf.message import DecodeError

        try:
            content = file.read_bytes()
            facts = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
        except (OSError, DecodeError):
            return None
        return content if facts.get(SHA256) == self.sha256 else None


def load(path: str | os.PathLike[str]) -> Trained:
    """Read weights, with what must be known of them.

    Raises
    ------
    CheckpointError
        If they are damaged, or their facts do not say what the network is to be fed.
    FileAccessError
        If they cannot be read.
    """
    network, facts = weights.load(path)
    try:
        sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise access_error(error, path) from error
    domain = facts.get("domain")
    if domain not in DOMAINS:
        raise _missing(path, "domain", " or ".join(DOMAINS), facts)
    if not _positive(facts.get("dynamic_range_db")):
        raise _missing(path, "dynamic_range_db", "a positive number of dB", facts)
    spacing, size = (_lengths(path, name, facts) for name in ("spacing", "speckle_cell"))
    cell = None if spacing is None or size is None else (size[0] / spacing[0], size[1] / spacing[1])
    return Trained(network, str(domain), float(facts["dynamic_range_db"]), spacing, cell, Path(path), sha256)


def _lengths(path: str | os.PathLike[str], name: str, facts: Mapping[str, Any]) -> tuple[float, float] | None:
    """In depth and across, where they are known."""
    found = facts.get(name)
    if found is None:
        return None
    if not (isinstance(found, list) and len(found) == 2 and all(map(_positive, found))):
        raise _missing(path, name, "two lengths in metres, or none", facts)
    return float(found[0]), float(found[1])


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


def _missing(path: str | os.PathLike[str], name: str, expected: str, facts: Mapping[str, Any]) -> CheckpointError:
    return CheckpointError(
        "the weights do not say what the network is to be fed",
        path=path,
        location=f"facts.{name}",
        expected=expected,
        found=repr(facts.get(name))[:60],
        hint="take those of a folder that `usbeam train` made",
    )
