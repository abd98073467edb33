"""How good is a network over several seeds, each its own split?

    python benchmarks/seeds.py --data DIR --output DIR [--seeds 0 1 2] [--model NAME] [--epochs N]

Each run is train_keras.py's with that --seed, in a folder of --output; the same command goes on after an
interruption. Prints mean and standard deviation over the seeds, and the scores of all test parts together, in
which a beat that two seeds test counts twice. Writes both to seeds.json.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.images.splits import split_as
from ecgbeats.runs.folder import is_finished
from ecgbeats.scores.intervals import resampled_means
from ecgbeats.scores.metrics import METRICS, score
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.words import TITLES, in_words

import numpy as np

import train_keras
from benchmarks import harness


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then sum up."""
    parser = harness.parser(
        __doc__,
        data=(Path, "images, one sub-folder for each class"),
        output=(Path, "folder for the runs and seeds.json"),
        seeds=([0, 1, 2], "of the runs"),
        model=("fast", "as for train_keras.py"),
        epochs=(int, "default by network"),
        limit=(int, "images of each class at most (default all)"),
    )
    options = parser.parse_args(arguments)
    if len(set(options.seeds)) < len(options.seeds):
        parser.error("--seeds: one of them is given twice")
    command.check_output(options.output)
    shared = {key: getattr(options, key) for key in ("data", "model", "epochs", "limit")}
    folders = {seed: options.output / f"seed-{seed}" for seed in options.seeds}
    runs = [harness.train_options(**shared, seed=seed, output=folder) for seed, folder in folders.items()]
    train_runs(runs, lambda images, run: split_as(images, vars(run)))
    summary = sum_up([*folders.values()]) | {"seeds": options.seeds}
    command.write_json(options.output / "seeds.json", summary)
    print("\n" + describe(summary))


def train_runs(runs: list[argparse.Namespace], choose_parts: Callable) -> None:
    """Train what is not trained yet of runs on the same data, each on ``choose_parts(images, run)``, a Split."""
    for run in runs:
        run.resume = True
    to_do = [run for run in runs if not is_finished(run.output, run)]
    data = train_keras.load_data(to_do[0]) if to_do else None
    for run in to_do:
        print(f"\n{run.output.name}", flush=True)
        train_keras.train(data, choose_parts(data.images, run), run, run.output)


def sum_up(folders: list[Path]) -> dict:
    """Return means and deviations over the runs, and the scores of all their test beats together.

    ``runs`` has for each score its ``values``, ``mean``, ``standard_deviation`` (None for one run) and ``interval`` (95 %
    bootstrap over each run's test beats, of the mean, or None); ``pooled`` is as metrics.score.
    """
    parts = [read_predictions(folder / "predictions.csv")[1:] for folder in folders]
    runs, scored = {}, [score(*part) for part in parts]
    # The runs' test parts are drawn apart from each other, so their resamples are, too.
    resamples = [resampled_means(*part, seed=number) for number, part in enumerate(parts)]
    for key in ("accuracy", *METRICS):
        values = [one[key] for one in scored]
        means = np.mean([resample[key] for resample in resamples], axis=0)
        means = means[np.isfinite(means)]  # a resample of few beats may lack what the score needs
        runs[key] = {
            "values": values,
            "mean": float(np.mean(values)),
            "standard_deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "interval": [float(end) for end in np.percentile(means, [2.5, 97.5])] if len(means) else None,
        }
    true, probabilities = (np.concatenate([part[i] for part in parts]) for i in range(2))
    return {"runs": runs, "pooled": score(true, probabilities, parts[0][2])}


def describe(summary: dict) -> str:
    """Return a summary as two Markdown tables."""
    rows = []
    for key, values in summary["runs"].items():
        ends = " to ".join(in_words(end, key) for end in values["interval"] or ())
        spread = values["standard_deviation"]
        mean = f"{in_words(values['mean'], key)} ({ends or '-'})"
        single = ", ".join(in_words(value, key) for value in values["values"])
        rows.append([TITLES[key], mean, "-" if spread is None else f"{spread:.4f}", single])
    seeds = f"Seeds {', '.join(map(str, summary['seeds']))}"
    header = ["Score", "Mean (95 % interval)", "Standard deviation", seeds]
    return harness.table(header, rows) + "\n\n" + class_table(summary["pooled"], ["sensitivity", "ppv"])


def class_table(scored: dict, keys: list[str]) -> str:
    """Return a Markdown table of each class's beats and scores, of what scores.metrics.score returned."""
    rows = [
        [name, f"{values['support']:,d}", *(in_words(values[key], key) for key in keys)]
        for name, values in scored["per_class"].items()
    ]
    return harness.table(["Class", "Beats", *(TITLES[key] for key in keys)], rows)


if __name__ == "__main__":
    command.run(main)
