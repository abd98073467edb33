"""What a record is: one lead of one recording, with its annotated beats."""

from dataclasses import dataclass

from ecgbeats.command import InputError

import numpy as np


@dataclass(frozen=True)
class Signal:
    """One lead of one record.

    Attributes
    ----------
    name : str
        The record's name.
    lead : str
        The channel's name in the header, such as MLII.
    rate : float
        Samples of this lead per second.
    millivolts : numpy.ndarray, float32, shape (samples,)
        The lead (in the header's unit where that is no voltage); gaps are interpolated.
    gaps : numpy.ndarray, bool, shape (samples,)
        True where the file holds no valid sample.
    """

    name: str
    lead: str
    rate: float
    millivolts: np.ndarray
    gaps: np.ndarray


@dataclass(frozen=True)
class Beats:
    """The annotated beats of one record, in samples of one of its leads.

    Attributes
    ----------
    lead : str
        That lead's name.
    rate : float
        Its samples per second.
    samples : numpy.ndarray, int64, shape (beats,)
        Where each beat is annotated, rising; all lie within the signal.
    symbols : numpy.ndarray, str, shape (beats,)
        Each beat's annotation symbol, one of BEAT_SYMBOLS.
    behind : int
        How many more are annotated at or behind the signal's end.
    """

    lead: str
    rate: float
    samples: np.ndarray
    symbols: np.ndarray
    behind: int


@dataclass(frozen=True)
class Record:
    """One lead of one record with its beats.

    Attributes
    ----------
    name : str
    lead : str
        The channel's name in the header, such as MLII.
    rate : float
        Samples of this lead per second.
    signal : numpy.ndarray, float32, shape (samples,)
        The lead in millivolts (or the header's unit where that is no voltage); gaps are interpolated.
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


def bridge_gaps(millivolts: np.ndarray, where: str) -> np.ndarray:
    """Fill what is not finite in a signal by straight lines, in place, and return where that was.

    Parameters
    ----------
    millivolts : numpy.ndarray of float, shape (samples,)
    where : str
        The signal's name, for the error.

    Returns
    -------
    numpy.ndarray, bool, shape (samples,)

    Raises
    ------
    InputError
        Where no sample is finite.
    """
    gaps = ~np.isfinite(millivolts)
    if gaps.all():
        raise InputError(f"{where} holds no valid sample; choose another --lead or file")
    if gaps.any():
        millivolts[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), millivolts[~gaps])
    return gaps
