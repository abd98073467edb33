"""Train `fast` without crops, with nine crops, with crops of arrhythmias alone, and moved; and compare them.

    python docs/compare_crops.py --data DIR --output DIR

Each way is trained on the same few images of each class in the first folds of ten over beats, and scored on
the whole test part of each fold. Writes crops.md; the same command goes on after an interruption.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the project's modules, from any folder

from ecgbeats import command
from ecgbeats.images.splits import Split, split_as
from ecgbeats.runs.folder import is_finished
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.logs import read_note
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import read_predictions

import train_keras

WAYS = {
    "no crops": [],
    "nine crops, all classes": ["--augment"],
    "nine crops, arrhythmias only": ["--augment", "--augment-classes", "arrhythmias"],
    "no crops, moved by up to 6 pixels": ["--shift", "6"],
}
# Of the recipe of `fast`, what would blur the comparison is left out.
PLAIN = ["--shift", "0", "--balance", "0"]
FOLDS = 10
REPEATS = 1000


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then write the comparison."""
    options = read_options(arguments)
    command.check_output(options.output)
    data = None
    for fold in range(options.folds):
        for way, flags in WAYS.items():
            run = train_options(options, flags, fold)
            if is_finished(run.output, run):
                continue
            if data is None:
                data = train_keras.load_data(run)
            print(f"\n{way}, fold {fold}", flush=True)
            train_keras.train(data, few_images(data.images, run, options.images), run, run.output)
    folders = {
        way: [train_options(options, flags, fold).output for fold in range(options.folds)]
        for way, flags in WAYS.items()
    }
    lines = describe(folders)
    with command.whole_file(options.output / "crops.md") as path:
        path.write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="compare_crops.py", description=__doc__)
    add = parser.add_argument
    number = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the runs and crops.md")
    add("--images", type=number, default=1000, metavar="N", help="train on N of each class (default 1000)")
    add("--epochs", type=number, default=15, metavar="N", help="for each run (default 15)")
    add("--folds", type=number, default=2, metavar="N", help=f"the first N of {FOLDS} folds (default 2)")
    options = parser.parse_args(arguments)
    if options.folds > FOLDS:
        parser.error(f"--folds {options.folds}: there are {FOLDS}")
    return options


def train_options(options: argparse.Namespace, flags: list[str], fold: int) -> argparse.Namespace:
    """Return the options of train_keras.py for one of the runs."""
    way = "-".join(flag.strip("-") for flag in flags) or "none"
    folder = options.output / f"{way}-{fold}"
    arguments = ["--data", str(options.data), "--output", str(folder), "--epochs", str(options.epochs)]
    arguments += ["--folds", str(FOLDS), "--fold", str(fold), "--resume", *PLAIN, *flags]
    return train_keras.read_options(arguments)


def few_images(images, run: argparse.Namespace, most: int) -> Split:
    """Return the fold with at most ``most`` training images of each class, a quarter of that to validate."""
    split = split_as(images, vars(run))
    random = np.random.default_rng(run.fold)

    def thin(part: np.ndarray, most: int) -> np.ndarray:
        drawn = random.permutation(part)
        labels = images.labels[drawn]
        return np.sort(np.concatenate([drawn[labels == label][:most] for label in np.unique(labels)]))

    return Split(thin(split.training, most), thin(split.validation, max(1, most // 4)), split.test)


def describe(folders: dict[str, list[Path]]) -> list[str]:
    """Return the table: each way's scores over the test beats of all folds, and its difference to the first.

    No beat is tested in two folds, so their predictions are put together. The differences are resampled in
    pairs, for all ways are scored on the same beats.
    """
    rows, differences, first = [], [], None
    for way, runs in folders.items():
        parts = [read_predictions(run / "predictions.csv") for run in runs]
        classes = parts[0][3]
        true = np.concatenate([part[1] for part in parts])
        probabilities = np.concatenate([part[2] for part in parts])
        each = [score(part[1], part[2], classes) for part in parts]
        whole = score(true, probabilities, classes)
        between = bootstrap_intervals(true, probabilities, classes)
        cells = []
        for key in ("accuracy", "sensitivity"):
            cells.append(_percent(whole[key], between[key]))
            cells.append(", ".join(f"{100 * metrics[key]:.2f}" for metrics in each))
        normal, *others = (values["sensitivity"] for values in whole["per_class"].values())
        cells += [_percent(normal), _percent(np.mean([value for value in others if value is not None]))]
        rows.append(f"| {way} | {' | '.join(cells)} |")
        right = probabilities.argmax(axis=1) == true
        if first is None:
            first = way, right
            continue
        accuracy, sensitivity = paired_difference(true, right, first[1])
        differences.append(
            f"- {way}, less {first[0]}: accuracy {accuracy}; mean sensitivity {sensitivity} percentage points. "
            f"{np.sum(right & ~first[1]):,d} beats were right only with, {np.sum(~right & first[1]):,d} only without."
        )
    head = [
        "| Trained with | Accuracy (95 % interval) | in each fold | Mean sensitivity (95 % interval) | in each fold "
        f"| Sensitivity of {classes[0]} | mean of the others |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    note = read_note(runs[0])
    size = f"{len(true):,d} test beats in {len(runs)} folds."
    return [*head, *rows, "", *differences, "", size, *([note] if note else [])]


def paired_difference(true: np.ndarray, right: np.ndarray, before: np.ndarray) -> tuple[str, str]:
    """Return the differences in accuracy and mean sensitivity in words, with 95 % bootstrap intervals.

    ``true`` is int, ``right`` and ``before`` bool, all of shape (beats,): whether each network was right.
    """
    gain = right.astype(float) - before
    random = np.random.default_rng(0)
    accuracy, sensitivity = np.empty((2, 1 + REPEATS))
    for repeat in range(1 + REPEATS):
        # First the beats themselves, then as many drawn from them.
        index = random.integers(len(true), size=len(true)) if repeat else np.arange(len(true))
        counts = np.bincount(true[index])
        gains = np.bincount(true[index], gain[index])
        accuracy[repeat] = gains.sum() / len(true)
        sensitivity[repeat] = np.mean(gains[counts > 0] / counts[counts > 0])
    words = []
    for values in (accuracy, sensitivity):
        low, high = 100 * np.quantile(values[1:], [0.025, 0.975])
        words.append(f"{100 * values[0]:+.2f} ({low:+.2f} to {high:+.2f})")
    return words[0], words[1]


def _percent(value: float, ends: list[float] | None = None) -> str:
    """Return a score with its interval in percent."""
    return f"{100 * value:.2f} %" + (f" ({100 * ends[0]:.2f} to {100 * ends[1]:.2f})" if ends else "")


if __name__ == "__main__":
    command.run(main)
