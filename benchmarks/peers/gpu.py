"""Peers on the GPU: one plane wave, baseband IQ, many frames; samples and images stay on the GPU.

Each gets its samples in the layout it wants, prepared outside the clock. A peer that is not installed is a line of
text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

import usbeam as ub


@dataclass(frozen=True)
class Driver:
    """A package ready to image.

    Parameters
    ----------
    run
        Images all frames.
    n_frames
        Of one call.
    first
        The first frame's image ``(n_z, n_x)`` of what a call returned.
    reference
        usbeam's, on the CPU.
    """

    run: Callable[[], Any]
    n_frames: int
    first: Callable[[Any], np.ndarray]
    reference: np.ndarray

    def likeness(self) -> float:
        """Correlation of its first image with usbeam's, over the middle half: windows differ at the sides."""
        found, wanted = self.first(self.run()), self.reference
        part = tuple(slice(n // 4, -(n // 4)) for n in wanted.shape)
        a, b = np.abs(found[part]), np.abs(wanted[part])
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def drivers(acquisition: ub.Acquisition, grid: ub.Grid) -> dict[str, Driver | str]:
    """Every peer that is installed, ready; the others with the reason."""
    reference = ub.beamform(acquisition, grid, device="cpu", f_number=1.0, window="tukey:0.5").data
    found: dict[str, Driver | str] = {}
    for name, make in {"mach-beamform": _mach, "ultraspy": _ultraspy}.items():
        try:
            found[f"{name} {version(name)}"] = make(acquisition, grid, reference)
        except ImportError as error:
            found[name] = f"not installed ({error})"
    return found


def _mach(acquisition: ub.Acquisition, grid: ub.Grid, reference: np.ndarray) -> Driver:
    """Its samples are (elements, samples, frames), as its documentation says; delays of the wave are the caller's."""
    import cupy
    import mach

    samples = np.asarray(acquisition.samples)[:, 0]
    data = cupy.asarray(np.ascontiguousarray(samples.transpose(1, 2, 0)))
    x, z = (axis.ravel().astype(np.float32) for axis in np.meshgrid(grid.x, grid.z))
    points = cupy.asarray(np.stack([x, np.zeros_like(x), z], axis=1))
    elements = cupy.asarray(acquisition.probe.element_positions.astype(np.float32))
    arrivals = cupy.asarray(z / np.float32(acquisition.sound_speed))
    out = cupy.zeros((len(x), len(samples)), np.complex64)

    def run() -> Any:
        out.fill(0)
        mach.beamform(
            data,
            elements,
            points,
            arrivals,
            out,
            rx_start_s=0.0,
            sampling_freq_hz=acquisition.sampling_frequency,
            f_number=1.0,
            sound_speed_m_s=acquisition.sound_speed,
            modulation_freq_hz=acquisition.demodulation_frequency,
        )
        return out

    return Driver(run, len(samples), lambda images: images[:, 0].get().reshape(grid.shape), reference)


def _ultraspy(acquisition: ub.Acquisition, grid: ub.Grid, reference: np.ndarray) -> Driver:
    """Frame by frame, as its delay-and-sum takes one."""
    import cupy
    from ultraspy.beamformers.das import DelayAndSum
    from ultraspy.scan import GridScan

    positions = acquisition.probe.element_positions
    probe = np.ascontiguousarray(positions.T[:, None])
    beamformer = DelayAndSum(is_iq=True, on_gpu=True)
    setups = {
        "sampling_freq": acquisition.sampling_frequency,
        "central_freq": acquisition.demodulation_frequency,
        "sound_speed": acquisition.sound_speed,
        "f_number": [1.0, 1.0],
        "t0": 0.0,
        "emitted_probe": probe,
        "received_probe": probe,
        "emitted_thetas": np.zeros(probe.shape[1:]),
        "received_thetas": np.zeros(probe.shape[1:]),
        "transmissions_idx": [0],
        "delays": np.zeros((1, len(positions))),
    }
    for name, value in setups.items():
        beamformer.update_setup(name, value)
    for name, value in {"interpolation": "linear", "fix_t0": False}.items():
        beamformer.update_option(name, value)
    frames = [cupy.asarray(np.asarray(acquisition.samples)[k]) for k in range(acquisition.n_frames)]
    scan = GridScan(grid.x, grid.z, on_gpu=True)

    def run() -> Any:
        return [beamformer.beamform(frame, scan) for frame in frames]

    return Driver(run, len(frames), lambda images: cupy.asnumpy(images[0]).T, reference)
