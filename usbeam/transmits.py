"""What was fired: the delays and weights of every element in every transmit event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats, finite_array, positive, unit_vectors
from usbeam.errors import GeometryError
from usbeam.probe import Probe

TRANSMIT_KINDS = ("element", "plane", "focused", "diverging", "custom")


@dataclass(frozen=True, eq=False, kw_only=True)
class Transmits:
    """What was fired: one row per transmit event.

    Parameters
    ----------
    kind : (n_tx,) of str
        element, plane, focused, diverging or custom.
    delays : (n_tx, n_elements)
        Firing time of each element after the trigger [s]; may be negative.
    apodization : (n_tx, n_elements)
        Weight of each element; 0 is silent, negative is inverted.
    direction : (n_tx, 3), optional
        Unit vectors of travel; required where kind is plane.
    focus : (n_tx, 3), optional
        Focus (z > 0) or virtual source (z < 0) [m]; required where kind is focused or diverging.
    origin : (n_tx, 3), optional
        Centre of the active aperture [m].
    pulse_peak_time : (n_tx,) or float
        From an element's firing to the peak of the two-way pulse's envelope [s].
    waveform : (n_waveforms, n_waveform_samples), optional
        Excitation waveforms, at `waveform_sampling_frequency` [Hz]; `waveform_index` (n_tx,) says whose is which.

    Raises
    ------
    GeometryError
        For wrong shapes, non-finite values, unknown kinds and silent transmits. Whether direction or focus agree with
        the delays needs a sound speed: `Plan` refuses, and `usbeam validate` names, what does not.
    """

    kind: tuple[str, ...]
    delays: Floats
    apodization: Floats
    direction: Floats | None = None
    focus: Floats | None = None
    origin: Floats | None = None
    pulse_peak_time: Floats | float = 0.0
    waveform: npt.NDArray[np.float32] | None = None
    waveform_sampling_frequency: float | None = None
    waveform_index: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "kind", tuple(str(kind) for kind in self.kind))
        n_tx = len(self.kind)
        if not n_tx:
            raise GeometryError("no transmit", location="transmit/kind")
        for index, kind in enumerate(self.kind):
            if kind not in TRANSMIT_KINDS:
                raise GeometryError(
                    f"unknown kind of transmit {index}",
                    location="transmit/kind",
                    expected=", ".join(TRANSMIT_KINDS),
                    found=kind,
                )
        set_(self, "delays", finite_array(self.delays, "transmit/delays", (n_tx, None)))
        set_(self, "apodization", finite_array(self.apodization, "transmit/apodization", self.delays.shape))
        silent = np.flatnonzero(~np.any(self.apodization, axis=1))
        if silent.size:
            raise GeometryError(
                f"no element fires in transmit {silent[0]}",
                location="transmit/apodization",
                expected="a non-zero weight",
            )
        peak = np.asarray(self.pulse_peak_time, np.float64)
        peak = np.full(n_tx, peak) if peak.ndim == 0 else peak
        set_(self, "pulse_peak_time", finite_array(peak, "transmit/pulse_peak_time", (n_tx,)))
        if self.direction is not None:
            direction = np.array(self.direction, np.float64)
            unused = np.array([kind != "plane" for kind in self.kind])
            if direction.shape == (n_tx, 3):  # a row that is not used may hold anything; make it harmless
                direction[unused] = (0.0, 0.0, 1.0)
            set_(self, "direction", unit_vectors(direction, "transmit/direction", n_tx))
        for name in ("focus", "origin"):
            if getattr(self, name) is not None:
                set_(self, name, finite_array(getattr(self, name), f"transmit/{name}", (n_tx, 3)))
        for name, kinds in (("direction", ("plane",)), ("focus", ("focused", "diverging"))):
            if getattr(self, name) is None and any(kind in kinds for kind in self.kind):
                raise GeometryError(f"missing for a transmit of kind {kinds[0]}", location=f"transmit/{name}")
        for index in np.flatnonzero(np.array(self.kind) == "element"):
            if np.count_nonzero(self.apodization[index]) != 1:
                raise GeometryError(
                    f"transmit {index} of kind element fires {np.count_nonzero(self.apodization[index])} elements",
                    location="transmit/apodization",
                    expected="exactly one non-zero weight",
                    hint="use kind diverging, focused or custom for several elements",
                )

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def element_index(self) -> npt.NDArray[np.int64]:
        """``(n_tx,)``: the firing element of each transmit of kind element, -1 for other kinds."""
        fired = np.argmax(self.apodization != 0, axis=1)
        return np.where(np.array(self.kind) == "element", fired, -1)

    @classmethod
    def elements(cls, probe: Probe, index: npt.ArrayLike | None = None, **others: Any) -> Transmits:
        """Each element fires alone (synthetic aperture, full-matrix capture).

        Parameters
        ----------
        probe
            The array.
        index : (n_tx,), optional
            Which element fires in which transmit; all in order if not given.
        **others
            Any other field of `Transmits`.
        """
        fired = np.arange(probe.n_elements) if index is None else np.asarray(index, np.int64)
        if np.any((fired < 0) | (fired >= probe.n_elements)):
            raise GeometryError(
                "transmitting element out of range",
                location="transmit/element",
                expected=f"0..{probe.n_elements - 1}",
                found=f"{fired.min()}..{fired.max()}",
            )
        apodization = np.zeros((len(fired), probe.n_elements))
        apodization[np.arange(len(fired)), fired] = 1
        return cls(
            kind=("element",) * len(fired),
            delays=np.zeros_like(apodization),
            apodization=apodization,
            origin=probe.element_positions[fired],
            **others,
        )

    @classmethod
    def plane(
        cls,
        probe: Probe,
        angles: npt.ArrayLike,
        sound_speed: float,
        *,
        time_zero: Literal["center", "first"] = "first",
        **others: Any,
    ) -> Transmits:
        """Plane waves steered in the x-z plane.

        Parameters
        ----------
        probe, sound_speed
            The array; speed [m/s] for which the delays are made.
        angles : (n_tx,)
            From +z toward +x [rad].
        time_zero
            What happens at t = 0: the first element fires, or the wave passes the origin.
        """
        angle = finite_array(np.atleast_1d(np.asarray(angles, np.float64)), "transmit/angles", (None,))
        positive(sound_speed, "sound_speed")
        if np.any(np.abs(angle) > np.pi):
            raise GeometryError(
                "angle beyond pi",
                location="transmit/angles",
                expected="radians",
                found=f"{np.abs(angle).max():.6g}",
                hint="these look like degrees",
            )
        direction = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
        delays = direction @ probe.element_positions.T / sound_speed
        if time_zero == "first":
            delays -= delays.min(axis=1, keepdims=True)
        return cls(
            kind=("plane",) * len(angle),
            delays=delays,
            apodization=np.ones_like(delays),
            direction=direction,
            origin=np.zeros_like(direction),
            **others,
        )

    @classmethod
    def focused(cls, probe: Probe, focus: npt.ArrayLike, sound_speed: float, **others: Any) -> Transmits:
        """Waves that converge on a focus (z > 0) or diverge from a virtual source behind the array (z < 0).

        Parameters
        ----------
        probe, sound_speed
            The array; speed [m/s] for which the delays are made.
        focus : (n_tx, 3)
            Positions [m]. The first element fires at t = 0.
        """
        point = finite_array(np.atleast_2d(np.asarray(focus, np.float64)), "transmit/focus", (None, 3))
        positive(sound_speed, "sound_speed")
        distance = np.linalg.norm(probe.element_positions - point[:, None], axis=2)
        front = point[:, 2] > probe.element_positions[:, 2].mean()
        delays = np.where(front[:, None], -distance, distance) / sound_speed
        delays -= delays.min(axis=1, keepdims=True)
        return cls(
            kind=tuple("focused" if ahead else "diverging" for ahead in front),
            delays=delays,
            apodization=np.ones_like(delays),
            focus=point,
            origin=np.tile(probe.element_positions.mean(axis=0), (len(point), 1)),
            **others,
        )
