"""Every variant of every kernel compiles for the GPUs that people have, on any machine."""

from __future__ import annotations

import importlib

import pytest

from tests.cuda import nvrtc
from usbeam.kernels.backend import MODULES
from usbeam.kernels.cuda import FOLDER, Variant

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
VARIANTS: list[Variant] = sorted(
    {variant for name in MODULES for variant in importlib.import_module(f"usbeam.kernels.{name}_gpu").VARIANTS}
)


def test_every_source_has_a_variant() -> None:
    assert {variant.source for variant in VARIANTS} == {path.name for path in FOLDER.glob("*.cu")}


@pytest.mark.skipif(
    nvrtc.library() is None, reason="NVIDIA's compiler is not installed: pip install nvidia-cuda-nvrtc-cu12"
)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: " ".join(map(str, (variant.source, *variant.macros))))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_variant_compiles_without_a_warning(variant: Variant, architecture: str) -> None:
    code = (FOLDER / variant.source).read_text(encoding="utf-8")
    machine_code, said = nvrtc.compile_source(code, variant.options, architecture)
    assert machine_code.startswith(b"\x7fELF")
    assert not said.strip("\0\n ")


@pytest.mark.skipif(
    nvrtc.library() is None, reason="NVIDIA's compiler is not installed: pip install nvidia-cuda-nvrtc-cu12"
)
def test_a_mistake_is_reported() -> None:
    with pytest.raises(AssertionError, match="undefined_name"):
        nvrtc.compile_source('extern "C" __global__ void f(float* out) { *out = undefined_name; }', (), "sm_80")
