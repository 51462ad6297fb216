"""Hand-made kernels against scipy's and published numbers; Gabor fits against known filters."""

import builtins
import math

import numpy as np
import pytest

from cnnjax.analysis.edges import fit_gabor, gabor, laplacian, prewitt, sobel
from cnnjax.errors import BadArgument, Failed

ndimage = pytest.importorskip("scipy.ndimage")


def impulse(size):
    image = np.zeros((size, size))
    image[size // 2, size // 2] = 1
    return image


@pytest.mark.parametrize(("ours", "theirs"), [(sobel, "sobel"), (prewitt, "prewitt")])
def test_three_pixels_are_scipys(ours, theirs):
    image = np.random.default_rng(0).normal(size=(9, 8))
    for angle, axis in ((0.0, 1), (math.pi / 2, 0)):
        expected = getattr(ndimage, theirs)(image, axis=axis, mode="constant")
        found = ndimage.correlate(image, ours(3, angle), mode="constant")
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_larger_sobel_kernels_are_the_published_ones():
    # As OpenCV's getDerivKernels(1, 0, 5) and (1, 0, 7) are documented to be.
    for smooth, slope in (
        ([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1]),
        ([1, 6, 15, 20, 15, 6, 1], [-1, -4, -5, 0, 5, 4, 1]),
    ):
        np.testing.assert_array_equal(sobel(len(smooth)), np.outer(smooth, slope))


@pytest.mark.parametrize("size", [3, 5, 7])
def test_the_slope_of_a_plane_is_seen_in_its_direction(size):
    rows, columns = np.mgrid[:size, :size] - size // 2
    plane = 3.0 * columns - 2.0 * rows + 5.0
    pseudo = np.linalg.pinv(np.stack([columns.ravel(), rows.ravel(), np.ones(size**2)], axis=1))
    slope = pseudo[0].reshape(size, size)
    np.testing.assert_allclose(prewitt(size) / (prewitt(size) * columns).sum(), slope, atol=1e-12)
    for make in (sobel, prewitt):
        unit = (make(size) * columns).sum()
        for angle in (0.3, 2.0):
            expected = 3 * math.cos(angle) - 2 * math.sin(angle)
            assert (make(size, angle) * plane).sum() / unit == pytest.approx(expected)


def test_the_laplacian_is_that_of_a_gaussian():
    expected = ndimage.gaussian_laplace(impulse(31), 2.0, truncate=8)
    found = laplacian(31, 2.0)
    cosine = (found * expected).sum() / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.9999
    assert abs(laplacian(7, 1.1).sum()) < 1e-12
    assert laplacian(7, 1.1)[3, 3] == laplacian(7, 1.1).min() < 0


def formula(size, angle, wavelength, phase, along, across, column, row):
    """Gabor's filter pixel by pixel."""
    kernel = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            x, y = j - (size - 1) / 2 - column, i - (size - 1) / 2 - row
            u = x * math.cos(angle) + y * math.sin(angle)
            v = -x * math.sin(angle) + y * math.cos(angle)
            envelope = math.exp(-0.5 * (u**2 / along**2 + v**2 / across**2))
            kernel[i, j] = envelope * math.cos(2 * math.pi * u / wavelength + phase)
    return kernel


KNOWN = (
    (7, 0.4, 4.0, 0.3, 1.5, 2.0, 0.5, -0.4),
    (7, 2.5, 5.0, -1.2, 1.2, 1.4, -1.0, 0.8),
    (9, 1.2, 6.0, 2.8, 2.0, 1.5, 0.0, 1.0),
)


@pytest.mark.parametrize("known", KNOWN)
def test_a_gabor_filter_is_found_again(known):
    size, angle, wavelength, phase, along, across, column, row = known
    kernel = formula(*known)
    made = gabor(
        size, angle, wavelength=wavelength, phase=phase, sigma=(along, across), center=(column, row)
    )
    np.testing.assert_allclose(made, kernel, atol=1e-12)
    found = fit_gabor(-0.01 * kernel)  # whatever its scale, and its sign is a phase
    assert found.similarity == pytest.approx(1, abs=1e-6)
    assert found.explained == pytest.approx(found.similarity**2)
    assert found.angle == pytest.approx(angle, abs=1e-2)
    assert found.wavelength == pytest.approx(wavelength, rel=2e-2)
    assert found.sigma == pytest.approx((along, across), rel=2e-2)
    assert found.center == pytest.approx((column, row), abs=5e-2)
    assert math.cos(found.phase - phase - math.pi) > 0.99
    np.testing.assert_allclose(found.filter, -0.01 * kernel, atol=2e-5)
    again = formula(size, found.angle, found.wavelength, found.phase, *found.sigma, *found.center)
    cosine = (again * found.filter).sum() / np.linalg.norm(again) / np.linalg.norm(found.filter)
    assert cosine == pytest.approx(1, abs=1e-9)  # the numbers describe the filter, sign and all


def test_no_filter_drawn_at_random_is_nearer_to_noise():
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(7, 7))
    found = fit_gabor(kernel)
    residual = ((kernel - found.filter) ** 2).sum() / (kernel**2).sum()
    assert found.explained == pytest.approx(1 - residual)
    assert 0.1 < found.explained < 0.6
    for _ in range(2000):
        shape = (rng.uniform(0, 3.14), rng.uniform(2, 14), rng.uniform(-3.14, 3.14))
        other = formula(7, *shape, *rng.uniform(0.5, 4, 2), *rng.uniform(-3, 3, 2))
        share = (kernel * other).sum() ** 2 / (kernel**2).sum() / (other**2).sum()
        assert share <= found.explained


def test_a_turned_kernel_turns_its_fit():
    kernel = np.random.default_rng(2).normal(size=(5, 7))
    first, turned = fit_gabor(kernel), fit_gabor(np.rot90(kernel))
    assert turned.explained == pytest.approx(first.explained, abs=0.02)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sobel(4), "size: received 4, allowed: odd"),
        (lambda: prewitt(1), "size"),
        (lambda: laplacian(7, 0), "sigma"),
        (lambda: gabor(7, wavelength=0, sigma=1.0), "wavelength"),
        (lambda: gabor(7, wavelength=3, sigma=(1.0, -1.0)), "sigma"),
        (lambda: fit_gabor(np.zeros((7, 7))), "not all 0"),
        (lambda: fit_gabor(np.full((7, 7), np.nan)), "finite"),
        (lambda: fit_gabor(np.ones((7, 7, 1))), "shape"),
        (lambda: fit_gabor(np.eye(7), starts=0), "starts"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(BadArgument, match=words):
        call()


def test_without_scipy_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Failed, match=r"cnnjax\[report\]"):
        fit_gabor(np.eye(7))
