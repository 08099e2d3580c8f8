"""Pairs of simulated recordings: every strategy, what is recorded of them, going on, requests that cannot be met."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usbeam as ub
from usbeam.beamforming.draws import N_PAIRS, STRATEGIES
from usbeam.errors import BadField, ConfigError, FileAccessError, GeometryError, MeasurementError, OutputExists
from usbeam.measure import speckle
from usbeam.pairs import compressed

PROBE = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
GRID = ub.Grid.spaced(x=(-2e-3, 2e-3), z=(8.5e-3, 11.5e-3), spacing=(0.06e-3, 0.12e-3))
ANGLES = np.radians(np.linspace(-12, 12, 7))
SHARED = "the speckle of lq and hq correlates"


def record(seed: int = 0, fired: ub.Transmits | None = None, n_frames: int = 1) -> ub.Acquisition:
    """Speckle."""
    phantom = ub.simulate.phantoms.speckle(PROBE, x=(-3e-3, 3e-3), z=(8e-3, 12e-3), seed=seed)
    transmits = ub.Transmits.elements(PROBE, pulse_peak_time=0.3e-6) if fired is None else fired
    made = ub.simulate.record(phantom, PROBE, transmits, sampling_frequency=20e6, depth=(8e-3, 12e-3))
    frames = [np.asarray(made.samples) * (1 + frame) for frame in range(n_frames)]
    return made.replace(samples=np.concatenate(frames).astype(np.float32))


@pytest.fixture(scope="module")
def matrix() -> ub.Acquisition:
    """Two frames, every element fires alone."""
    return record(n_frames=2)


@pytest.fixture(scope="module")
def waves() -> ub.Acquisition:
    """Seven plane waves."""
    return record(1, ub.Transmits.plane(PROBE, ANGLES, 1540.0))


def quietly(*arguments: Any, **options: Any) -> Any:
    """Pairs without the warning of shared speckle."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", SHARED)
        return ub.make_pairs(*arguments, **options)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy(strategy: str, matrix: ub.Acquisition, waves: ub.Acquisition, tmp_path: Path) -> None:
    out = tmp_path / "pairs.h5"
    fractions: list[float] = []
    chosen = {"n_pairs": 6} if strategy in N_PAIRS else {}
    made = quietly([matrix, waves], GRID, out=out, strategy=strategy, progress=fractions.append, **chosen)
    each = {"looks": 6, "random": 6, "paper": 1, "disjoint": 2}[strategy]
    assert len(made) == 3 * each
    assert made.recording.tolist() == [0] * 2 * each + [1] * each
    assert made.frame.tolist() == [0] * each + [1] * each + [0] * each
    assert made.lq.shape == made.hq.shape == (3 * each, *GRID.shape)
    assert made.lq_transmits.shape == made.hq_transmits.shape == (3 * each, 16)
    assert not made.lq_transmits[2 * each :, 7:].any()  # of seven waves, padded
    assert (made.strategy, made.dynamic_range_db) == (strategy, 100.0 if strategy == "looks" else 60.0)
    assert fractions == pytest.approx((np.arange(3 * each) + 1) / (3 * each))
    assert ub.validate(out, full=True) == []
    for index in range(len(made)):
        for images in (made.lq, made.hq):
            assert images[index].max() == 1
            assert images[index].std() > 0.05
    assert json.loads(made.source.settings[1])["method"] == ("angular" if strategy == "looks" else "das")
    assert made.source.sha256[0] != made.source.sha256[1]


def test_pairs_hold_the_images_of_their_transmits(matrix: ub.Acquisition, tmp_path: Path) -> None:
    made = quietly([matrix], GRID, out=tmp_path / "p.h5", strategy="random", n_pairs=3, f_number=1.0, frames=[1])
    assert made.frame.tolist() == [1, 1, 1]
    for index in range(3):
        for images, weights in ((made.lq, made.lq_transmits), (made.hq, made.hq_transmits)):
            image = ub.beamform(matrix, GRID, transmits=weights[index], frame=1, f_number=1.0)
            assert images[index] == pytest.approx(compressed(image, 60.0), abs=2e-4)
    full = ub.beamform(matrix, GRID, frame=1, f_number=1.0)
    assert made.source.speckle_cell[0] == pytest.approx(speckle.cell(full), rel=1e-3)
    level = full.envelope().data / full.envelope().data.max()
    assert compressed(full, 40.0) == pytest.approx(np.clip(1 + 20 * np.log10(level) / 40, 0, 1), abs=1e-5)


