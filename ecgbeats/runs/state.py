"""The training state: all that an unbroken run would have, so that a resumed one goes on with the same losses."""

import json
import math
import zipfile
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.reading import Count, open_file, parse_json
from ecgbeats.runs.row import AtLeastZero, Row
from ecgbeats.runs.team import ALONE, Team

import keras
import numpy as np
from msgspec import Meta

# A .npy file's header, which comes before the numbers.
_HEADER_BYTES = 1024
_MOST_MEANS = 64  # single numbers: two for each metric
_LARGEST_ABOUT = 2**24  # characters


class About(TypedDict):
    """What a state holds beside the numbers of the network and its optimizer."""

    variables: Count
    means: NotRequired[Annotated[int, Meta(ge=0, le=_MOST_MEANS)]]
    rows: list[Row]
    best: float | None  # the lowest validation loss, once an epoch has ended
    batches: NotRequired[Count]  # done of the epoch after those
    seconds: NotRequired[AtLeastZero]


def save_state(path: Path, model, about: dict) -> None:
    """Write the state of a compiled model, and ``about`` (an About, without its counts), whole or not at all.

    The running means of loss and accuracy are part of it, so that it can be saved inside an epoch.
    """
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    means = {f"m{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.metrics_variables)}
    about = {"variables": len(arrays), "means": len(means)} | about
    with command.whole_file(path) as unfinished:
        np.savez(unfinished, about=np.array(json.dumps(about, allow_nan=False)), **arrays, **means)


def load_state(
    path: Path, model, epochs: int, batches: int, together: Team = ALONE
) -> tuple[About, list[np.ndarray]] | None:
    """Put a saved state into a compiled model; return its ``about`` and the running means, None without such a file.

    The means are for :func:`set_means`, once Keras has set them to zero for the epoch. Of several processes, ``together``,
    process 0 reads the file.

    Raises InputError if the state is broken, of another network, or of more than ``epochs`` epochs of ``batches``.
    """
    variables, values = _variables(model), []

    def read():
        saved = _read_state(path, variables, epochs, batches)
        if saved is None:
            return None
        about, found, means = saved
        values.extend(found)
        return about, [(str(mean.dtype), mean.item()) for mean in means]

    saved = together.first(read)
    if saved is None:
        return None
    about, means = saved
    for variable, value in zip(variables, together.share(values, variables), strict=True):
        variable.assign(value)
    return about, [np.array(value, dtype) for dtype, value in means]


def _read_state(path: Path, variables: list, epochs: int, batches: int):
    """Return a state's ``about``, the numbers of the variables and the running means; None without such a file."""
    remedy = f"start again in another --output, or remove {path.parent}"
    with open_file(path, remedy) as file:
        if file is None:
            return None
        try:
            _check_sizes(file, variables)
            with np.load(file) as saved:
                about = parse_json(str(saved["about"]), About, f"{path}: its note", remedy)
                values = [saved[f"v{i}"] for i in range(len(variables))]
                means = [saved[f"m{i}"].reshape(()) for i in range(about.get("means", 0))]
        except InputError:
            raise
        except Exception as problem:  # a broken zip file shows in many ways
            raise InputError(f"{path} cannot be read ({problem}); {remedy}") from None
    if about["variables"] != len(variables) or not _fit(values, variables):
        raise InputError(f"{path} is the state of another network; {remedy}")
    rows, done = about["rows"], about.get("batches", 0)
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)) or (about["best"] is None) == bool(
        rows
    ):
        raise InputError(f"{path}: the epochs in its note are not whole; {remedy}")
    if len(rows) + (done > 0) > epochs or done >= batches:
        raise InputError(f"{path} is of a longer run than {epochs} epochs of {batches} batches; {remedy}")
    return about, values, means


def _check_sizes(file, variables: list) -> None:
    """Raise ValueError unless the archive holds what :func:`save_state` wrote for these variables, and no more.

    So that no few bytes become more than the memory holds.
    """
    most = {f"v{i}.npy": math.prod(v.shape) * 8 for i, v in enumerate(variables)}
    most |= {"about.npy": _LARGEST_ABOUT * 4} | {f"m{i}.npy": 8 for i in range(_MOST_MEANS)}
    if (
        file.read(4) != b"PK\x03\x04"
    ):  # NumPy would take it for a file of Python objects, and advise to trust it
        raise ValueError("it does not begin as an archive")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    for member in members:
        if member.file_size > most.get(member.filename, -1) + _HEADER_BYTES:
            raise ValueError(f"its {member.filename} is none of this network's, or larger")
    file.seek(0)


def _fit(values: list[np.ndarray], variables: list) -> bool:
    """Return whether the numbers can be those of the variables."""
    return all(
        value.shape == tuple(variable.shape)
        and np.can_cast(value.dtype, keras.backend.standardize_dtype(variable.dtype), "same_kind")
        for variable, value in zip(variables, values, strict=True)
    )


def set_means(model, means: list[np.ndarray], path: Path) -> None:
    """Let the running means of loss and accuracy go on from where they were saved, in ``path``."""
    if len(means) != len(model.metrics_variables) or not _fit(means, model.metrics_variables):
        raise InputError(f"{path} holds means of other metrics; start again in another --output")
    for variable, value in zip(model.metrics_variables, means, strict=True):
        variable.assign(value)


def _variables(model) -> list:
    """Return all that training changes: weights, statistics, Dropout's random states, the optimizer's."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
