"""Zarr 3, for large sets: an array of frames that is written image by image, each in its own chunk.

A folder ``NAME.zarr`` with ``images (frame, z, x)`` and the positions ``x`` and ``z`` in metres, named as xarray
expects them; what else there is to say is in the attributes.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from usbeam.errors import FileAccessError, OutputExists, UsbeamError
from usbeam.image import Image
from usbeam.io.atomic import check_output
from usbeam.io.safe import access_error

_MARK = "zarr.json"


def write(images: Iterator[Image], folder: Path) -> None:
    """Write images in any state, on any grid; float32, or complex64.

    Parameters
    ----------
    images
        Taken one at a time.
    folder
        Empty.
    """
    import zarr

    first = next(images)
    group = zarr.create_group(folder, zarr_format=3, overwrite=True)
    group.attrs.update(_attributes(first))
    for name, axis in (("x", first.grid.x), ("z", first.grid.z)):
        positions = group.create_array(name, data=axis, dimension_names=(name,))
        positions.attrs["units"] = "m"
    dtype = np.complex64 if first.state == "complex" else np.float32
    stack = group.create_array(
        "images",
        shape=(0, *first.grid.shape),
        chunks=(1, *first.grid.shape),
        dtype=dtype,
        dimension_names=("frame", "z", "x"),
    )
    stack.append(first.data[np.newaxis].astype(dtype))
    for image in images:
        stack.append(image.data[np.newaxis].astype(dtype))


def _attributes(image: Image) -> dict[str, Any]:
    z, x = (None if np.isnan(step) else step for step in image.grid.spacing)
    return {
        "format": "usbeam-zarr 1.0",
        "axes": ["frame", "z", "x"],
        "mean_spacing_z_x_m": [z, x],
        "state": image.state,
        "dynamic_range_db": image.dynamic_range_db,
        "settings": dict(image.settings),
        "source": dict(image.source),
    }


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Generator[Path]:
    """Give a temporary folder to write to; on leaving, it becomes `path`.

    Only a folder that holds a Zarr group is replaced.

    Raises
    ------
    OutputExists, FileAccessError
        If it is there and may not be replaced, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        if not (target / _MARK).is_file():
            raise FileAccessError("is a folder that holds no Zarr group", path=path, hint="choose another name")
        if not overwrite:
            raise OutputExists("the folder exists", path=path, hint="choose another name or give --overwrite")
    elif os.path.lexists(target):
        raise FileAccessError("is a file, not a folder of Zarr", path=path, hint="choose another name")
    else:
        check_output(path)
    temporary, old = (target.with_name(f".usbeam-{secrets.token_hex(6)}.{kind}") for kind in ("tmp", "old"))
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
    except UsbeamError:
        raise
    except OSError as error:
        raise access_error(error, path) from error
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        for each in (temporary, old):
            shutil.rmtree(each, ignore_errors=True)
