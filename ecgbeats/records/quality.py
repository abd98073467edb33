"""Where a signal is too poor to judge: beats that look like noise, gaps, long stretches without a beat."""

from ecgbeats.records.qrs_band import band

import numpy as np

# Measured on beats of MIT-BIH's 126 records and on noise of many spectra, so that nearly none of the former are
# doubtful, and nearly all of the latter.
FORM_SECONDS = 0.2  # to each side of a beat: what is compared with other beats
FORM_BAND = (1.0, 40.0)  # Hz
NEIGHBOURS = 8  # to each side, with which a beat is compared
LEVEL_SECONDS = 2.0  # to each side, over which the level around a beat is taken
LOWEST_LIKENESS = 0.77  # correlation with the second most similar neighbour
LOWEST_HEIGHT = 5.2  # the QRS complex beside the median level around it
STRANGEST_LIKENESS = 0.55  # below it a beat is doubtful unless it is twice as high
HUM_BAND = (45.0, 0.48)  # Hz, and a share of the rate: mains and muscles
LOWEST_OVER_HUM = 0.7  # the QRS complex beside the root mean square of that band

VOTERS = 9  # beats around each that decide together whether the signal is readable there
SHORTEST_GAP = 1.0  # seconds; shorter ones are bridged and may hold a beat
LONGEST_WITHOUT_BEAT = (
    10.0  # seconds; no rhythm is so slow, so the lead was off, or the beats are not to be seen
)


def are_doubtful(millivolts: np.ndarray, in_band: np.ndarray, samples: np.ndarray, rate: float) -> np.ndarray:
    """Say which detected beats look like noise.

    A beat of the heart has a form that others around it share, or at least stands out. Noise that was taken for
    beats has neither: around such a beat no other is like it, and it is little higher than what lies between.

    Parameters
    ----------
    millivolts : numpy.ndarray of float, shape (samples,)
    in_band : numpy.ndarray of float, shape (samples,)
        Its :func:`qrs_band`.
    samples : numpy.ndarray of int, shape (beats,)
        Where beats were found, rising.
    rate : float
        Samples per second.

    Returns
    -------
    numpy.ndarray, bool, shape (beats,)
    """
    if len(samples) < 3:
        return np.ones(len(samples), bool)
    likeness = _likeness(millivolts, samples, rate)
    height = _height(np.abs(in_band), samples, rate)
    return (
        _is_hum(millivolts, in_band, samples, rate)
        | (likeness < STRANGEST_LIKENESS) & (height < 2 * LOWEST_HEIGHT)
        | ((likeness < LOWEST_LIKENESS) & (height < LOWEST_HEIGHT))
    )


def _likeness(millivolts: np.ndarray, samples: np.ndarray, rate: float) -> np.ndarray:
    """Return each beat's correlation with the second most similar of its neighbours."""
    reach = round(FORM_SECONDS * rate)
    shown = band(millivolts, rate, (FORM_BAND[0], min(FORM_BAND[1], 0.45 * rate))).astype(np.float32)
    around = np.pad(shown, reach, "edge")
    forms = around[samples[:, None] + np.arange(2 * reach + 1)]
    forms -= forms.mean(1, keepdims=True)
    forms /= np.linalg.norm(forms, axis=1, keepdims=True) + 1e-12
    best, second = np.full((2, len(samples)), -1, np.float32)
    for distance in range(1, min(NEIGHBOURS, len(samples) - 1) + 1):
        like = np.einsum("ij,ij->i", forms[:-distance], forms[distance:])
        for side in (slice(distance, None), slice(None, -distance)):
            second[side] = np.maximum(second[side], np.minimum(best[side], like))
            best[side] = np.maximum(best[side], like)
    return second


def _height(in_band: np.ndarray, samples: np.ndarray, rate: float) -> np.ndarray:
    """Return how high each beat is beside the median level around it."""
    level = np.median(_around(in_band, samples, rate), axis=1)
    return in_band[samples] / np.maximum(level, 1e-9)


def _is_hum(millivolts: np.ndarray, in_band: np.ndarray, samples: np.ndarray, rate: float) -> np.ndarray:
    """Say which beats are lost in mains or muscles, such as where an electrode is off."""
    low, high = HUM_BAND[0], HUM_BAND[1] * rate
    if high < 1.1 * low:  # too few samples to show them
        return np.zeros(len(samples), bool)
    power = _around(band(millivolts, rate, (low, high)) ** 2, samples, rate).mean(axis=1)
    return np.abs(in_band[samples]) < LOWEST_OVER_HUM * np.sqrt(power)


