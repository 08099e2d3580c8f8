"""Trained networks as enhancers: what they see, what comes out, what is refused."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import usbeam as ub
from usbeam import weights as shipped
from usbeam.enhancers import trained
from usbeam.errors import CheckpointError, ConfigError, FileAccessError, MeasurementError, UsbeamError
from usbeam.measure.speckle import cell as speckle_cell
from usbeam.train import weights
from usbeam.train.config import Config
from usbeam.train.networks import Network, build
from usbeam.train.run import CONFIG, WEIGHTS, load_run, write_json
from usbeam.train.run import FACTS as FACTS_FILE

from .networks import FACTS, network, one_thread, run_folder
from .test_enhance import GRID, speckle

__all__ = ["one_thread"]

Levels = npt.NDArray[np.float64]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run")


def through(chosen: Network, image: npt.NDArray[np.floating[Any]]) -> Levels:
    """A network, on an image as it is fed, averaged over the flip."""
    with torch.no_grad():
        both = torch.from_numpy(np.stack([image, image[:, ::-1]]).astype(np.float32))[:, None]
        straight, flipped = chosen(both)[:, 0].double().numpy()
    return (straight + flipped[:, ::-1]) / 2


def levels(image: ub.Image) -> Levels:
    envelope = np.abs(image.data).astype(np.float64)
    return 20 * np.log10(envelope / envelope.max())


def re_median(image: ub.Image, chosen: Network | None = None) -> Levels:
    """What a network for looks makes of an image, in dB re that image's median."""
    level = np.maximum(levels(image), -100)
    return 20 * through(chosen or network(), np.maximum(level - np.median(level), -50) / 20)


def other_speckle(seed: int) -> ub.Image:
    """A look, 20 dB stronger than the image."""
    image = speckle(seed)
    return ub.Image(10 * image.data, image.grid)


class TestWhatComesOut:
    """Against the formulas, written anew."""

    def test_fast_with_a_network_for_levels_re_the_median(self, folder: Path) -> None:
        image = speckle()
        found = ub.enhance(image, folder)
        wanted = re_median(image) + np.median(levels(image))
        assert (found.state, found.dynamic_range_db, found.grid) == ("db", 60.0, image.grid)
        np.testing.assert_allclose(found.data, np.clip(wanted, -60, 0), atol=1e-3)
        assert np.abs(found.data - image.db(60).data).max() > 1

    def test_fast_with_a_network_for_displayed_values(self, tmp_path: Path) -> None:
        image, run = speckle(), run_folder(tmp_path / "run", "unet-light", dynamic_range_db=50.0)
        wanted = 50 * (through(network("unet-light"), np.clip(1 + levels(image) / 50, 0, 1)) - 1)
        found = ub.enhance(image, run)
        np.testing.assert_allclose(found.data, np.clip(wanted, -60, 0), atol=1e-3)

    def test_quality_is_half_the_image_and_half_its_looks(self, folder: Path) -> None:
        image, looks = speckle(), [other_speckle(seed) for seed in range(1, 5)]
        found = ub.enhance(image, folder, mode="quality", looks=looks)
        mean = np.mean([re_median(look) for look in looks], axis=0)
        wanted = (re_median(image) + mean) / 2 + np.median(levels(image))
        np.testing.assert_allclose(found.data, np.clip(wanted, -60, 0), atol=1e-3)
        assert found.settings["enhanced"][-1]["n_looks"] == 4

    def test_the_gate_brings_points_back(self, tmp_path: Path) -> None:
        run, strong = tmp_path / "strong.safetensors", network()
        with torch.no_grad():
            strong.last.weight *= 10
        weights.save(strong, run, FACTS)
        image = speckle()
        plain = ub.enhance(image, run, dynamic_range=100).data
        f = np.maximum(levels(image), -100)
        f -= np.median(f)
        y = re_median(image, strong)
        level = y + np.median(f - y)
        wanted = level + (f - level) / (1 + np.exp(-(f - level - 9.5) / 0.8)) + np.median(levels(image))
        found = ub.enhance(image, run, gate=True, dynamic_range=100).data
        np.testing.assert_allclose(found, np.clip(wanted, -100, 0), atol=1e-3)
        lost = f - level > 9.5 + 5
        assert lost.sum() > 10
        np.testing.assert_allclose(found[lost], np.maximum(levels(image), -100)[lost], atol=0.1)
        kept = f - level < 4
        np.testing.assert_allclose(found[kept], np.clip(level + np.median(levels(image)), -100, 0)[kept], atol=0.1)
        assert np.abs(found - plain)[lost].min() > 5

    def test_an_untrained_network_for_looks_changes_nothing(self, tmp_path: Path) -> None:
        image, file = speckle(), tmp_path / "new.safetensors"
        weights.save(build("looks", seed=0), file, FACTS)
        np.testing.assert_allclose(ub.enhance(image, file).data, image.db(60).data, atol=1e-3)

    def test_mirrored_in_mirrored_out(self, folder: Path) -> None:
        image = speckle()
        mirrored = ub.Image(np.ascontiguousarray(image.data[:, ::-1]), image.grid)
        found = ub.enhance(mirrored, folder).data[:, ::-1]
        np.testing.assert_allclose(found, ub.enhance(image, folder).data, atol=1e-3)

    def test_the_strength_of_the_image_does_not_matter(self, folder: Path) -> None:
        image = speckle()
        louder = ub.Image(1000 * image.data, image.grid)
        np.testing.assert_allclose(ub.enhance(louder, folder).data, ub.enhance(image, folder).data, atol=1e-3)

    @pytest.mark.parametrize("state", ["envelope", "db"])
    def test_every_state_of_the_image(self, folder: Path, state: str) -> None:
        image = speckle()
        given = image.envelope() if state == "envelope" else image.db(100)
        found = ub.enhance(given, folder)
        assert found.dynamic_range_db == (60.0 if state == "envelope" else 100.0)
        np.testing.assert_allclose(np.maximum(found.data, -60), ub.enhance(image, folder).data, atol=1e-3)

    def test_what_is_displayed_is_not_what_the_network_sees(self, folder: Path) -> None:
        wide, narrow = (ub.enhance(speckle(), folder, dynamic_range=each) for each in (120.0, 20.0))
        assert (wide.dynamic_range_db, narrow.dynamic_range_db) == (120.0, 20.0)
        np.testing.assert_allclose(np.maximum(wide.data, -20), narrow.data, atol=1e-3)

    def test_settings_say_what_was_done(self, folder: Path) -> None:
        found = ub.enhance(speckle(), folder)
        (entry,) = found.settings["enhanced"]
        assert (entry["method"], entry["from_state"]) == ("looks-light", "complex")
        assert entry["parameters"] == {"mode": "fast", "gate": False, "runtime": "torch"}
        checksum = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        assert entry["weights"] == {"file": WEIGHTS, "sha256": checksum}
        assert entry["warnings"] == []
        assert found.settings["method"] == "das"

    def test_progress(self, folder: Path) -> None:
        seen: list[float] = []
        ub.enhance(speckle(), folder, mode="quality", looks=[speckle(1), speckle(2)], progress=seen.append)
        np.testing.assert_allclose(seen, [1 / 3, 2 / 3, 1])


