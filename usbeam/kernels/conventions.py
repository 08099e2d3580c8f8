"""What kernels and their callers agree on. Imports no compiler."""

from __future__ import annotations

import os
from typing import Any

CACHE = os.environ.get("USBEAM_NUMBA_CACHE", "").lower() in ("1", "true", "yes", "on")
"""Numba's on-disk cache has crashed on shared folders (numba issue 4807), so it is opt-in."""

NUMBA_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    # Everything but nnan and ninf: NaN tests must survive.
    "fastmath": {"contract", "reassoc", "arcp", "nsz"},
    "cache": CACHE,
}

SPHERICAL, PLANE, FOCUSED = 0, 1, 2
"""Shapes of a wave front: first arrival from point sources; a plane; through a focus, where the sign turns."""

FRACTION_BITS = 13
"""Fractional bits of a delay in the tables of delay-and-sum."""
PHASE_BITS = 11
N_PHASES = 1 << PHASE_BITS
"""Rows of the interpolation table: fractions of a sample that are told apart."""
MAX_SAMPLES = 1 << (29 - FRACTION_BITS)
"""Longest delay of one leg, in samples; the sum of two still fits an int32."""
