"""Values as the nouns want them, or `GeometryError` with the field's name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from usbeam.errors import GeometryError

Floats = npt.NDArray[np.float64]


def finite_array(value: npt.ArrayLike, name: str, shape: tuple[int | None, ...]) -> Floats:
    """Copy to a read-only float64 array of the given shape (None: any length) with finite values."""
    array = np.array(value, dtype=np.float64)
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise GeometryError("wrong shape", location=name, expected=f"({wanted})", found=array.shape)
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        where = "" if not array.ndim else f" at index {tuple(int(i) for i in bad[0])}"
        raise GeometryError(
            f"{len(bad)} non-finite value(s), the first{where}",
            location=name,
            expected="finite numbers",
            hint="a silent element has transmit apodization 0, never a NaN delay" if "delays" in name else None,
        )
    array.flags.writeable = False
    return array


def positive(value: float, name: str) -> float:
    """A finite number above 0."""
    if not (np.isfinite(value) and value > 0):
        raise GeometryError("not a positive number", location=name, expected="a finite number > 0", found=value)
    return float(value)


def unit_vectors(value: npt.ArrayLike, name: str, rows: int) -> Floats:
    """So many finite vectors of length 1 (rows, 3)."""
    vectors = finite_array(value, name, (rows, 3))
    lengths = np.linalg.norm(vectors, axis=1)
    if np.any(np.abs(lengths - 1) > 1e-3):
        worst = int(np.argmax(np.abs(lengths - 1)))
        raise GeometryError(
            f"row {worst} is no unit vector",
            location=name,
            expected="length 1",
            found=f"{lengths[worst]:.6g}",
        )
    return vectors
