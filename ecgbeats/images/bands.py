"""Bands of an image with a fixed scale of time and of amplitude, as on a printed page."""

from collections.abc import Callable
from dataclasses import dataclass

from ecgbeats.images.canvas import BORDER, FRACTION_BITS, IMAGE_SIZE, draw_lines

import cv2
import numpy as np


@dataclass(frozen=True)
class Strip:
    """A band of the image with a time axis of its own.

    Attributes
    ----------
    top, bottom : int
        Its rows, ``bottom`` not among them.
    column : int
        Where the beat's annotation stands.
    seconds : float
        What one column lasts.
    tolerance : float
        How many pixels the line may leave the signal. Where many samples share a column, those that a straight
        line leaves out would be drawn one over the other, and make a level line three pixels thick.
    """

    top: int
    bottom: int
    column: int
    seconds: float
    tolerance: float = 0.0


BEAT_STRIP = Strip(0, 68, 58, 1 / 160, 0.2)  # from 0.36 s before the annotation to 0.43 s after it
RHYTHM_STRIP = Strip(76, 128, 76, 1 / 25, 0.5)  # from 3 s before to 2 s after
TICK_STRIP = Strip(68, 76, RHYTHM_STRIP.column, RHYTHM_STRIP.seconds)  # between them: a mark at each beat
# What is slower than this is no heart beat but the electrodes: long beside the widest beats, so that those stay.
BASELINE_SECONDS = 1.0
# The amplitudes that a strip shows: those between the percentiles, and more on each side by this share, since
# few ectopic beats may be the highest.
AMPLITUDE_PERCENTILES = (0.1, 99.9)
AMPLITUDE_MARGIN = 0.2
PIECE = 1 << 20  # samples


def less_baseline(signal: np.ndarray, rate: float) -> np.ndarray:
    """Return a record's signal less its baseline, the median of the second around: float64, in the signal's unit.

    ``signal`` and ``rate`` are as for :func:`amplitudes`.
    """
    level = signal.astype(np.float64)
    # Fifty values for a median, one median each tenth of a second: that many describe something so slow.
    hop, step = max(1, round(BASELINE_SECONDS / 50 * rate)), 5
    coarse = level[::hop]
    reach = round(BASELINE_SECONDS * rate / hop / 2)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(coarse, reach, "edge"), 2 * reach + 1)
    medians = np.median(around[::step], axis=1)
    places = np.arange(len(medians)) * hop * step
    for start in range(0, len(level), PIECE):  # a day in one piece would take several times its memory
        piece = level[start : start + PIECE]
        piece -= np.interp(np.arange(start, start + len(piece)), places, medians)
    return level


def amplitudes(signal: np.ndarray, rate: float) -> np.ndarray:
    """Return a record's signal less its baseline, on the record's own scale.

    The baseline is that of :func:`less_baseline`. 0 and 1 are the percentiles AMPLITUDE_PERCENTILES of the
    whole record, widened by AMPLITUDE_MARGIN; what lies beyond is clipped. A flat signal is 0.5.

    Parameters
    ----------
    signal : numpy.ndarray of float, shape (samples,)
        At least one sample, all finite, in any unit.
    rate : float
        Samples per second.

    Returns
    -------
    numpy.ndarray, float64, shape (samples,)
    """
    level = less_baseline(signal, rate)
    return to_scale(level, amplitude_limits(level))


def amplitude_limits(level: np.ndarray) -> tuple[float, float]:
    """Return the percentiles AMPLITUDE_PERCENTILES of a record's signal less its baseline."""
    low, high = np.percentile(level, AMPLITUDE_PERCENTILES)
    return float(low), float(high)


def to_scale(level: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return a signal less its baseline on the scale of :func:`amplitudes`, in the same array."""
    low, high = limits
    if not high > low:
        level[:] = 0.5
        return level
    margin = AMPLITUDE_MARGIN * (high - low)
    level -= low
    level += margin
    level /= high - low + 2 * margin
    return np.clip(level, 0, 1, out=level)


def strip_reach(strip: Strip, rate: float) -> tuple[int, int]:
    """Return how many samples before and after the annotation a strip shows."""
    # One sample more on each side, so that the line runs up to the edges.
    before = int((strip.column + 1) * strip.seconds * rate) + 1
    after = int((IMAGE_SIZE - strip.column) * strip.seconds * rate) + 1
    return before, after


def strip_line(strip: Strip, depth: np.ndarray, rate: float) -> Callable[..., None]:
    """Return the function that draws a record's signal around a sample into a strip of an image.

    ``depth`` is the whole record's, from 0 at the strip's upper edge to 1 at its lower one. The function takes the
    image, the sample and, if it is not to be 0, the line's gray level.
    """
    scale = 1 << FRACTION_BITS
    height = strip.bottom - strip.top
    rows = np.rint((depth * (height - 1 - 2 * BORDER) + BORDER) * scale).astype(np.int32)
    before, after = strip_reach(strip, rate)
    columns = strip.column + np.arange(-before, after + 1) / (strip.seconds * rate)
    columns = np.rint(columns * scale).astype(np.int32)

    def draw_line(image: np.ndarray, sample: int, gray: int = 0) -> None:
        start, end = max(0, sample - before), min(len(rows), sample + after + 1)
        points = np.empty((end - start, 1, 2), np.int32)
        points[:, 0, 0] = columns[start - sample + before : end - sample + before]
        points[:, 0, 1] = rows[start:end]
        points = cv2.approxPolyDP(points, strip.tolerance * scale, False)
        draw_lines(image[strip.top : strip.bottom], [points], gray)

    return draw_line


def draw_ticks(image: np.ndarray, samples: np.ndarray, sample: int, rate: float) -> None:
    """Draw a vertical tick at each beat around ``sample``, with a white row above and below."""
    strip, scale = TICK_STRIP, 1 << FRACTION_BITS
    reach = IMAGE_SIZE * strip.seconds * rate  # more than the strip shows on either side; cv2 cuts it off
    first, end = np.searchsorted(samples, [sample - reach, sample + reach])
    columns = strip.column + (samples[first:end] - sample) / (strip.seconds * rate)
    ticks = np.empty((end - first, 2, 1, 2), np.int32)
    ticks[:, :, 0, 0] = np.rint(columns * scale)[:, None]
    ticks[:, :, 0, 1] = [(strip.top + 1) * scale, (strip.bottom - 2) * scale]
    draw_lines(image, list(ticks))
