"""Annotation files of WFDB records, by annot(5) of the WFDB Applications Guide.

wfdb.rdann is not used: it never ends where the first annotations hold a note that begins with ## and is neither a
time resolution nor a table of types, and it takes some milliseconds for a thousand beats.
"""

import argparse
import functools
import re
from pathlib import Path
from typing import NamedTuple

from ecgbeats.command import InputError
from ecgbeats.reading import read_file
from ecgbeats.records.headers import REMEDY
from ecgbeats.records.symbols import BEAT_SYMBOLS

import numpy as np

LARGEST_ANNOTATIONS = 2**28  # bytes
NOTE = (
    22  # the code of a comment; those of 0 to 41 stand for symbols, those of 59 to 63 for what is read here
)
SKIP, FIRST_MODIFIER, SUBTYPE, AUXILIARY = 59, 60, 61, 63
_TIME_RESOLUTION = re.compile(rb"## time resolution: (\d{1,9}\.?\d{0,15})")


class Marks(NamedTuple):
    """The beats of an annotation file, or all its annotations.

    Attributes
    ----------
    rate : float or None
        How many units of ``times`` a second has, where the file tells it.
    times : numpy.ndarray, int64, shape (beats,)
        Where each beat is annotated, rising.
    symbols : numpy.ndarray, str, shape (beats,)
        Each beat's annotation symbol, one of BEAT_SYMBOLS; of other annotations WFDB's, "" for what has none.
    subtypes : numpy.ndarray, int64, shape (beats,)
        What the file says more of each, 0 where it says nothing: of noise, which signals it is in.
    """

    rate: float | None
    times: np.ndarray
    symbols: np.ndarray
    subtypes: np.ndarray


def annotator_suffix(text: str) -> str:
    """Argparse type for the suffix of annotation files, with or without its dot."""
    suffix = text.removeprefix(".")
    if not re.fullmatch(r"[\w-]+", suffix):
        raise argparse.ArgumentTypeError(f"{text!r} is no suffix of annotation files, such as atr")
    return suffix


def read_marks(file: Path, beats_alone: bool = True) -> Marks:
    """Return the beats of an annotation file, or all in it. Raises InputError where it is missing, cut short or none.

    Codes that WFDB does not define, and texts in any encoding, are passed over.
    """
    content = read_file(file, REMEDY, LARGEST_ANNOTATIONS)
    if content is None:
        raise InputError(f"{file} is missing: {REMEDY}")
    if len(content) % 2 or content[-2:] != b"\0\0":
        raise InputError(
            f"{file} is cut short or is no annotation file (its closing zero is missing); {REMEDY}"
        )
    rate, times, codes, subtypes = _parse(content, file)
    if (np.diff(times) < 0).any() or (times < 0).any():
        raise InputError(f"{file} has annotations that go backwards; {REMEDY}")
    symbols, are_beats = _symbols()
    kept = are_beats[codes] if beats_alone else slice(None)
    return Marks(rate, times[kept], symbols[codes][kept], subtypes[kept])


def convert(times: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Return the nearest samples at another rate: int64, shape (beats,)."""
    if from_rate == to_rate:
        return times
    return np.floor(times * (to_rate / from_rate) + 0.5).astype(np.int64)


def _parse(content: bytes, file: Path) -> tuple[float | None, np.ndarray, np.ndarray, np.ndarray]:
    """Return the file's time resolution in Hz, or None, and the time, code and subtype of each annotation."""
    words = np.frombuffer(content, "<u2").tolist()
    rate, time, times, codes, subtypes = None, 0, [], [], {}
    place, end = 0, len(words)
    try:
        while place < end and words[place]:
            code, value = words[place] >> 10, words[place] & 1023
            place += 1
            if code == SKIP:  # 32 bits, signed, the higher word first
                skipped = words[place] << 16 | words[place + 1]
                time += skipped - (skipped >> 31 << 32)
                place += 2
            elif code == AUXILIARY:  # so many bytes of text, and one more where that is odd
                length = value & 255
                found = _TIME_RESOLUTION.match(content, 2 * place, 2 * place + length)
                if found and codes[-1:] == [NOTE] and times[-1] == 0 and rate is None:
                    rate = float(found[1]) or None
                place += (length + 1) // 2
            elif code == SUBTYPE and codes:
                subtypes[len(codes) - 1] = value
            elif code < FIRST_MODIFIER:  # the others (60, 62) say more of the one before
                time += value
                times.append(time)
                codes.append(code)
    except IndexError:
        place = end + 1
    if place >= end:
        raise InputError(
            f"{file} is cut short or is no annotation file (it ends amid an annotation); {REMEDY}"
        )
    if any(words[place:]):  # zeros alone may follow the closing one, to fill a block
        raise InputError(
            f"{file} is corrupt or is no annotation file (its closing zero is not its end); {REMEDY}"
        )
    told = np.zeros(len(codes), np.int64)
    told[list(subtypes)] = list(subtypes.values())
    return rate, np.array(times, np.int64), np.array(codes, np.int64), told


@functools.cache
def _symbols() -> tuple[np.ndarray, np.ndarray]:
    """Return the symbol of each code ("" for none) and whether it marks a beat: str and bool, both of shape (64,)."""
    from wfdb.io.annotation import ann_labels

    symbols = np.full(64, "", "<U1")
    for label in ann_labels:
        symbols[label.label_store] = label.symbol.strip()
    return symbols, np.isin(symbols, list(BEAT_SYMBOLS))
