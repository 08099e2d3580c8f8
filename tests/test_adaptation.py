"""A network for one recording: what is learnt, when it stops, where it is kept, and what is left when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import usbeam as ub
from tests.enhancers.networks import one_thread, run_folder
from tests.train.conftest import HOWS, broken, contents, same_tensors
from usbeam import adaptation
from usbeam.errors import CheckpointError, ConfigError, FileAccessError, OutputExists
from usbeam.train import weights
from usbeam.train.networks import build
from usbeam.train.run import Run

__all__ = ["one_thread"]

SPACING = 0.05e-3
FACTS = {"domain": "median", "dynamic_range_db": 100.0, "spacing": [SPACING, SPACING]}
QUICK: dict[str, Any] = {
    "epochs": 1,
    "steps_per_epoch": 16,
    "crop": (32, 32),
    "warm_up": 4,
    "learning_rate": 1e-2,
    "precision": "float32",
}
STILL: dict[str, Any] = {**QUICK, "steps_per_epoch": 1, "learning_rate": 1e-12}
CYST = (0.0, 9e-3, 1e-3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of speckle with a dark cyst, and a network that changes nothing yet."""
    folder = tmp_path_factory.mktemp("made")
    probe = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    phantom = ub.simulate.phantoms.inclusions(
        probe, x=(-3e-3, 3e-3), z=(7e-3, 11e-3), circles=[CYST], contrasts_db=[-20.0], density=6
    )
    fired = ub.Transmits.elements(probe)
    ub.simulate.record(phantom, probe, fired, sampling_frequency=20e6, depth=(7e-3, 11e-3)).save(folder / "cyst.h5")
    weights.save(build("looks-light", 0), folder / "start.safetensors", FACTS)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """The same, in a folder of this test's own."""
    for file in made.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def kept(place: Path) -> list[str]:
    """What lies beside the recording."""
    return sorted(each.name for each in place.glob("cyst.h5.usbeam-adapted/*"))


def adapt(place: Path, network: Any = None, **how: Any) -> Run:
    given = {"config": QUICK, "max_rounds": 1, **how}
    return ub.adapt(ub.load(place / "cyst.h5"), network or place / "start.safetensors", **given)


def cnr(place: Path, network: Run) -> float:
    x, z, radius = CYST
    pair = ub.roi.RegionPair(
        "cyst", ub.roi.Circle(x, z, 0.7 * radius), ub.roi.Annulus(x, z, 1.2 * radius, 1.7 * radius)
    )
    image = ub.enhance_recording(ub.load(place / "cyst.h5"), network, mode="fast")
    return float(ub.metrics.cnr(image, pair))


class TestWhatIsLearnt:
    def test_kept_beside_the_recording_and_taken_from_there(self, place: Path) -> None:
        seen: list[float] = []
        first = adapt(place, progress=seen.append)
        assert kept(place) == [first.folder.name]
        assert (seen[0] > 0, seen[-1]) == (True, 1.0)
        assert seen == sorted(seen)
        facts = first.facts["adapted"]
        (after,) = facts["loss"]["rounds"]
        assert after < (1 - adaptation.GAIN) * facts["loss"]["before"]
        assert (facts["recording"]["file"], facts["recording"]["frames"]) == ("cyst.h5", [0])
        assert facts["from"]["file"] == "start.safetensors"
        assert "columns" in first.facts["split"]
        assert weights.load(first.weights)[1]["adapted"] == facts
        assert not same_tensors(first.weights, place / "start.safetensors")

        before = contents(first.folder)
        times = first.weights.stat().st_mtime_ns
        again = adapt(place)
        assert (again.folder, again.weights.stat().st_mtime_ns) == (first.folder, times)
        assert contents(first.folder) == before
        other = adapt(place, overwrite=True)
        assert other.weights.stat().st_mtime_ns > times

    def test_another_request_another_folder(self, place: Path) -> None:
        recording = ub.load(place / "cyst.h5")
        start = place / "start.safetensors"
        how: dict[str, Any] = {"config": STILL, "max_rounds": 1}
        for given, options in (
            (recording, {}),
            (recording, {"seed": 1}),
            (recording.replace(sound_speed=1530.0), {}),
        ):
            ub.adapt(given, start, **how, **options)
        assert len(kept(place)) == 3

    def test_ten_times_longer_than_needed_gives_the_same(self, place: Path) -> None:
        enough = adapt(place, max_rounds=8)
        needed = len(enough.facts["adapted"]["loss"]["rounds"])
        assert 1 < needed < 8, "it stopped by itself"
        longer = adapt(place, max_rounds=10 * needed)
        assert longer.folder != enough.folder
        assert same_tensors(longer.weights, enough.weights)
        assert cnr(place, longer) == pytest.approx(cnr(place, enough), rel=0.03)

    def test_what_betters_nothing_is_thrown_away(self, place: Path) -> None:
        done = adapt(place, config=STILL, max_rounds=3)
        assert len(done.facts["adapted"]["loss"]["rounds"]) == 1
        assert same_tensors(done.weights, place / "start.safetensors")
        assert done.facts["best"]["epoch"] == 0
        assert done.facts["best"]["validation_loss"] == done.facts["adapted"]["loss"]["before"]

    def test_a_speckle_has_as_many_pixels_as_in_the_training(self, place: Path) -> None:
        plain = adapt(place, config=STILL)
        cell = plain.facts["speckle_cell"]
        for factor in (1.05, 1.5):
            trained_on = {**FACTS, "speckle_cell": [factor * each for each in cell]}
            weights.save(build("looks-light", 0), place / "other.safetensors", trained_on)
            found = adapt(place, place / "other.safetensors", config=STILL).facts["spacing"]
            wanted = SPACING if factor < 1.1 else SPACING / factor
            assert found == pytest.approx([wanted, wanted], rel=0.02)

    @pytest.mark.parametrize("name", ["unet-light"])
    def test_networks_for_displayed_values(self, place: Path, name: str) -> None:
        start = run_folder(place / "start", name, dynamic_range_db=60.0, spacing=[SPACING, SPACING])
        done = adapt(place, start, config={**STILL, "crop": (48, 48)})
        assert (done.config.model, done.facts["dynamic_range_db"]) == (name, 60.0)


