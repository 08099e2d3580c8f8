"""One recording, five containers, one set of values; and nothing but `UsbeamError` from damaged ones."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from tests.io.matlab_files import with_matlab_object, write_v5, write_v73
from usbeam.errors import BadField, FileAccessError, FileFormatError, MissingField, TooLarge, UnsafeFile, UsbeamError
from usbeam.io.convert.matlab import open_variables


def cell(*values: Any) -> np.ndarray:
    made = np.empty((1, len(values)), object)
    for index, value in enumerate(values):
        made[0, index] = value
    return made


def values() -> dict[str, Any]:
    structs = np.empty((1, 2), [("angle", object), ("name", object)])
    structs[0, 0] = (np.array([[0.1]]), "left")
    structs[0, 1] = (np.array([[0.2]]), "right")
    return {
        "fs": np.array([[25e6]]),
        "row": np.arange(5.0)[None],
        "column": np.arange(4.0)[:, None],
        "cube": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        "bytes": np.array([[200, 3]], np.uint8),
        "iq": np.array([[1 + 2j, 3 - 4j, 5j]]),
        "flags": np.array([[True, False, True]]),
        "title": "notch at 20 mm",
        "nothing": np.zeros((0, 3)),
        "silent": "",
        "seq": structs,
        "exp": {"array": {"x": np.array([[1.0, 2.0]]), "name": "linear"}, "speed": np.array([[6300]], np.uint16)},
        "shots": cell(np.ones((2, 3), np.int16), 2 * np.ones((2, 3), np.int16), "third"),
    }


WRITERS = {
    "v5": write_v5,
    "v5 uncompressed": lambda path, what: write_v5(path, what, compress=False),
    "v7.3": write_v73,
}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return WRITERS[request.param](tmp_path / "recording.mat", values())


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, str):
        assert found == expected
    elif expected.dtype.names:
        assert found.shape == expected.shape
        for struct_found, struct_expected in zip(found.flat, expected.flat, strict=True):
            for key in expected.dtype.names:
                assert_same(struct_found[key], struct_expected[key])
    elif expected.dtype == object:
        assert found.shape == expected.shape
        for one, other in zip(found.flat, expected.flat, strict=True):
            assert_same(one, other)
    else:
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", values())
def test_each_version_gives_the_same_value_and_shape(written: Path, name: str) -> None:
    with open_variables(written) as variables:
        assert_same(variables[name], values()[name])


def test_names_without_the_values(written: Path) -> None:
    with open_variables(written) as variables:
        assert sorted(variables.top_level()) == sorted(values())
        assert {"exp.array.x", "exp.array.name", "exp.speed", "shots", "cube"} <= set(variables.names())
        np.testing.assert_array_equal(variables["exp.array.x"], [[1.0, 2.0]])


def test_a_missing_name_is_answered_with_those_present(written: Path) -> None:
    with open_variables(written) as variables, pytest.raises(MissingField) as caught:
        variables.require("fs", "exp.array.y", "cub", "fs.deeper")
    assert "exp.array.y, cub, fs.deeper" in str(caught.value)
    assert "exp.array.x" in str(caught.value)
    assert caught.value.hint is not None
    assert "exp.array.x" in caught.value.hint


def test_scalars_however_wrapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=7, b=[7.0], c=[[7]], d=np.uint8([[[7]]]), two=[1, 2], text="7", iq=1j)
    with open_variables(tmp_path / "a.npz") as variables:
        assert [variables.scalar(name) for name in "abcd"] == [7.0] * 4
        for name in ("two", "text", "iq"):
            with pytest.raises(BadField):
                variables.scalar(name)


def test_vectors_are_rows_or_columns(written: Path) -> None:
    with open_variables(written) as variables:
        np.testing.assert_array_equal(variables.vector("row"), np.arange(5.0))
        np.testing.assert_array_equal(variables.vector("column"), np.arange(4.0))
        assert variables.vector("fs").shape == (1,)
        assert variables.vector("bytes").dtype == np.float64
        for name in ("cube", "nothing", "iq", "title", "shots"):
            with pytest.raises(BadField):
                variables.vector(name)


def test_files_that_are_not_matlabs_keep_their_axes(tmp_path: Path) -> None:
    cube = np.arange(24).reshape(2, 3, 4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/cube"] = cube
        file["scan/iq"] = np.array([1 + 2j], np.complex64)
        file["name"] = "phantom"
        file.attrs["fs"] = 40e6
        file["scan/cube"].attrs["unit"] = "mV"
    np.savez(tmp_path / "a.npz", **{"scan.cube": cube})
    np.save(tmp_path / "a.npy", cube)
    for file_name, name in (("a.h5", "scan.cube"), ("a.npz", "scan.cube"), ("a.npy", "data")):
        with open_variables(tmp_path / file_name) as variables:
            np.testing.assert_array_equal(variables[name], cube)
            assert name in variables.names()
    with open_variables(tmp_path / "a.h5") as variables:
        assert variables.scalar("@fs") == 40e6
        assert variables["scan.cube@unit"] == "mV"
        assert variables["name"] == "phantom"
        np.testing.assert_array_equal(variables["scan.iq"], [1 + 2j])
        assert {"@fs", "scan.cube@unit"} <= set(variables.names())
        assert variables.find("@nothing") is None
        assert variables.find("scan.cube.deeper") is None


def test_matlab_objects_do_not_get_in_the_way(tmp_path: Path) -> None:
    path = with_matlab_object(write_v5(tmp_path / "a.mat", values(), compress=False))
    with open_variables(path) as variables:
        assert sorted(variables.top_level()) == sorted(values())
        assert variables.scalar("fs") == 25e6
    newer = write_v73(tmp_path / "b.mat", values())
    with h5py.File(newer, "r+") as file:
        file["map"] = np.zeros((1, 6), np.uint32)
        file["map"].attrs["MATLAB_class"] = np.bytes_("containers.Map")
        file["map"].attrs["MATLAB_object_decode"] = np.int32(3)
        file["sparse"] = file.create_group("made")
        file["sparse"].attrs["MATLAB_class"] = np.bytes_("double")
        file["sparse"].attrs["MATLAB_sparse"] = np.uint64(3)
    with open_variables(newer) as variables:
        assert variables.scalar("fs") == 25e6
        for name in ("map", "sparse"):
            with pytest.raises(BadField, match="cannot read a"):
                variables[name]


def test_sparse_matrices_of_version_5_are_refused_by_name(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"s": csc_array(np.eye(3)), "fs": 1.0})
    with open_variables(tmp_path / "a.mat") as variables:
        assert variables.scalar("fs") == 1
        with pytest.raises(BadField, match="sparse"):
            variables["s"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", FileFormatError),
        (b"time,amplitude\n0,1\n" * 20, FileFormatError),
        (struct.pack("<IIIII", 0, 1, 1, 0, 2) + b"a\0" + b"\0" * 200, FileFormatError),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x07" * 64, BadField),
        (b"\x93NUMPY\x01\x00" + b"\xff" * 80, FileFormatError),
        (b"PK\x03\x04" + b"\xff" * 80, FileFormatError),
        (b"\x89HDF\r\n\x1a\n" + b"\xff" * 800, FileFormatError),
    ],
    ids=["empty", "text", "v4", "v5 of garbage", "npy of garbage", "npz of garbage", "hdf5 of garbage"],
)
def test_other_content_is_named(tmp_path: Path, content: bytes, error: type[UsbeamError]) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        open_variables(path)
    assert str(path) in str(caught.value)


def test_unreachable_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.mat"):
        with pytest.raises(FileAccessError):
            open_variables(path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "a.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([Trap()], object))
    for name, key in (("a.npy", "data"), ("a.npz", "a")):
        with pytest.raises(BadField), open_variables(tmp_path / name) as variables:
            variables[key]
    assert not (tmp_path / "sprung").exists()


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = np.zeros((100, 1 << 20), np.uint8)
    write_v5(tmp_path / "a.mat", {"a": zeros})
    np.savez_compressed(tmp_path / "a.npz", a=zeros)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (1 << 20, 1 << 20), "f4")
    for name in ("a.mat", "a.npz", "a.h5"):
        assert (tmp_path / name).stat().st_size < 1 << 19
        with pytest.raises(TooLarge), open_variables(tmp_path / name) as variables:
            variables["a"]


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\x01" * 80)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = [1.0]
    for number, trick in enumerate(
        (
            lambda file: file.create_dataset("a", (10,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 80)]),
            lambda file: file.__setitem__("a", h5py.ExternalLink(str(tmp_path / "other.h5"), "/a")),
            lambda file: file.__setitem__("a", h5py.SoftLink("/a")),
        )
    ):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            trick(file)
        with pytest.raises(UnsafeFile), open_variables(path) as variables:
            variables["a"]


def test_references_in_a_circle_end(tmp_path: Path) -> None:
    path = write_v73(tmp_path / "a.mat", {"c": cell(np.ones((1, 1)))})
    with h5py.File(path, "r+") as file:
        file["c"][0, 0] = file["c"].ref
    with open_variables(path) as variables, pytest.raises(UnsafeFile, match="deep"):
        variables["c"]


def read_all(path: Path) -> None:
    with open_variables(path) as variables:
        for name in variables.names():
            variables.find(name)


def small_files(folder: Path) -> list[Path]:
    made = [writer(folder / f"{number}.mat", values()) for number, writer in enumerate(WRITERS.values())]
    np.savez(folder / "a.npz", a=np.arange(30.0), b="text")
    np.savez_compressed(folder / "b.npz", a=np.arange(30.0))
    np.save(folder / "a.npy", np.arange(30.0))
    return [*made, folder / "a.npz", folder / "b.npz", folder / "a.npy"]


def test_damage_anywhere_raises_only_our_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for path in small_files(tmp_path):
        whole = path.read_bytes()
        for trial in range(120):
            damaged = bytearray(whole)
            if trial % 3 == 0:
                damaged = damaged[: rng.integers(len(whole))]
            else:
                for _ in range(1 + trial % 4):
                    damaged[rng.integers(len(whole))] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                read_all(path)
            except UsbeamError:
                refused += 1
    assert refused > 200  # the damage was real


@pytest.mark.real_data
def test_the_pins_file_with_its_object(real_data: Path) -> None:
    with open_variables(real_data / "sta_water_pins" / "ArraySteelPins.mat") as variables:
        assert variables.scalar("fs") == 50
        assert variables["strW.unit"] == "us"
        shots = variables["data"]
        assert isinstance(shots, np.ndarray)
        assert shots.shape == (32, 1)
        assert shots[0, 0].shape == (1750, 32)


@pytest.mark.real_data
def test_both_versions_of_one_real_file(real_data: Path) -> None:
    folder = real_data / "fmc_aluminium_small"
    with open_variables(folder / "exp_data.mat7.mat") as old, open_variables(folder / "exp_data.mat73.mat") as new:
        assert sorted(old.names()) == sorted(new.names())
        for name in old.names():
            np.testing.assert_array_equal(old.array(name), new.array(name))
            assert old.array(name).shape == new.array(name).shape
            assert old.array(name).dtype == new.array(name).dtype
