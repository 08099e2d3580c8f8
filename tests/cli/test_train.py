"""`usbeam train`: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Run
from tests.train.conftest import TINY, tiny, write_tiny
from usbeam.train.run import load_run


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Twelve small pairs, beside settings for few small steps."""
    settings = (f"{name} = {json.dumps(value)}" for name, value in TINY.items())
    (tmp_path / "tiny.toml").write_text("\n".join(settings))
    return write_tiny(tmp_path / "pairs.h5")


def test_trains_and_goes_on(pairs: Path, run: Run) -> None:
    folder, settings = pairs.with_name("run"), pairs.with_name("tiny.toml")
    done = run("train", pairs, "-o", folder, "--config", settings, "--epochs", 1, "--seed", 3, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {"parameters", "epochs", "train_loss", "validation_loss", "seconds"} <= found.keys()
    assert (found["parameters"], found["epochs"], found["model"]) == (69_371, 1, "looks-light")
    assert 0 < found["waiting"] < 1
    assert "epoch 1: loss 0.3" in done.err
    assert load_run(folder).config == tiny(epochs=1, seed=3)
    before = (folder / "config.json").read_bytes()

    taken = run("train", pairs, "-o", folder, "--config", settings)
    assert (taken.code, len(taken.errors)) == (2, 2)
    assert "a run is there" in taken.errors[0]
    changed = run("train", pairs, "-o", folder, "--resume", "--epochs", 5)
    assert changed.code == 3
    assert "expected epochs=1, found epochs=5" in changed.errors[0]
    assert (folder / "config.json").read_bytes() == before

    again = run("train", pairs, "-o", folder, "--resume")
    assert again.code == 0
    assert again.out.startswith(f"{folder}: looks-light, 69371 parameters, 1 epochs")
    assert "1 of 3 recordings held out" in again.out
    start = run("train", pairs, "-o", pairs.with_name("b"), "--from", folder, "--model", "unet")
    assert start.code == 3
    assert "weights are of another network" in start.errors[0]
    replaced = run("-q", "train", pairs, "-o", folder, "--config", settings, "--epochs", 1, "--overwrite")
    assert (replaced.code, replaced.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--model", "resnet"), 2, "model: unknown value (expected one of unet, unet-light, looks, looks-light"),
        (("--epochs", "0"), 2, "epochs: not allowed"),
        (("--config", "missing.toml"), 3, "missing.toml: no such file"),
        (("--from", "missing.safetensors"), 3, "missing.safetensors: is not a file"),
        (("--resume",), 3, "no run to go on with"),
        (("--device", "tpu"), 2, "device: unknown device"),
        (("--device", "gpu"), 4, "device: no GPU can be used: torch"),
    ],
)
def test_what_it_refuses(arguments: tuple[str, ...], code: int, words: str, pairs: Path, run: Run) -> None:
    if "gpu" in arguments and pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is a GPU")
    done = run("train", pairs, "-o", pairs.with_name("run"), *arguments)
    assert done.code == code
    assert words in done.errors[0]
    assert not pairs.with_name("run").exists()


def test_a_loss_that_is_no_number_has_its_own_code(pairs: Path, run: Run) -> None:
    settings = pairs.with_name("wild.toml")
    settings.write_text(pairs.with_name("tiny.toml").read_text() + "\nlearning_rate = 1e30\nclip = 0.0")
    done = run("train", pairs, "-o", pairs.with_name("run"), "--config", settings, "--model", "unet-light")
    assert done.code == 5
    assert "no number" in done.errors[0]


@pytest.mark.slow
def test_ctrl_c(pairs: Path) -> None:
    folder, settings = pairs.with_name("run"), pairs.with_name("tiny.toml")
    settings.write_text(settings.read_text().replace("epochs = 2", "epochs = 1000"))
    process = subprocess.Popen(
        [PROGRAM, "train", pairs, "-o", folder, "--config", settings], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (folder / "samples" / "epoch_001.png").is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    talk = process.communicate(timeout=60)[1]
    assert process.returncode == 130, talk
    assert f"the last state is in {folder}; --resume goes on from it" in talk
    assert "Traceback" not in talk
    assert load_run(folder).network().architecture.name == "looks-light"
