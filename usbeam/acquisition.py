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
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from usbeam.checks import Floats, finite_array, positive
from usbeam.errors import BadField, ConfigError, GeometryError
from usbeam.probe import Probe
from usbeam.transmits import Transmits

Kind = Literal["rf", "iq"]
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
        positive(self.sampling_frequency, "sampling_frequency")
        positive(self.sound_speed, "sound_speed")
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
            finite_array(np.broadcast_to(start, (n_tx,)) if start.ndim == 0 else start, "start_time", (n_tx,)),
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
