"""predictions.csv: what a network says of each test beat."""

import csv
import os

from ecgbeats.command import InputError
from ecgbeats.reading import read_csv
from ecgbeats.scores.metrics import checked

import numpy as np

COLUMNS = ["file", "true", "predicted", "probability"]
# A cell that begins like this, in letters of any width, is a formula to a spreadsheet, or marks one that would be.
FORMULA_BEGINS = tuple("=+-@＝＋－＠'\t\r")


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
    names = [_as_text(name) for name in classes]
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"p_{name}" for name in classes)])
        for file, actual, chosen, row in zip(files, true, predicted, digits, strict=True):
            writer.writerow([_as_text(file), names[actual], names[chosen], row[chosen], *row])


def _as_text(name: str) -> str:
    """Return a name so that no spreadsheet takes it for a formula: they come from other people's folders."""
    return "'" + name if name[:1] in FORMULA_BEGINS else name


def _name(text: str) -> str:
    """Return the name that :func:`_as_text` was given."""
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA_BEGINS else text


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
    remedy = "name a predictions.csv, or score the network again"
    _, rows = read_csv(path, remedy, "surrogateescape")  # file names need not be UTF-8
    header = rows.pop(0)[1] if rows else []
    classes = [name.removeprefix("p_") for name in header[len(COLUMNS) :]]
    if header != [*COLUMNS, *(f"p_{name}" for name in classes)] or len(set(classes)) < max(1, len(classes)):
        raise InputError(
            f"{path} is no predictions.csv: its first line must be {','.join(COLUMNS)} and a p_CLASS for each "
            f"class; {remedy}"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    try:
        return _read_rows([row for _, row in rows], numbers)
    except ValueError:  # now row by row, to name the line
        for line, row in rows:
            try:
                _read_rows([row], numbers)
            except ValueError as problem:
                raise InputError(f"{path}, line {line}: {problem}; mend it or write it again") from None
        raise


def _read_rows(rows: list[list[str]], numbers: dict[str, int]):
    """Return what :func:`read_predictions` returns, of rows without the header. Raises ValueError saying what is wrong."""
    width = len(COLUMNS) + len(numbers)
    for row in rows:
        if len(row) != width:
            raise ValueError(f"{len(row)} columns instead of {width}")
    columns = list(zip(*rows, strict=True)) or [()] * width
    true, predicted = (_class_numbers(columns[place], numbers) for place in (1, 2))
    values = np.array([[*map(float, column)] for column in columns[3:]]).astype(np.float32).T
    values = values.reshape(len(rows), 1 + len(numbers))
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a probability is not within 0 to 1")
    probabilities = np.ascontiguousarray(values[:, 1:])
    chosen = probabilities.argmax(axis=1)
    if (chosen != predicted).any() or (probabilities[np.arange(len(rows)), chosen] != values[:, 0]).any():
        raise ValueError("predicted and probability are not those of the most probable class")
    return [_name(file) for file in columns[0]], true, probabilities, list(numbers)


def _class_numbers(names: tuple[str, ...], numbers: dict[str, int]) -> np.ndarray:
    """Return the number of each class named: int64."""
    names = [_name(name) for name in names]
    for name in set(names) - set(numbers):
        raise ValueError(f"no column p_{name} for this class")
    return np.array([numbers[name] for name in names], np.int64)
