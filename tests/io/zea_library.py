"""What the zea library itself writes and reads, in a process of its own: ``python -m tests.io.zea_library``.

``write FOLDER`` simulates a point with zea's own simulator and writes its files; ``read FILE OUT.npz`` opens a file
with zea's reader, and stores every field that it gives and the time of the pulse's peak that zea concludes.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
POINT = (0.6e-3, 0.0, 18e-3)
SPEED, CENTER, SAMPLING = 1540.0, 5e6, 40e6
PEAK, LENS_THICKNESS, LENS_SPEED = 0.37e-6, 0.5e-3, 1000.0
LENS_DELAY = LENS_THICKNESS * (1 / LENS_SPEED - 1 / SPEED)
START = 18e-6
N_ELEMENTS, PITCH, N_SAMPLES = 32, 0.3e-3, 512
ANGLES = np.array([-0.2, 0.0, 0.2])
WAVEFORM_FREQUENCY = 250e6


def run(*arguments: str | Path) -> None:
    """Run this module where zea is installed; otherwise skip the test."""
    if importlib.util.find_spec("zea") is None:
        pytest.skip("zea is not installed")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.io.zea_library", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def waveform() -> Any:
    """The two-way pulse, sampled as zea has it, with its largest envelope at `PEAK`."""
    time = np.arange(300) / WAVEFORM_FREQUENCY - PEAK
    return (np.exp(-((time / 0.15e-6) ** 2)) * np.cos(2 * np.pi * CENTER * time)).astype(np.float32)


def scans() -> dict[str, dict[str, Any]]:
    """The ``scan`` of three kinds of transmits, with start times that differ from transmit to transmit."""
    from zea.beamform.delays import compute_t0_delays_focused, compute_t0_delays_planewave

    n_tx = len(ANGLES)
    common = {
        "sampling_frequency": SAMPLING,
        "center_frequency": CENTER,
        "demodulation_frequency": CENTER,
        "sound_speed": SPEED,
        "initial_times": START + np.array([0.0, 0.33e-6, 1.13e-6]),
        "tx_apodizations": np.ones((n_tx, N_ELEMENTS)),
        "transmit_origins": np.zeros((n_tx, 3)),
        "waveforms_two_way": np.tile(waveform(), (n_tx, 1)),
        "time_to_next_transmit": np.full((1, n_tx), 1e-4),
    }
    plane = compute_t0_delays_planewave(geometry(), ANGLES, sound_speed=SPEED)
    made = {"plane": {**common, "t0_delays": plane, "polar_angles": ANGLES, "focus_distances": np.full(n_tx, np.inf)}}
    for name, distance in (("diverging", -12e-3), ("focused", 60e-3)):
        distances = np.full(n_tx, distance)
        delays = compute_t0_delays_focused(np.zeros((n_tx, 3)), distances, geometry(), ANGLES, sound_speed=SPEED)
        made[name] = {**common, "t0_delays": delays, "polar_angles": ANGLES, "focus_distances": distances}
    chosen = [4, 16, 27]
    one = np.eye(N_ELEMENTS)[chosen]
    made["element"] = {
        **common,
        "t0_delays": np.zeros((n_tx, N_ELEMENTS)),
        "tx_apodizations": one,
        "polar_angles": np.zeros(n_tx),
        "focus_distances": np.zeros(n_tx),
        "transmit_origins": geometry()[chosen],
    }
    return {name: {key: np.asarray(value, np.float32) for key, value in scan.items()} for name, scan in made.items()}


def geometry() -> Any:
    positions = np.zeros((N_ELEMENTS, 3))
    positions[:, 0] = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH
    return positions


def write(folder: Path) -> None:
    """``plane``, ``diverging``, ``focused``, ``element`` (RF, as zea packs if not told otherwise) and ``iq`` (gzip)."""
    from keras import ops
    from zea import File
    from zea.func import demodulate
    from zea.simulator import simulate_rf

    probe = {
        "name": "made up",
        "type": "linear",
        "probe_geometry": geometry().astype(np.float32),
        "probe_center_frequency": np.float32(CENTER),
        "probe_bandwidth_percent": np.float32(60),
        "element_width": np.float32(0.25e-3),
        "lens_thickness": np.float32(LENS_THICKNESS),
        "lens_sound_speed": np.float32(LENS_SPEED),
    }
    for name, scan in scans().items():
        tensors = {key: ops.convert_to_tensor(scan[key]) for key in ("t0_delays", "initial_times", "tx_apodizations")}
        raw = simulate_rf(
            scatterer_positions=ops.convert_to_tensor(np.array([POINT], np.float32)),
            scatterer_magnitudes=ops.ones((1,)),
            probe_geometry=ops.convert_to_tensor(geometry().astype(np.float32)),
            apply_lens_correction=True,
            lens_thickness=LENS_THICKNESS,
            lens_sound_speed=LENS_SPEED,
            sound_speed=SPEED,
            n_ax=N_SAMPLES,
            center_frequency=CENTER,
            sampling_frequency=SAMPLING,
            element_width=0.25e-3,
            attenuation_coef=0.0,
            t_peak=ops.full((len(ANGLES),), PEAK),
            **tensors,
        )
        samples = {"rf": np.asarray(raw)[None]}
        if name == "plane":
            samples["iq"] = np.asarray(demodulate(raw[None], CENTER, SAMPLING, axis=-3))
        for kind, data in samples.items():
            File.create(
                folder / f"{name if kind == 'rf' else 'iq'}.hdf5",
                data={"raw_data": data},
                scan=scan,
                probe=probe,
                description="a point\nin water",
                ignore_warnings=True,
                **({} if kind == "rf" else {"compression": "gzip"}),
            )


def read(file: Path, out: Path) -> None:
    """Every field that zea's reader gives, after it has checked the whole file."""
    from zea import File

    with File(file) as opened:
        opened.validate()
        spec = opened.validate_spec()
        parameters = opened.load_parameters()
        fields = {f"scan.{key}": value for key, value in spec.scan.to_dict().items()}
        fields |= {f"probe.{key}": value for key, value in spec.probe.to_dict().items()}
        fields |= {"raw_data": spec.data.raw_data, "t_peak": parameters.t_peak, "description": spec.description}
    np.savez(out, **{key: np.asarray(value) for key, value in fields.items() if value is not None})


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*map(Path, sys.argv[2:]))
