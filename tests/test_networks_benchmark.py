"""The networks' benchmark: threads that are really set, sums as stated, and everything runs on tiny sizes."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import networks
from benchmarks.networks import QUICK, Work

TINY = replace(QUICK, networks=("looks-light",), n_z=64, n_x=48, n_elements=12, repeats=1, steps=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks")
    networks.prepare(path, TINY)
    return path


def test_full_work_is_what_is_asked_for() -> None:
    assert Work().grid.shape == (620, 256)
    assert Work().n_elements == 64
    assert set(Work().networks) == {"unet", "unet-light", "looks", "looks-light"}


def test_a_process_of_its_own_has_the_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, numba, torch; print(json.dumps([torch.get_num_threads(), numba.get_num_threads()]))"
    )
    monkeypatch.setattr(networks, "__file__", str(script))
    for name in networks.THREADS:
        monkeypatch.setenv(name, "2")
    assert networks.alone(1, networks.prepare, tmp_path, TINY) == [1, 1]


def test_a_process_that_fails_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(networks, "__file__", str(script))
    with pytest.raises(SystemExit, match="prepare"):
        networks.alone(1, networks.prepare, tmp_path, TINY)


@pytest.mark.slow
def test_every_runtime_has_its_times(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "alone", lambda _, what, *given: what(*given))
    blocks = list(networks.inference_report(folder, TINY, [1]))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in blocks[1].splitlines()[2:]]
    assert [row[1] for row in rows] == ["torch", "onnx", "openvino"]
    for network, runtime, *times in rows:
        if runtime in networks.INSTALLED:
            assert network == "looks-light"
            assert all(float(each) > 0 for each in times)
        else:
            assert (network, *times) == ("all", "not installed", "not installed")


@pytest.mark.slow
def test_every_stage_and_network_of_the_chain_is_timed(folder: Path) -> None:
    found = networks.time_chain(folder, TINY)
    assert all(ms > 0 for ms in found["stages"].values())
    assert found["n_looks"] == 4
    assert [row[:2] for row in found["networks"]] == [("looks-light", runtime) for runtime in networks.INSTALLED]
    assert all(ms > 0 for row in found["networks"] for ms in row[2:])
    assert (folder / "image.png").is_file()


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch finds a GPU")
def test_without_a_gpu_it_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["networks.py", "--device", "gpu"])
    with pytest.raises(SystemExit) as caught:
        networks.main()
    assert caught.value.code == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("not measured: device: no GPU can be used: torch")
    assert "\nhint: " in said.err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_every_network_is_timed_on_a_gpu(folder: Path) -> None:
    *_, table, _ = networks.gpu_report(folder, TINY)
    name, runtime, *figures = (cell.strip() for cell in table.splitlines()[2].split("|")[1:-1])
    assert (name, runtime) == ("looks-light", "torch")
    kernels, one_pass, enhance, difference = map(float, figures)
    assert 0 < kernels < one_pass < enhance
    assert difference < 1e-4


def test_only_runtimes_that_have_the_gpu_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = networks.OnGpu(kernels=0.25, one_pass=0.5, enhance=3.0, difference=1e-6)
    reason = networks.gpu.Obstacle("no provider", "pip")
    monkeypatch.setattr(networks, "time_on_gpu", lambda *_: made)
    monkeypatch.setattr(networks.gpu, "obstacle", lambda runtime: None if runtime == "torch" else reason)
    monkeypatch.setattr(networks, "INSTALLED", ["torch", "onnx"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    heading, _, table, _ = networks.gpu_report(tmp_path, TINY)
    assert "a GPU" in heading
    assert table.splitlines()[2:] == [
        "| looks-light | torch | 0.250 | 0.500 | 3.0 | 1.0e-06 |",
        "| all | onnx | no provider |  |  |  |",
    ]


def test_a_frame_is_the_sum_of_its_stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("tables, once for all frames", "angular components", "image", "looks", "log compression", "PNG")
    stages = {name: 10.0**i for i, name in enumerate(names)}
    found = {"stages": stages, "networks": [["looks", "torch", 3.0, 7.0]], "n_looks": 4}
    monkeypatch.setattr(networks, "alone", lambda *_: found)
    heading, _, table, note = networks.chain_report(tmp_path, Work(), [1, 2])
    assert "threads: 2" in heading
    assert table.splitlines()[-1] == "| looks | torch | 3.0 | 7.0 | 100113.0 | 101117.0 |"
    assert "(10 passes)" in note


@pytest.mark.slow
def test_training_is_measured_in_a_process(folder: Path) -> None:
    found = networks.alone(1, networks.time_training, folder, TINY, "looks-light", "float32")
    assert 0 < found["step"] < found["epoch"]
    assert 0 < found["waiting"] < 1
    assert 50e6 < found["peak"] < 50e9


def test_first_calls_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "WARM_UP", 6)
    calls: list[str] = []

    def call(text: str) -> None:
        calls.append(text)
        if len(calls) <= 6:
            time.sleep(0.2)

    assert networks.median(replace(TINY, repeats=5), call, text="a") < 100
    assert calls == ["a"] * 11


def test_the_heading_says_what_to_judge_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "PACKAGES", ("torch", "no-such-package"))
    title, facts = networks.machine()
    assert title.startswith("Measured on ")
    assert "Load average" in facts
    assert f"torch {torch.__version__}" in facts
    assert "no-such-package not installed" in facts
