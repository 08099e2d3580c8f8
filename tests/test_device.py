"""Which device: no silent fall-back, and for every obstacle its reason and the line that removes it."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import logging
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cuda import host
from usbeam import __version__, device
from usbeam.cli.doctor import doctor, warmup
from usbeam.errors import ConfigError, DeviceUnavailable
from usbeam.kernels import backend, cuda


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("USBEAM_DEVICE", raising=False)
    device.forget()
    yield
    monkeypatch.undo()
    device.forget()


class Machine:
    """A machine with this driver, these packages of CuPy, and this CuPy."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.drivers_loaded = 0

    def driver(self, version: int | None, status: int = 0) -> Machine:
        """What the driver's library says; None: there is none."""
        real = ctypes.CDLL

        def load(name: Any, *arguments: Any, **options: Any) -> Any:
            if name not in ("libcuda.so.1", "nvcuda.dll"):
                return real(name, *arguments, **options)
            self.drivers_loaded += 1
            if version is None:
                raise OSError(name)
            return SimpleNamespace(cuDriverGetVersion=tell)

        def tell(reference: Any) -> int:
            reference._obj.value = version
            return status

        for name in [name for name in sys.modules if name.split(".")[0] in ("cupy", "cupyx")]:
            self.patch.delitem(sys.modules, name)
        self.patch.setattr(ctypes, "CDLL", load)
        return self

    def packages(self, *wheels: str) -> Machine:
        real, real_spec = metadata.version, importlib.util.find_spec

        def version(package: str) -> str:
            if not package.startswith("cupy"):
                return real(package)
            if package not in wheels:
                raise metadata.PackageNotFoundError(package)
            return "14.2.0"

        self.patch.setattr(metadata, "version", version)
        if not wheels:
            self.patch.setattr(device, "find_spec", lambda name: None if name == "cupy" else real_spec(name))
        return self

    def cupy(self, **runtime: Callable[..., Any]) -> Any:
        """CUDA on the host in the place of CuPy, with other answers of CUDA's runtime."""
        cupy = host.install(self.patch)
        for name, answer in runtime.items():
            assert hasattr(cupy.cuda.runtime, name)
            self.patch.setattr(cupy.cuda.runtime, name, answer)
        return cupy


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(sys, "platform", "linux")
    return Machine(monkeypatch)


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def met(reason: str, remedy: str) -> None:
    """The obstacle is this one: `usbeam doctor` says so, ``auto`` goes round it, ``gpu`` stops before it."""
    found = device.gpu_obstacle()
    assert found is not None
    assert reason in found.reason
    assert remedy in found.remedy
    report = device.report()
    assert (report["gpu"], report["gpu remedy"]) == (found.reason, found.remedy)
    assert device.resolve("auto") == device.resolve("cpu") == "cpu"
    with pytest.raises(DeviceUnavailable) as caught:
        device.resolve("gpu")
    assert str(caught.value) == f"device: no GPU can be used: {found.reason}"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(found.remedy)
    assert "usbeam doctor" in caught.value.hint
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("wheels", [(), ("cupy-cuda12x",)])
def test_without_a_driver_nothing_else_is_looked_at(machine: Machine, wheels: tuple[str, ...]) -> None:
    machine.packages(*wheels).driver(None)
    met("no NVIDIA driver is installed (", "https://www.nvidia.com/drivers")
    assert "cupy" not in sys.modules
    assert device.report()["nvidia driver"] == "missing"


def test_a_driver_that_answers_with_an_error_is_none(machine: Machine) -> None:
    machine.packages("cupy-cuda12x").driver(12040, status=34)  # CUDA's stub of a driver
    met("no NVIDIA driver", "https://www.nvidia.com/drivers")


def test_macos_has_no_cuda(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    machine.packages().driver(None)
    met("CUDA does not exist on macOS", "a machine with a GPU by NVIDIA")


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (12040, "pip install 'usbeam[gpu]'"),
        (13010, "pip install 'usbeam[gpu13]'"),
        (11040, "update the driver to one for CUDA 12 or newer, then pip install 'usbeam[gpu]'"),
    ],
)
def test_the_driver_says_which_cupy_to_install(machine: Machine, version: int, remedy: str) -> None:
    machine.packages().driver(version)
    met("CuPy is not installed", remedy)
    found = device.gpu_obstacle()
    assert found is not None
    assert found.remedy == remedy
    assert device.report()["cupy"] == "missing"


def test_packages_of_cupy_lie_over_each_other(machine: Machine) -> None:
    machine.packages("cupy", "cupy-cuda11x", "cupy-cuda13x").driver(13000)
    met(
        "several packages of CuPy are installed, one over the other: cupy, cupy-cuda11x, cupy-cuda13x",
        "pip uninstall -y cupy cupy-cuda11x cupy-cuda13x, then pip install 'usbeam[gpu13]'",
    )
    assert "cupy" not in sys.modules


