"""A network's probabilities for images."""

from pathlib import Path

from ecgbeats.command import InputError

import numpy as np


def predict(model, batches) -> np.ndarray:
    """Return the probabilities of each class for each image: float32, shape (images, classes).

    ``batches`` is a DataGenerator that does not shuffle. With ``devices=1`` it fills its last batch up, so that
    the network is compiled for one batch size alone.
    """
    probabilities = np.asarray(model.predict(batches, verbose=0))
    # Only the last batch holds more than its own images, and they stand at its end.
    return probabilities[: len(batches.images)]


def check_probabilities(probabilities: np.ndarray, model: Path) -> None:
    """Raise InputError, naming the network's file, for numbers that no network with a softmax gives."""
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError(
            f"{model}: this network gives numbers that are no probabilities (not finite, or outside 0 to 1); train it "
            "again with a lower --learning-rate, or give another one"
        )
