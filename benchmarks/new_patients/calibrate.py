"""What does calibration give for patients that neither trained nor validated, by how many patients validate?

    python benchmarks/new_patients/calibrate.py NAME --output DIR [--seed N] [--draws N]

NAME is an experiment of cross_validate. So many of its patients are drawn, their beats calibrate, and those of all
others are scored: cross-entropy, with patients alike, and over all beats the expected calibration error, accuracy, and
F1 of S and V. The means over the draws are printed, and the largest cross-entropy of a draw.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.runs import calibration
from ecgbeats.runs.calibration import apply_calibration, fit_calibration
from ecgbeats.scores.reliability import expected_calibration_error

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.experiment import read_experiment
from benchmarks.new_patients.patients import CLASSES
from benchmarks.new_patients.scores import S, V, f1

# What is fitted, whether patients count alike (else beats do), and how strongly it is held.
WAYS = {
    "as trained": None,
    "temperature": ("temperature", True, 0.01),
    "temperature, held by nothing": ("temperature", True, 0),
    "biases": ("biases", True, 0.01),
    "biases, beats alike": ("biases", False, 0.01),
    "biases, held by nothing": ("biases", True, 0),
    "biases, held by 0.001": ("biases", True, 0.001),
    "biases, held by 0.1": ("biases", True, 0.1),
}
VALIDATING = {"ds1": (3, 6), "both": (5, 10, 20)}  # patients, of DS1 alone or of both parts


def main(arguments: list[str]) -> None:
    """Print the table."""
    made = harness.parser(
        __doc__,
        output=(Path, "folder of cross_validate"),
        seed=(0, "of the experiment"),
        draws=(12, "of patients"),
    )
    made.add_argument("name", metavar="NAME", help="of the experiment")
    options = made.parse_args(arguments)
    experiment = read_experiment(options.output, options.name, [options.seed])
    patients, own, every = experiment.patients, experiment.own, experiment.every
    true, given, patient = own.labels[every].astype(int), experiment.given[every], own.patient[every]
    rows = []
    for part, numbers in VALIDATING.items():
        pool = np.array([i for i, one in enumerate(patients) if part in ("both", one.part)])
        for number in numbers:
            found = {way: [] for way in WAYS}
            for draw in range(options.draws):
                chosen = np.random.default_rng(draw).permutation(pool)
                validates, scored = (np.isin(patient, some) for some in (chosen[:number], chosen[number:]))
                for way, how in WAYS.items():
                    fitted = (1.0, np.zeros(len(CLASSES)))
                    if how:
                        kind, alike, calibration.RIDGE = how
                        fitted = fit_calibration(
                            given[validates], true[validates], kind, patient[validates] if alike else None
                        )
                    changed = apply_calibration(given[scored], *fitted)
                    found[way].append(scores(true[scored], changed, patient[scored]))
            for way, values in found.items():
                means = [f"{value:.4f}" for value in np.mean(values, axis=0)]
                rows.append([part, number, way, *means, f"{np.max(values, axis=0)[0]:.4f}"])
                print(*rows[-1], flush=True)
    header = ["of", "validate", "way", "cross-entropy", "error", "accuracy", "S", "V", "worst cross-entropy"]
    print(harness.table(header, rows, left=3))


def scores(true: np.ndarray, probabilities: np.ndarray, patient: np.ndarray) -> list[float]:
    """Return cross-entropy, expected calibration error, accuracy, F1 of S and of V."""
    surprise = -np.log(np.maximum(probabilities[np.arange(len(true)), true], 1e-12))
    _, member, beats = np.unique(patient, return_inverse=True, return_counts=True)
    predicted, one = probabilities.argmax(axis=1), np.ones(len(true))
    return [
        float(np.mean(np.bincount(member, surprise) / beats)),
        expected_calibration_error(true, probabilities),
        float((predicted == true).mean()),
        f1(true, predicted, one, S),
        f1(true, predicted, one, V),
    ]


if __name__ == "__main__":
    command.run(main)
