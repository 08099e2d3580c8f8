"""A recording: the probe, its transmits and the samples, with every physical fact kept apart.

Coordinates are metres with the origin at the array's centre: x lateral, y elevation, z depth. Angles run from +z
toward +x. Time zero is the transmit trigger. The facts about time (`start_time`, transmit delays, pulse peak, lens)
are only stored here; `usbeam.beamforming.delays` is the one place where they meet.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from usbeam.errors import BadField, ConfigError, GeometryError

Floats = npt.NDArray[np.float64]
Kind = Literal["rf", "iq"]
TRANSMIT_KINDS = ("element", "plane", "focused", "diverging", "custom")
PROBE_KINDS = ("linear", "phased", "curved", "matrix", "custom")
SAMPLE_TYPES = ("float32", "complex64", "int16")
ABSENT = -1
"""In `Acquisition.receive_elements`: this transmit recorded nothing in this slot (half-matrix capture)."""


class SampleArray(Protocol):
    """What `Acquisition.samples` must offer: an array, or a lazy reader that gives arrays when indexed by frame."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_frames, n_tx, n_rx, n_samples)``."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, complex64 or int16."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """One frame (an index) or several (a slice), as a NumPy array."""
        ...


def _floats(value: npt.ArrayLike, name: str, shape: tuple[int | None, ...]) -> Floats:
    """Copy to a read-only float64 array of the given shape (None: any length) with finite values."""
    array = np.array(value, dtype=np.float64)
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise GeometryError("wrong shape", location=name, expected=f"({wanted})", found=array.shape)
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        where = "" if not array.ndim else f" at index {tuple(int(i) for i in bad[0])}"
        raise GeometryError(
            f"{len(bad)} non-finite value(s), the first{where}",
            location=name,
            expected="finite numbers",
            hint="a silent element has transmit apodization 0, never a NaN delay" if "delays" in name else None,
        )
    array.flags.writeable = False
    return array


def _positive(value: float, name: str) -> float:
    if not (np.isfinite(value) and value > 0):
        raise GeometryError("not a positive number", location=name, expected="a finite number > 0", found=value)
    return float(value)


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe:
    """The transducer.

    Parameters
    ----------
    element_positions : (n_elements, 3)
        Element centres [m].
    center_frequency : float
        Centre of the two-way pass-band [Hz].
    element_normals : (n_elements, 3), optional
        Unit vectors out of each element; +z where not given.
    bandwidth : float, optional
        Two-way -6 dB bandwidth as a fraction of the centre frequency, as it shows in the received echoes.
    element_width, element_height : float, optional
        Size of an element along x and y [m].
    lens_delay : float
        One-way delay of the lens [s]; it is passed twice.
    name, kind, manufacturer : str
        Kind is linear, phased, curved, matrix or custom.

    Raises
    ------
    GeometryError
        For non-finite, coinciding or wrongly shaped positions and non-positive sizes or frequencies.
    """

    element_positions: Floats
    center_frequency: float
    element_normals: Floats | None = None
    bandwidth: float | None = None
    element_width: float | None = None
    element_height: float | None = None
    lens_delay: float = 0.0
    name: str = ""
    kind: str = "linear"
    manufacturer: str = ""

    def __post_init__(self) -> None:
        positions = _floats(self.element_positions, "probe/element_positions", (None, 3))
        object.__setattr__(self, "element_positions", positions)
        if not len(positions):
            raise GeometryError("the probe has no element", location="probe/element_positions")
        if len(np.unique(positions, axis=0)) < len(positions):
            raise GeometryError(
                "two elements at the same place",
                location="probe/element_positions",
                hint="give every element its own position in metres",
            )
        _positive(self.center_frequency, "probe/center_frequency")
        for name in ("bandwidth", "element_width", "element_height"):
            if getattr(self, name) is not None:
                _positive(getattr(self, name), f"probe/{name}")
        if not (np.isfinite(self.lens_delay) and self.lens_delay >= 0):
            raise GeometryError("not a time >= 0", location="probe/lens_delay", found=self.lens_delay)
        if self.kind not in PROBE_KINDS:
            raise GeometryError(
                "unknown probe kind", location="probe/kind", expected=", ".join(PROBE_KINDS), found=self.kind
            )
        if self.element_normals is not None:
            normals = _unit(self.element_normals, "probe/element_normals", len(positions))
            object.__setattr__(self, "element_normals", normals)

    @classmethod
    def linear(cls, n_elements: int, pitch: float, center_frequency: float, **others: Any) -> Probe:
        """A straight array along x, centred on the origin.

        Parameters
        ----------
        n_elements, pitch, center_frequency
            Count, distance between element centres [m], frequency [Hz].
        **others
            Any other field of `Probe`.

        Examples
        --------
        >>> Probe.linear(64, 0.3e-3, 5e6).aperture
        0.0189
        """
        positions = np.zeros((n_elements, 3))
        positions[:, 0] = (np.arange(n_elements) - (n_elements - 1) / 2) * pitch
        return cls(element_positions=positions, center_frequency=center_frequency, **others)

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return len(self.element_positions)

    @property
    def aperture(self) -> float:
        """Distance along x between the outermost element centres [m]."""
        return float(np.round(np.ptp(self.element_positions[:, 0]), 12))

    @property
    def pitch(self) -> float | None:
        """Distance between neighbouring centres [m] of a uniform straight array along x; None for any other."""
        x, *rest = self.element_positions.T
        steps = np.diff(x)
        if not steps.size or steps[0] == 0:
            return None
        pitch = float(steps.mean())
        tolerance = 1e-3 * abs(pitch)
        straight = all(np.ptp(axis) <= tolerance for axis in rest)
        return abs(pitch) if straight and np.all(np.abs(steps - pitch) <= tolerance) else None

    @cached_property
    def normals(self) -> Floats:
        """``(n_elements, 3)``: `element_normals`, or +z where they are not given."""
        if self.element_normals is not None:
            return self.element_normals
        return np.tile([0.0, 0.0, 1.0], (self.n_elements, 1))


def _unit(value: npt.ArrayLike, name: str, rows: int) -> Floats:
    vectors = _floats(value, name, (rows, 3))
    lengths = np.linalg.norm(vectors, axis=1)
    if np.any(np.abs(lengths - 1) > 1e-3):
        worst = int(np.argmax(np.abs(lengths - 1)))
        raise GeometryError(
            f"row {worst} is no unit vector",
            location=name,
            expected="length 1",
            found=f"{lengths[worst]:.6g}",
        )
    return vectors


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
        For wrong shapes, non-finite values, silent transmits and directions that contradict the delays.
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
        set_(self, "delays", _floats(self.delays, "transmit/delays", (n_tx, None)))
        set_(self, "apodization", _floats(self.apodization, "transmit/apodization", self.delays.shape))
        silent = np.flatnonzero(~np.any(self.apodization, axis=1))
        if silent.size:
            raise GeometryError(
                f"no element fires in transmit {silent[0]}",
                location="transmit/apodization",
                expected="a non-zero weight",
            )
        peak = np.broadcast_to(np.asarray(self.pulse_peak_time, np.float64), (n_tx,))
        set_(self, "pulse_peak_time", _floats(peak, "transmit/pulse_peak_time", (n_tx,)))
        if self.direction is not None:
            direction = np.array(self.direction, np.float64)
            unused = np.array([kind != "plane" for kind in self.kind])
            if direction.shape == (n_tx, 3):  # a row that is not used may hold anything; make it harmless
                direction[unused] = (0.0, 0.0, 1.0)
            set_(self, "direction", _unit(direction, "transmit/direction", n_tx))
        for name in ("focus", "origin"):
            if getattr(self, name) is not None:
                set_(self, name, _floats(getattr(self, name), f"transmit/{name}", (n_tx, 3)))
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
        angle = np.atleast_1d(np.asarray(angles, np.float64))
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
        point = np.atleast_2d(np.asarray(focus, np.float64))
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """What a phantom really holds, where it is known.

    Parameters
    ----------
    points : (n_points, 3)
        Point targets [m].
    regions : mapping
        Name -> circle ``(x, z, radius)`` [m] of a cyst or inclusion.
    """

    points: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    regions: Mapping[str, tuple[float, float, float]] = field(default_factory=dict[str, tuple[float, float, float]])


@dataclass(frozen=True, eq=False, kw_only=True)
class Acquisition:
    """A recording in physical terms.

    Parameters
    ----------
    samples : (n_frames, n_tx, n_rx, n_samples)
        float32 or int16 RF, complex64 IQ; sample axis last. An array, or a lazy reader of a file.
    kind : "rf" or "iq"
        Real samples, or complex ones.
    sampling_frequency : float
        Of `samples` [Hz].
    start_time : (n_tx,) or float
        Time of sample 0 after the trigger [s].
    sound_speed : float
        Nominal [m/s].
    probe, transmits
        The array and what it fired.
    demodulation_frequency : float
        Frequency that was mixed to zero [Hz]; 0 for RF and for an analytic signal.
    receive_elements : (n_rx,) or (n_tx, n_rx), optional
        Element behind each receive slot; `ABSENT` (-1) where nothing was recorded. All elements in order by default.
    scale, offset : float
        Physical value = scale * sample + offset; for int16.
    tgc_applied : bool, optional
        Whether time-gain compensation is in the samples; None if unknown.
    frame_times, transmit_times : (n_frames,), (n_frames, n_tx), optional
        When each was taken [s].
    truth, provenance, title, license, path
        What the phantom holds, where the data come from, and the file that holds them.

    Raises
    ------
    GeometryError, ConfigError
        When the parts do not fit each other.
    """

    samples: SampleArray
    kind: Kind
    sampling_frequency: float
    start_time: Floats | float
    sound_speed: float
    probe: Probe
    transmits: Transmits
    demodulation_frequency: float = 0.0
    receive_elements: npt.NDArray[np.int64] | None = None
    scale: float = 1.0
    offset: float = 0.0
    tgc_applied: bool | None = None
    frame_times: Floats | None = None
    transmit_times: Floats | None = None
    truth: Truth | None = None
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    title: str = ""
    license: str = ""
    path: str | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        shape = tuple(self.samples.shape)
        if len(shape) != 4 or 0 in shape:
            raise BadField(
                "empty or wrongly shaped samples",
                location="/samples",
                expected="(n_frames, n_tx, n_rx, n_samples), none 0",
                found=shape,
            )
        dtype = self.samples.dtype.name
        if dtype not in SAMPLE_TYPES:
            raise BadField(
                "sample type not supported",
                location="/samples",
                expected=", ".join(SAMPLE_TYPES),
                found=dtype,
                hint="cast to float32 or complex64, or store integers as int16 with scale and offset",
            )
        if self.kind not in ("rf", "iq"):
            raise ConfigError("unknown kind of samples", location="/samples:kind", expected="rf or iq", found=self.kind)
        if (self.kind == "iq") != (dtype == "complex64"):
            raise BadField(
                f"kind {self.kind} with {dtype} samples",
                location="/samples",
                expected="complex64 for iq; float32 or int16 for rf",
                hint="set kind to what the samples are",
            )
        _, n_tx, n_rx, _ = shape
        _positive(self.sampling_frequency, "sampling_frequency")
        _positive(self.sound_speed, "sound_speed")
        if not (np.isfinite(self.demodulation_frequency) and self.demodulation_frequency >= 0):
            raise GeometryError(
                "not a frequency >= 0", location="demodulation_frequency", found=self.demodulation_frequency
            )
        if self.kind == "rf" and self.demodulation_frequency:
            raise BadField(
                "RF samples are not demodulated",
                location="demodulation_frequency",
                expected=0,
                found=self.demodulation_frequency,
            )
        if not (np.isfinite(self.scale) and self.scale != 0 and np.isfinite(self.offset)):
            raise BadField(
                "scale and offset must be finite, scale not 0",
                location="/samples",
                found=f"{self.scale}, {self.offset}",
            )
        if len(self.transmits) != n_tx:
            raise GeometryError(
                "the samples and the transmits disagree",
                location="transmit/delays",
                expected=f"n_tx={n_tx} as in samples",
                found=f"n_tx={len(self.transmits)}",
                hint="transmit/delays and transmit/apodization look transposed"
                if self.transmits.delays.shape == (self.probe.n_elements, n_tx)
                else None,
            )
        if self.transmits.delays.shape[1] != self.probe.n_elements:
            raise GeometryError(
                "wrong shape",
                location="transmit/delays",
                expected=f"(n_tx={n_tx}, n_elements={self.probe.n_elements})",
                found=self.transmits.delays.shape,
            )
        start = np.asarray(self.start_time, np.float64)
        set_(
            self,
            "start_time",
            _floats(np.broadcast_to(start, (n_tx,)) if start.ndim == 0 else start, "start_time", (n_tx,)),
        )
        set_(self, "receive_elements", self._checked_receivers(n_tx, n_rx))

    def _checked_receivers(self, n_tx: int, n_rx: int) -> npt.NDArray[np.int64]:
        where = "receive/element_index"
        n_elements = self.probe.n_elements
        if self.receive_elements is None:
            if n_rx != n_elements:
                raise GeometryError(
                    "the samples do not say which elements received",
                    location=where,
                    expected=f"n_rx = n_elements = {n_elements}, or an element index for each receive slot",
                    found=f"n_rx = {n_rx}",
                )
            index = np.arange(n_rx)
        else:
            index = np.array(self.receive_elements, np.int64)
        if index.shape not in ((n_rx,), (n_tx, n_rx)):
            raise GeometryError(
                "wrong shape", location=where, expected=f"({n_rx},) or ({n_tx}, {n_rx})", found=index.shape
            )
        if np.any((index < ABSENT) | (index >= n_elements)):
            raise GeometryError(
                "receiving element out of range",
                location=where,
                expected=f"0..{n_elements - 1}, or {ABSENT} for an absent trace",
                found=f"{index.min()}..{index.max()}",
            )
        for row, elements in enumerate(np.atleast_2d(index)):
            used = elements[elements != ABSENT]
            if len(np.unique(used)) < len(used):
                raise GeometryError(f"an element appears twice in row {row}", location=where)
        index.flags.writeable = False
        return index

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.samples.shape[0]

    @property
    def n_tx(self) -> int:
        """Number of transmits in a frame."""
        return self.samples.shape[1]

    @property
    def n_rx(self) -> int:
        """Number of receive slots in a transmit."""
        return self.samples.shape[2]

    @property
    def n_samples(self) -> int:
        """Number of samples in a trace."""
        return self.samples.shape[3]

    @property
    def wavelength(self) -> float:
        """At the probe's centre frequency [m]."""
        return self.sound_speed / self.probe.center_frequency

    @property
    def receivers(self) -> npt.NDArray[np.int64]:
        """``(n_tx, n_rx)``: `receive_elements` for every transmit."""
        index = np.asarray(self.receive_elements)
        return np.broadcast_to(index, (self.n_tx, self.n_rx))

    @property
    def is_half_matrix(self) -> bool:
        """Whether only one of each pair (transmit a, receive b), (transmit b, receive a) was stored."""
        return bool(np.any(self.receivers == ABSENT)) and bool(np.all(self.transmits.element_index >= 0))

    def frame(self, index: int) -> npt.NDArray[Any]:
        """Samples of one frame, as stored.

        Parameters
        ----------
        index
            0-based; negative counts from the end.

        Returns
        -------
        (n_tx, n_rx, n_samples) array of float32, int16 or complex64

        Raises
        ------
        ConfigError
            If there is no such frame.
        """
        if not -self.n_frames <= index < self.n_frames:
            raise ConfigError(
                "no such frame",
                path=self.path,
                location="frame",
                expected=f"0..{self.n_frames - 1}",
                found=index,
            )
        return np.asarray(self.samples[index % self.n_frames])

    def replace(self, **changes: Any) -> Acquisition:
        """A copy with some fields changed, checked again: ``acquisition.replace(sound_speed=1480)``."""
        unknown = set(changes) - {f.name for f in dataclasses.fields(self)}
        if unknown:
            raise ConfigError(f"Acquisition has no field {', '.join(sorted(unknown))}")
        return dataclasses.replace(self, **changes)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a ``usbeam-channel-data`` file; see `usbeam.io.save`.

        Raises
        ------
        OutputExists
            If the file is there and `overwrite` is false.
        """
        from usbeam import io

        io.save(self, path, overwrite=overwrite)
