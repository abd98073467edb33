"""Cross-validate a recipe for new patients over the records of DS1, so that DS2 need not be looked at.

    python benchmarks/within_ds1.py --data DIR --output DIR [--folds N] [--beats N] [options of train_keras.py]

DIR of --data is a folder of make_dataset.py --classes aami. In each fold the records of the others train, with a
tenth of them to choose the epoch (but for --keep last), and the fold's own are scored; no beat of DS2 is used. Of each class --beats at
most train in a fold, drawn at random; all of the fold's beats are scored. Each fold is trained by train_keras.py's
own function, with its options; the same command goes on after an interruption. Prints the scores of all beats of
DS1 together, and writes them to within_ds1.json.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.images.splits import DS1, Split, check_aami, choose_patients
from ecgbeats.runs.folder import is_finished
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.words import in_words

import numpy as np

import train_keras


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then score all folds together."""
    options, rest = read_options(arguments)
    command.check_output(options.output)
    runs = [run_options(options, rest, fold) for fold in range(options.folds)]
    to_do = [fold for fold, run in enumerate(runs) if not is_finished(run.output, run)]
    if to_do:
        check_aami(Images(options.data, in_memory=False).classes, "within_ds1.py")
        data = train_keras.load_data(runs[0])
    for fold in to_do:
        print(f"\nFold {fold} of {options.folds}", flush=True)
        parts = choose_parts(data.images, options.folds, fold, options.beats)
        train_keras.train(data, parts, runs[fold], runs[fold].output)
    summary = sum_up([run.output for run in runs])
    command.write_json(options.output / "within_ds1.json", summary)
    print("\n" + describe(summary))


def read_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return this script's options, and the others."""
    parser = command.Parser(prog="within_ds1.py", description=__doc__)
    add = parser.add_argument
    number = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images of AAMI's classes")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the folds and within_ds1.json")
    add("--folds", type=command.whole_number(2), default=4, metavar="N", help="(default 4)")
    add("--beats", type=number, default=6000, metavar="N", help="of a class that train (default 6,000)")
    options, rest = parser.parse_known_args(arguments)
    refused = [option for option in rest if option.partition("=")[0] in ("--split", "--fold", "--resume")]
    if refused:
        parser.error(f"{refused[0]} is set by this script; leave it out")
    return options, rest


def run_options(options: argparse.Namespace, rest: list[str], fold: int) -> argparse.Namespace:
    """Return the options of train_keras.py for one fold."""
    folder = options.output / f"fold-{fold}"
    run = train_keras.read_options(["--data", str(options.data), "--output", str(folder), "--resume", *rest])
    # For intervals over records, and so that config.json does not call this a split over beats.
    run.split = "records"
    # In config.json, so that a fold of other parts is not gone on with.
    run.folds_of_ds1, run.beats = options.folds, options.beats
    return run


def choose_parts(images, folds: int, fold: int, most: int) -> Split:
    """Return one fold's parts: whole records of DS1, those of the training part thinned to ``most`` a class."""
    from sklearn.model_selection import StratifiedGroupKFold

    records = record_names(images.names)
    if records is None:
        raise InputError(
            "--data has files that are not named RECORD_SAMPLE.png; make it with make_dataset.py"
        )
    inside = np.flatnonzero(np.isin(records, DS1))
    if len(np.unique(records[inside])) < 2 * folds:
        raise InputError(
            f"--data has fewer than {2 * folds} records of DS1; make it from all of mitdb, or give fewer --folds"
        )
    labels = images.labels[inside]
    groups = StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(labels, labels, records[inside])
    rest, test = list(groups)[fold]
    rest, test = inside[rest], inside[test]
    validates = choose_patients(images.labels[rest], records[rest], 1 / 10, seed=fold, parts_after=1)
    random = np.random.default_rng([0, fold])
    training = rest[~validates]
    of_class = [training[images.labels[training] == label] for label in range(len(images.classes))]
    training = np.concatenate([random.permutation(found)[:most] for found in of_class])
    return Split(np.sort(training), rest[validates], np.sort(test))


def sum_up(folders: list[Path]) -> dict:
    """Return the scores of all folds' beats together, as score, with ``intervals`` over records."""
    parts = [read_predictions(folder / "predictions.csv") for folder in folders]
    records = record_names([name for part in parts for name in part[0]])
    true, probabilities = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    classes = parts[0][3]
    summary = score(true, probabilities, classes)
    summary["intervals"] = bootstrap_intervals(true, probabilities, classes, records)
    return summary


def describe(summary: dict) -> str:
    """Return the scores as a Markdown table."""
    low, high = summary["intervals"]["accuracy"]
    lines = [
        f"Accuracy {100 * summary['accuracy']:.2f} % ({100 * low:.2f} to {100 * high:.2f}) of all beats of DS1",
        "",
        "| Class | Beats | Sensitivity | PPV | F1 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, values in summary["per_class"].items():
        sensitivity, ppv, f1 = (in_words(values[key], key) for key in ("sensitivity", "ppv", "f1"))
        lines.append(f"| {name} | {values['support']:,d} | {sensitivity} | {ppv} | {f1} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main)
