"""The drawing "usual": the beat over the usual beat of its surroundings, its RR intervals, and the beats around it."""

from collections.abc import Callable
from dataclasses import dataclass

from ecgbeats.images.bands import Strip, strip_line, strip_reach, without_baseline
from ecgbeats.images.canvas import IMAGE_SIZE, WHITE
from ecgbeats.records.record import Record

import cv2
import numpy as np

# What is faster than half of the power at 33 Hz is smoothed away, so that recorders of 128 and of 360 Hz look alike.
SMOOTHING = 0.004  # seconds, the standard deviation of a Gaussian

BEAT_BAND = Strip(0, 52, 58, 1 / 160, 0.2)  # from 0.36 s before the beat to 0.43 s after it
LOWEST, HIGHEST = -0.9, 1.2  # what the band shows, 1 being the swing of the record's late beats
USUAL_GRAY = 150

BAR_ROWS = slice(52, 80)
BAR_WIDTH = 4  # pixels, a white one among them
BARS_BEFORE = 19
USUAL_BAR = 16  # pixels, the height of the record's usual RR interval
BAR_GRAY = 96
MARK_GRAY = 200  # the line at the usual RR interval of the beat's surroundings

AROUND_ROWS = slice(80, IMAGE_SIZE)
ROWS_A_BEAT = 2
BEATS_BEFORE, BEATS_AFTER = 14, 9
AROUND_COLUMN = 70  # of the beats
AROUND_SECONDS = 1 / 60  # of a column
FAINT = 8.0  # how much more faint waves darken a pixel than high ones

# A reference has to hold where half of the beats are early: it is made of those that come late.
REACH = 64  # beats on each side that are its surroundings
BLOCK = 8  # neighbouring beats share a reference
LATE_SHARE = 0.3
LONGEST_SHARE = 0.02  # left out, for they are pauses
USUAL_PERCENTILE = 75  # of RR intervals
ALIGN_SECONDS = 0.06  # annotators differ by less in where they mark a beat
ALIGN_REACH = 0.12  # seconds on each side by which beats are aligned


@dataclass(frozen=True)
class Surroundings:
    """What is usual around some beats: their indices, and the RR interval as a share of the record's usual one."""

    beats: np.ndarray
    rr_interval: float


@dataclass(frozen=True)
class Beats:
    """A record's beats made alike.

    Attributes
    ----------
    signal : numpy.ndarray, float64, shape (samples,)
        Less its baseline, smoothed, upright, 1 being the swing of the record's late beats.
    samples : numpy.ndarray, int64, shape (beats,)
        Where the middle of each beat is.
    rr_intervals : numpy.ndarray, float64, shape (beats,)
        The interval that ends at each beat, 1 being the record's usual one; for the first beat it is 1.
    surroundings : list of Surroundings
        Of each BLOCK of beats.
    scale : float
        What the signal was multiplied with, negative where it was turned.
    usual_interval : float
        The record's usual RR interval in samples.
    """

    signal: np.ndarray
    samples: np.ndarray
    rr_intervals: np.ndarray
    surroundings: list[Surroundings]
    scale: float
    usual_interval: float


def drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat of ``record`` beside what is usual around it, given its index.

    The image has three bands, which look alike whoever recorded the patient. At the top the beat at a fixed scale of
    time over the usual beat in gray, the median of those of the 128 beats around that come latest after the beat
    before: is its form, and its P wave, unlike theirs? In the middle a bar for the RR interval that ends at each beat,
    its own in black, in units of the record's usual RR interval, with a line at that of the surroundings: does it come
    early, and is the rhythm regular? At the bottom 24 beats one below the other, its own between white lines, dark
    where the signal is high: the neighbours' QRS complexes and P waves run down in bands, straight ones while the
    rhythm is regular, and none in fibrillation.
    """
    beats = prepare(record)
    draw_beat = _beat_band(beats, record.rate)
    draw_bars = _bar_band(beats)
    draw_around = _around_band(beats, record.rate)
    number = len(beats.samples)

    def draw_usual(beat: int) -> np.ndarray:
        beat %= number
        image = np.full((IMAGE_SIZE, IMAGE_SIZE), WHITE, np.uint8)
        draw_beat(image, beat)
        image[BAR_ROWS] = draw_bars(beat)
        image[AROUND_ROWS] = draw_around(beat)
        return image

    return draw_usual


def prepare(record: Record) -> Beats:
    """Return the beats of ``record`` made alike, whatever its recorder, its rate and its annotator."""
    usual_interval = _usual_interval(record)
    rr_intervals = np.concatenate([[1.0], np.diff(record.samples) / usual_interval])
    late = _latest(rr_intervals)
    signal = cv2.GaussianBlur(
        without_baseline(record.signal, record.rate)[None], (0, 0), SMOOTHING * record.rate
    )[0]
    samples = _aligned(signal, record.samples, late, record.rate)
    blocks = [_surroundings(rr_intervals, start) for start in range(0, len(samples), BLOCK)]
    scale = _scale(signal, samples[late], record.rate)
    return Beats(signal * scale, samples, rr_intervals, blocks, scale, usual_interval)


def _usual_interval(record: Record) -> float:
    """Return a record's usual RR interval in samples; of one with one beat nothing is known, and any will do."""
    intervals = np.diff(record.samples)
    return (
        float(np.percentile(intervals[intervals > 0], USUAL_PERCENTILE)) if intervals.any() else record.rate
    )


