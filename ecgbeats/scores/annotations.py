"""All annotations of a WFDB file, not the beats alone: what the standard's comparison needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.reading import read_file
from ecgbeats.records.annotations import LARGEST_ANNOTATIONS
from ecgbeats.records.headers import read_header

import numpy as np

REMEDY = "fetch it again, or name another"


@dataclass(frozen=True)
class Annotations:
    """All annotations of one annotator, in the file's order.

    Attributes
    ----------
    samples : numpy.ndarray of int, shape (annotations,)
        At the record's rate; they never fall.
    symbols : sequence of str
        WFDB's, such as N, ``[`` or ``~``.
    subtypes : sequence of int, optional
        Of use for ``~`` alone: which signals are noisy or cannot be read. 0 by default.
    """

    samples: np.ndarray
    symbols: np.ndarray
    subtypes: np.ndarray | None = None

    def __iter__(self) -> Iterator[tuple[int, str, int]]:
        """Yield (sample, symbol, subtype) of each."""
        samples = np.asarray(self.samples, np.int64)
        subtypes = np.zeros(len(samples), int) if self.subtypes is None else np.asarray(self.subtypes)
        return zip(samples.tolist(), list(self.symbols), subtypes.tolist(), strict=True)


def read_timing(path: str | Path) -> tuple[float, int | None]:
    """Return the rate (Hz) and the samples of a record, the path without a suffix; None where the header has no length.

    Raises InputError where there is no header, or none that can be read.
    """
    header = read_header(path)
    return header.rate, header.frames


def read_annotations(path: str | Path, extension: str, rate: float) -> Annotations:
    """Read all annotations of ``path``.``extension``.

    Those of a file that counts at another rate than the record's ``rate`` (its `## time resolution`) are converted to
    it, as the WFDB library does. Raises InputError where there is no such file, or it is no annotation file.
    """
    import wfdb
    from wfdb.io.annotation import ann_labels

    file = Path(f"{path}.{extension}")
    content = read_file(file, REMEDY, LARGEST_ANNOTATIONS)
    if content is None:
        raise InputError(f"{file} is missing; {REMEDY}")
    if len(content) % 2 or content[-2:] != b"\0\0":
        raise InputError(
            f"{file} is cut short or is no annotation file (its closing zero is missing); {REMEDY}"
        )
    try:
        read = wfdb.rdann(str(path), extension, return_label_elements=["label_store"])
    except Exception as problem:
        raise InputError(f"{file} is not a WFDB annotation file ({problem}); {REMEDY}") from problem
    samples = np.asarray(read.sample, np.int64)
    if (np.diff(samples) < 0).any() or (samples < 0).any():
        raise InputError(f"{file} has annotations that go backwards; {REMEDY}")
    if read.fs and read.fs != rate:
        samples = np.floor(samples * (rate / read.fs) + 0.5).astype(np.int64)
    names = {label.label_store: label.symbol for label in ann_labels}
    symbols = np.array([names.get(code, " ") for code in read.label_store.tolist()], dtype=str)
    return Annotations(samples, symbols, np.asarray(read.subtype))
