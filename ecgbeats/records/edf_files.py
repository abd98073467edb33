"""Reading EDF and EDF+ files (.edf), also those that were interrupted (EDF+D)."""

import datetime
import warnings
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.reading import open_file
from ecgbeats.records.leads import choose_lead, short_name
from ecgbeats.records.record import Signal, bridge_gaps
from ecgbeats.records.units import factor

import numpy as np

REMEDY = "copy it again, or export it again"
HEADER = 256  # bytes that every file begins with
MOST_EMPTY = 20  # an interrupted recording may last so many times as long as what was recorded


def read_edf(path: Path, lead: str | None, unit: str | None) -> tuple[Signal, datetime.datetime | None]:
    """Read one lead of an EDF file.

    Parameters
    ----------
    path : pathlib.Path
    lead : str or None
        See :func:`leads.choose_lead`.
    unit : str or None
        Instead of the unit that the file gives.

    Returns
    -------
    signal : Signal
        What was not recorded of an interrupted recording is a gap.
    start : datetime.datetime or None
        When it began, where the file tells.

    Raises
    ------
    InputError
        Where the file is none, or is cut short, or lacks the lead.
    """
    import edfio

    with open_file(path, REMEDY) as file:
        header = b"" if file is None else file.read(HEADER)
    if not header.startswith(b"0       ") or len(header) < HEADER:
        raise InputError(f"{path} is no EDF file, or there is none; {REMEDY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of records that are missing, which are counted here
            edf = edfio.read_edf(path, header_encoding="latin-1")
            claimed, found = int(header[236:244]), edf.num_data_records
            leads = edf.signals
            names = [signal.label for signal in leads]
        interrupted = header[192:197] == b"EDF+D" and not edf.is_continuous
        onsets = _onsets(edf) if interrupted else None
    except Exception as problem:  # edfio has no common error for what a file may hold
        raise InputError(f"{path} is no EDF file that can be read ({problem}); {REMEDY}") from problem
    if found < claimed or not found:
        raise InputError(f"{path} is cut short: it holds {found} of {claimed} data records; {REMEDY}")
    if not names:
        raise InputError(f"{path} holds no signal, annotations alone; choose another file")
    place = choose_lead(names, lead, str(path))
    chosen = leads[place]
    try:
        rate = float(chosen.sampling_frequency)
        values = chosen.data.astype(np.float32)
        dimension = chosen.physical_dimension
    except Exception as problem:
        raise InputError(f"{path}: lead {chosen.label} cannot be read ({problem}); {REMEDY}") from problem
    if onsets is not None:
        values = _place(values, onsets, rate, edf.data_record_duration, path)
    values *= np.float32(factor(unit or dimension))
    gaps = bridge_gaps(values, f"{path}: lead {chosen.label}")
    return Signal(
        path.stem, short_name(chosen.label) or chosen.label or f"signal {place}", rate, values, gaps
    ), _start(edf)


def _onsets(edf) -> np.ndarray:
    """Return when each data record begins, in seconds from the first: float64, shape (records,)."""
    # edfio tells whether a recording is continuous, but not where it is interrupted.
    from edfio.edf import _get_data_record_onset

    signal = edf._timekeeping_signal
    records = signal.digital.reshape(-1, signal._bytes_per_data_record)
    onsets = np.array([float(_get_data_record_onset(record)) for record in records])
    return onsets - onsets[0]


def _place(values: np.ndarray, onsets: np.ndarray, rate: float, duration: float, path: Path) -> np.ndarray:
    """Return the samples where they were taken, NaN for those between."""
    per_record = len(values) // len(onsets)
    starts = np.rint(onsets * rate).astype(np.int64)
    if (np.diff(starts) < per_record - 1).any():
        raise InputError(f"{path}: its data records overlap, or are not in order; {REMEDY}")
    if onsets[-1] > MOST_EMPTY * len(onsets) * duration + 86400:
        raise InputError(
            f"{path} was interrupted for so long ({onsets[-1] / 3600:,.0f} hours for {len(onsets) * duration / 3600:,.1f} "
            "recorded) that it is no one recording; cut it into several files"
        )
    placed = np.full(starts[-1] + per_record, np.nan, np.float32)
    for start, record in zip(starts.tolist(), values.reshape(len(onsets), per_record), strict=True):
        placed[start : start + per_record] = record
    return placed


def _start(edf) -> datetime.datetime | None:
    try:
        return edf.startdatetime
    except Exception:  # the date is left out, or is none
        return None
