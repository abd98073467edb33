"""The examples of a cross-validation: what each beat is drawn as, whose it is and its class; drawn once and kept.

Beside each patient's own beats there may be further ones that only train: rhythms made anew, the second lead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgbeats import command
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.records.record import Record

import numpy as np

from benchmarks.new_patients.beat_numbers import numbers
from benchmarks.new_patients.made import KINDS, make_rhythm
from benchmarks.new_patients.patients import CLASSES, Patient
from benchmarks.new_patients.scores import kept

FURTHER_LIMITS = {"N": 300, "S": 250, "V": 150, "F": 50}  # beats of a patient and class, of further examples


@dataclass(frozen=True)
class Examples:
    """Beats as a network sees them.

    Attributes
    ----------
    inputs : numpy.ndarray, uint8 (beats, 128, 128) or float32 (beats, numbers)
    labels : numpy.ndarray, int8, shape (beats,)
    patient : numpy.ndarray, int, shape (beats,)
        Position of each beat's patient.
    """

    inputs: np.ndarray
    labels: np.ndarray
    patient: np.ndarray

    def of(self, chosen: np.ndarray) -> list[list[np.ndarray]]:
        """Return for each of some patients the positions of its beats, class by class."""
        return [
            [
                np.flatnonzero((self.patient == number) & (self.labels == label))
                for label in range(len(CLASSES))
            ]
            for number in np.flatnonzero(chosen)
        ]


def read_examples(patients: list[Patient], kind: str, drawing: str, folder: Path) -> Examples:
    """Return examples of a kind: ``own``, ``second`` (leads), ``made-SEED`` or, of one kind
    of rhythm, ``fibrillation-SEED``, ``early-SEED``; drawn once, then read from ``folder``."""
    file = folder / f"{drawing}-{kind}.npy"
    if not file.exists():
        parts = list(_choose(patients, kind))
        total = sum(len(beats) for _, _, beats, _ in parts)
        shape = (IMAGE_SIZE, IMAGE_SIZE) if drawing in DRAWINGS else (numbers(parts[0][1]).shape[1],)
        kind_of = np.uint8 if drawing in DRAWINGS else np.float32
        owners = np.repeat([number for number, *_ in parts], [len(beats) for _, _, beats, _ in parts])
        np.savez(
            file.with_suffix(".npz"), labels=np.concatenate([labels for *_, labels in parts]), patient=owners
        )
        with command.whole_file(file) as partial:
            inputs = np.lib.format.open_memmap(partial, "w+", kind_of, (total, *shape))
            end = 0
            for _, record, beats, _ in parts:
                start, end = end, end + len(beats)
                inputs[start:end] = _draw(record, beats, drawing)
            inputs.flush()
    known = np.load(file.with_suffix(".npz"))
    return Examples(np.load(file, mmap_mode="r"), known["labels"], known["patient"])


def _draw(record: Record, beats: np.ndarray, drawing: str) -> np.ndarray:
    if drawing == "numbers":
        return numbers(record)[beats]
    draw = DRAWINGS[drawing](record)
    return np.stack([draw(int(beat)) for beat in beats])


def _choose(patients: list[Patient], kind: str) -> Iterator[tuple[int, Record, np.ndarray, np.ndarray]]:
    """Yield each patient's position, the record to draw, which of its beats, and their labels."""
    name, _, seed = kind.partition("-")
    for number, patient in enumerate(patients):
        if name == "own":
            beats = kept(patient)
            yield number, patient.leads[0], beats, patient.labels[beats]
            continue
        kinds = KINDS if name == "made" else {name: 1.0}
        made, lead = (
            (patient, 1) if name == "second" else (make_rhythm(patient, int(seed), kinds), int(seed) % 2)
        )
        random = np.random.default_rng([number, int(seed or 0)])
        found = [
            random.permutation(np.flatnonzero(made.labels == CLASSES.index(c)))[:most]
            for c, most in FURTHER_LIMITS.items()
        ]
        beats = np.sort(np.concatenate(found))
        yield number, made.leads[lead], beats, made.labels[beats]