class TestWhereNetworksComeFrom:
    def test_a_run_its_folder_and_its_file(self, folder: Path) -> None:
        write_json(folder / CONFIG, Config(model="looks-light").table())
        write_json(folder / FACTS_FILE, FACTS)
        run = load_run(folder)
        image = speckle()
        found = [ub.enhance(image, each) for each in (run, run.folder, str(run.folder), run.weights)]
        for other in found[1:]:
            np.testing.assert_array_equal(found[0].data, other.data)

    def test_weights_that_come_with_usbeam(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copy(folder / WEIGHTS, folder / "small.safetensors")
        (folder / "small.md").write_text("# Small, for tests\n")
        monkeypatch.setattr(shipped, "FOLDER", folder)
        assert shipped.names() == ["small", "weights"]
        assert (shipped.card("small"), shipped.card("weights")) == ("# Small, for tests\n", "")
        np.testing.assert_array_equal(ub.enhance(speckle(), "small").data, ub.enhance(speckle(), folder).data)

    def test_all_that_come_with_usbeam_have_a_card_and_load(self) -> None:
        for name in shipped.names():
            assert shipped.card(name)
            assert trained.find(name).network.model

    def test_a_file_that_has_changed_is_read_again(self, folder: Path) -> None:
        before = ub.enhance(speckle(), folder).data
        run_folder(folder, seed=1)
        assert np.abs(ub.enhance(speckle(), folder).data - before).max() > 1


class TestWarnings:
    def test_other_pixels(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        run = run_folder(tmp_path / "run", spacing=[1e-4, 1.5e-4])
        with caplog.at_level(logging.WARNING, "usbeam"):
            found = ub.enhance(speckle(), run)
        (said,) = found.settings["enhanced"][-1]["warnings"]
        assert "200 µm" in said
        assert "150 µm" in said
        assert said in caplog.text

    def test_other_speckle_where_it_can_be_counted(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        image = speckle()
        cell = np.array(speckle_cell(image))
        told: list[Any] = []
        for factor in (1.3, 2.0):
            # What counts is the number of pixels of a speckle, however large they are.
            run = run_folder(tmp_path / f"{factor}", spacing=[3e-4, 6e-4], speckle_cell=list(3 * cell * factor))
            with caplog.at_level(logging.WARNING, "usbeam"):
                done = ub.enhance(image, run).settings["enhanced"][0]
            told.append(done["warnings"])
            assert done["resampled"] == [pytest.approx((factor, factor))]
        pixels = cell / image.grid.spacing
        said = f"a speckle of {pixels[0]:.1f} x {pixels[1]:.1f} pixels (depth x across), the network was trained on "
        said += f"{2 * pixels[0]:.1f} x {2 * pixels[1]:.1f}; the image is resampled for it"
        assert told == [[], [said]]
        assert said in caplog.text

    def test_an_image_that_shows_less(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        found = ub.enhance(speckle().db(40), folder)
        assert found.dynamic_range_db == 40
        (said,) = found.settings["enhanced"][-1]["warnings"]
        assert "40 dB" in said
        assert "100 dB" in said
        assert said in caplog.text

    def test_no_warning_where_nothing_differs_or_nothing_is_known(self, tmp_path: Path) -> None:
        for spacing in ([1.04e-4, 1.93e-4], None):
            run = run_folder(tmp_path / "run", spacing=spacing)
            assert ub.enhance(speckle(), run).settings["enhanced"][-1]["warnings"] == []


@pytest.fixture(scope="module")
def recording() -> ub.Acquisition:
    probe = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.27e-3)
    phantom = ub.simulate.phantoms.speckle(probe, x=(-3e-3, 3e-3), z=(7e-3, 11e-3), density=4)
    fired = ub.Transmits.elements(probe)
    return ub.simulate.record(phantom, probe, fired, sampling_frequency=20e6, depth=(7e-3, 11e-3))


class TestRecordings:
    def test_quality_takes_the_looks_at_both_sides_of_two_lines(self, recording: ub.Acquisition, folder: Path) -> None:
        grid = ub.Grid.spaced(x=(-2e-3, 2e-3), z=(7.5e-3, 10.5e-3), spacing=(0.1e-3, 0.2e-3))
        found = ub.enhance_recording(recording, folder, grid)
        parts = ub.Angular(recording, grid)(recording.frame(0))
        looks = parts.looks([np.pi / 4, 3 * np.pi / 4])
        assert len(looks) == 4
        wanted = ub.enhance(parts.image(), folder, mode="quality", looks=looks)
        np.testing.assert_array_equal(found.data, wanted.data)
        assert (found.settings["method"], found.settings["enhanced"][-1]["n_looks"]) == ("angular", 4)
        fast = ub.enhance_recording(recording, folder, grid, mode="fast")
        np.testing.assert_array_equal(fast.data, ub.enhance(parts.image(), folder).data)
        assert np.abs(fast.data - found.data).max() > 1

    def test_pixels_are_those_of_the_training(self, recording: ub.Acquisition, folder: Path) -> None:
        found = ub.enhance_recording(recording, folder)
        np.testing.assert_allclose(found.grid.spacing, FACTS["spacing"], rtol=0.05)
        assert found.settings["enhanced"][-1]["warnings"] == []

    @pytest.mark.parametrize(
        ("options", "what"),
        [({"frame": 1}, "no such frame"), ({"mode": "best"}, "not a value"), ({"gates": True}, "no such parameter")],
    )
    def test_refused_before_any_work(
        self, recording: ub.Acquisition, folder: Path, options: dict[str, Any], what: str
    ) -> None:
        with pytest.raises(ConfigError, match=what):
            ub.enhance_recording(recording, folder, **options)


class TestRefusals:
    def test_quality_of_an_image(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="quality needs channel data") as caught:
            ub.enhance(speckle(), folder, mode="quality")
        assert "enhance_recording" in (caught.value.hint or "")

    def test_looks_where_they_do_not_belong(self, folder: Path) -> None:
        image = speckle()
        elsewhere = speckle(1, ub.Grid.linear(x=(-6e-3, 6e-3), z=(11e-3, 21e-3), shape=GRID.shape))
        for method, looks, mode, what in (
            (folder, [image], {}, "fast takes the image alone"),
            ("gaussian", [image], {}, "gaussian takes the image alone"),
            (folder, [elsewhere], {"mode": "quality"}, "looks of another grid"),
            (folder, [image.db(60)], {"mode": "quality"}, "looks of another state"),
        ):
            with pytest.raises(ConfigError, match=what):
                ub.enhance(image, method, looks=looks, **mode)

    @pytest.mark.parametrize(("name", "side"), [("looks-light", 8), ("unet-light", 16)])
    def test_an_image_smaller_than_the_network_takes(self, tmp_path: Path, name: str, side: int) -> None:
        run = run_folder(tmp_path / "run", name)
        for n, fits in ((side, False), (side + 1, True)):
            image = speckle(grid=ub.Grid.linear(x=(-1e-3, 1e-3), z=(1e-3, 2e-3), shape=(40, n)))
            if fits:
                assert ub.enhance(image, run).grid.shape == (40, n)
                continue
            with pytest.raises(ConfigError, match=f"image is too small for {name} .*{side + 1} x {side + 1}"):
                ub.enhance(image, run)

    def test_images_that_show_nothing(self, folder: Path) -> None:
        image = speckle()
        image.data[3, 4] = np.nan
        with pytest.raises(MeasurementError, match="no numbers"):
            ub.enhance(image, folder)
        with pytest.raises(MeasurementError, match="empty"):
            ub.enhance(ub.Image(np.zeros(GRID.shape, np.complex64), GRID), folder)
        with pytest.raises(MeasurementError, match="no numbers"):
            ub.enhance(speckle(), folder, mode="quality", looks=[image])

    def test_a_network_that_makes_no_numbers(self, tmp_path: Path) -> None:
        wild = network()
        with torch.no_grad():
            for parameter in wild.parameters():
                parameter.fill_(1e30)
        weights.save(wild, tmp_path / "wild.safetensors", FACTS)
        with pytest.raises(MeasurementError, match="values that are no numbers"):
            ub.enhance(speckle(), tmp_path / "wild.safetensors")

    def test_what_is_no_method(self, tmp_path: Path) -> None:
        for name in ("magic", "", str(tmp_path / "missing.safetensors")):
            with pytest.raises(ConfigError, match=r"unknown method .*a run folder"):
                ub.enhance(speckle(), name)
        with pytest.raises(ConfigError, match="neither a file"):
            ub.enhance(speckle(), tmp_path / "missing.safetensors")
        with pytest.raises(FileAccessError, match="no weights in this folder"):
            ub.enhance(speckle(), tmp_path)

    def test_files_that_are_no_weights(self, folder: Path, tmp_path: Path) -> None:
        good = (folder / WEIGHTS).read_bytes()
        image = tmp_path / "image.h5"
        speckle().save(image)
        for name, content in {
            "noise": np.random.default_rng(0).bytes(5000),
            "empty": b"",
            "truncated": good[: len(good) // 2],
            "long": good + b"x",
            "swapped": good.replace(b"looks-light", b"looks-heavy"),
            "other network": good.replace(b"looks-light", b'looks"     '),
            "an image": image.read_bytes(),
        }.items():
            file = tmp_path / "bad"
            file.write_bytes(content)
            with pytest.raises(UsbeamError) as caught:
                ub.enhance(speckle(), file)
            assert isinstance(caught.value, CheckpointError), name
            assert caught.value.path == str(file)

    def test_weights_that_are_not_finite(self, folder: Path) -> None:
        content = bytearray((folder / WEIGHTS).read_bytes())
        content[-4:] = np.float32(np.nan).tobytes()
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(CheckpointError, match="not finite"):
            ub.enhance(speckle(), folder)

    def test_a_pickle_is_never_run(self, tmp_path: Path) -> None:
        class Planted:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "it ran"),)

        pickle.loads(pickle.dumps(Planted()))  # it would
        (tmp_path / "it ran").rmdir()
        (tmp_path / WEIGHTS).write_bytes(pickle.dumps(Planted()))
        torch.save(Planted(), tmp_path / "zip.pt")
        for source in (tmp_path, tmp_path / "zip.pt"):
            with pytest.raises(CheckpointError, match="not the weights of a network"):
                ub.enhance(speckle(), source)
        assert not (tmp_path / "it ran").exists()

    @pytest.mark.parametrize(
        ("facts", "location"),
        [
            ({"domain": None}, "facts.domain"),
            ({"domain": "envelope"}, "facts.domain"),
            ({"dynamic_range_db": None}, "facts.dynamic_range_db"),
            ({"dynamic_range_db": -60.0}, "facts.dynamic_range_db"),
            ({"dynamic_range_db": "sixty"}, "facts.dynamic_range_db"),
            ({"spacing": [1e-4]}, "facts.spacing"),
            ({"spacing": "wide"}, "facts.spacing"),
        ],
    )
    def test_weights_without_their_facts(self, tmp_path: Path, facts: dict[str, Any], location: str) -> None:
        with pytest.raises(CheckpointError, match="do not say what the network is to be fed") as caught:
            ub.enhance(speckle(), run_folder(tmp_path / "run", **facts))
        assert caught.value.location == location
