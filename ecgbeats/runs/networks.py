"""Networks as files, with the names of their classes; their size."""

import json
import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from ecgbeats import command
from ecgbeats.reading import parse_json


class About(TypedDict):
    """What the comment of a network's file says of it."""

    classes: list[str]


def save_model(model, path: str | os.PathLike, classes: Sequence[str]) -> None:
    """Save a network with its class names, whole or not at all, in float32 and without optimizer state.

    Plain ``keras.models.load_model`` reads the file without this project. The names are the comment of the
    ``.keras`` file, which is a zip archive: JSON such as ``{"classes": ["NOR", "PVC"]}``. (One more file in
    the archive would make Keras unpack all of it to the disk at each load; its metadata.json is fixed.)

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, under any dtype policy. A network saved under a mixed one would
        compute in 16 bits wherever it is loaded, which is slow on a CPU.
    path : str or path
        Ends in ``.keras``; its folder exists.
    classes : sequence of str
        The name of each output, in order.

    Raises
    ------
    ValueError
        If the names do not fit the outputs, or are more than the 65,535 bytes that the comment holds.
    """
    comment = json.dumps({"classes": list(classes)}).encode()
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
    """Return the class names of a network's file, having checked that it is whole; without keras.

    Raises
    ------
    command.InputError
        If the file is missing, damaged, or not from :func:`save_model`.
    """
    remedy = "give the best.keras of a finished run of train_keras.py"
    if Path(path).suffix != ".keras":
        raise command.InputError(f"{path}: not a .keras file; {remedy}")
    try:
        with zipfile.ZipFile(path) as archive:
            # Keras would find the damage too, but only after the seconds that its import takes.
            damaged = archive.testzip()
            comment = archive.comment
    except FileNotFoundError:
        raise command.InputError(f"{path}: no such file; {remedy}") from None
    except zipfile.BadZipFile:
        raise command.InputError(
            f"{path}: not a Keras network, or cut off; copy it again, or {remedy}"
        ) from None
    except OSError as problem:
        raise command.InputError(f"{path}: cannot be read ({problem.strerror}); {remedy}") from None
    if damaged:
        raise command.InputError(f"{path}: damaged ({damaged}); copy it again, or {remedy}")
    return parse_json(comment, About, f"{path}: the note of its classes", remedy)["classes"]


def load_model(path: str | os.PathLike):
    """Load a network that :func:`save_model` wrote.

    Returns
    -------
    model : keras.Model
        Not compiled.
    classes : list of str
        The name of each output, in order.

    Raises
    ------
    command.InputError
        If the file is missing, damaged, not from :func:`save_model`, or of a Keras that this one cannot read.
    """
    classes = read_classes(path)
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, KeyError, TypeError, ValueError) as problem:
        reason = str(problem).strip().partition("\n")[0]
        raise command.InputError(
            f"{path}: Keras {keras.__version__} cannot read this network ({reason}); "
            "use the versions in requirements.txt"
        ) from None
    return model, classes


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
