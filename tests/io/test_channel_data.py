"""Recordings on disk: what is written is read back, lazily, and every wrong header is refused in one clear line."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.recordings import assert_clear, plane_waves, small
from usbeam.acquisition import ABSENT, Acquisition
from usbeam.errors import BadField, ConfigError, FileFormatError, MissingField, TooLarge, UnsupportedVersion
from usbeam.io import load, save, validate
from usbeam.io.channel_data import FileSamples
from usbeam.io.spec import spec_folder
from usbeam.probe import Probe
from usbeam.transmits import Transmits

Spoil = Callable[[h5py.File], None]


def spoil(path: Path, change: Spoil) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def put(name: str, value: Any, **attributes: Any) -> Spoil:
    """Replace a dataset by one of the same attributes."""

    def change(file: h5py.File) -> None:
        kept = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        file[name] = value
        file[name].attrs.update({**kept, **attributes})

    return change


def attribute(owner: str, name: str, value: Any) -> Spoil:
    """Replace an attribute; None removes it."""

    def change(file: h5py.File) -> None:
        del file[owner].attrs[name]
        if value is not None:
            file[owner].attrs[name] = value

    return change


def drop(*names: str) -> Spoil:
    def change(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return change


def edit(name: str, change: Callable[[np.ndarray], Any]) -> Spoil:
    """Replace a dataset by what `change` makes of it."""
    return lambda file: put(name, change(file[name][()]))(file)


def assert_equal(one: Any, other: Any) -> None:
    """Two nouns hold the same facts."""
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name == "path":
            continue
        if dataclasses.is_dataclass(left) and field.name != "samples":
            assert_equal(left, right)
        elif isinstance(left, np.ndarray) or field.name == "samples":
            assert np.array_equal(np.asarray(left), np.asarray(right)), field.name
        else:
            assert left == right, field.name


def custom() -> Acquisition:
    """Curved probe, focused transmits, half of the receivers, int16."""
    angle = np.linspace(-0.3, 0.3, 6)
    positions = np.stack([0.04 * np.sin(angle), 0 * angle, 0.04 * np.cos(angle) - 0.04], axis=1)
    probe = Probe(element_positions=positions, center_frequency=3e6, kind="curved")
    transmits = Transmits.focused(probe, [[0.0, 0.0, 0.03], [0.0, 0.0, -0.02]], 1540.0)
    samples = np.arange(2 * 3 * 40, dtype=np.int16).reshape(1, 2, 3, 40)
    return Acquisition(
        samples=samples,
        kind="rf",
        sampling_frequency=20e6,
        start_time=[1e-6, -2e-6],
        sound_speed=1480.0,
        probe=probe,
        transmits=transmits,
        receive_elements=np.array([[0, 1, 2], [5, ABSENT, 3]]),
        scale=0.5,
        offset=-3.0,
    )


def iq(demodulation_frequency: float) -> Acquisition:
    rng = np.random.default_rng(3)
    samples = rng.standard_normal((1, 4, 4, 32, 2)).astype(np.float32).view(np.complex64)[..., 0]
    return small(samples=samples, kind="iq", demodulation_frequency=demodulation_frequency, **_ONE_FRAME)


_ONE_FRAME: dict[str, Any] = {"n_frames": 1}


@pytest.mark.parametrize(
    "recording",
    [small(), plane_waves(), custom(), iq(5e6), iq(0.0)],
    ids=["elements", "plane", "custom", "iq", "analytic"],
)
def test_what_is_saved_is_loaded(tmp_path: Path, recording: Acquisition) -> None:
    path = tmp_path / "recording.h5"
    recording.save(path)
    loaded = load(path)
    assert_equal(recording, loaded)
    assert loaded.samples.dtype == recording.samples.dtype
    assert loaded.path == str(path)
    assert [finding for finding in validate(path, full=True) if finding.importance == "ERROR"] == []


def test_the_file_is_as_the_contract_says(recording: Path) -> None:
    with h5py.File(recording) as file:
        samples = file["samples"]
        assert samples.chunks == (1, 1, 4, 32)
        assert samples.shuffle
        assert samples.fletcher32
        assert samples.compression == "gzip"
        digest = hashlib.sha256(small().samples.astype("<f4").tobytes()).hexdigest()
        assert file.attrs["sha256_samples"].decode() == digest
        assert load(recording).samples.sha256 == digest
        assert file["sound_speed"].shape == ()
        assert file["sound_speed"].attrs["units"] == b"m/s"

        def described(name: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Dataset):
                assert "description" in node.attrs, name

        file.visititems(described)


def test_example_of_every_released_version_loads() -> None:
    examples = sorted((spec_folder() / "examples").glob("channel_data-*.h5"))
    assert [each.stem for each in examples] == ["channel_data-1.0"]
    for path in examples:
        assert load(path).frame(0).shape == (2, 4, 32)
        assert [finding for finding in validate(path, full=True) if finding.importance != "HINT"] == []


def test_samples_are_lazy(recording: Path) -> None:
    samples = load(recording).samples
    assert isinstance(samples, FileSamples)
    whole = small().samples
    assert np.array_equal(samples[1], whole[1])
    assert np.array_equal(samples[-1], whole[-1])
    assert np.array_equal(samples[0:2], whole)
    assert np.array_equal(samples[1, 2], whole[1, 2])
    assert np.array_equal(samples[:, 1:3], whole[:, 1:3])
    assert samples[1, 2, 3, 4] == whole[1, 2, 3, 4]
    assert np.array_equal(np.asarray(samples), whole)
    assert np.array_equal(list(samples), whole)
    assert samples[2:].shape == (0, 4, 4, 32)
    assert samples[0].flags.writeable
    again = pickle.loads(pickle.dumps(samples))
    assert again == samples
    assert np.array_equal(again[0], whole[0])
    for key in (2, -3, (0, 4), (0, 0, 0, 0, 0), slice(None, None, -1)):
        with pytest.raises(IndexError):
            samples[key]


def test_frame_asks_for_a_frame(recording: Path) -> None:
    acquisition = load(recording)
    assert np.array_equal(acquisition.frame(-1), small().samples[1])
    with pytest.raises(ConfigError, match="no such frame"):
        acquisition.frame(2)


def test_only_what_is_asked_is_read(recording: Path) -> None:
    """A frame that cannot be read does not stop the other."""
    with h5py.File(recording) as file:
        place = file["samples"].id.get_chunk_info_by_coord((1, 0, 0, 0)).byte_offset
    content = bytearray(recording.read_bytes())
    content[place : place + 50] = bytes(50)
    recording.write_bytes(content)
    acquisition = load(recording)
    assert acquisition.frame(0).any()
    with pytest.raises(FileFormatError):
        acquisition.frame(1)


def test_one_frame_must_fit_into_memory(recording: Path) -> None:
    acquisition = load(recording, max_gb=4e-6)
    with pytest.raises(TooLarge, match="reading this takes") as caught:
        acquisition.samples[:]
    assert_clear(caught.value, recording, "--max-gb")
    assert acquisition.frame(0).shape == (4, 4, 32)


def test_file_changed_since_it_was_loaded(recording: Path) -> None:
    acquisition = load(recording)
    for other in (small(n_samples=16), small(samples=np.ones((2, 4, 4, 32), np.int16))):
        save(other, recording, overwrite=True)
        with pytest.raises(BadField, match="changed"):
            acquisition.frame(0)


def test_a_file_replaces_itself(recording: Path) -> None:
    load(recording).replace(sound_speed=1480.0).save(recording, overwrite=True)
    changed = load(recording)
    assert changed.sound_speed == 1480.0
    assert np.array_equal(np.asarray(changed.samples), small().samples)


def test_unknown_fields_are_named_once(recording: Path) -> None:
    def add(file: h5py.File) -> None:
        file["temperature"] = 21.0
        file["x_temperature"] = 21.0
        file["probe"].attrs["serial"] = "7"
        file["probe"].attrs["x_serial"] = "7"

    spoil(recording, add)
    with pytest.warns(UserWarning, match="not part of") as caught:
        load(recording)
    assert sorted(str(each.message).split(": ")[1].split()[0] for each in caught) == ["/probe:serial", "/temperature"]


def test_newer_minor_version_warns(recording: Path) -> None:
    spoil(recording, attribute("/", "format_version", "1.7"))
    with pytest.warns(UserWarning, match=r"newer minor version"):
        load(recording)


REFUSED: dict[str, tuple[Spoil, type[FileFormatError], tuple[str, ...]]] = {
    "21 no format": (attribute("/", "format", None), MissingField, ("/:format",)),
    "21 no format_version": (attribute("/", "format_version", None), MissingField, ("/:format_version",)),
    "22 newer major": (attribute("/", "format_version", "2.0"), UnsupportedVersion, ("'2.0'", "1.0", "upgrade")),
    "22 older major": (attribute("/", "format_version", "0.9"), UnsupportedVersion, ("'0.9'", "1.0")),
    "23 version abc": (attribute("/", "format_version", "abc"), UnsupportedVersion, ("'abc'",)),
    "23 version is a number": (attribute("/", "format_version", 1.0), BadField, ("/:format_version", "not text")),
    "24 missing fields": (
        drop("sound_speed", "probe/center_frequency", "transmit/delays"),
        MissingField,
        ("/sound_speed", "/probe/center_frequency", "/transmit/delays", "3 required fields"),
    ),
    "24 missing samples": (drop("samples"), MissingField, ("/samples",)),
    "24 missing group": (drop("probe"), MissingField, ("/probe/element_positions", "/probe/center_frequency")),
    "25 scalar as (1, 1)": (put("sound_speed", [[1540.0]]), BadField, ("/sound_speed", "(1, 1)", "scalar")),
    "25 scalar as (1,)": (put("sampling_frequency", [40e6]), BadField, ("/sampling_frequency", "(1,)")),
    "25 scalar as text": (put("sampling_frequency", "40e6"), BadField, ("/sampling_frequency", "float64", "str")),
    "25 scalar as bytes": (put("sampling_frequency", np.bytes_(b"40e6")), BadField, ("float64", "str")),
    "25 scalar as integer": (put("sampling_frequency", 40_000_000), BadField, ("float64", "int64")),
    "26 no units": (attribute("sound_speed", "units", None), MissingField, ("/sound_speed:units", "m/s")),
    "26 units mm": (attribute("probe/element_positions", "units", "mm"), BadField, ("'mm'", "expected m")),
    "26 units MHz": (attribute("sampling_frequency", "units", "MHz"), BadField, ("'MHz'", "expected Hz")),
    "26 units are a number": (attribute("sampling_frequency", "units", 1), BadField, ("not text",)),
    "27 NaN frequency": (put("sampling_frequency", np.nan), BadField, ("/sampling_frequency", "not finite")),
    "27 infinite speed": (put("sound_speed", np.inf), BadField, ("/sound_speed", "not finite")),
    "27 zero frequency": (put("sampling_frequency", 0.0), BadField, ("/sampling_frequency", "> 0")),
    "27 negative speed": (put("sound_speed", -1540.0), BadField, ("/sound_speed", "> 0")),
    "28 speed in mm/us": (put("sound_speed", 1.54), BadField, ("/sound_speed", "1540, not 1.54")),
    "28 speed in cm/s": (put("sound_speed", 154000.0), BadField, ("/sound_speed", "154000")),
    "29 positions in mm": (edit("probe/element_positions", lambda p: p * 1e4), BadField, ("in metres",)),
    "29 positions in nothing": (edit("probe/element_positions", lambda p: p * 1e-4), BadField, ("in metres",)),
    "30 elements at one place": (edit("probe/element_positions", lambda p: p * 0), BadField, ("same place", "0 and 1")),
    "31 delays transposed": (
        edit("transmit/delays", lambda d: np.zeros((5, 4)).T),
        BadField,
        ("/transmit/delays", "n_tx=4", "n_elements=4", "(4, 5)"),
    ),
    "32 NaN delays": (
        edit("transmit/delays", lambda d: np.where(np.eye(4) > 0, d, np.nan)),
        BadField,
        ("/transmit/delays", "12 value(s) not finite", "(0, 1)", "silent element has apodization 0"),
    ),
    "35 silent transmit": (
        edit("transmit/apodization", lambda a: a * np.float32([[1], [0], [1], [1]])),
        BadField,
        ("transmit 1",),
    ),
    "35 two elements fire": (edit("transmit/apodization", np.ones_like), BadField, ("fires 4 elements",)),
    "36 element out of range": (
        put("receive/element_index", np.arange(1, 5)),
        BadField,
        ("0 to 3", "found 4", "MATLAB counts from 1"),
    ),
    "36 element twice": (put("receive/element_index", np.array([0, 1, 1, 3])), BadField, ("appears twice",)),
    "36 element below -1": (put("receive/element_index", np.array([0, 1, -2, 3])), BadField, (">= -1", "-2")),
    "37 start time as a scalar": (put("start_time", 1e-6), BadField, ("/start_time", "n_tx=4", "each transmit")),
    "38 iq with real samples": (attribute("samples", "kind", "iq"), BadField, ("kind iq with float32",)),
    "38 rf with complex samples": (
        edit("samples", lambda s: s.astype(np.complex64)),
        BadField,
        ("kind rf with complex64",),
    ),
    "38 unknown kind": (attribute("samples", "kind", "raw"), BadField, ("rf or iq", "'raw'")),
    "39 rf that was demodulated": (put("demodulation_frequency", 5e6), BadField, ("RF samples are not demodulated",)),
    "40 sampled below the bandwidth": (put("sampling_frequency", 40.0), BadField, ("40 MHz is 40e6",)),
    "41 no frames": (edit("samples", lambda s: s[:0]), BadField, ("/samples", "empty", "(0, 4, 4, 32)")),
    "41 no samples": (edit("samples", lambda s: s[..., :0]), BadField, ("/samples", "empty")),
    "41 nothing": (put("samples", h5py.Empty("f4")), BadField, ("/samples", "empty")),
    "43 int16 without scale": (
        lambda file: (
            edit("samples", lambda s: s.astype(np.int16))(file),
            [file["samples"].attrs.__delitem__(name) for name in ("scale", "offset")],
        )[0],
        MissingField,
        ("/samples:scale", "/samples:offset", "int16"),
    ),
    "43 scale of zero": (attribute("samples", "scale", 0.0), BadField, ("/samples:scale",)),
    "46 float16": (edit("samples", lambda s: s.astype(np.float16)), BadField, ("float16", "float32")),
    "46 float64": (edit("samples", lambda s: s.astype(np.float64)), BadField, ("float64", "float32")),
    "46 uint8": (edit("samples", lambda s: s.astype(np.uint8)), BadField, ("uint8", "int16 (with scale and offset)")),
    "46 compound": (
        put("samples", np.zeros((2, 4, 4, 32), [("real", "f4"), ("imag", "f4")])),
        BadField,
        ("compound", "complex64"),
    ),
    "47 one sample long": (edit("samples", lambda s: s[..., :1]), BadField, ("n_samples >= 2",)),
    "wrong number of axes": (edit("samples", lambda s: s[0]), BadField, ("/samples", "n_frames", "(4, 4, 32)")),
    "unknown kind of transmit": (put("transmit/kind", [b"a"] * 4), BadField, ("/transmit/kind", "'a'")),
    "waveform that is not there": (put("transmit/waveform_index", np.ones(4, int)), BadField, ("waveform",)),
    "title is a number": (attribute("/", "title", 7), BadField, ("/:title", "not text")),
    "other usbeam format": (attribute("/", "format", "usbeam-image"), FileFormatError, ("load_image",)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_header_case(recording: Path, case: str) -> None:
    change, kind, words = REFUSED[case]
    spoil(recording, change)
    with pytest.raises(FileFormatError) as caught:
        load(recording)
    assert type(caught.value) is kind
    assert caught.value.exit_code == 3
    assert_clear(caught.value, recording, *words)
    if "other" not in case:
        assert any(finding.importance == "ERROR" for finding in validate(recording))


PLANE: dict[str, tuple[Spoil, type[FileFormatError], tuple[str, ...]]] = {
    "33 angles for directions": (put("transmit/direction", [-5.7, 5.7]), BadField, ("(2,)", "(n_tx=2, 3)")),
    "34 zero direction": (edit("transmit/direction", lambda d: d * 0), BadField, ("row 0 is no unit vector",)),
    "34 direction in degrees": (edit("transmit/direction", lambda d: d * 57.3), BadField, ("unit vector", "radians")),
    "34 no direction": (drop("transmit/direction"), MissingField, ("/transmit/direction", "plane")),
    "31 delays transposed": (edit("transmit/delays", np.transpose), BadField, ("looks transposed", "(4, 2)")),
    "31 apodization transposed": (edit("transmit/apodization", np.transpose), BadField, ("looks transposed",)),
}


@pytest.mark.parametrize("case", PLANE)
def test_plane_wave_case(tmp_path: Path, case: str) -> None:
    path = tmp_path / "plane.h5"
    save(plane_waves(), path)
    change, kind, words = PLANE[case]
    spoil(path, change)
    with pytest.raises(kind) as caught:
        load(path)
    assert_clear(caught.value, path, *words)


def test_case_33_angles_in_degrees_through_python() -> None:
    with pytest.raises(ValueError, match="angle beyond pi"):
        Transmits.plane(Probe.linear(4, 0.3e-3, 5e6), [-10.0, 10.0], 1540.0)


def test_case_39_iq_without_a_carrier(tmp_path: Path) -> None:
    path = tmp_path / "iq.h5"
    save(iq(0.0), path)
    spoil(path, attribute("samples", "analytic", None))
    with pytest.raises(MissingField) as caught:
        load(path)
    assert_clear(caught.value, path, "/samples:analytic", "demodulation frequency")
    spoil(path, lambda file: file["samples"].attrs.update({"analytic": False}))
    with pytest.raises(BadField, match="unknown value"):
        load(path)


def test_all_that_is_wrong_is_counted(recording: Path) -> None:
    for change in (put("sound_speed", -1.0), put("sampling_frequency", np.nan), drop("start_time")):
        spoil(recording, change)
    with pytest.raises(MissingField) as caught:
        load(recording)
    assert caught.value.location == "/start_time"
    assert_clear(caught.value, recording, "`usbeam validate` lists 2 more")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_case_44_nonfinite_samples(tmp_path: Path, value: float) -> None:
    path = tmp_path / "recording.h5"
    samples = small().samples.copy()
    save(small(), path)
    samples[1, 2, :, 5:10] = value
    samples[1, 3, 0, 0] = value
    spoil(path, lambda file: file["samples"].write_direct(samples))
    acquisition = load(path)
    assert np.array_equal(acquisition.frame(0), samples[0])
    for key in (1, slice(None), (1, slice(2, None))):
        with pytest.raises(BadField) as caught:
            acquisition.samples[key]
        assert_clear(caught.value, path, "/samples frame 1, transmit 2", "20 sample(s)", "1 other transmit")
    zeroed = load(path, on_nonfinite="zero")
    expected = np.where(np.isfinite(samples[1]), samples[1], 0)
    assert np.array_equal(zeroed.frame(1), expected)
    assert zeroed.provenance["on_nonfinite"] == "zero"
    zeroed.save(tmp_path / "zeroed.h5")
    assert load(tmp_path / "zeroed.h5").provenance["on_nonfinite"] == "zero"


def test_case_44_nonfinite_samples_are_not_written(tmp_path: Path) -> None:
    samples = small().samples.copy()
    samples[0, 1, 0, 0] = np.nan
    with pytest.raises(BadField, match="frame 0, transmit 1"):
        save(small(samples=samples), tmp_path / "recording.h5")
    assert list(tmp_path.iterdir()) == []


def test_on_nonfinite_is_checked(recording: Path) -> None:
    with pytest.raises(ConfigError, match="error or zero"):
        load(recording, on_nonfinite="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [">f4", ">c8", ">i2"])
def test_case_46_big_endian(tmp_path: Path, dtype: str) -> None:
    """Any byte order is read, and comes as this machine's."""
    path = tmp_path / "recording.h5"
    native = np.dtype(dtype).newbyteorder("=")
    samples = (100 * small().samples[:1]).astype(native)
    kind = "iq" if native.kind == "c" else "rf"
    save(small(samples=samples, kind=kind, demodulation_frequency=5e6 * (kind == "iq"), **_ONE_FRAME), path)
    spoil(path, edit("samples", lambda s: s.astype(dtype)))
    spoil(path, edit("transmit/delays", lambda d: d.astype(">f8")))
    acquisition = load(path)
    assert acquisition.samples.dtype == native
    assert acquisition.samples.dtype.isnative
    assert np.array_equal(acquisition.frame(0), samples[0])
    assert acquisition.frame(0).dtype.isnative


