"""Which splits decorrelate speckle: the envelope correlations of a design study, measured with our own beamformers.

Two rows of the study are of images whose level is not even, so that they are not what the two images' speckle has in
common (`benchmarks.zero_shot.decorrelation`): 16 random transmits, and random halves. Measured the same way they agree;
with even levels they are larger, as the study's own complex correlations of these rows say, 0.94 and 0.93: the
envelopes of speckle correlate as the square of that.
"""

from __future__ import annotations

import pytest

from benchmarks.zero_shot import decorrelation
from benchmarks.zero_shot.decorrelation import AS_STUDIED

COMPLEX = {"16 random transmits against all": 0.94, "a random half of the transmits against the others": 0.93}


@pytest.mark.slow
def test_every_split_correlates_as_the_design_study_found() -> None:
    rows = {row.split: row for row in decorrelation.rows()}
    for split, magnitude in COMPLEX.items():
        assert rows[split].correlation == pytest.approx(magnitude**2, abs=0.05), split
        assert rows[split].correlation > rows[split + AS_STUDIED].correlation + 0.03, split
    for split, row in rows.items():
        if row.studied is not None and split not in COMPLEX:
            assert row.correlation == pytest.approx(row.studied, abs=0.05), split
    # The outermost two share hardly any of two-way k-space with all: far less than two in the middle.
    assert rows["the two outermost transmits against all"].correlation < 0.2
