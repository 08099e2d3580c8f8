"""Cases 49 to 58: requests that cannot be met."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from tests.bad_inputs.cases import CASES, Case, Desk, answered, refused, warned
from tests.beamforming.test_fourier_refusals import NOT_THIS
from tests.cli.test_beamform import BAD
from tests.io.recordings import small
from tests.io.test_atomic import OLD, Interrupted, alone_and_old
from tests.test_device import Machine
from tests.train.conftest import write_tiny
from tests.train.test_nothing_is_lost import no_file_beyond
from usbeam import device
from usbeam.errors import (
    ConfigError,
    DeviceOutOfMemory,
    DeviceUnavailable,
    FileAccessError,
    GeometryError,
    OutputExists,
)
from usbeam.image import Image
from usbeam.kernels.memory import retry_smaller
from usbeam.train.config import from_table


def register_requests() -> None:
    """The program's own refusals, as it prints them."""
    for name, (options, code, words) in BAD.items():
        number, _, title = name.partition(" ")
        if not number.isdigit() or code == 4:  # whether there is a GPU differs between machines
            continue

        def provoke(desk: Desk, options: list[str] = options, code: int = code) -> str:
            desk.patch.chdir(desk.folder)
            desk.recording.unlink()
            ended = desk.fixture("run")("beamform", desk.fixture("points"), "-o", "out.h5", *options)
            assert ended.code == code
            assert not list(desk.folder.iterdir())
            return ended.errors[0]

        CASES.append(Case(int(number), title, provoke, None, words))


register_requests()


@refused(49, "a weight that is NaN", ConfigError, "transmits: a weight is not finite")
def nan_weight(desk: Desk) -> object:
    return ub.Plan(small(), _grid(), transmits=[1, np.nan, 1, 1])


@refused(49, "too few weights", ConfigError, "one weight per transmit (expected (4,), found (2,))")
def few_weights(desk: Desk) -> object:
    return ub.Plan(small(), _grid(), transmits=[1, 1])


def _grid() -> ub.Grid:
    return ub.Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 2e-3), shape=(5, 4))


@answered(51, "deeper than the record", "warning: the grid reaches 90 mm, the record only")
def too_deep(desk: Desk) -> str:
    matrix = desk.fixture("matrix")
    images: list[Image] = []
    grid = ub.Grid.linear(x=(0, 1e-3), z=(15e-3, 90e-3), shape=(6, 3))
    line = warned(lambda: images.append(ub.beamform(matrix, grid, device="cpu")))
    assert np.abs(images[0].data[0]).max() > 0
    assert not images[0].data[2:].any()
    return line


FOURIER: dict[str, tuple[type[Exception], str]] = {
    "uneven pitch": (GeometryError, "pitch"),
    "curved array": (GeometryError, "probe"),
    "focused": (GeometryError, "transmit"),
}


def register_fourier() -> None:
    for name in FOURIER:

        def provoke(desk: Desk, name: str = name) -> str:
            with pytest.raises(ub.UsbeamError) as caught:
                ub.Plan(NOT_THIS[name](desk.fixture("matrix")), desk.fixture("grid"), method="fourier")
            return f"{caught.value}; hint: {caught.value.hint}"

        CASES.append(Case(53, f"Fourier, {name}", provoke, None, "das"))


register_fourier()


def machine(desk: Desk) -> Machine:
    desk.patch.setattr(sys, "platform", "linux")
    device.forget()
    return Machine(desk.patch)


@refused(54, "GPU without a driver", DeviceUnavailable, "no GPU can be used: no NVIDIA driver is installed")
def no_driver(desk: Desk) -> object:
    machine(desk).packages("cupy-cuda12x").driver(None)
    return ub.Plan(small(), _grid(), device="gpu")


@refused(54, "GPU without CuPy", DeviceUnavailable, "no GPU can be used: CuPy is not installed")
def no_cupy(desk: Desk) -> object:
    machine(desk).packages().driver(12040)
    return ub.Plan(small(), _grid(), device="gpu")


@refused(54, "two packages of CuPy", DeviceUnavailable, "several packages of CuPy are installed")
def two_wheels(desk: Desk) -> object:
    machine(desk).packages("cupy-cuda11x", "cupy-cuda13x").driver(13000)
    return ub.Plan(small(), _grid(), device="gpu")


@refused(55, "a GPU whose memory runs out", DeviceOutOfMemory, "the GPU's memory is full (expected 1,000 bytes")
def no_memory(desk: Desk) -> object:
    cupy = desk.fixture("gpu")

    def work(budget: float) -> object:
        raise cupy.cuda.memory.OutOfMemoryError(1000, int(budget))

    return retry_smaller(work, 1e9)  # what `Plan` calls: once more with less memory


@refused(56, "dynamic range 0", ConfigError, "dynamic range must be a positive number")
def no_range(desk: Desk) -> object:
    return Image(np.ones((5, 4), np.float32), _grid(), "envelope").db(0)


@answered(56, "an image of zeros in dB", "all -60 dB, no warning")
def zeros(desk: Desk) -> str:
    shown = Image(np.zeros((5, 4), np.float32), _grid(), "envelope").db(60)
    assert (shown.data == -60).all()
    return "all -60 dB, no warning"


def old(desk: Desk) -> Path:
    desk.recording.write_bytes(OLD)
    return desk.recording


@refused(57, "the output exists", OutputExists, "the file exists")
def exists(desk: Desk) -> object:
    return small().save(old(desk))


@refused(57, "the disk is full", FileAccessError, "the disk or quota is full")
def full_disk(desk: Desk) -> object:
    path = old(desk)
    noise = np.random.default_rng(0).random((200, 200), np.float32)
    image = Image(noise, ub.Grid.linear(x=(0, 1e-2), z=(1e-3, 1e-2), shape=noise.shape), "envelope").db(60)
    png = path.rename(path.with_suffix(".png"))
    try:
        with no_file_beyond(2000):
            return image.save(png, overwrite=True)
    finally:
        assert alone_and_old(png)


@answered(57, "Ctrl-C while it is written", "interrupted; the old file is as it was")
def interrupted(desk: Desk) -> str:
    path = old(desk)
    recording = small(samples=Interrupted(lambda: signal.raise_signal(signal.SIGINT)), n_frames=3)
    with pytest.raises(KeyboardInterrupt):
        recording.save(path, overwrite=True)
    assert alone_and_old(path)
    return "interrupted; the old file is as it was"


@refused(58, "an unknown key", ConfigError, "epoch")
def unknown_key(desk: Desk) -> object:
    return from_table({"epoch": 3}, "settings.toml")


@refused(58, "a value of another type", ConfigError, "settings.toml: epochs")
def wrong_type(desk: Desk) -> object:
    return from_table({"epochs": "3"}, "settings.toml")


@answered(
    58,
    "an option and the configuration file differ",
    "epochs: not allowed (expected a whole number of at",
)
def option_wins(desk: Desk) -> str:
    """The option's value, which is none, is what is refused."""
    pairs = write_tiny(desk.folder / "pairs.h5")
    (desk.folder / "settings.toml").write_text("epochs = 3\n")
    run: Callable[..., Any] = desk.fixture("run")
    ended = run("train", pairs, "-o", desk.folder / "run", "--config", desk.folder / "settings.toml", "--epochs", 0)
    assert ended.code == 2
    return ended.errors[0]
