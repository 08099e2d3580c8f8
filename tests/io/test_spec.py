"""The contracts of data_specs, and the page made from them."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest

from tests.io.recordings import small
from usbeam.acquisition import SAMPLE_TYPES
from usbeam.errors import ConfigError
from usbeam.image import Image
from usbeam.io.spec import Field, Spec, load_spec, spec_folder, specs_by_format
from usbeam.probe import PROBE_KINDS
from usbeam.transmits import TRANSMIT_KINDS

SPECS = [load_spec(name) for name in ("channel_data", "image", "pairs")]


@pytest.fixture(scope="module")
def make_readme() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_readme", spec_folder() / "make_readme.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_contracts_are_consistent(spec: Spec) -> None:
    locations = [entry.location for entry in spec.entries()]
    assert len(set(locations)) == len(locations)
    named = {name for field in spec.fields for shape in field.shapes for name in shape if isinstance(name, str)}
    assert named == set(spec.dimensions)
    for field in spec.fields:
        assert (field.units == "") == (field.dtypes == ("str",))
        for dtype in field.dtypes:
            assert dtype == "str" or np.dtype(dtype).name == dtype
    for entry in spec.entries():
        for location in entry.required_when:
            assert location in locations or location.removesuffix(":dtype") in locations
    assert spec["/:format"].choices == (spec.name,)


def test_contract_agrees_with_the_nouns() -> None:
    spec = load_spec("channel_data")
    assert spec["/transmit/kind"].choices == TRANSMIT_KINDS
    assert spec["/probe:kind"].choices == PROBE_KINDS
    samples = spec["/samples"]
    assert isinstance(samples, Field)
    assert set(samples.dtypes) == set(SAMPLE_TYPES)


def test_every_member_exists() -> None:
    """The places that the contracts name in Python objects are there."""
    recording = small()
    for entry in (*load_spec("channel_data").entries(), *load_spec("channel_data").groups):
        holder: object = recording
        for name in (entry.member or "").split(".") if entry.member else ():
            assert hasattr(holder, name), entry
            holder = getattr(holder, name)
    names = {entry.member.split(".")[0] for entry in load_spec("image").entries() if entry.member}
    assert names <= set(Image.__dataclass_fields__)


def test_required_when_all_conditions_hold() -> None:
    analytic = load_spec("channel_data")["/samples:analytic"]
    complex_samples = {"/samples:kind": "iq", "/samples:dtype": "complex64"}
    assert analytic.is_required({**complex_samples, "/demodulation_frequency": 0.0})
    assert not analytic.is_required({**complex_samples, "/demodulation_frequency": 5e6})
    assert not analytic.is_required(complex_samples)
    direction = load_spec("channel_data")["/transmit/direction"]
    assert direction.is_required({"/transmit/kind": ("element", "plane")})
    assert not direction.is_required({"/transmit/kind": ("element",)})


def test_formats_are_found_by_name() -> None:
    assert list(specs_by_format()) == ["usbeam-channel-data", "usbeam-image", "usbeam-pairs"]
    with pytest.raises(ConfigError, match="channel_data"):
        load_spec("chanel_data")


def test_readme_is_up_to_date(make_readme: ModuleType) -> None:
    committed = (spec_folder() / "README.md").read_text(encoding="utf-8")
    assert committed == make_readme.readme(), "run `python data_specs/make_readme.py`"


def test_readme_says_everything(make_readme: ModuleType) -> None:
    page = make_readme.readme()
    for spec in SPECS:
        for entry in spec.entries():
            assert entry.description in page
    for words in ("Time zero", "time_zero.svg", "Verasonics", "initial_time + sequence[k].delay"):
        assert words in page
    assert (spec_folder() / "time_zero.svg").stat().st_size > 5000
