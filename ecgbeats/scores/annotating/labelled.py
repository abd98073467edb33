"""The beats of a recording with the labels that a network, or a person, gave them."""

from dataclasses import dataclass

from ecgbeats.command import InputError
from ecgbeats.records.record import Signal
from ecgbeats.records.symbols import CLASSES, symbol_classes

import numpy as np


@dataclass(frozen=True)
class Labelled:
    """A stretch of one lead with its labelled beats.

    Attributes
    ----------
    signal : Signal
        The stretch.
    first : int
        Which sample of the recording it begins with.
    samples : numpy.ndarray, int64, shape (beats,)
        Where each beat is in the stretch, rising; none lies in ``noise``.
    classes, symbols : list of str
        The network's classes, and the WFDB symbol of each.
    predicted : numpy.ndarray, int64, shape (beats,)
        Index of each beat's class.
    probabilities : numpy.ndarray, float32, shape (beats, classes)
        Of a beat that a person labelled, 1 for that class.
    by_hand : numpy.ndarray, bool, shape (beats,)
        Which beats a person labelled: relabelled, confirmed or added, or labelled so that the network learnt them.
    noise : numpy.ndarray, int64, shape (stretches, 2)
        First sample, and the one behind the last, of stretches too poor to judge.
    """

    signal: Signal
    first: int
    samples: np.ndarray
    classes: list[str]
    symbols: list[str]
    predicted: np.ndarray
    probabilities: np.ndarray
    by_hand: np.ndarray
    noise: np.ndarray

    @property
    def beat_symbols(self) -> list[str]:
        """The symbol of each beat."""
        return [self.symbols[i] for i in self.predicted.tolist()]

    @property
    def probability(self) -> np.ndarray:
        """The probability of each beat's class: float32, shape (beats,)."""
        return self.probabilities[np.arange(len(self.samples)), self.predicted]

    def rr_intervals(self) -> np.ndarray:
        """Return the seconds from each beat to the next, NaN where what lies between cannot be judged.

        float64, shape (beats - 1,), or (0,) without beats.
        """
        intervals = np.diff(self.samples) / self.signal.rate
        broken = np.searchsorted(self.samples, self.noise[:, 0])
        broken = broken[(broken > 0) & (broken < len(self.samples))] - 1
        intervals[broken] = np.nan
        return intervals

    def kinds(self) -> list[str]:
        """Return the AAMI class of each of the network's classes, such as V for PVC."""
        aami = symbol_classes("aami")
        return [aami.get(symbol, "V" if symbol == "!" else "Q") for symbol in self.symbols]


def class_symbols(classes: list[str], where: str) -> list[str]:
    """Return the WFDB symbol of each of a network's classes: N S V F Q, or the paper's (N V / R L A ! E).

    Raises InputError, naming ``where``, for classes that are no beats.
    """
    name = _scheme(classes)
    if name:
        return list(classes) if name == "aami" else [CLASSES[name][each][0] for each in classes]
    known = "; ".join(" ".join(scheme) for scheme in CLASSES.values())
    raise InputError(
        f"{where}: this network has the classes {', '.join(classes)[:100]}, which are no beats; give one with classes of "
        f"{known}"
    )


def symbol_labels(classes: list[str]) -> dict[str, int]:
    """Return the position among a network's classes of each annotation symbol that one of them stands for."""
    class_of = symbol_classes(_scheme(classes))
    return {symbol: classes.index(name) for symbol, name in class_of.items() if name in classes}


def _scheme(classes: list[str]) -> str | None:
    """Return which of CLASSES all of these are among, or None."""
    return next((name for name, scheme in CLASSES.items() if set(classes) <= set(scheme)), None)
