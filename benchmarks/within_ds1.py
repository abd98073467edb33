"""How good is a recipe for new patients, by cross-validation over the records of DS1, so that DS2 is not looked at?

    python benchmarks/within_ds1.py --data DIR --output DIR [--folds N] [--beats N] [options of train_keras.py]

DIR of --data is a folder of make_dataset.py --classes aami. In each fold the records of the others train, with a
tenth of them to choose the epoch (but for --keep last), and the fold's own are scored; no beat of DS2 is used. Of
each class --beats at most train in a fold, drawn at random; all of the fold's beats are scored. The same command goes
on after an interruption. Prints the scores of all beats of DS1 together, and writes them to within_ds1.json.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import DS1, Protocol
from ecgbeats.images.splits import Split, check_aami, choose_patients
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import read_predictions

import numpy as np

import train_keras
from benchmarks import harness
from benchmarks.seeds import class_table, train_runs


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then score all folds together."""
    parser = harness.parser(
        __doc__,
        data=(Path, "images of AAMI's classes"),
        output=(Path, "folder for the folds and within_ds1.json"),
        folds=(4, "at least 2"),
        beats=(6000, "of a class that train"),
    )
    options, rest = parser.parse_known_args(arguments)
    for option in rest:
        if option.partition("=")[0] in ("--split", "--fold", "--further", "--resume"):
            parser.error(f"{option} is set by this script, or not for it; leave it out")
    command.check_output(options.output)
    runs = [run_options(options, rest, fold) for fold in range(options.folds)]
    train_runs(runs, lambda images, run: choose_parts(images, options.folds, runs.index(run), options.beats))
    summary = sum_up([run.output for run in runs])
    command.write_json(options.output / "within_ds1.json", summary)
    low, high = summary["intervals"]["accuracy"]
    print(f"\nAccuracy {summary['accuracy']:.2%} ({low:.2%} to {high:.2%}) of all beats of DS1\n")
    print(class_table(summary, ["sensitivity", "ppv", "f1"]))


def run_options(options: argparse.Namespace, rest: list[str], fold: int) -> argparse.Namespace:
    """Return the options of train_keras.py for one fold."""
    folder = options.output / f"fold-{fold}"
    run = train_keras.read_options(["--data", str(options.data), "--output", str(folder), *rest])
    # For intervals over records, and so that config.json does not call this a split over beats.
    run.split = "records"
    # In config.json, so that a fold of other parts is not gone on with.
    run.folds_of_ds1, run.beats = options.folds, options.beats
    return run


def choose_parts(images: Images, folds: int, fold: int, most: int) -> Split:
    """Return one fold's parts: whole records of DS1, those of the training part thinned to ``most`` a class."""
    from sklearn.model_selection import StratifiedGroupKFold

    check_aami(images.classes, "within_ds1.py")
    records = record_names(images.names)
    inside = np.flatnonzero(np.isin(records, DS1)) if records is not None else []
    if len(inside) == 0 or len(np.unique(records[inside])) < 2 * folds:
        raise InputError(f"--data has fewer than {2 * folds} records of DS1; make it from all of mitdb")
    labels = images.labels[inside]
    groups = StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(labels, labels, records[inside])
    rest, test = (inside[part] for part in list(groups)[fold])
    validates = choose_patients(images.labels[rest], records[rest], 1 / 10, seed=fold, parts_after=1)
    random = np.random.default_rng([0, fold])
    training = rest[~validates]
    of_class = [training[images.labels[training] == label] for label in range(len(images.classes))]
    training = np.concatenate([random.permutation(found)[:most] for found in of_class])
    return Split(np.sort(training), rest[validates], np.sort(test), Protocol("records"))


def sum_up(folders: list[Path]) -> dict:
    """Return the scores of all folds' beats together, as score, with ``intervals`` over records."""
    parts = [read_predictions(folder / "predictions.csv") for folder in folders]
    records = record_names([name for part in parts for name in part[0]])
    true, probabilities = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    scored = true, probabilities, parts[0][3]
    return score(*scored) | {"intervals": bootstrap_intervals(*scored, records)}


if __name__ == "__main__":
    command.run(main)
