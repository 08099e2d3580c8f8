"""Angular components: one pass of delay-and-sum sorts what it adds by the angle that it came from.

Seen from an image point, an element lies at an angle of sine s, positive at larger x. Of all the array, what is seen
within +-`max_sine` is the point's *local aperture*, from s_low to s_high, and u = (s - s_low) / (s_high - s_low) runs
from 0 to 1 across it. It is cut into `n_bins` equal bins. A trace that left by bin i and came back by bin j adds to
component m = i + j, because speckle depends on the sum of both wave vectors only.

A plane or diverging wave comes to a point from one direction. Its bins are as wide, and counted from the mean sine of
all waves there: waves of nearly one direction share the middle bin, and the receive bin alone tells them apart; what is
left and right of the middle is so at every point, however the waves were steered.

An element's weight fades as a raised cosine over the outer 15 % of u, on either leg; that of a wave is 1. Where the
array does not reach the whole acceptance angle, the bins are narrower, and none is empty: a lateral Fourier transform
of the image cannot do that. The sum of all components is the image of these weights.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam import device as devices
from usbeam.acquisition import Acquisition
from usbeam.beamforming import oblique, subsets
from usbeam.beamforming.apodization import Window
from usbeam.beamforming.frames import imaged, source
from usbeam.beamforming.requests import (
    checked_budget,
    checked_receive_weights,
    checked_speed,
    default_grid,
    refuse_huge,
    refuse_undersampled,
    warn_beyond_record,
)
from usbeam.beamforming.sampling import ASSUMED_BANDWIDTH, choose
from usbeam.beamforming.time_domain import TimeDomain
from usbeam.beamforming.traces import pair, same_timing
from usbeam.checks import Floats
from usbeam.errors import ConfigError, GeometryError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.kernels.backend import backend
from usbeam.kernels.memory import retry_smaller

MAX_SINE, N_BINS = 0.35, 8
TAPER = 0.15
"""Of the local aperture, on either side."""
_MOST_BINS = 64


@dataclass(frozen=True, eq=False)
class AngularImages:
    """What `Angular` makes of a frame.

    Parameters
    ----------
    data : (n_components, n_z, n_x) complex64
        From the angle furthest to -x to the one furthest to +x.
    position : (n_components,)
        The mean of both legs' directions, in which -1 is s_low and 1 is s_high; of waves, 0 is their mean direction.
        Few waves leave outer components empty.
    grid, settings, source
        As images have them.
    """

    data: npt.NDArray[np.complex64]
    position: Floats
    grid: Grid
    settings: Mapping[str, Any]
    source: Mapping[str, str]

    def image(self) -> Image:
        """The sum of all components, state complex."""
        return self._image(self.data.sum(axis=0), self.settings)

    def looks(
        self,
        angles: Sequence[float] | Floats = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4),
        *,
        fade: float = oblique.FADE,
    ) -> list[Image]:
        """Oblique looks: the images of both sides of lines through two-way k-space (`usbeam.beamforming.oblique`).

        Parameters
        ----------
        angles
            Of the lines [rad]: 0 splits left from right, pi / 2 low from high frequencies.
        fade
            Over how many deviations from the line a look fades in. A soft rim keeps bright echoes from smearing over
            their surroundings, and costs signal.

        Returns
        -------
        list of Image
            State complex; for each angle the side below the line and the one above it. The settings' ``look`` has the
            angle, the side, -1 or 1, and the fade.

        Raises
        ------
        ConfigError
            For angles that are no finite numbers, or a rim that has no width.
        GeometryError
            If the depths are not evenly spaced, or too coarsely for the pulse's band to fit.
        MeasurementError
            If the images are zero.

        References
        ----------
        The two sides have independent speckle because they are disjoint in two-way k-space: W. F. Walker and G. E.
        Trahey, "The application of k-space in pulse echo ultrasound", IEEE Trans. Ultrason. Ferroelectr. Freq. Control
        45(3), 1998.
        """
        lines = np.asarray(angles, np.float64)
        if lines.ndim != 1 or not lines.size or not np.all(np.isfinite(lines)):
            raise ConfigError("not a list of angles", location="angles", expected="finite numbers [rad]", found=angles)
        if not 0 < fade < np.inf:
            raise ConfigError("not a width", location="fade", expected="deviations > 0", found=fade)
        oblique.refuse_depths(self.grid, self.settings)
        centre = oblique.centre(self.data, self.position)
        sides = oblique.split(self.data, self.position, lines, centre, fade)
        return [
            self._image(data, {**self.settings, "look": {"angle": float(angle), "side": side, "fade": fade}})
            for angle, pair_ in zip(lines, sides, strict=True)
            for side, data in zip((-1, 1), pair_, strict=True)
        ]

    def _image(self, data: npt.NDArray[np.complex64], settings: Mapping[str, Any]) -> Image:
        return Image(data, self.grid, settings=settings, source=self.source)


class Angular:
    """Angular components of one recording: geometry once, then any frames.

    Parameters
    ----------
    acquisition : Acquisition
        Elements that fire alone (full or half matrix), plane waves or diverging waves.
    grid : Grid, optional
        Image points, as for `Plan`.
    transmits : (n_tx,), optional
        Weights of the transmits; all transmits if not given.
    receive_weights : (n_elements,), optional
        Weights of the receiving elements; 1 if not given.
    max_sine
        Sine of the largest angle at which an element is accepted, to either side; waves are from any direction.
    n_bins
        Of a leg: 2 n_bins - 1 components. Waves have an odd number of bins, so that one is in the middle: one more,
        and one more component, where `n_bins` is even.
    interpolation, upsampling, fold, sound_speed, device, memory_budget
        As for `Plan`.

    Attributes
    ----------
    settings : dict
        What was chosen.

    Raises
    ------
    ConfigError
        For a `max_sine` outside 0 to 1, or no number of bins.
    GeometryError
        For transmits that come to a point from no one direction (focused, custom, of several kinds). And what `Plan`
        refuses.

    Examples
    --------
    >>> import numpy as np, usbeam as ub
    >>> probe = ub.Probe.linear(8, 0.3e-3, 5e6)
    >>> recording = ub.Acquisition(
    ...     samples=np.zeros((1, 8, 8, 400), np.float32), kind="rf", sampling_frequency=20e6, start_time=0.0,
    ...     sound_speed=1540.0, probe=probe, transmits=ub.Transmits.elements(probe))
    >>> grid = ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 10e-3), shape=(80, 20))
    >>> components = ub.Angular(recording, grid)(recording.frame(0))
    >>> components.data.shape
    (15, 80, 20)
    >>> float(components.position[0])
    -0.875
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid | None = None,
        *,
        transmits: npt.ArrayLike | None = None,
        receive_weights: npt.ArrayLike | None = None,
        max_sine: float = MAX_SINE,
        n_bins: int = N_BINS,
        interpolation: str | None = None,
        upsampling: int | None = None,
        fold: bool = True,
        sound_speed: float | None = None,
        device: str = "auto",
        memory_budget: float | None = None,
    ) -> None:
        speed = checked_speed(sound_speed, acquisition)
        if not 0 < max_sine <= 1:
            raise ConfigError("not the sine of an angle", location="max_sine", expected="0 to 1", found=max_sine)
        if n_bins not in range(2, _MOST_BINS + 1):
            raise ConfigError("not a number of bins", location="n_bins", expected=f"2..{_MOST_BINS}", found=n_bins)
        fired = subsets.all(acquisition) if transmits is None else subsets.check(transmits, acquisition)
        receivers = checked_receive_weights(receive_weights, acquisition)
        refuse_undersampled(acquisition)
        used = np.flatnonzero(fired)
        self._single = _are_elements(acquisition, used)
        n_transmit_bins = n_bins if self._single else n_bins // 2 * 2 + 1
        n_components = n_transmit_bins + n_bins - 1
        self.acquisition = acquisition
        self.grid = default_grid(acquisition) if grid is None else grid
        self.device = devices.resolve(device)
        self._backend = backend(self.device)
        refuse_huge(self.grid, n_components)
        read = choose(acquisition, interpolation, upsampling)
        self._max_sine, self._n_bins = max_sine, n_bins
        self._position: Floats = (np.arange(n_components) - (n_components - 1) / 2) / n_bins
        point_bytes = 4 + 4 + 1  # delay, weight and bin
        self._make = functools.partial(
            TimeDomain,
            acquisition,
            self.grid,
            used,
            receive_weights=receivers,
            interpolation=read,
            sound_speed=speed,
            point_bytes=(point_bytes, point_bytes),
            backend=self._backend,
        )
        self._budget = self._backend.memory_budget() if memory_budget is None else checked_budget(memory_budget)
        self._domain = self._make(memory_budget=self._budget)
        self._pairs = pair(acquisition, fired, used, fold and same_timing(acquisition), receivers)
        self._kept: tuple[_Leg, _Leg] | None = None
        warn_beyond_record(acquisition, self.grid, speed)
        self.settings: dict[str, Any] = {
            "method": "angular",
            "device": self.device,
            "sound_speed": speed,
            "wavelength": speed / acquisition.probe.center_frequency,
            "pitch": acquisition.probe.pitch,
            "bandwidth": acquisition.probe.bandwidth or ASSUMED_BANDWIDTH,
            "max_sine": max_sine,
            "n_bins": n_bins,
            "taper": TAPER,
            "interpolation": read.name,
            "upsampling": read.upsampling,
            "half_matrix": acquisition.is_half_matrix,
            "folded": bool(np.any(self._pairs.source[:, 1] >= 0)),
            "transmit_weights": [float(weight) for weight in fired],
            "receive_weights": [float(weight) for weight in receivers],
        }

    def __call__(self, samples: npt.ArrayLike) -> AngularImages:
        """The components of one frame ``(n_tx, n_rx, n_samples)``.

        Raises
        ------
        BadField
            As `Plan` does.
        """
        frames = self._backend.asarray(samples)[None]
        (data,) = self._backend.numpy(imaged(self.acquisition, frames, self._components, self._backend))
        return AngularImages(data, self._position, self.grid, self.settings, source(self.acquisition))

    def _components(self, frames: Any) -> Any:
        """Components ``(n_frames, n_components, n_z, n_x)``; in smaller pieces where the device's memory is too small.

        Parameters
        ----------
        frames : (n_frames, n_tx, n_rx, n_samples)
            As recorded, on the device.
        """

        def work(budget: float) -> Any:
            if budget != self._budget:
                self._kept = None
                self._domain, self._budget = self._make(memory_budget=budget), budget
            data = self._backend.xp.zeros((len(frames), len(self._position), *self.grid.shape), np.complex64)
            for run in self._pairs.chunks(self._domain.most_pairs):
                self._add_run(frames, run, data)
            return data

        return retry_smaller(work, self._budget)

    def _add_run(self, frames: Any, run: slice, data: Any) -> None:
        """Prepare the traces of a run of transmits and add them everywhere; the traces are gone when this returns."""
        prepared = self._domain.prepare(frames, self._pairs, run)
        for columns in self._domain.blocks:
            transmit, receive = self._legs(columns)
            self._backend.angular.angular(
                prepared.traces,
                prepared.receive,
                prepared.first,
                prepared.transmit,
                transmit.delay,
                receive.delay,
                transmit.active,
                receive.active,
                transmit.weight,
                receive.weight,
                transmit.bin,
                receive.bin,
                self._domain.taps,
                columns.start,
                data,
            )
            del transmit, receive  # before the next block's tables are made

    def _legs(self, columns: slice) -> tuple[_Leg, _Leg]:
        """Transmit and receive tables of a block of image columns; kept where one block is the whole image."""
        if self._kept is not None:
            return self._kept
        kernels, here = self._backend.angular, self._backend.asarray
        x, z = here(self.grid.x[columns]), here(self.grid.z)
        elements = self._domain.legs if self._single else self._domain.legs[1:]
        position, index = np.unique(np.concatenate([legs.position for legs in elements]), axis=0, return_index=True)
        normal = np.concatenate([legs.axis for legs in elements])[index]
        steps = np.diff(np.unique(position[:, 0]))
        margin = float(np.median(steps)) / 2 if steps.size else self.acquisition.wavelength / 2
        reached = kernels.reach(here(position), here(normal), margin, x, z, self._max_sine)

        def leg(number: int) -> _Leg:
            legs, table = self._domain.legs[number], self._domain.table(number, columns, Window())
            position, axis = here(legs.position), here(legs.axis)
            if legs in elements:
                cut = kernels.bins(position, axis, x, z, reached, self._max_sine, self._n_bins, TAPER)
                index, weight, active = cut
                return _Leg(table.delay, active, weight, index)
            index = kernels.wave_bins(here(legs.shape), position, axis, x, z, reached, self._n_bins)
            return _Leg(table.delay, table.active, self._backend.xp.ones(index.shape, np.float32), index)

        made = (leg(0), leg(1))
        if len(self._domain.blocks) == 1:
            self._kept = made
        return made


@dataclass(frozen=True, eq=False)
class _Leg:
    """One leg's tables over a block of image columns, as the kernel takes them."""

    delay: npt.NDArray[np.int32]
    active: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    bin: npt.NDArray[np.int8]


def _are_elements(acquisition: Acquisition, used: npt.NDArray[np.int64]) -> bool:
    """Whether the transmits are single elements; refuses those that come to a point from no one direction."""
    kinds = {acquisition.transmits.kind[t] for t in used}
    if kinds == {"element"}:
        return True
    if kinds in ({"plane"}, {"diverging"}):
        return False
    raise GeometryError(
        "the transmits do not come to a point from one direction each",
        path=acquisition.path,
        location="transmit/kind",
        expected="all of kind element, all plane or all diverging",
        found=", ".join(sorted(kinds)),
        hint="ub.beamform makes the plain image of them",
    )
