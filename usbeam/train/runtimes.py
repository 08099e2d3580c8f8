"""What runs a network: PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from usbeam.errors import ConfigError
from usbeam.train.networks import Network

Array = npt.NDArray[np.float32]
Runner = Callable[[Array], Array]
"""From one image ``(n_z, n_x)``, as the network is fed, to what it makes of it."""


def runner(network: Network, runtime: str = "torch") -> Runner:
    """Make a network ready to run.

    Parameters
    ----------
    network
        See `usbeam.train.networks`.
    runtime
        One of `RUNTIMES`.

    Raises
    ------
    ConfigError
        For an unknown runtime.
    """
    if runtime not in RUNTIMES:
        raise ConfigError("unknown runtime", location="runtime", expected=", ".join(RUNTIMES), found=runtime)
    return RUNTIMES[runtime](network)


def _torch(network: Network) -> Runner:
    def run(image: Array) -> Array:
        with torch.inference_mode():
            return network(torch.from_numpy(image)[None, None])[0, 0].numpy()

    return run


RUNTIMES = {"torch": _torch}
"""By name."""
