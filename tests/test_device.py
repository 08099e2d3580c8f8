"""Which device: no silent fall-back, and a report that names what is there."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from usbeam import __version__, device
from usbeam.errors import ConfigError, DeviceUnavailable


@pytest.mark.skipif(device.gpu_obstacle() is None, reason="this machine has a usable GPU")
def test_a_gpu_that_cannot_be_had_is_an_error_with_its_reason() -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        device.resolve("gpu")
    assert str(device.gpu_obstacle()) in str(caught.value)
    assert caught.value.exit_code == 4
    assert "usbeam doctor" in (caught.value.hint or "")
    assert device.resolve("auto") == "cpu"


def test_cpu_is_always_there() -> None:
    assert device.resolve("cpu") == "cpu"


@pytest.mark.parametrize("word", ["cuda", "GPU", "", "gpu:7"])
def test_other_words_are_no_device(word: str) -> None:
    with pytest.raises(ConfigError, match="device: unknown device"):
        device.resolve(word)


def test_report_names_versions_memory_and_the_gpu() -> None:
    report = device.report()
    assert report["usbeam"] == __version__
    assert report["numpy"] == metadata.version("numpy")
    assert report["gpu"] == (device.gpu_obstacle() or "usable")
    assert "GB free" in report["memory"]
    assert json.loads(json.dumps(report)) == report