def test_case_48_any_array_through_python(tmp_path: Path) -> None:
    samples = small().samples
    readonly = samples.copy()
    readonly.flags.writeable = False
    strided = np.empty((2, 4, 4, 64), np.float32)[..., ::2]
    strided[...] = samples
    fortran = np.asfortranarray(samples)
    swapped = samples.astype(">f4")
    for index, each in enumerate((readonly, strided, fortran, swapped, samples[::-1][::-1])):
        path = tmp_path / f"{index}.h5"
        save(small(samples=each), path)
        assert np.array_equal(np.asarray(load(path).samples), samples)


def test_what_load_would_refuse_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "recording.h5"
    with pytest.raises(BadField) as caught:
        save(small(sound_speed=1.54), path)
    assert_clear(caught.value, path, "/sound_speed")
    probe = Probe.linear(4, 0.3, 5e6, name="pitch of 0.3 m")
    with pytest.raises(BadField, match="beyond one metre"):
        save(small(probe=Probe.linear(4, 1.0, 5e6, name=probe.name)), path)
    with pytest.raises(ConfigError, match="not text"):
        save(small(provenance={"notes": 7}), path)
    with pytest.raises(ConfigError, match="a name that HDF5 cannot hold"):
        save(small(truth=dataclasses.replace(small().truth, regions={"a/b": (0.0, 0.0, 1.0)})), path)
    with pytest.raises(ConfigError, match="too long"):
        save(small(title="x" * 70_000), path)
    assert list(tmp_path.iterdir()) == []


def test_vlen_text_of_other_writers_is_read(recording: Path) -> None:
    """h5py writes text of variable length when nobody says otherwise."""
    spoil(recording, put("transmit/kind", ["element"] * 4))
    spoil(recording, lambda file: file["samples"].attrs.update({"kind": "rf"}))
    assert load(recording).transmits.kind == ("element",) * 4
