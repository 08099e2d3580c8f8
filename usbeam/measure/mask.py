"""Regions that are marked pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from usbeam.checks import Floats
from usbeam.errors import ConfigError, MeasurementError
from usbeam.grid import Grid

NON_UNIFORM = 1e-3
"""Relative deviation of a grid's step above which a mask has no distances."""

Pixels = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Mask:
    """Pixels marked one by one, for images of just as many pixels.

    Parameters
    ----------
    pixels : (n_z, n_x) bool
        True inside.
    file
        Name of the PNG that holds it, relative to the regions' TOML file and not above its folder.

    Raises
    ------
    ConfigError
        If no pixel is marked, or the name leads out of the folder.
    """

    pixels: Pixels
    file: str

    def __post_init__(self) -> None:
        pixels = np.array(self.pixels, bool)
        if pixels.ndim != 2 or not pixels.any():
            raise ConfigError("the mask marks no pixel", location="file", hint="white is inside, black outside")
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)
        check_mask_name(self.file)

    def signed_distance(self, grid: Grid) -> Floats:
        """Distance of every pixel's centre from the border between marked and other pixels (n_z, n_x) [m].

        The border runs along the pixels' edges; the rim of the image is none. Negative inside; infinite where there is
        no border.

        Raises
        ------
        ConfigError
            For a grid with other pixels, or steps that differ.
        """
        inside = self.inside(grid)
        for name, axis in (("z", grid.z), ("x", grid.x)):
            steps = np.diff(axis)
            if not len(steps) or np.ptp(steps) > NON_UNIFORM * steps.mean():
                raise ConfigError("distances from a mask's border need equal steps", location=f"grid.{name}")
        if inside.all():
            return np.full(grid.shape, -np.inf)
        # Between the pixels' centres lie the middles of their edges and their corners. The point of the border that is
        # nearest to a centre is always one of these, so that the distance to them is exact.
        fine = np.repeat(np.repeat(inside, 2, axis=0), 2, axis=1)
        same = fine[:-1, :-1] & fine[1:, :-1] & fine[:-1, 1:] & fine[1:, 1:]
        none = ~(fine[:-1, :-1] | fine[1:, :-1] | fine[:-1, 1:] | fine[1:, 1:])
        away = ndimage.distance_transform_edt(same | none, sampling=[step / 2 for step in grid.spacing])
        distance = np.asarray(away)[::2, ::2]
        return np.where(inside, -distance, distance)

    def inside(self, grid: Grid) -> Pixels:
        """Which pixels belong to the shape (n_z, n_x).

        Raises
        ------
        MeasurementError
            For a grid of other shape.
        """
        if grid.shape != self.pixels.shape:
            raise MeasurementError(
                f"the mask {self.file} was made for another image",
                expected=f"{self.pixels.shape[0]} x {self.pixels.shape[1]} pixels",
                found=f"{grid.shape[0]} x {grid.shape[1]}",
            )
        return self.pixels


def check_mask_name(file: str) -> str:
    """A name that leads nowhere but to a PNG beside the regions or below: the file of regions may come from anyone.

    Raises
    ------
    ConfigError
        For any other name.
    """
    name = PurePosixPath(file)
    # A colon or backslash may start another drive or folder on Windows.
    if name.suffix.lower() != ".png" or name.is_absolute() or ".." in name.parts or set(file) & set("\\:\0"):
        raise ConfigError(
            "not the name of a mask's file",
            location="file",
            expected="the name of a .png beside the TOML file, or in a folder below it",
            found=file,
        )
    return file
