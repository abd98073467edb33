"""Scores of a cross-validation: of all beats of a part together, and by patient."""

import numpy as np

FEWEST = 20  # beats of a class that a patient must have to count in its quartiles


def f1(true: np.ndarray, predicted: np.ndarray, label: int) -> float:
    """Return the F1 score of one class; 0 where it is neither there nor predicted."""
    hits = ((true == label) & (predicted == label)).sum()
    return float(2 * hits / max(1, (true == label).sum() + (predicted == label).sum()))


def summary(true: list[np.ndarray], predicted: list[np.ndarray], parts: list[str]) -> dict[str, float]:
    """Return the scores of DS1's and svdb's patients; the arguments have one entry a patient."""
    found = {}
    for part in ("ds1", "svdb"):
        inside = [i for i, name in enumerate(parts) if name == part]
        all_true, all_predicted = (
            np.concatenate([values[i] for i in inside]) for values in (true, predicted)
        )
        for label, name in ((1, "S"), (2, "V")):
            found[f"{part}_{name}"] = f1(all_true, all_predicted, label)
            having = [i for i in inside if (true[i] == label).sum() >= FEWEST]
            quartiles = np.percentile([f1(true[i], predicted[i], label) for i in having], (25, 50, 75))
            found |= {f"{part}_{name}_q{q}": value for q, value in zip((1, 2, 3), quartiles, strict=True)}
        found[f"{part}_accuracy"] = float((all_true == all_predicted).mean())
        found[f"{part}_accuracy_q1"] = float(
            np.percentile([(true[i] == predicted[i]).mean() for i in inside], 25)
        )
    return found
