"""The paper's drawing: the signal between the beat's neighbours, stretched to the image."""

import functools
from collections.abc import Callable

from ecgbeats.images.canvas import BORDER, FRACTION_BITS, IMAGE_SIZE, WHITE, draw_lines
from ecgbeats.records.record import Record

import numpy as np

MARGIN_SECONDS = 20 / 360  # left out beside a neighbour's annotation: 20 samples at 360 Hz


def drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat's window with :func:`draw`, given its index among the beats."""
    bounds = windows(record.samples, record.rate, len(record.signal))
    return lambda beat: draw(record.signal[slice(*bounds[beat])])


def windows(samples: np.ndarray, rate: float, length: int) -> np.ndarray:
    """Return where each beat's window starts and ends.

    A window runs from the previous beat's annotation plus the margin to the next beat's minus the margin;
    the first starts at sample 0, the last ends with the record. Between beats so close that the margin
    would pass the beat itself the margin shrinks, so that a window always holds its own beat.

    Parameters
    ----------
    samples : numpy.ndarray of int, shape (beats,)
        The annotations of all beats of a record, rising (equal ones share their neighbours).
    rate : float
        Samples per second.
    length : int
        The record's number of samples.

    Returns
    -------
    numpy.ndarray, int64, shape (beats, 2)
        First sample, and the one behind the last.

    Source: the paper's section 2.1, with the margin of its public implementations.
    """
    samples = np.asarray(samples, dtype=np.int64)
    places, index = np.unique(samples, return_inverse=True)
    distances = np.diff(places)
    margin = np.minimum(max(1, round(MARGIN_SECONDS * rate)), distances - 1)
    starts = np.concatenate([[0], places[:-1] + margin])
    ends = np.concatenate([places[1:] - margin, [length]])
    return np.stack([starts, ends], axis=1)[index] if len(samples) else np.empty((0, 2), np.int64)


def draw(signal: np.ndarray) -> np.ndarray:
    """Draw one window of a signal as the paper does: a dark line on white, stretched to the image.

    The window's first and last sample lie on the left and right edge, its lowest and highest value near
    the lower and upper edge; a flat signal is a level line in the middle.

    Parameters
    ----------
    signal : numpy.ndarray of float, shape (samples,)
        At least one sample, all finite, in any unit.

    Returns
    -------
    numpy.ndarray, uint8, shape (128, 128)
        255 is background.
    """
    scale = 1 << FRACTION_BITS
    low, high = float(signal.min()), float(signal.max())
    points = np.empty((max(len(signal), 2), 1, 2), np.int32)
    points[:, 0, 0] = _columns(len(points))
    if high > low:
        # In float64 and divided first, so that the faintest signal does not overflow.
        depth = (high - signal.astype(np.float64)) / (high - low)
        points[:, 0, 1] = np.rint(depth * ((IMAGE_SIZE - 1 - 2 * BORDER) * scale) + BORDER * scale)
    else:
        points[:, 0, 1] = (IMAGE_SIZE - 1) * scale // 2
    image = np.full((IMAGE_SIZE, IMAGE_SIZE), WHITE, np.uint8)
    draw_lines(image, [points])
    return image


@functools.lru_cache(1024)
def _columns(points: int) -> np.ndarray:
    """Return where points stand that are spread evenly over the width: int32, shape (points,), for draw_lines."""
    return np.linspace(0, (IMAGE_SIZE - 1) << FRACTION_BITS, points).astype(np.int32)
