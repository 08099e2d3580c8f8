"""The only room that touches the disk: recordings and images in HDF5, conversion, validation, safe writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usbeam.io.channel_data import load, save
from usbeam.io.image_file import load_image, save_image

if TYPE_CHECKING:
    from usbeam.io.convert import convert

__all__ = ["convert", "load", "load_image", "save", "save_image"]


def __getattr__(name: str) -> Any:
    if name == "convert":  # the importers are loaded only when one is asked for
        from usbeam.io.convert import convert

        return convert
    raise AttributeError(f"module 'usbeam.io' has no attribute {name!r}")
