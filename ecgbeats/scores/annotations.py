"""All annotations of a WFDB file, not the beats alone: what the standard's comparison needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgbeats.records.annotations import convert, read_marks
from ecgbeats.records.headers import read_header

import numpy as np


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
    marks = read_marks(Path(f"{path}.{extension}"), beats_alone=False)
    return Annotations(convert(marks.times, marks.rate or rate, rate), marks.symbols, marks.subtypes)
