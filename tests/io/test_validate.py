"""Every finding at once: physics of the header, echoes in the samples, every stored byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.io.recordings import plane_waves, small
from tests.io.test_channel_data import Spoil, attribute, drop, edit, put, spoil
from usbeam.acquisition import ABSENT, Acquisition
from usbeam.errors import ChecksumMismatch, MissingField
from usbeam.io import Finding, Importance, load, save, validate
from usbeam.probe import Probe
from usbeam.transmits import Transmits


def found(path: Path, *, full: bool = False) -> dict[str, list[str]]:
    """Lines of findings by importance."""
    lines: dict[str, list[str]] = {importance: [] for importance in Importance}
    for finding in validate(path, full=full):
        lines[finding.importance].append(str(finding))
    return lines


def saved(folder: Path, recording: Acquisition) -> Path:
    path = folder / "made.h5"
    save(recording, path)
    return path


def test_nothing_is_wrong_with_what_usbeam_writes(recording: Path) -> None:
    assert validate(recording) == []
    assert validate(recording, full=True) == []


def test_everything_at_once(recording: Path) -> None:
    changes = (
        drop("start_time"),
        put("sound_speed", [[1540.0]]),
        attribute("sampling_frequency", "units", "MHz"),
        edit("transmit/delays", lambda d: d[:, :3]),
        edit("samples", lambda s: np.where(s > 2, np.nan, s).astype(np.float32)),
        put("temperature", 20.0),
    )
    for change in changes:
        spoil(recording, change)
    lines = found(recording)
    assert [line.split()[1] for line in lines["ERROR"]] == [
        "/sampling_frequency:units",
        "/sound_speed",
        "/transmit/delays",
        "/start_time",
        *[line.split()[1] for line in lines["ERROR"][4:]],
    ]
    assert all("not finite" in line for line in lines["ERROR"][4:])
    assert len(lines["ERROR"]) > 4
    assert "ERROR /transmit/delays wrong shape (expected (n_tx=4, n_elements=4), found (4, 3))" in lines["ERROR"]
    assert [line.split()[1] for line in lines["WARNING"]] == ["/temperature"]


def test_findings_say_what_load_raises(recording: Path) -> None:
    spoil(recording, drop("start_time"))
    [finding] = validate(recording)
    assert finding == Finding(
        importance=Importance.ERROR,
        location="/start_time",
        message="missing",
        hint="one start time for each transmit, in seconds",
        error=MissingField,
    )


WARNED: dict[str, tuple[Spoil, str, str]] = {
    "40 above Nyquist": (put("sampling_frequency", 8e6), "WARNING", "/probe/center_frequency above half the sampling"),
    "37 start time in microseconds": (
        edit("start_time", lambda t: t * 1e6),
        "WARNING",
        "/start_time longer than 10 ms",
    ),
    "delays in microseconds": (edit("transmit/delays", lambda d: d + 3.0), "WARNING", "/transmit/delays longer than"),
    "no pulse peak": (drop("transmit/pulse_peak_time"), "WARNING", "/transmit/pulse_peak_time not given"),
    "47 too short": (edit("samples", lambda s: s[..., :2]), "WARNING", "too short to show anything"),
    "42 axes swapped": (edit("samples", lambda s: s[..., :3]), "HINT", "/samples n_tx = 4 is more than n_samples = 3"),
    "not centred": (edit("probe/element_positions", lambda p: p + np.array([5e-3, 0, 0])), "HINT", "not centred"),
    "wide pitch": (edit("probe/element_positions", lambda p: p * 3), "HINT", "more than one wavelength"),
    "transmits out of order": (edit("transmit/apodization", lambda a: a[::-1].copy()), "HINT", "not fire in order"),
    "element fires twice": (edit("transmit/apodization", lambda a: a[[0, 0, 2, 3]]), "HINT", "more than one transmit"),
    "frame times fall": (edit("time/frame", lambda t: -t), "WARNING", "/time/frame frame times do not rise"),
    "newer minor": (attribute("/", "format_version", "1.1"), "WARNING", "newer minor version"),
}


@pytest.mark.parametrize("case", WARNED)
def test_warning_or_hint(recording: Path, case: str) -> None:
    """What may be meant is told, and loads."""
    change, importance, words = WARNED[case]
    spoil(recording, change)
    lines = found(recording)
    assert any(words in line for line in lines[importance]), lines
    assert lines["ERROR"] == []
    if "newer" not in case:
        load(recording)


def test_case_30_one_element(tmp_path: Path) -> None:
    lines = found(saved(tmp_path, small(n_elements=1)))
    assert lines["WARNING"] == ["WARNING /probe/element_positions a probe of one element: there is nothing to focus"]


def test_sign_of_the_angle(tmp_path: Path) -> None:
    path = saved(tmp_path, plane_waves())
    assert found(path)["WARNING"] == []
    spoil(path, edit("transmit/direction", lambda d: d * [-1, 1, 1]))
    assert "2 plane wave(s) are steered against their direction" in found(path)["WARNING"][0]


def test_straight_waves_have_no_sign(tmp_path: Path) -> None:
    probe = Probe.linear(4, 0.3e-3, 5e6)
    transmits = Transmits.plane(probe, [0.0, 1e-17], 1540.0, pulse_peak_time=1e-7)
    assert found(saved(tmp_path, plane_waves(transmits=transmits)))["WARNING"] == []


def test_side_of_the_focus(tmp_path: Path) -> None:
    probe = Probe.linear(4, 0.3e-3, 5e6)
    focus = [[0.0, 0.0, 0.02], [0.0, 0.0, -0.02]]
    path = saved(tmp_path, plane_waves(transmits=Transmits.focused(probe, focus, 1540.0, pulse_peak_time=1e-7)))
    assert found(path)["WARNING"] == []
    spoil(path, edit("transmit/focus", lambda f: -f))
    assert "the focused transmit 0 has its focus at z = -0.02 m" in found(path)["WARNING"][0]


def test_receivers_must_be_named(recording: Path) -> None:
    spoil(recording, drop("receive/element_index"))
    assert found(recording)["ERROR"] == []
    spoil(recording, edit("samples", lambda s: s[:, :, :3]))
    assert "which elements received" in found(recording)["ERROR"][0]


def with_samples(change: Callable[[Any], Any], **facts: Any) -> Acquisition:
    return small(samples=np.ascontiguousarray(change(small(n_samples=400).samples.copy())), **facts)


def set_to(place: Any, value: float) -> Callable[[Any], Any]:
    def change(samples: Any) -> Any:
        samples[place] = value
        return samples

    return change


ECHOES: dict[str, tuple[Acquisition, str, str]] = {
    "45 all zero": (with_samples(np.zeros_like), "ERROR", "every sample is zero"),
    "45 all constant": (with_samples(lambda s: np.full_like(s, 7)), "ERROR", "every sample is 7"),
    "45 dead element": (with_samples(set_to(np.s_[:, :, 2], 0)), "WARNING", "1 element(s) received only zeros: 2"),
    "45 constant element": (with_samples(set_to(np.s_[:, :, 1], 3)), "WARNING", "one constant value: 1"),
    "copied element": (with_samples(lambda s: s[:, :, [0, 1, 1, 3]]), "HINT", "exactly what their neighbour did: 2"),
    "clipped": (with_samples(lambda s: np.clip(s, -2, 2)), "WARNING", "look clipped"),
    "43 saturated int16": (
        with_samples(lambda s: np.clip(20000 * s, -32768, 32767).astype(np.int16)),
        "WARNING",
        "look clipped",
    ),
    "constant part": (with_samples(lambda s: s + 50), "WARNING", "constant part stands above the echoes"),
}


@pytest.mark.parametrize("case", ECHOES)
def test_samples(tmp_path: Path, case: str) -> None:
    recording, importance, words = ECHOES[case]
    lines = found(saved(tmp_path, recording))
    assert any(words in line for line in lines[importance]), lines
    assert sum(map(len, lines.values())) == 1


def test_offset_takes_the_constant_part_away(tmp_path: Path) -> None:
    samples = (100 * small(n_samples=400).samples + 5000).astype(np.int16)
    assert validate(saved(tmp_path, small(samples=samples, scale=0.5, offset=-2500.0))) == []


def test_coarse_integers_are_not_clipped(tmp_path: Path) -> None:
    samples = np.rint(3 * small(n_samples=400).samples).astype(np.int16)
    assert validate(saved(tmp_path, small(samples=samples))) == []


def test_absent_traces(tmp_path: Path) -> None:
    """Half of a full matrix: what is absent is no dead element, and must be zero."""
    samples = small(n_samples=64).samples.copy()
    receivers = np.where(np.tri(4).T > 0, np.arange(4), ABSENT)
    samples[:, receivers == ABSENT] = 0
    path = saved(tmp_path, small(samples=samples, receive_elements=receivers))
    assert validate(path, full=True) == []
    spoil(path, edit("samples", lambda s: s + np.float32(1)))
    assert "6 trace(s) hold samples although" in found(path)["WARNING"][0]


def test_later_frames_are_read_in_full_only(tmp_path: Path) -> None:
    path = saved(tmp_path, small())
    samples = small().samples.copy()
    samples[1, 3, 2, 7] = np.inf
    spoil(path, lambda file: file["samples"].write_direct(samples))
    assert found(path)["ERROR"] == []
    lines = found(path, full=True)["ERROR"]
    assert any(line.startswith("ERROR /samples frame 1, transmit 3 1 sample(s) not finite") for line in lines)


def test_changed_samples_are_seen(recording: Path) -> None:
    spoil(recording, lambda file: file["samples"].write_direct(-small().samples))
    assert validate(recording) == []
    [finding] = validate(recording, full=True)
    assert finding.error is ChecksumMismatch
    assert finding.location == "/:sha256_samples"
    spoil(recording, attribute("/", "sha256_samples", None))
    [finding] = validate(recording, full=True)
    assert finding.importance == "HINT"


def test_samples_are_checked_whatever_the_header_says(recording: Path) -> None:
    spoil(recording, put("sound_speed", -1.0))
    spoil(recording, put("receive/element_index", np.array([0, 1, 2, 2**31 - 1])))
    spoil(recording, edit("samples", lambda s: s * np.float32(np.nan)))
    lines = found(recording)["ERROR"]
    assert any("/sound_speed" in line for line in lines)
    assert any("/receive/element_index" in line for line in lines)
    assert sum("512 sample(s)" in line or "128 sample(s)" in line for line in lines) == 4


def pairs(path: Path) -> None:
    """A small valid pairs file, as its contract says."""
    rng = np.random.default_rng(0)
    arrays = {
        "lq": rng.random((3, 5, 4), np.float32),
        "hq": rng.random((3, 5, 4), np.float32),
        "x": np.arange(4) * 1e-3,
        "z": np.arange(1, 6) * 1e-3,
        "lq_transmits": np.eye(3, 8, dtype=np.float32),
        "hq_transmits": np.ones((3, 8), np.float32),
        "overlap": np.ones(3),
        "correlation": np.full(3, 0.6),
        "recording": np.zeros(3, np.int64),
        "frame": np.arange(3),
        "source/speckle_cell": np.full((1, 2), 2e-3),
    }
    units = {"x": "m", "z": "m", "source/speckle_cell": "m"}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array).attrs["units"] = units.get(name, "1")
        for name, text in {"file": b"a.h5", "sha256": b"0" * 64, "settings": b"{}"}.items():
            file[f"source/{name}"] = np.array([text])
        file.attrs.update(
            {"format": "usbeam-pairs", "format_version": "1.0", "dynamic_range_db": 60.0, "settings": "{}"}
            | {"strategy": "paper", "seed": 0.0, "normalisation": "maximum", "complete": True}
        )


def test_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    pairs(path)
    assert validate(path, full=True) == []
    spoil(path, edit("lq", lambda a: a + np.float32(1)))
    spoil(path, edit("hq", lambda a: np.where(a > 0.9, np.nan, a).astype(np.float32)))
    spoil(path, drop("overlap"))
    assert [line.split()[1] for line in found(path)["ERROR"]] == ["/overlap"]
    locations = [str(finding).split()[1:3] for finding in validate(path, full=True)]
    assert ["/lq", "0"] in locations
    assert any(location == "/hq" for location, _ in locations)
