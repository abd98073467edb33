"""What the drawing "usual" shows, as numbers: a small network of dense layers tells in a minute what an idea is worth.

A picture costs a hundred times as much to learn from. What helps here need not help there, so the choice is made on images.
"""

from ecgbeats.images.drawings.usual import BLOCK, cut_out, prepare
from ecgbeats.records.record import Record

import numpy as np

RATE = 64  # numbers a second of a beat
BEFORE, AFTER = 0.36, 0.44  # seconds
RR_BEFORE, RR_AFTER = 16, 8


def groups() -> dict[str, slice]:
    """Return which columns of :func:`numbers` tell what."""
    form, rr = round((BEFORE + AFTER) * RATE) + 1, RR_BEFORE + RR_AFTER + 1
    found, start = {}, 0
    for name, width in {
        "beat": form,
        "usual": form,
        "difference": form,
        "rr": rr,
        "irregular": 3,
        "own": 6,
    }.items():
        found[name] = slice(start, start + width)
        start += width
    return found


def numbers(record: Record) -> np.ndarray:
    """Return the numbers of all beats of a record: float32, shape (beats, numbers)."""
    beats = prepare(record)
    rate, usual_second = record.rate, _usual_seconds(record)
    cut = cut_out(beats.signal, beats.samples, round(BEFORE * rate), round(AFTER * rate))
    take = np.rint(np.arange(groups()["beat"].stop) / RATE * rate).astype(int).clip(max=cut.shape[1] - 1)
    block = np.arange(len(cut)) // BLOCK
    usual = np.stack([np.median(cut[around.beats][:, take], axis=0) for around in beats.surroundings])[block]
    own = cut[:, take]
    near = np.array([around.rr_interval for around in beats.surroundings])[block]
    padded = np.pad(np.maximum(beats.rr_intervals, 0.02), (RR_BEFORE, RR_AFTER), "edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, RR_BEFORE + RR_AFTER + 1)
    # The steps to and from the own beat are not the rhythm's.
    steps = np.delete(np.abs(np.diff(np.log(around), axis=1)), np.r_[RR_BEFORE - 2 : RR_BEFORE + 2], axis=1)
    spread = np.percentile(around, 80, axis=1) / np.percentile(around, 20, axis=1) - 1
    irregular = np.stack([np.median(steps, axis=1), np.percentile(steps, 80, axis=1), spread], axis=1)
    median = np.median(around, axis=1)
    before, after = around[:, RR_BEFORE], around[:, RR_BEFORE + 1]
    single = [
        before / median,
        after / median,
        near / median,
        before,
        near,
        np.log(np.maximum(before * usual_second, 0.1)),
    ]
    shares = np.clip(around / near[:, None], 0.2, 2.2) - 1
    rows = [own, usual, 2 * (own - usual), shares, 2 * irregular, np.stack(single, axis=1) - 1]
    return np.concatenate(rows, axis=1).astype(np.float32)


def _usual_seconds(record: Record) -> float:
    intervals = np.diff(record.samples)
    return float(np.percentile(intervals[intervals > 0], 75)) / record.rate
