"""WFDB records (.hea .dat .atr): which a folder holds, a lead's signal, its beats, or both."""

from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.reading import list_folder
from ecgbeats.records.annotations import convert, read_marks
from ecgbeats.records.headers import find_lead, read_header
from ecgbeats.records.record import Beats, Record, Signal, bridge_gaps
from ecgbeats.records.signals import find_group, read_millivolts

import numpy as np

ANNOTATOR = "atr"  # that of PhysioNet's reference annotations
MILLIVOLTS = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "μV": 1e-3, "nV": 1e-6}  # in one of these units


def find_records(folder: str | Path, remedy: str = "give a folder of WFDB records") -> list[str]:
    """Return the names of the WFDB records in ``folder`` (not below it), sorted.

    PhysioNet's copy of MIT-BIH holds a sub-folder of records that are not part of the database, and macOS leaves
    ``._NAME.hea`` beside ``NAME.hea``. Raises InputError, ending in ``remedy``, where there is no such folder, and for
    a name that is no UTF-8.
    """
    files = [entry.name for entry in list_folder(folder, str(folder), remedy)]
    names = sorted(
        name.removesuffix(".hea") for name in files if name.endswith(".hea") and not name.startswith(".")
    )
    for name in names:
        if not name.isascii() and any("\udc80" <= character <= "\udcff" for character in name):
            raise InputError(f"{folder} has a record {name!r}, whose name is no UTF-8; rename its files")
    return names


def read_signal(path: str | Path, lead: str | None = None) -> Signal:
    """Read one lead of a WFDB record, at its own rate. It needs no annotations.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix; ``.hea`` and the lead's signal file lie there.
    lead : str, optional
        A name or an index from 0 (default MLII, else the first; see :func:`headers.find_lead`).

    Raises
    ------
    InputError
        Where a file is missing, cut short or corrupt, or the record lacks the lead.
    """
    header = read_header(path)
    channel = find_lead(header, lead)
    rate = header.lead_rate(channel)
    millivolts = read_millivolts(header, channel)
    gaps = bridge_gaps(millivolts, f"{header.file}: lead {header.lead_name(channel)}")
    factor = MILLIVOLTS.get(header.signals[channel].unit, 1.0)
    if factor != 1:
        millivolts *= np.float32(factor)
    return Signal(header.name, header.lead_name(channel), rate, millivolts, gaps)


def read_annotations(path: str | Path, annotator: str = ANNOTATOR, lead: str | None = None) -> Beats:
    """Read the annotations of a record's beats, in samples of one of its leads.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix.
    annotator : str
        The annotation file's suffix.
    lead : str, optional
        As for :func:`read_signal`.

    Raises
    ------
    InputError
        Where a file is missing, or is not what its name says, or the record lacks the lead.
    """
    header = read_header(path)
    channel = find_lead(header, lead)
    rate = header.lead_rate(channel)
    marks = read_marks(Path(f"{path}.{annotator}"))
    # annot(5): times count samples at the record's rate, but where the file names another.
    samples = convert(marks.times, marks.rate or header.rate, rate)
    if header.frames:
        length = header.frames * header.signals[channel].per_frame
    else:
        length = find_group(header, channel).frames * header.signals[channel].per_frame
    within = samples < length
    behind = len(samples) - int(within.sum())
    return Beats(header.lead_name(channel), rate, samples[within], marks.symbols[within], behind)


def read_record(
    path: str | Path, lead: str | None = None, annotator: str = ANNOTATOR, beats: Beats | None = None
) -> Record:
    """Read one lead of a WFDB record and its beats.

    ``path``, ``lead``, ``annotator`` and errors are as for :func:`read_signal` and :func:`read_annotations`; ``beats``
    is what the latter returned, if it was called before.
    """
    beats = beats or read_annotations(path, annotator, lead)
    signal = read_signal(path, lead)
    return Record(signal.name, signal.lead, signal.rate, signal.millivolts, beats.samples, beats.symbols)
