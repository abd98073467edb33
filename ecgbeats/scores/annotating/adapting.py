"""A recording whose first minutes a person labelled: the network learns them, and labels what follows."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.stretches import draw_beats
from ecgbeats.progress import progress
from ecgbeats.records.recordings import read_beats
from ecgbeats.runs.adapting import STEPS, Beats, adapt, predict_images
from ecgbeats.runs.prediction import BLOCK, check_probabilities
from ecgbeats.scores.annotating.corrections import Correction, correct
from ecgbeats.scores.annotating.labelled import Labelled, symbol_labels
from ecgbeats.scores.annotating.labelling import Network, label, to_draw

import numpy as np

FEWEST = 50  # labelled beats that the network can learn from
UNKNOWN = -1
SEED = 0


@dataclass(frozen=True)
class Adapted:
    """What became of the labelled minutes.

    Attributes
    ----------
    minutes : float
    source : str
        The option that labels them.
    counts : dict of str to int
        How many labelled beats of each class were learnt.
    kept : bool
        Whether the network stayed as it was, since it made more errors on labelled beats that were held back.
    seconds : float
        How long the learning took.
    """

    minutes: float
    source: str
    counts: dict[str, int]
    kept: bool
    seconds: float

    @property
    def lacking(self) -> list[str]:
        """The classes of which the minutes have no beat."""
        return [name for name, count in self.counts.items() if not count]

    def as_dict(self) -> dict:
        """Return what the summary tells of it."""
        return {
            "minutes": self.minutes,
            "labels_from": self.source,
            "labelled": self.counts,
            "lacking": self.lacking,
            "network": "as it was" if self.kept else "adapted",
        }

    def words(self) -> str:
        """Return the same for the reader."""
        counts = ", ".join(f"{count:,d} {name}" for name, count in self.counts.items() if count)
        begun = f"{sum(self.counts.values()):,d} labelled beats ({counts}) of the first {self.minutes:g} min ({self.source})"
        told = (
            f"The network was not adapted: after learning {begun} it made more errors on those of them that were held back."
            if self.kept
            else f"The network was adapted to this recording by {begun}."
        )
        if self.lacking:
            told += f" They have none of {', '.join(self.lacking)}: look at such beats in the rest with care."
        return told


@dataclass(frozen=True)
class Minutes:
    """The beats that were found in the labelled minutes.

    Attributes
    ----------
    before : Labelled
        Those beats as the network labelled them before it learnt.
    images : numpy.ndarray, uint8, shape (beats, 128, 128, 1)
    labels : numpy.ndarray, int64, shape (beats,)
        What a person said of each, UNKNOWN where that is nothing that the network has a class for.
    source : str
        The option that the labels come from.
    """

    before: Labelled
    images: np.ndarray
    labels: np.ndarray
    source: str


def label_adapted(
    recording,
    samples: np.ndarray,
    noise: np.ndarray,
    model,
    network: Network,
    others: np.ndarray | None,
    corrections: list[Correction],
    options,
) -> tuple[Labelled, Labelled, Adapted]:
    """Let a copy of the network learn the labelled minutes, and label the rest with it.

    Parameters
    ----------
    recording, samples, noise, model, network
        As for :func:`label`; ``model`` stays as it is.
    others : numpy.ndarray or None
        Images of training patients, as read_examples returns them.
    corrections : list of Correction
    options
        With ``adapt_minutes``, ``beats`` and ``corrections``.

    Returns
    -------
    found : Labelled
        In the minutes as the network labelled them before, behind them as after it.
    labelled : Labelled
        The same with all that a person said.
    adapted : Adapted

    Raises InputError where too few beats are labelled, or none is left to label.
    """
    minutes = read_minutes(recording, samples, noise, model, network, corrections, options)
    known = minutes.labels != UNKNOWN
    started = time.perf_counter()
    with progress(STEPS, "adapting", "steps") as tell:
        learnt = adapt(model, as_folder(minutes, samples), others, SEED, tell)
    counts = np.bincount(minutes.labels[known], minlength=len(network.classes)).tolist()
    adapted = Adapted(
        options.adapt_minutes,
        minutes.source,
        dict(zip(network.classes, counts, strict=True)),
        learnt is None,
        time.perf_counter() - started,
    )
    before = minutes.before
    found = label(recording, samples, noise, model if learnt is None else learnt, network)
    found.predicted[: len(known)], found.probabilities[: len(known)] = before.predicted, before.probabilities
    if options.corrections:
        labelled = correct(found, corrections, options.corrections)
        labels, given = labelled.predicted, labelled.samples < _end(recording, options)
    else:
        labelled, rest = found, np.full(len(samples) - len(known), UNKNOWN)
        labels = np.concatenate([minutes.labels, rest])
        given = labels != UNKNOWN
    return found, by_person(labelled, given, labels), adapted


def as_folder(minutes: Minutes, samples: np.ndarray) -> Beats:
    """Return the labelled beats in the order in which a folder of their images lists them: by class, then as text.

    Which beats a step draws depends on their order; so the same beats give the network that is scored on images
    (benchmarks/new_patients/labelled_minutes.py). ``samples`` are those of the recording's beats.
    """
    known = np.flatnonzero(minutes.labels != UNKNOWN)
    order = np.lexsort((samples[known].astype(str), minutes.labels[known]))
    return Beats(minutes.images, minutes.labels).take(known[order])


def read_minutes(
    recording,
    samples: np.ndarray,
    noise: np.ndarray,
    model,
    network: Network,
    corrections: list[Correction],
    options,
) -> Minutes:
    """Return the labelled minutes; see :func:`label_adapted`. Only their images are held in memory."""
    told = f"{recording.path}: the first {options.adapt_minutes:g} min"
    remedy = "give another --adapt-minutes, or leave it out"
    count = int(np.searchsorted(samples, _end(recording, options)))
    if count == len(samples):
        raise InputError(f"{told} are all that has beats, and nothing is left to label; {remedy}")
    images = _draw(recording, samples, network.drawing, count)
    probabilities = predict_images(model, images)
    check_probabilities(probabilities, network.path)
    before = Labelled(
        recording.signal,
        recording.first,
        samples[:count],
        network.classes,
        network.symbols,
        probabilities.argmax(1),
        probabilities,
        np.zeros(count, bool),
        noise,
    )
    if options.corrections:
        source = f"--corrections {options.corrections.name}"
        labels = corrected_labels(before, corrections, options.corrections, _end(recording, options))
    else:
        source = f"--beats {options.beats}"
        labels = annotated_labels(recording, options.beats, before)
    number = int((labels != UNKNOWN).sum())
    if number < FEWEST:
        raise InputError(
            f"{told} have {number} beats that {source} gives a class of this network, and {FEWEST} are needed; {remedy}"
        )
    return Minutes(before, images, labels, source)


def corrected_labels(before: Labelled, corrections: list[Correction], path: Path, end: float) -> np.ndarray:
    """Return what a person says of each beat before the sample ``end``, who looked at all of them: int64, shape (beats,).

    A beat without a correction is right; one that was deleted is none, so nothing is learnt of it.
    """
    within = [correction for correction in corrections if correction.sample - before.first < end]
    after = correct(before, within, path)
    label_of = dict(zip(after.samples.tolist(), after.predicted.tolist(), strict=True))
    return np.array([label_of.get(sample, UNKNOWN) for sample in before.samples.tolist()], np.int64)


def annotated_labels(recording, annotator: str, before: Labelled) -> np.ndarray:
    """Return what an annotation file says of each beat: int64, shape (beats,)."""
    samples, symbols = read_beats(recording, annotator)
    of_symbol = symbol_labels(before.classes)
    symbols = symbols[np.searchsorted(samples, before.samples)]
    return np.array([of_symbol.get(symbol, UNKNOWN) for symbol in symbols.tolist()], np.int64)


def by_person(labelled: Labelled, given: np.ndarray, labels: np.ndarray) -> Labelled:
    """Return the beats with a person's ``labels`` where these are ``given`` (bool)."""
    one_hot = np.eye(len(labelled.classes), dtype=np.float32)[labels]
    return replace(
        labelled,
        predicted=np.where(given, labels, labelled.predicted),
        probabilities=np.where(given[:, np.newaxis], one_hot, labelled.probabilities),
        by_hand=labelled.by_hand | given,
    )


def _end(recording, options) -> float:
    """Return the sample of the stretch at which the labelled minutes end."""
    return options.adapt_minutes * 60 * recording.signal.rate


def _draw(recording, samples: np.ndarray, drawing: str, count: int) -> np.ndarray:
    """Draw the first ``count`` beats: uint8, shape (count, 128, 128, 1)."""
    images, drawn = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 1), np.uint8), 0
    blocks = draw_beats(to_draw(recording, samples), drawing, BLOCK)
    while drawn < count:
        block = next(blocks)[: count - drawn]
        images[drawn : drawn + len(block)] = block
        drawn += len(block)
    return images
