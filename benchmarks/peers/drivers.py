"""One driver for each row of the table: prepare the standard work for a package, once, and give a call that images it.

Each peer runs in the fastest setting its documentation offers that yields the same image: complex (its magnitude is
the envelope), every pair, linear interpolation, no apodization. A setting that makes a real image would be quicker
for some, but the rows of this image lie further apart than a quarter wavelength, so that no envelope can be had from
it. What a peer needs besides RF (analytic signal, baseband, delay maps) is prepared outside the clock, in its favour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np

from . import work


@dataclass(frozen=True)
class Driver:
    """A package ready to image."""

    version: str
    timed: str
    """What one call does, for the table."""
    call: Callable[[], np.ndarray]
    """Make the image ``(n_z, n_x)``, complex, in host memory."""


def analytic(rf: np.ndarray, dtype: type, frequency: float = 0.0) -> np.ndarray:
    """Analytic signal, shifted down by `frequency`; one transmit at a time, for the sake of the peer's peak memory."""
    shift = np.exp(-2j * np.pi * frequency * np.arange(work.N_SAMPLES) / work.SAMPLING_FREQUENCY)
    signal = np.empty(rf.shape, dtype)
    for transmit, traces in zip(signal, rf, strict=True):
        transmit[:] = work.analytic(traces) * shift
    return signal


def baseband(rf: np.ndarray) -> np.ndarray:
    """IQ at the centre frequency, complex64."""
    return analytic(rf, np.complex64, work.CENTER_FREQUENCY)


def on_x_axis(x: np.ndarray) -> np.ndarray:
    """Positions ``(3, *x.shape)`` on the x axis."""
    return np.stack([x, np.zeros_like(x), np.zeros_like(x)])


def fast_das(rf: np.ndarray) -> Driver:
    """C++ threads. It has no phase rotation, so the analytic signal it is; both delay maps are the caller's.

    Version 1.2.0 reads every trace half a sample early (a ramp shows it); a quarter on either leg mends that.
    """
    import fastDAS

    signal = analytic(rf, np.complex128)  # the library computes in float64 only
    delays = work.one_way(*np.meshgrid(work.X, work.Z)) * work.SAMPLING_FREQUENCY + 0.25
    beamformer = fastDAS.DAS(target=fastDAS.CalculateIn.CPP)
    return Driver(
        version("fast-das"),
        "analytic signal and delay maps to image; both prepared before",
        lambda: beamformer.delay_and_sum(signal, delays, delays).sum(axis=0),
    )


def ultraspy(rf: np.ndarray) -> Driver:
    """Numba, CPU.

    IQ, as only that gives a complex image. Every transmit is described on the whole probe, with the silent elements
    firing a second later: ultraspy then knows that both probes are the same and computes the distances once for each
    pixel, not once for each pixel and transmit.
    """
    from ultraspy.beamformers.das import DelayAndSum
    from ultraspy.scan import GridScan

    probe = on_x_axis(np.tile(work.ELEMENT_X, (work.N_ELEMENTS, 1)))
    beamformer = DelayAndSum(is_iq=True, on_gpu=False)
    setups = {
        "sampling_freq": work.SAMPLING_FREQUENCY,
        "central_freq": work.CENTER_FREQUENCY,
        "sound_speed": work.SOUND_SPEED,
        "f_number": [0.0, 0.0],
        "t0": 0.0,
        "emitted_probe": probe,
        "received_probe": probe,
        "emitted_thetas": np.zeros(probe.shape[1:]),
        "received_thetas": np.zeros(probe.shape[1:]),
        "transmissions_idx": list(range(work.N_ELEMENTS)),
        "delays": 1.0 - np.eye(work.N_ELEMENTS),
    }
    for name, value in setups.items():
        beamformer.update_setup(name, value)
    for name, value in {"interpolation": "linear", "fix_t0": False, "emitted_aperture": False}.items():
        beamformer.update_option(name, value)
    iq, scan = baseband(rf), GridScan(work.X, work.Z, on_gpu=False)
    return Driver(
        version("ultraspy"),
        "baseband IQ to image; IQ prepared before",
        lambda: beamformer.beamform(iq, scan).T,
    )


