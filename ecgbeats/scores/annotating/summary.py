"""summary.json: what a recording's labelled beats say in figures."""

import itertools

from ecgbeats.scores.annotating.labelled import Labelled

import numpy as np

HEART_RATE_BEATS = 8  # RR intervals that a heart rate is the mean of, as Holter reports have it
SHORTEST_RUN = 3  # beats
LONGEST_RR = 2.0  # seconds; a longer RR interval is a pause
MOST_LISTED = 1000  # runs, pauses or stretches that are told one by one


def summarize(labelled: Labelled) -> dict:
    """Return the summary of a labelled stretch, ready for JSON. Times are in seconds from the recording's start.

    ``heart_rate`` holds the least, the median and the most beats a minute, each the mean over 8 RR intervals in a row.
    ``by_hand`` counts the beats that a person labelled. ``share`` is that of S and V among all beats. ``runs`` are three
    and more beats in a row of S, or of V; classes of the paper count by their AAMI class. ``pauses`` are RR intervals of
    more than 2 s.
    """
    rate = labelled.signal.rate
    kinds = np.array(labelled.kinds())[labelled.predicted]
    beats = len(labelled.samples)
    unreadable = (labelled.noise + labelled.first) / rate
    runs = find_runs(labelled)
    pauses = find_pauses(labelled)
    return {
        "record": labelled.signal.name,
        "lead": labelled.signal.lead,
        "rate": labelled.signal.rate,
        "from_seconds": round(labelled.first / rate, 3),
        "duration_seconds": round(len(labelled.signal.millivolts) / rate, 3),
        "beats": {
            "all": beats,
            **{name: int((labelled.predicted == i).sum()) for i, name in enumerate(labelled.classes)},
        },
        "by_hand": int(labelled.by_hand.sum()),
        "heart_rate": heart_rates(labelled.rr_intervals()),
        "share": {kind: round(float((kinds == kind).mean()), 5) if beats else None for kind in ("S", "V")},
        "runs": {kind: sum(run["kind"] == kind for run in runs) for kind in ("S", "V")},
        "longest_runs": sorted(runs, key=lambda run: -run["beats"])[:MOST_LISTED],
        "pauses": len(pauses),
        "longest_pauses": sorted(pauses, key=lambda pause: -pause["seconds"])[:MOST_LISTED],
        "unreadable_minutes": round(float((unreadable[:, 1] - unreadable[:, 0]).sum()) / 60, 2),
        "unreadable": np.round(unreadable[:MOST_LISTED], 3).tolist(),
    }


def heart_rates(intervals: np.ndarray) -> dict[str, float | None]:
    """Return the least, the median and the most heart rate, in beats a minute.

    ``intervals`` is what rr_intervals returns. Each rate is that of 8 intervals in a row, or of all where there are
    fewer; those with a gap between count for nothing.
    """
    width = min(HEART_RATE_BEATS, len(intervals))
    means = np.lib.stride_tricks.sliding_window_view(intervals, width).mean(1) if width else np.array([])
    means = means[~np.isnan(means)]
    if not len(means):
        return {"least": None, "median": None, "most": None}
    rates = 60 / means
    return {
        "least": round(float(rates.min()), 1),
        "median": round(float(np.median(rates)), 1),
        "most": round(float(rates.max()), 1),
    }


def find_runs(labelled: Labelled) -> list[dict]:
    """Return the runs of three and more beats of kind S, or of kind V, with nothing unreadable between."""
    kinds = [labelled.kinds()[i] for i in labelled.predicted.tolist()]
    broken = np.concatenate([[False], np.isnan(labelled.rr_intervals())]) if kinds else []
    parts = np.cumsum(broken).tolist()
    seconds = ((labelled.samples + labelled.first) / labelled.signal.rate).tolist()
    runs = []
    for (_, kind), group in itertools.groupby(range(len(kinds)), key=lambda i: (parts[i], kinds[i])):
        members = list(group)
        if kind in "SV" and len(members) >= SHORTEST_RUN:
            length = seconds[members[-1]] - seconds[members[0]]
            runs.append(
                {
                    "kind": kind,
                    "start": round(seconds[members[0]], 3),
                    "beats": len(members),
                    "beats_per_minute": round(60 * (len(members) - 1) / length, 1) if length else None,
                }
            )
    return runs


def find_pauses(labelled: Labelled) -> list[dict]:
    """Return the RR intervals of more than 2 s."""
    intervals = labelled.rr_intervals()
    starts = (labelled.samples + labelled.first) / labelled.signal.rate
    return [
        {"start": round(float(starts[i]), 3), "seconds": round(float(intervals[i]), 3)}
        for i in np.flatnonzero(intervals > LONGEST_RR)
    ]
