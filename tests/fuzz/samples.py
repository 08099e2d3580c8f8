"""A tiny valid file of every format that usbeam reads, and what reading it means. A new format joins `SAMPLES`."""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.io.matlab_files import write_v5, write_v73
from tests.io.recordings import plane_waves, small
from tests.io.test_brain import FULL, exp_data
from tests.io.test_picmus import write as write_picmus
from tests.io.test_validate import pairs
from tests.io.uff_files import Recorded, write_matlab
from tests.io.vantage_files import workspace
from usbeam.acquisition import Acquisition
from usbeam.errors import UsbeamError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.io import convert as convert_file
from usbeam.io import load, load_image, save, validate
from usbeam.io.convert import read as read_foreign
from usbeam.io.convert.matlab import open_variables
from usbeam.io.export import zea
from usbeam.io.findings import Finding
from usbeam.io.pairs_file import load_pairs

Write = Callable[[Path, dict[str, Any]], object]


@dataclass(frozen=True)
class Sample:
    """A valid file, and how it is read.

    Parameters
    ----------
    ending
        Of its name.
    make
        Writes it.
    read
        All that usbeam does with such a file; raises nothing but `UsbeamError`.
    variables, write
        What it holds and what writes that, if it is no HDF5 file but one of named arrays.
    has_fields
        Whether it has named values at all.
    share
        Of the files of a run, relative to other formats: less for those that take long to read.
    """

    ending: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    variables: Callable[[], dict[str, Any]] | None = None
    write: Write | None = None
    has_fields: bool = True
    share: float = 1.0

    @functools.cached_property
    def content(self) -> bytes:
        """Of the valid file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"valid{self.ending}"
            self.make(path)
            return path.read_bytes()


def of_variables(
    ending: str, write: Write, variables: Callable[[], dict[str, Any]], read: Any, share: float = 1.0
) -> Sample:
    """A file of named arrays."""
    kept = functools.cache(variables)
    if write is write_v73:  # which is HDF5, and is spoilt as that
        return Sample(ending, lambda path: write(path, kept()), read, share=share)
    return Sample(ending, lambda path: write(path, kept()), read, kept, write, share=share)


def read_recording(path: Path) -> None:
    """`validate` calls an ERROR whatever `load` refuses, and the other way round."""
    refusals: list[str] = []
    findings: list[Finding] = []
    try:
        acquisition = load(path)
    except UsbeamError as error:
        refusals.append(str(error))
    else:
        with contextlib.suppress(UsbeamError):
            acquisition.frame(0)
    try:
        findings = validate(path)
    except UsbeamError as error:
        refusals.append(str(error))
        assert len(refusals) == 2
    else:
        header = [each for each in findings if each.importance == "ERROR" and not each.location.startswith("/samples ")]
        assert bool(refusals) == any("every sample" not in finding.message for finding in header)
    assert all(text.isprintable() for text in map(str, findings))
    if refusals:
        load(path)


def read_image(path: Path) -> None:
    try:
        load_image(path)
    finally:
        validate(path, full=True)


def read_pairs(path: Path) -> None:
    try:
        found = load_pairs(path)
        found.lq[0]
        found.hq[len(found) - 1]
    finally:
        validate(path, full=True)


def foreign(name: str) -> Callable[[Path], object]:
    """Read what was recognised; where nothing was, read it all the same."""

    def read(path: Path) -> None:
        try:
            read_foreign(path)
        except UsbeamError:
            read_foreign(path, format=name)
            raise

    return read


def read_mapped(path: Path) -> None:
    mapping = path.with_name("mapping.toml")
    mapping.write_text(MAPPING)
    with open_variables(path) as variables:
        for name in variables.names():
            variables.find(name)
    convert_file(path, path.with_name("out.h5"), mapping=mapping, overwrite=True)


MAPPING = """
format = "usbeam-mapping"
format_version = "1.0"
sampling_frequency = {variable = "setup.fs", unit = "MHz"}
start_time = {variable = "t0", unit = "us"}
sound_speed = 1500

[samples]
variable = "rf"
axes = ["frame", "transmit", "receive", "sample"]

[probe]
n_elements = 6
pitch = "0.5mm"
center_frequency = "5MHz"