def vbeam(rf: np.ndarray) -> Driver:
    """JAX, jit-compiled, which its documentation advises. IQ takes as long as the analytic signal and is more exact."""
    import jax
    import jax.numpy as jnp
    from spekk import Spec
    from vbeam.apodization import NoApodization
    from vbeam.beamformers import get_das_beamformer
    from vbeam.core import ElementGeometry, WaveData
    from vbeam.data_importers.setup import SignalForPointSetup
    from vbeam.fastmath import backend_manager
    from vbeam.interpolation import FastInterpLinspace
    from vbeam.scan import linear_scan
    from vbeam.wavefront import ReflectedWavefront
    from vbeam.wavefront.stai import STAIWavefront

    backend_manager.active_backend = "jax"
    single = partial(jnp.asarray, dtype=jnp.float32)
    positions, zeros = single(on_x_axis(work.ELEMENT_X).T), single(np.zeros(work.N_ELEMENTS))
    elements = ElementGeometry(positions, zeros, zeros)
    setup = SignalForPointSetup(
        sender=elements,
        point_position=None,
        receiver=elements.copy(),
        signal=jnp.asarray(baseband(rf)),
        transmitted_wavefront=STAIWavefront(),
        reflected_wavefront=ReflectedWavefront(),
        speed_of_sound=single(work.SOUND_SPEED),
        wave_data=WaveData(source=positions, azimuth=zeros, elevation=zeros, t0=zeros),
        interpolate=FastInterpLinspace(min=single(0), d=single(1 / work.SAMPLING_FREQUENCY), n=work.N_SAMPLES),
        modulation_frequency=single(work.CENTER_FREQUENCY),
        apodization=NoApodization(),
        spec=Spec(
            {
                "signal": ["transmits", "receivers", "signal_time"],
                "sender": ["transmits"],
                "wave_data": ["transmits"],
                "receiver": ["receivers"],
                "point_position": ["points"],
            }
        ),
        scan=linear_scan(single(work.X), single(work.Z)),
    )
    beamform = jax.jit(
        get_das_beamformer(setup, compensate_for_apodization_overlap=False, log_compress=False, scan_convert=False)
    )
    data = setup.data
    return Driver(version("vbeam"), "baseband IQ to image; IQ prepared before", lambda: np.asarray(beamform(**data)).T)


def ustb(rf: np.ndarray) -> Driver:
    """Numba. From RF it forms the analytic signal itself and then needs no phase rotation, which is the quicker way.

    A transmit of one element is a spherical wave from that element; its delay undoes the shift of time zero to the
    probe's centre.
    """
    from pyuff_ustb import ChannelData, LinearArray, LinearScan, Point, Wave, Wavefront
    from ustb.enums import Dimension, Window
    from ustb.midprocess import DAS

    channel_data = ChannelData()
    channel_data.data = np.ascontiguousarray(rf.transpose(2, 1, 0))
    channel_data.sampling_frequency = work.SAMPLING_FREQUENCY
    channel_data.initial_time = 0.0
    channel_data.sound_speed = work.SOUND_SPEED
    channel_data.modulation_frequency = 0.0
    channel_data.probe = LinearArray(
        N=work.N_ELEMENTS, pitch=work.PITCH, element_width=0.9 * work.PITCH, element_height=5e-3
    )
    channel_data.sequence = [
        Wave(
            wavefront=Wavefront.spherical,
            source=Point(distance=abs(x), azimuth=np.copysign(np.pi / 2, x), elevation=0.0),
            sound_speed=work.SOUND_SPEED,
            delay=abs(x) / work.SOUND_SPEED,
        )
        for x in work.ELEMENT_X.tolist()
    ]
    beamformer = DAS()
    beamformer.channel_data = channel_data
    beamformer.scan = LinearScan(x_axis=work.X, z_axis=work.Z)
    beamformer.dimension = Dimension.both
    beamformer.spherical_transmit_delay_model = "spherical"
    beamformer.receive_apodization.window = beamformer.transmit_apodization.window = Window.none
    return Driver(
        version("ustb"),
        "raw RF to image: analytic signal, delays and weights of every call included",
        lambda: np.reshape(beamformer.go().data, (len(work.X), len(work.Z))).T,
    )


def usbeam(rf: np.ndarray, **settings: object) -> Driver:
    """The plan is made here, outside the clock and timed on its own; everything from raw RF on is inside."""
    import usbeam as ub

    probe = ub.Probe.linear(work.N_ELEMENTS, work.PITCH, work.CENTER_FREQUENCY)
    acquisition = ub.Acquisition(
        samples=rf[None],
        kind="rf",
        sampling_frequency=work.SAMPLING_FREQUENCY,
        start_time=0.0,
        sound_speed=work.SOUND_SPEED,
        probe=probe,
        transmits=ub.Transmits.elements(probe),
    )
    plan = ub.Plan(
        acquisition, ub.Grid(work.X, work.Z), method="das", transmits=ub.subsets.all(acquisition), **settings
    )
    read = f"{plan.settings['interpolation']}, upsampling {plan.settings['upsampling']}"
    return Driver(
        version("usbeam"),
        f"raw RF to image, analytic signal included ({read})",
        lambda: plan(acquisition.frame(0))[0].data,
    )


PEERS = {"fast-das": fast_das, "ultraspy": ultraspy, "vbeam": vbeam, "ustb": ustb}
LINEAR = {"interpolation": "linear", "upsampling": 1}
OURS = {
    "usbeam linear, fold": partial(usbeam, **LINEAR, fold=True),
    "usbeam linear, no fold": partial(usbeam, **LINEAR, fold=False),
    "usbeam default": usbeam,
}
DRIVERS: dict[str, Callable[[np.ndarray], Driver]] = {**PEERS, **OURS}
