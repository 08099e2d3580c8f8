"""Many frames: every image is its own frame's, and a GPU has its next work before the last one's images are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from usbeam.beamforming.streaming import streamed
from usbeam.kernels.backend import backend

SHAPE = (3, 2, 8)


def frame(number: int) -> np.ndarray:
    return np.full(SHAPE, number, np.int16)


def squared(frames: Any) -> Any:
    """As images ``(n, 1, 2, 8)``: something that shows which frame it is of."""
    return (frames[:, None, 0].astype(np.float32) ** 2).astype(np.complex64)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize(("n_frames", "batch"), [(0, 1), (1, 1), (1, 4), (2, 1), (5, 1), (5, 2), (6, 3), (7, 4)])
def test_every_image_is_of_its_own_frame(gpu: Any, device: str, n_frames: int, batch: int) -> None:
    found = list(streamed((frame(k) for k in range(n_frames)), batch, squared, backend(device)))
    assert len(found) == n_frames
    for k, image in enumerate(found):
        assert type(image) is np.ndarray
        np.testing.assert_array_equal(image, np.full((1, 2, 8), k**2, np.complex64))


def test_an_image_stays_as_it_was_while_later_ones_come(gpu: Any) -> None:
    images = streamed(map(frame, range(6)), 1, squared, backend("gpu"))
    first = next(images)
    list(images)
    assert np.all(first == 0)


def test_the_next_batch_is_under_way_before_images_are_fetched(gpu: Any) -> None:
    order: list[str] = []

    def read() -> Iterator[np.ndarray]:
        for k in range(4):
            order.append(f"read {k}")
            yield frame(k)

    def work(frames: Any) -> Any:
        order.append(f"work {int(frames[0, 0, 0, 0])}")
        return squared(frames)

    for image in streamed(read(), 1, work, backend("gpu")):
        order.append(f"got {int(abs(image[0, 0, 0]) ** 0.5)}")
    wanted = ["read 0", "work 0", "read 1", "work 1", "got 0", "read 2", "work 2", "got 1", "read 3", "work 3"]
    assert order == [*wanted, "got 2", "got 3"]


def test_frames_are_read_when_their_turn_comes(gpu: Any) -> None:
    def endless() -> Iterator[np.ndarray]:
        k = 0
        while True:
            yield frame(k)
            k += 1

    images = streamed(endless(), 2, squared, backend("gpu"))
    assert [int(next(images)[0, 0, 0].real) for _ in range(3)] == [0, 1, 4]


def test_what_fails_in_the_work_reaches_the_caller(gpu: Any) -> None:
    def work(frames: Any) -> Any:
        if int(frames[0, 0, 0, 0]) == 2:
            raise ValueError("frame 2")
        return squared(frames)

    images = streamed(map(frame, range(4)), 1, work, backend("gpu"))
    assert np.all(next(images) == 0)
    with pytest.raises(ValueError, match="frame 2"):
        list(images)