def test_pairs_hold_both_sides_of_their_lines(matrix: ub.Acquisition, tmp_path: Path) -> None:
    made = ub.make_pairs([matrix], GRID, out=tmp_path / "p.h5", n_pairs=5, frames=[0], max_sine=0.4)
    assert made.angle is not None
    assert made.side is not None
    assert made.side.tolist() == [-1, 1, -1, 1, -1]
    assert made.angle[0] == made.angle[1] != made.angle[2] == made.angle[3]
    assert np.all((made.angle >= 0) & (made.angle < np.pi))
    components = ub.Angular(matrix, GRID, max_sine=0.4)(matrix.frame(0))
    cells = [speckle.cell(look) for look in components.looks(np.radians([45, 135]))]
    assert made.source.speckle_cell[0] == pytest.approx(np.mean(cells, axis=0), rel=1e-3)
    assert np.prod(made.source.speckle_cell[0]) > 1.2 * np.prod(speckle.cell(components.image()))
    for index in range(5):
        sides = [compressed(image, 100.0) for image in components.looks([made.angle[index]])][:: -made.side[index]]
        assert made.lq[index] == pytest.approx(sides[0], abs=1e-4)
        assert made.hq[index] == pytest.approx(sides[1], abs=1e-4)
    assert np.all(made.overlap == 0)
    assert np.all(np.abs(made.correlation) < 0.3)  # of few speckles
    assert np.all(made.lq_transmits == 1)


def test_draws_follow_the_seed_and_are_fresh_in_every_frame(matrix: ub.Acquisition, tmp_path: Path) -> None:
    def drawn(name: str, **options: Any) -> np.ndarray:
        return quietly([matrix], GRID, out=tmp_path / f"{name}.h5", **options).lq_transmits

    options = {"strategy": "random", "n_pairs": 4}
    first = drawn("a", seed=1, **options)
    assert np.array_equal(first, drawn("b", seed=1, **options))
    assert not np.array_equal(first, drawn("c", seed=2, **options))
    assert not np.array_equal(first[:4], first[4:])
    sizes = first.sum(axis=1)
    assert sizes.min() >= 2
    assert sizes.max() <= 8
    eight = drawn("d", lq="random:3@5*8")
    assert len(eight) == 16
    assert len(np.unique(eight, axis=0)) > 12
    assert np.all(eight.sum(axis=1) == 3)
    fixed = drawn("e", lq="random:3@5")
    assert np.array_equal(fixed[0], fixed[1])
    assert np.array_equal(fixed[0], ub.subsets.random(matrix, 3, 5))


def test_subsets_override_the_strategy(matrix: ub.Acquisition, tmp_path: Path) -> None:
    weights = np.linspace(0, 1, 16)
    lq = ["first:2", "random:4@0*2", weights]
    made = quietly([matrix], GRID, out=tmp_path / "a.h5", lq=lq, hq="every:2", frames=[0], dynamic_range=45.0)
    assert (len(made), made.strategy, made.dynamic_range_db) == (4, "subsets", 45.0)
    assert made.lq_transmits[3] == pytest.approx(weights)
    assert made.hq_transmits[0].tolist() == [1, 0] * 8
    assert made.overlap[0] == 0.5
    assert made.overlap[3] == pytest.approx(weights[::2].sum() / weights.sum())
    assert made.settings["lq"] == ["first:2", "random:4@0*2", "weights"]
    to_all = quietly([matrix], GRID, out=tmp_path / "b.h5", lq=weights)
    assert to_all.hq_transmits.all()
    assert np.all(to_all.overlap == 1)
    from_few = quietly([matrix], GRID, out=tmp_path / "c.h5", hq=ub.subsets.first(matrix, 8))
    assert np.flatnonzero(from_few.lq_transmits[0]).tolist() == [6, 9]


def test_shared_speckle_is_said(matrix: ub.Acquisition, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"correlates by 0\.\d\d .*more than 0.2.*looks"):
        made = ub.make_pairs([matrix], GRID, out=tmp_path / "a.h5", strategy="paper")
    assert np.all(made.correlation > 0.2)
    ub.make_pairs([matrix], GRID, out=tmp_path / "b.h5", n_pairs=2)  # warnings are errors


