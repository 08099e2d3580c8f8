"""The settings of a training: the published values, and one clear refusal of everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from usbeam.errors import ConfigError, FileAccessError
from usbeam.train.config import DEFAULTS, Config, from_table, read_toml
from usbeam.train.networks import MODELS


@pytest.mark.parametrize("model", ["unet", "unet-light"])
def test_the_paper(model: str) -> None:
    config = Config(model=model)
    assert config.crop == (448, 224)  # z, x
    assert (config.learning_rate, config.batch, config.epochs) == (1e-3, 4, 20)
    assert (config.schedule, config.warm_up, config.clip, config.steps_per_epoch) == ("constant", 0, 0.0, 0)
    assert config.domain == "display"


@pytest.mark.parametrize("model", ["looks", "looks-light"])
def test_the_note_on_looks(model: str) -> None:
    config = Config(model=model)
    assert config.crop == (128, 128)
    assert (config.learning_rate, config.batch) == ({"looks": 1e-3, "looks-light": 4e-3}[model], 4)
    assert (config.schedule, config.warm_up, config.clip) == ("cosine", 50, 1.0)
    assert config.epochs * config.steps_per_epoch >= 3000
    assert config.domain == "median"


def test_every_network_has_its_values() -> None:
    assert DEFAULTS.keys() == MODELS.keys()
    assert Config(model="unet", warm_up=7, clip=0.5).warm_up == 7
    assert Config(model="looks", steps_per_epoch=0).steps_per_epoch == 0  # 0 is a value, not a gap


def test_a_table_there_and_back() -> None:
    config = Config(model="unet-light", epochs=3, crop=(64, 32))
    table = json.loads(json.dumps(config.table()))
    assert from_table(table) == config
    assert config.differences(table) == {}
    assert config.differences({**table, "epochs": 4, "more": 1}) == {"epochs": (3, 4), "more": (None, 1)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "resnet"),
        ("model", 3),
        ("model", None),
        ("model", ["unet"]),
        ("epochs", 0),
        ("epochs", 2.0),
        ("epochs", True),
        ("epochs", "3"),
        ("seed", -1),
        ("seed", 2**64),
        ("batch", 0),
        ("crop", 64),
        ("crop", (64,)),
        ("crop", (64, 15)),
        ("crop", (64, 64.0)),
        ("crop", "ab"),
        ("steps_per_epoch", -1),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "1e-3"),
        ("warm_up", -1),
        ("schedule", "linear"),
        ("clip", -1.0),
        ("clip", float("nan")),
        ("held_out", 0.0),
        ("held_out", 1.0),
        ("patience", -1),
        ("precision", "float16"),
    ],
)
def test_what_is_not_allowed(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        from_table({name: value}, "settings.toml")
    assert (caught.value.path, caught.value.location) == ("settings.toml", name)
    assert caught.value.expected


def test_unknown_settings_are_all_named() -> None:
    with pytest.raises(ConfigError, match=r"expected of model, .*found epoch, rate�") as caught:
        from_table({"epoch": 3, "rate\x1b": 1, "seed": 1})
    assert caught.value.exit_code == 2


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('model = "unet"\ncrop = [64, 48]\nlearning_rate = 1e-4\n')
    assert from_table(read_toml(path), path) == Config(model="unet", crop=(64, 48), learning_rate=1e-4)
    for content in (b"model = unet", b"\xff\xfe", b"a = " + b"[" * 10_000):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="not TOML"):
            read_toml(path)
    for place in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(FileAccessError):
            read_toml(place)


@pytest.mark.parametrize("able", [True, False])
def test_precision_is_that_of_the_processor(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    device = torch.device("cpu")
    assert Config().resolved(device) == Config(precision="float32")
    assert Config(precision="auto").resolved(device).precision == ("bfloat16" if able else "float32")
    if able:
        assert Config(precision="bfloat16").resolved(device) == Config(precision="bfloat16")
    else:
        with pytest.raises(ConfigError, match="the processor does not have it"):
            Config(precision="bfloat16").resolved(device)
