"""Images as the whole numbers that pictures hold: black at minus the dynamic range, white at 0 dB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from usbeam.errors import ConfigError
from usbeam.image import Image


def levels(image: Image, dtype: npt.DTypeLike) -> npt.NDArray[np.unsignedinteger]:
    """A dB image as grey levels, rounded.

    Parameters
    ----------
    image
        In dB.
    dtype
        ``uint8`` or ``uint16``; its largest number is white.

    Raises
    ------
    ConfigError
        For an image that is not in dB.

    Examples
    --------
    >>> from usbeam.grid import Grid
    >>> data = np.array([[-60.0, -30.0, 0.0]], np.float32)
    >>> levels(Image(data, Grid([0, 1e-3, 2e-3], [1e-3]), "db", 60.0), "uint8")
    array([[  0, 128, 255]], dtype=uint8)
    """
    if image.dynamic_range_db is None:
        raise ConfigError(
            f"grey levels cannot show an image of state {image.state}",
            location="image.state",
            expected="db",
            hint="image.envelope().db(60).save(...)",
        )
    white = np.iinfo(dtype).max
    return np.rint(white * (1 + np.clip(image.data / image.dynamic_range_db, -1, 0))).astype(dtype)
