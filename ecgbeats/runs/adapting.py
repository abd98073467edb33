"""A copy of a network learns a new patient from labelled beats.

Beside them it sees beats of training patients, of which it must keep saying what the network said (Li and Hoiem 2016,
Learning without forgetting): so it keeps the classes that the labelled beats lack, and how often each class comes. Where
there are no such beats, a part of the labelled ones' targets is what the network said, and the weights go half of the way
back (Wortsman et al. 2022, Robust fine-tuning of zero-shot models).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ecgbeats.runs.prediction import BLOCK, predict_blocks

import numpy as np

STEPS = 120
BATCH = 64  # where there are others' beats, half of them
LEARNING_RATE = 3e-4
# Without others' beats: how much of the own beats' targets is the network's word, and how far the weights go from the
# network's (0) to what was learnt (1).
KEPT, WAY = 0.4, 0.5
HOLD_BACK = 5


class Beats(NamedTuple):
    """Beats whose class is known.

    Attributes
    ----------
    images : numpy.ndarray, uint8, shape (beats, 128, 128, 1)
    labels : numpy.ndarray, int64, shape (beats,)
        Positions among the network's classes.
    """

    images: np.ndarray
    labels: np.ndarray

    def take(self, chosen: np.ndarray) -> "Beats":
        """Return these of them alone."""
        return Beats(self.images[chosen], self.labels[chosen])


def adapt(
    model,
    own: Beats,
    others: np.ndarray | None,
    seed: int,
    tell: Callable[[int], None] = lambda steps: None,
):
    """Return a copy of a network that has learnt a patient's labelled beats; ``model`` stays as it is.

    None where the copy makes more errors than ``model`` on those of them, every fifth of a class, that are held back.

    Parameters
    ----------
    model : keras.Model
        Takes uint8 (beats, 128, 128, 1), ends in a softmax. Its batch normalization keeps its statistics, since those of
        so few beats would be those of one patient.
    own : Beats
        The patient's. Rare classes come more often: as the square root of their number tells.
    others : numpy.ndarray, uint8, shape (beats, 128, 128, 1), or None
        Beats of training patients.
    seed : int
        The same gives the same network on one core.
    tell : callable
        Is told how many steps were done.
    """
    import keras

    held = hold_back(own.labels)
    keras.utils.set_random_seed(seed)
    copy = keras.models.clone_model(model)
    first = model.get_weights()
    copy.set_weights(first)
    _freeze_statistics(copy)
    copy.compile(
        keras.optimizers.AdamW(LEARNING_RATE, weight_decay=0.0),
        loss="categorical_crossentropy",
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    for images, targets in _batches(model, own.take(~held), others, np.random.default_rng(seed)):
        copy.train_on_batch(images, targets)
        tell(1)
    if others is None:
        learnt = zip(first, copy.get_weights(), strict=True)
        copy.set_weights([before + WAY * (after - before) for before, after in learnt])
    return None if _errors(copy, own.take(held)) > _errors(model, own.take(held)) else copy


def predict_images(model, images: np.ndarray) -> np.ndarray:
    """Return the probabilities for images in memory: uint8 (images, height, width, 1) to float32 (images, classes)."""
    blocks = (images[first : first + BLOCK] for first in range(0, len(images), BLOCK))
    return predict_blocks(model, blocks, lambda done: None)


def hold_back(labels: np.ndarray) -> np.ndarray:
    """Return which labelled beats judge the result: bool, every ``HOLD_BACK``-th of each class."""
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        held[np.flatnonzero(labels == label)[HOLD_BACK - 1 :: HOLD_BACK]] = True
    return held


def _errors(model, judged: Beats) -> int:
    """Return how many beats a network labels otherwise; those that it gives no numbers for count, too."""
    probabilities = predict_images(model, judged.images)
    right = (probabilities.argmax(1) == judged.labels) & np.isfinite(probabilities).all(1)
    return int((~right).sum())


def _freeze_statistics(model) -> None:
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _freeze_statistics(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _batches(
    model, own: Beats, others: np.ndarray | None, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images and targets of each step."""
    one_hot = np.eye(model.output_shape[-1], dtype=np.float32)[own.labels]
    wanted = (
        one_hot if others is not None else (1 - KEPT) * one_hot + KEPT * predict_images(model, own.images)
    )
    share = 1 / np.sqrt(np.bincount(own.labels)[own.labels])
    share /= share.sum()
    said = None if others is None else predict_images(model, others)
    for _ in range(STEPS):
        mine = random.choice(len(wanted), BATCH if others is None else BATCH // 2, p=share)
        if others is None:
            yield own.images[mine], wanted[mine]
        else:
            theirs = random.choice(len(others), BATCH - len(mine))
            yield (
                np.concatenate([own.images[mine], others[theirs]]),
                np.concatenate([wanted[mine], said[theirs]]),
            )
