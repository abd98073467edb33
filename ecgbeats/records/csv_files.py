"""Reading CSV files: a table with one column a lead, or the Apple Watch's export.

Tables have a line with the leads' names, which may hold units: ``time (s),II (mV),V1 (mV)``. Commas, semicolons or
tabs part the columns, numbers have a point or a comma. The watch's export has lines of a name and a value
(``Sample Rate,512 hertz``, with a comma or a no-break space in some languages), and then a number a line.
"""

import csv
import datetime
import io
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.reading import read_text
from ecgbeats.records.leads import choose_lead, short_name
from ecgbeats.records.qrs_band import SLOWEST_RATE
from ecgbeats.records.record import Signal, bridge_gaps
from ecgbeats.records.units import factor

import numpy as np

REMEDY = "give a table with one column for each lead and their names above, or the Apple Watch's export"
LONGEST_HEAD = 100  # lines before the first number
BEGINNING = 2**20  # characters that hold them and some lines of numbers
SAMPLE = 200  # lines of numbers that show how these are written
EMPTY = ["", "nan", "NaN", "NAN", "null", "NULL", "NA", "N/A", "-", "--", "?"]  # cells without a sample
_NONE = "\x1f"  # parts no columns
SAME_RATE = 0.01  # a rate that is given and one that the file tells may differ by this share
SLOWEST_TOLD = 2  # Hz; times that tell less count something else than seconds
LONGEST_STEP = 0.05, 2.5  # seconds, and typical steps, between times; where one is longer samples are missing
FEWEST_EVEN = 20  # numbers that rise by about the same step are times; no lead does so
MOST_EMPTY = 20  # an interrupted recording may last so many times as long as what was recorded

