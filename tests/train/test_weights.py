"""Weights on disk: as they were, without running anything, and one clear error for whatever is something else."""

from __future__ import annotations

import dataclasses
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from usbeam.errors import CheckpointError, ConfigError, FileAccessError
from usbeam.train import checkpoint, weights
from usbeam.train.networks import MODELS, Network, build

FACTS = {"dynamic_range_db": 60.0, "spacing": [5e-5, 6.25e-5], "version": "0.1", "recordings": None}
FILE = "net.safetensors"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of weights that are whole."""
    weights.save(build("unet-light", seed=0), tmp_path / FILE, FACTS)
    return tmp_path / FILE


def rewritten(path: Path, *, header: dict[str, Any] | None = None, **changed: torch.Tensor | None) -> None:
    """The same weights with another header, or tensors added, replaced or, where None, taken out."""
    tensors, facts = checkpoint.load(path)
    known = {**tensors, **{name.replace("__", "."): tensor for name, tensor in changed.items()}}
    whole = {name: tensor for name, tensor in known.items() if tensor is not None}
    checkpoint.save(path, whole, {**facts, **(header or {})})


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        weights.load(path)
    assert caught.value.path == str(path)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", MODELS)
def test_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    network = build(name, seed=0)
    for _ in range(2):  # the second replaces the first
        weights.save(network, tmp_path / FILE, FACTS)
    found, facts = weights.load(tmp_path / FILE)
    assert facts == FACTS
    assert found.architecture == MODELS[name]
    assert found.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, found.state_dict()[key]) for key, tensor in network.state_dict().items())
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_reading_draws_no_random_number(path: Path) -> None:
    before = torch.get_rng_state()
    weights.load(path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float16, 2**-11), (torch.bfloat16, 2**-8)])
def test_half_the_bytes(dtype: torch.dtype, error: float, path: Path) -> None:
    network, half = build("unet-light", seed=0), path.with_name("half")
    weights.save(network, half, FACTS, dtype=dtype)
    assert half.stat().st_size < 0.6 * path.stat().st_size
    found, _ = weights.load(half)
    for key, tensor in network.state_dict().items():
        assert found.state_dict()[key].dtype == torch.float32
        torch.testing.assert_close(found.state_dict()[key], tensor, rtol=error, atol=1e-7)
    assert all(tensor.dtype == torch.float32 for tensor in network.state_dict().values())  # that which was saved
    assert not found.training


def test_a_fit_of_something_else(path: Path) -> None:
    checkpoint.save(path, {"weight": torch.zeros(3)}, {"kind": "self2self 1", "step": 3})
    assert str(refused(path)) == (
        f"{path}: kind: not the weights of a network (expected network 1, found 'self2self 1')"
    )


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("a pickle was loaded",)


def test_what_is_no_file_of_ours(path: Path) -> None:
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "cut in its tensors": whole[:-7],
        "cut in its header": whole[:20],
        "random": bytes(torch.randint(256, (5000,), dtype=torch.uint8)),
        "pickle": pickle.dumps(Trap()),
    }
    for name, content in contents.items():
        path.with_name(name).write_bytes(content)
    torch.save({"weight": Trap()}, path.with_name("torch"))
    save_file({"weight": torch.zeros(3)}, path.with_name("bare"))
    for name in (*contents, "torch", "bare"):
        error = refused(path.with_name(name))
        assert error.what == "not the weights of a network, or damaged"
        assert error.expected
        assert error.found


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"kind": "network 2"}, "kind: .*expected network 1, found 'network 2'"),
        ({"kind": 5}, "kind: .*found 5"),
        ({"model": "resnet"}, "model: .*expected one of unet, unet-light, looks, looks-light, found 'resnet'"),
        ({"model": ["unet"]}, r"model: .*found \['unet'\]"),
        ({"model": "x" * 10_000}, "model: .*found 'xxx"),
        ({"model": None}, "model: .*found None"),
        ({"facts": None}, "facts: .*expected a table, found None"),
    ],
)
def test_another_header(header: dict[str, Any], words: str, path: Path) -> None:
    rewritten(path, header=header)
    error = refused(path)
    assert re.search(words, str(error))
    assert len(str(error)) < 300 + len(str(path))


def test_another_network_under_this_name(path: Path) -> None:
    rewritten(path, header={"model": "looks-light"})
    assert "do not fit the network looks-light" in str(refused(path))


@pytest.mark.parametrize(
    ("tensor", "found"),
    [
        (torch.zeros(1, 8, 3, 3), "(1, 8, 3, 3) of torch.float32"),
        (torch.zeros(8), "(8,) of torch.float32"),
        (torch.zeros(1, 8, 1, 1, dtype=torch.int32), "(1, 8, 1, 1) of torch.int32"),
        (torch.zeros(1, 8, 1, 1, dtype=torch.float64), "(1, 8, 1, 1) of torch.float64"),
        (None, "nothing"),
    ],
)
def test_a_tensor_that_does_not_fit(tensor: torch.Tensor | None, found: str, path: Path) -> None:
    rewritten(path, last__weight=tensor)
    error = refused(path)
    assert (error.location, error.found) == ("last.weight", found)
    assert error.expected.startswith("(1, 8, 1, 1) of ")


def test_a_tensor_too_many(path: Path) -> None:
    rewritten(path, more=torch.zeros(2))
    error = refused(path)
    assert (error.location, error.expected, error.found) == ("more", "nothing", "(2,) of torch.float32")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value: float, path: Path) -> None:
    rewritten(path, last__weight=torch.full((1, 8, 1, 1), value))
    error = refused(path)
    assert (error.location, error.found) == ("last.weight", "8 of 8 that are not")
    network, before = build("unet-light", seed=0), path.read_bytes()
    torch.nn.init.constant_(network.last.weight, value)
    with pytest.raises(CheckpointError, match=r"last\.weight"):
        weights.save(network, path, FACTS)
    assert path.read_bytes() == before


def test_too_large_for_half_precision(path: Path) -> None:
    network = build("unet-light", seed=0)
    torch.nn.init.constant_(network.last.bias, 1e6)
    with pytest.raises(CheckpointError, match=r"last\.bias.*finite numbers in torch\.float16"):
        weights.save(network, path.with_name("half"), FACTS, dtype=torch.float16)
    assert not path.with_name("half").exists()
    weights.save(network, path, FACTS, dtype=torch.bfloat16)


@pytest.mark.parametrize("facts", [{"a": float("nan")}, {"a": object()}, {"a": torch.zeros(2)}, {("a",): 1}])
def test_facts_that_json_does_not_hold(facts: dict[Any, Any], path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="JSON"):
        weights.save(build("unet-light"), path, facts)
    assert path.read_bytes() == before


def test_what_cannot_be_saved(path: Path) -> None:
    small = Network(dataclasses.replace(MODELS["looks"], widths=(4, 8)))
    with pytest.raises(ConfigError, match="not a network that load could build"):
        weights.save(small, path, FACTS)
    with pytest.raises(ConfigError, match=r"not a dtype of weights.*torch\.float16.*found torch\.int8"):
        weights.save(build("looks"), path, FACTS, dtype=torch.int8)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileAccessError):
            weights.load(path)
    with pytest.raises(FileAccessError):
        weights.save(build("looks-light"), tmp_path / "missing" / FILE, FACTS)
