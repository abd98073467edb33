"""The training state: all that an unbroken run would have, so that a resumed one goes on with the same losses."""

import json
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError

import keras
import numpy as np


def save_state(path: Path, model, about: dict) -> None:
    """Write the state of a compiled model, and ``about`` (what JSON can hold), whole or not at all."""
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    about = {"variables": len(arrays)} | about
    with command.whole_file(path) as unfinished:
        np.savez(unfinished, about=np.array(json.dumps(about)), **arrays)


def load_state(path: Path, model) -> dict | None:
    """Put a saved state into a compiled model and return its ``about``; None where there is no such file.

    Raises InputError if the state is broken or of another network.
    """
    if not path.exists():
        return None
    remedy = f"start again in another --output, or remove {path.parent}"
    try:
        with np.load(path) as saved:
            about = json.loads(str(saved["about"]))
            values = [saved[f"v{i}"] for i in range(about["variables"])]
    except Exception as problem:  # a broken zip file shows in many ways
        raise InputError(f"{path} cannot be read ({problem}); {remedy}") from problem
    variables = _variables(model)
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise InputError(f"{path} is the state of another network; {remedy}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return about


def _variables(model) -> list:
    """Return all that training changes: weights, statistics, Dropout's random states, the optimizer's."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
