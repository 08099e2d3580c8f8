"""A network's work on a GPU, captured once as a CUDA graph and replayed for every image of that size.

A pass is some hundred short kernels. Launched one by one they cost the host more time than the GPU; a graph is one
launch. Its memory is fixed, so that images are copied into it and out of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usbeam.train.gpu import exact
from usbeam.train.networks import Network

WARM_UP = 3
"""Passes before the capture, in which libraries choose algorithms and take memory."""


class Replayed:
    """A network for images of one size.

    Parameters
    ----------
    network
        On the GPU.
    size : (n_z, n_x)
        Of the images.
    """

    @torch.no_grad()
    def __init__(self, network: Network, size: tuple[int, int]) -> None:
        self._given = torch.zeros((1, 1, *size), device="cuda")
        self._sent, self._received = (torch.empty((1, 1, *size), pin_memory=True) for _ in range(2))
        self._graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with exact():
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    network(self._given)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(self._graph):
                self._made = network(self._given)

    def __call__(self, image: Tensor) -> Tensor:
        """What the network makes of an image ``(n_z, n_x)`` in host memory; both are there."""
        self._sent[0, 0] = image
        self._given.copy_(self._sent, non_blocking=True)
        self.replay()
        self._received.copy_(self._made, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return self._received[0, 0].clone()

    def replay(self) -> None:
        """Begin the work on the image that is there, without waiting for its end."""
        self._graph.replay()
