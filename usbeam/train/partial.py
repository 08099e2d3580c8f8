"""Partial convolutions, which know which pixels are missing, and the network that Self2Self makes of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.1
"""Of the leaky rectifiers below zero."""
LEVELS = 5
"""How often the network halves the image."""


class PartialConv2d(nn.Module):
    """A 3 x 3 convolution over the pixels that are there (Liu et al., ECCV 2018, eq. 1 and 2).

    The sum over the pixels that are there is raised by the share of the window that they are; where there is none, the
    output is 0 and missing itself. What lies outside the image is missing.

    Parameters
    ----------
    n_in, n_out
        Channels.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out, 1, 1))
        nn.init.kaiming_uniform_(self.weight, 5**0.5)

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve.

        Parameters
        ----------
        values : (batch, n_in, height, width)
            Anything finite where they are missing.
        mask : (batch, 1, height, width)
            1 where values are there, 0 where they are missing.

        Returns
        -------
        values : (batch, n_out, height, width)
        mask : (batch, 1, height, width)
        """
        share = functional.avg_pool2d(mask, 3, 1, 1)
        there = (share > 0).to(mask.dtype)
        found = functional.conv2d(values * mask, self.weight, padding=1)
        return found / share.clamp_min(1 / 9) * there + self.bias * there, there


class PartialUNet(nn.Module):
    """The network of Self2Self: an encoder of partial convolutions, a decoder of convolutions with dropout before each.

    Parameters
    ----------
    width
        Channels of the encoder; the decoder has twice as many, then 4/3 and 2/3. The authors: 48.
    dropout
        Probability that a value is dropped; for predictions too, so that the network stays in training mode.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        halves = range(LEVELS)
        self.encoder = nn.ModuleList([PartialConv2d(1, width), *(PartialConv2d(width, width) for _ in halves)])
        self.deepest = PartialConv2d(width, width)
        self.decoder = nn.ModuleList(
            nn.Sequential(
                *_dropped(2 * width if level == 0 else 3 * width, 2 * width, dropout),
                *_dropped(2 * width, 2 * width, dropout),
            )
            for level in halves[:-1]
        )
        self.last = nn.Sequential(
            *_dropped(2 * width + 1, width * 4 // 3, dropout),
            *_dropped(width * 4 // 3, width * 2 // 3, dropout),
            *_dropped(width * 2 // 3, 1, dropout)[:-1],
            nn.Sigmoid(),
        )

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Guess every pixel from those that are there.

        Parameters
        ----------
        values : (batch, 1, height, width)
            From 0 to 1; anything finite where they are missing.
        mask : (batch, 1, height, width)
            1 where values are there, 0 where they are missing.

        Returns
        -------
        Tensor : (batch, 1, height, width)
            From 0 to 1.
        """
        skips = [values * mask]
        found, mask = _rectified(self.encoder[0], values, mask)
        for convolution in self.encoder[1:]:
            found, mask = _rectified(convolution, found, mask)
            found, mask = (functional.max_pool2d(each, 2, ceil_mode=True) for each in (found, mask))
            skips.append(found)
        skips.pop()
        found, _ = _rectified(self.deepest, found, mask)
        for stage in (*self.decoder, self.last):
            skip = skips.pop()
            found = stage(torch.cat((functional.interpolate(found, size=skip.shape[-2:]), skip), 1))
        return found


def _rectified(convolution: nn.Module, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    found, mask = convolution(values, mask)
    return functional.leaky_relu(found, SLOPE), mask


def _dropped(n_in: int, n_out: int, dropout: float) -> list[nn.Module]:
    """A convolution as the decoder has them, its starting weights torch's own."""
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1, padding_mode="replicate")
    return [nn.Dropout(dropout), convolution, nn.LeakyReLU(SLOPE)]
