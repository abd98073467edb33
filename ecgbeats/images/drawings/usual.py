"""The drawing "usual": the beat over the usual beat of its surroundings, their difference, and its rhythm."""

from collections.abc import Callable, Iterator
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

DIFFERENCE_ROWS = slice(52, 60)
DIFFERENCE_GRAY = 100  # gray levels that a difference of 1 darkens the middle one by

BAR_ROWS = slice(60, 86)
BAR_WIDTH = 5  # pixels
BARS_BEFORE, BARS_AFTER = 16, 8
USUAL_BAR = 13  # pixels, the height of the usual RR interval of the beat's surroundings
BAR_GRAY = 96

GAUGE_TOP = 86
GAUGE_ROWS = 3  # of each of the GAUGES, a white one among them
LEAST_SPREAD = 0.03  # added to the distance of the quartiles, which may be 0
LEAST_RR = 0.02  # as a share of the usual one: two annotations may stand at one sample

# A reference has to hold where half of the beats are early: it is made of those that come late.
REACH = 64  # beats on each side that are its surroundings
BLOCK = 8  # neighbouring beats share a reference
LATE_SHARE = 0.3
LONGEST_SHARE = 0.02  # left out, for they are pauses
USUAL_PERCENTILE = 75  # of RR intervals
SLOW_PERCENTILE = 95  # of them: where S are the most, the usual interval is theirs
ALIGN_SECONDS = 0.06  # annotators differ by less in where they mark a beat
ALIGN_REACH = 0.12  # seconds on each side by which beats are aligned


@dataclass(frozen=True)
class Surroundings:
    """What is usual around some beats: their indices, and the RR interval as a share of the record's usual one.

    ``slow`` is the RR interval of the slow rhythm around, as such a share.
    """

    beats: np.ndarray
    rr_interval: float
    slow: float


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

    The image has four bands, which look alike whoever recorded the patient. At the top the beat at a fixed scale of
    time over the usual beat in gray, the median of those of the 128 beats around that come latest after the beat
    before. Below it how much the beat is above (dark) or below (light) the usual one, column by column. Then a bar for
    the RR interval that ends at each of 25 beats, its own in black, in units of the usual one of the surroundings. At
    the bottom the GAUGES: is the beat early, and is the rhythm regular?
    """
    beats = prepare(record)
    draw_beat = _beat_bands(beats, record.rate)
    heights = _bar_heights(beats)
    lengths = np.rint(gauges(beats, record.rate) * IMAGE_SIZE).astype(np.int64)
    number = len(beats.samples)
    fill = np.arange(BAR_ROWS.stop - BAR_ROWS.start, 0, -1, dtype=np.uint8)[:, None]
    gray = np.full(IMAGE_SIZE, BAR_GRAY, np.uint8)
    gray[BARS_BEFORE * BAR_WIDTH : (BARS_BEFORE + 1) * BAR_WIDTH] = 0
    white = np.uint8(WHITE)
    full = np.where(np.arange(IMAGE_SIZE) < np.arange(IMAGE_SIZE + 1)[:, None], np.uint8(0), white)

    def draw_usual(beat: int) -> np.ndarray:
        beat %= number
        image = np.full((IMAGE_SIZE, IMAGE_SIZE), WHITE, np.uint8)
        draw_beat(image, beat)
        image[BAR_ROWS] = np.where(fill <= heights[beat], gray, white)
        rows = image[GAUGE_TOP : GAUGE_TOP + len(GAUGES) * GAUGE_ROWS].reshape(-1, GAUGE_ROWS, IMAGE_SIZE)
        rows[:, : GAUGE_ROWS - 1] = full[lengths[beat], None]
        return image

    return draw_usual


def prepare(record: Record) -> Beats:
    """Return the beats of ``record`` made alike, whatever its recorder, its rate and its annotator."""
    usual_interval = _usual_interval(record)
    rr_intervals = np.concatenate([[1.0], np.maximum(np.diff(record.samples) / usual_interval, LEAST_RR)])
    late = _latest(rr_intervals)
    signal = cv2.GaussianBlur(
        without_baseline(record.signal, record.rate)[None], (0, 0), SMOOTHING * record.rate
    )[0]
    samples = _aligned(signal, record.samples, late, record.rate)
    scale = _scale(signal, samples[late], record.rate)
    return Beats(signal * scale, samples, rr_intervals, _surroundings(rr_intervals), scale, usual_interval)


def _usual_interval(record: Record) -> float:
    """Return a record's usual RR interval in samples; of one with one beat nothing is known, and any will do."""
    intervals = np.diff(record.samples)
    return (
        float(np.percentile(intervals[intervals > 0], USUAL_PERCENTILE)) if intervals.any() else record.rate
    )


