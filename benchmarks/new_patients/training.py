"""How a fold is trained: as train_keras.py trains the network, each class of a patient giving an epoch at most MOST beats."""

import os

from ecgbeats.images.folder import Images

import numpy as np

import train_keras
from benchmarks import harness
from benchmarks.new_patients.examples import Examples
from benchmarks.new_patients.patients import CLASSES

MOST = 200  # train_keras.py's --most


class TrainingImages(Images):
    """Examples of some patients, as a DataGenerator takes images.

    Parameters
    ----------
    parts : list of Examples
    chosen : numpy.ndarray, bool, shape (patients,)

    Attributes
    ----------
    groups : numpy.ndarray, int, shape (images,)
        A number for each one's patient, who counts anew in each part.
    """

    in_memory = True  # as far as the kernel keeps the files

    def __init__(self, parts: list[Examples], chosen: np.ndarray):
        rows = [np.flatnonzero(chosen[part.patient]) for part in parts]
        chosen_of = list(zip(parts, rows, strict=True))
        self.classes, self._parts, self._rows = CLASSES, parts, np.concatenate(rows)
        self._part = np.repeat(np.arange(len(parts)), [len(found) for found in rows])
        self.labels = np.concatenate([part.labels[found] for part, found in chosen_of]).astype(np.int32)
        patients = np.concatenate([part.patient[found] for part, found in chosen_of])
        self.groups = self._part * len(chosen) + patients

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> np.ndarray:
        """Return image ``i``: uint8, shape (128, 128)."""
        return self._parts[self._part[i]].images[self._rows[i]]

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Return these images as one new array: uint8, shape (len(index), 128, 128)."""
        return np.stack([self[i] for i in index])


def train(network: str, parts: list[Examples], chosen: np.ndarray, seed: int, epochs: int | None = None):
    """Train a new ``network`` of MODELS on the beats of the ``chosen`` patients (bool), of all ``parts``; return it."""
    options = harness.train_options(model=network, most=MOST, seed=seed, epochs=epochs)
    images = TrainingImages(parts, chosen)
    batches = train_keras.training_batches(images, options, ["cpu"], patients=images.groups)
    model, _ = train_keras.build(options, "float32", len(CLASSES), len(batches))
    model.fit(batches, epochs=options.epochs, shuffle=False, verbose=0)
    return model


def one_thread() -> None:
    """Let TensorFlow use one thread, so that experiments can share a machine."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
