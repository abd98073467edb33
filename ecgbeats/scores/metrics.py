"""Metrics of a set of predictions: the share right, and one-vs-rest means over the classes."""

from ecgbeats.command import InputError

import numpy as np

# One-vs-rest, in the order and by the names that the paper reports.
METRICS = ("sensitivity", "specificity", "ppv", "f1", "auc")


def score(true: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> dict:
    """Return the metrics of a set of predictions, ready for metrics.json.

    Parameters
    ----------
    true : numpy.ndarray of int, shape (beats,)
        Each beat's class, as an index into ``classes``.
    probabilities : numpy.ndarray of float, shape (beats, classes)
    classes : list of str

    Returns
    -------
    dict
        ``accuracy``: the share of beats right. ``sensitivity specificity ppv f1 auc``: one-vs-rest means over
        the classes that have beats, each class counting alike. ``per_class``: the same for each class, and
        its ``support``, the number of its beats. ``confusion_matrix``: counts, rows true. ``classes``,
        ``test_images``. None for what is not defined: all of an absent class, and specificity and AUC where
        all beats are of one class. PPV is 0 for a class that was never predicted.

    Raises
    ------
    InputError
        A probability is not finite.
    """
    from sklearn import metrics as sk

    true, probabilities = checked(true, probabilities, classes)
    predicted = probabilities.argmax(axis=1)
    per_class = {}
    for number, name in enumerate(classes):
        actual, chosen = true == number, predicted == number
        values = dict.fromkeys(METRICS)
        if actual.any():
            values["ppv"], values["sensitivity"], values["f1"], _ = sk.precision_recall_fscore_support(
                actual, chosen, average="binary", zero_division=0
            )
            if not actual.all():
                values["specificity"] = sk.recall_score(~actual, ~chosen)
                values["auc"] = sk.roc_auc_score(actual, probabilities[:, number])
        values = {key: None if value is None else float(value) for key, value in values.items()}
        per_class[name] = values | {"support": int(actual.sum())}

    # No beats at all is what the rest of DS2 without record 202 may be.
    metrics = {"accuracy": float(sk.accuracy_score(true, predicted)) if len(true) else None}
    for key in METRICS:
        defined = [values[key] for values in per_class.values() if values[key] is not None]
        metrics[key] = float(np.mean(defined)) if defined else None
    size = len(classes)
    confusion = np.bincount(true * size + predicted, minlength=size * size).reshape(size, size)
    return metrics | {
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
        "classes": list(classes),
        "test_images": len(true),
    }


def count_patients(true: np.ndarray, patients: np.ndarray, classes: list[str]) -> dict[str, int]:
    """Return how many patients hold each class: a mean over classes counts beats of one patient like those of thirty.

    ``true`` as for :func:`score`; ``patients`` is each beat's, str of shape (beats,).
    """
    return {name: len(np.unique(patients[np.asarray(true) == number])) for number, name in enumerate(classes)}


def checked(true, probabilities, classes) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays (int64, float32), after checking that they belong together."""
    true, probabilities = np.asarray(true, np.int64), np.asarray(probabilities, np.float32)
    if probabilities.shape != (len(true), len(classes)):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} for {len(true)} beats and {len(classes)} classes"
        )
    if len(true) and not 0 <= true.min() <= true.max() < len(classes):
        raise ValueError(f"a true class is outside 0 to {len(classes) - 1}")
    if not np.isfinite(probabilities).all():
        raise InputError(
            "the network gives probabilities that are not finite: train it again with a lower --learning-rate"
        )
    return true, probabilities
