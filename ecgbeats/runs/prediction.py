"""A network's probabilities for images."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ecgbeats.command import InputError

import numpy as np

BLOCK = 512  # images that are predicted at once where they are not kept


def predict(model, batches) -> np.ndarray:
    """Return the probabilities of each class for each image: float32, shape (images, classes).

    ``batches`` is a DataGenerator that does not shuffle. With ``devices=1`` it fills its last batch up, so that
    the network is compiled for one batch size alone.
    """
    probabilities = np.asarray(model.predict(batches, verbose=0))
    # Only the last batch holds more than its own images, and they stand at its end.
    return probabilities[: len(batches.images)]


def predict_blocks(model, blocks: Iterable[np.ndarray], tell: Callable[[int], None]) -> np.ndarray:
    """Return the probabilities for images that come in blocks, and are not kept.

    Parameters
    ----------
    model : keras.Model
    blocks : iterable of numpy.ndarray, uint8, shape (images, height, width, 1)
        Of BLOCK images at most.
    tell : callable
        Is told how many images were done.

    Returns
    -------
    numpy.ndarray, float32, shape (images, classes)
    """
    found = [np.empty((0, model.output_shape[-1]), np.float32)]
    for images in blocks:
        # Filled up, so that the network is compiled for one size alone.
        full = np.concatenate([images, np.zeros((BLOCK - len(images), *images.shape[1:]), images.dtype)])
        found.append(np.asarray(model.predict_on_batch(full), np.float32)[: len(images)])
        tell(len(images))
    return np.concatenate(found)


def check_probabilities(probabilities: np.ndarray, model: Path) -> None:
    """Raise InputError, naming the network's file, for numbers that no network with a softmax gives."""
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError(
            f"{model}: this network gives numbers that are no probabilities (not finite, or outside 0 to 1); train it "
            "again with a lower --learning-rate, or give another one"
        )
