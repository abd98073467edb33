"""predictions.csv: what a network says of each test beat."""

import csv
import os

from ecgbeats.command import InputError
from ecgbeats.scores.metrics import checked

import numpy as np


def write_predictions(
    path: str | os.PathLike,
    files: list[str],
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
) -> None:
    """Write ``file,true,predicted,probability`` and a column ``p_CLASS`` for each class.

    ``files`` are paths relative to --data; the rest is as for :func:`score`. Probabilities are written in
    the fewest digits that give the same float32 again.
    """
    true, probabilities = checked(true, probabilities, classes)
    predicted = probabilities.argmax(axis=1)
    digits = probabilities.astype(str)
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "true", "predicted", "probability", *(f"p_{name}" for name in classes)])
        for file, actual, chosen, row in zip(files, true, predicted, digits, strict=True):
            writer.writerow([file, classes[actual], classes[chosen], row[chosen], *row])


def read_predictions(path: str | os.PathLike) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """Read a predictions.csv back.

    Returns
    -------
    files : list of str
    true : numpy.ndarray, int64, shape (beats,)
    probabilities : numpy.ndarray, float32, shape (beats, classes)
    classes : list of str

    Raises
    ------
    InputError
        There is no such file, or it is no predictions.csv; the message names the line.
    """
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, csv.Error) as problem:
        raise InputError(f"{path} cannot be read ({problem}); name a predictions.csv") from None
    classes = [name.removeprefix("p_") for name in header[4:]]
    if (
        header != ["file", "true", "predicted", "probability", *(f"p_{name}" for name in classes)]
        or not classes
    ):
        raise InputError(
            f"{path} is no predictions.csv: its first line must be file,true,predicted,probability "
            "and a p_CLASS for each class"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    true, probabilities = np.empty(len(rows), np.int64), np.empty((len(rows), len(classes)), np.float32)
    for place, (line, row) in enumerate(rows):
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} columns instead of {len(header)}")
            if row[1] not in numbers:
                raise ValueError(f"no column p_{row[1]} for this class")
            true[place], probabilities[place] = numbers[row[1]], row[4:]
        except ValueError as problem:
            raise InputError(f"{path}, line {line}: {problem}; mend it or write it again") from None
    return [row[0] for _, row in rows], true, probabilities, classes
