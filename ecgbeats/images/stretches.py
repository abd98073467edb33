"""Drawing the beats of records of any length, stretch by stretch.

A drawing shows beats beside what is usual in the record: its amplitudes, its median beat, its median RR interval. The
networks learn that from records of half an hour. In a day the usual itself changes, with posture, sleep and exercise,
so a long record is drawn in stretches of about half an hour, each with its own; that also bounds the memory.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.records.record import Record

import numpy as np

STRETCH_SECONDS = 1800
MARGIN_SECONDS = 60  # to each side, so that a beat's neighbours are there


@dataclass(frozen=True)
class Stretch:
    """A part of a record, drawn by itself.

    Attributes
    ----------
    record : Record
        The part, with the margins around it.
    start, end : int
        Its first sample in the whole record, and the one behind its last, without margins.
    beats : range
        Which of the whole record's beats are its own.
    before : int
        How many beats of ``record`` precede them.
    """

    record: Record
    start: int
    end: int
    beats: range
    before: int


def stretch_limits(length: int, rate: float) -> list[tuple[int, int]]:
    """Return the stretches of a record, of about equal length: first sample, and the one behind the last."""
    count = max(1, round(length / (STRETCH_SECONDS * rate)))
    return list(itertools.pairwise(length * i // count for i in range(count + 1)))


def cut_into_stretches(record: Record) -> Iterator[Stretch]:
    """Yield the stretches of a record, one after another; a record of up to 45 minutes is one."""
    margin = round(MARGIN_SECONDS * record.rate)
    for start, end in stretch_limits(len(record.signal), record.rate):
        first, behind = max(0, start - margin), min(len(record.signal), end + margin)
        shown = slice(*np.searchsorted(record.samples, [first, behind]).tolist())
        own = range(*np.searchsorted(record.samples, [start, end]).tolist())
        part = Record(
            record.name,
            record.lead,
            record.rate,
            record.signal[first:behind],
            record.samples[shown] - first,
            record.symbols[shown],
        )
        yield Stretch(part, start, end, own, own.start - shown.start)


def draw_beats(record: Record, drawing: str, most: int) -> Iterator[np.ndarray]:
    """Draw all beats of a record.

    Parameters
    ----------
    record : Record
    drawing : str
        One of DRAWINGS.
    most : int
        Images of a block.

    Yields
    ------
    numpy.ndarray, uint8, shape (images, 128, 128, 1)
        The next beats' images, in order: ``most``, or fewer at a stretch's end.
    """
    for stretch in cut_into_stretches(record):
        if not len(stretch.beats):
            continue
        draw = DRAWINGS[drawing](stretch.record)
        for first in range(0, len(stretch.beats), most):
            count = min(most, len(stretch.beats) - first)
            yield np.stack([draw(stretch.before + first + i) for i in range(count)])[..., np.newaxis]
