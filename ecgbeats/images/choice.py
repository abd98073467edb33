"""Which beats of which records become images."""

import zlib
from collections import Counter
from dataclasses import dataclass

from ecgbeats.records.symbols import symbol_classes

import numpy as np


@dataclass(frozen=True)
class Chosen:
    """The beats of one record that become images.

    Attributes
    ----------
    index : numpy.ndarray of int, shape (images,)
        Where they stand among the record's beats.
    samples : list of int
        Where they are annotated.
    classes : list of str
    """

    index: np.ndarray
    samples: list[int]
    classes: list[str]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, places: list[int]) -> "Chosen":
        """Return these of them alone, in this order."""
        return Chosen(
            self.index[places], [self.samples[i] for i in places], [self.classes[i] for i in places]
        )


def choose_beats(samples: np.ndarray, symbols: np.ndarray, scheme: str) -> Chosen:
    """Return a record's beats of the classes of ``scheme`` ("paper" or "aami").

    ``samples`` is int of shape (beats,), ``symbols`` str of that shape. Two annotations of one class at the same
    sample are the same beat, and would be the same file: the first counts.
    """
    class_of = symbol_classes(scheme)
    index = np.flatnonzero(np.isin(symbols, list(class_of)))
    pairs = list(zip(samples[index].tolist(), (class_of[s] for s in symbols[index]), strict=True))
    first = {pair: i for i, pair in reversed(list(zip(index.tolist(), pairs, strict=True)))}
    kept = sorted(first.values())
    return Chosen(np.array(kept, int), samples[kept].tolist(), [class_of[symbols[i]] for i in kept])


def limit_beats(chosen: dict[str, Chosen], limit: int, seed: int) -> dict[str, Chosen]:
    """Return at most ``limit`` beats of each class, drawn evenly over the records that have them.

    ``chosen`` holds each record's beats by its name.
    """
    totals = Counter(name for beats in chosen.values() for name in beats.classes)
    keep = {record: [] for record in chosen}
    for class_name in totals:
        places = {
            record: np.flatnonzero(np.array(beats.classes) == class_name) for record, beats in chosen.items()
        }
        random = np.random.default_rng([seed, zlib.crc32(class_name.encode())])
        # Records with few beats give all they have; the rest is shared among the others.
        left = limit
        by_size = sorted(random.permutation(list(places)), key=lambda record: len(places[record]))
        for done, record in enumerate(by_size):
            share = min(len(places[record]), left // (len(by_size) - done))
            left -= share
            keep[record].extend(random.choice(places[record], share, replace=False).tolist())
    return {record: chosen[record].take(sorted(kept)) for record, kept in keep.items()}
