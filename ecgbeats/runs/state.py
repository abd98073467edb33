"""The training state: all that an unbroken run would have, so that a resumed one goes on with the same losses."""

import json
import math
import zipfile
from pathlib import Path
from typing import Annotated, TypedDict

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.reading import Count, open_file, parse_json
from ecgbeats.runs.row import Row

import keras
import numpy as np
from msgspec import Meta

# A .npy file's header, which comes before the numbers.
_HEADER_BYTES = 1024
_LARGEST_ABOUT = 2**24  # characters


class About(TypedDict):
    """What a state holds beside the numbers of the network and its optimizer."""

    variables: Count
    rows: list[Row]
    best: Annotated[float, Meta(ge=0)]


def save_state(path: Path, model, rows: list[Row], best: float) -> None:
    """Write the state of a compiled model, its log and lowest validation loss, whole or not at all."""
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    about = {"variables": len(arrays), "rows": rows, "best": best}
    with command.whole_file(path) as unfinished:
        np.savez(unfinished, about=np.array(json.dumps(about)), **arrays)


def load_state(path: Path, model, epochs: int) -> About | None:
    """Put a saved state into a compiled model and return what else it holds; None where there is no such file.

    Raises InputError if the state is broken, of another network, or of more than ``epochs`` epochs.
    """
    remedy = f"start again in another --output, or remove {path.parent}"
    variables = _variables(model)
    with open_file(path, remedy) as file:
        if file is None:
            return None
        try:
            _check_sizes(file, variables)
            with np.load(file) as saved:
                text = str(saved["about"])
                values = [saved[f"v{i}"] for i in range(len(variables))]
        except Exception as problem:  # a broken zip file shows in many ways
            raise InputError(f"{path} cannot be read ({problem}); {remedy}") from None
    about = parse_json(text, About, f"{path}: its note", remedy)
    fits = [
        value.shape == tuple(variable.shape)
        and np.can_cast(value.dtype, keras.backend.standardize_dtype(variable.dtype), "same_kind")
        for variable, value in zip(variables, values, strict=True)
    ]
    if about["variables"] != len(variables) or not all(fits):
        raise InputError(f"{path} is the state of another network; {remedy}")
    if len(about["rows"]) > epochs or any(row["epoch"] != i for i, row in enumerate(about["rows"], 1)):
        raise InputError(f"{path} holds other epochs than 1 to {epochs} at most; {remedy}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return about


def _check_sizes(file, variables: list) -> None:
    """Raise ValueError unless the archive holds what :func:`save_state` wrote for these variables, and no more.

    So that no few bytes become more than the memory holds.
    """
    most = {f"v{i}.npy": math.prod(v.shape) * 8 for i, v in enumerate(variables)}
    most["about.npy"] = _LARGEST_ABOUT * 4
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if sorted(member.filename for member in members) != sorted(most):
        raise ValueError("it holds other parts than this network has")
    for member in members:
        if member.file_size > most[member.filename] + _HEADER_BYTES:
            raise ValueError(f"its {member.filename} is larger than this network's")
    file.seek(0)


def _variables(model) -> list:
    """Return all that training changes: weights, statistics, Dropout's random states, the optimizer's."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
