"""What does a recipe give for new patients, by cross-validation over the patients of DS1 and svdb together?

    python benchmarks/new_patients/cross_validate.py NAME --mitdb DIR --svdb DIR --output DIR [--drawing D]
        [--further KIND ...] [--seeds N ...] [--part ds1] [--epochs N] [--folds N ...]

Each patient is scored by a network that has not seen it, DS1's and svdb's apart; DS2 is not read. Folds that are done
are kept in --output, so the same command goes on after an interruption. A line is added to experiments.csv there.
"""

import csv
import os
import pickle
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.examples import read_examples
from benchmarks.new_patients.patients import folds, read_patients
from benchmarks.new_patients.scores import best_summary, by_patient, decide
from benchmarks.new_patients.training import Recipe, predict, train

RECIPES = {
    "numbers": Recipe("numbers", epochs=5, batch=256, learning_rate=3e-3),
    "images": Recipe(
        "quarter", epochs=2, batch=64, learning_rate=2.5e-3, shift=3, smoothing=0.05, average=0.995
    ),
}
FOLDS = 5


def main(arguments: list[str]) -> None:
    """Train the folds that are missing, score them, and add a line to experiments.csv."""
    made = harness.parser(
        __doc__,
        mitdb=(Path, "folder of MIT-BIH's records"),
        svdb=(Path, "folder of the supraventricular database's records"),
        output=(Path, "folder for images, folds and experiments.csv"),
        drawing=("usual", "numbers, or a drawing of make_dataset.py"),
        further=(["none"], "further examples that train: made-SEED, second"),
        seeds=([0], "trainings, whose probabilities are averaged"),
        part=("both", "whose patients train", ["both", "ds1", "svdb"]),
        epochs=(0, "other than the recipe's"),
        folds=([*range(FOLDS)], "to be trained; where some are missing then, nothing is scored"),
    )
    made.add_argument("name", metavar="NAME", help="of the experiment")
    options = made.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    patients = _patients(options)
    with command.quiet_import():
        one_thread()
    kinds = ["own", *(kind for kind in options.further if kind != "none")]
    parts = [read_examples(patients, kind, options.drawing, options.output) for kind in kinds]
    recipe = RECIPES["numbers" if options.drawing == "numbers" else "images"]
    if options.epochs:
        recipe = Recipe(**(vars(recipe) | {"epochs": options.epochs}))
    started, own = time.time(), parts[0]
    fold_of = folds(patients, FOLDS)
    trains = np.array([options.part in ("both", patient.part) for patient in patients])
    probabilities = np.zeros((len(own.labels), 5), np.float32)
    files = {}
    for seed in options.seeds:
        for fold in range(FOLDS):
            file = files[seed, fold] = options.output / f"{options.name}-{seed}-{fold}.npy"
            if fold in options.folds and not file.exists():
                model = train(recipe, parts, trains & (fold_of != fold), seed * 100 + fold)
                model.save(file.with_suffix(".keras"))
                scored = np.isin(own.patient, np.flatnonzero(fold_of == fold))
                with command.whole_file(file) as partial:
                    np.save(partial, predict(model, own.inputs[scored]))
                print(f"{options.name}: seed {seed}, fold {fold}, {time.time() - started:.0f} s", flush=True)
    if not all(file.exists() for file in files.values()):
        return
    for (_, fold), file in files.items():
        probabilities[np.isin(own.patient, np.flatnonzero(fold_of == fold))] += np.load(file) / len(
            options.seeds
        )
    true, found = (
        [values[own.patient == i] for i in range(len(patients))] for values in (own.labels, probabilities)
    )
    scores, bias = best_summary(patients, true, found)
    row = {
        "name": options.name,
        "seeds": len(options.seeds),
        "seconds": round(time.time() - started),
        "bias": bias,
    }
    row |= {name: round(value, 4) for name, value in scores.items()}
    add_row(options.output / "experiments.csv", row)
    print(", ".join(f"{name} {value}" for name, value in row.items()))
    rows = by_patient(patients, true, [decide(values, bias) for values in found])
    print(harness.table(["DS1", "S", "found", "false", "V", "found", "false"], rows))


def one_thread() -> None:
    """Let TensorFlow use one thread, so that experiments can share a machine."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _patients(options):
    """Return the patients, read once."""
    file = options.output / "patients.pickle"
    if not file.exists():
        file.write_bytes(pickle.dumps(read_patients(options.mitdb, options.svdb)))
    return pickle.loads(file.read_bytes())


def add_row(file: Path, row: dict, key: tuple[str, ...] = ("name",)) -> None:
    """Add a line to a CSV file of results; one of the same ``key`` columns is replaced."""
    rows = []
    if file.exists():
        with file.open(newline="") as stream:
            rows = [old for old in csv.DictReader(stream) if any(old[name] != str(row[name]) for name in key)]
    with command.whole_file(file) as partial, open(partial, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys([*row, *(name for old in rows for name in old)])))
        writer.writeheader()
        writer.writerows([*rows, row])


if __name__ == "__main__":
    command.run(main)
