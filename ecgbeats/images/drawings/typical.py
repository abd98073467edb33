"""The drawing "typical": the beat over the median of the record's beats, and its rhythm in units of the record's median."""

from collections.abc import Callable

from ecgbeats.images.bands import BEAT_STRIP, TICK_STRIP, amplitudes, draw_ticks, strip_line, strip_reach
from ecgbeats.images.canvas import IMAGE_SIZE, WHITE
from ecgbeats.records.record import Record

import numpy as np

TYPICAL_GRAY = 160  # gray level of the record's typical beat, behind the beat
BAR_TOP = TICK_STRIP.bottom  # the row from which on, below the ticks, the bars of RR intervals stand
BARS = 32
BAR_GRAY = 96
TYPICAL_BAR = 24  # pixels, the height of the record's median RR interval


def drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat of ``record`` beside what is typical of it, given its index among the beats.

    The image has three bands, which are to look alike for all patients as long as nothing is wrong. At the top the
    beat at a fixed scale of time, over the median of all beats of the record in gray: is its form unlike the others?
    Below it a tick at each annotated beat, at a scale of time in which the record's median RR interval is always as
    long: does it come too early? At the bottom a bar for the RR interval that ends at each beat, its own in black, for
    19 beats before it and 12 after it, with the median always as high: is the rhythm regular?
    """
    depth = 1 - amplitudes(record.signal, record.rate)
    beat_line = strip_line(BEAT_STRIP, depth, record.rate)
    typical = _draw_median_beat(record, depth)
    typical_rr = typical_interval(record)
    bars = _draw_bars(np.diff(record.samples) / typical_rr)
    bar_width = IMAGE_SIZE // BARS

    def draw_typical(beat: int) -> np.ndarray:
        image = np.full((IMAGE_SIZE, IMAGE_SIZE), WHITE, np.uint8)
        sample = int(record.samples[beat])
        beat_line(image, sample)
        draw_ticks(image, record.samples, sample, typical_rr)
        start = beat % len(record.samples) * bar_width
        image[BAR_TOP:] = bars[:, start : start + IMAGE_SIZE]
        own = image[BAR_TOP:, TICK_STRIP.column : TICK_STRIP.column + bar_width]
        own[own == BAR_GRAY] = 0
        return np.minimum(image, typical, out=image)

    return draw_typical


def typical_interval(record: Record) -> float:
    """Return the median RR interval of a record in samples; of one with one beat nothing is known, and any will do."""
    rr_intervals = np.diff(record.samples)
    return float(np.median(rr_intervals[rr_intervals > 0])) if rr_intervals.any() else record.rate


def _draw_median_beat(record: Record, depth: np.ndarray) -> np.ndarray:
    """Return an image with the median of the record's beats in gray; ``depth`` is as for strip_line."""
    image = np.full((IMAGE_SIZE, IMAGE_SIZE), WHITE, np.uint8)
    median = median_beat(record, depth)
    if median is not None:
        before, _ = strip_reach(BEAT_STRIP, record.rate)
        strip_line(BEAT_STRIP, median, record.rate)(image, before, TYPICAL_GRAY)
    return image


def median_beat(record: Record, depth: np.ndarray) -> np.ndarray | None:
    """Return the median of a record's beats, as long as BEAT_STRIP shows one; ``depth`` is as for strip_line.

    None of a record of one beat or two, cut at its ends.
    """
    before, after = strip_reach(BEAT_STRIP, record.rate)
    whole = (record.samples >= before) & (record.samples + after < len(depth))
    if not whole.any():
        return None
    places = np.arange(-before, after + 1)
    # A few places of all beats at a time: a day has 100,000 beats.
    columns = [places[start : start + 32] for start in range(0, len(places), 32)]
    return np.concatenate([np.median(depth[record.samples[whole, None] + some], axis=0) for some in columns])


def _draw_bars(rr_intervals: np.ndarray) -> np.ndarray:
    """Draw the RR intervals of a whole record as bars, one beside the other, ready to be cut for each beat.

    ``rr_intervals`` is float, shape (beats - 1,), 1 for the typical one. Returns uint8, (rows below BAR_TOP, columns);
    columns that start at a beat's index times the width of a bar are that beat's.
    """
    width, height = IMAGE_SIZE // BARS, IMAGE_SIZE - BAR_TOP
    heights = np.clip(np.rint(rr_intervals * TYPICAL_BAR), 1, height - 1)
    filled = np.arange(height, 0, -1)[:, None] <= heights
    bars = np.where(filled, BAR_GRAY, WHITE).astype(np.uint8).repeat(width, axis=1)
    bars[:, width - 1 :: width] = WHITE  # between two bars
    # The first beat ends no interval; before it, and after the last, there are none.
    left = TICK_STRIP.column + width
    return np.pad(bars, ((0, 0), (left, IMAGE_SIZE)), constant_values=WHITE)