def _surroundings(rr_intervals: np.ndarray, start: int) -> Surroundings:
    """Return what is usual around the block of beats that begins at ``start``."""
    middle = min(start + BLOCK // 2, len(rr_intervals) - 1)
    first = max(0, middle - REACH)
    around = rr_intervals[first : middle + REACH + 1]
    return Surroundings(first + _latest(around), float(np.percentile(around, USUAL_PERCENTILE)))


def _latest(rr_intervals: np.ndarray) -> np.ndarray:
    """Return the indices of the beats that come latest after the beat before, but for pauses."""
    order = np.argsort(-rr_intervals, kind="stable")
    return order[int(LONGEST_SHARE * len(order)) :][: max(3, round(LATE_SHARE * len(order)))]


def cut_out(signal: np.ndarray, samples: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return the signal from ``before`` samples before to ``after`` after each beat; its ends go on outside."""
    return np.pad(signal, (before, after), "edge")[samples[:, None] + np.arange(before + after + 1)]


def _aligned(signal: np.ndarray, samples: np.ndarray, late: np.ndarray, rate: float) -> np.ndarray:
    """Return the sample near each annotation at which the beat lies best over the median of the ``late`` ones.

    That has the middle of its slopes at the sample: some annotators mark the peak, others where the QRS complex begins.
    """
    reach, move = max(1, round(ALIGN_REACH * rate)), round(ALIGN_SECONDS * rate)
    for _ in range(2):
        if not move:
            break
        median = np.median(cut_out(signal, samples[late], reach, reach), axis=0)
        wide = cut_out(signal, samples, reach + move, reach + move)
        # Less its mean, so that a level of the signal counts for nothing.
        fit = np.stack(
            [wide[:, k : k + len(median)] @ (median - median.mean()) for k in range(2 * move + 1)], axis=1
        )
        # Where a beat fits equally well, it stays.
        fit -= 0.02 * np.abs(fit).max(axis=1, keepdims=True) * np.abs(np.arange(-move, move + 1)) / move
        samples = np.clip(samples + fit.argmax(axis=1) - move, 0, len(signal) - 1)
        move //= 2
    median = np.median(cut_out(signal, samples[late], reach, reach), axis=0)
    energy = np.gradient(median) ** 2
    if energy.sum() > 0:
        samples = samples + round(float(np.average(np.arange(-reach, reach + 1), weights=energy)))
    return np.clip(samples, 0, len(signal) - 1)


def _scale(signal: np.ndarray, samples: np.ndarray, rate: float) -> float:
    """Return what makes these beats' median swing 1, negative where their QRS complex points down; 0 of a flat one."""
    reach = max(1, round(0.1 * rate))
    beats = cut_out(signal, samples, reach, reach)
    swing = float(np.median(np.ptp(beats, axis=1)))
    middle = np.median(beats, axis=0)[reach - reach // 2 : reach + reach // 2 + 1]
    sign = -1.0 if -middle.min() > middle.max() else 1.0
    return sign / swing if swing > np.finfo(np.float32).tiny else 0.0


def _beat_band(beats: Beats, rate: float) -> Callable[[np.ndarray, int], None]:
    """Return the function that draws a beat over the usual one into an image."""
    before, after = strip_reach(BEAT_BAND, rate)
    depth = np.clip((HIGHEST - beats.signal) / (HIGHEST - LOWEST), 0, 1)
    cut = cut_out(depth, beats.samples, before, after)
    usual = np.full((len(beats.surroundings), BEAT_BAND.bottom, IMAGE_SIZE), WHITE, np.uint8)
    for image, block in zip(usual, beats.surroundings, strict=True):
        median = np.median(cut[block.beats], axis=0)
        strip_line(BEAT_BAND, median, rate)(image, before, USUAL_GRAY)
    line = strip_line(BEAT_BAND, depth, rate)

    def draw_beat(image: np.ndarray, beat: int) -> None:
        line(image, int(beats.samples[beat]))
        band = image[: BEAT_BAND.bottom]
        np.minimum(band, usual[beat // BLOCK], out=band)

    return draw_beat


def _bar_band(beats: Beats) -> Callable[[int], np.ndarray]:
    """Return the function that draws the bars of the RR intervals around a beat."""
    height, bars = BAR_ROWS.stop - BAR_ROWS.start, IMAGE_SIZE // BAR_WIDTH
    heights = np.clip(np.rint(beats.rr_intervals * USUAL_BAR), 1, height)
    heights[0] = 0  # the first beat ends no interval
    filled = np.arange(height, 0, -1)[:, None] <= np.pad(heights, (BARS_BEFORE, bars))
    drawn = np.where(filled, BAR_GRAY, WHITE).astype(np.uint8).repeat(BAR_WIDTH, axis=1)
    drawn[:, BAR_WIDTH - 1 :: BAR_WIDTH] = WHITE
    marks = [
        height - int(np.clip(round(block.rr_interval * USUAL_BAR), 1, height)) for block in beats.surroundings
    ]

    def draw_bars(beat: int) -> np.ndarray:
        band = drawn[:, beat * BAR_WIDTH : beat * BAR_WIDTH + IMAGE_SIZE].copy()
        own = band[:, BARS_BEFORE * BAR_WIDTH : (BARS_BEFORE + 1) * BAR_WIDTH]
        own[own == BAR_GRAY] = 0
        mark = band[marks[beat // BLOCK]]
        mark[mark == WHITE] = MARK_GRAY
        return band

    return draw_bars


def _around_band(beats: Beats, rate: float) -> Callable[[int], np.ndarray]:
    """Return the function that draws the beats around one, each in rows of its own."""
    columns = np.rint((np.arange(IMAGE_SIZE) - AROUND_COLUMN) * AROUND_SECONDS * rate).astype(np.int64)
    # Averaged over a column, so that a narrow peak does not slip between two.
    signal = cv2.blur(beats.signal[None], (max(1, round(AROUND_SECONDS * rate)), 1))[0]
    gray = np.clip(128 - 120 * np.arcsinh(signal * FAINT) / np.arcsinh(FAINT), 0, 250).astype(np.uint8)
    samples, rows = beats.samples, np.arange(-BEATS_BEFORE, BEATS_AFTER + 1).repeat(ROWS_A_BEAT)
    first_own = BEATS_BEFORE * ROWS_A_BEAT

    def draw_around(beat: int) -> np.ndarray:
        neighbours = beat + rows
        inside = (neighbours >= 0) & (neighbours < len(samples))
        places = samples[np.clip(neighbours, 0, len(samples) - 1), None] + columns
        band = gray[np.clip(places, 0, len(gray) - 1)]
        band[~inside] = WHITE
        band[[first_own - 1, first_own + ROWS_A_BEAT]] = WHITE
        return band

    return draw_around
