"""The forward model: point scatterers, a probe and its transmits become a recording.

Linear acoustics in a uniform medium, single scattering. The echo of a scatterer at p, fired by element e in transmit t
and heard by element r, is the two-way pulse with its envelope peak at::

    delays[t, e] + |p - e| / sound_speed + |p - r| / sound_speed + pulse_peak_time[t] + 2 * lens_delay

after the trigger, times the scatterer's amplitude, the transmit's apodization, and for each leg
``directivity / sqrt(distance)``: the cylindrical spreading of elements that are tall against the distance, as in the
two-dimensional SIMUS (D. Garcia, "SIMUS: an open-source simulator for medical ultrasound imaging", Computer Methods and
Programs in Biomedicine 218, 2022). A transmit of several elements is the sum over them. The directivity is that of a
strip in a soft baffle, ``sinc(width / wavelength * sin(angle)) * cos(angle)`` (A. R. Selfridge, G. S. Kino and B. T.
Khuri-Yakub, "A theory for the radiation pattern of a narrow-strip acoustic transducer", Applied Physics Letters 37(1),
1980), with the like sinc along the element's height where the probe states one.

Left out: attenuation, multiple scattering, the elevation focus of a lens, the near field within one element, and the
change of directivity over the pass-band: it is taken at the centre frequency, which is SIMUS's default too.

Speed: nearly all time goes into the kernel that adds every scatterer to every pair of elements, about 4 ns of one core
for each, bound by reads and writes of the traces in the cache. A 64 x 64 full matrix of 1.55 million scatterers (40 x
40 mm at 7.5 MHz, 20 in each of the smallest resolution cells) takes 13 s on two cores. The frequency-domain form, one
complex matrix product per frequency, would take fifteen times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.checks import Floats
from usbeam.errors import ConfigError, GeometryError
from usbeam.probe import Probe
from usbeam.simulate.echoes import Single, Window, echoes
from usbeam.simulate.phantoms import Limits, Phantom
from usbeam.simulate.pulse import Pulse
from usbeam.transmits import Transmits

INT16_PEAK = 0.8
"""Fraction of the int16 range that the largest echo plus five standard deviations of the noise reach."""


def record(
    phantom: Phantom,
    probe: Probe,
    transmits: Transmits,
    *,
    sampling_frequency: float,
    depth: Limits,
    sound_speed: float = 1540.0,
    noise_db: float | None = None,
    n_frames: int = 1,
    seed: int = 0,
    int16: bool = False,
    start_time: npt.ArrayLike | None = None,
    progress: Callable[[float], None] | None = None,
) -> Acquisition:
    """Record a phantom with every element of the probe; the module says by which model.

    Parameters
    ----------
    phantom
        The scatterers; their truth goes into the recording.
    probe
        Any element positions and normals. Its `bandwidth` shapes the pulse; where `element_width` or `element_height`
        is not given, the element is a point along that side. `lens_delay` delays each leg.
    transmits
        Any kind. `pulse_peak_time` is honoured; `waveform` is not used: the pulse is a Gaussian-modulated cosine.
    sampling_frequency
        In Hz; above twice the upper -6 dB edge of the band. What the pulse holds above half of it is cut off.
    depth
        ``(z0, z1)`` [m]: echoes from this range, over the lateral extent of probe and phantom, fit into the record.
    sound_speed
        In m/s.
    noise_db
        Standard deviation of white Gaussian noise in every channel, in dB over the largest noise-free sample of the
        recording (-30 is a noise of 3 % of the peak); none if not given.
    n_frames
        Frames of the same phantom, each with its own noise.
    seed
        Of the noise; frame i is the same however many follow.
    int16
        Store integers and their `scale`; see `INT16_PEAK`.
    start_time : float or (n_tx,), optional
        Time of sample 0 after the trigger [s]; by default one for all transmits, just before the first echo of `depth`.
    progress
        Called with the fraction done, up to 1.

    Returns
    -------
    Acquisition
        RF, float32 or int16. A scatterer of amplitude 1 at 1 m straight ahead of one element echoes with peak 1.

    Raises
    ------
    ConfigError, GeometryError
        For requests that cannot be met; the message says which.

    Examples
    --------
    >>> from usbeam.simulate import phantoms
    >>> probe = Probe.linear(8, 0.3e-3, 5e6, bandwidth=0.6, element_width=0.28e-3)
    >>> plane = Transmits.plane(probe, [0.0], 1540.0)
    >>> phantom = phantoms.points(x=(-5e-3, 5e-3), z=(5e-3, 15e-3))
    >>> record(phantom, probe, plane, sampling_frequency=20e6, depth=(5e-3, 15e-3)).samples.shape
    (1, 1, 8, 290)
    """
    pulse = _pulse(probe, sampling_frequency)
    _check(probe, transmits, sound_speed, depth, noise_db, n_frames)
    first, last = _arrivals(phantom, probe, transmits, pulse, depth, sound_speed)
    # By default a whole number of samples after the trigger: it reads better and loses nothing.
    chosen = np.floor(first.min() * sampling_frequency) / sampling_frequency if start_time is None else start_time
    start = np.broadcast_to(np.asarray(chosen, np.float64), first.shape)
    if not np.all(start < last):
        raise ConfigError(
            "the recording starts after its last echo",
            location="start_time",
            expected=f"less than {last.min():.6g} s",
            found=f"{start.max():.6g} s",
        )
    n_samples = int(np.ceil((last - start).max() * sampling_frequency)) + 1
    shift = transmits.delays + (_pulse_and_lens(probe, transmits) - start)[:, None]
    window = Window.around(shift[transmits.apodization != 0], n_samples, sampling_frequency, pulse)
    clean = echoes(phantom, probe, transmits, window, pulse, shift, sound_speed, progress or (lambda _: None))
    samples, scale = _frames(clean, noise_db, n_frames, seed, int16)
    return Acquisition(
        samples=samples,
        kind="rf",
        sampling_frequency=sampling_frequency,
        start_time=start,
        sound_speed=sound_speed,
        probe=probe,
        transmits=transmits,
        scale=scale,
        tgc_applied=False,
        truth=phantom.truth,
        title=phantom.title,
        provenance={"source_format": "usbeam.simulate", "notes": f"noise_db={noise_db}, seed={seed}"},
    )


def _pulse(probe: Probe, sampling_frequency: float) -> Pulse:
    if probe.bandwidth is None:
        raise ConfigError(
            "the probe states no bandwidth",
            location="probe/bandwidth",
            hint="for example Probe.linear(..., bandwidth=0.65)",
        )
    edge = probe.center_frequency * (1 + probe.bandwidth / 2)
    if not (np.isfinite(sampling_frequency) and sampling_frequency > 2 * edge):
        raise ConfigError(
            "the pulse does not fit below half the sampling frequency",
            location="sampling_frequency",
            expected=f"more than {2 * edge:.6g} Hz",
            found=f"{sampling_frequency:.6g} Hz",
            hint="sample faster, or give the probe less bandwidth",
        )
    return Pulse(probe.center_frequency, probe.bandwidth)


def _check(
    probe: Probe,
    transmits: Transmits,
    sound_speed: float,
    depth: Limits,
    noise_db: float | None,
    n_frames: int,
) -> None:
    if transmits.delays.shape[1] != probe.n_elements:
        raise GeometryError(
            "the transmits are of another probe",
            location="transmit/delays",
            expected=f"(n_tx, n_elements={probe.n_elements})",
            found=transmits.delays.shape,
        )
    if not (np.isfinite(sound_speed) and sound_speed > 0):
        raise ConfigError("not a positive number", location="sound_speed", found=sound_speed)
    if not (np.all(np.isfinite(depth)) and depth[0] < depth[1]):
        raise ConfigError("depth is inverted or empty", location="depth", expected="z0 < z1", found=depth)
    if noise_db is not None and not np.isfinite(noise_db):
        raise ConfigError("not a finite number of dB", location="noise_db", found=noise_db)
    if n_frames < 1:
        raise ConfigError("no frame asked for", location="n_frames", expected=">= 1", found=n_frames)


def _pulse_and_lens(probe: Probe, transmits: Transmits) -> Floats:
    """``(n_tx,)``: from an echo's firing and travel to its envelope peak."""
    return np.broadcast_to(np.asarray(transmits.pulse_peak_time), len(transmits)) + 2 * probe.lens_delay