def test_a_cupy_that_cannot_be_imported(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cupy.py").write_text(
        "try:\n    raise ImportError('libcudart.so.12: cannot open shared object file')\n"
        "except ImportError as error:\n    raise ImportError('=====\\nFailed to import CuPy.\\n=====') from error\n"
    )
    machine.packages("cupy-cuda12x").driver(12040)
    monkeypatch.syspath_prepend(tmp_path)
    met(
        "CuPy cannot be imported: ImportError: libcudart.so.12: cannot open shared object file",
        "pip install --force-reinstall cupy-cuda12x",
    )


def test_a_driver_older_than_the_package(machine: Machine) -> None:
    machine.packages("cupy-cuda13x")
    machine.cupy(driverGetVersion=lambda: 12040, runtimeGetVersion=lambda: 13010)
    met(
        "the driver is too old: it serves CUDA up to 12.4, and cupy-cuda13x needs 13.0",
        "pip uninstall -y cupy-cuda13x, then pip install 'usbeam[gpu]'; or update the driver",
    )


def test_a_driver_newer_than_the_package_will_do(machine: Machine) -> None:
    machine.packages("cupy-cuda12x")
    machine.cupy(driverGetVersion=lambda: 13010, runtimeGetVersion=lambda: 12090)
    assert device.gpu_obstacle() is None


@pytest.mark.parametrize("shown", [None, "", "7"])
def test_a_driver_without_a_gpu(machine: Machine, monkeypatch: pytest.MonkeyPatch, shown: str | None) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    none = RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    machine.packages("cupy-cuda12x").cupy(getDeviceCount=failing(none))
    if shown is None:
        met("the driver offers no GPU (RuntimeError: cudaErrorNoDevice", "nvidia-smi -L")
    else:
        met(f"CUDA_VISIBLE_DEVICES={shown!r} hides every GPU", "unset CUDA_VISIBLE_DEVICES")


def test_no_gpu_counted_is_none(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine.packages("cupy-cuda12x").cupy(getDeviceCount=lambda: 0)
    met("the driver offers no GPU", "nvidia-smi -L")


HEADERS = (
    "/site-packages/cupy/_core/include/cupy/complex.cuh(94): catastrophic error: " + "x" * 300 + " cannot "
    'open source file "vector_types.h"'
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("CuPy failed to load libnvrtc.so.12: OSError: no such file"), "CuPy cannot load NVRTC"),
        (RuntimeError("CuPy failed to load nvrtc64_120_0.dll: FileNotFoundError"), "CuPy cannot load NVRTC"),
        (ImportError('Failure finding "libcufft.so.12 or libcufft.so.11"'), "CuPy cannot load cuFFT"),
        (RuntimeError("CuPy failed to load libcublas.so.12"), "CuPy cannot load cuBLAS"),
        (Exception(HEADERS), "NVRTC finds no headers of CUDA"),
        (RuntimeError("cudaErrorNoKernelImageForDevice"), "a first kernel fails: RuntimeError: cudaErrorNoKernel"),
    ],
)
@pytest.mark.parametrize(
    ("wheel", "remedy"),
    [("cupy-cuda12x", "pip install 'cupy-cuda12x[ctk]>=14'"), ("cupy", "install CUDA Toolkit 12, https://")],
)
def test_what_a_kernel_needs_is_missing(
    machine: Machine, error: Exception, reason: str, wheel: str, remedy: str
) -> None:
    cupy = machine.packages(wheel).cupy()
    machine.patch.setattr(cupy, "ones", failing(error))
    met(reason, remedy)
    found = device.gpu_obstacle()
    assert found is not None
    assert len(found.reason) < 320