class TestWhatIsLeft:
    def test_a_folder_is_whole_or_not_used(self, place: Path) -> None:
        def stop(share: float) -> None:
            if share > 0.3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            adapt(place, progress=stop)
        assert kept(place) == []
        done = adapt(place)
        assert kept(place) == [done.folder.name]
        done.weights.unlink()  # as if it had been killed while it moved in, the weights last
        assert same_tensors(adapt(place).weights, done.weights)
        assert kept(place) == [done.folder.name]

    def test_a_named_folder(self, place: Path) -> None:
        out = place / "run"
        done = adapt(place, out=out)
        assert (done.folder, kept(place)) == (out, [])
        before = contents(out)
        with pytest.raises(OutputExists, match="a run is there"):
            adapt(place, out=out)
        with pytest.raises(ConfigError, match="no such frame"):
            adapt(place, out=out, frames=[3], overwrite=True)
        assert contents(out) == before
        assert adapt(place, out=out, seed=2, overwrite=True).config.seed == 2
        (place / "full").mkdir()
        (place / "full" / "note.txt").write_text("mine")
        with pytest.raises(OutputExists, match="no run"):
            adapt(place, out=place / "full", overwrite=True)
        assert contents(place / "full") == {"note.txt": b"mine"}

    def test_where_nothing_can_be_kept(self, place: Path) -> None:
        (place / "cyst.h5.usbeam-adapted").write_text("in the way")
        with pytest.raises(FileAccessError, match="no folder can be made here") as caught:
            adapt(place)
        assert "usbeam train --from" in (caught.value.hint or "")
        recording = ub.load(place / "cyst.h5").replace(path=None)
        with pytest.raises(ConfigError, match="from no file"):
            ub.adapt(recording, place / "start.safetensors")

    @pytest.mark.parametrize("how", HOWS)
    def test_weights_that_are_none(self, place: Path, how: str) -> None:
        broken(place / "start.safetensors", how)
        with pytest.raises(CheckpointError):
            adapt(place)
        assert kept(place) == []
        assert not Path("pickle_was_loaded").exists()

    def test_what_is_refused(self, place: Path) -> None:
        narrow = ub.Grid.spaced(x=(-1e-3, 1e-3), z=(8e-3, 10e-3), spacing=SPACING)
        refusals: list[tuple[dict[str, Any], str]] = [
            ({"max_rounds": 0}, "not a number of rounds"),
            ({"frames": []}, "one at least"),
            ({"frames": [-1]}, "no such frames"),
            ({"grid": narrow}, "too narrow"),
            ({"config": {"patience": -1}}, "not allowed"),
            ({"config": {"steps": 3}}, "unknown setting"),
        ]
        for how, what in refusals:
            with pytest.raises(ConfigError, match=what):
                adapt(place, **how)
        with pytest.raises(CheckpointError, match="another network"):
            adapt(place, config={**QUICK, "model": "looks"})
        assert kept(place) == []
