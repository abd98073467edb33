"""Reading WFDB records (.hea .dat .atr), with the checks that wfdb does not make."""

from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.records.record import Record
from ecgbeats.records.symbols import BEAT_SYMBOLS

import numpy as np


def find_records(folder: str | Path) -> list[str]:
    """Return the names of the WFDB records in ``folder`` (not below it), sorted.

    PhysioNet's copy of MIT-BIH holds a sub-folder of records that are not part of the database.
    """
    return sorted(header.stem for header in Path(folder).glob("*.hea"))


def read_annotations(path: str | Path):
    """Read a record's header and the annotations of its beats.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix, as wfdb takes it.

    Returns
    -------
    header : wfdb.Record
    samples : numpy.ndarray, int64, shape (beats,)
    symbols : numpy.ndarray, str, shape (beats,)

    Raises
    ------
    InputError
        Where a file is missing, or is not what its name says. wfdb reads an annotation file that was cut
        short without a word, so its closing zero word and the order of its samples are looked at here.
    """
    import wfdb

    header_file, annotation_file = Path(f"{path}.hea"), Path(f"{path}.atr")
    if not header_file.is_file():
        raise InputError(f"{header_file} does not exist: check the record's name")
    try:
        header = wfdb.rdheader(str(path))
    except Exception as problem:  # wfdb has no common error for what a header may hold
        raise _bad_file(header_file, "is not a WFDB header", problem) from problem
    if not isinstance(header, wfdb.Record):
        raise InputError(f"{header_file} has several segments; join them first (wfdb.rdrecord, wfdb.wrsamp)")
    if not header.n_sig or not header.sig_name:
        raise InputError(f"{header_file} describes no signals: fetch the file again, or leave the record out")
    if not (header.fs and np.isfinite(header.fs) and header.fs > 0):
        raise InputError(
            f"{header_file} gives {header.fs} as sampling rate: mend the file, or leave the record out"
        )

    if not annotation_file.is_file():
        raise InputError(f"{annotation_file} is missing: fetch it, or leave the record out with --records")
    content = annotation_file.read_bytes()
    if len(content) % 2 or content[-2:] != b"\0\0":
        raise _bad_file(
            annotation_file, "is cut short or is no annotation file (its closing zero is missing)"
        )
    try:
        annotation = wfdb.rdann(str(path), "atr")
    except Exception as problem:
        raise _bad_file(annotation_file, "is not a WFDB annotation file", problem) from problem
    samples = np.asarray(annotation.sample, dtype=np.int64)
    if annotation.fs and annotation.fs != header.fs:
        raise InputError(
            f"{annotation_file} counts at {annotation.fs} Hz, but {header_file.name} at {header.fs} Hz"
        )
    if (np.diff(samples) < 0).any() or (samples < 0).any():
        raise _bad_file(annotation_file, "has annotations that go backwards")
    if header.sig_len is not None and (samples >= header.sig_len).any():
        raise _bad_file(annotation_file, f"has annotations beyond the record's {header.sig_len} samples")
    symbols = np.asarray(annotation.symbol, dtype=str)
    beats = np.isin(symbols, list(BEAT_SYMBOLS))
    return header, samples[beats], symbols[beats]


def find_lead(header, lead: str | None) -> int:
    """Return the channel of ``header`` (a wfdb.Record) that ``lead`` means.

    ``lead`` is a channel's name, or its index from 0; None is MLII where the record has it, else the first
    channel. Raises InputError if the record lacks it.
    """
    names = header.sig_name
    if lead is None:
        return names.index("MLII") if "MLII" in names else 0
    if lead in names:
        return names.index(lead)
    if lead.isascii() and lead.isdigit() and int(lead) < len(names):
        return int(lead)
    raise InputError(
        f"--lead {lead}: record {header.record_name} has no such lead, it has {', '.join(names)}; "
        "choose one that all records have, or name the records with --records"
    )


def read_record(path: str | Path, lead: str | None = None, annotations: tuple | None = None) -> Record:
    """Read one lead of a WFDB record and its beats.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix; ``.hea``, ``.atr`` and the signal file lie there.
    lead : str, optional
        See :func:`find_lead`.
    annotations : tuple, optional
        What :func:`read_annotations` returned for it, if that was called before.

    Raises
    ------
    InputError
        Where a file is missing, cut short or corrupt. wfdb does not compare the header's checksums with the
        signals, so that is done here.
    """
    import wfdb

    header, samples, symbols = annotations or read_annotations(path)
    channel = find_lead(header, lead)
    signal_file = Path(path).parent / header.file_name[channel]
    if not signal_file.is_file():
        raise InputError(f"{signal_file} is missing: fetch it, or leave the record out with --records")
    try:
        record = wfdb.rdrecord(str(path), physical=False)
        signal = record.d_signal
        frame_sizes = set(record.samps_per_frame or [1])
        found = record.calc_checksum() if frame_sizes == {1} else None
        lead_alone = wfdb.Record(
            d_signal=signal[:, [channel]],
            fmt=[record.fmt[channel]],
            adc_gain=[record.adc_gain[channel]],
            baseline=[record.baseline[channel]],
        )
        millivolts = lead_alone.dac(return_res=32)[:, 0]
    except Exception as problem:
        raise _bad_file(signal_file, "cannot be read, it is cut short or corrupt", problem) from problem
    if header.sig_len is not None and len(millivolts) != header.sig_len:
        raise _bad_file(
            signal_file, f"holds {len(millivolts)} samples where the header says {header.sig_len}"
        )
    # The header's checksum is the sum of a signal's samples in 16 bits, signed or not (WFDB header(5)).
    for name, file, expected, sum_ in zip(
        record.sig_name, record.file_name, record.checksum or [], found or [], strict=False
    ):
        if expected is not None and (expected - sum_) % 65536:
            raise _bad_file(Path(path).parent / file, f"is corrupt: lead {name} does not match its checksum")
    if len(samples) and samples[-1] >= len(millivolts):
        raise _bad_file(Path(f"{path}.atr"), f"has annotations beyond the record's {len(millivolts)} samples")
    gaps = np.isnan(millivolts)
    if gaps.all():
        raise InputError(
            f"{signal_file}: lead {record.sig_name[channel]} holds no valid sample; choose another --lead"
        )
    if gaps.any():
        millivolts[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), millivolts[~gaps])
    return Record(
        header.record_name, record.sig_name[channel], float(record.fs), millivolts, samples, symbols
    )


def _bad_file(path: Path, fault: str, cause: Exception | None = None) -> InputError:
    """Return the error for a broken file of a record."""
    detail = f" ({cause})" if cause and str(cause) else ""
    return InputError(f"{path} {fault}{detail}; fetch it again, or leave the record out with --records")
