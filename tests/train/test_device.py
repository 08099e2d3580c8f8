"""Networks on a GPU: what is refused and why, what a full memory leaves, and, where there is a GPU, equal results.

Without a GPU the reasons are those of torch and ONNX Runtime, made to believe that there is one.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.backends import cudnn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import usbeam as ub
from tests.enhancers.networks import network, run_folder
from tests.enhancers.test_enhance import speckle
from tests.train import host_graph
from tests.train.conftest import MakePairs, same_tensors, tiny
from usbeam.errors import DeviceOutOfMemory, DeviceUnavailable
from usbeam.train import checkpoint, config, gpu, onnx_session, replay, run, runtimes
from usbeam.train.loop import Loop
from usbeam.train.networks import MODELS, Network, build
from usbeam.train.training import fit

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is in the extra export")

FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
cpu_build = pytest.mark.skipif(torch.backends.cuda.is_built(), reason="this torch is a build for GPUs")


@pytest.fixture(autouse=True)
def looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.delenv("USBEAM_DEVICE", raising=False)
    gpu.obstacle.cache_clear()
    yield
    gpu.obstacle.cache_clear()


def torch_that_says(monkeypatch: pytest.MonkeyPatch, said: str | None) -> list[str]:
    """A torch for GPUs, whose first work on one fails with these words, or not at all; the devices that it is asked."""
    devices: list[str] = []

    def ones(_: int, device: str) -> torch.Tensor:
        devices.append(device)
        if said is not None:
            raise RuntimeError(said)
        return torch.zeros(1)

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    return devices


class TestTorch:
    @cpu_build
    def test_a_build_for_the_cpu_names_the_line_that_installs_another(self, make_pairs: MakePairs) -> None:
        out = make_pairs().with_name("run")
        for asked in (
            lambda: ub.train.fit(out.with_name("pairs.h5"), tiny(), out=out, device="gpu"),
            lambda: ub.enhance(speckle(), "looks-light", device="gpu"),
        ):
            with pytest.raises(DeviceUnavailable, match=r"device: no GPU can be used: torch .* is a build for the CPU"):
                asked()
        with pytest.raises(DeviceUnavailable) as caught:
            gpu.resolve("gpu")
        assert "pip install --force-reinstall torch --index-url https://" in str(caught.value.hint)
        assert caught.value.exit_code == 4
        assert not out.exists()

    def test_its_own_reason_on_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        devices = torch_that_says(monkeypatch, "CUDA error: no kernel image is available\nFor debugging consider")
        for _ in range(2):
            with pytest.raises(DeviceUnavailable, match=r"torch says: CUDA error: no kernel image is available$"):
                gpu.resolve("gpu")
        assert devices == ["cuda:0"]  # it is asked once

    def test_a_process_of_several_asks_for_its_own_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        devices = torch_that_says(monkeypatch, None)
        monkeypatch.setenv("LOCAL_RANK", "3")
        assert gpu.resolve("gpu") == "gpu"
        assert devices == ["cuda:3"]

    def test_auto_says_what_it_took(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        for said, taken, words in (("no driver", "cpu", "takes the CPU: torch says: no driver"), (None, "gpu", "GPU")):
            gpu.obstacle.cache_clear()
            torch_that_says(monkeypatch, said)
            with caplog.at_level(logging.INFO, "usbeam"):
                assert gpu.resolve("auto") == taken
            assert words in caplog.records[-1].getMessage()
            assert gpu.resolve("cpu") == "cpu"

    def test_usbeam_device_stands_for_auto(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch_that_says(monkeypatch, "no driver")
        monkeypatch.setenv("USBEAM_DEVICE", "gpu")
        with pytest.raises(DeviceUnavailable, match=r"^USBEAM_DEVICE: .*no driver"):
            gpu.resolve("auto")
        assert gpu.resolve("cpu") == "cpu"


class TestRuntimes:
    def test_openvino_has_no_gpu(self) -> None:
        with pytest.raises(DeviceUnavailable, match="OpenVINO runs networks on the CPU only") as caught:
            gpu.resolve("gpu", "openvino")
        assert "\n" not in str(caught.value)
        assert gpu.resolve("auto", "openvino") == "cpu"

    @pytest.mark.skipif(onnx_session.CUDA in onnxruntime.get_available_providers(), reason="onnxruntime for GPUs")
    def test_an_onnxruntime_for_the_cpu_names_the_wheel(self) -> None:
        with pytest.raises(DeviceUnavailable, match=r"onnxruntime [\d.]+ is a build for the CPU") as caught:
            gpu.resolve("gpu", "onnx")
        assert "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu" in str(caught.value.hint)
        assert gpu.resolve("auto", "onnx") == "cpu"

    @pytest.mark.skipif(onnx_session.CUDA in onnxruntime.get_available_providers(), reason="onnxruntime for GPUs")
    @pytest.mark.filterwarnings("ignore:Specified provider")
    def test_its_silent_fall_back_is_none_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It says that there is a provider for CUDA, and makes a session without it."""
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [onnx_session.CUDA, onnx_session.CPU])
        with pytest.raises(DeviceUnavailable, match="onnxruntime cannot load its provider for CUDA"):
            gpu.resolve("gpu", "onnx")
        assert gpu.resolve("auto", "onnx") == "cpu"

    @pytest.mark.parametrize("loads", [True, False])
    def test_tensorrt_where_its_package_is(
        self, loads: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = self._of_onnxruntime_for_gpus(monkeypatch, loads)
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")
        monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")  # so that what is set here is gone at the end
        made: Any = onnx_session.session(b"", "gpu")
        assert [name for name, _ in made.wanted] == [onnx_session.CUDA, onnx_session.CPU]
        assert dict(made.wanted)[onnx_session.CUDA] == {"use_tf32": "0"}
        tensorrt = ModuleType("tensorrt")
        tensorrt.__spec__ = onnx_session.find_spec("json")
        monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
        monkeypatch.setenv(onnx_session.CACHE, str(tmp_path))
        made = onnx_session.session(b"", "gpu")
        assert isinstance(made, session)
        assert made.wanted[0][0] == onnx_session.TENSORRT
        assert made.wanted[0][1]["trt_engine_cache_path"] == str(tmp_path)
        assert onnx_session.os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
        assert not made.falls_back
        assert ("takes that for CUDA" in caplog.text) != loads

    def _of_onnxruntime_for_gpus(self, monkeypatch: pytest.MonkeyPatch, loads: bool) -> type:
        """What its sessions tell of themselves; it prints as it loads, which must not get among a command's data."""

        class Session:
            def __init__(self, _: bytes, __: object, providers: list[tuple[str, dict[str, str]]]) -> None:
                print("loading")
                self.wanted, self.falls_back = providers, True

            def disable_fallback(self) -> None:
                self.falls_back = False

            def get_providers(self) -> list[str]:
                return [name for name, _ in self.wanted if loads or name != onnx_session.TENSORRT]

        every = [onnx_session.TENSORRT, onnx_session.CUDA, onnx_session.CPU]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: every)
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        return Session

    def test_what_it_prints_is_no_data(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._of_onnxruntime_for_gpus(monkeypatch, loads=True)
        onnx_session.session(b"", "gpu")
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", "loading\n")


def test_the_result_says_where_it_was_made(tmp_path: Path) -> None:
    found = ub.enhance(speckle(), run_folder(tmp_path), device="cpu")
    assert found.settings["enhanced"][-1]["device"] == "cpu"


class TestGraphsOnTheHost:
    """See `tests.train.host_graph`."""

    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch_that_says(monkeypatch, None)
        host_graph.install(monkeypatch)

    @pytest.mark.parametrize("name", MODELS)
    def test_a_replay_makes_of_every_image_what_a_pass_makes(self, name: str) -> None:
        chosen, rng = network(name), np.random.default_rng(0)
        replayed = runtimes.runner(chosen, device="gpu")
        images = [rng.random(size, np.float32) for size in ((49, 33), (48, 64), (49, 33), (49, 33))]
        made = [replayed(image) for image in images]  # each is read after those that follow are made
        for image, found in zip(images, made, strict=True):
            np.testing.assert_allclose(found, runtimes.runner(chosen)(image), atol=1e-6)

    def test_a_graph_is_captured_once_for_each_of_the_last_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[tuple[int, int]] = []

        class Counted(replay.Replayed):
            def __init__(self, chosen: Network, size: tuple[int, int]) -> None:
                sizes.append(size)
                super().__init__(chosen, size)

        monkeypatch.setattr(replay, "Replayed", Counted)
        run = runtimes.runner(network(), device="gpu")
        asked = [(20, 20), (21, 20), (20, 20), (22, 20), (23, 20), (24, 20), (21, 20)]
        for size in asked:
            run(np.zeros(size, np.float32))
        assert sizes == [(20, 20), (21, 20), (22, 20), (23, 20), (24, 20), (21, 20)]  # which was the oldest of four

    def test_an_image_is_enhanced_as_on_the_cpu(self, tmp_path: Path) -> None:
        made = [ub.enhance(speckle(), run_folder(tmp_path), device=device) for device in ("cpu", "gpu")]
        np.testing.assert_allclose(made[1].data, made[0].data, atol=1e-4)
        assert [each.settings["enhanced"][-1]["device"] for each in made] == ["cpu", "gpu"]


class _Devices(TorchDispatchMode):
    """All that the tensors of all operations lie on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.seen |= {str(each.device) for each in tree_leaves((args, kwargs, made)) if isinstance(each, torch.Tensor)}
        return made


@pytest.mark.parametrize("name", MODELS)
def test_a_pass_touches_nothing_but_the_device_of_the_image(name: str) -> None:
    """A CUDA graph cannot hold what the host does; ``meta`` is a device that every torch has."""
    there = build(name).to("meta")
    with torch.no_grad(), _Devices() as devices:
        made = there(torch.empty((1, 1, 101, 61), device="meta"))
    assert made.shape == (1, 1, 101, 61)
    assert devices.seen == {"meta"}


def test_float32_is_float32_and_what_was_set_is_set_again() -> None:
    before = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    with gpu.exact():
        assert (cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic) == (False, False, True)
    assert (cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic) == before


class TestFullMemory:
    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError(FULL),
            RuntimeError("CUDA error: out of memory"),
            RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
            Exception("Non-zero status code: Failed to allocate memory for requested buffer of size 4294967296"),
        ],
    )
    def test_as_every_library_says_it(self, error: Exception) -> None:
        with (
            pytest.raises(DeviceOutOfMemory, match=r"^image: a network does not fit .*\(found 620 x 256\)") as caught,
            gpu.within_memory("a network", location="image", found="620 x 256", hint="device cpu"),
        ):
            raise error
        assert caught.value.exit_code == 4
        assert caught.value.__cause__ is error

    def test_other_errors_are_what_they_are(self) -> None:
        with (
            pytest.raises(RuntimeError, match="shapes"),
            gpu.within_memory("a network", location="image", found="", hint=""),
        ):
            raise RuntimeError("shapes do not fit")

    def test_inference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: object) -> runtimes.Runner:
            def run(_: runtimes.Array) -> runtimes.Array:
                raise torch.OutOfMemoryError(FULL)

            return run

        monkeypatch.setattr(runtimes, "_replayed", full)
        with pytest.raises(DeviceOutOfMemory, match=r"found 40 x 30"):
            runtimes.runner(network(), device="gpu")(np.zeros((40, 30), np.float32))

    def test_a_step_that_does_not_fit_leaves_the_last_state(self, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the middle of the second epoch; then the run goes on elsewhere, to the same result."""
        forward, steps = Network.forward, iter(range(1, 100))

        def full(self: Network, image: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled() and next(steps) == 5:
                raise torch.OutOfMemoryError(FULL)
            return forward(self, image)

        with monkeypatch.context() as patch:
            patch.setattr(Network, "forward", full)
            with pytest.raises(DeviceOutOfMemory, match=r"^step 5: .*found a batch of 2 crops of 32 x 32") as caught:
                fit(begun.with_name("pairs.h5"), out=begun, resume=True, device="cpu")
        assert "smaller batch or crop" in str(caught.value.hint)
        assert "--resume --device cpu" in str(caught.value.hint)
        assert checkpoint.load(begun / run.STATE)[1]["step"] == 3
        fit(begun.with_name("pairs.h5"), out=begun, resume=True, device="cpu")
        assert same_tensors(begun.with_name("whole") / run.WEIGHTS, begun / run.WEIGHTS)

    def test_validation_that_does_not_fit(self, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: Loop, __: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError(FULL)

        monkeypatch.setattr(Loop, "predict", full)
        with pytest.raises(DeviceOutOfMemory, match=r"a whole image does not fit .*found 48 x 48"):
            fit(begun.with_name("pairs.h5"), out=begun, resume=True, device="cpu")


def test_a_run_goes_on_where_the_precision_is_another(
    make_pairs: MakePairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a GPU with bfloat16 to a CPU without: `auto` is asked for, and means what can be had."""

    def stop(_: run.Epoch) -> None:
        raise KeyboardInterrupt

    pairs, out = make_pairs(), tmp_path / "run"
    monkeypatch.setattr(config, "_has_bfloat16", lambda device: device.type == "cpu")
    with pytest.raises(KeyboardInterrupt):
        fit(pairs, tiny(precision="auto"), out=out, on_epoch=stop, device="cpu")
    assert json.loads((out / run.FACTS).read_text())["precision"] == "bfloat16"
    monkeypatch.setattr(config, "_has_bfloat16", lambda device: device.type == "cuda")
    found = fit(pairs, out=out, resume=True, device="cpu")
    assert len(found.history) == 2


@on_gpu
class TestOnAGpu:
    @pytest.fixture
    def images(self) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        return [torch.rand(size, generator=generator) for size in ((620, 256), (101, 61))]

    @pytest.mark.parametrize("name", MODELS)
    def test_the_cpu_the_gpu_and_the_graph_agree(self, name: str, images: list[torch.Tensor]) -> None:
        here, there = network(name), network(name).to("cuda")
        for image in images:
            with torch.no_grad(), gpu.exact():
                wanted = here(image[None, None])[0, 0]
                plain = there(image[None, None].to("cuda"))[0, 0].cpu()
            torch.testing.assert_close(plain, wanted, rtol=0, atol=1e-4)
            replayed = replay.Replayed(there, (image.shape[0], image.shape[1]))
            first, other, again = replayed(image), replayed(1 - image), replayed(image)
            torch.testing.assert_close(first, wanted, rtol=0, atol=1e-4)
            assert torch.equal(first, again)
            assert not torch.equal(first, other)

    @pytest.mark.parametrize("runtime", ["torch", "onnx"])
    def test_enhanced_images_agree(self, runtime: str, tmp_path: Path) -> None:
        if runtime == "onnx" and gpu.obstacle("onnx") is not None:
            pytest.skip(str(gpu.obstacle("onnx")))
        for name in ("unet-light", "looks-light"):
            folder = run_folder(tmp_path / name, name)
            made = [ub.enhance(speckle(), folder, device=device, runtime=runtime) for device in ("cpu", "gpu")]
            np.testing.assert_allclose(made[1].data, made[0].data, atol=60 * 1e-4)
            assert made[1].settings["enhanced"][-1]["device"] == "gpu"

    def test_a_training_goes_on_on_the_other_device(self, begun: Path) -> None:
        pairs = begun.with_name("pairs.h5")
        found = fit(pairs, out=begun, resume=True, device="gpu")
        assert found.facts["device"] == torch.cuda.get_device_name()
        wanted = run.load_run(begun.with_name("whole")).history
        for mine, theirs in zip(found.history, wanted, strict=True):
            assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)
            assert mine.validation_loss == pytest.approx(theirs.validation_loss, rel=1e-3)

    def test_a_training_begun_there_ends_on_the_cpu(self, make_pairs: MakePairs, tmp_path: Path) -> None:
        def stop(_: run.Epoch) -> None:
            raise KeyboardInterrupt

        pairs, out = make_pairs(), tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            fit(pairs, tiny(precision="auto"), out=out, on_epoch=stop, device="gpu")
        assert len(fit(pairs, out=out, resume=True, device="cpu").history) == 2

    def test_an_image_that_does_not_fit(self) -> None:
        _, total = torch.cuda.mem_get_info()
        side = 16 * int((total / 8) ** 0.5 / 16)  # at full resolution one channel of 16 takes half the memory
        with pytest.raises(DeviceOutOfMemory, match="of whose"):
            runtimes.runner(network("unet"), device="gpu")(np.zeros((side, side), np.float32))
