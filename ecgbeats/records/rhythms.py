"""Rhythms made anew: a record's own beats, set at other intervals, so that training sees more rhythms than patients.

Each cycle is cut in the quiet stretch before its P wave. It keeps its shape to the end of its T wave, and the rest up to
the next cut is stretched or shortened until the cycle has its new length. The cut before a beat does not move with the
new interval, so a short cycle has little room behind its beat: one of 0.50 s keeps 144 ms there, one of 0.30 s 24 ms,
and the rest of its QRS complex, its ST segment and its T wave are squeezed into 16 ms. Only N and V are set anew, and stay
what they are: the place of an S, and of the other classes, was its meaning.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from ecgbeats.records.record import Record
from ecgbeats.records.symbols import symbol_classes

import numpy as np

BEFORE_BEAT = 0.26  # seconds: the cut before a beat, ahead of its P wave
# Seconds that keep their shape after a beat, or in a short cycle so much of what is left to its end: the rest must have
# room, or a step would tell that the cycle is made.
AFTER_BEAT, AFTER_SHARE = 0.40, 0.6
QRS_BEGIN = 0.07  # seconds before a beat: up to here fibrillation has no wave but its own
SHORTEST = 0.30  # seconds, of a made RR interval
STRETCH = 40, 160  # beats that share a rate and a spread
# Of fibrillation: the rate by the record's usual RR interval, the spread of the intervals' logarithms, the waves' rate
# in Hz and their height by that of the QRS complex.
RATES, SPREADS, WAVES, HEIGHTS = (0.6, 1.0), (0.12, 0.28), (4.5, 8.0), (0.02, 0.1)

# Of early beats: the rate between them by the record's usual RR interval, how much that changes from beat to beat and
# over many, how early they come by it and how much that changes, how long runs and what is between them can be, and how
# often one is alone and a pause follows.
PACES, JITTER, DRIFT, EARLY, SCATTER = (0.95, 1.2), 0.03, 0.06, (0.4, 0.85), 0.06
LONGEST_RUNS, BETWEEN, ALONE, PAUSES = (2, 600), (2, 200), 0.3, 0.5


def fibrillate(record: Record, seed: int) -> Record:
    """Return a record's N and V at the intervals of atrial fibrillation: no P waves, and fine waves all along.

    Every STRETCH beats have a rate and a spread of their own. The intervals' logarithms are normal.

    Parameters
    ----------
    record : Record
    seed : int
        Of the plan, which follows from it and the record's name.

    Returns
    -------
    Record
        Of the same name, lead and rate; empty where the record has no N or V between two other beats.
    """
    random = np.random.default_rng([seed, *record.name.encode()])
    beats, usual = usable_beats(record)
    lengths = [fibrillating(random, len(stretch), usual) for stretch in stretches(random, beats)]
    return set_anew(record, beats, np.concatenate([*lengths, []]), random, fibrillates=True)


def make_early(record: Record, seed: int) -> Record:
    """Return a record whose N are partly S now: early ones, alone or in runs, which may be longer than what is between.

    What comes early is S by its RR interval alone; its form is the patient's N, but for what a short cycle squeezes. V keep
    their distance to the beat before.

    Parameters
    ----------
    record : Record
    seed : int
        Of the plan, which follows from it and the record's name.

    Returns
    -------
    Record
        Of the same name, lead and rate; empty where the record has no N or V between two other beats.
    """
    random = np.random.default_rng([seed, *record.name.encode()])
    beats, usual = usable_beats(record)
    symbols = record.symbols[beats].copy()
    class_of = symbol_classes("aami")
    normal = np.array([class_of[symbol] == "N" for symbol in symbols], bool)
    base = usual * random.uniform(*PACES) * np.exp(JITTER * random.standard_normal(len(beats)))
    base *= 1 + random.uniform(0, DRIFT) * np.sin(np.arange(len(beats)) / random.uniform(5, 50))
    lengths = np.where(normal, base, np.diff(record.samples)[beats] / record.rate)
    before_v = np.flatnonzero(~normal[1:])
    lengths[before_v] = (np.diff(record.samples)[beats - 1] / record.rate)[before_v + 1]
    longest = random.uniform(*np.log(LONGEST_RUNS))
    rest, typical = random.uniform(*np.log(BETWEEN)), random.uniform(*EARLY)
    position = 1
    while position < len(beats) - 1:
        number = 1 if random.random() < ALONE else int(np.exp(random.uniform(0, longest)))
        run = np.arange(position, min(position + number, len(beats) - 1))
        run = run[normal[run] & normal[run - 1]]
        early = float(np.clip(typical + SCATTER * random.standard_normal(), *EARLY))
        lengths[run - 1] = base[run - 1] * early
        symbols[run] = "A"
        pause = random.random() < PAUSES
        if pause and len(run) and normal[run[-1] + 1]:
            lengths[run[-1]] = base[run[-1]] * random.uniform(1.0, 2 - early)
        position += number + 1 + int(np.exp(random.uniform(0, rest)))
    made = set_anew(record, beats, np.maximum(lengths, SHORTEST), random, fibrillates=False)
    return replace(made, symbols=symbols)


RHYTHMS: dict[str, Callable[[Record, int], Record]] = {"fibrillation": fibrillate, "early": make_early}


def usable_beats(record: Record) -> tuple[np.ndarray, float]:
    """Return which beats can be set anew, int (beats,), and the RR interval that is usual between them, in seconds."""
    class_of = symbol_classes("aami")
    usable = np.array([class_of.get(symbol) in ("N", "V") for symbol in record.symbols], bool)
    beats = np.flatnonzero(usable[1:-1]) + 1
    rr = np.diff(record.samples)[beats] / record.rate  # what follows each
    return beats, float(np.percentile(rr, 60)) if len(beats) else 0.0


def stretches(random: np.random.Generator, beats: np.ndarray) -> Iterator[np.ndarray]:
    """Yield ``beats`` piece by piece, STRETCH of them at a time."""
    position = 0
    while position < len(beats):
        stretch = beats[position : position + int(random.integers(*STRETCH))]
        position += len(stretch)
        yield stretch


def fibrillating(random: np.random.Generator, number: int, usual: float) -> np.ndarray:
    """Return so many RR intervals of fibrillation, in seconds; ``usual`` is the record's usual one."""
    spread = random.uniform(*SPREADS)
    intervals = usual * random.uniform(*RATES) * np.exp(spread * random.standard_normal(number))
    return np.maximum(intervals, SHORTEST)


