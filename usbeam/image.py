"""An image that knows what it is: complex, envelope or dB, on which grid, and how it was made."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from usbeam.errors import ConfigError
from usbeam.grid import Grid

State = Literal["complex", "envelope", "db"]


@dataclass(frozen=True, eq=False)
class Image:
    """Values on a `Grid`.

    Parameters
    ----------
    data : (n_z, n_x)
        complex64 for state complex; float32 otherwise.
    grid
        Where the values lie.
    state
        complex (analytic), envelope (linear magnitude) or db (20 log10 of the envelope over its reference).
    dynamic_range_db : float, optional
        For state db: the floor is minus this.
    settings
        How the image was made: every resolved choice, in plain types.
    source
        Where the samples came from: file name and sha256 of its samples.

    Raises
    ------
    ConfigError
        If data, grid and state do not fit.
    """

    data: npt.NDArray[Any]
    grid: Grid
    state: State = "complex"
    dynamic_range_db: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.state not in ("complex", "envelope", "db"):
            raise ConfigError(
                "unknown image state",
                location="image.state",
                expected="complex, envelope or db",
                found=self.state,
            )
        if self.data.shape != self.grid.shape:
            raise ConfigError(
                "data and grid differ", location="image.data", expected=self.grid.shape, found=self.data.shape
            )
        if np.iscomplexobj(self.data) != (self.state == "complex"):
            raise ConfigError(f"{self.data.dtype} values in an image of state {self.state}", location="image.data")
        if (self.dynamic_range_db is None) == (self.state == "db"):
            raise ConfigError("a dB image, and only a dB image, has a dynamic range", location="image.dynamic_range_db")

    def envelope(self) -> Image:
        """Magnitude of a complex image; an envelope is returned as it is.

        Raises
        ------
        ConfigError
            For a dB image: the linear scale is gone.
        """
        if self.state == "db":
            raise ConfigError(
                "a dB image has no linear envelope any more",
                location="image.state",
                hint="keep the complex image and derive both",
            )
        if self.state == "envelope":
            return self
        return dataclasses.replace(self, data=np.abs(self.data), state="envelope")

    def db(self, dynamic_range: float = 60.0, *, reference: float | None = None) -> Image:
        """Log compression: 20 log10(envelope / reference), clipped to [-dynamic_range, 0] below the reference.

        Parameters
        ----------
        dynamic_range
            Displayed range [dB], > 0.
        reference
            Envelope value at 0 dB; the image's maximum if not given. An all-zero image is at the floor everywhere.

        Raises
        ------
        ConfigError
            For a dynamic range or reference that is not positive, or an image that is in dB already.
        """
        if not (np.isfinite(dynamic_range) and dynamic_range > 0):
            raise ConfigError(
                "dynamic range must be a positive number of dB", location="dynamic_range", found=dynamic_range
            )
        envelope = self.envelope().data
        peak = float(envelope.max()) if reference is None else reference
        if reference is not None and not (np.isfinite(reference) and reference > 0):
            raise ConfigError("the 0 dB reference must be positive", location="reference", found=reference)
        floor = 10 ** (-dynamic_range / 20)
        ratio = envelope / np.float32(peak) if peak > 0 else np.zeros_like(envelope)
        data = np.clip(20 * np.log10(np.clip(ratio, floor, 1.0)), -dynamic_range, 0).astype(np.float32)
        return dataclasses.replace(self, data=data, state="db", dynamic_range_db=float(dynamic_range))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, **options: Any) -> None:
        """Write by the file's ending.

        ``.h5`` (lossless), ``.png`` (bare 8-bit pixels with their spacing), ``.tif``, ``.dcm``, ``.nii``, ``.nii.gz``
        or ``.zarr``; each with its options (`usbeam.io.save_image`).

        Raises
        ------
        OutputExists
            If the file is there and `overwrite` is false.
        """
        from usbeam import io

        io.save_image(self, path, overwrite=overwrite, **options)
