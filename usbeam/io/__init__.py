"""The only room that touches the disk: recordings and images in HDF5, conversion, validation, safe writing."""

from __future__ import annotations

from usbeam.io.channel_data import load, save
from usbeam.io.convert import convert
from usbeam.io.findings import Finding, Importance
from usbeam.io.image_file import load_image, save_image, save_images
from usbeam.io.validate import validate

__all__ = ["Finding", "Importance", "convert", "load", "load_image", "save", "save_image", "save_images", "validate"]
