"""What a request means where the user leaves it open, and what no beamformer can do."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from usbeam.acquisition import Acquisition
from usbeam.beamforming.apodization import Window
from usbeam.checks import Floats
from usbeam.errors import BadField, ConfigError, GeometryError, TooLarge
from usbeam.grid import Grid
from usbeam.kernels.backend import Backend

_WIDE_SINE, _TAPER = 0.9, "tukey:0.3"


def default_grid(acquisition: Acquisition) -> Grid:
    """The region that the recording covers, at half a wavelength laterally and a quarter in depth.

    The width is the array's; the depth runs from two wavelengths, or from where the record starts, to where the last
    sample's echo of a central element comes from. Finer steps are not needed: the image is analytic.
    """
    probe, wavelength = acquisition.probe, acquisition.wavelength
    shift = float(np.mean(np.asarray(acquisition.start_time) - np.asarray(acquisition.transmits.pulse_peak_time)))
    shift -= 2 * probe.lens_delay
    end = shift + acquisition.n_samples / acquisition.sampling_frequency
    top = max(2 * wavelength, acquisition.sound_speed * shift / 2)
    bottom = max(acquisition.sound_speed * end / 2, top + wavelength)
    x = probe.element_positions[:, 0]
    left, right = float(x.min()), float(x.max())
    if left == right:
        left, right = left - 5 * wavelength, right + 5 * wavelength
    return Grid.spaced(x=(left, right), z=(top, bottom), spacing=(wavelength / 4, wavelength / 2))


class Acceptance(NamedTuple):
    """F-number and window of one leg, as `usbeam.beamforming.apodization.acceptance` takes them."""

    f_number: float | None
    window: str

    @classmethod
    def given(cls, f_number: float | None, window: str | None, default: Acceptance, taper: str) -> Acceptance:
        """What the user gave; `default` where that is nothing, `taper` for an f-number without a window."""
        if f_number is None:
            return cls(default.f_number, window or default.window)
        return cls(f_number, window or taper)


def acceptances(acquisition: Acquisition, method: str) -> tuple[Acceptance, Acceptance, str]:
    """Transmit and receive acceptance where none is given, and the window of an f-number given without one.

    Delay-and-sum accepts every angle. The Fourier beamformer cannot, and a sharp edge in angle would spread far across
    its image.
    """
    if method == "fourier":
        return *fourier_acceptance(acquisition), _TAPER
    return Acceptance(None, "boxcar"), Acceptance(None, "boxcar"), "boxcar"


def fourier_acceptance(acquisition: Acquisition) -> tuple[Acceptance, Acceptance]:
    """Transmit and receive acceptance where none is given: the Fourier beamformer cannot accept every angle.

    On receive it tapers off around the angle at which an element's response, sinc(width sin / wavelength) cos, falls
    to half: what comes from further aside is mostly noise. On transmit it is nearly everything, sin 0.9: a narrow
    transmit window leaves blind triangles in the images of few transmitters. Plane waves have no angle to limit.
    """
    probe = acquisition.probe
    steps: Floats = np.diff(np.sort(probe.element_positions[:, 0]))
    width = probe.element_width or (float(np.median(steps)) if len(steps) else acquisition.wavelength / 2)
    sine = np.linspace(0, 1, 1001)
    response = np.abs(np.sinc(width / acquisition.wavelength * sine)) * np.sqrt(1 - sine**2)
    half = float(sine[np.argmax(response < 0.5)])
    # The receive window falls over the outer 30 %, so that it is at half, too, at 85 % of its width.
    receive = Acceptance(_f_number(min(half / 0.85, _WIDE_SINE)), _TAPER)
    single = set(acquisition.transmits.kind) == {"element"}
    return Acceptance(_f_number(_WIDE_SINE), "tukey:0.1") if single else Acceptance(None, "boxcar"), receive


def _f_number(sine: float) -> float:
    """That accepts angles up to this sine."""
    return 0.5 * float(np.sqrt(1 / sine**2 - 1))


def checked_receive_weights(weights: npt.ArrayLike | None, acquisition: Acquisition) -> npt.NDArray[np.float32]:
    """``(n_elements,)``: what the user gave, or 1 everywhere.

    Raises
    ------
    ConfigError
        If there is not one finite weight per element, or all are 0.
    """
    n_elements = acquisition.probe.n_elements
    if weights is None:
        return np.ones(n_elements, np.float32)
    try:
        vector = np.array(weights, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError("weights are numbers, one per element", location="receive_weights", found=weights) from error
    if vector.shape != (n_elements,):
        raise ConfigError(
            "one weight per element", location="receive_weights", expected=f"({n_elements},)", found=vector.shape
        )
    if not np.all(np.isfinite(vector)):
        raise ConfigError("a weight is not finite", location="receive_weights", found=vector[~np.isfinite(vector)][0])
    if not np.any(vector):
        raise ConfigError("no element receives", location="receive_weights", expected="a non-zero weight")
    return vector


def checked_speed(sound_speed: float | None, acquisition: Acquisition) -> float:
    """[m/s]: what the user gave, or the recording's own.

    Raises
    ------
    ConfigError
        If it is not a positive number.
    """
    speed = acquisition.sound_speed if sound_speed is None else float(sound_speed)
    if not (np.isfinite(speed) and speed > 0):
        raise ConfigError("not a positive number", location="sound_speed", expected="m/s > 0", found=sound_speed)
    return speed


def checked_budget(memory_budget: float) -> float:
    """Bytes.

    Raises
    ------
    ConfigError
        If they are not a positive number.
    """
    if not (np.isfinite(memory_budget) and memory_budget > 0):
        raise ConfigError("not a positive number", location="memory_budget", expected="bytes > 0", found=memory_budget)
    return memory_budget


def refuse_undersampled(acquisition: Acquisition) -> None:
    """RF whose carrier lies above half the sampling frequency has no carrier to delay."""
    probe = acquisition.probe
    if acquisition.kind == "rf" and probe.center_frequency >= acquisition.sampling_frequency / 2:
        raise ConfigError(
            "RF sampled below twice its centre frequency cannot be delayed as it is",
            path=acquisition.path,
            location="sampling_frequency",
            expected=f"more than {2 * probe.center_frequency:g} Hz",
            found=f"{acquisition.sampling_frequency:g} Hz",
            hint="demodulate it first: the mapping importer does with demodulate = true",
        )


def refuse_window_without_axis(acquisition: Acquisition, window: Window) -> None:
    """A transmit acceptance where a transmit has no one direction that angles could be counted from."""
    kinds = sorted(set(acquisition.transmits.kind) & {"plane", "custom"})
    if kinds and not window.unlimited:
        raise GeometryError(
            f"a transmit of kind {kinds[0]} has no angle to limit",
            location="transmit_f_number",
            hint="limit the receive aperture instead (f_number), or leave transmit_f_number out",
        )


def refuse_huge(grid: Grid, n_images: int) -> None:
    """Images that do not fit into the free memory."""
    import psutil

    need, free = 16 * grid.size * n_images, psutil.virtual_memory().available
    if need > 0.8 * free:
        raise TooLarge(
            f"{n_images} image(s) of {grid.size} points need about {need / 1e9:.3g} GB",
            location="grid",
            expected=f"at most 80 % of the {free / 1e9:.3g} GB that are free",
            hint="take a coarser or smaller grid",
        )


def warn_beyond_record(acquisition: Acquisition, grid: Grid, sound_speed: float) -> None:
    """Points whose earliest echo lies past the record stay zero; say so rather than let them look like silence."""
    end = np.max(np.asarray(acquisition.start_time)) + acquisition.n_samples / acquisition.sampling_frequency
    plate = float(acquisition.probe.element_positions[:, 2].max())
    if acquisition.transmits.delays.min() + 2 * (float(grid.z[-1]) - plate) / sound_speed > end:
        depth = plate + sound_speed * (end - acquisition.transmits.delays.min()) / 2
        warnings.warn(
            f"the grid reaches {grid.z[-1] * 1e3:.4g} mm, the record only {depth * 1e3:.4g} mm: "
            "the image is zero where nothing was recorded",
            stacklevel=3,
        )


def checked_frames(acquisition: Acquisition, samples: Any, backend: Backend) -> Any:
    """Frames as the beamformers take them: contiguous, float32, int16 or complex64, without the recording's offset.

    Parameters
    ----------
    acquisition
        The recording.
    samples : (n_frames, n_tx, n_rx, n_samples)
        As recorded.
    backend
        Where the frames are wanted.

    Raises
    ------
    BadField
        If they are no frames of this recording.
    """
    xp = backend.xp
    frames = xp.ascontiguousarray(backend.asarray(samples))
    expected = acquisition.samples.shape[1:]
    if frames.shape[1:] != expected:
        raise BadField("wrong shape", location="samples", expected=expected, found=frames.shape[1:])
    if (frames.dtype.kind == "c") != (acquisition.kind == "iq") or frames.dtype.kind not in "fic":
        raise BadField(
            f"{frames.dtype} samples for a recording of kind {acquisition.kind}",
            location="samples",
            expected=acquisition.samples.dtype.name,
        )
    kind = np.complex64 if acquisition.kind == "iq" else np.float32
    if frames.dtype != np.int16:
        frames = frames.astype(kind, copy=False)
    if acquisition.offset:  # left in, it would be a step at both ends of the record, which every point would hear
        frames = xp.add(frames, kind(acquisition.offset / acquisition.scale), dtype=kind)
    return frames


def refuse_nonfinite(frames: npt.NDArray[Any]) -> None:
    """Samples that made an image which is not finite, with their place."""
    bad = np.argwhere(~np.isfinite(frames))
    named = tuple(int(i) for i in bad[0]) if len(bad) else ()
    axes = "(frame, transmit, receive, sample)"
    if len(frames) == 1:
        axes, named = "(transmit, receive, sample)", named[1:]
    where = f"first at {axes} {named}" if len(bad) else "values overflow"
    raise BadField(
        f"{len(bad)} sample(s) are NaN or infinite, {where}",
        location="samples",
        expected="finite samples",
        hint="load the file with on_nonfinite='zero' (command line: --on-nonfinite zero), or mend the recording",
    )
