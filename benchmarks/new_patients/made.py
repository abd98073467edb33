"""Rhythms made anew: a patient's own beats, set at other intervals, so that training sees more rhythms than patients.

Each cycle is cut in the quiet stretch before its P wave. What lies between its T wave and the next cut is stretched or
shortened until the cycle has its new length. Labels follow from the plan: beats of fibrillation stay N, beats set
early become S, and V stay V. Cycles of S and of other classes are left out, for their place was their meaning.
"""

from ecgbeats.records.record import Record

import numpy as np

from benchmarks.new_patients.patients import Patient

N, S, V = 0, 1, 2
BEFORE_BEAT = 0.26  # seconds: the cut before a beat, ahead of its P wave
AFTER_BEAT = 0.40  # seconds that keep their shape after a beat, where the cycle has the room
SHORTEST = 0.30  # seconds, of a made RR interval
STRETCH = 40, 160  # beats of one plan
# How often a stretch is what: fibrillation, single early beats, runs of early beats.
KINDS = {"fibrillation": 0.4, "early": 0.4, "runs": 0.2}


def make_rhythm(patient: Patient, seed: int, kinds: dict[str, float] = KINDS) -> Patient:
    """Return a patient whose beats have other intervals, planned anew every STRETCH beats as one of ``kinds``."""
    random = np.random.default_rng([seed, *patient.name.encode()])
    record = patient.leads[0]
    rate = record.rate
    usable = np.flatnonzero(np.isin(patient.labels[1:-1], (N, V))) + 1
    rr = np.diff(record.samples) / rate  # rr[k] follows beat k
    usual = float(np.percentile(rr[usable], 60))
    beats, lengths, labels, fibrillates = [], [], [], []
    position = 0
    while position < len(usable):
        stretch = usable[position : position + int(random.integers(*STRETCH))]
        position += len(stretch)
        made = plan(random, kinds, patient.labels[stretch], rr[stretch], usual)
        beats.append(stretch)
        for target, values in zip((lengths, labels, fibrillates), made, strict=True):
            target.append(values)
    beats, lengths, labels, fibrillates = map(np.concatenate, (beats, lengths, labels, fibrillates))
    leads = [
        build(lead, beats, lengths, fibrillates, np.random.default_rng([seed, 1])) for lead in patient.leads
    ]
    return Patient(f"{patient.name}-made-{seed}", patient.part, leads, labels.astype(np.int8))


def plan(
    random, kinds: dict[str, float], labels: np.ndarray, rr: np.ndarray, usual: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the interval (s) that follows each beat of a stretch, each beat's label, and whether it fibrillates."""
    number, kind = len(labels), random.choice(list(kinds), p=list(kinds.values()))
    labels = labels.copy()
    none = np.zeros(number, bool)
    if kind == "fibrillation":
        spread = random.uniform(0.12, 0.28)
        intervals = usual * random.uniform(0.6, 1.0) * np.exp(spread * random.standard_normal(number))
        return np.maximum(intervals, SHORTEST), labels, ~none
    base = usual * random.uniform(0.75, 1.25)
    drift = 1 + random.uniform(0, 0.06) * np.sin(
        np.arange(number) / random.uniform(3, 20) + random.uniform(0, 6)
    )
    normal = labels == N
    intervals = np.where(
        normal, base * drift * np.exp(0.02 * random.standard_normal(number)), rr * base / usual
    )
    # A V keeps its own distance to the beat before it, relative to the rate.
    before_v = np.flatnonzero(labels[1:] == V)
    intervals[before_v] = rr[before_v] * base / usual
    if kind == "early":
        early = (
            np.flatnonzero(
                normal[1:-1] & normal[:-2] & (random.random(max(0, number - 2)) < random.uniform(0.03, 0.25))
            )
            + 1
        )
        early = early[np.diff(early, prepend=-9) > 1]
        groups = [early]
    else:
        starts = random.choice(np.arange(1, max(2, number - 20)), 2)
        groups = [np.arange(start, min(number - 1, start + int(random.integers(2, 20)))) for start in starts]
    for group in groups:
        group = group[normal[group]]
        how_early = random.uniform(0.5, 0.85)
        intervals[group - 1] = base * how_early * np.exp(0.05 * random.standard_normal(len(group)))
        labels[group] = S
        pause = random.choice([1.0, random.uniform(1.0, 1.3), 2 - how_early])
        last = group[~np.isin(group + 1, group)]
        intervals[last] = base * pause
    return np.maximum(intervals, SHORTEST), labels, none


def build(record: Record, beats, lengths, fibrillates, random) -> Record:
    """Return the record of cycles ``beats`` of another, each ``lengths`` seconds long from beat to beat."""
    rate, signal = record.rate, record.signal.astype(np.float64)
    before = round(BEFORE_BEAT * rate)
    pieces, samples, position = [], [], 0
    swing = np.median([np.ptp(signal[max(0, at - 13) : at + 13]) for at in record.samples[beats[:200]]])
    waves = (
        swing
        * random.uniform(0.02, 0.1)
        * np.sin(2 * np.pi * random.uniform(4.5, 8) * np.arange(10 * len(signal)) / rate)
    )
    level = 0.0
    for beat, length, fibrillating in zip(beats, lengths, fibrillates, strict=True):
        at = record.samples[beat]
        # The cut must not reach into the beat before.
        lead_in = min(before, int(0.45 * (at - record.samples[beat - 1])))
        end = record.samples[beat + 1] - min(before, int(0.45 * (record.samples[beat + 1] - at)))
        cycle = signal[at - lead_in : end]
        cycle = fit(cycle, lead_in + round(AFTER_BEAT * rate), max(lead_in + 4, round(length * rate)))
        if fibrillating:
            flat = lead_in - round(0.07 * rate)
            if flat > 1:
                cycle[:flat] = np.linspace(cycle[0], cycle[flat], flat)
        cycle = cycle + (level - cycle[0])
        # Back to where the cycle began, so that the level does not wander off.
        cycle = cycle - np.linspace(0, cycle[-1] - level, len(cycle))
        samples.append(position + lead_in)
        position += len(cycle)
        pieces.append(cycle)
    made = np.concatenate(pieces)
    made = made + np.repeat(fibrillates, [len(piece) for piece in pieces]) * np.resize(waves, len(made))
    return Record(
        record.name, record.lead, rate, made.astype(np.float32), np.array(samples), np.full(len(samples), "N")
    )


def fit(cycle: np.ndarray, kept: int, length: int) -> np.ndarray:
    """Return a cycle of ``length`` samples whose first ``kept`` are as they were, if there is room."""
    kept = min(kept, len(cycle) - 2, length - 2)
    if kept < 2:
        return np.interp(np.linspace(0, len(cycle) - 1, length), np.arange(len(cycle)), cycle)
    rest = cycle[kept:]
    tail = np.interp(np.linspace(0, len(rest) - 1, length - kept), np.arange(len(rest)), rest)
    return np.concatenate([cycle[:kept], tail])
