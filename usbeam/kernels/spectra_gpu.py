"""Spectra of traces on the GPU, by cuFFT: the twin of `usbeam.kernels.spectra_cpu`."""

# CuPy carries no types.
# pyright: basic

from __future__ import annotations

import numpy as np

from usbeam.kernels.cuda import Variant, kernel, launch

_VARIANT = Variant("spectra.cu")
VARIANTS = (_VARIANT,)
_LANES = 16


def spectra(rows, source, weight, owner, first_sample, factor, first_bin, n_fft, work_bytes, out):
    """As `usbeam.kernels.spectra_cpu.spectra`, arrays of CuPy; a transform of any length."""
    import cupy
    from cupyx.scipy import fft

    is_complex = rows.dtype.kind == "c"
    kind, transform = (np.complex64, fft.fft) if is_complex else (np.float32, fft.rfft)
    # The traces, their spectra, and as much again for the transform itself.
    per_pair = (3 if is_complex else 2) * 8 * n_fft
    n_blocks, n_pairs, _ = out.shape
    most = max(1, int(work_bytes // per_pair))
    for begin in range(0, n_pairs, most):
        some = slice(begin, begin + most)
        n_some = len(source[some])
        traces = cupy.empty((n_some, n_fft), kind)
        launch(
            kernel(_VARIANT, f"gather_{rows.dtype}"),
            # What is more than a grid holds is done by the same threads.
            (n_fft, min(n_some, 65535)),
            (128, 1),
            rows,
            source[some],
            weight[some],
            owner[some],
            first_sample,
            np.int64(rows.shape[1]),
            np.int32(n_some),
            np.int32(n_fft),
            traces,
        )
        found = transform(traces, axis=1, overwrite_x=True)
        launch(
            kernel(_VARIANT, "pick"),
            (n_some * _LANES, n_blocks),
            (128, 1),
            found,
            owner[some],
            factor,
            np.int64(first_bin),
            *map(np.int32, (n_fft, found.shape[1], n_some, begin, n_pairs, n_blocks)),
            out,
        )
