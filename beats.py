"""What a beat and its image are: classes, records, windows and the drawn line.

The method is that of Jun et al. 2018 (arXiv:1804.06812): one beat is the plotted signal between its
neighbours, as a 128x128 grayscale image. Every fact about it stands here once; the other files import it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from command import InputError

import cv2
import numpy as np

IMAGE_SIZE = 128  # pixels, both ways
MARGIN_SECONDS = 20 / 360  # left out beside a neighbour's annotation: 20 samples at 360 Hz
PAPER = 255  # gray level of the background; the line is 0

# WFDB's annotation symbols (physionet.org/physiobank/annotations.shtml) by class, in the paper's order.
CLASSES = {
    "paper": {"NOR": "N", "PVC": "V", "PAB": "/", "RBB": "R", "LBB": "L", "APC": "A", "VFW": "!", "VEB": "E"},
    "aami": {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"},
}
# All symbols that mark a beat: the neighbours that end a window, whatever classes are drawn.
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?!")


@dataclass(frozen=True)
class Record:
    """One lead of one record with its beats.

    Attributes
    ----------
    name : str
    lead : str
        The channel's name in the header, such as MLII.
    rate : float
        Samples per second.
    signal : numpy.ndarray, float32, shape (samples,)
        The lead in millivolts (or the header's unit); gaps are interpolated.
    samples : numpy.ndarray, int64, shape (beats,)
        Where each beat is annotated, rising.
    symbols : numpy.ndarray, str, shape (beats,)
        Each beat's annotation symbol, one of BEAT_SYMBOLS.
    """

    name: str
    lead: str
    rate: float
    signal: np.ndarray
    samples: np.ndarray
    symbols: np.ndarray


def symbol_classes(scheme: str) -> dict[str, str]:
    """Return the class of each annotation symbol under ``scheme`` ("paper" or "aami")."""
    return {symbol: name for name, symbols in CLASSES[scheme].items() for symbol in symbols}


def image_name(record: str, sample: int) -> str:
    """Return the file name of a beat's image; :func:`parse_image_name` reads it back."""
    return f"{record}_{sample}.png"


def parse_image_name(name: str | Path) -> tuple[str, int] | None:
    """Return (record, sample) of an image file's name or path, or None if it is not of that form.

    A record's name may itself hold ``_``, so the last one parts it from the sample.
    """
    record, _, sample = os.path.splitext(os.path.basename(name))[0].rpartition("_")
    return (record, int(sample)) if record and sample.isascii() and sample.isdigit() else None


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


def read_record(path: str | Path, lead: str | None = None) -> Record:
    """Read one lead of a WFDB record and its beats.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix; ``.hea``, ``.atr`` and the signal file lie there.
    lead : str, optional
        See :func:`find_lead`.

    Raises
    ------
    InputError
        Where a file is missing, cut short or corrupt. wfdb does not compare the header's checksums with the
        signals, so that is done here.
    """
    import wfdb

    header, samples, symbols = read_annotations(path)
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


def windows(samples: np.ndarray, rate: float, length: int) -> np.ndarray:
    """Return where each beat's window starts and ends.

    A window runs from the previous beat's annotation plus the margin to the next beat's minus the margin;
    the first starts at sample 0, the last ends with the record. Between beats so close that the margin
    would pass the beat itself the margin shrinks, so that a window always holds its own beat.

    Parameters
    ----------
    samples : numpy.ndarray of int, shape (beats,)
        The annotations of all beats of a record, rising (equal ones share their neighbours).
    rate : float
        Samples per second.
    length : int
        The record's number of samples.

    Returns
    -------
    numpy.ndarray, int64, shape (beats, 2)
        First sample, and the one behind the last.

    Source: the paper's section 2.1, with the margin of its public implementations.
    """
    samples = np.asarray(samples, dtype=np.int64)
    places, index = np.unique(samples, return_inverse=True)
    gaps = np.diff(places)
    margin = np.minimum(max(1, round(MARGIN_SECONDS * rate)), gaps - 1)
    starts = np.concatenate([[0], places[:-1] + margin])
    ends = np.concatenate([places[1:] - margin, [length]])
    return np.stack([starts, ends], axis=1)[index] if len(samples) else np.empty((0, 2), np.int64)


# cv2 takes coordinates as whole numbers with this many fractional bits.
_FRACTION_BITS = 8
# White pixels left free above and below, so that the line's own width is not cut off.
_BORDER = 2.0


def draw(signal: np.ndarray) -> np.ndarray:
    """Draw one window of a signal as the paper does: a dark line on white, stretched to the image.

    The window's first and last sample lie on the left and right edge, its lowest and highest value near
    the lower and upper edge; a flat signal is a level line in the middle.

    Parameters
    ----------
    signal : numpy.ndarray of float, shape (samples,)
        At least one sample, all finite, in any unit.

    Returns
    -------
    numpy.ndarray, uint8, shape (128, 128)
        255 is background.
    """
    scale = 1 << _FRACTION_BITS
    low, high = float(signal.min()), float(signal.max())
    points = np.empty((max(len(signal), 2), 1, 2), np.int32)
    points[:, 0, 0] = np.linspace(0, (IMAGE_SIZE - 1) * scale, len(points))
    if high > low:
        # In float64 and divided first, so that the faintest signal does not overflow.
        depth = (high - signal.astype(np.float64)) / (high - low)
        points[:, 0, 1] = np.rint(depth * ((IMAGE_SIZE - 1 - 2 * _BORDER) * scale) + _BORDER * scale)
    else:
        points[:, 0, 1] = (IMAGE_SIZE - 1) * scale // 2
    image = np.full((IMAGE_SIZE, IMAGE_SIZE), PAPER, np.uint8)
    cv2.polylines(image, [points], False, 0, 1, cv2.LINE_AA, _FRACTION_BITS)
    return image
