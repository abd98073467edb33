"""Rhythms of several kinds made anew, as ecgbeats.records.rhythms sets beats at other intervals.

Labels follow from the plan: beats of fibrillation stay N, beats set early become S, and V stay V.
"""

from ecgbeats.records.rhythms import SHORTEST, fibrillating, set_anew, stretches, usable_beats

import numpy as np

from benchmarks.new_patients.patients import Patient

N, S, V = 0, 1, 2
# How often a stretch is what: fibrillation, single early beats, runs of early beats.
KINDS = {"fibrillation": 0.4, "early": 0.4, "runs": 0.2}


def make_rhythm(patient: Patient, seed: int, kinds: dict[str, float] = KINDS) -> Patient:
    """Return a patient whose beats have other intervals, planned anew every STRETCH beats as one of ``kinds``."""
    random = np.random.default_rng([seed, *patient.name.encode()])
    record = patient.leads[0]
    usable, usual = usable_beats(record)
    rr = np.diff(record.samples) / record.rate  # rr[k] follows beat k
    made = [
        (part, *plan(random, kinds, patient.labels[part], rr[part], usual))
        for part in stretches(random, usable)
    ]
    beats, lengths, labels, fibrillates = map(np.concatenate, zip(*made, strict=True))
    leads = [
        set_anew(lead, beats, lengths, fibrillates, np.random.default_rng([seed, 1]))
        for lead in patient.leads
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
        return fibrillating(random, number, usual), labels, ~none
    # No slow or fast stretches of N: bars that are all low are what tells long runs of S.
    base = usual * random.uniform(0.92, 1.08)
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
