"""The U-Nets of zero-shot enhancement: the paper's, the one for looks, and a light form of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from usbeam.errors import ConfigError


@dataclass(frozen=True)
class Architecture:
    """What tells one U-Net from another.

    Parameters
    ----------
    name
        As `build` knows it.
    widths
        Channels at full resolution, at half of it, and so on.
    separable
        Whether a convolution of 3 x 3 is split into one of 3 x 3 for each channel and one of 1 x 1 across them.
    normalised
        Whether instance normalisation, with a learnt scale and shift, follows every convolution; else each has a bias.
    slope
        Of the rectifiers below zero.
    starts_as_identity
        Whether the last convolution starts at zero, so that an untrained network gives back its input.
    """

    name: str
    widths: tuple[int, ...]
    separable: bool
    normalised: bool
    slope: float
    starts_as_identity: bool

    @property
    def block(self) -> int:
        """Side [pixels] of what becomes one pixel at the lowest resolution."""
        return 2 ** (len(self.widths) - 1)


def _paper(name: str, widths: tuple[int, ...], *, separable: bool) -> Architecture:
    return Architecture(name, widths, separable, normalised=True, slope=0.0, starts_as_identity=False)


def _looks(name: str, widths: tuple[int, ...], *, separable: bool) -> Architecture:
    return Architecture(name, widths, separable, normalised=False, slope=0.1, starts_as_identity=True)


MODELS: Mapping[str, Architecture] = MappingProxyType(
    {
        architecture.name: architecture
        for architecture in (
            _paper("unet", (16, 32, 64, 128, 256), separable=False),
            _paper("unet-light", (8, 16, 32, 64, 128), separable=True),
            _looks("looks", (16, 32, 64, 128), separable=False),
            _looks("looks-light", (16, 32, 64, 128), separable=True),
        )
    }
)
"""The networks by name.

