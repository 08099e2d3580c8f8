"""What a network is fed: the right values, recordings kept apart, and the same crops for the same step."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.conftest import MakePairs
from usbeam.errors import BadField, ConfigError
from usbeam.io.pairs_file import load_pairs
from usbeam.train import data
from usbeam.train.config import Config
from usbeam.train.data import Crops, Examples, Part, fed, split

NAMES = [f"{index}.h5" for index in range(20)]


def test_display_is_as_it_is() -> None:
    values = np.random.default_rng(0).random((5, 4), dtype=np.float32)
    np.testing.assert_array_equal(fed(values, 60.0, "display"), values)


def test_median_is_level_re_the_median_and_independent_of_gain_and_range() -> None:
    level_db = np.random.default_rng(0).uniform(-70, -10, (31, 20))
    wanted = np.clip(level_db - np.median(level_db), -50, None) / 20
    for gain_db, dynamic_range_db in ((0.0, 100.0), (10.0, 80.0), (-5.0, 120.0)):
        values = 1 + (level_db + gain_db) / dynamic_range_db
        found = fed(values, dynamic_range_db, "median")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.min() >= -2.5


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=30),
    st.floats(0.01, 0.5),
    st.integers(0, 1000),
    st.integers(96, 300),
)
def test_no_recording_is_on_both_sides(recordings: list[int], held_out: float, seed: int, n_x: int) -> None:
    recording = np.array(recordings)
    found = split(recording, NAMES, n_x, held_out, seed)
    assert found == split(recording, NAMES, n_x, held_out, seed)
    training, validation = found.training, found.validation
    assert training.pairs
    assert validation.pairs
    if len(set(recordings)) > 1:
        assert not set(recording[list(training.pairs)]) & set(recording[list(validation.pairs)])
        assert sorted(training.pairs + validation.pairs) == list(range(len(recordings)))
        assert training.columns == validation.columns == slice(0, n_x)
    else:
        assert training.columns.stop + data.GAP == validation.columns.start
        assert validation.columns.stop == n_x


def test_the_share_of_recordings() -> None:
    recording = np.repeat(np.arange(20), 3)
    found = [split(recording, NAMES, 64, 0.25, seed) for seed in range(4)]
    assert {len(each.validation.pairs) for each in found} == {15}
    assert len({each.validation.pairs for each in found}) == 4  # another seed, other recordings
    assert found[0].rule.startswith("5 of 20 recordings held out: ")


def test_one_recording_loses_a_part_of_its_field() -> None:
    recording = np.zeros(3, int)
    found = split(recording, NAMES, 200, 0.25, 0)
    assert (found.training.columns, found.validation.columns) == (slice(0, 134), slice(150, 200))
    assert found.rule == "one recording: columns 150 to 199 of its field held out"
    with pytest.raises(ConfigError, match="too narrow") as caught:
        split(recording, NAMES, 79, 0.2, 0)
    assert split(recording, NAMES, 80, 0.2, 0).training.columns == slice(0, 32)
    assert caught.value.found == "31 of 79"


@pytest.fixture
def examples(make_pairs: MakePairs) -> Examples:
    """Twelve pairs of 50 x 40 of three recordings, whose lq and hq are equal."""
    pairs = load_pairs(make_pairs(shape=(50, 40)))
    return Examples(dataclasses.replace(pairs, lq=pairs.hq), "display")


EVERYTHING = Part(tuple(range(12)), slice(0, 40))


def test_a_step_is_drawn_from_its_number_alone(examples: Examples) -> None:
    config = Config(model="unet", crop=(32, 16), seed=5)
    forth, back = (Crops(examples, EVERYTHING, config) for _ in range(2))
    ahead = [forth.draw(step) for step in range(6)]
    assert ahead[0][0].shape == (4, 1, 32, 16)
    for step in reversed(range(6)):
        assert all(torch.equal(a, b) for a, b in zip(back.draw(step), ahead[step], strict=True))
    other = Crops(examples, EVERYTHING, dataclasses.replace(config, seed=6))
    assert not torch.equal(other.draw(0)[0], ahead[0][0])


def test_processes_share_a_batch(examples: Examples) -> None:
    crops = Crops(examples, EVERYTHING, Config(model="unet", crop=(32, 16)))
    whole, first, second = crops.draw(3)[0], crops.draw(3, 0, 2)[0], crops.draw(3, 1, 2)[0]
    assert torch.equal(whole[0::2], first)
    assert torch.equal(whole[1::2], second)


def test_crops_are_of_the_pair_flipped_alike_and_every_pair_comes_equally_often(examples: Examples) -> None:
    crops = Crops(examples, EVERYTHING, Config(model="unet", crop=(32, 16)))
    images = np.stack([examples[index][1] for index in range(12)])
    windows = np.lib.stride_tricks.sliding_window_view(images, (32, 16), axis=(1, 2))
    seen, flips, tops, lefts = [], [], [], []
    for step in range(18):  # six times through the twelve
        lq, hq = crops.draw(step)
        assert torch.equal(lq, hq)  # as they are in the file: the same place, the same flip
        for crop in hq[:, 0].numpy():
            for flipped in (False, True):
                wanted = crop[:, ::-1] if flipped else crop
                for index, top, left in np.argwhere(windows[..., 0, 0] == wanted[0, 0]):
                    if np.array_equal(windows[index, top, left], wanted):
                        seen.append(index)
                        flips.append(flipped)
                        tops.append(top)
                        lefts.append(left)
    assert len(seen) == 72
    assert all(sorted(seen[k : k + 12]) == list(range(12)) for k in range(0, 72, 12))
    assert seen[:12] != seen[12:24]
    assert 20 < sum(flips) < 52
    assert set(tops) <= set(range(19))
    assert set(lefts) <= set(range(25))
    assert len(set(tops)) > 13  # of the 19 places for 72 crops


def test_crops_keep_to_their_part(examples: Examples) -> None:
    part = Part((3, 4), slice(5, 30))
    crops = Crops(examples, part, Config(model="unet", crop=(448, 16)))
    assert crops.sides == (48, 25)  # the largest multiple of 16 that fits
    inside = {examples[index][1][row, column] for index in part.pairs for row in range(50) for column in range(5, 30)}
    assert all(set(crops.draw(step)[1].numpy().ravel()) <= inside for step in range(5))


@pytest.mark.parametrize(("n_x", "side"), [(17, 17), (31, 31), (32, 32), (47, 32), (300, 224)])
def test_the_side_of_crops_of_small_images(n_x: int, side: int, make_pairs: MakePairs) -> None:
    examples = Examples(load_pairs(make_pairs(recordings=2, each=1, shape=(32, n_x))), "display")
    crops = Crops(examples, Part((0, 1), slice(0, n_x)), Config(model="unet"))
    assert crops.draw(0)[0].shape[2:] == (32, side)


def test_images_that_are_too_small(make_pairs: MakePairs) -> None:
    examples = Examples(load_pairs(make_pairs(recordings=2, each=1, shape=(16, 40))), "display")
    with pytest.raises(ConfigError, match=r"too small to train on.*more than 16 pixels.*found 16 x 40"):
        Crops(examples, Part((0, 1), slice(0, 40)), Config())


@pytest.mark.parametrize("domain", ["display", "median"])
def test_from_the_disk_as_from_memory(domain: str, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = load_pairs(make_pairs(recordings=2, each=2))
    kept = Examples(pairs, domain)
    monkeypatch.setattr(data, "MEMORY_SHARE", 0.0)
    read = Examples(pairs, domain)
    assert (kept.in_memory, read.in_memory) == (True, False)
    for index in range(4):
        for mine, wanted in zip(kept[index], (pairs.lq[index], pairs.hq[index]), strict=True):
            np.testing.assert_array_equal(mine, fed(wanted, 100.0, domain))
        assert all(np.array_equal(a, b) for a, b in zip(kept[index], read[index], strict=True))


def test_one_pair_is_too_few(make_pairs: MakePairs) -> None:
    with pytest.raises(ConfigError, match=r"too few pairs.*two or more, found 1"):
        Examples(load_pairs(make_pairs(recordings=1, each=1)), "display")


def test_a_constant_image(make_pairs: MakePairs) -> None:
    path = make_pairs(replaced={3: np.full((48, 48), 0.5, np.float32)})
    with pytest.raises(BadField, match="constant image") as caught:
        Examples(load_pairs(path), "median")
    assert (caught.value.path, caught.value.location, caught.value.found) == (str(path), "/lq[3]", "0.5")


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.5])
def test_a_pixel_that_cannot_be(value: float, make_pairs: MakePairs) -> None:
    path = make_pairs()
    with h5py.File(path, "r+") as file:
        file["hq"][7, 20, 30] = value
    with pytest.raises(BadField, match="/hq 7"):
        Examples(load_pairs(path), "display")


def test_images_of_different_sizes(make_pairs: MakePairs) -> None:
    path = make_pairs()
    with h5py.File(path, "r+") as file:
        hq, attributes = file["hq"][:, :40], dict(file["hq"].attrs)
        del file["hq"]
        file["hq"] = hq
        file["hq"].attrs.update(attributes)
    with pytest.raises(BadField, match="hq"):
        load_pairs(path)
