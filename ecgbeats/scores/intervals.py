"""How far metrics can be trusted: bootstrap intervals over beats or records."""

from ecgbeats.scores.metrics import METRICS, checked

import numpy as np

LEVEL = 0.95  # of the intervals


def bootstrap_intervals(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    groups: np.ndarray | None = None,
    repeats: int = 1000,
    seed: int = 0,
    unit: str = "records",
) -> dict:
    """Return bootstrap intervals (95 %, percentile method) of the metrics that :func:`score` gives.

    Beats of one record are alike, so resampling beats gives intervals that are too narrow for new patients:
    give the records as ``groups`` wherever the split is over records. In each repeat a mean is over the
    classes that its beats have, as in score. An interval without any error among its beats has no width.

    Parameters
    ----------
    true, probabilities, classes
        As for score.
    groups : sequence of str or int, shape (beats,), optional
        The record or patient of each beat: whole ones are resampled. Without it beats are.
    repeats : int
    seed : int
    unit : {"records", "patients"}
        What the groups are.

    Returns
    -------
    dict
        ``level``, ``repeats``, ``resampled`` ("beats" or ``unit``) and ``units``, how many there are;
        ``accuracy``, ``sensitivity``, ... each [low, high], and ``per_class`` the same for each class. None
        where there is nothing to resample: with fewer than two units, or for a class that fewer than two
        of them hold; ``missing`` says so in words (by class name, or under "all").

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    true, probabilities = checked(true, probabilities, classes)
    size = len(classes)
    member = np.arange(len(true)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(member) != len(true):
        raise ValueError(f"{len(member)} groups for {len(true)} beats")
    units = int(member.max(initial=-1)) + 1
    holders = [len(np.unique(member[true == number])) for number in range(size)]
    resampled = "beats" if groups is None else unit

    samples = {"accuracy": np.empty(0)} | {key: np.empty((0, size)) for key in METRICS}
    if units > 1:
        samples = _resample(true, probabilities, member, units, repeats, seed)
    result = {"level": LEVEL, "repeats": repeats, "resampled": resampled, "units": units}
    result |= {key: _percentiles(values) for key, values in _means(samples).items()}
    result["per_class"] = {
        name: {key: _percentiles(samples[key][:, i]) if holders[i] > 1 else None for key in METRICS}
        for i, name in enumerate(classes)
    }
    missing = {}
    if units < 2:
        missing["all"] = f"fewer than two {resampled}: there is nothing to resample"
    else:
        for name, number in zip(classes, holders, strict=True):
            if number < 2:
                missing[name] = f"only one of the {resampled} holds it" if number else "no beats"
    result["missing"] = missing
    return result


def resampled_means(
    true: np.ndarray, probabilities: np.ndarray, classes: list[str], repeats: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return accuracy and the means of METRICS in each of ``repeats`` bootstrap resamples of the beats.

    For intervals of what several sets of predictions give together. Parameters as for :func:`bootstrap_intervals`; each
    array is float64 of shape (repeats,).
    """
    true, probabilities = checked(true, probabilities, classes)
    return _means(_resample(true, probabilities, np.arange(len(true)), len(true), repeats, seed))


def _means(samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each metric's mean over the classes that a resample has, NaN where it has none."""
    with np.errstate(invalid="ignore"):
        means = {
            key: np.nansum(samples[key], axis=1) / np.isfinite(samples[key]).sum(axis=1) for key in METRICS
        }
    return {"accuracy": samples["accuracy"]} | means


def _resample(true, probabilities, unit, units, repeats, seed) -> dict[str, np.ndarray]:
    """Return each metric in each repeat: accuracy of shape (repeats,), others (repeats, classes), or NaN.

    A resample is a weight for each beat, how often its unit was drawn, so that a class's probabilities are
    sorted once for all repeats; an AUC is then the weighted share of pairs in the right order, ties half.
    """
    size = probabilities.shape[1]
    cell = true * size + probabilities.argmax(axis=1)
    places = [_order(column, true == number) for number, column in enumerate(probabilities.T)]
    lengths = [2 * (place.max() // 2 + 1) for place in places]
    confusion = np.empty((repeats, size, size))
    auc = np.full((repeats, size), np.nan)
    random = np.random.default_rng(seed)
    for repeat in range(repeats):
        drawn = np.bincount(random.integers(units, size=units), minlength=units)
        weights = drawn.astype(float)[unit]
        confusion[repeat] = np.bincount(cell, weights, size * size).reshape(size, size)
        support = confusion[repeat].sum(axis=1)
        for number in np.flatnonzero((support > 0) & (support < support.sum())):
            counts = np.bincount(places[number], weights, lengths[number])
            negative, positive = counts.reshape(-1, 2).T
            below = np.cumsum(negative) - negative / 2
            auc[repeat, number] = positive @ below / (positive.sum() * negative.sum())

    right = np.diagonal(confusion, axis1=1, axis2=2)
    support, chosen, total = confusion.sum(axis=2), confusion.sum(axis=1), confusion.sum(axis=(1, 2))
    others = total[:, None] - support
    with np.errstate(invalid="ignore"):
        rates = {
            "sensitivity": right / support,
            "specificity": (others - chosen + right) / others,
            "ppv": right / np.maximum(chosen, 1),
            "f1": 2 * right / (support + chosen),
            "auc": auc,
        }
    rates = {key: np.where(support > 0, values, np.nan) for key, values in rates.items()}
    return rates | {"accuracy": right.sum(axis=1) / total}


def _order(values: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return where each beat stands by its probability, for an AUC: twice its step, plus 1 if ``actual``.

    Equal values share a step, and so do neighbours of the same kind, since no pair among them counts: a good
    network's beats stand on few steps.
    """
    levels, rank = np.unique(values, return_inverse=True)
    positive = np.bincount(rank, actual, len(levels))
    mixed = (positive > 0) & (positive < np.bincount(rank, minlength=len(levels)))
    same_kind = ((positive > 0)[1:] == (positive > 0)[:-1]) & ~mixed[1:] & ~mixed[:-1]
    step = np.concatenate([[0], np.cumsum(~same_kind)])
    return 2 * step[rank] + actual


def _percentiles(values: np.ndarray) -> list[float] | None:
    """Return the ends of the interval that holds LEVEL of the values that are defined, or None."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    return np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
