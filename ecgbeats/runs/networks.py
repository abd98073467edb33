"""Networks as files, with the names of their classes; their size."""

import json
import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from ecgbeats import command
from ecgbeats.command import InputError

# The parts of a network's file: what Keras writes, each stored as it is.
MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
REMEDY = "give the best.keras of a finished run of train_keras.py"


class Calibration(TypedDict):
    """What ecgbeats.runs.calibration changed in a network, and the error of the validation part by that.

    ``file`` is the name of the file that it is from, where it was fitted elsewhere.
    """

    temperature: float
    biases: list[float]
    beats: int
    patients: int | None
    error_before: float
    error_after: float
    file: NotRequired[str]


class About(TypedDict):
    """What the comment of a network's file says of it."""

    classes: list[str]
    drawing: NotRequired[str]
    calibration: NotRequired[Calibration]


def save_model(
    model,
    path: str | os.PathLike,
    classes: Sequence[str],
    drawing: str | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Save a network with its class names, whole or not at all, in float32 and without optimizer state.

    Plain ``keras.models.load_model`` reads the file without this project. The names, and how the images are drawn that
    it understands, are the comment of the ``.keras`` file, which is a zip archive: JSON such as ``{"classes": ["NOR",
    "PVC"], "drawing": "paper"}``. (One more file in the archive would make Keras unpack all of it to the disk at each
    load; its metadata.json is fixed.)

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, under any dtype policy. A network saved under a mixed one would
        compute in 16 bits wherever it is loaded, which is slow on a CPU.
    path : str or path
        Ends in ``.keras``; its folder exists.
    classes : sequence of str
        The name of each output, in order.
    drawing : str, optional
        One of ecgbeats.images.drawings.DRAWINGS; None where it is not known.
    calibration : Calibration, optional
        How its probabilities were calibrated, if they were.

    Raises
    ------
    ValueError
        If the names do not fit the outputs, or are more than the 65,535 bytes that the comment holds.
    """
    about = {"classes": list(classes), "drawing": drawing, "calibration": calibration}
    about = {name: value for name, value in about.items() if value}
    comment = json.dumps(about).encode()
    if len(classes) != model.output_shape[-1]:
        raise ValueError(f"{len(classes)} class names for {model.output_shape[-1]} outputs")
    if len(comment) > zipfile.ZIP_MAX_COMMENT:
        raise ValueError(f"the class names are too long together: {len(comment)} bytes")

    # A new network from the configuration is not compiled, so it has no optimizer. (clone_model compiles
    # its copy.) Its weights are float32 under the mixed policies too.
    configuration = json.dumps(model.get_config())
    for policy in ("mixed_bfloat16", "mixed_float16"):
        configuration = configuration.replace(f'"{policy}"', '"float32"')
    copy = type(model).from_config(json.loads(configuration))
    copy.set_weights(model.get_weights())
    with command.whole_file(path) as temporary:
        copy.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = comment


def read_classes(path: str | os.PathLike) -> list[str]:
    """Return the class names of a network's file; see :func:`read_about`."""
    return read_about(path)["classes"]


def read_about(path: str | os.PathLike) -> About:
    """Return what a network's file says of it, having checked that it is whole; without keras.

    Raises
    ------
    command.InputError
        If the file is missing, damaged, or not from :func:`save_model`.
    """
    # Here, since model_keras.py alone, which reads no file, would do without.
    from ecgbeats.reading import open_file, parse_json

    if Path(path).suffix != ".keras":
        raise InputError(f"{path}: not a .keras file; {REMEDY}")
    with open_file(path, REMEDY) as file:
        if file is None:
            raise InputError(f"{path}: no such file; {REMEDY}")
        try:
            with zipfile.ZipFile(file) as archive:
                damaged = _find_damage(archive)
                texts = {} if damaged else {name: archive.read(name) for name in MEMBERS[:2]}
                comment = archive.comment
        except Exception as problem:  # a broken archive shows in many ways
            raise InputError(
                f"{path}: not a Keras network, or cut off ({problem}); copy it again, or {REMEDY}"
            ) from None
    if damaged:
        raise InputError(f"{path}: {damaged}; copy it again, or {REMEDY}")
    for name, text in texts.items():
        parse_json(text, dict, f"{path}: its {name}", REMEDY)
    return parse_json(comment, About, f"{path}: the note of its classes", REMEDY)


def _find_damage(archive: zipfile.ZipFile) -> str | None:
    """Say what is wrong with the archive that should hold a network, or return None.

    Keras would find the most of it too, but only after the seconds that its import takes.
    """
    members = archive.infolist()
    if sorted(member.filename for member in members) != list(MEMBERS):
        return f"it does not hold {', '.join(MEMBERS)} alone"
    for member in members:
        # Neither packed nor encrypted: so it has no bytes but those that are in the file.
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            return f"its {member.filename} is packed or encrypted, which train_keras.py does not do"
    damaged = archive.testzip()
    return f"damaged ({damaged})" if damaged else None


def load_model(path: str | os.PathLike, size: int | None = None):
    """Load a network that :func:`save_model` wrote.

    Parameters
    ----------
    path : str or path
    size : int, optional
        Height and width of the images, of one channel, that it must take.

    Returns
    -------
    model : keras.Model
        Not compiled.
    classes : list of str
        The name of each output, in order.

    Raises
    ------
    command.InputError
        If the file is missing, damaged, not from :func:`save_model`, of a Keras that this one cannot read, or holds a
        network that does not fit its class names or the images.
    """
    classes = read_classes(path)
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except MemoryError:
        raise
    except Exception as problem:  # what is no network shows in many ways
        reason = str(problem).strip().partition("\n")[0]
        raise InputError(
            f"{path}: Keras {keras.__version__} cannot read this network ({reason}); "
            f"use the versions in requirements.txt, or {REMEDY}"
        ) from None
    _check_shapes(model, classes, path, size)
    return model, classes


def _check_shapes(model, classes: list[str], path: str | os.PathLike, size: int | None) -> None:
    """Raise InputError unless the network takes one image and gives a number for each class."""
    taken, given = (
        [tuple(tensor.shape) for tensor in getattr(model, side, None) or []] for side in ("inputs", "outputs")
    )
    images = [(None, size, size, 1)] if size else taken[:1]
    if not taken or taken != images or given != [(None, len(classes))]:
        raise InputError(
            f"{path}: this network takes {_in_words(taken)} and gives {_in_words(given)}, where "
            f"{_in_words(images or [(None, 'image')])} and {len(classes)} classes are needed; {REMEDY}"
        )


def _in_words(shapes: list[tuple]) -> str:
    """Return the shapes of some tensors, without the batch's dimension, such as ``128 x 128 x 1``."""
    return " and ".join(" x ".join(map(str, shape[1:])) for shape in shapes) or "nothing"


def multiply_adds(model) -> int:
    """Count the multiply-adds of one image's forward pass, from the layers.

    Counted are the products of convolutions (plain, depthwise and separable; channels last) and dense
    layers: each weight of a kernel is used once at each place of the layer's output. Biases, normalization,
    activations and pooling are left out, as is usual; twice the number is the count of operations (FLOP).

    Parameters
    ----------
    model : keras.Model
        Built, each layer used once, with an input size that is known.
    """
    return sum(layer_multiply_adds(layer) for layer in model.layers)


def layer_multiply_adds(layer) -> int:
    """Count those of one layer, or of a network used as a layer."""
    from keras import Model, layers

    if isinstance(layer, Model):
        return multiply_adds(layer)
    if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.SeparableConv2D | layers.Dense):
        return 0
    kernels = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
    places = math.prod(layer.output.shape[1:-1])
    return places * kernels
