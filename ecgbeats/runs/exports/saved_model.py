"""TensorFlow's SavedModel: a folder for TensorFlow Serving, TensorFlow.js' converter and C++."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


def convert(model, path: Path, calibration: None = None) -> None:
    """Write the network into the folder ``path``, for any number of images at a time."""
    with disk_errors():
        model.export(path, format="tf_saved_model", verbose=False)


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Let a full disk be an OSError also where TensorFlow writes, which has errors of its own."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as problem:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(number) in problem.message:
                raise OSError(number, os.strerror(number)) from None
        raise


def runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from one image to its probabilities."""
    import tensorflow as tf

    network = tf.saved_model.load(path)
    return lambda image: network.serve(image).numpy()
