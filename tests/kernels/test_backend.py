"""Arrays come to a device: those that lie there are not copied, and those on another device are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from usbeam.errors import ConfigError
from usbeam.kernels.backend import CPU, backend


class Exporter:
    """An array of the pretended GPU in the hands of a library that speaks DLPack, as torch does."""

    def __init__(self, owned: np.ndarray, device: tuple[int, int] = (2, 0)) -> None:
        self.owned = owned
        self.device = device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        return self.owned.__dlpack__()

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class Older:
    """An array of the GPU that offers only ``__cuda_array_interface__``, as Numba's do."""

    def __init__(self, owned: np.ndarray) -> None:
        address = owned.__array_interface__["data"]
        self.__cuda_array_interface__ = {
            "shape": owned.shape,
            "typestr": owned.dtype.str,
            "data": address,
            "strides": None,
            "version": 3,
        }


def same_memory(one: np.ndarray, other: np.ndarray) -> bool:
    return one.ctypes.data == other.ctypes.data


def test_the_host_keeps_arrays_as_they_are() -> None:
    samples = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert CPU.asarray(samples) is samples
    assert same_memory(CPU.asarray(samples.T), samples)
    assert CPU.numpy(samples) is samples
    np.testing.assert_array_equal(CPU.asarray([1.0, 2.0]), [1.0, 2.0])
    assert CPU.asarray(np.float32(3)).shape == ()


@pytest.mark.parametrize("name", ["int16", "float32", "complex64"])
def test_tensors_of_torch_on_the_cpu_are_taken_without_a_copy(name: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones((2, 3), dtype=getattr(torch, name))
    found = CPU.asarray(tensor)
    assert type(found) is np.ndarray
    assert found.dtype == name
    assert found.ctypes.data == tensor.data_ptr()
    strided = tensor[:, ::2]
    assert CPU.asarray(strided).ctypes.data == tensor.data_ptr()
    assert CPU.asarray(strided).shape == (2, 2)


def test_what_torch_cannot_give_is_refused_in_its_words() -> None:
    torch = pytest.importorskip("torch")
    for tensor, words in (
        (torch.ones(3, requires_grad=True), r"tensor.detach\(\)"),
        (torch.ones(3, dtype=torch.bfloat16), "BFloat16"),
        (torch.ones(3, dtype=torch.complex64).conj(), "resolve_conj"),
    ):
        with pytest.raises(ConfigError, match=f"cannot be taken as an array: .*{words}") as caught:
            CPU.asarray(tensor)
        assert caught.value.found == "torch.Tensor"


@pytest.mark.parametrize("kind", [Exporter, Older])
def test_the_host_refuses_arrays_of_a_gpu(kind: Any) -> None:
    with pytest.raises(ConfigError, match="the samples lie on a GPU, and the work is done on the CPU") as caught:
        CPU.asarray(kind(np.ones(3, np.float32)))
    assert "device='gpu'" in (caught.value.hint or "")
    assert ".cpu()" in (caught.value.hint or "")


def test_the_host_refuses_arrays_of_cupy(gpu: Any) -> None:
    with pytest.raises(ConfigError, match="lie on a GPU") as caught:
        CPU.asarray(gpu.zeros(3))
    assert ".get()" in (caught.value.hint or "")


def test_the_gpu_keeps_its_own_arrays(gpu: Any) -> None:
    samples = gpu.arange(6)
    assert backend("gpu").asarray(samples) is samples
    part = samples[::2]
    assert backend("gpu").asarray(part) is part


@pytest.mark.parametrize("kind", [list, np.asarray, "torch"])
def test_arrays_of_the_host_are_sent_to_the_gpu(gpu: Any, kind: Any) -> None:
    if kind == "torch":
        kind = pytest.importorskip("torch").tensor
    given = kind([1.0, 2.0, 3.0])
    found = backend("gpu").asarray(given)
    assert isinstance(found, gpu.ndarray)
    np.testing.assert_array_equal(backend("gpu").numpy(found), [1.0, 2.0, 3.0])
    given[0] = 7.0
    assert float(found[0]) == 1.0


@pytest.mark.parametrize("name", ["int16", "float32", "complex64"])
def test_arrays_of_other_libraries_on_the_gpu_are_taken_without_a_copy(pretended: Any, name: str) -> None:
    owned = np.arange(6).astype(name).reshape(2, 3)
    found = backend("gpu").asarray(Exporter(owned))
    assert isinstance(found, pretended.ndarray)
    assert same_memory(found.array, owned)
    np.testing.assert_array_equal(found.get(), owned)


def test_the_older_interface_will_do(pretended: Any) -> None:
    owned = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = backend("gpu").asarray(Older(owned))
    assert isinstance(found, pretended.ndarray)
    assert same_memory(found.array, owned)


@pytest.mark.parametrize("device", [(2, 1), (8, 0), (10, 0)])
def test_the_gpu_refuses_arrays_of_other_devices(gpu: Any, device: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=f"found DLPack's device {device[0]}:{device[1]}"):
        backend("gpu").asarray(Exporter(np.ones(3), device))


def test_tensors_of_torch_on_the_gpu_are_taken_without_a_copy(gpu: Any) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    tensor = torch.ones((2, 3), device="cuda")
    assert backend("gpu").asarray(tensor).data.ptr == tensor.data_ptr()
    image = gpu.ones((2, 3), np.complex64)
    assert torch.from_dlpack(image).data_ptr() == image.data.ptr


@pytest.fixture
def pretended(gpu: Any) -> Any:
    """CUDA on the host, whose memory the tests can make; not a real GPU."""
    from tests.cuda import host

    if gpu.ndarray is not host.ndarray:
        pytest.skip("on a real GPU, torch's tensors are tested")
    return gpu