_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")
# \s is any space, the no-break ones too.
_RATE = re.compile(r"(?<!\d)(?<!\d[.,'’\s])(\d+(?:[.,]\d+)?)\s*(?:hertz|hz)\b", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d+[.,]\d{3}")
_IS_RATE = re.compile(r"sampl|\brate\b|\bfs\b", re.IGNORECASE)  # what stands beside one; filters have Hz, too
_UNIT = re.compile(r"[nµμu]?V|mV|(?:micro|milli)?volts?", re.IGNORECASE)
_LEAD = re.compile(r"(?:\w+\s)?(I{1,3}|aV[RLF]|V[1-6])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
_NAME = re.compile(r"(.*?)[\s_]*[\[(]([^\])]*)[\])]\s*")  # a column's name with its unit
_TIME = re.compile(r"(?:elapsed\W*)?time(?:\b|_).*|t|s|ms|sec|seconds?", re.IGNORECASE)
_PER_SECOND = {
    "": 1,
    "s": 1,
    "sec": 1,
    "second": 1,
    "seconds": 1,
    "ms": 1e3,
    "msec": 1e3,
    "us": 1e6,
    "µs": 1e6,
}
_PER_SECOND |= {"μs": 1e6, "milliseconds": 1e3, "microseconds": 1e6, "min": 1 / 60, "minutes": 1 / 60}
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")  # h:mm:ss.mmm or m:ss.mmm
_NO_LEAD = re.compile(r"date.*|timestamp.*|index|sample\W*#?|#|no\.?|nr\.?", re.IGNORECASE)


@dataclass(frozen=True)
class _Layout:
    """How a file is laid out: the lines before its numbers, its columns, and how numbers are written."""

    head: list[str]
    names: list[str]
    delimiter: str
    decimal: str
    times: int | None = None  # which column holds them

    @property
    def is_export(self) -> bool:
        """Whether lines with a name and a value stand before one column of numbers."""
        return not self.names


def read_csv_signal(
    path: Path, lead: str | None, rate: float | None, unit: str | None
) -> tuple[Signal, datetime.datetime | None]:
    """Read one lead of a CSV file.

    Parameters
    ----------
    path : pathlib.Path
    lead : str or None
        See :func:`leads.choose_lead`.
    rate : float or None
        Samples per second: instead of what a line of text tells, but not of what a column of times does.
    unit : str or None
        Instead of the unit that the file gives; without both it is mV.

    Returns
    -------
    signal : Signal
    start : datetime.datetime or None
        When it began, where the file tells.

    Raises
    ------
    InputError
        Where it is no such file, lacks the lead, or does not tell its rate and none is given, or tells two.
    """
    text = read_text(path, REMEDY, errors="replace")
    layout = _find_layout(text, path)
    column, name, told_unit = _find_column(layout, lead, path)
    steps = _steps(text, layout, path)
    timed = _rate_of(steps)
    told = [found for found in (*_told_rates(layout), timed) if found]
    fitting = [found for found in told if not rate or abs(found - rate) <= SAME_RATE * rate]
    if timed and not fitting:
        raise InputError(f"--rate {rate:g}: the times in {path} tell {timed:g} Hz; leave --rate out")
    if not rate and told and max(told) - min(told) > SAME_RATE * min(told):
        raise InputError(
            f"{path} tells several rates ({', '.join(f'{found:g}' for found in told)} Hz); say which is right: --rate HZ"
        )
    if not (told or rate):
        raise InputError(
            f"{path} does not tell its sampling rate: no line such as '500 Hz', no first column of times (named time, "
            "or with s, ms or us in brackets, or of h:mm:ss.mmm); give it: --rate HZ"
        )
    rate = fitting[0] if fitting else rate
    values = _part(_read_column(text, layout, column, path), steps, rate, path)
    values *= np.float32(factor(unit or told_unit or "mV"))
    gaps = bridge_gaps(values, f"{path}: lead {name}")
    return Signal(path.stem, name, rate, values, gaps), _start(layout.head)


def _find_column(layout: _Layout, lead: str | None, path: Path) -> tuple[int, str, str | None]:
    """Return the column to read, its lead's name and the unit that the file tells."""
    if layout.is_export:
        values = [_value(line) or line.rpartition(":")[2].strip(' "') for line in reversed(layout.head)]
        name = next((found[1] for value in values if (found := _LEAD.fullmatch(value))), "I")
        choose_lead([name], lead, str(path))
        return 0, name, next((value for value in values if _UNIT.fullmatch(value)), None)
    split = [_split(name) for name in layout.names]
    leads = [
        i
        for i, (name, _) in enumerate(split)
        if not (i == layout.times or _TIME.fullmatch(name) or _NO_LEAD.fullmatch(name))
    ]
    if not leads:
        raise InputError(f"{path} has no column of a lead, but {', '.join(layout.names)}; {REMEDY}")
    column = leads[choose_lead([split[i][0] for i in leads], lead, str(path))]
    name, unit = split[column]
    return column, short_name(name) or name, unit if _UNIT.fullmatch(unit) else None


def _split(name: str) -> tuple[str, str]:
    """Return a column's name without the unit in brackets, and that."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2].strip()) if found and found[1] else (name, "")


def _find_layout(text: str, path: Path) -> _Layout:
    """Find the first line of numbers, and what it and the lines before it say of the file."""
    beginning = text if len(text) <= BEGINNING else text[:BEGINNING].rpartition("\n")[0]
    head, lines = [], io.StringIO(beginning)
    for line in lines:
        line = line.strip("\r\n")
        if _is_numbers(line):
            return _lay_out(head, [line, *itertools.islice(lines, SAMPLE)], path)
        head.append(line)
        if len(head) > LONGEST_HEAD:
            break
    raise InputError(f"{path} has no line of numbers among its first {LONGEST_HEAD}; {REMEDY}")


def _is_numbers(line: str) -> bool:
    """Return whether a line holds samples: numbers, but perhaps for a time in its first column."""
    for delimiter in ";\t,":
        cells = [cell.strip(" '") for cell in next(csv.reader([line], delimiter=delimiter), [])]
        kinds = [bool(_NUMBER.fullmatch(cell)) for cell in cells]
        filled = [kind for kind, cell in zip(kinds, cells, strict=True) if cell not in EMPTY]
        if any(kinds) and all(filled[1:]) and (filled[0] or _is_time(cells[0])):
            return True
    return False


def _is_time(cell: str) -> bool:
    return bool(re.fullmatch(r"[\[]?[\d:.,TZ/ +-]*\d[\d:.,TZ/ +-]*[\]]?", cell))


def _lay_out(head: list[str], sample: list[str], path: Path) -> _Layout:
    """Return the layout of a file with these lines before its numbers, of which ``sample`` are the first lines."""
    above = next((text for text in reversed(head) if text.strip()), "")
    told = next((text for text in head if _rate_in(text)), None)
    numbers = "".join(sample)
    cells = max(_parts(line, ",") for line in sample)
    is_remark = bool(
        re.search("^#|[,;:\t]", above.strip()) or _IS_RATE.match(above) or _RATE.fullmatch(above.strip(' "'))
    )
    is_name = above != told and not is_remark
    if ";" in numbers or "\t" in numbers:
        delimiter = ";" if ";" in numbers else "\t"
        decimal = "," if "," in numbers and "." not in numbers else "."
    elif (
        told
        and not is_name
        and not (cells > 1 and _are_names(head[-1], cells))
        and (told != above or is_remark)
    ):
        return _Layout(head, [], _NONE, "," if "," in numbers else ".")
    elif cells == 2 and above and _parts(above, ",") == 1:  # one column, with decimal commas
        delimiter, decimal = _NONE, ","
    else:
        delimiter, decimal = (
            ",",
            "," if "." not in numbers and re.search(r'"[^",]*\d,\d[^",]*"', numbers) else ".",
        )
    cells = max(_parts(line, delimiter) for line in sample)
    rows = [
        [cell.strip(" '\"") for cell in next(csv.reader([line], delimiter=delimiter))]
        for line in head
        if line.strip()
    ]
    names = rows[-1] if rows else [f"column {i}" for i in range(cells)]
    if len(rows) > 1 and all(
        _UNIT.fullmatch(cell) for cell in names[1:] or names
    ):  # as rdsamp writes it: units below names
        names = [f"{name} ({unit})" for name, unit in zip(rows[-2], names, strict=False)]
    if len(names) != cells:
        hint = "; numbers with a comma need semicolons between the columns" if delimiter == "," else ""
        raise InputError(f"{path} has {len(names)} names above {cells} columns{hint}; {REMEDY}")
    return _Layout(head, names, delimiter, decimal, _find_times(names, sample, delimiter))


def _find_times(names: list[str], sample: list[str], delimiter: str) -> int | None:
    """Return which column holds times by its name, or the first by its unit or what is in it; None where none does."""
    split = [_split(name) for name in names]
    named = next((i for i, (name, _) in enumerate(split) if _TIME.fullmatch(name)), None)
    if named is not None or len(names) < 2:
        return named
    name, unit = split[0]
    if unit and unit.lower() in _PER_SECOND:
        return 0
    if _UNIT.fullmatch(unit) or _LEAD.search(name) or _NO_LEAD.fullmatch(name):
        return None
    cells = [
        next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [""])[0].strip(" '[]") for line in sample
    ]
    if all(_CLOCK.search(cell) for cell in cells):
        return 0
    if len(cells) < FEWEST_EVEN or not all(_NUMBER.fullmatch(cell) for cell in cells):
        return None
    steps = np.diff([float(cell.replace(",", ".")) for cell in cells])
    return 0 if (np.abs(steps - steps.mean()) < 0.5 * steps.mean()).all() else None


def _parts(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter), []))


def _value(line: str) -> str:
    """Return what stands behind the name of a line ``name,value``; a comma between digits parts nothing."""
    return (*re.split(r"[;\t]|(?<!\d),|,(?!\d)", line, maxsplit=1), "")[1].strip(' "')


def _are_names(line: str, cells: int) -> bool:
    """Return whether the line above numbers names so many columns, and is none of the watch's."""
    value = _value(line)
    return (
        bool(value) and _parts(line, ",") == cells and not (_UNIT.fullmatch(value) or _RATE.fullmatch(value))
    )


def _rate_in(line: str) -> float | None:
    """Return the rate that a line above the numbers tells, None where it tells none, or another frequency."""
    alone = _RATE.fullmatch(line.strip(' "')) or _RATE.fullmatch(_value(line))
    found = alone or (_IS_RATE.search(line) and _RATE.search(line))
    if not found:
        return None
    rate = float(found[1].replace(",", "."))
    # Too slow for an ECG: the sign parts thousands.
    return rate * 1000 if rate < SLOWEST_RATE and _THOUSANDS.fullmatch(found[1]) else rate


def _told_rates(layout: _Layout) -> list[float]:
    """Return the rates that the lines above the numbers tell, each once."""
    return list(dict.fromkeys(rate for line in layout.head if (rate := _rate_in(line))))


def _steps(text: str, layout: _Layout, path: Path) -> np.ndarray | None:
    """Return the seconds from each sample to the next by a column of times: float32; None where there is none."""
    if layout.times is None:
        return None
    name, unit = _split(layout.names[layout.times])
    word = unit.lower() or next(
        (word for word in re.split(r"[\W_]+", name.lower()) if word in _PER_SECOND and word), ""
    )
    try:
        times = _read_column(text, layout, layout.times, path, np.float64) / _PER_SECOND[word]
    except (InputError, KeyError):  # no numbers, or of an unknown unit
        times = _clock_times(_read_column(text, layout, layout.times, path, str))
    steps = np.diff(times).astype(np.float32)  # a day has 30 million
    usual = float(np.median(steps)) if len(steps) and (steps >= 0).all() else 0.0
    return steps if 0 < usual <= 1 / SLOWEST_TOLD else None


def _clock_times(cells: np.ndarray) -> np.ndarray:
    """Return the seconds that clock times tell, such as 1:02:03.456: float64, NaN where it is none."""
    import pandas

    parts = pandas.Series(cells, dtype=str).str.extract(_CLOCK)
    hours, minutes, seconds = (parts[i].str.replace(",", ".").astype(float).to_numpy() for i in range(3))
    return 3600 * np.nan_to_num(hours) + 60 * minutes + seconds


def _are_long(steps: np.ndarray) -> np.ndarray:
    """Return which steps between samples are so long that some are missing: bool, shape (samples - 1,)."""
    return steps > max(LONGEST_STEP[0], LONGEST_STEP[1] * float(np.median(steps)))


def _rate_of(steps: np.ndarray | None) -> float | None:
    """Return the rate by which samples follow one another; None where they do not do so evenly."""
    if steps is None:
        return None
    mean, middle = float(steps[~_are_long(steps)].mean(dtype=np.float64)), float(np.median(steps))
    if abs(mean - middle) >= 0.2 * middle:
        return None
    rate = 1 / mean  # right where times are rounded, but for its last digits
    return float(round(rate)) if abs(rate - round(rate)) < 1e-5 * rate else rate


def _part(values: np.ndarray, steps: np.ndarray | None, rate: float, path: Path) -> np.ndarray:
    """Return samples with NaN for those that are missing by the times."""
    long = np.flatnonzero(_are_long(steps[: len(values) - 1])) if steps is not None else []
    if not len(long):
        return values
    missing = np.maximum(np.rint(steps[long] * rate) - 1, 0)
    if missing.sum() > MOST_EMPTY * len(values) + 86400 * rate:
        raise InputError(
            f"{path} was interrupted for so long ({missing.sum() / rate / 3600:,.0f} hours) that it is no one recording; "
            "cut it into several files"
        )
    return np.insert(values, np.repeat(long + 1, missing.astype(np.int64)), np.nan)


def _read_column(text: str, layout: _Layout, column: int, path: Path, kind=np.float32) -> np.ndarray:
    """Return one column's numbers: of the type ``kind``, shape (samples,), NaN for cells without one."""
    import pandas

    try:
        table = pandas.read_csv(
            io.BytesIO(text.encode("utf-8", "replace")),  # StringIO takes four bytes for a character
            sep=layout.delimiter,
            decimal=layout.decimal,
            skiprows=len(layout.head),
            header=None,
            usecols=[column],
            na_values=EMPTY,
            keep_default_na=False,
            skip_blank_lines=False,  # one is a sample that is missing
            skipinitialspace=True,
            dtype=kind,
        )
    except (ValueError, pandas.errors.ParserError) as problem:
        where, fault = _first_fault(text, layout, column) or (f"below line {len(layout.head)}", problem)
        raise InputError(f"{path}, {where}: {fault}; mend the file, or {REMEDY}") from None
    values = table.iloc[:, 0].to_numpy(copy=True)
    empty = np.flatnonzero(~pandas.isna(values[::-1]))
    return values[: len(values) - (empty[0] if len(empty) else 0)]  # without empty lines at the end


def _first_fault(text: str, layout: _Layout, column: int) -> tuple[str, str] | None:
    """Return the first line with something else than a number in a column, and what is wrong with it."""
    for number, line in enumerate(io.StringIO(text), 1):
        if number > len(layout.head):
            cells = next(csv.reader([line.strip("\r\n")], delimiter=layout.delimiter), [])
            cell = cells[column].strip() if column < len(cells) else ""
            if cell not in EMPTY and not _NUMBER.fullmatch(cell):
                return f"line {number}", f"{cell[:40]!r} is no number"
    return None


def _start(head: list[str]) -> datetime.datetime | None:
    found = next((date for line in head if (date := _DATE.search(line))), None)
    try:
        return datetime.datetime.fromisoformat(found[0]) if found else None
    except ValueError:
        return None
