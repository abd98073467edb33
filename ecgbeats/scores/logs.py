"""Training logs: ours, or any CSV with a column `epoch`; the run that one is of."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypedDict

from ecgbeats import command
from ecgbeats.images.notes import note_of
from ecgbeats.reading import read_csv, read_json
from ecgbeats.runs.row import Row

import numpy as np

LOG_NAME = "log.csv"
REMEDY = "name a run folder or a training log in CSV"
NO_VALUE = {"", "na", "n/a", "nan", "none", "null"}  # Keras' CSVLogger writes NA for a skipped validation
# By these names, too, Keras logs the accuracy, by how a network was compiled.
ACCURACY_NAMES = ("acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")
LARGEST_EPOCH = 1e9


class MarkedOptions(TypedDict, total=False):
    """What counts here of a run's options."""

    keep: Literal["best", "last"]


class Marks(TypedDict, total=False):
    """What counts here of config.json, which need not be of train_keras.py."""

    simulated: bool
    made: str | None
    options: MarkedOptions


def read_log(
    path: str | os.PathLike, tell: Callable[[str], object] = lambda words: None
) -> dict[str, np.ndarray]:
    """Read a training log, also one that is still growing.

    A last line without a line end is left out if it lacks columns or its last number cannot be read.
    If an epoch stands there twice (it was trained again after a stop), its last line counts; where the epochs start
    anew from the first one, what stands before is of another training, and is dropped.

    Parameters
    ----------
    path : path
        A comma-separated file, UTF-8, whose first line names the columns, `epoch` among them.
    tell : callable, optional
        Called with a line of words on what is dropped, if anything is.

    Returns
    -------
    dict of str to numpy.ndarray
        For each column float64 of shape (epochs,), in the order of the epochs; NaN where the log has no
        value. Columns that hold no number at all but text (times of day, notes) are not among them.

    Raises
    ------
    command.InputError
        There is no such file, it is no such log, or it has no epoch yet.
    """
    text, rows = read_csv(path, REMEDY)
    header = [name.strip() for name in rows.pop(0)[1]] if rows else ["epoch"]
    if "epoch" not in header:
        raise command.InputError(
            f"{path}: not a training log: its first line names no column 'epoch'; {REMEDY}"
        )
    if rows and not text.endswith("\n") and not _is_whole(rows[-1][1], header):
        rows.pop()
    for number, row in rows:
        if len(row) != len(header):
            raise command.InputError(
                f"{path}, line {number}: {len(row)} columns where the first line names {len(header)}; mend it"
            )
    if not rows:
        raise command.InputError(f"{path}: no epoch yet; wait until the first one has ended")

    log = {}
    for name, cells in zip(header, zip(*(row for _, row in rows), strict=True), strict=True):
        values = [_number(cell) for cell in cells]
        wrong = [place for place, value in enumerate(values) if value is None]
        if wrong and (name == "epoch" or any(v is not None and not math.isnan(v) for v in values)):
            line = rows[wrong[0]][0]
            raise command.InputError(
                f"{path}, line {line}: {name} is {cells[wrong[0]]!r}, not a number; mend it"
            )
        if not wrong:
            log[name] = np.array(values, np.float64)
    if not (np.abs(log["epoch"]) <= LARGEST_EPOCH).all():  # NaN is not either
        raise command.InputError(
            f"{path}: the column 'epoch' must hold a number up to {LARGEST_EPOCH:g} in each line; mend it"
        )
    kept = _kept_rows(log["epoch"])
    if len(kept) < len(rows):
        back = rows[int(np.argmax(np.diff(log["epoch"]) <= 0)) + 1][0]
        tell(
            f"{path}: the epochs go back in line {back}; left out are the {len(rows) - len(kept)} of its {len(rows)} "
            "epochs that were trained again later"
        )
    return {name: values[kept] for name, values in log.items()}


def _kept_rows(epochs: np.ndarray) -> list[int]:
    """Return the places of the lines that count, in the order of their epochs."""
    begun = int(np.flatnonzero(epochs <= epochs[0])[-1])
    last = {epoch: place for place, epoch in enumerate(epochs) if place >= begun}
    return [last[epoch] for epoch in sorted(last)]


def read_run_log(folder: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read log.csv of a run of train_keras.py: as :func:`read_log`, with all its columns in their ranges.

    Raises InputError for anything else.
    """
    path = Path(folder) / LOG_NAME
    log = read_log(path)
    for name in Row.__annotations__:
        values = log.get(name)
        if values is None or not np.isfinite(values).all() or ("loss" not in name and (values < 0).any()):
            raise command.InputError(
                f"{path}: not the log of a run: the column {name} is missing or holds what is no number from 0 on; "
                "copy the run's whole folder again, or remove it to train again"
            )
    return log


def with_accuracy(log: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a log whose accuracy is called so, if it has one by another of Keras' names."""
    found = next((name for name in ("accuracy", *ACCURACY_NAMES) if name in log), "accuracy")
    names = {found: "accuracy", f"val_{found}": "val_accuracy"}
    return {names.get(name, name): values for name, values in log.items()}


def _number(cell: str) -> float | None:
    """Return a cell's number, NaN if it is empty, None if it holds something else."""
    if cell.strip().lower() in NO_VALUE:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None


def _is_whole(row: list[str], header: list[str]) -> bool:
    """Tell whether a line without a line end can be used: all columns, and its last cell not cut off."""
    return len(row) == len(header) and _number(row[-1]) is not None


def best_epoch(log: dict[str, np.ndarray], keep: str = "best") -> int | None:
    """Return the index of the epoch of best.keras, or None where no validation loss tells.

    By ``keep`` that is the lowest val_loss (the first of equals) or, for "last", the last epoch.
    """
    if keep == "last":
        return len(log["epoch"]) - 1
    losses = log.get("val_loss", np.array([]))
    return int(np.nanargmin(losses)) if not np.isnan(losses).all() else None


def check_metric(log: dict[str, np.ndarray], metric: str, where: str | os.PathLike) -> None:
    """Raise InputError, naming ``where``, if the log has no column of numbers for this metric."""
    names = [name for name in log if name != "epoch" and not name.startswith("val_")]
    if metric not in names:
        raise command.InputError(
            f"{where}: no numbers for --metric {metric}; this log has {', '.join(names) or 'no metric'}"
        )


def read_marks(
    folder: str | os.PathLike, tell: Callable[[str], object] = lambda words: None
) -> tuple[str | None, str]:
    """Return what a run's config.json says of its log: the notice for data that is not as recorded, or None, and --keep.

    A log from elsewhere may have another program's config.json beside it, or none: then that is None and "best", and
    ``tell`` is called with a line that says why.
    """
    try:
        marks = read_json(Path(folder) / "config.json", Marks, "so it is taken for another program's") or {}
    except command.InputError as problem:
        tell(str(problem))
        marks = {}
    return note_of(marks), marks.get("options", {}).get("keep", "best")


def read_note(folder: str | os.PathLike) -> str | None:
    """Return the notice for a run on simulated or made data, else None."""
    return read_marks(folder)[0]


def read_keep(folder: str | os.PathLike) -> str:
    """Return --keep of a run, "best" or "last"; "best" for a log from elsewhere."""
    return read_marks(folder)[1]
