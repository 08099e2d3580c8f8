"""Between the pixels: against functions that are known everywhere, and an interpolation by FFT."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

import usbeam as ub
from usbeam.errors import ConfigError
from usbeam.measure.bandlimited import Surface

from .spots import MM, WAVELENGTH, gaussian, grid, image

RANDOM = np.random.default_rng(3)
CENTER = (80, 80)


def places(where: ub.Grid, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    return RANDOM.uniform(where.x[0], where.x[-1], count), RANDOM.uniform(where.z[0], where.z[-1], count)


@pytest.mark.parametrize("divisor", [4, 8, 16])
@pytest.mark.parametrize("kind", ["complex", "envelope"])
def test_a_gaussian_is_known_between_the_pixels(divisor: int, kind: str) -> None:
    where = grid(WAVELENGTH / divisor)
    shown = image(where, gaussian(where, (0.5 * MM, 0.3 * MM)))
    surface = Surface.around(shown if kind == "complex" else shown.envelope(), (len(where.z) // 2, len(where.x) // 2))
    x, z = places(where)
    exact = np.exp(-4 * np.log(2) * ((x / (0.5 * MM)) ** 2 + ((z - 20 * MM) / (0.3 * MM)) ** 2))
    # The root of a small error in the square is larger.
    assert np.abs(surface.at(x, z) - exact).max() < (2e-4 if kind == "complex" else 5e-3)


def test_pixels_themselves_are_kept() -> None:
    where = grid()
    shown = image(where, RANDOM.uniform(size=where.shape))
    for each in (shown, shown.envelope()):
        assert np.abs(Surface.around(each, CENTER).on(where) - np.abs(shown.data)).max() < 1e-6


def test_points_and_grids_agree() -> None:
    where = grid()
    surface = Surface.around(image(where, RANDOM.uniform(size=where.shape)), CENTER)
    finer = ub.Grid.linear(x=(-2.9 * MM, 2.9 * MM), z=(17.1 * MM, 22.9 * MM), shape=(23, 17))
    x, z = np.meshgrid(finer.x, finer.z)
    assert surface.at(x.ravel(), z.ravel()) == pytest.approx(surface.on(finer).ravel(), abs=1e-12)


def test_like_an_interpolation_by_fft() -> None:
    """Of a periodic image, which has no border: any spectrum within four fifths of the band."""
    n = 64
    spectrum = np.zeros((n, n), complex)
    inside = np.abs(np.fft.fftfreq(n)) < 0.35
    spectrum[np.ix_(inside, inside)] = RANDOM.standard_normal((inside.sum(), inside.sum()))
    once = np.fft.ifft2(spectrum)
    where = ub.Grid.linear(
        x=(0.0, (3 * n - 1) * 0.1 * MM), z=(10 * MM, 10 * MM + (3 * n - 1) * 0.1 * MM), shape=(3 * n,) * 2
    )
    shown = ub.Image(np.tile(once, (3, 3)).astype(np.complex64), where)
    fine = scipy.signal.resample(scipy.signal.resample(once, 16 * n, axis=0), 16 * n, axis=1)
    steps = np.arange(16 * n) / 16 * 0.1 * MM
    middle = ub.Grid(where.x[n] + steps, where.z[n] + steps)
    surface = Surface.around(shown, (n, n))
    assert np.abs(surface.on(middle) - np.abs(fine)).max() < 1e-3 * np.abs(fine).max()


def test_the_summit_lies_between_the_pixels() -> None:
    where = grid(WAVELENGTH / 4)
    at = (0.123 * MM, 20.0456 * MM)
    shown = image(where, 7 * gaussian(where, (0.5 * MM, 0.3 * MM), at=at))
    pixel = np.unravel_index(np.argmax(np.abs(shown.data)), where.shape)
    x, z, height = Surface.around(shown, pixel).summit(pixel)
    assert (x, z) == pytest.approx(at, abs=1e-3 * WAVELENGTH)
    assert height == pytest.approx(7, rel=1e-4)


def test_what_the_pixels_cannot_hold_shows_at_the_edge_of_the_band() -> None:
    fine, coarse = grid(WAVELENGTH / 8), grid(WAVELENGTH / 2)
    widths = (0.5 * MM, 0.15 * MM)
    for where, wanted in ((fine, False), (coarse, True)):
        center = (len(where.z) // 2, len(where.x) // 2)
        z, x = Surface.around(image(where, gaussian(where, widths)), center).edge_energy
        assert (z > 5e-4) is wanted
        assert x < 5e-4


def test_uneven_axes_and_db_are_refused() -> None:
    even = grid()
    with pytest.raises(ConfigError, match=r"grid\.z: .* equally spaced"):
        Surface.around(image(uneven := ub.Grid(even.x, even.z**1.01), np.ones(uneven.shape)), CENTER)
    nearly = ub.Grid(even.x + 1e-9 * RANDOM.uniform(size=len(even.x)), even.z)
    Surface.around(image(nearly, np.ones(nearly.shape)), CENTER)
    with pytest.raises(ConfigError, match="no linear envelope"):
        Surface.around(image(even, np.ones(even.shape)).db(40), CENTER)
