"""Telling what an HDF5 file is."""

from __future__ import annotations

import h5py

from usbeam.errors import FileFormatError, MissingField
from usbeam.io import safe
from usbeam.io.read import attribute_names, read_attribute
from usbeam.io.spec import Spec, specs_by_format

# Paths by which files of other formats are known at sight.
_OTHER_FORMATS = (
    ("a BRAIN exp_data (.mat v7.3)", ("/exp_data",)),
    ("a PICMUS", ("/US/US_DATASET0000",)),
    ("a UFF (USTB)", ("/channel_data",)),
    ("a zea", ("/data/raw_data",)),
    ("a zea", ("/tracks/track_0/data/raw_data",)),
    ("a Verasonics (.mat v7.3)", ("/RcvData", "/Receive")),
)


def find_spec(file: h5py.File) -> Spec:
    """The contract that a file says it follows.

    Raises
    ------
    MissingField, FileFormatError
        If it says none, or one that usbeam does not know; the hint names the format that it looks like.
    """
    known = specs_by_format()
    name = read_attribute(file, "format") if "format" in attribute_names(file) else None
    if isinstance(name, str) and name in known:
        return known[name]
    if name is None and "samples" in file:
        return known["usbeam-channel-data"]  # its reader reports the missing name with all else that is missing
    paths = {location for location, _ in safe.walk(file)}
    like = next((label for label, marks in _OTHER_FORMATS if paths.issuperset(marks)), None)
    hint = "`usbeam convert` makes a recording of other formats, if need be with a mapping file"
    raise (MissingField if name is None else FileFormatError)(
        "not a usbeam file" + (f"; it looks like {like} file" if like else ""),
        path=file.filename,
        location="/:format",
        expected=" or ".join(known),
        found="no such attribute" if name is None else repr(name),
        hint=hint,
    )