def _around_blocks(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield which blocks of beats have surroundings of one length, their first beats, and ``values`` of all of these."""
    middles = np.minimum(np.arange(0, len(values), BLOCK) + BLOCK // 2, len(values) - 1)
    firsts = np.maximum(0, middles - REACH)
    lengths = np.minimum(middles + REACH + 1, len(values)) - firsts
    for length in np.unique(lengths):
        blocks = np.flatnonzero(lengths == length)
        yield blocks, firsts[blocks], np.lib.stride_tricks.sliding_window_view(values, length)[firsts[blocks]]


def _surroundings(rr_intervals: np.ndarray) -> list[Surroundings]:
    """Return what is usual around each block of beats."""
    found = {}
    for blocks, firsts, around in _around_blocks(rr_intervals):
        near = np.percentile(around, (USUAL_PERCENTILE, SLOW_PERCENTILE), axis=1).T.tolist()
        for block, beats, intervals in zip(blocks, firsts[:, None] + _latest(around), near, strict=True):
            found[block] = Surroundings(beats, *intervals)
    return [found[block] for block in sorted(found)]


def _latest(rr_intervals: np.ndarray) -> np.ndarray:
    """Return the indices of the beats that come latest after the beat before, but for pauses, in each row."""
    order = np.argsort(-rr_intervals, kind="stable")
    number = order.shape[-1]
    return order[..., int(LONGEST_SHARE * number) :][..., : max(3, round(LATE_SHARE * number))]


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
    # Beats far below the record's largest values are rounding errors, and would make of those what no float32 can hold.
    return sign / swing if swing > np.finfo(np.float32).eps * np.abs(signal).max() else 0.0


def _beat_bands(beats: Beats, rate: float) -> Callable[[np.ndarray, int], None]:
    """Return the function that draws a beat over the usual one, and their difference, into an image."""
    before, after = strip_reach(BEAT_BAND, rate)
    cut = cut_out(beats.signal.astype(np.float32), beats.samples, before, after)
    medians = np.stack([_median(cut[block.beats]) for block in beats.surroundings])
    usual = np.full((len(medians), BEAT_BAND.bottom, IMAGE_SIZE), WHITE, np.uint8)
    for image, depths in zip(usual, _depths(medians), strict=True):
        strip_line(BEAT_BAND, depths, rate)(image, before, USUAL_GRAY)
    line = strip_line(BEAT_BAND, _depths(beats.signal), rate)
    # Where the columns lie between the samples of a cut.
    places = before + (np.arange(IMAGE_SIZE) - BEAT_BAND.column) * BEAT_BAND.seconds * rate
    left = np.floor(places).astype(int)
    share = (places - left).astype(np.float32)
    above = cut - medians.repeat(BLOCK, axis=0)[: len(cut)]
    above = above[:, left] * (1 - share) + above[:, left + 1] * share
    difference = np.clip(128 - DIFFERENCE_GRAY * above, 0, WHITE).astype(np.uint8)

    def draw_beat(image: np.ndarray, beat: int) -> None:
        line(image, int(beats.samples[beat]))
        band = image[: BEAT_BAND.bottom]
        np.minimum(band, usual[beat // BLOCK], out=band)
        image[DIFFERENCE_ROWS] = difference[beat]

    return draw_beat


def _median(beats: np.ndarray) -> np.ndarray:
    """Return ``np.median(beats, axis=0)`` of finite numbers, several times as fast."""
    ordered = np.sort(beats, axis=0)
    return (ordered[(len(beats) - 1) // 2] + ordered[len(beats) // 2]) / 2


def _depths(signal: np.ndarray) -> np.ndarray:
    """Return how deep in the beat's band a signal lies, from 0 to 1."""
    return np.clip((HIGHEST - signal) / (HIGHEST - LOWEST), 0, 1)


def _around(beats: Beats) -> np.ndarray:
    """Return the RR intervals around each beat, its own in column BARS_BEFORE; at its ends the record goes on."""
    padded = np.pad(beats.rr_intervals, (BARS_BEFORE, BARS_AFTER), "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, BARS_BEFORE + 1 + BARS_AFTER)


def _near(beats: Beats) -> tuple[np.ndarray, np.ndarray]:
    """Return the usual RR interval of each beat's surroundings, and that of their slow rhythm."""
    blocks = [(block.rr_interval, block.slow) for block in beats.surroundings]
    return tuple(np.repeat(blocks, BLOCK, axis=0)[: len(beats.samples)].T)


def _bar_heights(beats: Beats) -> np.ndarray:
    """Return how high the bars of each beat are in each column, in pixels: uint8, shape (beats, 128)."""
    tall = np.rint(_around(beats) / _near(beats)[0][:, None] * USUAL_BAR)
    bars = np.clip(tall, 1, BAR_ROWS.stop - BAR_ROWS.start).astype(np.uint8).repeat(BAR_WIDTH, axis=1)
    return np.pad(bars, [(0, 0), (0, IMAGE_SIZE - bars.shape[1])])


# What each gauge shows from the top down, and at which values it is empty and full. Intervals are in units of the
# record's usual one, steps the changes of the logarithm from one interval to the next.
GAUGES = {
    "median step of the 25 intervals around, without the four nearest to the beat's own": (0, 0.6),
    "80th percentile of these steps": (0, 0.6),
    "80th percentile of the intervals around, by their 20th": (1, 1.6),
    "interval before the beat, by the median of those around": (0, 2),
    "interval after it, by the median": (0, 2),
    "interval before it, by the slow rhythm of the surroundings": (0, 1.5),
    "interval before it, by the record's slow rhythm": (0, 1.5),
    "interval before the beat": (0, 2),
    "usual interval of the surroundings": (0, 2),
    "logarithm of the interval before the beat in seconds": (-2.4, 0.6),
    "median step of the surroundings": (0, 0.3),
    "share of the surroundings' intervals that are shorter": (0, 1),
    "interval less the surroundings' median, by their quartiles' distance, as logarithms": (-5, 5),
    "share of the intervals around that are shorter": (0, 1),
}


def gauges(beats: Beats, rate: float) -> np.ndarray:
    """Return how full each of the GAUGES is for each beat: float64, shape (beats, gauges), from 0 to 1."""
    around = _around(beats)
    steps = np.delete(
        np.abs(np.diff(np.log(around), axis=1)), np.r_[BARS_BEFORE - 2 : BARS_BEFORE + 2], axis=1
    )
    low, middle, high = np.percentile(around, (20, 50, 80), axis=1)
    before, after, (near, slow) = around[:, BARS_BEFORE], around[:, BARS_BEFORE + 1], _near(beats)
    values = [
        np.median(steps, axis=1),
        np.percentile(steps, 80, axis=1),
        high / low,
        before / middle,
        after / middle,
        before / slow,
        before / np.percentile(beats.rr_intervals, SLOW_PERCENTILE),
        before,
        near,
        np.log(before * beats.usual_interval / rate),
        *_among_surroundings(before),
        np.mean(np.delete(around, BARS_BEFORE, axis=1) < before[:, None], axis=1),
    ]
    empty, full = np.array(list(GAUGES.values())).T
    return np.clip((np.stack(values, axis=1) - empty) / (full - empty), 0, 1)


def _among_surroundings(intervals: np.ndarray) -> list[np.ndarray]:
    """Return the median step of each beat's surroundings, and where its interval stands among theirs."""
    logs = np.log(intervals)
    steps = np.abs(np.diff(logs, prepend=logs[0]))
    own = np.pad(logs, (0, -len(logs) % BLOCK)).reshape(-1, BLOCK)
    found = np.empty((3, *own.shape))
    for (blocks, _, around), (_, _, around_steps) in zip(
        _around_blocks(logs), _around_blocks(steps), strict=True
    ):
        first, median, third = np.percentile(around, (25, 50, 75), axis=1)[..., None]
        found[0, blocks] = np.median(around_steps, axis=1)[:, None]
        found[1, blocks] = np.mean(around[:, None] < own[blocks, :, None], axis=2)
        found[2, blocks] = (own[blocks] - median) / (third - first + LEAST_SPREAD)
    return list(found.reshape(3, -1)[:, : len(logs)])
