"""A copy of a network learns a new patient from labelled beats.

Beside them it sees beats of training patients, so that it does not forget what those showed it, above all of classes
that the labelled beats lack. Where there are none of these, it goes half of the way alone: the mean of the weights before
and after keeps more of the first network than the second (Wortsman et al. 2022, Robust fine-tuning of zero-shot models).
"""

from collections.abc import Callable, Iterator

from ecgbeats.runs.prediction import BLOCK, predict_blocks
from ecgbeats.runs.rehearsal import Examples

import numpy as np

STEPS = 120
BATCH = 64  # where there are others' beats, half of them
LEARNING_RATE = 3e-4
KEPT = 0.5  # how much of the targets of others' beats is what the network said of them before
HOLD_BACK = 5
WAY_ALONE = 0.5  # how far the weights go where there are no others' beats


def adapt(
    model, own: Examples, others: Examples | None, seed: int, tell: Callable[[int], None] = lambda steps: None
):
    """Return a copy of a network that has learnt a patient's labelled beats; ``model`` stays as it is.

    None where the copy makes more errors than ``model`` on those of them, every fifth of a class, that are held back.

    Parameters
    ----------
    model : keras.Model
        Takes uint8 (beats, 128, 128, 1), ends in a softmax. Its batch normalization keeps its statistics, since those of
        so few beats would be those of one patient.
    own : Examples
        The patient's beats. Rare classes come more often: as the square root of their number tells.
    others : Examples or None
        Beats of training patients.
    seed : int
        The same gives the same network on one core.
    tell : callable
        Is told how many steps were done.
    """
    import keras

    held = _hold_back(own.labels)
    judged, own = (Examples(own.images[part], own.labels[part]) for part in (held, ~held))
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
    for images, targets in _batches(model, own, others, np.random.default_rng(seed)):
        copy.train_on_batch(images, targets)
        tell(1)
    if others is None:
        learnt = zip(first, copy.get_weights(), strict=True)
        copy.set_weights([before + WAY_ALONE * (after - before) for before, after in learnt])
    return None if _errors(copy, judged) > _errors(model, judged) else copy


def predict_images(model, images: np.ndarray) -> np.ndarray:
    """Return the probabilities for images in memory: uint8 (images, height, width, 1) to float32 (images, classes)."""
    blocks = (images[first : first + BLOCK] for first in range(0, len(images), BLOCK))
    return predict_blocks(model, blocks, lambda done: None)


def _hold_back(labels: np.ndarray) -> np.ndarray:
    """Return which labelled beats judge the result: bool, every ``HOLD_BACK``-th of each class."""
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        held[np.flatnonzero(labels == label)[HOLD_BACK - 1 :: HOLD_BACK]] = True
    return held


def _errors(model, judged: Examples) -> int:
    """Return how many beats a network labels otherwise; those that are no number count, too."""
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
    model, own: Examples, others: Examples | None, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images and targets of each step."""
    one_hot = np.eye(model.output_shape[-1], dtype=np.float32)
    share = 1 / np.sqrt(np.bincount(own.labels)[own.labels])
    share /= share.sum()
    count = BATCH if others is None else BATCH // 2
    if others is not None:
        wanted = (1 - KEPT) * one_hot[others.labels] + KEPT * predict_images(model, others.images)
    for _ in range(STEPS):
        mine = random.choice(len(own.labels), count, p=share)
        images, targets = own.images[mine], one_hot[own.labels[mine]]
        if others is not None:
            theirs = random.choice(len(others.labels), BATCH - count)
            images = np.concatenate([images, others.images[theirs]])
            targets = np.concatenate([targets, wanted[theirs]])
        yield images, targets
