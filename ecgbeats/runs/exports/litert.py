"""LiteRT, once TensorFlow Lite: a .tflite file for Android, iOS and small boards."""

from collections.abc import Callable
from pathlib import Path

from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.runs.exports.saved_model import disk_errors

import numpy as np


def convert(model, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write the network to ``path``, for one image at a time, with LiteRT's own operations alone."""
    import keras
    import tensorflow as tf

    operations, to_int8 = tf.lite.OpsSet.TFLITE_BUILTINS, {}
    if calibration is not None:
        operations = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        to_int8 = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([image[np.newaxis]] for image in calibration),
            # What goes in and comes out stays as it is in the other formats.
            "inference_input_type": tf.uint8,
            "inference_output_type": tf.float32,
        }
    image = keras.InputSpec(shape=(1, IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8", name="images")
    with disk_errors():  # Keras writes a SavedModel on the way
        model.export(
            path,
            format="litert",
            verbose=False,
            input_signature=[image],
            target_spec={"supported_ops": [operations]},
            **to_int8,
        )


def runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from one image to its probabilities."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    taken, given = (
        details()[0]["index"] for details in (interpreter.get_input_details, interpreter.get_output_details)
    )

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(taken, image)
        interpreter.invoke()
        return interpreter.get_tensor(given)

    return run
