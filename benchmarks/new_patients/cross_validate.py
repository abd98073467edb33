"""What does a recipe give for new patients, by cross-validation over the patients of DS1 and svdb together?

    python benchmarks/new_patients/cross_validate.py NAME --mitdb DIR --svdb DIR --output DIR [--drawing D] [--network N]
        [--further KIND ...] [--seeds N ...] [--part ds1] [--epochs N] [--folds N ...]

Each patient is scored by a network that has not seen it, DS1's and svdb's apart; DS2 is not read. What the networks say is
calibrated by a temperature and a bias for each class. This handful of numbers is fitted on the labels of all these patients,
so the scores, above all the calibration error, are of beats that the calibration has seen. Folds that are done are kept in
--output, so the same command goes on after an interruption; NAME.options.json says by which options, and others are
refused. A line is added to experiments.csv there, and NAME.calibration.json is what train_keras.py --calibrate takes; of
other seeds than 0 both are named NAME-SEEDS.
"""

import pickle
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.runs.adapting import predict_images
from ecgbeats.runs.networks import save_model
from ecgbeats.scores.reliability import expected_calibration_error

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.examples import read_examples, what_is
from benchmarks.new_patients.experiment import (
    PATIENTS,
    RECORDS,
    Experiment,
    Options,
    add_row,
    all_folds,
    fold_file,
    keep_options,
    options_file,
    read_experiment,
    training_patients,
)
from benchmarks.new_patients.patients import CLASSES, FOLDS, checksums, folds, read_patients
from benchmarks.new_patients.scores import by_patient, summary
from benchmarks.new_patients.training import one_thread, train
from model_keras import MODELS

FURTHER = ["second", "fibrillation-0", "early-0", "noise-0"]
TRAINED_ON = {"both": "DS1 + svdb", "ds1": "DS1", "svdb": "svdb"}


def main(arguments: list[str]) -> None:
    """Train the folds that are missing, score them, and add a line to experiments.csv."""
    made = harness.parser(
        __doc__,
        mitdb=(Path, "folder of MIT-BIH's records"),
        svdb=(Path, "folder of the supraventricular database's records"),
        output=(Path, "folder for images, folds and experiments.csv"),
        drawing=("usual", "of make_dataset.py", list(DRAWINGS)),
        network=("columns", "of model_keras.py", list(MODELS)),
        further=(FURTHER, "further examples that train: second, KIND-SEED; or none"),
        seeds=([0], "trainings, whose probabilities are averaged"),
        part=("both", "whose patients train", list(TRAINED_ON)),
        epochs=(0, "other than the network's"),
        folds=([*range(FOLDS)], "to be trained; where some are missing then, nothing is scored"),
    )
    made.add_argument("name", metavar="NAME", help="of the experiment")
    options = made.parse_args(arguments)
    options.further = [kind for kind in options.further if kind != "none"]
    for kind in options.further:
        what_is(kind)
    options.epochs = options.epochs or MODELS[options.network].epochs
    command.make_folder(options.output)
    train_folds(options)
    files = [
        fold_file(options.output, options.name, seed, fold) for seed in options.seeds for fold in range(FOLDS)
    ]
    if all(file.exists() for file in files):
        report(options, read_experiment(options.output, options.name, options.seeds))


def train_folds(options) -> None:
    """Train the folds that are asked for and not done: their networks and what those say of the fold's beats."""
    patients_file = options.output / PATIENTS
    records = checksums(options.mitdb, options.svdb)
    keep_options(options.output / RECORDS, records, [patients_file], "choose another --output")
    decisive = {name: getattr(options, name) for name in Options.__annotations__}
    file = options_file(options.output, options.name)
    keep_options(file, decisive, all_folds(options.output, options.name), "choose another NAME")
    if not patients_file.exists():
        with command.whole_file(patients_file) as partial:
            partial.write_bytes(pickle.dumps(read_patients(options.mitdb, options.svdb)))
    patients = pickle.loads(patients_file.read_bytes())
    parts = [
        read_examples(patients, kind, options.drawing, options.output) for kind in ("own", *options.further)
    ]
    fold_of, own = folds(patients), parts[0]
    trains = training_patients(patients, options.part)
    with command.quiet_import():
        one_thread()
    for seed in options.seeds:
        for fold in options.folds:
            file, started = fold_file(options.output, options.name, seed, fold), time.time()
            if not file.exists():
                chosen = trains & (fold_of != fold)
                model = train(options.network, parts, chosen, seed * 100 + fold, options.epochs)
                save_model(model, file.with_suffix(".keras"), CLASSES, options.drawing)
                images = own.images[fold_of[own.patient] == fold]
                with command.whole_file(file) as partial:
                    np.save(partial, predict_images(model, images[..., np.newaxis]))
                print(f"{options.name}: seed {seed}, fold {fold}, {time.time() - started:.0f} s", flush=True)


def report(options, experiment: Experiment) -> None:
    """Print the scores, and add them to experiments.csv."""
    patients, true, predicted = experiment.patients, experiment.true, experiment.predicted
    scores = summary(patients, true, predicted)
    every, temperature = experiment.every, experiment.calibration[0]
    error = expected_calibration_error(experiment.own.labels[every], experiment.probabilities[every])
    name = "-".join([options.name, *map(str, options.seeds)]) if options.seeds != [0] else options.name
    row = {
        "experiment": name,
        "drawing": options.drawing,
        "network": options.network,
        "further": " ".join(options.further),
        "trained_on": TRAINED_ON[options.part],
        "epochs": options.epochs,
        "seeds": len(options.seeds),
        "temperature": round(temperature, 2),
    }
    row |= {key: round(value, 4) for key, value in (scores | {"calibration_error": error}).items()}
    add_row(options.output / "experiments.csv", row | {"commit": harness.commit(), "remark": ""})
    fitted = {"classes": CLASSES, "temperature": round(temperature, 4)}
    fitted["biases"] = np.round(experiment.calibration[1], 4).tolist()
    command.write_json(options.output / f"{name}.calibration.json", fitted)
    print(f"{name}: {in_words(scores)}; calibration error {error:.2%}, temperature {temperature:.2f}")
    print(
        harness.table(
            ["DS1", "S", "found", "false", "V", "found", "false"], by_patient(patients, true, predicted)
        )
    )


def in_words(scores: dict[str, float]) -> str:
    """Return what :func:`summary` gives in one line: F1, in brackets its median over the patients, and accuracy."""
    parts = []
    for part in ("ds1", "svdb"):
        if f"{part}_accuracy" in scores:
            f1 = [
                f"{label} {scores[f'{part}_{label}']:.3f} ({scores.get(f'{part}_{label}_median', np.nan):.3f})"
                for label in "SV"
            ]
            parts.append(
                f"{part.replace('ds1', 'DS1')} {', '.join(f1)}, accuracy {scores[f'{part}_accuracy']:.2%}"
            )
    return "; ".join(parts)


if __name__ == "__main__":
    command.run(main)
