"""Cases 59 to 70: pairs, networks and their files, figures of merit, pictures."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usbeam as ub
from tests.bad_inputs.cases import CASES, Case, Desk, answered, refused
from tests.enhancers.networks import run_folder
from tests.enhancers.test_enhance import speckle
from tests.io.test_channel_data import edit, spoil
from tests.measure import test_metrics, test_psf
from tests.measure.spots import MM
from tests.train.conftest import Trap, same_tensors, tiny, write_tiny
from usbeam.errors import (
    BadField,
    CheckpointError,
    ConfigError,
    FileAccessError,
    MeasurementError,
    TrainingDiverged,
    UsbeamError,
)
from usbeam.image import Image
from usbeam.io.pairs_file import load_pairs
from usbeam.measure import psf
from usbeam.train import checkpoint, run
from usbeam.train.data import Examples
from usbeam.train.run import load_run
from usbeam.train.training import fit


@refused(59, "lq and hq of different sizes", BadField, "/hq: wrong shape")
def different_sizes(desk: Desk) -> object:
    path = write_tiny(desk.folder / "pairs.h5")
    spoil(path, edit("hq", lambda images: images[:, :40]))
    return load_pairs(path)


@refused(60, "one pair", ConfigError, "too few pairs")
def one_pair(desk: Desk) -> object:
    return Examples(load_pairs(write_tiny(desk.folder / "pairs.h5", recordings=1, each=1)), "display")


@refused(60, "a constant image", BadField, "constant image")
def constant(desk: Desk) -> object:
    flat = np.full((48, 48), 0.5, np.float32)
    return Examples(load_pairs(write_tiny(desk.folder / "pairs.h5", replaced={3: flat})), "median")


@refused(60, "NaN in a pair", BadField, "/hq 7")
def nan_pair(desk: Desk) -> object:
    path = write_tiny(desk.folder / "pairs.h5")
    with h5py.File(path, "r+") as file:
        file["hq"][7, 20, 30] = np.nan
    return Examples(load_pairs(path), "display")


def narrow(n_x: int) -> ub.Image:
    return speckle(grid=ub.Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 2e-3), shape=(40, n_x)))


@refused(61, "an image smaller than a U-Net takes", ConfigError, "image is too small for unet-light")
def too_small(desk: Desk) -> object:
    return ub.enhance(narrow(16), run_folder(desk.folder / "run", "unet-light"))


@answered(61, "an image that is no multiple of the U-Net's stride", "(40, 17) as it was")
def odd_size(desk: Desk) -> str:
    found = ub.enhance(narrow(17), run_folder(desk.folder / "run", "unet-light"))
    assert found.grid == narrow(17).grid
    return f"{found.data.shape} as it was: padded, and cropped back"


def other_version(path: Path) -> None:
    tensors, facts = checkpoint.load(path)
    checkpoint.save(path, tensors, {**facts, "kind": "network 2"})


def with_nan(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-4] + np.float32(np.nan).tobytes())


CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "of random bytes": (lambda path: path.write_bytes(b"\xa5" * 5000), "not the weights of a network"),
    "of pickled code": (lambda path: path.write_bytes(pickle.dumps(Trap())), "not the weights of a network"),
    "that is truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not the weights of a network"),
    "of a model that is not known": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"looks-light", b"looks-heavy")),
        "the weights of a network that is not known",
    ),
    "of another version": (other_version, "expected network 1, found 'network 2'"),
    "with NaN weights": (with_nan, "not finite"),
}


def register_checkpoints() -> None:
    for name, (spoil_weights, words) in CHECKPOINTS.items():

        def provoke(desk: Desk, spoil_weights: Any = spoil_weights) -> object:
            folder = run_folder(desk.folder / "run")
            spoil_weights(folder / run.WEIGHTS)
            desk.patch.chdir(desk.folder)
            try:
                return ub.enhance(speckle(), folder)
            finally:
                assert not Path("pickle_was_loaded").exists()

        CASES.append(Case(62, f"a checkpoint {name}", provoke, CheckpointError, words))


register_checkpoints()


@refused(62, "a run without its configuration", FileAccessError, "config.json: no such file")
def no_config(desk: Desk) -> object:
    return load_run(run_folder(desk.folder / "run"))


def begun(desk: Desk) -> Path:
    """A run that was interrupted; on a CPU, where twice the same gives the same bits."""
    desk.patch.setenv("USBEAM_DEVICE", "cpu")
    return desk.fixture("begun")


@refused(63, "resuming with another configuration", CheckpointError, "expected epochs=2, found epochs=3")
def changed_config(desk: Desk) -> object:
    folder = begun(desk)
    return fit(folder.with_name("pairs.h5"), tiny(epochs=3), out=folder, resume=True)


@refused(64, "a loss that is no number", TrainingDiverged, "loss is no number")
def diverged(desk: Desk) -> object:
    desk.patch.setenv("USBEAM_DEVICE", "cpu")
    wild = tiny(model="unet-light", learning_rate=1e30, clip=0.0, epochs=4)
    return fit(write_tiny(desk.folder / "pairs.h5"), wild, out=desk.folder / "run")


@answered(65, "stopped in an epoch, and resumed", "the same weights to the bit")
def resumed(desk: Desk) -> str:
    folder = begun(desk)
    fit(folder.with_name("pairs.h5"), out=folder, resume=True)
    assert same_tensors(folder.with_name("whole") / run.WEIGHTS, folder / run.WEIGHTS)
    return "the same weights to the bit as without the stop"


def told_of(image: Image, folder: Path) -> str:
    (line,) = ub.enhance(image, folder).settings["enhanced"][-1]["warnings"]
    return f"warning: {line}"


@answered(66, "pixels of another size than trained on", "200 µm")
def other_spacing(desk: Desk) -> str:
    line = told_of(speckle(), run_folder(desk.folder / "run", spacing=[1e-4, 1.5e-4]))
    assert "150 µm" in line
    return line


@answered(66, "another dynamic range than trained on", "40 dB")
def other_range(desk: Desk) -> str:
    line = told_of(speckle().db(40), run_folder(desk.folder / "run"))
    assert "100 dB" in line
    return line


METRICS = {
    67: {
        "cnr outside": "a region outside the image",
        "cnr empty": "a region without pixels",
        "cnr of regions that overlap": "inside and outside overlap",
        "cnr flat": "no variance",
    },
    69: {"contrast_db of dB": "contrast of an image in dB", "cnr of dB": "CNR of the envelope of an image in dB"},
}


def register_metrics() -> None:
    for number, rows in METRICS.items():
        for name, title in rows.items():
            measure, kind, words = test_metrics.REFUSED[name]
            CASES.append(Case(number, title, lambda _, measure=measure: measure(), kind, words))


register_metrics()


@refused(68, "no peak at the place", MeasurementError, "rises towards something farther off")
def no_peak(desk: Desk) -> object:
    return psf.measure(test_psf.spot_at(0), (1.5 * MM, 20 * MM))


@refused(68, "the peak on the border", MeasurementError, "lies on the image's border")
def border(desk: Desk) -> object:
    return psf.measure(test_psf.spot_at(3.0))


@refused(68, "no fall to half", MeasurementError, "does not fall to half of its peak")
def no_crossing(desk: Desk) -> object:
    return psf.measure(test_psf.spot_at(2.85))


@answered(68, "two peaks", "2 peaks")
def two_peaks(desk: Desk) -> str:
    where = test_psf.grid()
    two = sum(test_psf.gaussian(where, test_psf.WIDTHS, at=(x * MM, 20 * MM)) for x in (-0.24, 0.24))
    return f"warning: {'; '.join(psf.measure(test_psf.image(where, two)).warnings)}"


def register_pictures() -> None:
    for ending in ("png", "tif", "dcm"):

        def provoke(desk: Desk, ending: str = ending) -> str:
            desk.recording.unlink()
            with pytest.raises(UsbeamError) as caught:
                Image(speckle().data.astype(np.complex64), speckle().grid).save(desk.folder / f"image.{ending}")
            assert type(caught.value) is ConfigError
            assert not list(desk.folder.iterdir())
            return f"{caught.value}; hint: {caught.value.hint}"

        CASES.append(Case(70, f"a complex image as .{ending}", provoke, None, "image.envelope().db("))


register_pictures()
