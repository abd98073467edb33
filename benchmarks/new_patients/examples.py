"""The examples of a cross-validation: what each beat is drawn as, whose it is and its class; drawn once and kept.

Beside each patient's own beats there may be further ones that only train: the second lead, rhythms made anew, noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.records.changes import Changes
from ecgbeats.records.record import Record
from ecgbeats.records.rhythms import RHYTHMS

import numpy as np

from benchmarks.new_patients.patients import CLASSES, Patient, labels_of
from benchmarks.new_patients.scores import kept

MOST_FURTHER = 300  # beats of a patient and class, of further examples
NOISE = [6.0, 24.0]  # decibels


@dataclass(frozen=True)
class Examples:
    """Beats as a network sees them.

    Attributes
    ----------
    images : numpy.ndarray, uint8, shape (beats, 128, 128)
    labels : numpy.ndarray, int8, shape (beats,)
    patient : numpy.ndarray, int, shape (beats,)
        Position of each beat's patient.
    """

    images: np.ndarray
    labels: np.ndarray
    patient: np.ndarray


def read_examples(patients: list[Patient], kind: str, drawing: str, folder: Path) -> Examples:
    """Return examples of a kind: ``own``, or one that :func:`what_is` knows; drawn once, then read from ``folder``."""
    file = folder / f"{drawing}-{kind}.npy"
    if not file.exists():
        parts = list(_choose(patients, kind))
        counts = [len(beats) for _, beats, _ in parts]
        owners = np.repeat(np.arange(len(patients)), counts)
        np.savez(
            file.with_suffix(".npz"), labels=np.concatenate([labels for *_, labels in parts]), patient=owners
        )
        with command.whole_file(file) as partial:
            images = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(owners), IMAGE_SIZE, IMAGE_SIZE))
            end = 0
            for record, beats, _ in parts:
                draw = DRAWINGS[drawing](record)
                for beat in beats.tolist():
                    images[end] = draw(beat)
                    end += 1
            images.flush()
    known = np.load(file.with_suffix(".npz"))
    return Examples(np.load(file, mmap_mode="r"), known["labels"], known["patient"])


def what_is(kind: str) -> tuple[int, Changes]:
    """Return which lead a kind of further examples is of, and what is changed: ``second``, ``fibrillation-SEED``,
    ``early-SEED``, ``noise-SEED``; rhythms take the leads by turns. Raises InputError for another."""
    name, _, seed = kind.partition("-")
    if kind == "second":
        return 1, Changes()
    if name in RHYTHMS and seed.isdecimal():
        return int(seed) % 2, Changes(rhythm=name, seed=int(seed))
    if name == "noise" and seed.isdecimal():
        return 0, Changes(noise=NOISE, seed=int(seed))
    known = ", ".join(["second", *(f"{name}-SEED" for name in (*RHYTHMS, "noise"))])
    raise InputError(f"--further {kind}: there is no such kind; choose from {known}, or none")


def _choose(patients: list[Patient], kind: str) -> Iterator[tuple[Record, np.ndarray, np.ndarray]]:
    """Yield for each patient the record to draw, which of its beats, and their labels."""
    for number, patient in enumerate(patients):
        if kind == "own":
            record, beats = patient.leads[0], kept(patient)
        else:
            lead, changes = what_is(kind)
            record = changes.apply(patient.leads[lead])
            random = np.random.default_rng([number, *kind.encode()])
            of_class = [np.flatnonzero(labels_of(record) == label) for label in range(len(CLASSES))]
            beats = np.sort(np.concatenate([random.permutation(found)[:MOST_FURTHER] for found in of_class]))
        yield record, beats, labels_of(record)[beats]
