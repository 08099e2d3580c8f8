"""Benchmarks of which a part can be wrong without anyone seeing it in a table."""

from __future__ import annotations

import numpy as np
import pytest

from usbeam.cli.bench import _load

fourier = _load("fourier")


@pytest.mark.slow
def test_fourier_beside_delay_and_sum_on_small_work():
    work = fourier.Work(
        elements=(8, 12),
        few_elements=(4,),
        sines=(0.5,),
        n_z=62,
        n_x=33,
        angles=(-5.0, 5.0),
        transmitters=(1, 8),
        n_scatterers=300,
    )
    found = fourier.run(1, work)
    # Two methods that mean the same image: the errors that are measured are their own.
    for row in found["elements"] + found["plane_waves"]:
        assert row["das_error_db"] < -40
        assert row["fourier_error_db"] < -40
        assert row["windows_db"] < -10
    assert [row["elements"] for row in found["arrays"]] == [4, 8, 12]
    assert found["peak_memory"] > 100e6
    lines = fourier.report(found)
    assert sum("plane waves" in line for line in lines) == 1
    assert len(fourier.draw(found).lines) == 2


def test_crossover_of_two_powers():
    """Times a n^2 and b meet at sqrt(b / a), whichever sizes were timed."""
    rows = [{"sine": 0.5, "elements": n, "das_seconds": 1e-4 * n**2, "fourier_seconds": 0.25} for n in (8, 32, 64, 128)]
    (here,) = fourier.crossovers(rows)
    assert here["elements"] == pytest.approx(50)
    assert here["seconds"] == pytest.approx(0.25)
    (nowhere,) = fourier.crossovers(rows[2:])
    assert nowhere["elements"] is None


def test_recording_lies_in_the_pass_band():
    recording = fourier.Work(n_scatterers=20).recording(4, bandwidth=0.3)
    power = np.sum(np.abs(np.fft.rfft(recording.frame(0))) ** 2, axis=(0, 1))
    frequency = np.fft.rfftfreq(recording.n_samples, 1 / recording.sampling_frequency)
    low, high = fourier.pass_band(recording, None)
    outside = (frequency < low - 0.1e6) | (frequency > high + 0.1e6)
    assert power[outside].sum() < 1e-4 * power.sum()
