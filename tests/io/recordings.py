"""Small recordings for the tests of files, and what every error about a file must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from usbeam.acquisition import Acquisition, Truth
from usbeam.errors import UsbeamError
from usbeam.probe import Probe
from usbeam.transmits import Transmits


def small(*, n_frames: int = 2, n_elements: int = 4, n_samples: int = 32, **changes: Any) -> Acquisition:
    """Noise heard by every element after each fired alone, with every time non-zero."""
    probe = Probe.linear(
        n_elements,
        0.3e-3,
        5e6,
        bandwidth=0.6,
        element_width=0.25e-3,
        element_height=5e-3,
        element_normals=np.tile([0.0, 0.0, 1.0], (n_elements, 1)),
        lens_delay=0.1e-6,
        name="Müller",
        manufacturer="nobody",
    )
    rng = np.random.default_rng(0)
    facts: dict[str, Any] = {
        "samples": rng.standard_normal((n_frames, n_elements, n_elements, n_samples)).astype(np.float32),
        "kind": "rf",
        "sampling_frequency": 20e6,
        "start_time": np.linspace(1e-6, 2e-6, n_elements),
        "sound_speed": 1540.0,
        "probe": probe,
        "transmits": Transmits.elements(
            probe,
            pulse_peak_time=0.3e-6,
            waveform=np.ones((1, 8), np.float32),
            waveform_sampling_frequency=100e6,
            waveform_index=np.zeros(n_elements, np.int64),
        ),
        "tgc_applied": False,
        "frame_times": np.arange(n_frames) / 100,
        "transmit_times": np.arange(n_frames * n_elements).reshape(n_frames, n_elements) / 1e4,
        "truth": Truth(points=np.array([[0.0, 0.0, 2e-3]]), regions={"cyst": (0.0, 3e-3, 1e-3)}),
        "provenance": {"source_format": "made up", "notes": "noise", "lab": "ours"},
        "title": "noise",
        "license": "CC0-1.0",
    }
    return Acquisition(**{**facts, **changes})


def plane_waves(**changes: Any) -> Acquisition:
    """Two plane waves to either side."""
    probe = Probe.linear(4, 0.3e-3, 5e6)
    transmits = Transmits.plane(probe, [-0.1, 0.1], 1540.0, pulse_peak_time=0.3e-6)
    samples = np.random.default_rng(1).standard_normal((1, 2, 4, 32)).astype(np.float32)
    return small(**{"probe": probe, "transmits": transmits, "samples": samples, "start_time": 1e-6, **_BARE, **changes})


_BARE: dict[str, Any] = {"frame_times": None, "transmit_times": None, "truth": None}


def assert_clear(error: UsbeamError, path: Path, *words: str) -> None:
    """An error about a file is one line that begins with the file and says what is asked of it."""
    line = str(error)
    assert line.startswith(str(path))
    assert "\n" not in line
    told = f"{line} {error.hint or ''}"
    missing = [word for word in words if word not in told]
    assert not missing, f"{missing} not in {told!r}"
