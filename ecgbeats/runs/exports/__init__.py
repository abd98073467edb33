"""The formats that a network can be exported to, by name: each a file with ``convert`` and ``runner``.

``convert(model, path, calibration)`` writes a Keras network to ``path``; with ``calibration``, images as uint8 of shape
(images, 128, 128, 1), its weights and activations become 8-bit integers. ``runner(path)`` loads what was written and
returns a function from one image, uint8 of shape (1, 128, 128, 1), to its probabilities, float32 of shape (1, classes),
computed by one thread.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ecgbeats.runs.exports import litert, onnx_file, saved_model


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes
    ----------
    suffix : str
        How the file's name ends; empty for a folder.
    packages : tuple of str
        What it needs, as Python imports it, beyond requirements.txt.
    beats : int or None
        How many images the network takes at a time; None is any number.
    most_parameters : int or None
        Larger networks are refused: converting those takes more memory than most machines have. None is any number.
    to_int8 : bool
        Whether ``convert`` takes ``calibration``.
    convert, runner : callable
    """

    suffix: str
    packages: tuple[str, ...]
    beats: int | None
    most_parameters: int | None
    to_int8: bool
    convert: Callable
    runner: Callable


# A format of your own is one more file beside these, and a line here.
FORMATS = {
    "litert": Format(".tflite", ("ai_edge_litert",), 1, None, True, litert.convert, litert.runner),
    "onnx": Format(
        ".onnx",
        ("tf2onnx", "onnx", "onnxruntime"),
        None,
        50_000_000,
        True,
        onnx_file.convert,
        onnx_file.runner,
    ),
    "saved_model": Format("", (), None, None, False, saved_model.convert, saved_model.runner),
}
