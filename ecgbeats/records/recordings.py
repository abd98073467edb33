"""Anybody's recording: one lead of a WFDB record, an EDF file or a CSV file, in millivolts, ready to look for beats."""

import datetime
from dataclasses import dataclass, replace
from pathlib import Path

from ecgbeats.command import SIMULATED_NOTICE, InputError
from ecgbeats.records.annotations import convert, read_marks
from ecgbeats.records.csv_files import SAME_RATE, read_csv_signal
from ecgbeats.records.edf_files import read_edf
from ecgbeats.records.headers import Header, read_header
from ecgbeats.records.leads import choose_lead
from ecgbeats.records.qrs_band import SLOWEST_RATE
from ecgbeats.records.record import Signal, bridge_gaps
from ecgbeats.records.units import check_level, factor
from ecgbeats.records.wfdb_files import read_signal

import numpy as np

SHORTEST_SECONDS = 10
# A lead that gives the same value for so long is off, or at its limit, and measures nothing. On the 126 records of MIT-BIH
# the longest such stretch lasts 0.8 s, at the recorder's limit, the next 0.16 s.
SHORTEST_LEVEL = 1.0  # seconds
TABLES = (".csv", ".tsv", ".txt")
OF_WFDB = (".hea", ".dat", ".atr")


@dataclass(frozen=True)
class Recording:
    """A signal with where it comes from.

    Attributes
    ----------
    path : pathlib.Path
        The file, or a WFDB record's path without a suffix.
    signal : Signal
    first : int
        Which sample of the recording the signal begins with.
    start : datetime.datetime or None
        When that sample was taken, where the file tells.
    said : tuple of str
        What was done to read it, for the user.
    """

    path: Path
    signal: Signal
    first: int
    start: datetime.datetime | None
    said: tuple[str, ...]


def find_recording(name: str | Path) -> Path:
    """Return the file that a user means, or a WFDB record's path without a suffix.

    Raises InputError where there is neither.
    """
    path = Path(name)
    if path.suffix in OF_WFDB and path.with_suffix(".hea").is_file():
        return path.with_suffix("")
    if path.with_name(f"{path.name}.hea").is_file():
        return path
    if path.suffix.lower() in (".edf", *TABLES) and path.exists():
        return path
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the recordings in it, such as {path}/NAME.edf")
    raise InputError(
        f"{path} is no recording: there is no WFDB record of that name (.hea), and no EDF or CSV file (.edf, .csv, .tsv, "
        ".txt)"
    )


def read_recording(
    path: Path,
    lead: str | None = None,
    rate: float | None = None,
    unit: str | None = None,
    limits: tuple[float, float] = (0.0, np.inf),
) -> Recording:
    """Read a stretch of one lead.

    Parameters
    ----------
    path : pathlib.Path
        As :func:`find_recording` returns it.
    lead : str, optional
        See :func:`leads.choose_lead`.
    rate : float, optional
        Samples per second, where the file does not tell.
    unit : str, optional
        Instead of the file's.
    limits : (float, float)
        The stretch, in seconds from the recording's start.

    Raises
    ------
    InputError
        Where the file cannot be read, lacks the lead, or holds there no signal that could be an ECG.
    """
    start, simulated = None, False
    if path.suffix.lower() == ".edf":
        signal, start = read_edf(path, lead, unit)
    elif path.suffix.lower() in TABLES:
        signal, start = read_csv_signal(path, lead, rate, unit)
    else:
        signal, header = _read_wfdb(path, lead, unit)
        simulated = header.is_simulated
    if rate and abs(signal.rate - rate) > SAME_RATE * rate:
        raise InputError(f"--rate {rate:g}: {path} tells a rate of {signal.rate:g} Hz; leave --rate out")
    if signal.rate < SLOWEST_RATE:
        raise InputError(
            f"{path} has {signal.rate:g} samples a second, too few to tell beats from one another ({SLOWEST_RATE} are "
            "needed); choose another lead or file"
        )
    first, signal = _cut(_without_levels(signal), path, limits)
    if start is not None:
        start += datetime.timedelta(seconds=first / signal.rate)
    by, said = check_level(
        signal.millivolts, signal.rate, signal.gaps, f"{path}: lead {signal.lead}", unit is not None
    )
    if by != 1:
        signal = replace(signal, millivolts=signal.millivolts * np.float32(by))
    told = [f"The record is {SIMULATED_NOTICE}."] * simulated + [said] * bool(said)
    return Recording(path, signal, first, start, tuple(told))


