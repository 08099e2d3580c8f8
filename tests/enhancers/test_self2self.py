"""Self2Self: what it gains, that a fit can be interrupted anywhere, and what it refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import usbeam as ub
from usbeam.cli.bench import _load
from usbeam.errors import CheckpointError, ConfigError, FileAccessError, TrainingDiverged
from usbeam.train import checkpoint
from usbeam.train.self2self import KEPT, _mask

GRID = ub.Grid.linear(x=(-4e-3, 4e-3), z=(10e-3, 15e-3), shape=(51, 41))  # 0.1 mm by 0.2 mm
QUICK = {"n_predictions": 2, "width": 6, "crop": 40}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these spend their time waiting for the other threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def image(seed: int = 0, grid: ub.Grid = GRID) -> ub.Image:
    data = -60 * np.random.default_rng(seed).random(grid.shape, np.float32)
    return ub.Image(data, grid, "db", 60.0)


def enhanced(given: ub.Image | None = None, **parameters: object) -> ub.Image:
    return ub.enhance(image() if given is None else given, "self2self", **{**QUICK, **parameters})


def notes(found: ub.Image) -> dict[str, object]:
    return found.settings["enhanced"][-1]


@pytest.mark.slow
def test_takes_independent_noise_out() -> None:
    """What the benchmark of ten minutes shows, in less time: a smaller image, few steps."""
    benchmark = _load("self2self")
    clean = benchmark.clean(128)
    noisy = benchmark.noisy(clean)
    found = ub.enhance(noisy, "self2self", n_steps=400, n_predictions=16)
    gain = benchmark.psnr(found, clean) - benchmark.psnr(noisy, clean)
    assert gain > 4, notes(found)


class TestMask:
    def test_shows_seven_of_ten(self) -> None:
        for block in ((1, 1), (3, 2)):
            assert _mask(torch.empty(1, 1, 600, 600), block).mean() == pytest.approx(KEPT, abs=0.02)

    def test_hides_whole_blocks_at_any_offset(self) -> None:
        offsets = set()
        for _ in range(20):
            mask = _mask(torch.empty(1, 1, 61, 52), (4, 3))[0, 0].numpy()
            for axis, size in ((0, 4), (1, 3)):
                edges = np.unique(np.nonzero(np.diff(mask, axis=axis))[axis] + 1) % size
                assert len(set(edges)) == 1
                offsets.add((axis, edges[0]))
        assert len(offsets) == 7

    def test_blocks_are_in_metres(self) -> None:
        assert notes(enhanced(n_steps=1, block=0.4e-3))["block_pixels"] == [4, 2]
        assert notes(enhanced(n_steps=1))["block_pixels"] == [1, 1]


class TestResult:
    def test_is_the_same_for_the_same_seed_only(self) -> None:
        first, again, other = (enhanced(n_steps=3, seed=seed).data for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_says_how_it_went(self) -> None:
        told = notes(enhanced(n_steps=3))
        assert (told["steps"], told["resumed_from"], told["ended_by"]) == (3, 0, "steps")
        assert 0 < told["loss"] < 1
        assert told["fit_seconds"] > 0
        assert told["predict_seconds"] > 0

    def test_time_ends_it(self) -> None:
        start = time.monotonic()
        told = notes(enhanced(n_steps=10**9, max_seconds=0.5))
        assert told["ended_by"] == "max_seconds"
        assert told["steps"] > 0
        assert 0.5 <= told["fit_seconds"] < 30
        assert time.monotonic() - start < 60

    def test_no_time_at_all_is_an_image_still(self) -> None:
        found = enhanced(max_seconds=0.0)
        assert np.all(np.isfinite(found.data))
        assert (notes(found)["steps"], notes(found)["loss"]) == (0, None)

    def test_progress_rises_to_one(self) -> None:
        seen: list[float] = []
        ub.enhance(image(), "self2self", progress=seen.append, n_steps=4, **QUICK)
        assert len(seen) == 6
        assert seen == sorted(seen)
        assert seen[-1] == 1

    def test_the_callers_random_numbers_are_left_alone(self) -> None:
        before = torch.get_rng_state()
        enhanced(n_steps=2)
        assert torch.equal(torch.get_rng_state(), before)


class TestCheckpoint:
    def test_goes_on_to_the_same_bits(self, tmp_path: Path) -> None:
        path = str(tmp_path / "fit.safetensors")
        for n_steps in (2, 5, 9):
            found = enhanced(n_steps=n_steps, checkpoint=path)
        assert (notes(found)["steps"], notes(found)["resumed_from"]) == (9, 5)
        np.testing.assert_array_equal(found.data, enhanced(n_steps=9).data)
        assert checkpoint.load(path)[1]["step"] == 9

    def test_of_something_else_is_refused(self, tmp_path: Path) -> None:
        path = str(tmp_path / "fit")
        enhanced(n_steps=2, checkpoint=path)
        before = Path(path).read_bytes()
        others = [({"given": image(1)}, "image"), ({"seed": 1}, "seed"), ({"width": 9}, "width")]
        for changed, location in [*others, ({"block": 1e-3}, "block"), ({"crop": 32}, "crop")]:
            with pytest.raises(CheckpointError, match="another image or of other settings") as caught:
                enhanced(n_steps=2, checkpoint=path, **changed)
            assert caught.value.location == location
        assert Path(path).read_bytes() == before

    def test_damaged_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "fit"
        enhanced(n_steps=2, checkpoint=str(path))
        tensors, facts = checkpoint.load(path)
        name = next(iter(tensors))
        for tensors_, facts_ in (
            ({**tensors, name: tensors[name][:1]}, facts),
            ({**tensors, name: tensors[name].double()}, facts),
            ({each: tensors[each] for each in tensors if each != name}, facts),
            (tensors, {**facts, "step": -1}),
            (tensors, {**facts, "step": "2"}),
            (tensors, {**facts, "step": None}),
        ):
            checkpoint.save(path, tensors_, facts_)
            with pytest.raises(CheckpointError, match="damaged"):
                enhanced(n_steps=3, checkpoint=str(path))

    def test_that_cannot_be_written_is_said_before_any_work(self, tmp_path: Path) -> None:
        with pytest.raises(FileAccessError):
            enhanced(n_steps=10**9, checkpoint=str(tmp_path / "missing" / "fit"))
        with pytest.raises(FileAccessError):
            enhanced(n_steps=10**9, checkpoint=str(tmp_path))

    def test_survives_divergence(self, tmp_path: Path) -> None:
        """Weights near the end of float32 overflow in the next step."""
        path = tmp_path / "fit"
        enhanced(n_steps=2, checkpoint=str(path))
        tensors, facts = checkpoint.load(path)
        huge = {name: tensor * 1e30 if "exp" not in name else tensor for name, tensor in tensors.items()}
        checkpoint.save(path, huge, facts)
        before = checkpoint.load(path)
        with pytest.raises(TrainingDiverged, match="step 3"):
            enhanced(n_steps=5, checkpoint=str(path))
        kept = checkpoint.load(path)
        assert kept[1] == before[1]
        assert all(torch.equal(kept[0][name], before[0][name]) for name in kept[0])

    def test_survives_an_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C during a fit in a process of its own; afterwards it goes on as if nothing had been."""
        path = tmp_path / "fit"
        code = (
            "import sys, torch\n"
            "from usbeam.train import self2self\n"
            "from tests.enhancers.test_self2self import enhanced\n"
            "torch.set_num_threads(1)\n"
            "self2self.SAVE_EVERY = 0.05\n"
            "enhanced(n_steps=10**9, checkpoint=sys.argv[1])\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 120
        while not path.exists() or checkpoint.load(path)[1]["step"] < 2:
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, talk = child.communicate(timeout=60)
        assert child.returncode == -signal.SIGINT, talk
        reached = checkpoint.load(path)[1]["step"]
        assert [each.name for each in tmp_path.iterdir()] == ["fit"]
        found = enhanced(n_steps=reached + 2, checkpoint=str(path))
        assert notes(found)["resumed_from"] == reached
        np.testing.assert_array_equal(found.data, enhanced(n_steps=reached + 2).data)


class TestWithoutTorch:
    @pytest.mark.parametrize("package", ["torch", "safetensors"])
    def test_says_what_to_install(self, package: str) -> None:
        code = (
            "import sys\n"
            f"sys.modules['{package}'] = None  # as if it were not installed\n"
            "import numpy as np, usbeam as ub\n"
            "grid = ub.Grid.linear(x=(0, 1e-3), z=(1e-3, 2e-3), shape=(40, 40))\n"
            "try:\n"
            "    ub.enhance(ub.Image(np.ones((40, 40), np.float32), grid, 'envelope'), 'self2self')\n"
            "except ub.errors.ConfigError as error:\n"
            "    print(error, '|', error.hint)\n"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert f"needs {package}" in found.stdout
        assert "pip install 'usbeam[train]'" in found.stdout

    def test_the_list_of_methods_does_not_load_it(self) -> None:
        code = "import sys, usbeam, usbeam.enhancers; print('torch' in sys.modules, usbeam.enhancers.METHODS.keys())"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.startswith("False")
        assert "self2self" in found.stdout


def test_images_that_cannot_be_halved_five_times() -> None:
    small = image(grid=ub.Grid.linear(x=(0, 1e-3), z=(1e-3, 2e-3), shape=(31, 64)))
    with pytest.raises(ConfigError, match="too small"):
        enhanced(small)


@pytest.mark.parametrize(
    "parameters",
    [{"n_steps": 0}, {"max_seconds": -1.0}, {"crop": 31}, {"learning_rate": 0.0}, {"seed": -1}, {"checkpoint": 3}],
)
def test_requests_that_cannot_be_met(parameters: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="not a value"):
        enhanced(**parameters)
