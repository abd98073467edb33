"""What an experiment of cross_validate.py left in its folder: its patients, their beats, and what networks say of those."""

import csv
import pickle
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.runs.calibration import apply_calibration, fit_calibration

import numpy as np

from benchmarks.new_patients.examples import Examples, read_examples
from benchmarks.new_patients.patients import FOLDS, Patient, folds
from benchmarks.new_patients.scores import weights

PATIENTS = "patients.pickle"


@dataclass(frozen=True)
class Experiment:
    """An experiment whose folds are all trained.

    Attributes
    ----------
    patients : list of Patient
    own : Examples
        Their kept beats.
    fold_of : numpy.ndarray, int, shape (patients,)
    given : numpy.ndarray, float32, shape (beats, classes)
        Probabilities of each kept beat, by networks that have not seen its patient; the mean over the seeds.
    """

    patients: list[Patient]
    own: Examples
    fold_of: np.ndarray
    given: np.ndarray

    @cached_property
    def every(self) -> np.ndarray:
        """The position of each beat in ``own``, as often as it counts: int."""
        times = [weights(patient, labels) for patient, labels in zip(self.patients, self.true, strict=True)]
        return np.repeat(np.arange(len(self.own.labels)), np.concatenate(times))

    @cached_property
    def calibration(self) -> tuple[float, np.ndarray]:
        """Temperature and biases, fitted on all beats, patients alike."""
        every = self.every
        labels, patients = self.own.labels[every].astype(int), self.own.patient[every]
        return fit_calibration(self.given[every], labels, "biases", patients)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated: float64, shape (beats, classes)."""
        return apply_calibration(self.given, *self.calibration)

    @property
    def true(self) -> list[np.ndarray]:
        """The classes of each patient's kept beats."""
        return self.by_patient(self.own.labels)

    @property
    def predicted(self) -> list[np.ndarray]:
        """Their most probable classes."""
        return self.by_patient(self.probabilities.argmax(axis=1))

    def by_patient(self, values: np.ndarray) -> list[np.ndarray]:
        """Return what belongs to each patient of what there is for each beat."""
        return [values[self.own.patient == number] for number in range(len(self.patients))]


def read_experiment(folder: Path, name: str, drawing: str, seeds: list[int]) -> Experiment:
    """Read an experiment; raises InputError, naming the file, where a fold is missing."""
    patients = read_kept_patients(folder)
    own, fold_of = read_examples(patients, "own", drawing, folder), folds(patients)
    given = np.zeros((len(own.labels), 5), np.float32)
    for seed in seeds:
        for fold in range(FOLDS):
            file = fold_file(folder, name, seed, fold)
            if not file.exists():
                raise InputError(f"{file} is missing; let cross_validate.py train that fold")
            given[fold_of[own.patient] == fold] += np.load(file) / len(seeds)
    return Experiment(patients, own, fold_of, given)


def read_kept_patients(folder: Path) -> list[Patient]:
    """Return the patients that cross_validate.py has read."""
    file = folder / PATIENTS
    if not file.exists():
        raise InputError(f"{file} is missing; give --output a folder of cross_validate.py")
    return pickle.loads(file.read_bytes())


def fold_file(folder: Path, name: str, seed: int, fold: int) -> Path:
    """Return where the probabilities of a fold are kept; its network ends in .keras instead."""
    return folder / f"{name}-{seed}-{fold}.npy"


def add_row(file: Path, row: dict, key: tuple[str, ...] = ("experiment",)) -> None:
    """Add a line to a CSV file of results; one of the same ``key`` columns is replaced."""
    rows = []
    if file.exists():
        with file.open(newline="") as stream:
            rows = [old for old in csv.DictReader(stream) if any(old[name] != str(row[name]) for name in key)]
    with command.whole_file(file) as partial, open(partial, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys([*row, *(name for old in rows for name in old)])))
        writer.writeheader()
        writer.writerows([*rows, row])
