"""TensorFlow's SavedModel: a folder for TensorFlow Serving, TensorFlow.js' converter and C++."""

from collections.abc import Callable
from pathlib import Path

import numpy as np


def convert(model, path: Path, calibration: None = None) -> None:
    """Write the network into the folder ``path``, for any number of images at a time."""
    model.export(path, format="tf_saved_model", verbose=False)


def runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from one image to its probabilities."""
    import tensorflow as tf

    network = tf.saved_model.load(path)
    return lambda image: network.serve(image).numpy()