@pytest.mark.parametrize("kind", ["half matrix", "iq", "int16", "one wave", "diverging"])
def test_looks_of_other_recordings(kind: str, matrix: ub.Acquisition, waves: ub.Acquisition, tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_pairs": 2}
    if kind == "half matrix":
        receivers = np.tile(np.arange(16), (16, 1))
        receivers[receivers < np.arange(16)[:, None]] = -1
        kept = np.where(receivers[None, :, :, None] >= 0, np.asarray(matrix.samples), 0)
        recording = matrix.replace(samples=kept, receive_elements=receivers)
    elif kind == "iq":
        time = np.asarray(matrix.start_time)[:, None, None] + np.arange(matrix.n_samples) / 20e6
        spectrum = np.fft.fft(np.asarray(matrix.samples), axis=-1)
        spectrum[..., matrix.n_samples // 2 :] = 0
        base = 2 * np.fft.ifft(spectrum, axis=-1) * np.exp(-2j * np.pi * 5e6 * time)
        recording = matrix.replace(samples=base.astype(np.complex64), kind="iq", demodulation_frequency=5e6)
    elif kind == "int16":
        scale = float(np.abs(matrix.samples).max()) / 30000
        recording = matrix.replace(samples=np.round(np.asarray(matrix.samples) / scale).astype(np.int16), scale=scale)
    elif kind == "one wave":
        recording = record(2, ub.Transmits.plane(PROBE, [0.0], 1540.0))
    else:
        recording = record(2, ub.Transmits.focused(PROBE, [[-1e-3, 0, -5e-3], [1e-3, 0, -5e-3]], 1540.0))
    made = quietly([recording], GRID, out=tmp_path / "pairs.h5", **options)
    assert np.all(made.correlation < 0.3)
    if kind in ("half matrix", "iq", "int16"):
        alike = ub.make_pairs([matrix], GRID, out=tmp_path / "alike.h5", **options)
        assert np.abs(made.lq[0] - alike.lq[0]).max() < {"half matrix": 1e-3}.get(kind, 0.08)


def test_it_goes_on_where_it_was_interrupted(matrix: ub.Acquisition, tmp_path: Path) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    out, fractions = tmp_path / "pairs.h5", list[float]()
    with pytest.raises(KeyboardInterrupt):
        ub.make_pairs([matrix], GRID, out=out, n_pairs=4, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.h5.partial"]
    made = ub.make_pairs([matrix], GRID, out=out, n_pairs=4, progress=fractions.append)
    assert fractions == [0.75, 0.875, 1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.h5"]
    whole = ub.make_pairs([matrix], GRID, out=tmp_path / "whole.h5", n_pairs=4)
    assert np.array_equal(made.lq[:], whole.lq[:])
    assert np.array_equal(made.hq[:], whole.hq[:])
    assert np.array_equal(made.correlation, whole.correlation)
    assert np.array_equal(made.source.speckle_cell, whole.source.speckle_cell)


def test_other_settings_do_not_go_on(matrix: ub.Acquisition, tmp_path: Path) -> None:
    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "pairs.h5"
    with pytest.raises(KeyboardInterrupt):
        ub.make_pairs([matrix], GRID, out=out, n_pairs=2, progress=stop)
    for options in ({"n_pairs": 4}, {"seed": 1}, {"max_sine": 0.3}, {"dynamic_range": 80.0}, {"frames": [1]}):
        with pytest.raises(OutputExists, match="other settings"):
            ub.make_pairs([matrix], GRID, out=out, **{"n_pairs": 2, **options})
    assert len(ub.make_pairs([matrix], GRID, out=out, n_pairs=2)) == 4
    with pytest.raises(OutputExists, match="the file exists"):
        ub.make_pairs([matrix], GRID, out=out, n_pairs=2)


def test_one_grid_for_all(matrix: ub.Acquisition, tmp_path: Path) -> None:
    wide = ub.Probe.linear(16, 0.4e-3, 5e6, bandwidth=0.6)
    other = matrix.replace(probe=wide, transmits=ub.Transmits.elements(wide), samples=np.asarray(matrix.samples) * 2)
    with pytest.raises(ConfigError, match=r"grid.*one grid for all") as caught:
        ub.make_pairs([matrix, other], out=tmp_path / "pairs.h5")
    assert "within all of them" in (caught.value.hint or "")
    assert len(quietly([matrix, other], GRID, out=tmp_path / "a.h5", strategy="paper")) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ub.make_pairs([matrix], out=tmp_path / "b.h5", strategy="paper").grid.size > GRID.size


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "strategy": ({"strategy": "magic"}, "unknown strategy.*looks, paper"),
    "no pairs": ({"n_pairs": 0}, "n_pairs"),
    "pairs of paper": ({"strategy": "paper", "n_pairs": 3}, "n_pairs"),
    "pairs of subsets": ({"lq": "ends:2", "n_pairs": 3}, "n_pairs"),
    "seed": ({"seed": -1}, "seed"),
    "dynamic range": ({"dynamic_range": 0.0}, "dynamic_range"),
    "nan range": ({"dynamic_range": float("nan")}, "dynamic_range"),
    "no subset": ({"lq": []}, "no subset"),
    "empty subset": ({"lq": "index:"}, "no transmit is selected"),
    "zero weights": ({"lq": np.zeros(16)}, "no transmit is selected"),
    "short weights": ({"lq": np.ones(9)}, "one weight per transmit"),
    "nan weights": ({"hq": np.full(16, np.nan)}, "not finite"),
    "too many": ({"lq": "ends:17"}, "1..16"),
    "lq is hq": ({"lq": "all"}, "lq and hq are the same image"),
    "lq is half of hq": ({"lq": np.full(16, 0.5)}, "lq and hq are the same image"),
    "draws of ends": ({"lq": "ends:2*4"}, "cannot read 'ends:2[*]4' as draws"),
    "no draws": ({"lq": "random:2*0"}, "as draws"),
    "draws of hq": ({"hq": "random:2@0*4"}, "cannot read"),
    "frames": ({"frames": [0, 2]}, "no such frames.*0..1.*2"),
    "no frames": ({"frames": []}, "frames"),
    "option of subsets": ({"f_number": 1.0}, "looks have no option f_number"),
    "option of looks": ({"strategy": "paper", "max_sine": 0.3}, "subsets have no option max_sine"),
    "option": ({"transmits": np.ones(16)}, "no option transmits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_cannot_be_met(name: str, matrix: ub.Acquisition, tmp_path: Path) -> None:
    options, said = REFUSED[name]
    with pytest.raises(ConfigError, match=said) as caught:
        ub.make_pairs([matrix], GRID, out=tmp_path / "pairs.h5", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_recordings_that_cannot_be_paired(matrix: ub.Acquisition, waves: ub.Acquisition, tmp_path: Path) -> None:
    out = tmp_path / "pairs.h5"
    one = record(2, ub.Transmits.plane(PROBE, [0.1], 1540.0))
    for strategy in ("paper", "random", "disjoint"):
        with pytest.raises(ConfigError, match="one transmit alone has no subsets"):
            ub.make_pairs([one], GRID, out=out, strategy=strategy)
    for options, said in (({"files": []}, "no recording"), ({"files": [matrix, matrix]}, "the same recording twice")):
        with pytest.raises(ConfigError, match=said):
            ub.make_pairs(grid=GRID, out=out, **options)
    focused = record(2, ub.Transmits.focused(PROBE, [[0, 0, 10e-3], [1e-3, 0, 10e-3]], 1540.0))
    with pytest.raises(GeometryError, match="transmit/kind"):
        ub.make_pairs([matrix, focused], GRID, out=out)
    with pytest.raises(ConfigError, match="2 x 2 pixels"):
        ub.make_pairs([matrix], ub.Grid.linear(x=(0, 0), z=(9e-3, 10e-3), shape=(50, 1)), out=out)
    with pytest.raises(FileAccessError, match="folder does not exist"):
        ub.make_pairs([matrix], GRID, out=tmp_path / "missing" / "pairs.h5")
    with pytest.raises(FileAccessError, match="no such file"):
        ub.make_pairs([tmp_path / "missing.h5"], GRID, out=out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("value", "error", "said"), [(np.nan, BadField, "NaN"), (0.0, MeasurementError, "everywhere")])
def test_frames_that_show_nothing_keep_what_was_made(
    value: float, error: type[Exception], said: str, matrix: ub.Acquisition, tmp_path: Path
) -> None:
    samples = np.array(matrix.samples)
    samples[1] = value
    bad = matrix.replace(samples=samples, path="bad.h5")
    for strategy in ("looks", "paper"):
        out = tmp_path / f"{strategy}.h5"
        with pytest.raises(error, match=said) as caught:
            quietly([bad], GRID, out=out, strategy=strategy)
        assert str(caught.value).startswith("bad.h5: frame 1")
        assert not out.exists()
        assert out.with_name(f"{strategy}.h5.partial").exists()


def test_diagnosis(matrix: ub.Acquisition, waves: ub.Acquisition) -> None:
    splits = {(each.strategy, each.lq): each for each in ub.diagnose(matrix, GRID, max_sine=0.4, f_number=1.0)}
    assert [strategy for strategy, _ in splits] == ["paper", "random", "", "", "disjoint", "", *["looks"] * 4]
    value = {name: each.correlation for name, each in splits.items()}
    assert all(abs(value["looks", f"below {angle} degrees"]) < 0.3 for angle in (0, 45, 90, 135))
    assert value["disjoint", "left half"] > 0.2
    assert value["", "every:2"] > 0.9
    assert value["random", "random:4"] > 0.4
    one = record(2, ub.Transmits.plane(PROBE, [0.1], 1540.0))
    of_one = ub.diagnose(one, GRID)
    assert [each.correlation is None for each in of_one] == [True] * 6 + [False] * 4
    assert all(each.reason for each in of_one[:6])
    assert all(each.correlation is not None for each in ub.diagnose(waves, GRID))
    with pytest.raises(ConfigError, match="no such option: wrong"):
        ub.diagnose(matrix, GRID, wrong=1)
