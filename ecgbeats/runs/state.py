"""The training state: all that an unbroken run would have, so that a resumed one goes on with the same losses."""

import json
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError

import keras
import numpy as np


def save_state(path: Path, model, about: dict) -> None:
    """Write the state of a compiled model, and ``about`` (what JSON can hold), whole or not at all.

    The running means of loss and accuracy are part of it, so that it can be saved inside an epoch.
    """
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    means = {f"m{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.metrics_variables)}
    about = {"variables": len(arrays), "means": len(means)} | about
    with command.whole_file(path) as unfinished:
        np.savez(unfinished, about=np.array(json.dumps(about)), **arrays, **means)


def load_state(path: Path, model) -> tuple[dict, list[np.ndarray]] | None:
    """Put a saved state into a compiled model; return its ``about`` and the running means, None without such a file.

    The means are for :func:`set_means`, once Keras has set them to zero for the epoch.

    Raises InputError if the state is broken or of another network.
    """
    if not path.exists():
        return None
    remedy = f"start again in another --output, or remove {path.parent}"
    try:
        with np.load(path) as saved:
            about = json.loads(str(saved["about"]))
            values = [saved[f"v{i}"] for i in range(about["variables"])]
            means = [saved[f"m{i}"] for i in range(about.get("means", 0))]
    except Exception as problem:  # a broken zip file shows in many ways
        raise InputError(f"{path} cannot be read ({problem}); {remedy}") from problem
    variables = _variables(model)
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise InputError(f"{path} is the state of another network; {remedy}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return about, means


def set_means(model, means: list[np.ndarray]) -> None:
    """Let the running means of loss and accuracy go on from where they were saved."""
    for variable, value in zip(model.metrics_variables, means, strict=True):
        variable.assign(value)


def _variables(model) -> list:
    """Return all that training changes: weights, statistics, Dropout's random states, the optimizer's."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
