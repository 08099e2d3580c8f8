"""Spatial compounding: the mean envelope of looks whose speckle differs.

Speckle is the interference of scatterers within one resolution cell. Two images of the same tissue have independent
speckle where they use disjoint parts of *two-way k-space*, the sums of transmit and receive wave vectors. Disjoint sets
of elements are not enough: fired by the left half and heard by the right sums to the same wave vectors as the reverse.
Two kinds of looks heed that.

*Groups* (`Looks`) are transmitted *and* received by one side: of N groups of neighbouring transmits and N groups of
neighbouring elements, both counted from -x to +x, look i takes group i of each. Wave vectors of different looks then
meet at the rims of their groups only.

*Oblique* looks (`ObliqueLooks`) come from all traces: lines at several angles through the centre of k-space cut the
image in two sides each (`usbeam.beamforming.oblique`). The sides of one line have nothing in common; looks of different
lines overlap, so that N of them count as fewer, but each is a half and not an N-th of k-space, and keeps more of the
resolution.

The looks' envelopes are averaged, not their intensities: the mean of N independent Rayleigh envelopes has the same
mean as one and 1 / sqrt(N) of its deviation, so that the speckle SNR is 1.91 sqrt(N) and mean levels do not depend on
N, neither of speckle nor of points. The price is resolution: a look of N groups has 1 / N of the aperture on both legs,
and its spot is N times as wide. Towards the rims of a group its wave vectors are few, so that groups may overlap by
half and still have speckle of their own: 2 N - 1 looks with spots of the same width.

References
----------
C. B. Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Sonics Ultrason. 25(1), 1978 (the mean of
envelopes); G. E. Trahey, S. W. Smith and O. T. von Ramm, "Speckle pattern correlation with lateral aperture
translation: experimental results and implications for spatial compounding", IEEE Trans. Ultrason. Ferroelectr. Freq.
Control 33(3), 1986; W. F. Walker and G. E. Trahey, "The application of k-space in pulse echo ultrasound", IEEE Trans.
Ultrason. Ferroelectr. Freq. Control 45(3), 1998.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam import device as devices
from usbeam.acquisition import Acquisition
from usbeam.beamforming import subsets
from usbeam.beamforming.angular import Angular
from usbeam.beamforming.groups import checked_share, grouped, refuse_many, sides
from usbeam.beamforming.oblique import FADE, refuse_depths
from usbeam.beamforming.plan import Plan
from usbeam.beamforming.requests import checked_receive_weights
from usbeam.checks import Floats
from usbeam.errors import ConfigError, MeasurementError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.kernels.backend import backend

KINDS = ("groups", "oblique")
MEAN_OF = "envelope"
"""What `mean_envelope` averages, as the settings of its images say."""
_MOST_LOOKS = 360


class Looks:
    """Several views of one recording, each transmitted and received by one side: geometry once, then any frames.

    Parameters
    ----------
    acquisition : Acquisition
        Elements that fire alone (full or half matrix), plane or diverging waves.
    grid : Grid, optional
        Image points, as for `Plan`.
    n_looks
        How many; 1 is the plain image.
    share
        Of transmits and elements that each look takes, from 1 / `n_looks` on; that is what it is if not given, and the
        groups have no member in common. With 2 / (`n_looks` + 1) neighbours have half in common, and hardly more of
        their speckle: more looks for the same width of a spot.
    transmits : (n_tx,), optional
        Weights of the transmits that are grouped; all transmits if not given.
    receive_weights : (n_elements,), optional
        Weights of the receiving elements that are grouped; all if not given.
    memory_budget
        Bytes, shared by the looks.
    **options
        Any other parameter of `Plan`.

    Attributes
    ----------
    plans : tuple of Plan
        One per look, from -x to +x.

    Raises
    ------
    ConfigError
        If there are fewer transmits or elements than looks, no look at all, or a share that leaves some of them out.
    GeometryError
        For transmits that come from no one side (focused, custom). And what `Plan` refuses.

    Examples
    --------
    >>> import numpy as np, usbeam as ub
    >>> probe = ub.Probe.linear(8, 0.3e-3, 5e6)
    >>> recording = ub.Acquisition(
    ...     samples=np.zeros((1, 8, 8, 400), np.float32), kind="rf", sampling_frequency=20e6, start_time=0.0,
    ...     sound_speed=1540.0, probe=probe, transmits=ub.Transmits.elements(probe))
    >>> grid = ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 10e-3), shape=(50, 20))
    >>> looks = ub.Looks(recording, grid, n_looks=2)
    >>> left, right = looks(recording.frame(0))
    >>> right.settings["receive_weights"]
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    >>> looks.compound(recording.frame(0)).state
    'envelope'
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid | None = None,
        *,
        n_looks: int,
        share: float | None = None,
        transmits: npt.ArrayLike | None = None,
        receive_weights: npt.ArrayLike | None = None,
        memory_budget: float | None = None,
        **options: Any,
    ) -> None:
        if memory_budget is None:
            memory_budget = backend(devices.resolve(options.get("device", "auto"))).memory_budget()
        fired = subsets.all(acquisition) if transmits is None else subsets.check(transmits, acquisition)
        heard = checked_receive_weights(receive_weights, acquisition)
        heard[~np.isin(np.arange(len(heard)), acquisition.receivers)] = 0  # these recorded nothing
        refuse_many(n_looks, {"transmits": len(fired.nonzero()[0]), "elements": len(heard.nonzero()[0])})
        part = checked_share(share, n_looks)
        places = sides(acquisition) if n_looks > 1 else np.zeros(acquisition.n_tx)
        self.plans = tuple(
            Plan(
                acquisition,
                grid,
                transmits=[transmit],
                receive_weights=receive,
                memory_budget=memory_budget / n_looks,
                **options,
            )
            for transmit, receive in zip(
                grouped(fired, places, n_looks, part),
                grouped(heard, acquisition.probe.element_positions[:, 0], n_looks, part),
                strict=True,
            )
        )

    def __call__(self, samples: npt.ArrayLike) -> list[Image]:
        """The looks of one frame ``(n_tx, n_rx, n_samples)``: complex images, from -x to +x.

        Raises
        ------
        BadField
            As `Plan` does.
        """
        return [image for plan in self.plans for image in plan(samples)]

    def compound(self, samples: npt.ArrayLike) -> Image:
        """The mean envelope of the looks of one frame; state envelope."""
        return mean_envelope(self(samples))


