"""Edge filters: those made by hand, and how near a kernel is to the best fitted of Gabor's."""

import dataclasses
import functools
import itertools
import math
from typing import Any

import numpy as np

from cnnjax.errors import BadArgument, bounded, missing_extra, number

__all__ = ["GaborFit", "fit_gabor", "gabor", "laplacian", "prewitt", "sobel"]

# Standard deviations of an envelope below half a pixel, and waves shorter than two, are pixels.
_NARROWEST, _SHORTEST = 0.5, 2.0


def sobel(size: int, angle: float = 0.0) -> np.ndarray:
    """Return Sobel's kernel: binomial smoothing across, its derivative along a direction.

    Args:
        size: odd, from 3 to 31 pixels; 3 is Sobel and Feldman's (1968), larger ones its usual
            extension.
        angle: of the gradient in radians, 0 along the columns, pi / 2 down the rows. Between them
            the two kernels are mixed by cosine and sine, which is exact for a plane.

    Returns:
        `[size, size]` float64, not normalized.

    Raises:
        BadArgument: for another size.

    >>> sobel(3).astype(int).tolist()
    [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    """
    _check_size(size)
    smooth = np.array([math.comb(size - 1, k) for k in range(size)], float)
    slope = np.convolve([math.comb(size - 3, k) for k in range(size - 2)], [-1.0, 0.0, 1.0])
    return _turned(np.outer(smooth, slope), angle)


