"""The two-way pulse that the simulator sends and hears."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from usbeam.checks import Floats


@dataclass(frozen=True)
class Pulse:
    """A cosine of unit peak under a Gaussian envelope, both centred on time 0.

    Parameters
    ----------
    center_frequency
        In Hz.
    bandwidth
        Full width at -6 dB (half) of the two-way amplitude spectrum, as a fraction of the centre frequency.

    Examples
    --------
    >>> pulse = Pulse(7.5e6, 0.65)
    >>> edge, center = pulse.spectrum(np.array([7.5e6 * (1 - 0.325), 7.5e6]))
    >>> round(float(edge / center), 3)
    0.5
    """

    center_frequency: float
    bandwidth: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the envelope [s]."""
        return math.sqrt(2 * math.log(2)) / (math.pi * self.bandwidth * self.center_frequency)

    @property
    def half_length(self) -> float:
        """From the peak to where the envelope is at -108 dB [s]."""
        return 5 * self.sigma

    def spectrum(self, frequency: Floats) -> Floats:
        """Fourier transform at frequencies [Hz]: real, as the pulse is even."""
        offset = np.abs(frequency) - self.center_frequency
        lobe = np.exp(-2 * (np.pi * self.sigma * offset) ** 2)
        # The lobe of the other sign reaches across zero, faintly, when the bandwidth is large.
        mirrored = np.exp(-2 * (np.pi * self.sigma * (offset + 2 * self.center_frequency)) ** 2)
        return (lobe + mirrored) * (self.sigma * math.sqrt(math.pi / 2))
