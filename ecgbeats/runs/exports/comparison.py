"""Whether an exported network says what Keras' says, and how fast it does."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ecgbeats.command import InputError

import numpy as np

LARGEST_DIFFERENCE = 1e-5  # of a probability, for float32
LEAST_SAME = 0.99  # of the beats must get the same class, for int8


@dataclass(frozen=True)
class Answers:
    """A network's probabilities, float32 of shape (beats, classes), and the median of the seconds that a beat took.

    These are of the processor, so that what else runs on the machine does not count.
    """

    probabilities: np.ndarray
    seconds: float

    @property
    def classes(self) -> np.ndarray:
        """The most probable class of each beat: int, shape (beats,)."""
        return self.probabilities.argmax(axis=1)


@dataclass(frozen=True)
class Agreement:
    """How far two networks' answers agree: the share of beats with the same class, and the largest difference of a probability."""

    same_class: float
    largest_difference: float


def use_one_thread() -> None:
    """Let Keras compute with one thread of the CPU; to be called before it computes anything."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def ask(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> Answers:
    """Ask a network for one beat after the other.

    ``run`` takes uint8 of shape (1, 128, 128, 1) and returns float32 of shape (1, classes); ``images`` is uint8 of shape
    (beats, 128, 128, 1).
    """
    run(images[:1])  # the first call prepares what the others find
    probabilities, seconds = [], []
    for i in range(len(images)):
        started = time.process_time()
        probabilities.append(run(images[i : i + 1]))
        seconds.append(time.process_time() - started)
    return Answers(np.concatenate(probabilities), float(np.median(seconds)))


def compare(keras: Answers, exported: Answers, int8: bool) -> Agreement:
    """Return how far they agree. Raises InputError where that is not far enough to use the exported network."""
    same = keras.classes == exported.classes
    difference = float(np.abs(keras.probabilities - exported.probabilities).max())
    if int8 and not same.mean() >= LEAST_SAME:
        raise InputError(
            f"--int8: the network with 8-bit integers gives the same class in {same.mean():.1%} of {len(same):,d} beats, "
            f"less than {LEAST_SAME:.0%}, so it was not kept; calibrate it with its own training images (--data), or "
            "export it without --int8"
        )
    if not int8 and not (same.all() and difference <= LARGEST_DIFFERENCE):
        raise InputError(
            f"the exported network differs from Keras' in the class of {(~same).sum():,d} of {len(same):,d} beats, and in "
            f"a probability by {difference:.1g} (at most {LARGEST_DIFFERENCE:g}), so it was not kept; try another --format"
        )
    return Agreement(float(same.mean()), difference)
