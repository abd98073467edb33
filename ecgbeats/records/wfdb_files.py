"""Reading WFDB records (.hea .dat .atr), with the checks that wfdb does not make."""

import errno
import os
import re
from pathlib import Path
from typing import BinaryIO

from ecgbeats.command import InputError
from ecgbeats.reading import list_folder, open_file, read_file
from ecgbeats.records.record import Record
from ecgbeats.records.symbols import BEAT_SYMBOLS

import numpy as np

FLAC_FORMATS = ("508", "516", "524")
REMEDY = "fetch it again, or leave the record out with --records"
LARGEST_HEADER = 2**20  # bytes
MOST_SIGNALS = 1000  # wfdb reads some hundred lines of a header a second
LARGEST_ANNOTATIONS = 2**28  # bytes
SLOWEST_RATE, FASTEST_RATE = 1, 1_000_000  # Hz
# The first line of a header, header(5) of the WFDB Applications Guide; wfdb knows no exponents.
_RECORD_LINE = r"[\w-]+(?P<segments>/\d*)?\s+(?P<signals>[0-9]{1,9})(?:\s+(?P<rate>[^\s/(]+)\S*(?:\s.*)?)?"
_PLAIN_NUMBER = r"[0-9]+\.?[0-9]*|\.[0-9]+"


def find_records(folder: str | Path, remedy: str = "give a folder of WFDB records") -> list[str]:
    """Return the names of the WFDB records in ``folder`` (not below it), sorted.

    PhysioNet's copy of MIT-BIH holds a sub-folder of records that are not part of the database. Raises InputError,
    ending in ``remedy``, where there is no such folder, and for a name that is no UTF-8.
    """
    files = [entry.name for entry in list_folder(folder, str(folder), remedy)]
    names = sorted(name.removesuffix(".hea") for name in files if name.endswith(".hea"))
    for name in names:
        if not name.isascii() and any("\udc80" <= character <= "\udcff" for character in name):
            raise InputError(f"{folder} has a record {name!r}, whose name is no UTF-8; rename its files")
    return names


def read_header(path: str | Path) -> bytes:
    """Return the content of a record's header, the path without a suffix, having looked at its first line.

    wfdb takes what it cannot read there for what is not there, and makes room for as many signals as are claimed.
    Raises InputError where there is no such file, or wfdb would read something else than it says.
    """
    file = Path(f"{path}.hea")
    content = read_file(file, REMEDY, LARGEST_HEADER)
    if content is None:
        raise InputError(f"{file} does not exist: check the record's name")
    lines = [line.strip() for line in content.decode("ascii", "replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    fields = re.fullmatch(_RECORD_LINE, lines[0]) if lines else None
    if not fields:
        raise _bad_file(file, "is not a WFDB header")
    if fields["segments"]:
        raise InputError(f"{file} has several segments; join them first (wfdb.rdrecord, wfdb.wrsamp)")
    if int(fields["signals"]) > min(len(lines) - 1, MOST_SIGNALS):
        raise _bad_file(
            file,
            f"claims {fields['signals']} signals and describes {len(lines) - 1} (at most {MOST_SIGNALS:,d} are read)",
        )
    rate = fields["rate"]
    if rate and not (re.fullmatch(_PLAIN_NUMBER, rate) and SLOWEST_RATE <= float(rate) <= FASTEST_RATE):
        raise InputError(
            f"{file} gives {rate} as sampling rate, which is not within {SLOWEST_RATE} to {FASTEST_RATE:,d} Hz: "
            "mend the file, or leave the record out"
        )
    return content


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
    read_header(path)
    try:
        header = wfdb.rdheader(str(path))
    except Exception as problem:  # wfdb has no common error for what a header may hold
        raise _bad_file(header_file, "is not a WFDB header", problem) from problem
    if not header.n_sig or not header.sig_name:
        raise InputError(f"{header_file} describes no signals: fetch the file again, or leave the record out")

    content = read_file(annotation_file, REMEDY, LARGEST_ANNOTATIONS)
    if content is None:
        raise InputError(f"{annotation_file} is missing: {REMEDY}")
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
    if lead.isascii() and lead.isdigit() and len(lead) < 10 and int(lead) < len(names):
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
    _check_signal_files(Path(path).parent, header)
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
    _check_scale(signal[~gaps, channel], millivolts[~gaps], record, channel, Path(f"{path}.hea"))
    if gaps.any():
        millivolts[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), millivolts[~gaps])
    return Record(
        header.record_name, record.sig_name[channel], float(record.fs), millivolts, samples, symbols
    )


def _check_signal_files(folder: Path, header) -> None:
    """Raise InputError for a signal file that is missing or no file, or too short for what its header claims.

    wfdb makes room for what is claimed before it reads.
    """
    frames = header.samps_per_frame or [1] * header.n_sig
    for name in dict.fromkeys(header.file_name):
        with open_file(folder / name, REMEDY) as file:
            if file is None:
                raise InputError(f"{folder / name} is missing: {REMEDY}")
            held = os.fstat(file.fileno()).st_size  # all formats but FLAC take a byte or more for a sample
            channels = [i for i, other in enumerate(header.file_name) if other == name]
            if header.fmt[channels[0]] in FLAC_FORMATS:
                held = _flac_samples(file)
        claimed = (header.sig_len or 0) * sum(frames[i] for i in channels)
        if max(claimed, *(header.skew[i] or 0 for i in channels)) > held:
            raise _bad_file(
                folder / name, f"is cut short: it does not hold the {claimed:,d} samples of its header"
            )


def _flac_samples(file: BinaryIO) -> int:
    """Return how many samples a FLAC file says it holds, of all its channels together; 0 if it is none."""
    import soundfile

    try:
        about = soundfile.info(file)
    except soundfile.SoundFileError:
        return 0
    return about.frames * about.channels


def _check_scale(digital: np.ndarray, millivolts: np.ndarray, header, channel: int, file: Path) -> None:
    """Raise InputError where a lead's gain or baseline is so absurd that its millivolts do not tell the samples apart.

    ``digital`` and ``millivolts`` hold its valid samples, in the signal file's units and as float32; ``file`` is the header's.
    """
    digital = digital.astype(np.float64) - digital[0]
    with np.errstate(all="ignore"):
        shown = (millivolts.astype(np.float64) - millivolts[0]) * header.adc_gain[channel]
        error = np.abs(shown - digital).max()
    if not error <= np.ptp(digital) / 100:
        raise InputError(
            f"{file} gives lead {header.sig_name[channel]} the gain {header.adc_gain[channel]:g} and "
            f"the baseline {header.baseline[channel]}, which leave nothing of its signal; mend the file, or leave the "
            "record out with --records"
        )


def _bad_file(path: Path, fault: str, cause: Exception | None = None) -> InputError:
    """Return the error for a broken file of a record; raise the cause itself where that is not in the file."""
    if isinstance(cause, MemoryError) or getattr(cause, "errno", None) in (errno.EMFILE, errno.ENFILE):
        raise cause
    detail = f" ({cause})" if cause and str(cause) else ""
    return InputError(f"{path} {fault}{detail}; {REMEDY}")