def set_anew(
    record: Record,
    beats: np.ndarray,
    lengths: np.ndarray,
    random: np.random.Generator,
    fibrillates: bool,
) -> Record:
    """Return a record of some of another's cycles, each of a new length.

    Parameters
    ----------
    record : Record
    beats : numpy.ndarray of int, shape (cycles,)
        Their beats, rising, without the record's first and last.
    lengths : numpy.ndarray of float, shape (cycles,)
        Seconds of each.
    random : numpy.random.Generator
        Of the waves.
    fibrillates : bool
        Whether P waves give way to waves of fibrillation.
    """
    rate, signal, at = record.rate, record.signal.astype(np.float64), record.samples[beats]
    before = round(BEFORE_BEAT * rate)
    # A cut must not reach into the beat before.
    lead_in = np.minimum(before, (0.45 * (at - record.samples[beats - 1])).astype(np.int64))
    following = record.samples[beats + 1]
    end = following - np.minimum(before, (0.45 * (following - at)).astype(np.int64))
    first = at - lead_in
    # A cycle keeps its first samples, and the rest is stretched; all of it, where there is no room.
    old = np.maximum(end - first, 1)
    # From beat to beat, so that a cycle that is cut shortly before its beat does not make the interval before it short.
    new = np.rint(lengths * rate).astype(np.int64) + lead_in - np.append(lead_in, before)[1:]
    new = np.maximum(new, lead_in + round(0.03 * rate) + 1)
    room = np.minimum(old, new) - lead_in
    kept = lead_in + np.minimum(round(AFTER_BEAT * rate), (AFTER_SHARE * room).astype(np.int64))
    kept = np.where(kept < 2, 0, kept)
    step = (old - kept - 1) / np.maximum(new - kept - 1, 1)

    start = np.cumsum(new) - new
    cycle = np.repeat(np.arange(len(beats)), new)
    place = np.arange(len(cycle)) - start[cycle]  # within the cycle
    stretched = kept[cycle] + (place - kept[cycle]) * step[cycle]
    source = first[cycle] + np.where(place < kept[cycle], place, stretched)
    made = np.interp(source, np.arange(len(signal)), signal)

    # In place of the P wave a straight line.
    flat = np.where(fibrillates, lead_in - round(QRS_BEGIN * rate), 0)[cycle]
    share = place / np.maximum(flat - 1, 1)
    begins = made[start][cycle]
    level = (1 - share) * begins + share * made[np.minimum(start[cycle] + flat, len(made) - 1)]
    made = np.where((place < flat) & (flat > 1), level, made) - begins
    # Each cycle ends where it began, so that the level does not wander off.
    made -= made[start + new - 1][cycle] * place / np.maximum(new - 1, 1)[cycle]
    if fibrillates:
        made += _waves(record, beats, len(made), random)
    return Record(
        record.name, record.lead, rate, made.astype(np.float32), start + lead_in, record.symbols[beats]
    )


def _waves(record: Record, beats: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
    """Return so many samples of fibrillation waves, which suit the record's QRS complexes in height."""
    height, frequency = random.uniform(*HEIGHTS), random.uniform(*WAVES)
    reach = round(0.1 * record.rate)
    heights = [
        np.ptp(record.signal[max(0, at - reach) : at + reach + 1]) for at in record.samples[beats[:200]]
    ]
    swing = np.median(heights) if heights else 0.0
    return swing * height * np.sin(2 * np.pi * frequency * np.arange(length) / record.rate)
