"""``usbeam enhance --adapt`` and ``usbeam train --from WEIGHTS RECORDING.h5``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import usbeam as ub
from tests.enhancers.networks import one_thread
from usbeam import adaptation
from usbeam.train import weights
from usbeam.train.networks import build
from usbeam.train.run import load_run

from .conftest import Run

__all__ = ["one_thread"]

FACTS = {"domain": "median", "dynamic_range_db": 100.0, "spacing": [5e-5, 5e-5]}
QUICK = {"epochs": 1, "steps_per_epoch": 4, "crop": (32, 32), "warm_up": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    probe = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    phantom = ub.simulate.phantoms.speckle(probe, x=(-3e-3, 3e-3), z=(8e-3, 10e-3), density=4)
    fired = ub.Transmits.elements(probe)
    recording = ub.simulate.record(phantom, probe, fired, sampling_frequency=20e6, depth=(8e-3, 10e-3))
    recording.save(folder / "tissue.h5")
    ub.Angular(recording)(recording.frame(0)).image().save(folder / "image.h5")
    weights.save(build("looks-light", 0), folder / "start.safetensors", FACTS)
    (folder / "quick.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in QUICK.items()))
    return folder


def test_enhance_keeps_what_it_adapted_and_takes_it_again(
    made: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "ROUND", QUICK)
    source, out = made / "tissue.h5", tmp_path / "out.h5"
    arguments = ("enhance", source, "-o", out, "--with", made / "start.safetensors", "--adapt", "--json")
    done = run(*arguments)
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    (folder,) = (made / "tissue.h5.usbeam-adapted").iterdir()
    assert (summary["adapted"], summary["n_looks"]) == (str(folder), 4)
    wanted = ub.enhance_recording(ub.load(source), folder)
    np.testing.assert_array_equal(ub.load_image(out).data, wanted.data)
    time = load_run(folder).weights.stat().st_mtime_ns

    again = run(*arguments, "--overwrite", "--mode", "fast")
    assert again.code == 0, again.err
    assert load_run(folder).weights.stat().st_mtime_ns == time
    assert json.loads(again.out)["n_looks"] == 0


def test_adapt_learns_from_the_part_of_the_field_that_is_asked_for(
    made: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "ROUND", QUICK)
    shutil.copy(made / "tissue.h5", source := tmp_path / "tissue.h5")
    out = tmp_path / "out.h5"
    arguments = ("enhance", source, "-o", out, "--with", made / "start.safetensors", "--adapt", "--mode", "fast")
    part = run(*arguments, "--x", "-2.5mm:2.5mm")
    assert part.code == 0, part.err
    assert ub.load_image(out).grid.x[0] == pytest.approx(-2.5e-3)
    whole = run(*arguments, "--overwrite")
    assert whole.code == 0, whole.err
    assert len(list((tmp_path / "tissue.h5.usbeam-adapted").iterdir())) == 2

    narrow = run(*arguments, "--overwrite", "--x", "-1mm:1mm")
    assert (narrow.code, "too narrow" in narrow.errors[0]) == (2, True)


def test_train_from_weights_on_a_recording(made: Path, run: Run, tmp_path: Path) -> None:
    given = ("--config", made / "quick.toml", "--seed", 5)
    arguments = ("train", made / "tissue.h5", "-o", tmp_path / "run", "--from", made / "start.safetensors", *given)
    done = run(*arguments)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{tmp_path / 'run'}: looks-light, 69371 parameters, 1 epochs")
    assert "loss held out before" in done.out
    found = load_run(tmp_path / "run")
    assert (found.config.seed, found.config.crop) == (5, (32, 32))
    taken = run(*arguments)
    assert (taken.code, "a run is there" in taken.errors[0]) == (2, True)
    resumed = run(*arguments, "--resume")
    assert (resumed.code, "begins anew" in resumed.errors[0]) == (2, True)
    other = run(*arguments, "--overwrite", "--model", "unet")
    assert (other.code, "another network" in other.errors[0]) == (3, True)


def test_refusals(made: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no weights")
    start = made / "start.safetensors"
    for source, arguments, code, message in (
        ("image.h5", ("--with", start, "--adapt"), 2, "adapting needs channel data"),
        ("tissue.h5", ("--with", "srad", "--adapt"), 2, "--adapt: is for trained networks"),
        ("tissue.h5", ("--with", bad, "--adapt"), 3, "not the weights of a network"),
        ("tissue.h5", ("--with", start, "--adapt", "--frame", "3"), 2, "no such frame"),
    ):
        done = run("enhance", made / source, "-o", out, *arguments)
        assert done.code == code, (arguments, done.err)
        assert message in done.errors[0], arguments
        assert not out.exists()
    done = run("train", made / "tissue.h5", "-o", tmp_path / "run")
    assert done.code == 3, "a recording is no pairs"
