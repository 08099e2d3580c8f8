"""Cases 41 to 48 that are no row of a table: samples that are not finite, of any byte order, of any layout."""

from __future__ import annotations

import numpy as np

from tests.bad_inputs.cases import Desk, answered, refused
from tests.io.recordings import small
from tests.io.test_channel_data import edit, spoil
from usbeam.errors import BadField
from usbeam.io import load, save


def with_nan(desk: Desk) -> None:
    samples = small().samples.copy()
    samples[1, 2, :, 5:10] = np.nan
    samples[1, 3, 0, 0] = np.inf
    spoil(desk.recording, lambda file: file["samples"].write_direct(samples))


@refused(44, "a block of NaN", BadField, "20 sample(s) not finite, and in 1 other transmit(s)")
def nan_block(desk: Desk) -> object:
    with_nan(desk)
    return load(desk.recording).frame(1)


@answered(44, "a block of NaN, taken as zero", "read with on_nonfinite=zero, which is recorded")
def nan_as_zero(desk: Desk) -> str:
    with_nan(desk)
    acquisition = load(desk.recording, on_nonfinite="zero")
    assert np.isfinite(acquisition.frame(1)).all()
    return f"read with on_nonfinite={acquisition.provenance['on_nonfinite']}, which is recorded"


@answered(46, "big-endian samples", "read as float32")
def big_endian(desk: Desk) -> str:
    spoil(desk.recording, edit("samples", lambda samples: samples.astype(">f4")))
    frame = load(desk.recording).frame(0)
    assert frame.dtype.isnative
    np.testing.assert_array_equal(frame, small().samples[0])
    return f"read as {frame.dtype}, in this machine's byte order"


@answered(48, "strided, read-only and Fortran arrays in Python", "written and read: 3")
def layouts(desk: Desk) -> str:
    samples = small().samples
    read_only = samples.copy()
    read_only.flags.writeable = False
    strided = np.repeat(samples, 2, axis=-1)[..., ::2]
    for array in (read_only, strided, np.asfortranarray(samples)):
        save(small(samples=array), desk.recording, overwrite=True)
        np.testing.assert_array_equal(np.asarray(load(desk.recording).samples), samples)
    return "written and read: 3 layouts"
