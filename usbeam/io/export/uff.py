"""Writing UFF channel data."""

from __future__ import annotations

import os

from usbeam.acquisition import Acquisition
from usbeam.io.atomic import check_output


def write(acquisition: Acquisition, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a recording as UFF channel data."""
    check_output(path, overwrite=overwrite)
    raise NotImplementedError(acquisition.title)
