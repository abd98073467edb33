"""VEB and SVEB as ANSI/AAMI EC57 counts them: sensitivity, positive predictivity and false positive rate.

The standard's matrix has a row for each reference class and a column for each of the algorithm's, N S V F Q, then O
(a beat that the other side lacks) and X (one during a shutdown). Some confusions are no fault (EC57:1998, 4.3 and
table A.2.1; PhysioNet's bxb, which is the reference implementation): a fusion or unclassifiable beat taken for V is no
false positive of V, and an unclassifiable one taken for S none of S.
"""

import numpy as np

BEATS = "NSVFQ"
LABELS = BEATS + "OX"
# The ectopic beats that the standard reports: the class, and the true classes that may be taken for it.
ECTOPIC = {"VEB": ("V", "FQ"), "SVEB": ("S", "Q")}
# The paper has a class VEB, too, of ventricular escape beats; so whoever prints these names says what they stand for.
SPELLED = {"VEB": "ventricular ectopic beats, class V", "SVEB": "supraventricular ectopic beats, class S"}
LEGEND = "\n".join(f"{name}: {words}" for name, words in SPELLED.items())
RATES = ("sensitivity", "positive_predictivity", "false_positive_rate")


def count_outcomes(matrix: np.ndarray, name: str) -> dict[str, int]:
    """Return true and false positives and negatives of ``name``, a key of ECTOPIC.

    ``matrix`` holds counts of shape (7, 7) in the order of LABELS, rows the reference. What is exempt is in none of them.
    """
    label, exempt = ECTOPIC[name]
    own = LABELS.index(label)
    others = [i for i, row in enumerate(LABELS) if row != label]
    faulty = [i for i in others if LABELS[i] not in exempt]
    taken_for_others = [i for i, column in enumerate(BEATS) if column != label]
    return {
        "true_positives": int(matrix[own, own]),
        "false_negatives": int(matrix[own].sum() - matrix[own, own]),
        "false_positives": int(matrix[faulty, own].sum()),
        "true_negatives": int(matrix[np.ix_(others, taken_for_others)].sum()),
    }


def rates(outcomes: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Return each of RATES as (right, of): what :func:`count_outcomes` counts, as quotients."""
    hits, missed = outcomes["true_positives"], outcomes["false_negatives"]
    false, rejected = outcomes["false_positives"], outcomes["true_negatives"]
    return {
        "sensitivity": (hits, hits + missed),
        "positive_predictivity": (hits, hits + false),
        "false_positive_rate": (false, false + rejected),
    }


def quotient(right: int, of: int) -> float | None:
    """Return right / of, or None of nothing."""
    return right / of if of else None


def is_aami(classes: list[str]) -> bool:
    """Return whether these are AAMI's classes, or some of them."""
    return set(classes) <= set(BEATS)


def matrix_of(true: np.ndarray, predicted: np.ndarray, classes: list[str]) -> np.ndarray:
    """Return the standard's matrix, int64 of shape (7, 7), of beats whose places are known: nothing is missed.

    ``true`` and ``predicted`` are int, shape (beats,), indices into ``classes``, of AAMI.
    """
    places = np.array([LABELS.index(name) for name in classes])
    cells = places[np.asarray(true)] * len(LABELS) + places[np.asarray(predicted)]
    return np.bincount(cells, minlength=len(LABELS) ** 2).reshape(len(LABELS), len(LABELS))


def score_by_record(
    true: np.ndarray, predicted: np.ndarray, classes: list[str], records: np.ndarray | None
) -> dict:
    """Return the standard's figures of VEB and SVEB of beats whose places are known, ready for metrics.json.

    Parameters
    ----------
    true, predicted : numpy.ndarray of int, shape (beats,)
        Indices into ``classes``.
    classes : list of str
        Of AAMI.
    records : numpy.ndarray of str, shape (beats,), or None
        The record of each beat, where they are known.

    Returns
    -------
    dict
        ``records``: for each record by name, ``gross``: of all beats together, and ``average``: the means over the
        records for which a figure is defined (EC57:1998, 3.5.2 and 3.5.3). Each holds VEB and SVEB: RATES, None for a
        quotient of nothing, and but for the average the counts that they come from.
    """

    def figures(chosen) -> dict:
        matrix = matrix_of(true[chosen], predicted[chosen], classes)
        return {
            kind: {name: quotient(*parts) for name, parts in rates(outcomes).items()} | outcomes
            for kind, outcomes in ((kind, count_outcomes(matrix, kind)) for kind in ECTOPIC)
        }

    true, predicted = np.asarray(true), np.asarray(predicted)
    names = [] if records is None else np.unique(records).tolist()
    by_record = {name: figures(records == name) for name in names}
    return {
        "records": by_record,
        "gross": figures(slice(None)),
        "average": {
            kind: {name: _mean([of[kind][name] for of in by_record.values()]) for name in RATES}
            for kind in ECTOPIC
        },
    }


def _mean(values: list[float | None]) -> float | None:
    """Return the mean of those that are defined, None if there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
