"""ONNX: a file for onnxruntime, which runs in browsers, on phones and on servers."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


def convert(model, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write the network to ``path``, for any number of images at a time."""
    if calibration is None:
        model.export(path, format="onnx", verbose=False)
        return
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "float.onnx"
        model.export(exported, format="onnx", verbose=False)
        _to_int8(exported, path, calibration)


def _to_int8(exported: Path, path: Path, calibration: np.ndarray) -> None:
    """Write the network of the file ``exported`` to ``path`` with 8-bit integers."""
    import onnx
    from onnxruntime import quantization

    name = onnx.load(exported).graph.input[0].name

    class Calibration(quantization.CalibrationDataReader):
        inputs = ({name: image[np.newaxis]} for image in calibration)

        def get_next(self):
            return next(self.inputs, None)

    prepared = exported.with_name("prepared.onnx")
    quantization.quant_pre_process(exported, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared,
        path,
        Calibration(),
        per_channel=True,
        # Signed ones are the faster on x86, and weights must be.
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
    )


def runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from one image to its probabilities."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return lambda image: session.run(None, {taken.name: image})[0]