def _read_wfdb(path: Path, lead: str | None, unit: str | None) -> tuple[Signal, Header]:
    header = read_header(path)
    channel = choose_lead([line.description for line in header.signals], lead, f"{path}.hea")
    names = [line.description for line in header.signals]
    signal = read_signal(
        path, names[channel] if names.index(names[channel]) == channel and names[channel] else str(channel)
    )
    if unit:
        by = factor(unit) / factor(header.signals[channel].unit)
        signal = replace(signal, millivolts=signal.millivolts * np.float32(by))
    return signal, header


def _without_levels(signal: Signal) -> Signal:
    """Return a signal whose stretches of one value are gaps: a recorder's mark for nothing may be -32,768."""
    values = signal.millivolts
    edges = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])
    long = np.diff(edges) >= SHORTEST_LEVEL * signal.rate
    if not long.any() or long.all():  # what is flat altogether is told as that
        return signal
    millivolts, gaps = values.copy(), signal.gaps.copy()
    for start, end in zip(edges[:-1][long].tolist(), edges[1:][long].tolist(), strict=True):
        millivolts[start:end] = np.nan
        gaps[start:end] = True
    bridge_gaps(millivolts, signal.name)
    return replace(signal, millivolts=millivolts, gaps=gaps)


def _cut(signal: Signal, path: Path, limits: tuple[float, float]) -> tuple[int, Signal]:
    """Return the first sample of a stretch, and the stretch. Raises InputError where it is too short."""
    length, rate = len(signal.millivolts), signal.rate
    if limits[0] * rate >= length:
        raise InputError(
            f"--from {limits[0]:g} s lies behind the end of {path} ({length / rate:,.1f} s); begin earlier"
        )
    first, end = round(limits[0] * rate), min(length, round(min(limits[1] * rate, length)))
    if end - first <= SHORTEST_SECONDS * rate:
        raise InputError(
            f"{path} has {max(0, end - first) / rate:.1f} s to look at, and more than {SHORTEST_SECONDS} are needed; give "
            "a longer recording, or a longer stretch of it (--from, --to)"
        )
    return first, replace(signal, millivolts=signal.millivolts[first:end], gaps=signal.gaps[first:end])


def read_beats(recording: Recording, annotator: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where beats are annotated in a recording's stretch, and as what.

    Samples of the stretch, int64, rising, each once; and the annotation symbol of each, str of that shape. The
    annotation file lies beside the recording, with the suffix ``annotator``.
    Raises InputError where there is none, or it has no beat there.
    """
    path, signal = recording.path, recording.signal
    stem = path if is_wfdb(path) else path.with_suffix("")
    marks = read_marks(Path(f"{stem}.{annotator}"))
    counted = marks.rate or (read_header(path).rate if is_wfdb(path) else signal.rate)
    samples = convert(marks.times, counted, signal.rate) - recording.first
    within = (samples >= 0) & (samples < len(signal.millivolts))
    samples, index = np.unique(samples[within], return_index=True)
    if not len(samples):
        raise InputError(f"{stem}.{annotator} has no beat in what is looked at; choose another --beats")
    return samples, marks.symbols[within][index]


def is_wfdb(path: Path) -> bool:
    """Return whether a path that find_recording returned is a WFDB record's."""
    return path.suffix.lower() not in (".edf", *TABLES)