class ObliqueLooks:
    """Several views of one recording from the sides of lines through its k-space: geometry once, then any frames.

    Parameters
    ----------
    acquisition, grid
        As `usbeam.Angular` takes them. The step in depth must resolve the pulse's band; that of
        `usbeam.beamforming.requests.default_grid` does.
    n_looks
        Two for each line; the lines' angles are 0, 1, 2, ... times 2 pi / n_looks.
    fade
        As `usbeam.beamforming.angular.AngularImages.looks` takes it.
    **options
        Any other parameter of `usbeam.Angular`.

    Attributes
    ----------
    angular : Angular
        What makes the components that all looks share.
    angles : (n_looks / 2,)
        Of the lines [rad].

    Raises
    ------
    ConfigError
        For a number of looks that is not even.
    GeometryError
        For depths that `usbeam.beamforming.angular.AngularImages.looks` refuses. And what `usbeam.Angular` refuses.

    Examples
    --------
    >>> import numpy as np, usbeam as ub
    >>> probe = ub.Probe.linear(16, 0.3e-3, 5e6, bandwidth=0.6)
    >>> phantom = ub.simulate.phantoms.speckle(probe, x=(-2e-3, 2e-3), z=(6e-3, 10e-3), density=2)
    >>> recording = ub.simulate.record(
    ...     phantom, probe, ub.Transmits.elements(probe), sampling_frequency=20e6, depth=(6e-3, 10e-3))
    >>> grid = ub.Grid.spaced(x=(-1e-3, 1e-3), z=(7e-3, 9e-3), spacing=0.1e-3)
    >>> views = ub.ObliqueLooks(recording, grid, n_looks=4)(recording.frame(0))
    >>> [(round(view.settings["look"]["angle"], 2), view.settings["look"]["side"]) for view in views]
    [(0.0, -1), (0.0, 1), (1.57, -1), (1.57, 1)]
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid | None = None,
        *,
        n_looks: int = 8,
        fade: float = FADE,
        **options: Any,
    ) -> None:
        if n_looks not in range(2, _MOST_LOOKS + 1, 2):
            raise ConfigError(
                f"cannot make {n_looks} oblique looks",
                location="n_looks",
                expected=f"an even number, 2..{_MOST_LOOKS}",
                found=n_looks,
                hint="each line has two sides",
            )
        self.angular = Angular(acquisition, grid, **options)
        refuse_depths(self.angular.grid, self.angular.settings)
        self._fade = fade
        self.angles = np.linspace(0, np.pi, n_looks // 2, endpoint=False)

    def __call__(self, samples: npt.ArrayLike) -> list[Image]:
        """The looks of one frame ``(n_tx, n_rx, n_samples)``: complex images, as `AngularImages.looks` orders them.

        Raises
        ------
        BadField, MeasurementError
            As `Angular` and `AngularImages.looks` do.
        """
        return self.angular(samples).looks(self.angles, fade=self._fade)

    def compound(self, samples: npt.ArrayLike) -> Image:
        """The mean envelope of the looks of one frame; state envelope."""
        return mean_envelope(self(samples))


def compound(
    acquisition: Acquisition,
    grid: Grid | None = None,
    *,
    n_looks: int,
    kind: str = "groups",
    frame: int = 0,
    **options: Any,
) -> Image:
    """Image one frame with spatial compounding: the mean envelope of several looks.

    Parameters
    ----------
    acquisition
        The recording.
    grid
        Image points, as for `Plan`.
    n_looks
        How many; one of kind groups gives the plain image's envelope.
    kind
        ``groups`` for `Looks`, each from one side, or ``oblique`` for `ObliqueLooks`.
    frame
        Which frame.
    **options
        Any other parameter of `Looks` and `Plan`, or of `ObliqueLooks` and `usbeam.Angular`.

    Returns
    -------
    Image
        State envelope. Its settings have ``looks``: how many there are, what is averaged, and how each was made.

    Raises
    ------
    ConfigError, GeometryError
        For an unknown kind, and as `Looks` or `ObliqueLooks`.
    """
    if kind not in KINDS:
        raise ConfigError("unknown kind of looks", location="kind", expected=", ".join(KINDS), found=kind)
    views = Looks if kind == "groups" else ObliqueLooks
    return views(acquisition, grid, n_looks=n_looks, **options).compound(acquisition.frame(frame))


def mean_envelope(looks: Sequence[Image]) -> Image:
    """Compound looks into one image of state envelope.

    Parameters
    ----------
    looks
        Complex images or envelopes on one grid, made by plans, or all by `ObliqueLooks`.

    Raises
    ------
    ConfigError
        If there is none, or their grids differ.
    """
    envelopes = _envelopes(looks)
    rows = {name: np.array([look.settings[name] for look in looks]) for name in ("transmit_weights", "receive_weights")}
    how: dict[str, Any] = {
        "n_looks": len(looks),
        "mean_of": MEAN_OF,
        "transmits": [np.flatnonzero(row).tolist() for row in rows["transmit_weights"]],
        "elements": [np.flatnonzero(row).tolist() for row in rows["receive_weights"]],
    }
    weights = {name: row.max(axis=0).tolist() for name, row in rows.items()}
    settings = {**looks[0].settings, **weights, "looks": how}
    if "look" in settings:
        del settings["look"]
        how["oblique"] = [dict(look.settings["look"]) for look in looks]
    return dataclasses.replace(
        looks[0], data=envelopes.mean(axis=0, dtype=np.float32), state="envelope", settings=settings
    )


def speckle_correlation(looks: Sequence[Image], inside: npt.NDArray[np.bool_] | None = None) -> Floats:
    """How alike the speckle of images is: Pearson correlation of their envelopes.

    Parameters
    ----------
    looks
        Complex images or envelopes on one grid.
    inside : (n_z, n_x), optional
        Pixels of uniform speckle, such as ``roi.Rectangle(...).inside(image.grid)``; all if not given. Where the mean
        level changes, that change itself correlates.

    Returns
    -------
    (n_looks, n_looks)
        1 for the same speckle, 0 for independent.

    Raises
    ------
    MeasurementError
        If there are fewer than two pixels, or an image is constant there.

    Examples
    --------
    >>> grid = Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 10e-3), shape=(50, 20))
    >>> rng = np.random.default_rng(0)
    >>> one, other = (Image(rng.rayleigh(size=grid.shape), grid, "envelope") for _ in range(2))
    >>> np.round(speckle_correlation([one, one]), 2).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    >>> bool(abs(speckle_correlation([one, other])[0, 1]) < 0.1)
    True
    """
    return np.atleast_2d(np.corrcoef(_pixels(looks, inside)))


def effective_looks(looks: Sequence[Image], inside: npt.NDArray[np.bool_] | None = None) -> float:
    """As how many independent, equally strong looks these count: the compound's speckle SNR is 1.91 times its root.

    With mean envelopes m and the matrix R of `speckle_correlation`, the mean of Rayleigh envelopes has the variance of
    one of ``sum(m)^2 / (m R m)``: N where the looks are independent and equal, 1 where they are one.

    Parameters
    ----------
    looks, inside
        As for `speckle_correlation`.

    Raises
    ------
    MeasurementError
        As `speckle_correlation`.
    """
    mean = _pixels(looks, inside).mean(axis=1)
    return float(mean.sum() ** 2 / (mean @ speckle_correlation(looks, inside) @ mean))


def _envelopes(looks: Sequence[Image]) -> npt.NDArray[np.float32]:
    """``(n_looks, n_z, n_x)``."""
    if not looks:
        raise ConfigError("no look", location="looks", expected="at least one image")
    if any(look.grid != looks[0].grid for look in looks):
        raise ConfigError("looks of different grids", location="looks", hint="beamform all on one grid")
    return np.stack([look.envelope().data for look in looks])


def _pixels(looks: Sequence[Image], inside: npt.NDArray[np.bool_] | None) -> Floats:
    """``(n_looks, n_pixels)``: envelopes that vary."""
    envelopes = _envelopes(looks).astype(np.float64)
    chosen = np.ones(envelopes.shape[1:], bool) if inside is None else inside
    if chosen.shape != envelopes.shape[1:]:
        raise MeasurementError(
            "one value per pixel", location="inside", expected=envelopes.shape[1:], found=chosen.shape
        )
    pixels = envelopes[:, chosen]
    if pixels.shape[1] < 2 or np.any(np.ptp(pixels, axis=1) == 0):
        raise MeasurementError("an image does not vary here", location="inside", found=f"{pixels.shape[1]} pixels")
    return pixels
