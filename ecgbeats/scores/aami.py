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
