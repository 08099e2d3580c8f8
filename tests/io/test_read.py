"""Numbers and text as other programs store them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from usbeam.errors import BadField, TooLarge
from usbeam.io.read import read_attribute, read_dataset, read_scalar, read_text
from usbeam.io.safe import safe_open


def test_read_scalar() -> None:
    assert read_scalar(np.array([[40e6]])) == 40e6
    assert read_scalar(np.array([7], np.uint8)) == 7.0
    for wrong in (np.zeros(2), np.zeros(0), "40e6", np.array(1j), np.array(b"1")):
        with pytest.raises(BadField):
            read_scalar(wrong)


def test_read_text() -> None:
    assert read_text(b"plane\0\0") == read_text("plane") == "plane"
    for wrong in (b"\xff\xfe", 3, None):
        with pytest.raises(BadField):
            read_text(wrong)


def test_read_dataset(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["big"] = np.arange(3, dtype=">f8")
        file["words"] = ["plane", "Übertragung"]
        file["fixed"] = np.array([b"a", b"bc"])
        file["word"] = "alone"
    with safe_open(path) as file:
        values = read_dataset(file["big"])
        assert values.dtype.isnative
        assert values.tolist() == [0, 1, 2]
        assert read_dataset(file["words"]) == ("plane", "Übertragung")
        assert read_dataset(file["fixed"]) == ("a", "bc")
        assert read_dataset(file["word"]) == "alone"
        with pytest.raises(TooLarge, match="reading this takes"):
            read_dataset(file["big"], max_gb=20e-9)


def test_read_attribute(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"text": "Ü", "fixed": np.bytes_("Ü".encode()), "number": 3.5})
        file.attrs["reference"] = file.ref
    with safe_open(path) as file:
        assert read_attribute(file, "text") == read_attribute(file, "fixed") == "Ü"
        assert read_attribute(file, "number") == 3.5
        with pytest.raises(BadField, match="neither a number nor text"):
            read_attribute(file, "reference")
