"""The table by record, worst first: which patients a network fails."""

from ecgbeats.images.names import record_names
from ecgbeats.scores.aami import SPELLED, is_aami, score_by_record
from ecgbeats.scores.report.run import Run

import numpy as np

# A record fails with fewer of its beats right, or with fewer VEB or SVEB found of at least FEWEST_ECTOPIC.
RIGHT, FOUND = 0.8, 0.5
FEWEST_ECTOPIC = 10


def record_rows(run: Run) -> list[dict]:
    """Return a row for each record of the test part, that with the smallest share of beats right first.

    A row holds the record's ``name``, ``database`` (None if it is not known), ``beats``, ``right`` (a share), ``error``
    (its most frequent one: count, true, predicted; None without any), ``ectopic`` (of AAMI's classes the figures of
    VEB and SVEB, else empty), and ``fails``: "right", "VEB" or "SVEB", what is below the bounds above. No rows
    where the images' names do not tell the records.
    """
    records = record_names(run.files)
    if records is None:
        return []
    figures = {}
    if is_aami(run.classes):
        figures = score_by_record(run.true, run.predicted, run.classes, records)["records"]
    databases = run.description.get("database") or {}
    rows = []
    for name in np.unique(records).tolist():
        true, predicted = run.true[records == name], run.predicted[records == name]
        right = float((true == predicted).mean())
        ectopic = figures.get(name, {})
        rows.append(
            {
                "name": name,
                "database": databases.get(name),
                "beats": len(true),
                "right": right,
                "error": _most_frequent_error(true, predicted, run.classes),
                "ectopic": ectopic,
                "fails": ["right"] * (right < RIGHT) + [kind for kind in ectopic if _misses(ectopic[kind])],
            }
        )
    return sorted(rows, key=lambda row: (row["right"], -row["beats"]))


def ectopic_rows(run: Run) -> dict[str, dict]:
    """Return the figures of VEB and SVEB of all records, by how they are taken together; of AAMI's classes alone."""
    if not is_aami(run.classes):
        return {}
    records = record_names(run.files)

    def both(chosen) -> dict:
        chosen_records = None if records is None else records[chosen]
        return score_by_record(run.true[chosen], run.predicted[chosen], run.classes, chosen_records)

    whole = both(slice(None))
    rows = {"Gross: all beats": whole["gross"], "Average of records": whole["average"]}
    if "without_record_202" in run.metrics and records is not None:
        rest = both(records != "202")
        rows |= {"Gross, without 202": rest["gross"], "Average, without 202": rest["average"]}
    return rows


def words_of_bounds(classes: list[str]) -> str:
    """Say when a record fails; VEB and SVEB are of AAMI's classes alone."""
    words = f"fewer than {100 * RIGHT:.0f} % of its beats right"
    if is_aami(classes):
        ectopic = " or ".join(f"{kind} ({spelled})" for kind, spelled in SPELLED.items())
        words += f", or fewer than {100 * FOUND:.0f} % of at least {FEWEST_ECTOPIC} {ectopic} found"
    return words


def _misses(figures: dict) -> bool:
    """Return whether too few of enough ectopic beats are found."""
    beats = figures["true_positives"] + figures["false_negatives"]
    return beats >= FEWEST_ECTOPIC and figures["sensitivity"] < FOUND


def _most_frequent_error(true: np.ndarray, predicted: np.ndarray, classes: list[str]) -> dict | None:
    """Return how many beats of which class are taken for which, most of the wrong ones; None where all are right."""
    kinds, counts = np.unique(np.stack([true, predicted])[:, true != predicted], axis=1, return_counts=True)
    if not len(counts):
        return None
    most = counts.argmax()
    return {
        "count": int(counts[most]),
        "true": classes[kinds[0, most]],
        "predicted": classes[kinds[1, most]],
    }