def prewitt(size: int, angle: float = 0.0) -> np.ndarray:
    """Return Prewitt's kernel (1970): the slope of the plane that fits the window best.

    Args:
        size: odd, from 3 to 31 pixels.
        angle: as of `sobel`.

    Returns:
        `[size, size]` float64, not normalized.

    Raises:
        BadArgument: for another size.

    >>> prewitt(3).astype(int).tolist()
    [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]
    """
    _check_size(size)
    return _turned(np.outer(np.ones(size), np.arange(size) - size // 2), angle)


def laplacian(size: int, sigma: float) -> np.ndarray:
    """Return the Laplacian of a Gaussian, sampled, less its mean (Marr and Hildreth 1980).

    Args:
        size: odd, from 3 to 31 pixels.
        sigma: standard deviation of the Gaussian in pixels, above 0.

    Returns:
        `[size, size]` float64, negative in the middle, with a sum of 0; not normalized.

    Raises:
        BadArgument: for another size or sigma.
    """
    _check_size(size)
    number("sigma", sigma, above_zero=True)
    x, y = _grid((size, size))
    square = (x**2 + y**2) / sigma**2
    kernel = (square - 2) * np.exp(-square / 2)
    return kernel - kernel.mean()


def gabor(
    size: int,
    angle: float = 0.0,
    *,
    wavelength: float,
    phase: float = 0.0,
    sigma: float | tuple[float, float],
    center: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Return Gabor's filter: a wave `cos(2 pi u / wavelength + phase)` under a Gaussian.

    Args:
        size: odd, from 3 to 31 pixels.
        angle: of the direction u in which the wave runs, as of `sobel`.
        wavelength: in pixels, above 0.
        phase: at the center in radians: 0 is even, a line; -pi / 2 is odd, an edge.
        sigma: standard deviation of the Gaussian in pixels, above 0; or along the wave and across.
        center: column and row of the Gaussian's in pixels, from the middle of the kernel.

    Returns:
        `[size, size]` float64, not normalized, and with the sum that it has.

    Raises:
        BadArgument: for another size, wavelength or sigma.

    Source: Daugman, "Uncertainty relation for resolution in space, spatial frequency, and
    orientation" (1985).
    """
    _check_size(size)
    number("wavelength", wavelength, above_zero=True)
    along, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    for each in (along, across):
        number("sigma", each, above_zero=True)
    even, odd = _waves((size, size), (*center, angle, 1 / wavelength, along, across))
    return math.cos(phase) * even - math.sin(phase) * odd


@dataclasses.dataclass(frozen=True)
class GaborFit:
    """The Gabor filter that is nearest to a kernel, and how near it is.

    Attributes:
        similarity: the cosine between kernel and filter, in 0..1.
        explained: the share of the kernel's sum of squares that the filter explains: the square
            of `similarity`.
        angle: in which the wave runs, in radians in [0, pi): 0 along the columns.
        wavelength: in pixels.
        phase: at the center, in radians; as of `gabor`.
        sigma: standard deviations along the wave and across, in pixels.
        center: column and row in pixels, from the middle.
        filter: `[kh, kw]` float64, the filter at the scale that fits.
    """

    similarity: float
    explained: float
    angle: float
    wavelength: float
    phase: float
    sigma: tuple[float, float]
    center: tuple[float, float]
    filter: np.ndarray


def fit_gabor(kernel: np.ndarray, starts: int = 4) -> GaborFit:
    """Fit Gabor's filter to a kernel by least squares.

    Amplitude and phase are solved for exactly at each of the six other parameters, which scipy's
    `least_squares` improves from the best of a grid of some thousand. Their ranges: the center
    inside the kernel, a wavelength from 2 pixels to twice the longer side, standard deviations
    from half a pixel to the longer side. Eight numbers explain a part of any kernel, of noise too:
    compare with random kernels of the same size.

    Args:
        kernel: `[kh, kw]`, each from 3 pixels; finite and not all 0.
        starts: how many of the grid's best are improved, in 1..100.

    Raises:
        BadArgument: for another kernel.
        Failed: if scipy is not installed.
    """
    target = np.asarray(kernel, np.float64)
    if target.ndim != 2 or min(target.shape) < 3:
        raise BadArgument(f"kernel: received shape {target.shape}, allowed: [kh, kw] from 3")
    if not np.isfinite(target).all() or not target.any():
        raise BadArgument("kernel: allowed: finite numbers, not all 0")
    bounded("starts", starts, 1, 100)
    shape = (target.shape[0], target.shape[1])
    norm = np.linalg.norm(target)
    unit = target.ravel() / norm
    parameters, planes = _starts(shape)
    near = np.argsort(-((planes @ unit) ** 2).sum(axis=1), kind="stable")[:starts]
    bounds = _bounds(shape)

    def residual(six: np.ndarray) -> np.ndarray:
        plane = _plane(_waves(shape, tuple(six)))
        return unit - (plane @ unit) @ plane

    least_squares = _optimize().least_squares
    how = {"bounds": bounds, "ftol": 1e-6, "xtol": 1e-6, "max_nfev": 50}
    tried = [least_squares(residual, parameters[each], **how) for each in near]
    best = min(tried, key=lambda found: found.cost).x
    return _fit(target, best)


def _fit(target: np.ndarray, six: np.ndarray) -> GaborFit:
    """Return the fit with these six parameters, turned so that the wave runs in [0, pi)."""
    waves = _waves((target.shape[0], target.shape[1]), tuple(six))
    basis = np.stack([wave.ravel() for wave in waves], axis=1)
    (even, odd), *_ = np.linalg.lstsq(basis, target.ravel())
    nearest = (basis @ [even, odd]).reshape(target.shape)
    share = float(np.clip((nearest**2).sum() / (target**2).sum(), 0, 1))
    x, y, angle, frequency, along, across = map(float, six)
    half_turns = math.floor(angle / math.pi)
    phase = math.atan2(-odd, even)
    return GaborFit(
        similarity=math.sqrt(share),
        explained=share,
        angle=angle - half_turns * math.pi,
        wavelength=1 / frequency,
        phase=-phase if half_turns % 2 else phase,  # half a turn runs the wave backwards
        sigma=(along, across),
        center=(x, y),
        filter=nearest,
    )


def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows of a kernel's pixels, each `[kh, kw]`, from its middle."""
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in shape)
    x, y = np.meshgrid(columns, rows)
    return x, y


def _waves(shape: tuple[int, int], six: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the even and the odd wave under a Gaussian.

    The six: column, row, angle, frequency, and standard deviations along the wave and across.
    """
    column, row, angle, frequency, along, across = six
    x, y = _grid(shape)
    u = (x - column) * math.cos(angle) + (y - row) * math.sin(angle)
    v = (y - row) * math.cos(angle) - (x - column) * math.sin(angle)
    envelope = np.exp(-((u / along) ** 2 + (v / across) ** 2) / 2)
    turn = 2 * math.pi * frequency * u
    return envelope * np.cos(turn), envelope * np.sin(turn)


def _plane(waves: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return two orthogonal unit vectors `[2, kh kw]` that span the waves; zeros where one is."""
    even, odd = (wave.ravel() for wave in waves)
    first = even / max(float(np.linalg.norm(even)), 1e-150)
    rest = odd - (odd @ first) * first
    length = float(np.linalg.norm(rest))
    # What rounding leaves of a wave that the other one already is, is no direction.
    second = rest / length if length > 1e-9 * np.linalg.norm(odd) else np.zeros_like(rest)
    return np.stack([first, second])


def _bounds(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    longest = max(shape)
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    low = [-x, -y, -math.inf, 1 / (2 * longest), _NARROWEST, _NARROWEST]
    return np.array(low), np.array([x, y, math.inf, 1 / _SHORTEST, longest, longest])


@functools.cache
def _starts(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid of parameters `[N, 6]`, and the planes `[N, 2, kh kw]` that they span."""
    longest = max(shape)
    columns, rows = ((-side / 4, 0.0, side / 4) for side in (shape[1], shape[0]))
    angles = np.arange(8) * math.pi / 8
    frequencies = [1 / (1.5 * longest), 1 / longest, 1.5 / longest, 2.2 / longest, 0.45]
    widths = [longest / 7, longest / 4, longest / 2]
    each = itertools.product(columns, rows, angles, frequencies, widths, widths)
    parameters = np.clip(np.array(list(each)), *_bounds(shape))
    return parameters, np.stack([_plane(_waves(shape, tuple(six))) for six in parameters])


def _turned(along_columns: np.ndarray, angle: float) -> np.ndarray:
    return math.cos(angle) * along_columns + math.sin(angle) * along_columns.T


def _check_size(size: int) -> None:
    bounded("size", size, 3, 31)
    if size % 2 == 0:
        raise BadArgument(f"size: received {size}, allowed: odd numbers from 3 to 31")


def _optimize() -> Any:
    try:
        from scipy import optimize
    except ImportError:
        raise missing_extra("scipy", "report") from None
    return optimize
