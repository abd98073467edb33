"""What an experiment of cross_validate.py left in its folder: its patients, their beats, and what networks say of those."""

import csv
import pickle
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.reading import need, read_json
from ecgbeats.runs.calibration import apply_calibration, fit_calibration

import numpy as np

from benchmarks.new_patients.examples import Examples, read_examples
from benchmarks.new_patients.patients import FOLDS, Patient, folds
from benchmarks.new_patients.scores import weights

PATIENTS = "patients.pickle"
RECORDS = "patients.json"  # which records those are


class Options(TypedDict):
    """NAME.options.json: what decides on an experiment's folds, as the command line of cross_validate.py has it."""

    drawing: str
    network: str
    further: list[str]
    part: str
    epochs: int


@dataclass(frozen=True)
class Experiment:
    """An experiment whose folds are all trained.

    Attributes
    ----------
    patients : list of Patient
    own : Examples
        Their kept beats.
    fold_of : numpy.ndarray, int, shape (patients,)
    trains : numpy.ndarray, bool, shape (patients,)
        Whose beats train in the folds that are not their own.
    given : numpy.ndarray, float32, shape (beats, classes)
        Probabilities of each kept beat, by networks that have not seen its patient; the mean over the seeds.
    """

    patients: list[Patient]
    own: Examples
    fold_of: np.ndarray
    trains: np.ndarray
    given: np.ndarray

    @cached_property
    def every(self) -> np.ndarray:
        """The position of each beat in ``own``, as often as it counts: int."""
        times = [weights(patient, labels) for patient, labels in zip(self.patients, self.true, strict=True)]
        return np.repeat(np.arange(len(self.own.labels)), np.concatenate(times))

    @cached_property
    def calibration(self) -> tuple[float, np.ndarray]:
        """Temperature and biases, fitted on the labels of all beats, patients alike: what they give is told of the same."""
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


def read_experiment(folder: Path, name: str, seeds: list[int]) -> Experiment:
    """Read an experiment; raises InputError, naming the file, where its options or a fold are missing."""
    patients, file = read_kept_patients(folder), options_file(folder, name)
    remedy = "let cross_validate.py train this experiment"
    options = need(read_json(file, Options, remedy), file, remedy)
    own, fold_of = read_examples(patients, "own", options["drawing"], folder), folds(patients)
    given = np.zeros((len(own.labels), 5), np.float32)
    for seed in seeds:
        for fold in range(FOLDS):
            file = fold_file(folder, name, seed, fold)
            if not file.exists():
                raise InputError(f"{file} is missing; let cross_validate.py train that fold")
            given[fold_of[own.patient] == fold] += np.load(file) / len(seeds)
    return Experiment(patients, own, fold_of, training_patients(patients, options["part"]), given)


def training_patients(patients: list[Patient], part: str) -> np.ndarray:
    """Return which patients train where ``part`` (ds1, svdb, or both) does: bool, shape (patients,)."""
    return np.array([part in ("both", patient.part) for patient in patients])


def keep_options(file: Path, now: dict, made: list[Path], remedy: str) -> None:
    """Write beside files that are yet to be ``made`` by which options they are, or check that these are the same.

    Raises InputError, ending in ``remedy``, where they are others, or are not known: earlier versions did not write them.
    """
    before = read_json(file, dict, remedy)
    if before is None:
        if left := [one for one in made if one.exists()]:
            raise InputError(
                f"{left[0]} is there without {file.name}, which tells how it was made (earlier versions did not write "
                f"it); {remedy}"
            )
        command.write_json(file, now)
    elif before != now:
        words = ", ".join(
            f"--{name} (then {before.get(name)}, now {now[name]})"
            for name in now
            if before.get(name) != now[name]
        )
        raise InputError(f"{file} is of other options: {words}; give the same, or {remedy}")


def read_kept_patients(folder: Path) -> list[Patient]:
    """Return the patients that cross_validate.py has read."""
    file = folder / PATIENTS
    if not file.exists():
        raise InputError(f"{file} is missing; give --output a folder of cross_validate.py")
    return pickle.loads(file.read_bytes())


def options_file(folder: Path, name: str) -> Path:
    """Return where an experiment's options are kept."""
    return folder / f"{name}.options.json"


def fold_file(folder: Path, name: str, seed: int, fold: int) -> Path:
    """Return where the probabilities of a fold are kept; its network ends in .keras instead."""
    return folder / f"{name}-{seed}-{fold}.npy"


def all_folds(folder: Path, name: str) -> list[Path]:
    """Return what is kept of an experiment's folds, of whichever seeds."""
    pattern = re.compile(rf"{re.escape(name)}-\d+-\d\.npy")
    return sorted(file for file in folder.glob("*.npy") if pattern.fullmatch(file.name))


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
