"""Finding the beats of a signal, and the stretches that are too poor to judge."""

from collections.abc import Iterator
from concurrent.futures import Executor

from ecgbeats.records.quality import are_doubtful

import numpy as np

PIECE_SECONDS = 900  # what one task looks at, so that processes share a record and none holds it all
# Before each piece, in which gqrs finds its thresholds, and behind it, so that the last beats have neighbours, too.
MARGIN_SECONDS = 10
UNITS_PER_MILLIVOLT = 200  # gqrs counts in whole units, and its thresholds suit this resolution
DELAY_SECONDS = 0.036  # gqrs marks the onset of the complex
REACH_SECONDS = 0.05  # how far from there the peak is looked for
BAND = (5.0, 20.0)  # Hz, where QRS complexes have most of their energy
SLOWEST_RATE = 60  # Hz; with fewer samples the filter of gqrs has none to stand on


def find_beats(
    millivolts: np.ndarray, rate: float, pool: Executor | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the beats of a signal, piece by piece.

    This is wfdb's gqrs_detect, but that the signal is rounded to 200 units per millivolt and cut into pieces of 15
    minutes with 10 s of what lies around them (at the record's ends that is mirrored), and that each detection moves
    to the largest absolute value of the 5 to 20 Hz band within 50 ms of where the QRS complex should be.

    Parameters
    ----------
    millivolts : numpy.ndarray of float, shape (samples,)
        All finite.
    rate : float
        Samples per second, SLOWEST_RATE at least.
    pool : concurrent.futures.Executor, optional
        Does the pieces; without one they are done here.

    Yields
    ------
    samples : numpy.ndarray, int64, shape (beats,)
        The beats of the next piece, in samples of the whole signal, rising.
    doubtful : numpy.ndarray, bool, shape (beats,)
        Which of them look like noise (see :func:`are_doubtful`).
    """
    pieces = cut(len(millivolts), rate)
    tasks = [(_surrounded(millivolts, start, end, rate), rate) for start, end in pieces] if pool is None else None
    if pool is None:
        found = map(_find_in_piece, *zip(*tasks, strict=True))
    else:
        found = pool.map(
            _find_in_piece,
            (_surrounded(millivolts, start, end, rate) for start, end in pieces),
            [rate] * len(pieces),
        )
    for (start, end), (samples, doubtful) in zip(pieces, found, strict=True):
        samples = samples - round(MARGIN_SECONDS * rate)
        own = (samples >= 0) & (samples < end - start)
        yield samples[own] + start, doubtful[own]
