"""A Vantage workspace with echoes of one point, written down from the sampling of the system, not from our reader."""

from __future__ import annotations

from typing import Any

import numpy as np

FREQUENCY, SPEED = 5e6, 1540.0
WAVELENGTH = SPEED / FREQUENCY
N_ELEMENTS, N_COLUMNS, N_FRAMES, N_CYCLES = 32, 40, 3, 48
POINT = np.array([1.3e-3, 0.0, 14.1e-3])
X = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * 0.3e-3
LENS = 1.7
"""One way [wavelengths]."""
PEAKS = (2.3, 3.6)
"""Of the two waveforms [wavelengths]."""
PULSE = 2.5
"""From its peak to 1/e [periods]: narrow enough in frequency for every mode."""
STARTS = (41.3, 39.8, 43.65)
"""Start depth of each record of a frame [wavelengths]: none a whole number, so that no phase is hidden."""
LAST_FRAME = 2
MODES = {"NS200BW": (4, 1), "BS100BW": (4, 2), "BS67BW": (4 / 3, 1), "BS50BW": (4, 4), "custom": (6.25, 1)}
"""``decimSampleRate`` over the demodulation frequency, and ``quadDecim``."""
ORDER = (2, 0, 1)
"""``TX`` (0-based) of each acquisition of a frame."""


def connector() -> np.ndarray:
    """1-based column of each element."""
    return np.random.default_rng(5).permutation(N_COLUMNS)[:N_ELEMENTS] + 1


def firing() -> tuple[np.ndarray, np.ndarray]:
    """Delays [wavelengths] and weights (TX, element): a plane wave toward +x, a far focus, a source behind."""
    focus, source = np.array([2.5e-3, 70e-3]), np.array([-0.8e-3, -7e-3])
    away = np.hypot(X - source[0], source[1])
    toward = -np.hypot(X - focus[0], focus[1])
    plane = X * np.sin(0.12)
    delays = np.stack([each - each.min() for each in (plane, toward, away)]) / WAVELENGTH
    weights = np.ones((3, N_ELEMENTS))
    weights[1, :4] = 0
    return delays, weights


def times(mode: str) -> np.ndarray:
    """When the system samples, after the start of the record [s]."""
    rate, decimation = MODES[mode]
    kept = np.arange(round(N_CYCLES * rate))
    if decimation > 1:  # two neighbours of every 2 * decimation
        kept = kept[kept % (2 * decimation) < 2]
    return kept / (rate * FREQUENCY)


def echo(time: np.ndarray, tx: int, element: int) -> np.ndarray:
    """What an element receives at these times after the trigger: every firing element's pulse, there and back."""
    delays, weights = firing()
    way = np.hypot(X - POINT[0], POINT[2]) / SPEED
    arrivals = delays[tx] / FREQUENCY + way + way[element] + (PEAKS[tx % 2] + 2 * LENS) / FREQUENCY
    late = time[:, None] - arrivals[weights[tx] != 0]
    return np.sum(np.exp(-((late * FREQUENCY / PULSE) ** 2)) * np.cos(2 * np.pi * FREQUENCY * late), axis=1)


def structs(count: int, **fields: Any) -> np.ndarray:
    """An array of structs; a list gives each its own value, anything else is the same in all."""
    made = np.empty((1, count), [(name, object) for name in fields])
    for name, value in fields.items():
        for index in range(count):
            each = value[index] if isinstance(value, list) else value
            made[0, index][name] = each if isinstance(each, str) else np.atleast_2d(np.asarray(each))
    return made


def workspace(mode: str = "NS200BW", units: str = "wavelengths") -> dict[str, Any]:
    """All variables of a script that fires `ORDER` in each of three frames.

    Frame 2 was written last, so that in order of time they are 3, 1, 2; their echoes are 1, 2 and 3 times as strong.
    """
    rate, decimation = MODES[mode]
    sampled = times(mode)
    length, n_acq = len(sampled), len(ORDER)
    data = np.zeros((n_acq * length, N_COLUMNS, N_FRAMES), np.int16)
    for age, frame in enumerate((2, 0, 1)):
        for acquisition, tx in enumerate(ORDER):
            rows = slice(acquisition * length, (acquisition + 1) * length)
            start = 2 * STARTS[acquisition] / FREQUENCY
            for element, column in enumerate(connector()):
                values = echo(start + sampled, tx, element)
                data[rows, column - 1, frame] = np.round(200 * (age + 1) * values)
    delays, weights = firing()
    unit = 1.0 if units == "wavelengths" else WAVELENGTH * 1e3
    positions = np.zeros((N_ELEMENTS, 5))
    positions[:, 0] = X / WAVELENGTH * unit
    # MATLAB code fills Receive frame by frame, and Event as the system runs through them.
    frames = [frame for frame in range(N_FRAMES) for _ in ORDER]
    acquisitions = list(range(n_acq)) * N_FRAMES
    return {
        "Trans": {
            "name": "L7-4",
            "units": units,
            "frequency": FREQUENCY / 1e6,
            "type": 0.0,
            "Bandwidth": np.array([[4.0, 7.0]]),
            "ElementPos": positions,
            "elementWidth": 0.8 * unit,
            "elevationApertureMm": 7.0,
            "lensCorrection": LENS * unit,
            "ConnectorES": connector()[:, None].astype(float),
        },
        "TW": structs(2, type="parametric", Parameters=np.array([5, 0.67, 2, 1.0]), peak=list(PEAKS)),
        "TX": structs(
            3,
            waveform=[1.0, 2.0, 1.0],
            Origin=np.zeros(3),
            focus=[0.0, 70e-3 / WAVELENGTH, -7e-3 / WAVELENGTH],
            Steer=np.zeros(2),
            Apod=list(weights),
            Delay=list(delays),
        ),
        "Receive": structs(
            n_acq * N_FRAMES,
            Apod=np.ones(N_ELEMENTS),
            startDepth=[STARTS[a] for a in acquisitions],
            endDepth=[STARTS[a] + N_CYCLES / 2 for a in acquisitions],
            bufnum=1.0,
            framenum=[frame + 1.0 for frame in frames],
            acqNum=[a + 1.0 for a in acquisitions],
            sampleMode=mode,
            mode=0.0,
            decimSampleRate=rate * FREQUENCY / 1e6,
            demodFrequency=FREQUENCY / 1e6 if mode != "custom" else rate * FREQUENCY / 4e6,
            quadDecim=float(decimation),
            samplesPerWave=rate / decimation,
            startSample=[a * length + 1.0 for a in acquisitions],
            endSample=[(a + 1.0) * length for a in acquisitions],
        ),
        "Event": structs(
            n_acq * N_FRAMES + 1,
            info="acquire",
            tx=[ORDER[a] + 1.0 for a in acquisitions] + [0.0],
            rcv=[index + 1.0 for index in range(n_acq * N_FRAMES)] + [0.0],
        ),
        "Resource": {
            "Parameters": {"speedOfSound": SPEED, "numRcvChannels": float(N_COLUMNS)},
            "RcvBuffer": structs(1, datatype="int16", numFrames=float(N_FRAMES), lastFrame=float(LAST_FRAME)),
        },
        "TGC": {"Waveform": np.linspace(0, 1023, 16)},
        "RcvData": cells(data),
    }


def cells(*arrays: np.ndarray) -> np.ndarray:
    """A cell array."""
    made = np.empty((len(arrays), 1), object)
    for index, array in enumerate(arrays):
        made[index, 0] = array
    return made
