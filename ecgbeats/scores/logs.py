"""Training logs: ours, or any CSV with a column `epoch`; the run that one is of."""

import math
import os
from pathlib import Path

from ecgbeats import command
from ecgbeats.reading import read_csv
from ecgbeats.runs.config import read_config

import numpy as np

LOG_NAME = "log.csv"
REMEDY = "name a run folder or a training log in CSV"
NO_VALUE = {"", "na", "n/a", "nan", "none", "null"}  # Keras' CSVLogger writes NA for a skipped validation


def read_log(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a training log, also one that is still growing.

    A last line without a line end is left out if it lacks columns or its last number cannot be read.
    If an epoch stands there twice (it was trained again after a stop), its last line counts.

    Parameters
    ----------
    path : path
        A comma-separated file, UTF-8, whose first line names the columns, `epoch` among them.

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
        raise command.InputError(f"{path}: not a training log: its first line names no column 'epoch'")
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
    if not np.isfinite(log["epoch"]).all():
        raise command.InputError(f"{path}: the column 'epoch' must hold a number in each line; mend it")
    order = list({epoch: place for place, epoch in enumerate(log["epoch"])}.values())
    order.sort(key=log["epoch"].__getitem__)
    return {name: values[order] for name, values in log.items()}


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


def read_note(folder: str | os.PathLike) -> str | None:
    """Return the notice for a run that was trained on simulated data, else None.

    Such a run has ``"simulated": true`` in its config.json.
    """
    config = read_config(Path(folder), REMEDY)
    return command.SIMULATED_NOTICE if config and config["simulated"] else None


def read_keep(folder: str | os.PathLike) -> str:
    """Return --keep of a run, "best" or "last"; "best" for a log from elsewhere."""
    config = read_config(Path(folder), REMEDY)
    return config["options"].get("keep", "best") if config else "best"
