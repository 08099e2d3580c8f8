"""The weights that come with usbeam: whole, small, with cards, and better than nothing."""

from __future__ import annotations

import numpy as np
import pytest

import usbeam as ub
from usbeam import weights
from usbeam.train.networks import MODELS
from usbeam.train.weights import load

MEGABYTE = 1e6


def test_there_is_one_of_each_network() -> None:
    assert weights.names() == sorted(MODELS)
    assert sum(weights.path(name).stat().st_size for name in weights.names()) < 8 * MEGABYTE


@pytest.mark.parametrize("name", MODELS)
def test_a_card_says_what_it_is_and_what_was_measured(name: str) -> None:
    network, facts = load(weights.path(name))
    assert network.architecture.name == name
    assert facts["pairs"]["strategy"] == ("paper" if name.startswith("unet") else "looks")
    assert "/" not in facts["pairs"]["file"]  # the name alone, not where it lay
    card = weights.card(name)
    assert card.startswith(f"# {name}: ")
    assert f"{facts['n_parameters']:,} parameters" in card
    for heading in ("**Trained on.**", "**Measured**", "**Limits.**", "| machine |"):
        assert heading in card
    assert card.count("\n| ") >= 2  # the table's head, and a machine at least


@pytest.mark.parametrize("name", ["looks", "looks-light"])
def test_a_cyst_stands_out_more(name: str) -> None:
    probe = ub.Probe.linear(48, 0.3e-3, 7e6, bandwidth=0.6, element_width=0.27e-3)
    circle = (0.0, 19e-3, 2.5e-3)
    phantom = ub.simulate.phantoms.inclusions(
        probe, x=(-5e-3, 5e-3), z=(14e-3, 24e-3), density=10, circles=[circle], contrasts_db=[-8.0], seed=3
    )
    recording = ub.simulate.record(
        phantom, probe, ub.Transmits.elements(probe), sampling_frequency=30e6, depth=(14e-3, 24e-3)
    )
    grid = ub.Grid.spaced(x=(-4.5e-3, 4.5e-3), z=(14.5e-3, 23.5e-3), spacing=(0.06e-3, 0.08e-3))
    image = ub.Angular(recording, grid)(recording.frame(0)).image()
    region = ub.roi.RegionPair("cyst", ub.roi.Circle(0.0, 19e-3, 2e-3), ub.roi.Annulus(0.0, 19e-3, 3e-3, 4e-3))
    before, after = (float(ub.metrics.cnr(each, region)) for each in (image, ub.enhance(image, name)))
    assert after > 2 * before
    difference = [float(ub.metrics.mean_difference_db(each, region)) for each in (image, ub.enhance(image, name))]
    assert difference[1] == pytest.approx(difference[0], rel=0.3)
    assert np.isfinite(ub.enhance_recording(recording, name, mode="fast").data).all()