def test_a_gpu_whose_memory_is_full(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.packages("cupy-cuda12x").cupy(memGetInfo=lambda: (100_000_000, 8_000_000_000))
    monkeypatch.setattr(host.MEMORY, "total", host.MEMORY.used + 8)
    met("the GPU's memory is full: 0.1 of 8.0 GB free", "nvidia-smi lists the programs that hold it")


def test_a_gpu_without_memory_to_start_with(machine: Machine) -> None:
    full = RuntimeError("cudaErrorMemoryAllocation: out of memory")
    cupy = machine.packages("cupy-cuda12x").cupy(memGetInfo=failing(full))
    machine.patch.setattr(cupy, "ones", failing(full))
    met("the GPU's memory is full", "nvidia-smi")


def test_it_is_found_out_once(machine: Machine) -> None:
    machine.packages().driver(None)
    for _ in range(3):
        device.gpu_obstacle()
    assert machine.drivers_loaded == 1
    device.forget()
    device.gpu_obstacle()
    assert machine.drivers_loaded == 2


def test_auto_says_once_what_it_took_and_why(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.packages().driver(12040)
    with caplog.at_level(logging.INFO, "usbeam"):
        device.resolve("cpu")
        assert not caplog.records
        assert [device.resolve("auto") for _ in range(3)] == ["cpu"] * 3
    assert caplog.messages == ["device auto takes the CPU: no GPU can be used: CuPy is not installed"]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_auto_takes_a_gpu_that_works(gpu: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "usbeam"):
        assert [device.resolve("auto") for _ in range(3)] == ["gpu"] * 3
    name = gpu.cuda.runtime.getDeviceProperties(0)["name"].decode()
    assert caplog.messages == [f"device auto takes the GPU: {name}"]
    assert device.resolve("gpu") == "gpu"
    assert device.resolve("cpu") == "cpu"


def test_the_environment_says_what_auto_means(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.packages("cupy-cuda12x").cupy()
    assert device.resolve("auto") == "gpu"
    for told, meant in {"cpu": "cpu", "gpu": "gpu", "auto": "gpu", "": "gpu"}.items():
        monkeypatch.setenv("USBEAM_DEVICE", told)
        assert device.resolve("auto") == meant
        assert device.resolve("cpu") == "cpu"
        assert device.resolve("gpu") == "gpu"
    monkeypatch.setenv("USBEAM_DEVICE", "fast")
    assert device.resolve("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"USBEAM_DEVICE: unknown device \(expected auto, cpu or gpu, found fast\)"):
        device.resolve("auto")


def test_a_gpu_that_the_environment_asks_for_must_be_there(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.packages().driver(None)
    monkeypatch.setenv("USBEAM_DEVICE", "gpu")
    with pytest.raises(DeviceUnavailable, match="USBEAM_DEVICE: no GPU can be used: no NVIDIA driver"):
        device.resolve("auto")


@pytest.mark.parametrize("word", ["cuda", "GPU", "", "gpu:7", "cuda:7"])
def test_other_words_are_no_device(word: str) -> None:
    with pytest.raises(ConfigError, match="device: unknown device") as caught:
        device.resolve(word)
    assert (caught.value.hint is not None) == (":" in word)
    if caught.value.hint:
        assert caught.value.hint.startswith("CUDA_VISIBLE_DEVICES=7")


def test_report_names_versions_memory_and_the_gpu() -> None:
    report = device.report()
    assert report["usbeam"] == __version__
    assert report["numpy"] == metadata.version("numpy")
    assert report["gpu"] == str(device.gpu_obstacle() or "usable")
    assert "GB free" in report["memory"]
    assert json.loads(json.dumps(report)) == report


def test_report_describes_a_gpu_that_works(machine: Machine) -> None:
    machine.packages("cupy-cuda12x").cupy(memGetInfo=lambda: (6_000_000_000, 8_000_000_000))
    report = device.report()
    assert report["gpu"] == "usable"
    assert report["gpu name"] == "the host"
    assert report["gpu compute capability"] == "9.0"
    assert report["gpu memory"] == "6.0 of 8.0 GB free"
    assert report["cupy"] == "14.2.0 (cupy-cuda12x)"
    assert report["nvidia driver"] == "for CUDA up to 12.9"
    assert report["cuda runtime"] == report["nvrtc"] == "12.9"
    assert "gpu remedy" not in report


@pytest.mark.parametrize(("cuda", "said"), [("'13.0'", "built for CUDA 13.0"), ("None", "built for the CPU")])
def test_report_names_the_cuda_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: str, said: str) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "torch" / "version.py").write_text(f"debug = False\ncuda: Optional[str] = {cuda}\nhip = None\n")
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert said in device.report()["torch"]


def test_doctor_prints_the_line_that_mends_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.packages("cupy", "cupy-cuda12x").driver(12040)
    doctor()
    lines = [line.split("  ")[-1].strip() for line in capsys.readouterr().out.splitlines()]
    assert "pip uninstall -y cupy cupy-cuda12x, then pip install 'usbeam[gpu]'" in lines
    doctor(as_json=True)
    assert json.loads(capsys.readouterr().out)["gpu remedy"] in lines


def test_warmup_compiles_for_a_usable_gpu_too(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What takes minutes is only noted here: the compiling, and the work on each device."""
    used: list[str] = []
    compiled: list[cuda.Variant] = []
    names = ("srad", "obnlm")
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "module", lambda variant: SimpleNamespace(compile=lambda: compiled.append(variant)))
        patch.setattr(backend, "MODULES", names)
        patch.setattr("usbeam.cli.doctor._use", used.append)
        warmup(as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert used == ["cpu", "gpu"]
    assert compiled == [variant for name in names for variant in getattr(backend.backend("gpu"), name).VARIANTS]
    assert {"seconds", "gpu_seconds"} <= found.keys()


def test_warmup_without_a_gpu_says_nothing_of_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.packages().driver(None)
    monkeypatch.setattr("usbeam.cli.doctor._use", lambda _: None)
    warmup(as_json=True)
    assert json.loads(capsys.readouterr().out).keys() == {"seconds", "kept"}


def test_the_extras_that_are_named_exist_and_bring_what_kernels_need() -> None:
    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for extra, package in {"gpu": "cupy-cuda12x", "gpu13": "cupy-cuda13x"}.items():
        assert [line.split(">=")[0] for line in extras[extra]] == [f"{package}[ctk]"]
    assert not any("torchvision" in line for lines in extras.values() for line in lines)
