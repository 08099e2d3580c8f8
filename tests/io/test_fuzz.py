"""Two thousand spoilt files: whatever is done to a recording, only `UsbeamError` comes out of reading it."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.io.recordings import plane_waves, small
from usbeam.errors import UsbeamError
from usbeam.io import Finding, load, save, validate

Mutation = Callable[[Path], None]


def _whole(recording_name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.h5"
        save(small() if recording_name == "elements" else plane_waves(), path)
        return path.read_bytes()


WHOLE = {name: _whole(name) for name in ("elements", "plane")}


def _names(content: bytes) -> tuple[list[str], list[tuple[str, str]]]:
    """Every dataset, and every attribute with its owner."""
    datasets: list[str] = []
    attributes: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.h5"
        path.write_bytes(content)
        with h5py.File(path) as file:

            def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
                attributes.extend((name, attribute) for attribute in node.attrs)
                if isinstance(node, h5py.Dataset):
                    datasets.append(name)

            note("/", file)
            file.visititems(note)
    return datasets, attributes


DATASETS, ATTRIBUTES = _names(WHOLE["elements"])
PLANE_DATASETS, _ = _names(WHOLE["plane"])
NAMES = sorted({*DATASETS, *PLANE_DATASETS})
TYPES = ("f2", "f4", "f8", ">f8", "c8", "c16", "i1", "i2", "i4", ">i8", "u1", "u8", "?", "S7", "S1")
NUMBERS = (0.0, -1.0, 1e-300, 1e300, np.nan, np.inf, -np.inf, 2.0**53, 1.54)


def _replace(path: Path, name: str, change: Callable[[np.ndarray], object]) -> None:
    """Replace a dataset by what `change` makes of it, with the same attributes."""
    with h5py.File(path, "r+") as file:
        if name not in file or file[name].nbytes > 10**6:  # what `huge` made is left as it is
            return
        kept = dict(file[name].attrs)
        value = change(file[name][()])
        del file[name]
        file[name] = value
        with contextlib.suppress(UnicodeEncodeError):  # text that another mutation broke can be read but not written
            file[name].attrs.update(kept)


@st.composite
def dropped(draw: st.DrawFn) -> Mutation:
    name = draw(st.sampled_from([*NAMES, "probe", "transmit", "truth", "provenance"]))

    def mutate(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if name in file:
                del file[name]

    return mutate


@st.composite
def attribute_changed(draw: st.DrawFn) -> Mutation:
    owner, name = draw(st.sampled_from(ATTRIBUTES))
    values = st.one_of(st.none(), st.text(max_size=5), st.floats(), st.binary(max_size=4), st.just(np.zeros((2, 2))))
    value = draw(values)

    def mutate(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if owner not in file or name not in file[owner].attrs:
                return
            del file[owner].attrs[name]
            if value is not None:
                with contextlib.suppress(ValueError):  # h5py itself refuses text with a null character
                    file[owner].attrs[name] = value

    return mutate


@st.composite
def retyped(draw: st.DrawFn) -> Mutation:
    name, dtype = draw(st.sampled_from(NAMES)), draw(st.sampled_from(TYPES))

    def change(value: np.ndarray) -> object:
        with contextlib.suppress(ValueError, TypeError), np.errstate(all="ignore"):
            return np.asarray(value).astype(dtype)
        return value

    return lambda path: _replace(path, name, change)


@st.composite
def reshaped(draw: st.DrawFn) -> Mutation:
    name = draw(st.sampled_from(NAMES))
    how = draw(st.sampled_from(["ravel", "extra", "first", "empty", "twice", "half"]))
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "ravel": np.ravel,
        "extra": lambda value: value[None],
        "first": lambda value: np.ravel(value)[0] if value.size else value,  # emptied by another mutation
        "empty": lambda value: np.ravel(value)[:0],
        "twice": lambda value: np.concatenate([np.atleast_1d(value)] * 2),
        "half": lambda value: np.atleast_1d(value)[: max(1, len(np.atleast_1d(value)) // 2)],
    }
    return lambda path: _replace(path, name, lambda value: ways[how](np.asarray(value)))


@st.composite
def axes_swapped(draw: st.DrawFn) -> Mutation:
    name, one, other = draw(st.sampled_from(NAMES)), draw(st.integers(0, 3)), draw(st.integers(0, 3))

    def change(value: np.ndarray) -> object:
        array = np.asarray(value)
        return np.swapaxes(array, one % array.ndim, other % array.ndim).copy() if array.ndim else array

    return lambda path: _replace(path, name, change)


@st.composite
def number_changed(draw: st.DrawFn) -> Mutation:
    name = draw(st.sampled_from(NAMES))
    number = draw(st.one_of(st.sampled_from(NUMBERS), st.floats(width=32)))
    place = draw(st.integers(0, 10**6))

    def change(value: np.ndarray) -> object:
        array = np.array(value)
        if array.dtype.kind in "fciu" and array.size:
            with contextlib.suppress(ValueError, TypeError, OverflowError), np.errstate(all="ignore"):
                array.reshape(-1)[place % array.size] = number
        return array

    return lambda path: _replace(path, name, change)


@st.composite
def huge(draw: st.DrawFn) -> Mutation:
    name = draw(st.sampled_from(NAMES))
    length = draw(st.sampled_from([2**20, 2**31, 2**40, 2**60]))
    chunked = draw(st.booleans())

    def mutate(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if name not in file:
                return
            old = file[name]
            shape = (*old.shape[:-1], length)
            dtype, kept = old.dtype, dict(old.attrs)
            del file[name]
            with contextlib.suppress(ValueError, OSError):  # HDF5 itself refuses the largest
                file.create_dataset(name, shape, dtype, chunks=(1,) * (len(shape) - 1) + (64,) if chunked else None)
                file[name].attrs.update(kept)

    return mutate


@st.composite
def truncated(draw: st.DrawFn) -> Mutation:
    share = draw(st.floats(0, 1))
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)]) and None


@st.composite
def flipped(draw: st.DrawFn) -> Mutation:
    places = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4))

    def mutate(path: Path) -> None:
        content = bytearray(path.read_bytes())
        for place, bits in places:
            content[int(place * len(content))] ^= bits
        path.write_bytes(content)

    return mutate


STRUCTURED = st.one_of(dropped(), attribute_changed(), retyped(), reshaped(), axes_swapped(), number_changed(), huge())
MUTATIONS = st.one_of(
    st.lists(STRUCTURED, min_size=1, max_size=3), st.lists(truncated() | flipped(), min_size=1, max_size=1)
)


@pytest.mark.slow
@settings(
    max_examples=2000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.sampled_from(sorted(WHOLE)), mutations=MUTATIONS)
def test_only_usbeam_errors_escape(tmp_path: Path, name: str, mutations: list[Mutation]) -> None:
    """`validate` calls an ERROR whatever `load` refuses, and the other way round."""
    path = tmp_path / "spoilt.h5"
    path.write_bytes(WHOLE[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # from casting in a mutation
        for mutate in mutations:
            mutate(path)
    refusals = []
    findings: list[Finding] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what the file has beyond the contract
        try:
            acquisition = load(path)
        except UsbeamError as error:
            refusals.append(str(error))
        else:
            with contextlib.suppress(UsbeamError):
                acquisition.frame(0)
    try:
        findings = validate(path)
    except UsbeamError as error:
        refusals.append(str(error))
        assert len(refusals) == 2
    else:
        header = [each for each in findings if each.importance == "ERROR" and not each.location.startswith("/samples ")]
        assert bool(refusals) == any("every sample" not in finding.message for finding in header)
    assert all(text.isprintable() for text in [*refusals, *map(str, findings)])
