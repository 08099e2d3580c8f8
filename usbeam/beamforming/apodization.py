"""Windows over the acceptance angle: how much a trace counts at an image point.

Every window here is a function of sin(angle) between the ray and the element's normal, because that is what the
Fourier beamformer can do as well: it is the lateral wavenumber over k. An f-number F accepts
|lateral offset| <= depth / (2 F), that is sin(angle) <= 1 / sqrt(1 + 4 F^2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usbeam.checks import Floats
from usbeam.errors import ConfigError

_SHAPES = {"boxcar": (0.0, 0.0), "hann": (1.0, 0.0), "hamming": (1.0, 0.08), "tukey": (0.5, 0.0)}
"""Name -> (taper, pedestal)."""


@dataclass(frozen=True)
class Window:
    """A tapered acceptance cone.

    Parameters
    ----------
    max_sine : float
        Sine of the largest accepted angle; infinite where every angle is accepted.
    taper : float
        Fraction of the cone in which the weight falls, as a raised cosine: 0 boxcar, 1 Hann.
    pedestal : float
        Weight at the edge of the cone.
    """

    max_sine: float = float("inf")
    taper: float = 0.0
    pedestal: float = 0.0

    @property
    def unlimited(self) -> bool:
        """Whether every angle counts in full."""
        return self.max_sine > 1

    def weight(self, sine: Floats) -> Floats:
        """The window's value at sin(angle) >= 0."""
        if self.unlimited:
            return np.ones_like(sine)
        relative = sine / self.max_sine
        fall = np.clip((relative - (1 - self.taper)) / max(self.taper, 1e-12), 0, 1)
        shape = self.pedestal + (1 - self.pedestal) * (0.5 + 0.5 * np.cos(np.pi * fall))
        return np.where(relative <= 1, shape if self.taper else 1.0, 0.0)

    @property
    def tapered(self) -> bool:
        """Whether weights other than 0 and 1 occur."""
        return not self.unlimited and self.taper > 0


def acceptance(f_number: float | None, window: str = "boxcar") -> Window:
    """The acceptance cone of an f-number.

    Parameters
    ----------
    f_number
        Depth over the width of the active aperture; None accepts every angle.
    window
        ``boxcar``, ``hann``, ``hamming``, ``tukey`` (half of the cone tapered) or ``tukey:FRACTION``.

    Returns
    -------
    Window

    Raises
    ------
    ConfigError
        For an f-number that is not positive, an unknown window, or a taper without an f-number to give it width.

    References
    ----------
    Harris 1978, Proc. IEEE 66(1):51, for the windows; Perrot et al. 2021, Ultrasonics 111:106309, for the f-number.

    Examples
    --------
    >>> round(acceptance(1.5).max_sine, 4)
    0.3162
    """
    name, _, fraction = window.partition(":")
    if name not in _SHAPES or (fraction and name != "tukey"):
        raise ConfigError(
            "unknown window", location="window", expected=f"{', '.join(_SHAPES)} or tukey:0.3", found=window
        )
    taper, pedestal = _SHAPES[name]
    if fraction:
        try:
            taper = float(fraction)
        except ValueError:
            taper = float("nan")
        if not 0 <= taper <= 1:
            raise ConfigError("the taper is a fraction", location="window", expected="tukey:0 to tukey:1", found=window)
    if f_number is None:
        if name != "boxcar":
            raise ConfigError(
                f"a {name} window needs an f-number",
                location="window",
                hint="give f_number (command line: --f-number 1.5) to say how wide the window is",
            )
        return Window()
    if not (np.isfinite(f_number) and f_number > 0):
        raise ConfigError("not a positive number", location="f_number", expected="a finite number > 0", found=f_number)
    return Window(1 / float(np.sqrt(1 + 4 * f_number**2)), taper, pedestal)
