"""A network labels the beats of a recording."""

from dataclasses import dataclass
from pathlib import Path

from ecgbeats.images.stretches import draw_beats
from ecgbeats.progress import progress
from ecgbeats.records.record import Record
from ecgbeats.runs.config import Config
from ecgbeats.runs.prediction import BLOCK, check_probabilities, predict_blocks
from ecgbeats.scores.annotating.labelled import Labelled

import numpy as np


@dataclass(frozen=True)
class Network:
    """A network's file, its classes, the WFDB symbol of each, its drawing, what its reader must know, and its config.json."""

    path: Path
    classes: list[str]
    symbols: list[str]
    drawing: str
    notices: list[str]
    training: Config | None = None


def label(recording, samples: np.ndarray, noise: np.ndarray, model, network: Network) -> Labelled:
    """Have the network label the beats."""
    with progress(len(samples), "labelling beats", "beats") as tell:
        probabilities = predict_blocks(
            model, draw_beats(to_draw(recording, samples), network.drawing, BLOCK), tell
        )
    check_probabilities(probabilities, network.path)
    predicted = probabilities.argmax(1)
    by_hand = np.zeros(len(samples), bool)
    return Labelled(
        recording.signal,
        recording.first,
        samples,
        network.classes,
        network.symbols,
        predicted,
        probabilities,
        by_hand,
        noise,
    )


def to_draw(recording, samples: np.ndarray) -> Record:
    """Return a recording with its beats as what drawings take."""
    signal = recording.signal
    nothing_known = np.full(len(samples), "Q")  # drawings look at no symbol
    return Record(signal.name, signal.lead, signal.rate, signal.millivolts, samples, nothing_known)