[transmit]
kind = "plane"
angles = {variable = "angles", unit = "deg"}
time_zero = "first"
"""


def mapped() -> dict[str, Any]:
    return {
        "setup": {"fs": 20.0, "note": "made up"},
        "t0": np.arange(4.0),
        "angles": np.array([-10.0, -5.0, 0.0, 10.0]),
        "rf": np.random.default_rng(0).standard_normal((2, 4, 6, 20)).astype(np.float32),
    }


def must() -> dict[str, Any]:
    delays = np.arange(16.0)[None] * 1e-8
    param = {
        "fs": 20e6,
        "fc": 5e6,
        "pitch": 0.3e-3,
        "Nelements": 16.0,
        "TXdelay": delays,
        "t0": 1e-6,
        "bandwidth": 60.0,
    }
    return {"RF": np.random.default_rng(0).standard_normal((40, 16)), "param": param}


def must_flat() -> dict[str, Any]:
    whole = must()
    return {**whole.pop("param"), **whole}


def write_npz(path: Path, variables: dict[str, Any]) -> None:
    np.savez(path, **variables)


def three_waves(path: Path) -> object:
    waves, heard = np.zeros(3), np.random.default_rng(0).standard_normal((1, 3, 32, 20)).astype(np.float32)
    return write_matlab(path, Recorded(0, np.array([-0.2, 0.1, 0.25]), waves, np.full(3, np.inf), heard), heard)


def picture(path: Path) -> None:
    levels = np.linspace(-60, 0, 80, dtype=np.float32).reshape(10, 8)
    grid = Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 4e-3), shape=(10, 8))
    Image(levels, grid, "db", 60.0).save(path)


def envelope(path: Path) -> None:
    grid = Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 3e-3), shape=(5, 4))
    Image(np.ones((5, 4), np.complex64), grid, settings={"method": "das"}).save(path)


def of_picture(ending: str) -> Sample:
    return Sample(ending, picture, load_image, has_fields=False)


def of_acquisition(
    write: Callable[[Acquisition, Path], object], made: Acquisition, ending: str, read: Any, share: float = 1.0
) -> Sample:
    return Sample(ending, lambda path: write(made, path), read, share=share)


def writes_picmus(path: Path) -> object:
    return write_picmus(path, np.random.default_rng(0).standard_normal((3, 32, 20)).astype(np.float32), 0.0)


SAMPLES: dict[str, Sample] = {
    "recording, elements": of_acquisition(save, small(), ".h5", read_recording, 0.7),
    "recording, plane waves": of_acquisition(save, plane_waves(), ".h5", read_recording),
    "image": Sample(".h5", envelope, read_image),
    "pairs": Sample(".h5", pairs, read_pairs),
    "brain v5": of_variables(".mat", write_v5, lambda: exp_data(FULL), foreign("brain")),
    "brain v7.3": of_variables(".mat", write_v73, lambda: exp_data(FULL), foreign("brain")),
    "mapping v5": of_variables(".mat", write_v5, mapped, read_mapped),
    "mapping v7.3": of_variables(".mat", write_v73, mapped, read_mapped),
    "must v5": of_variables(".mat", write_v5, must, foreign("must")),
    "must npz": of_variables(".npz", write_npz, must_flat, foreign("must")),
    "picmus": Sample(".hdf5", writes_picmus, foreign("picmus")),
    "uff": Sample(".uff", three_waves, foreign("uff")),
    "verasonics v5": of_variables(".mat", write_v5, lambda: workspace("BS50BW"), foreign("verasonics")),
    "verasonics v7.3": of_variables(".mat", write_v73, lambda: workspace("BS50BW"), foreign("verasonics"), 0.1),
    "zea": of_acquisition(zea.write, small(), ".hdf5", foreign("zea"), 0.3),
    "png": of_picture(".png"),
    "tiff": of_picture(".tif"),
    "dicom": of_picture(".dcm"),
}


def shared(files: int) -> dict[str, int]:
    """How many of so many files each sample gets."""
    total = sum(sample.share for sample in SAMPLES.values())
    return {name: math.ceil(files * sample.share / total) for name, sample in SAMPLES.items()}
