"""How far probabilities can be taken at their word: are nine in ten of the beats at 0.9 right?"""

from ecgbeats.scores.intervals import LEVEL
from ecgbeats.scores.metrics import checked

import numpy as np

BINS = 15
# Probabilities below which the review page can call a beat doubtful, and the one that it begins with.
DOUBTS, DOUBTFUL = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99), 0.9


def expected_calibration_error(true: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Return the expected calibration error over BINS bins of equal width; None of no beats.

    The confidence is the most probable class's probability. In each bin the share of beats that are right is compared
    with their mean confidence; the error is the mean of the differences, each bin counting as its beats.

    ``true`` is int of shape (beats,), ``probabilities`` float of shape (beats, classes).

    Sources: Naeini, Cooper, Hauskrecht (AAAI 2015); Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    right, confidence = _right_and_confidence(true, probabilities)
    return _error(right - confidence, _bins(confidence))


def score_reliability(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    groups: np.ndarray | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> dict:
    """Return the expected calibration error and what a reliability diagram shows, ready for metrics.json.

    Parameters are those of :func:`~ecgbeats.scores.intervals.bootstrap_intervals`, whose resamples these are.

    Returns
    -------
    dict
        ``expected_calibration_error``; ``interval``, its [low, high] (percentile method), None with fewer than two
        units; ``equal_mass``: the same error over BINS bins of about as many beats each (equal confidences share one).
        For each bin of equal width, from 0 to 1: ``beats``, and their mean ``confidence`` and the share that is right,
        ``accuracy``, None where there are none.
    """
    true, probabilities = checked(true, probabilities, classes)
    right, confidence = _right_and_confidence(true, probabilities)
    bins = _bins(confidence)
    edges = np.quantile(confidence, np.arange(1, BINS) / BINS) if len(true) else []
    beats = np.bincount(bins, minlength=BINS)
    means = [np.bincount(bins, values, BINS) / np.maximum(beats, 1) for values in (confidence, right)]
    names = [np.where(beats > 0, values, None).tolist() for values in means]
    return {
        "expected_calibration_error": _error(right - confidence, bins),
        "interval": _interval(right - confidence, bins, groups, repeats, seed),
        "equal_mass": _error(right - confidence, np.searchsorted(edges, confidence)),
        "beats": beats.tolist(),
        "confidence": names[0],
        "accuracy": names[1],
    }


def doubtful_rows(true: np.ndarray, probabilities: np.ndarray) -> list[dict]:
    """Return for each of DOUBTS what lies below it.

    A row has ``below``, the probability; ``beats`` and ``right``, shares of all beats and of those below (None of
    none); ``errors``: the share of all wrong beats that lies below (None of none).
    """
    right, confidence = _right_and_confidence(true, probabilities)
    rows = []
    for bound in DOUBTS:
        below = confidence < bound
        wrong = (right == 0).sum()
        rows.append(
            {
                "below": bound,
                "beats": float(below.mean()),
                "right": float(right[below].mean()) if below.any() else None,
                "errors": float((right[below] == 0).sum() / wrong) if wrong else None,
            }
        )
    return rows


def _right_and_confidence(true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 or 0 for each beat, and the probability of its predicted class: float64, shape (beats,)."""
    probabilities = np.asarray(probabilities, np.float64)
    return (probabilities.argmax(axis=1) == true).astype(float), probabilities.max(axis=1)


def _bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin of equal width of each confidence, which holds its upper end."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def _error(gaps: np.ndarray, bins: np.ndarray) -> float | None:
    """Return the error of beats whose being right and confidence differ by ``gaps``, None of no beats."""
    return float(np.abs(np.bincount(bins, gaps)).sum() / len(gaps)) if len(gaps) else None


def _interval(
    gaps: np.ndarray, bins: np.ndarray, groups: np.ndarray | None, repeats: int, seed: int
) -> list[float] | None:
    """Return the error's bootstrap interval over groups, or over beats; None with fewer than two of them."""
    member = np.arange(len(gaps)) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(member.max(initial=-1)) + 1
    if units < 2:
        return None
    of_unit = np.bincount(member * BINS + bins, gaps, units * BINS).reshape(units, BINS)
    beats = np.bincount(member)
    random, errors = np.random.default_rng(seed), np.empty(repeats)
    for repeat in range(repeats):
        drawn = np.bincount(random.integers(units, size=units), minlength=units)
        errors[repeat] = np.abs(drawn @ of_unit).sum() / (drawn @ beats)
    return np.quantile(errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
