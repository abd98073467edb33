"""What a record is: one lead of one recording, with its annotated beats."""

from dataclasses import dataclass

import numpy as np


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
