"""Checks on what was sampled when: kinds and axes, frequencies, times, the speed of sound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from usbeam.io.checks.registry import ERROR, HINT, WARNING, Problem, check
from usbeam.io.structure import Contents


@check(ERROR, "/samples:kind", "/samples:dtype")
def kind_fits_type(header: Contents) -> Iterator[Problem]:
    """IQ samples are complex, RF samples are real."""
    kind, dtype = header.values["/samples:kind"], header.values["/samples:dtype"]
    if (kind == "iq") != (dtype == "complex64"):
        yield Problem(
            f"kind {kind} with {dtype} samples",
            expected="complex64 for iq; float32 or int16 for rf",
            hint="set kind to what the samples are",
        )


@check(ERROR, "/demodulation_frequency", "/samples:kind")
def rf_is_not_demodulated(header: Contents) -> Iterator[Problem]:
    """RF has no demodulation frequency."""
    frequency = header.values["/demodulation_frequency"]
    if header.values["/samples:kind"] == "rf" and frequency:
        yield Problem("RF samples are not demodulated", expected="0", found=f"{frequency:g}")


@check(ERROR, "/samples:scale")
def scale_is_not_zero(header: Contents) -> Iterator[Problem]:
    """A scale of 0 would wipe out every sample."""
    if header.values["/samples:scale"] == 0:
        yield Problem("a scale of 0 wipes out every sample", hint="write 1 if the unit is arbitrary")


@check(ERROR, "/samples:dtype")
def traces_are_traces(header: Contents) -> Iterator[Problem]:
    """A trace of one sample holds no echo."""
    if header.dimensions["n_samples"] < 2:
        yield Problem("a trace of 1 sample", expected="n_samples >= 2", location="/samples")


@check(ERROR, "/sound_speed")
def sound_speed_in_metres_per_second(header: Contents) -> Iterator[Problem]:
    """From rubber (100 m/s) to diamond (18 000 m/s): beyond, the unit is wrong."""
    speed = header.values["/sound_speed"]
    if not 100 <= speed <= 20e3:
        yield Problem(
            "no medium is that slow or fast",
            expected="100 to 20000 m/s",
            found=f"{speed:g}",
            hint="in metres per second: 1540, not 1.54 (mm/us) or 154000 (cm/s)",
        )


@check(WARNING, "/transmit/kind")
def pulse_peak_is_given(header: Contents) -> Iterator[Problem]:
    """Without it images are too deep by half the pulse."""
    if "/transmit/pulse_peak_time" not in header.values:
        yield Problem(
            "not given and taken as 0: images are too deep by half the pulse",
            location="/transmit/pulse_peak_time",
            hint="time from an element's firing to the peak of the two-way pulse's envelope",
        )


@check(ERROR, "/sampling_frequency", "/probe/center_frequency")
def sampled_fast_enough(header: Contents) -> Iterator[Problem]:
    """No signal can be told from samples that are fewer than its bandwidth."""
    rate, center = header.values["/sampling_frequency"], header.values["/probe/center_frequency"]
    band = header.values.get("/probe/bandwidth", 0.1) * center
    if rate < band:
        yield Problem(
            "sampled below the bandwidth of the probe",
            expected=f">= {band:g} Hz",
            found=f"{rate:g} Hz",
            hint="both in hertz: 40 MHz is 40e6",
        )


@check(WARNING, "/probe/center_frequency", "/sampling_frequency", "/samples:kind")
def center_below_nyquist(header: Contents) -> Iterator[Problem]:
    """RF above half the sampling frequency folds back."""
    nyquist = header.values["/sampling_frequency"] / 2
    center = header.values["/probe/center_frequency"]
    if header.values["/samples:kind"] == "rf" and center > nyquist:
        yield Problem(
            "above half the sampling frequency",
            expected=f"at most {nyquist:g} Hz",
            found=f"{center:g} Hz",
            hint="band-pass sampled RF must be demodulated before beamforming; else check both frequencies",
        )


@check(WARNING, "/sampling_frequency", "/sound_speed", "/samples:dtype")
def traces_reach_deep_enough(header: Contents) -> Iterator[Problem]:
    """A recording of less than 0.1 mm shows nothing."""
    duration = header.dimensions["n_samples"] / header.values["/sampling_frequency"]
    depth = duration * header.values["/sound_speed"] / 2
    if depth < 0.1e-3:
        yield Problem(
            "the traces are too short to show anything",
            expected="0.1 mm of depth or more",
            found=f"{depth * 1e3:.3g} mm",
            hint="check the sampling frequency, and that samples are the last axis",
        )


@check(HINT, "/samples:dtype")
def samples_are_last(header: Contents) -> Iterator[Problem]:
    """The sample axis is nearly always the longest."""
    lengths = {name: header.dimensions[name] for name in ("n_tx", "n_rx", "n_samples")}
    longest = max(lengths, key=lambda name: lengths[name])
    if lengths["n_samples"] < lengths[longest]:
        yield Problem(
            f"{longest} = {lengths[longest]} is more than n_samples = {lengths['n_samples']}",
            expected="(frame, transmit, receive, sample)",
            hint="check that no axes are swapped",
            location="/samples",
        )


@check(WARNING, "/start_time")
def times_in_seconds(header: Contents) -> Iterator[Problem]:
    """No probe waits, or steers over, ten milliseconds: that is 7 m of tissue."""
    for location in ("/start_time", "/transmit/delays", "/transmit/pulse_peak_time", "/probe/lens_delay"):
        longest = float(np.abs(header.values.get(location, 0.0)).max())
        if longest > 10e-3:
            yield Problem(
                "longer than 10 ms",
                expected="seconds",
                found=f"{longest:g}",
                hint="in seconds: 39.3 us is 39.3e-6",
                location=location,
            )


@check(WARNING, "/time/frame")
def frames_in_order(header: Contents) -> Iterator[Problem]:
    """Frame times rise."""
    if np.any(np.diff(header.values["/time/frame"]) <= 0):
        yield Problem("frame times do not rise", hint="check that frames are in the order in which they were taken")