The paper states sizes in memory, 8.24 MB and 0.275 MB, and no widths: those of ``unet`` and ``unet-light`` are inferred
from the sizes (8.240 MiB and 0.276 MiB). ``looks-light`` has the widths of ``looks``, and an eighth of its parameters.
"""


class Network(nn.Module):
    """A U-Net that says what to add to an image.

    At each resolution two convolutions of 3 x 3, each followed by a rectifier; average pooling on the way down; on the
    way up bilinear interpolation, a convolution that halves the channels, and beside it what the way down had there.
    The output is the image plus a last convolution of 1 x 1.

    An image of any size beyond one block is taken: it goes on beyond its far borders, as in a mirror there, up to a
    multiple of the block, and what was added is cut off again.

    Parameters
    ----------
    architecture
        See `Architecture` and `MODELS`.

    References
    ----------
    O. Ronneberger, P. Fischer and T. Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI
    2015. Li, Lu and Monkam, Zero-Shot Learning for Real-Time Ultrasound Image Enhancement. D. Ulyanov, A. Vedaldi and
    V. Lempitsky, Instance Normalization, arXiv:1607.08022, 2016. A. G. Howard et al., MobileNets: Efficient
    Convolutional Neural Networks for Mobile Vision Applications, arXiv:1704.04861, 2017 (separable convolutions).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        down = list(pairwise((1, *architecture.widths)))
        up = [(shallow, deep) for shallow, deep in reversed(down[1:])]
        self.encoder = nn.ModuleList(_two_stages(n_in, n_out, architecture) for n_in, n_out in down)
        self.narrowing = nn.ModuleList(_stage(deep, shallow, architecture) for shallow, deep in up)
        self.decoder = nn.ModuleList(_two_stages(2 * shallow, shallow, architecture) for shallow, _ in up)
        self.last = nn.Conv2d(architecture.widths[0], 1, 1)
        if architecture.starts_as_identity:
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)
        if not architecture.normalised:
            # The channels of a pixel side by side: convolutions are faster so, normalisations slower.
            self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, image: Tensor) -> Tensor:
        """Enhance images.

        Parameters
        ----------
        image : (n, 1, n_z, n_x)
            Displayed values, on the scale that the weights were trained on.

        Returns
        -------
        Tensor : (n, 1, n_z, n_x)

        Raises
        ------
        ConfigError
            If the shape is another, or the image no larger than one block.
        """
        self._check(image)
        n_z, n_x = image.shape[-2:]
        block = self.architecture.block
        # Indices are made where the image is: what a GPU replays copies nothing from the host.
        where = image.device
        found = whole = _taken(image, _mirrored(n_z, block, where), _mirrored(n_x, block, where))
        skips: list[Tensor] = []
        for stages in self.encoder:
            found = stages(functional.avg_pool2d(found, 2) if skips else found)
            skips.append(found)
        skips.pop()
        for narrowing, stages in zip(self.narrowing, self.decoder, strict=True):
            wide = functional.interpolate(found, scale_factor=2, mode="bilinear")
            found = stages(torch.cat((skips.pop(), narrowing(wide)), 1))
        return _taken(whole + self.last(found), torch.arange(n_z, device=where), torch.arange(n_x, device=where))

    def _check(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != 1:
            raise ConfigError(
                "not a batch of images", location="image", expected="(n, 1, n_z, n_x)", found=tuple(image.shape)
            )
        block = self.architecture.block
        if image.shape[2] <= block or image.shape[3] <= block:
            raise ConfigError(
                f"the image is too small for {self.architecture.name}",
                location="image",
                expected=f"at least {block + 1} x {block + 1} pixels",
                found=f"{image.shape[2]} x {image.shape[3]}",
            )


def build(name: str, seed: int | None = None) -> Network:
    """Make an untrained network.

    Parameters
    ----------
    name
        One of `MODELS`.
    seed
        Of the starting weights; torch's own random numbers are left where they were. By default the weights are drawn
        from those.

    Returns
    -------
    Network

    Raises
    ------
    ConfigError
        If there is no network of that name.

    Examples
    --------
    >>> network = build("unet-light", seed=0)
    >>> n_parameters(network)
    72292
    >>> with torch.no_grad():
    ...     enhanced = network(torch.rand(1, 1, 256, 620))
    >>> enhanced.shape
    torch.Size([1, 1, 256, 620])
    """
    if name not in MODELS:
        raise ConfigError("no such network", expected=f"one of {', '.join(MODELS)}", found=name)
    if seed is None:
        return Network(MODELS[name])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Network(MODELS[name])


def n_parameters(network: nn.Module) -> int:
    """How many numbers training sets.

    Examples
    --------
    >>> n_parameters(build("unet"))
    2160129
    """
    return sum(parameter.numel() for parameter in network.parameters())


def _mirrored(size: int, block: int, device: torch.device) -> Tensor:
    """Indices that go on beyond the far border, as in a mirror there, up to a multiple of the block."""
    last = size - 1
    return last - (last - torch.arange((last + block) // block * block, device=device)).abs()


def _taken(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """By indices: padding and slices torch cannot export for sizes that are not known yet."""
    return image.index_select(2, rows).index_select(3, columns)


def _two_stages(n_in: int, n_out: int, architecture: Architecture) -> nn.Sequential:
    return nn.Sequential(_stage(n_in, n_out, architecture), _stage(n_out, n_out, architecture))


def _stage(n_in: int, n_out: int, architecture: Architecture) -> nn.Sequential:
    """A convolution and a rectifier."""
    slope = architecture.slope
    if architecture.separable:
        linear = (
            *_convolution(n_in, n_in, 3, architecture, slope=1.0, groups=n_in),
            *_convolution(n_in, n_out, 1, architecture, slope=slope),
        )
    else:
        linear = _convolution(n_in, n_out, 3, architecture, slope=slope)
    return nn.Sequential(*linear, nn.LeakyReLU(slope) if slope else nn.ReLU())


def _convolution(
    n_in: int, n_out: int, size: int, architecture: Architecture, *, slope: float, groups: int = 1
) -> tuple[nn.Module, ...]:
    """With its shift: a bias, or that of the normalisation, which would take any bias out again.

    `slope` is that of the rectifier that follows, 1 for none. Starting weights are drawn so that the signal stays as
    large as it is (K. He et al., Delving Deep into Rectifiers, ICCV 2015): without a normalisation it would fade from
    layer to layer with torch's own, and the network would learn slowly.
    """
    normalised = architecture.normalised
    convolution = nn.Conv2d(n_in, n_out, size, padding=size // 2, groups=groups, bias=not normalised)
    if normalised:
        return convolution, nn.InstanceNorm2d(n_out, affine=True)
    nn.init.kaiming_normal_(convolution.weight, slope)
    return (convolution,)
