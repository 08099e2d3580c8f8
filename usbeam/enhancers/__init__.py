"""From an image to a better image: filters, all called in one way, and the controls that keep them honest."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from usbeam import weights
from usbeam.device import asked
from usbeam.enhancers import controls, nllr, obnlm, self2self, srad, trained
from usbeam.enhancers.registry import Enhancer, Parameter, Task, Values
from usbeam.errors import ConfigError, MeasurementError
from usbeam.image import Image
from usbeam.kernels.memory import typed_errors

if TYPE_CHECKING:
    from usbeam.train.run import Run

__all__ = ["METHODS", "Enhancer", "Parameter", "check_device", "enhance", "find"]

METHODS: Mapping[str, Enhancer] = {
    each.name: each
    for each in (
        controls.identity,
        controls.gaussian,
        controls.median,
        controls.bilateral,
        controls.nlm,
        controls.wavelet,
        srad.srad,
        srad.srad_decompressed,
        srad.srad_exp,
        obnlm.obnlm,
        nllr.nllr,
        self2self.self2self,
    )
}
"""Every filter by its name."""
_log = logging.getLogger("usbeam")


def find(method: str | os.PathLike[str] | Run) -> Enhancer:
    """The enhancer that a name, a run or weights mean.

    Parameters
    ----------
    method
        As for `enhance`.

    Raises
    ------
    ConfigError
        If it is unknown. For trained networks also what `usbeam.enhancers.trained.find` raises.

    Examples
    --------
    >>> find("gaussian").domain
    'display'
    """
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]
    if isinstance(method, str) and not os.path.exists(method) and method not in weights.names():
        known = ", ".join([*METHODS, *weights.names(), "a run folder or a file of weights"])
        raise ConfigError("unknown method", location="method", expected=known, found=method)
    return trained.find(method)


def enhance(
    image: Image,
    method: str | os.PathLike[str] | Run,
    *,
    looks: Sequence[Image] = (),
    dynamic_range: float = 60.0,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    **parameters: Any,
) -> Image:
    """Enhance an image.

    Parameters
    ----------
    image
        In any state that can be brought into the method's domain: a linear method takes complex and envelope images, a
        method for displayed images takes every state. The log (``usbeam``) says what was converted.
    method
        One of `METHODS`; ``usbeam enhance --list`` shows them with their references. Or a trained network: what
        `usbeam.train.fit` gave, its folder, a file of weights, or the name of weights that come with usbeam.
    looks
        For a trained network with ``mode="quality"``: images of the same frame on the same grid, each with speckle of
        its own. `usbeam.enhance_recording` makes them.
    dynamic_range
        Displayed range [dB] of an image that is not in dB, for a method for displayed images. A trained network sees
        the range that it was trained on, whatever is displayed.
    device
        ``cpu``, ``gpu`` or ``auto``: the GPU where the method can work on one and one can be used.
    progress
        Called with the fraction done, by methods that take their time.
    **parameters
        Of the method.

    Returns
    -------
    Image
        State envelope from a linear method, dB from one for displayed images. Its settings have a new last entry in
        ``enhanced``: the method, all its parameters, and what it had to say.

    Raises
    ------
    ConfigError
        For an unknown method or parameter, a value that is not allowed, an image that is smaller than the method needs,
        an image in dB where the linear envelope is needed, looks of another grid or for a method that takes none, and
        no looks for one that needs them, or a method that works on the CPU only where the GPU is asked for.
    DeviceUnavailable, DeviceOutOfMemory
        If the GPU is asked for and cannot be used, or its memory is full; the reason is in it.
    MeasurementError
        If the image is empty, or has values that are negative or not finite.
    CheckpointError, FileAccessError
        If weights are damaged or cannot be read.

    Examples
    --------
    >>> import usbeam as ub
    >>> grid = ub.Grid.linear(x=(-10e-3, 10e-3), z=(10e-3, 30e-3), shape=(200, 200))
    >>> speckle = np.random.default_rng(0).rayleigh(size=grid.shape).astype(np.float32)
    >>> smoother = ub.enhance(ub.Image(speckle, grid, "envelope"), "gaussian", sigma=0.2e-3)
    >>> smoother.state, smoother.settings["enhanced"][-1]["method"]
    ('db', 'gaussian')
    """
    chosen = find(method)
    resolved = chosen.resolved(parameters)
    if not (np.isfinite(dynamic_range) and dynamic_range > 0):
        raise ConfigError("not a positive number of dB", location="dynamic_range", found=dynamic_range)
    _check_looks(looks, image, chosen)
    check_device(device, chosen)
    for each in (image, *looks):
        _check(each)
    known = chosen.network.dynamic_range_db if isinstance(chosen, trained.TrainedEnhancer) else 0.0
    given, *others = (_in_domain(each, chosen, max(dynamic_range, known)) for each in (image, *looks))
    level = given.dynamic_range_db or dynamic_range
    task = Task(_values(given), given.grid, level, tuple(map(_values, others)), source=image, device=device)
    if progress is not None:
        task.progress = progress
    with typed_errors():
        found = np.asarray(chosen.function(task, **resolved), np.float32)
    done = {"method": chosen.name, "parameters": resolved, "from_state": image.state, **task.notes}
    settings = {**image.settings, "enhanced": [*image.settings.get("enhanced", ()), done]}
    if given.dynamic_range_db is None:
        return dataclasses.replace(given, data=found, settings=settings)
    shown = image.dynamic_range_db or float(dynamic_range)
    level = np.maximum((np.clip(found, 0, 1) - 1) * np.float32(given.dynamic_range_db), np.float32(-shown))
    return dataclasses.replace(given, data=level, dynamic_range_db=shown, settings=settings)


def check_device(device: str, method: Enhancer) -> None:
    """Refuse what is no device, and a GPU for a method that has nothing that runs on one.

    Raises
    ------
    ConfigError
        In either case.
    """
    asked(device)
    if device == "gpu" and not method.on_gpu:
        raise ConfigError(
            f"{method.name} works on the CPU only", location="device", expected="auto or cpu", found="gpu"
        )


def _check_looks(looks: Sequence[Image], image: Image, method: Enhancer) -> None:
    if looks and not isinstance(method, trained.TrainedEnhancer):
        raise ConfigError(f"{method.name} takes the image alone", location="looks", found=f"{len(looks)} looks")
    if any(look.grid != image.grid for look in looks):
        raise ConfigError("looks of another grid", location="looks", expected="the image's", hint="beamform them on it")
    if any((look.state == "db") != (image.state == "db") for look in looks):
        raise ConfigError("looks of another state", location="looks", expected=image.state, hint="leave all complex")


def _in_domain(image: Image, method: Enhancer, dynamic_range: float) -> Image:
    """The image as the method wants it: envelope, or dB."""
    if method.domain == "envelope":
        if image.state == "db":
            raise ConfigError(
                f"{method.name} works on the linear envelope, and that of a dB image is gone",
                location="image.state",
                expected="complex or envelope",
                found="db",
                hint="enhance the image before log compression",
            )
        given = image.envelope()
    else:
        given = image if image.state == "db" else image.db(dynamic_range)
    if given is not image:
        _log.info("%s: image converted from %s to %s", method.name, image.state, given.state)
    return given


def _check(image: Image) -> None:
    """Refuse what shows nothing."""
    if not np.all(np.isfinite(image.data)):
        raise MeasurementError("the image has values that are no numbers", location="image.data")
    if image.state == "envelope" and image.data.min() < 0:
        raise MeasurementError("an envelope is not negative", location="image.data", found=f"{image.data.min():g}")
    if image.state != "db" and not image.data.any():
        raise MeasurementError("the image is empty", location="image.data", found="zero everywhere")


def _values(image: Image) -> Values:
    """An envelope as it is; dB as display values."""
    data = image.data.astype(np.float32)
    return data if image.dynamic_range_db is None else 1 + data / np.float32(image.dynamic_range_db)
