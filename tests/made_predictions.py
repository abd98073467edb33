"""Predictions that no network made, for the tests of scores."""

from ecgbeats.scores.metrics import METRICS

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

PAPER = ["NOR", "PVC", "PAB", "RBB", "LBB", "APC", "VFW", "VEB"]


OVERALL = ["accuracy", *METRICS]


def predict(true, skill, size, seed=0, noise=1.6):
    """Return softmax outputs, float32, that lean to the true class by ``skill`` (one number, or one a class)."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=noise, size=(len(true), size))
    logits[np.arange(len(true)), true] += np.broadcast_to(skill, size)[true]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def certain(predicted, size):
    """Return probabilities 1 and 0 that give these predictions."""
    return np.eye(size, dtype=np.float32)[np.asarray(predicted, int)]


def beats(counts, skill=3.0, seed=0):
    """Return ``true`` with these counts of the classes, shuffled, and probabilities."""
    true = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    return true, predict(true, skill, len(counts), seed)


# The paper's classes, with the imbalance of MIT-BIH.
PAPER_BEATS = beats([1500, 140, 140, 145, 160, 50, 9, 3])


@st.composite
def predictions(draw):
    size = draw(st.integers(1, 5))
    n = draw(st.integers(1, 40))
    true = draw(arrays.arrays(np.int64, n, elements=st.integers(0, size - 1)))
    # Few different values, so that ties are common.
    steps = draw(arrays.arrays(np.float32, (n, size), elements=st.integers(0, 4).map(float)))
    return true, steps / 4, list("ABCDE")[:size]
