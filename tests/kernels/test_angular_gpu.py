"""Angular components on the GPU, in both of their forms, against the oracles of those on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_angular_cpu import (
    BEHIND,
    DOWN,
    LINE,
    N_BINS,
    STEERED,
    check_bins,
    check_wave_bins,
    cut,
    several_frames,
    work,
)
from usbeam.kernels import angular_gpu
from usbeam.kernels.backend import backend
from usbeam.kernels.conventions import PLANE, SPHERICAL

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture(params=["on the chip", "in the images"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where components are added up; in the images, if a block has no room for them."""
    if request.param == "in the images":
        monkeypatch.setattr(angular_gpu, "_SHARED_BYTES", 0)


@pytest.mark.usefixtures("form")
class TestSum:
    @pytest.mark.parametrize("n_taps", [1, 2, 4])
    def test_equals_a_plain_sum(self, n_taps: int) -> None:
        made = work(n_taps=n_taps)
        assert np.count_nonzero(made.run(backend("gpu")).any(axis=(1, 2))) == len(made.out)
        made.check(backend("gpu"))

    @pytest.mark.parametrize(("n_x", "n_z"), [(1, 1), (2, 128), (3, 129)])
    def test_blocks_of_any_size(self, n_x: int, n_z: int) -> None:
        work(n_x=n_x, n_z=n_z, counts=(2, 3)).check(backend("gpu"))

    def test_adds_to_what_is_there_from_a_column_on(self) -> None:
        wide = np.random.default_rng(1).standard_normal((15, 40, 12)).astype(np.complex64)
        made = replace(work(), column=4, out=wide)
        made.check(backend("gpu"))
        found = made.run(backend("gpu"))
        np.testing.assert_array_equal(found[..., :4], wide[..., :4])
        np.testing.assert_array_equal(found[..., 9:], wide[..., 9:])

    def test_several_frames_share_the_tables(self) -> None:
        several_frames().check(backend("gpu"))

    @pytest.mark.parametrize("n_components", [64, 128])
    def test_as_many_components_as_there_may_be(self, n_components: int) -> None:
        """A block has room for those of fewer threads."""
        made = work(n_z=70, n_x=2, counts=(3,))
        out = np.zeros((n_components, *made.out.shape[1:]), np.complex64)
        sent = (made.transmit_bin * (n_components // N_BINS - 1)).astype(np.int8)
        replace(made, out=out, transmit_bin=sent).check(backend("gpu"))

    def test_records_shorter_than_the_taps_add_nothing(self) -> None:
        assert not work(n_samples=3, n_taps=4).run(backend("gpu")).any()

    def test_samples_that_are_no_numbers_show_where_they_are_read(self) -> None:
        made = work()
        made.traces[4, 10] = np.nan
        blank = replace(made, traces=np.where(np.isnan(made.traces), np.complex64(0), made.traces))
        found = made.run(backend("gpu"))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(made.run()))
        assert 0 < np.count_nonzero(np.isnan(found)) < found.size / 4
        np.testing.assert_array_equal(found[~np.isnan(found)], blank.run(backend("gpu"))[~np.isnan(found)])


def test_bins_are_their_formula() -> None:
    check_bins(*cut(backend=backend("gpu")))


def test_bins_are_those_of_the_cpu() -> None:
    """What does not look at a point, and depths that nothing is active in, too."""
    normal = DOWN.copy()
    normal[3] *= -1
    for given in ((LINE, DOWN), (LINE, normal), (LINE, -DOWN)):
        for found, wanted in zip(cut(*given, backend=backend("gpu")), cut(*given), strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-7)


@pytest.mark.parametrize("n_bins", [7, 8])
@pytest.mark.parametrize(("shape", "places"), [(PLANE, STEERED), (SPHERICAL, BEHIND)])
def test_bins_of_waves_are_their_formula(shape: int, places: np.ndarray, n_bins: int) -> None:
    check_wave_bins(shape, places, n_bins, backend("gpu"))
