"""Small pairs files, made as `usbeam pairs` makes them: structure under speckle that is drawn anew for lq and hq."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter

import usbeam as ub
from usbeam.io.pairs_file import FileImages, Pairs, Source, write_pairs
from usbeam.train import checkpoint
from usbeam.train.config import Config
from usbeam.train.run import Epoch

MakePairs = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Generator[None]:
    """The machine is shared, and results are the same to the bit: on a CPU, unless a test asks for the GPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USBEAM_DEVICE", "cpu")
        yield
    torch.set_num_threads(before)


def structure_db(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Echogenicity: tissue with a disc that is darker and one that is brighter."""
    z, x = np.mgrid[: shape[0], : shape[1]]
    level = np.zeros(shape)
    for step in (-20.0, 8.0):
        centre = [rng.uniform(0.2, 0.8) * side for side in shape]
        level[np.hypot(z - centre[0], x - centre[1]) < 0.2 * min(shape)] = step
    return level


def speckled(rng: np.random.Generator, level_db: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Envelope of fully developed speckle of about two pixels."""
    parts = [gaussian_filter(rng.standard_normal(level_db.shape), 0.8) for _ in range(2)]
    return np.hypot(*parts) * 10 ** (level_db / 20)


def write_tiny(
    path: Path,
    recordings: int = 3,
    each: int = 4,
    shape: tuple[int, int] = (48, 48),
    dynamic_range_db: float = 100.0,
    seed: int = 0,
    replaced: Mapping[int, npt.NDArray[np.float32]] | None = None,
) -> Path:
    """A pairs file of so many recordings with so many pairs each; some lq may be `replaced`."""
    rng = np.random.default_rng(seed)
    n_pairs, ones = recordings * each, np.ones((recordings * each, 1), np.float32)
    header = Pairs(
        lq=FileImages(str(path), "lq", (n_pairs, *shape)),
        hq=FileImages(str(path), "hq", (n_pairs, *shape)),
        grid=ub.Grid.linear(x=(-5e-3, 5e-3), z=(5e-3, 15e-3), shape=shape),
        lq_transmits=ones,
        hq_transmits=ones,
        overlap=np.zeros(n_pairs),
        correlation=np.zeros(n_pairs),
        recording=np.repeat(np.arange(recordings), each),
        frame=np.tile(np.arange(each), recordings),
        source=Source(
            file=tuple(f"{index}.h5" for index in range(recordings)),
            sha256=tuple(f"{index:064x}" for index in range(recordings)),
            settings=tuple(json.dumps({}) for _ in range(recordings)),
            speckle_cell=np.zeros((recordings, 2)),
        ),
        strategy="random",
        seed=seed,
        dynamic_range_db=dynamic_range_db,
    )
    with write_pairs(path, header) as writer:
        for recording in range(recordings):
            writer.measure(recording, (0.3e-3, 0.5e-3))
            level = structure_db(rng, shape)
            for index in range(recording * each, (recording + 1) * each):
                lq, hq = (_compressed(speckled(rng, level), dynamic_range_db) for _ in range(2))
                writer.put(index, (replaced or {}).get(index, lq), hq, 0.0)
    return path


@pytest.fixture
def make_pairs(tmp_path: Path) -> MakePairs:
    """`write_tiny`, into this test's folder."""

    def make(name: str = "pairs.h5", **how: Any) -> Path:
        return write_tiny(tmp_path / name, **how)

    return make


TINY = {"model": "looks-light", "epochs": 2, "steps_per_epoch": 3, "batch": 2, "crop": (32, 32), "warm_up": 2}


def tiny(**changed: Any) -> Config:
    """Few small steps, unless changed."""
    return Config(**{**TINY, **changed})


@pytest.fixture(scope="session")
def _begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs, a run of them that ended after the first epoch of two, and one that went through."""
    from usbeam.train.training import fit

    folder = tmp_path_factory.mktemp("begun")
    pairs = write_tiny(folder / "pairs.h5")

    def stop(_: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(pairs, tiny(), out=folder / "begun", on_epoch=stop)
    fit(pairs, tiny(), out=folder / "whole")
    return folder


@pytest.fixture
def begun(_begun_once: Path, tmp_path: Path) -> Path:
    """A run that ended after the first epoch of two, beside its ``pairs.h5`` and the ``whole`` run."""
    return shutil.copytree(_begun_once, tmp_path / "copy") / "begun"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_tensors(first: Path, second: Path) -> bool:
    """Whether two checkpoints have the same tensors, to the bit."""
    (one, _), (other, _) = (checkpoint.load(path) for path in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("pickle_was_loaded",)


def rewritten(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]) -> None:
    """Change what is in a checkpoint, which stays a whole one."""
    tensors, facts = checkpoint.load(path)
    change(tensors, facts)
    checkpoint.save(path, tensors, facts)


def broken(path: Path, how: str) -> None:
    """Make a checkpoint one that cannot be used; `HOWS` lists the ways."""
    whole = path.read_bytes()
    if how == "random bytes":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif how == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    elif how == "pickle of torch":
        torch.save({"state_dict": Trap()}, path)
    elif how == "truncated":
        path.write_bytes(whole[:-100])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "not a number":
        rewritten(path, lambda tensors, _: tensors["last.bias"].fill_(float("nan")))
    elif how == "another network":
        rewritten(path, lambda tensors, _: tensors.update({"last.bias": torch.zeros(3)}))
    elif how == "a tensor is missing":
        rewritten(path, lambda tensors, _: tensors.pop("last.bias"))


HOWS = [
    "random bytes",
    "pickle",
    "pickle of torch",
    "truncated",
    "empty",
    "not a number",
    "another network",
    "a tensor is missing",
]


def _compressed(envelope: npt.NDArray[np.float64], dynamic_range_db: float) -> npt.NDArray[np.float32]:
    return np.clip(1 + 20 * np.log10(envelope / envelope.max()) / dynamic_range_db, 0, 1).astype(np.float32)