def _arrivals(
    phantom: Phantom, probe: Probe, transmits: Transmits, pulse: Pulse, depth: Limits, sound_speed: float
) -> tuple[Floats, Floats]:
    """``(n_tx,)`` each: bounds of the time after the trigger that echoes from the box over `depth` take up."""
    elements = probe.element_positions
    places = np.concatenate([elements[:, :2], phantom.positions[:, :2]])
    low, high = np.array([*places.min(axis=0), depth[0]]), np.array([*places.max(axis=0), depth[1]])
    # The nearest point of a box is the clamped position; the farthest is a corner, distance being convex.
    nearest = np.linalg.norm(elements - np.clip(elements, low, high), axis=1) / sound_speed
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    farthest = np.linalg.norm(elements[:, None] - corners, axis=2) / sound_speed
    silent = transmits.apodization == 0
    out_first = np.where(silent, np.inf, transmits.delays + nearest).min(axis=1)
    out_last = np.where(silent[:, :, None], -np.inf, transmits.delays[:, :, None] + farthest).max(axis=1)
    offset = _pulse_and_lens(probe, transmits)
    first = out_first + nearest.min() + offset - pulse.half_length
    return first, (out_last + farthest.max(axis=0)).max(axis=1) + offset + pulse.half_length


def _frames(
    clean: Single, noise_db: float | None, n_frames: int, seed: int, int16: bool
) -> tuple[npt.NDArray[Any], float]:
    """``(n_frames, n_tx, n_rx, n_samples)`` with noise, and the scale of its integers."""
    peak = float(np.abs(clean).max())
    if noise_db is not None and peak == 0:
        raise ConfigError(
            "noise is relative to the largest echo, and there is no echo",
            location="noise_db",
            hint="check that scatterers lie in front of the array and inside depth",
        )
    deviation = 0.0 if noise_db is None else peak * 10 ** (noise_db / 20)
    full = (peak + 5 * deviation) / INT16_PEAK
    scale = full / 32767 if int16 and full else 1.0
    samples: npt.NDArray[Any] = np.empty((n_frames, *clean.shape), np.int16 if int16 else np.float32)
    for index in range(n_frames):
        frame = clean
        if deviation:
            rng = np.random.default_rng((seed, index))
            frame = clean + np.float32(deviation) * rng.standard_normal(clean.shape, dtype=np.float32)
        samples[index] = np.clip(np.rint(frame / np.float32(scale)), -32767, 32767) if int16 else frame
    return samples, scale
