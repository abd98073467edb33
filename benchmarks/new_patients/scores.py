"""Scores of a cross-validation, each part apart: of all its beats together, and by patient.

Of svdb's N one in ``THINNED`` is drawn, and counts as so many: what is told is what all beats would give.
"""

import numpy as np

from benchmarks.new_patients.patients import CLASSES, Patient

N, S, V = (CLASSES.index(name) for name in "NSV")
FEWEST = 20  # beats of a class that a patient must have to count in its quartiles
THINNED = 3


def kept(patient: Patient) -> np.ndarray:
    """Return the positions of the beats that are drawn and scored."""
    keep = patient.labels >= 0
    if patient.part == "svdb":
        normal = np.flatnonzero(patient.labels == N)
        keep[np.setdiff1d(normal, normal[::THINNED])] = False
    return np.flatnonzero(keep)


def weights(patient: Patient, labels: np.ndarray) -> np.ndarray:
    """Return how many beats each of the kept ones stands for."""
    return np.where((labels == N) & (patient.part == "svdb"), THINNED, 1)


def f1(true: np.ndarray, predicted: np.ndarray, weight: np.ndarray, label: int) -> float:
    """Return the F1 score of one class; 0 where it is neither there nor predicted."""
    hits = weight @ ((true == label) & (predicted == label))
    return float(2 * hits / max(1, weight @ (true == label) + weight @ (predicted == label)))


def summary(patients: list[Patient], true: list, predicted: list) -> dict[str, float]:
    """Return the scores of each part; ``true`` and ``predicted`` have an array of kept beats for each patient."""
    weight = [weights(patient, labels) for patient, labels in zip(patients, true, strict=True)]
    found = {}
    for part in ("ds1", "svdb"):
        inside = [i for i, patient in enumerate(patients) if patient.part == part]
        if not inside:
            continue
        together = [np.concatenate([values[i] for i in inside]) for values in (true, predicted, weight)]
        for label in (S, V):
            name = f"{part}_{CLASSES[label]}"
            found[name] = f1(*together, label)
            having = [i for i in inside if (true[i] == label).sum() >= FEWEST]
            if not having:
                continue
            scores = [f1(true[i], predicted[i], weight[i], label) for i in having]
            found |= zip(
                (f"{name}_q1", f"{name}_median", f"{name}_q3"),
                np.percentile(scores, (25, 50, 75)),
                strict=True,
            )
        found[f"{part}_accuracy"] = float(together[2] @ (together[0] == together[1]) / together[2].sum())
        shares = [weight[i] @ (true[i] == predicted[i]) / weight[i].sum() for i in inside]
        found |= zip(
            (f"{part}_accuracy_q1", f"{part}_accuracy_median"), np.percentile(shares, (25, 50)), strict=True
        )
    return found


def by_patient(
    patients: list[Patient], true: list, predicted: list, parts: tuple[str, ...] = ("ds1",)
) -> list[list]:
    """Return a row for each patient of ``parts``: name, then beats, found and falsely found ones, of S and of V."""
    rows = []
    for patient, labels, found in zip(patients, true, predicted, strict=True):
        if patient.part in parts:
            counts = [
                int(values.sum())
                for label in (S, V)
                for values in (
                    labels == label,
                    (labels == label) & (found == label),
                    (labels != label) & (found == label),
                )
            ]
            rows.append([patient.name, *counts])
    return rows