def _around(values: np.ndarray, samples: np.ndarray, rate: float) -> np.ndarray:
    """Return the values around each beat, in fiftieths of a second: shape (beats, 4 s of them)."""
    step = max(1, round(rate / 50))
    coarse = values[: len(values) // step * step].reshape(-1, step).mean(1)
    reach = round(LEVEL_SECONDS * rate / step)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(coarse, reach, "reflect"), 2 * reach + 1)
    return around[np.minimum(samples // step, len(around) - 1)]


def find_unreadable(samples: np.ndarray, doubtful: np.ndarray, gaps: np.ndarray, rate: float) -> np.ndarray:
    """Return the stretches that are too poor to judge.

    These are where most of nine beats in a row are doubtful, gaps of a second and more, and ten seconds and more
    without a beat that is not doubtful.

    Parameters
    ----------
    samples : numpy.ndarray of int, shape (beats,)
        Where beats were found, rising.
    doubtful : numpy.ndarray, bool, shape (beats,)
    gaps : numpy.ndarray, bool, shape (samples,)
        Where the record holds no valid sample.
    rate : float
        Samples per second.

    Returns
    -------
    numpy.ndarray, int64, shape (stretches, 2)
        First sample, and the one behind the last, rising; no two touch.
    """
    stretches = [
        *_gaps(gaps, rate),
        *_noise(samples, doubtful, rate, len(gaps)),
        *_silence(samples[~doubtful], rate, len(gaps)),
    ]
    joined = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return np.array(joined, np.int64).reshape(-1, 2)


def are_within(samples: np.ndarray, stretches: np.ndarray) -> np.ndarray:
    """Say which samples lie in one of the stretches, which are as :func:`find_unreadable` returns them."""
    following = np.searchsorted(stretches[:, 0], samples, "right")
    inside = following > 0
    inside[inside] = samples[inside] < stretches[following[inside] - 1, 1]
    return inside


def _gaps(gaps: np.ndarray, rate: float) -> list[tuple[int, int]]:
    return [(start, end) for start, end in _true_stretches(gaps) if end - start >= SHORTEST_GAP * rate]


def _true_stretches(values: np.ndarray) -> list[tuple[int, int]]:
    """Return where values are True: the first place, and the one behind the last."""
    edges = (np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    edges = [0] * bool(values[:1].any()) + edges + [len(values)] * bool(values[-1:].any())
    return list(zip(edges[::2], edges[1::2], strict=True))


def _noise(samples: np.ndarray, doubtful: np.ndarray, rate: float, length: int) -> list[tuple[int, int]]:
    """Return where most of VOTERS beats are doubtful: from the first such beat to the last."""
    if not doubtful.any():
        return []
    reach = VOTERS // 2
    votes = np.convolve(
        np.pad(doubtful.astype(int), reach, "reflect" if len(doubtful) > reach else "edge"),
        np.ones(VOTERS, int),
        "valid",
    )
    stretches = []
    for first, behind in _true_stretches(votes > reach):
        # The vote shifts the limits: they are where doubtful beats begin and end.
        while first < behind and not doubtful[first]:
            first += 1
        while first > 0 and doubtful[first - 1]:
            first -= 1
        while behind > first and not doubtful[behind - 1]:
            behind -= 1
        while behind < len(samples) and doubtful[behind]:
            behind += 1
        if behind > first:
            start = (samples[first - 1] + samples[first]) // 2 if first else 0
            end = (samples[behind - 1] + samples[behind]) // 2 if behind < len(samples) else length
            margin = round(
                rate
            )  # where the next readable beat is far away, nothing is known of what lies between
            stretches.append(
                (
                    max(int(start), int(samples[first]) - margin, 0),
                    min(int(end), int(samples[behind - 1]) + margin),
                )
            )
    return stretches


def _silence(samples: np.ndarray, rate: float, length: int) -> list[tuple[int, int]]:
    """Return where no beat was found for long."""
    places = np.concatenate([[0], samples, [length]])
    half = round(rate / 2)
    return [
        (int(places[i]) + (half if i else 0), int(places[i + 1]) - (half if i + 2 < len(places) else 0))
        for i in np.flatnonzero(np.diff(places) > LONGEST_WITHOUT_BEAT * rate).tolist()
    ]
