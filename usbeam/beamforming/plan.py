"""Beamform: what a user calls. A `Plan` does once what depends on geometry alone, then images any number of frames."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from usbeam import device as devices
from usbeam.acquisition import Acquisition
from usbeam.beamforming import subsets
from usbeam.beamforming.apodization import acceptance
from usbeam.beamforming.compounding import (
    PARTS_SHARE,
    Beamformer,
    Compounding,
    TransmitImages,
    cheapest,
    labelled,
)
from usbeam.beamforming.das import DelayAndSum
from usbeam.beamforming.fourier import Fourier
from usbeam.beamforming.frames import imaged, source, unverified
from usbeam.beamforming.requests import (
    Acceptance,
    acceptances,
    checked_budget,
    checked_receive_weights,
    checked_speed,
    default_grid,
    refuse_huge,
    refuse_nonfinite,
    refuse_undersampled,
    refuse_window_without_axis,
    warn_beyond_record,
)
from usbeam.beamforming.sampling import choose
from usbeam.beamforming.spectra import pass_band
from usbeam.beamforming.streaming import streamed
from usbeam.errors import ConfigError
from usbeam.grid import Grid
from usbeam.image import Image
from usbeam.kernels.backend import backend
from usbeam.kernels.memory import retry_smaller

METHODS = ("das", "fourier")
FRAMES_AT_ONCE = 32
"""At most, on a GPU: one for each lane of a warp."""
_log = logging.getLogger("usbeam")


class Plan:
    """A beamformer for one recording's geometry, one grid and one or several subsets of transmits.

    Parameters
    ----------
    acquisition : Acquisition
        Only its header is used; any frame of the same geometry may be imaged.
    grid : Grid, optional
        Image points; `usbeam.beamforming.requests.default_grid` if not given.
    method
        ``das``, delay-and-sum for any geometry, or ``fourier``, the wavenumber algorithm for uniform linear arrays:
        elements that fire alone, or plane waves. `docs/beamforming.md` says when to take which.
    transmits : (n_tx,) or a sequence of such, optional
        Weights of the transmits, one vector per image (see `usbeam.subsets`); all transmits if not given. Several
        images are beamformed one by one or summed from the parts that they share, whichever is predicted to cost less
        (`usbeam.beamforming.compounding.cheapest`).
    receive_weights : (n_elements,), optional
        Weights of the elements as they receive, the same for every image; 1 if not given, 0 leaves an element out.
    f_number, window
        Receive acceptance (see `usbeam.beamforming.apodization.acceptance`). Not given: every angle by delay-and-sum;
        by Fourier, which needs a limit, what the elements hear well
        (`usbeam.beamforming.requests.fourier_acceptance`).
    transmit_f_number, transmit_window
        Transmit acceptance; if not given, every angle, and by Fourier nearly every one. A narrow one leaves blind
        triangles in images from few transmitters.
    interpolation, upsampling
        Of delay-and-sum: ``nearest``, ``linear`` or ``cubic``, on samples refined by a whole factor. What is not given
        is chosen: the cheapest that is predicted to stay 40 dB below the signal
        (`usbeam.beamforming.sampling.choose`).
    weighting, band
        Of Fourier: ``das`` for the amplitudes of delay-and-sum (if not given) or ``adjoint``, and first and last
        frequency [Hz] (`usbeam.beamforming.fourier`, `usbeam.beamforming.spectra.pass_band`).
    fold
        Add reciprocal traces first, where that is exact: about half the work for a full matrix.
    sound_speed
        [m/s]; the recording's own if not given.
    device
        ``auto``, ``cpu`` or ``gpu``.
    precision
        Of the traces that delay-and-sum reads: ``single``, or on a GPU ``half``, which takes half the memory and its
        reading. Sums are single either way.
    memory_budget
        Bytes for the work beside a frame and its images: tables, prepared traces, images of parts. The result does not
        depend on it; where it is too small, the work is done in the smallest pieces. Not given: 1 GB on the CPU, half
        of the free memory on the GPU.

    Raises
    ------
    ConfigError, GeometryError, DeviceUnavailable, TooLarge
        For a request that cannot be met, before any work is done.

    Examples
    --------
    >>> import numpy as np, usbeam as ub
    >>> probe = ub.Probe.linear(8, 0.3e-3, 5e6)
    >>> recording = ub.Acquisition(
    ...     samples=np.zeros((1, 8, 8, 400), np.float32), kind="rf", sampling_frequency=20e6, start_time=0.0,
    ...     sound_speed=1540.0, probe=probe, transmits=ub.Transmits.elements(probe))
    >>> grid = ub.Grid.linear(x=(-1e-3, 1e-3), z=(5e-3, 10e-3), shape=(50, 20))
    >>> plan = ub.Plan(recording, grid, transmits=[ub.subsets.ends(recording, 2), ub.subsets.all(recording)])
    >>> low, high = plan(recording.frame(0))
    >>> high.data.shape
    (50, 20)
    """

    def __init__(
        self,
        acquisition: Acquisition,
        grid: Grid | None = None,
        *,
        method: str = "das",
        transmits: npt.ArrayLike | Sequence[npt.ArrayLike] | None = None,
        receive_weights: npt.ArrayLike | None = None,
        f_number: float | None = None,
        window: str | None = None,
        transmit_f_number: float | None = None,
        transmit_window: str | None = None,
        interpolation: str | None = None,
        upsampling: int | None = None,
        weighting: str | None = None,
        band: tuple[float, float] | None = None,
        fold: bool = True,
        sound_speed: float | None = None,
        device: str = "auto",
        precision: str = "single",
        memory_budget: float | None = None,
    ) -> None:
        if method not in METHODS:
            raise ConfigError("unknown method", location="method", expected=", ".join(METHODS), found=method)
        speed = checked_speed(sound_speed, acquisition)
        self.acquisition = acquisition
        self.grid = default_grid(acquisition) if grid is None else grid
        self.device = devices.resolve(device)
        self.backend = backend(self.device)
        self._budget = self.backend.memory_budget() if memory_budget is None else checked_budget(memory_budget)
        self.weights = subsets.matrix(transmits, acquisition)
        receivers = checked_receive_weights(receive_weights, acquisition)
        refuse_undersampled(acquisition)
        refuse_huge(self.grid, len(self.weights))
        *defaults, taper = acceptances(acquisition, method)
        transmit = Acceptance.given(transmit_f_number, transmit_window, defaults[0], taper)
        receive = Acceptance.given(f_number, window, defaults[1], taper)
        self._used = np.flatnonzero(np.any(self.weights, axis=0))
        shared: dict[str, Any] = {
            "transmit_window": acceptance(*transmit),
            "receive_window": acceptance(*receive),
            "receive_weights": receivers,
            "sound_speed": speed,
            "fold": fold,
            "backend": self.backend,
        }
        refuse_window_without_axis(acquisition, shared["transmit_window"])
        chosen: dict[str, Any]
        if method == "das":
            _refuse_options(method, weighting=weighting, band=band)
            read = choose(acquisition, interpolation, upsampling)
            half = self._is_half(precision)
            self._make = functools.partial(
                DelayAndSum, acquisition, self.grid, self._used, interpolation=read, half=half, **shared
            )
            chosen = {"interpolation": read.name, "upsampling": read.upsampling, "precision": precision}
        else:
            half = None if precision == "single" else precision
            _refuse_options(method, interpolation=interpolation, upsampling=upsampling, precision=half)
            weighting = weighting or "das"
            self._make = functools.partial(Fourier, acquisition, self.grid, weighting=weighting, band=band, **shared)
            chosen = {"weighting": weighting, "band": list(pass_band(acquisition, band))}
        self._beamformer: Beamformer = self._make(memory_budget=self._budget * (1 - PARTS_SHARE))
        self._compounding = cheapest(self._beamformer, self.weights, self.grid.size)
        warn_beyond_record(acquisition, self.grid, speed)
        if acquisition.is_half_matrix:
            _log.info("half-matrix recording: the missing traces are taken from their reciprocals")
        self.settings: dict[str, Any] = {
            "method": method,
            "device": self.device,
            "sound_speed": speed,
            "wavelength": speed / acquisition.probe.center_frequency,
            "pitch": acquisition.probe.pitch,
            "f_number": receive.f_number,
            "window": receive.window,
            "transmit_f_number": transmit.f_number,
            "transmit_window": transmit.window,
            **chosen,
            "half_matrix": acquisition.is_half_matrix,
            "receive_weights": [float(weight) for weight in receivers],
            **self._way(self._compounding),
        }

    @property
    def cost(self) -> float:
        """Predicted work of one frame, in units of delay-and-sum's: one trace at one image point."""
        return self._compounding.cost(self._beamformer, self.grid.size)

    def __call__(self, samples: npt.ArrayLike) -> list[Image]:
        """Image one frame with every subset.

        Parameters
        ----------
        samples : (n_tx, n_rx, n_samples)
            float32 or int16 RF, complex64 IQ, as ``acquisition.frame(i)`` gives them; any memory layout.

        Returns
        -------
        list of Image
            State complex, one per subset, in the units of the samples.

        Raises
        ------
        BadField
            If the samples have another shape or type than the recording, or are not finite.
        DeviceOutOfMemory
            If the GPU's memory does not hold the work, even in smaller pieces.
        """
        (images,) = self._verified(samples, self._compounding)
        return self._labelled(images)

    def arrays(self, samples: Any) -> Any:
        """Image frames where they are: on a GPU, nothing is copied to or from the host.

        Parameters
        ----------
        samples : (n_frames, n_tx, n_rx, n_samples)
            As the plan's images take them, with an axis for frames: an array of CuPy, a tensor of PyTorch on the GPU
            (or whatever else has DLPack), or an array of the host, which is uploaded.

        Returns
        -------
        (n_frames, n_images, n_z, n_x) complex64
            An array of CuPy, which ``torch.from_dlpack`` takes without a copy; with device ``cpu`` one of NumPy.

        What is not finite in the samples is not looked for, as that would wait for the GPU; it shows in the images.

        Raises
        ------
        BadField, DeviceOutOfMemory
            For samples of another shape or type than the recording's; as said above.
        """
        return unverified(self.acquisition, samples, lambda frames: self._work(frames, self._compounding), self.backend)

    def transmit_images(self, samples: npt.ArrayLike) -> TransmitImages:
        """Image one frame with each transmit that the plan uses, for any number of subsets to be made of.

        Parameters
        ----------
        samples : (n_tx, n_rx, n_samples)
            As the plan's own images take them.

        Returns
        -------
        TransmitImages
            8 bytes per transmit and image point.

        Raises
        ------
        BadField, TooLarge
            For samples that the plan refuses, or images that do not fit into the free memory.
        """
        refuse_huge(self.grid, len(self._used))
        each = Compounding(np.eye(self.acquisition.n_tx, dtype=np.float32)[self._used])
        (data,) = self._verified(samples, each)
        return TransmitImages(
            data=data,
            transmits=self._used,
            n_tx=self.acquisition.n_tx,
            grid=self.grid,
            settings={**self.settings, **self._way(each), "compounded": True},
            source=source(self.acquisition),
        )

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[list[Image]]:
        """Image frames of the plan's own recording one after the other; each is read when its turn comes.

        Parameters
        ----------
        indices
            Which frames; all if not given.
        """
        chosen = range(self.acquisition.n_frames) if indices is None else list(indices)
        read = (self.acquisition.frame(index) for index in chosen)
        images = streamed(read, self._frames_at_once(), self.arrays, self.backend)
        for index, data in zip(chosen, images, strict=True):
            if not np.all(np.isfinite(data)):
                refuse_nonfinite(self.acquisition.frame(index)[None])
            yield self._labelled(data)

    def _verified(self, samples: Any, compounding: Compounding) -> npt.NDArray[np.complex64]:
        """Images ``(1, n_images, n_z, n_x)`` of a frame, in host memory."""
        frames = self.backend.asarray(samples)[None]
        images = imaged(self.acquisition, frames, lambda each: self._work(each, compounding), self.backend)
        return self.backend.numpy(images)

    def _work(self, frames: Any, compounding: Compounding) -> Any:
        """Image frames; in smaller pieces where the device's memory is too small."""

        def work(budget: float) -> Any:
            if budget != self._budget:
                _log.warning("the GPU's memory is full; trying again with pieces of %.2g GB", budget / 1e9)
                del self._beamformer  # its tables make room for the next one's
                self._beamformer, self._budget = self._make(memory_budget=budget * (1 - PARTS_SHARE)), budget
            return compounding.images(self._beamformer, frames, self.grid, budget * PARTS_SHARE)

        return retry_smaller(work, self._budget)

    def _labelled(self, images: npt.NDArray[np.complex64]) -> list[Image]:
        """The images of one frame, with what they were made of."""
        facts = (self.grid, self.settings, source(self.acquisition))
        return [labelled(data, weights, *facts) for data, weights in zip(images, self.weights, strict=True)]

    def _is_half(self, precision: str) -> bool:
        """Whether traces are halves; refuses other words, and halves on the CPU, which would only lose by them."""
        if precision not in ("single", "half"):
            raise ConfigError("unknown precision", location="precision", expected="single or half", found=precision)
        if precision == "half" and self.device == "cpu":
            raise ConfigError("half precision is for GPUs", location="precision", hint="leave it out, or device='gpu'")
        return precision == "half"

    def _frames_at_once(self) -> int:
        """Frames of which the GPU makes images together: they share delays and launches."""
        if self.device == "cpu":
            return 1
        # A trace is held as recorded, as spectrum and as signal.
        frame = 24 * np.prod(self.acquisition.samples.shape[1:])
        return int(np.clip(self._budget / 2 // frame, 1, FRAMES_AT_ONCE))

    def _way(self, compounding: Compounding) -> dict[str, bool]:
        """What a user may want to know of how subsets are imaged."""
        return {"folded": self._beamformer.folds(compounding.parts), "compounded": compounding.mix is not None}


def beamform(
    acquisition: Acquisition,
    grid: Grid | None = None,
    *,
    transmits: npt.ArrayLike | None = None,
    frame: int = 0,
    **options: Any,
) -> Image:
    """Image one frame of a recording with one subset of transmits.

    Parameters
    ----------
    acquisition
        The recording.
    grid
        Image points; `usbeam.beamforming.requests.default_grid` if not given.
    transmits : (n_tx,), optional
        Weights of the transmits; all if not given.
    frame
        Which frame.
    **options
        Any other parameter of `Plan`.

    Returns
    -------
    Image
        State complex: ``image.envelope().db(60)`` is what one looks at.
    """
    weights = None if transmits is None else [subsets.check(transmits, acquisition)]
    (image,) = Plan(acquisition, grid, transmits=weights, **options)(acquisition.frame(frame))
    return image


def _refuse_options(method: str, **options: object) -> None:
    """Options that only the other method has."""
    for name, value in options.items():
        if value is not None:
            raise ConfigError(
                f"method {method} has no such option", location=name, found=value, hint=f"leave {name} out"
            )
