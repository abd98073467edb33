"""Finding the beats of a signal."""

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import Executor

from ecgbeats.records.gqrs import gqrs_detect
from ecgbeats.records.qrs_band import qrs_band
from ecgbeats.records.quality import are_doubtful
from ecgbeats.records.units import level

import numpy as np

PIECE_SECONDS = 900  # what one task looks at, so that processes share a record and none holds it all
# Before each piece, in which gqrs finds its thresholds, and behind it, so that the last beats have neighbours, too.
MARGIN_SECONDS = 10
UNITS_PER_MILLIVOLT = 200  # gqrs counts in whole units, and its thresholds suit this resolution
SUITABLE_RATE = 200  # Hz; with fewer samples the filter of gqrs, four of them long, takes wide beats for none
DELAY_SECONDS = 0.036  # gqrs marks the onset of the complex
REACH_SECONDS = 0.05  # how far from there the peak is looked for
# The levels of MIT-BIH's records (see units.level), with which the fixed thresholds of gqrs work; a signal outside of
# them is looked at as if its level were SUITABLE_LEVEL.
LOWEST_LEVEL, HIGHEST_LEVEL, SUITABLE_LEVEL = 0.32, 2.0, 0.8


def find_beats(
    millivolts: np.ndarray, rate: float, pool: Executor | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the beats of a signal, piece by piece; a pool begins at once.

    This is wfdb's gqrs_detect, but that the signal is rounded to 200 units per millivolt and cut into pieces of 15
    minutes with 10 s of what lies around them (at the record's ends that is mirrored), that signals of unusual height
    are brought to a usual one, and that each detection moves to the largest absolute value of the 5 to 20 Hz band
    within 50 ms of where the QRS complex should be.

    Parameters
    ----------
    millivolts : numpy.ndarray of float, shape (samples,)
        More than 10 s, all finite.
    rate : float
        Samples per second, qrs_band.SLOWEST_RATE at least.
    pool : concurrent.futures.Executor, optional
        Does the pieces; without one they are done here.

    Yields
    ------
    samples : numpy.ndarray, int64, shape (beats,)
        The beats of the next piece, in samples of the whole signal, rising.
    doubtful : numpy.ndarray, bool, shape (beats,)
        Which of them look like noise (see :func:`are_doubtful`).
    """
    limits = piece_limits(len(millivolts), rate)
    margin = round(MARGIN_SECONDS * rate)
    height = level(millivolts, rate)
    gain = UNITS_PER_MILLIVOLT * (1 if LOWEST_LEVEL <= height <= HIGHEST_LEVEL else SUITABLE_LEVEL / height)
    pieces = (_surrounded(millivolts, start, end, margin) for start, end in limits)
    find = pool.map if pool else map
    found = find(_find_in_piece, pieces, *([value] * len(limits) for value in (rate, gain, margin)))
    return (
        _within(samples + start, doubtful, len(millivolts))
        for (start, _), (samples, doubtful) in zip(limits, found, strict=True)
    )


def _within(samples: np.ndarray, doubtful: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return beats, and which are doubtful, without those at a signal's very ends.

    The mirrored signal has a peak there wherever it is cut beside a complex, or the complex itself is cut.
    """
    kept = (samples > 0) & (samples < length - 1)
    return samples[kept], doubtful[kept]


def piece_limits(length: int, rate: float) -> list[tuple[int, int]]:
    """Return the pieces of a signal, of about equal length: first sample, and the one behind the last."""
    count = max(1, round(length / (PIECE_SECONDS * rate)))
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def _surrounded(millivolts: np.ndarray, start: int, end: int, margin: int) -> np.ndarray:
    """Return a piece with a margin of what lies around it, mirrored at the ends of the signal."""
    before, behind = max(0, margin - start), max(0, end + margin - len(millivolts))
    return np.pad(millivolts[max(0, start - margin) : end + margin], (before, behind), "reflect")


def _find_in_piece(
    millivolts: np.ndarray, rate: float, gain: float, margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the beats between the margins, in samples from the first margin's end, and which are doubtful."""
    onsets = _find_onsets(millivolts, rate, gain) + round(DELAY_SECONDS * rate)
    in_band = qrs_band(millivolts, rate)
    samples = _move_to_peaks(onsets[(onsets >= 0) & (onsets < len(millivolts))], np.abs(in_band), rate)
    doubtful = are_doubtful(millivolts, in_band, samples, rate)
    own = (samples >= margin) & (samples < len(millivolts) - margin)
    return samples[own] - margin, doubtful[own]


def _find_onsets(millivolts: np.ndarray, rate: float, gain: float) -> np.ndarray:
    """Return what gqrs finds in a signal, of which it sees enough samples."""
    finer = math.ceil(SUITABLE_RATE / rate)
    if finer > 1:
        from scipy.signal import resample_poly

        millivolts = resample_poly(millivolts, finer, 1)
    units = np.rint(millivolts * gain).astype(np.int64)
    return gqrs_detect(units, finer * rate, UNITS_PER_MILLIVOLT) // finer


def _move_to_peaks(samples: np.ndarray, height: np.ndarray, rate: float) -> np.ndarray:
    """Return where the height is largest around each sample; those that meet are one."""
    reach = round(REACH_SECONDS * rate)
    around = np.pad(height, reach)[samples[:, None] + np.arange(2 * reach + 1)]
    return np.unique(samples - reach + around.argmax(1)) if len(samples) else samples
