"""A network's probabilities for images."""

import numpy as np


def predict(model, batches) -> np.ndarray:
    """Return the probabilities of each class for each image: float32, shape (images, classes).

    ``batches`` is a DataGenerator that does not shuffle. With ``devices=1`` it fills its last batch up, so that
    the network is compiled for one batch size alone.
    """
    probabilities = np.asarray(model.predict(batches, verbose=0))
    # Only the last batch holds more than its own images, and they stand at its end.
    return probabilities[: len(batches.images)]
