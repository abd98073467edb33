"""Train a network with several seeds, each its own split, and sum up the scores on the test parts.

    python benchmarks/seeds.py --data DIR --output DIR [--seeds 0 1 2] [--model NAME] [--epochs N]

Each run is train_keras.py's with that --seed, in a folder of --output; the same command goes on after an
interruption. Prints mean and standard deviation over the seeds, and the scores of all test parts together, in
which a beat that two seeds test counts twice. Writes both to seeds.json.
"""

import argparse
import sys
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


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then sum up."""
    options = read_options(arguments)
    command.check_output(options.output)
    runs = [run_options(options, seed) for seed in options.seeds]
    to_do = [run for run in runs if not is_finished(run.output, run)]
    if to_do:
        data = train_keras.load_data(to_do[0])
    for run in to_do:
        print(f"\nSeed {run.seed}", flush=True)
        train_keras.train(data, split_as(data.images, vars(run)), run, run.output)
    summary = sum_up([run.output for run in runs]) | {"seeds": options.seeds}
    command.write_json(options.output / "seeds.json", summary)
    print("\n" + describe(summary))


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="seeds.py", description=__doc__)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the runs and seeds.json")
    number = command.whole_number(0)
    add("--seeds", type=number, nargs="+", default=[0, 1, 2], metavar="N", help="(default 0 1 2)")
    add("--model", default="fast", metavar="NAME", help="as for train_keras.py (default fast)")
    add("--epochs", type=command.whole_number(1), metavar="N", help="(default by network)")
    add("--limit", type=command.whole_number(1), metavar="N", help="at most N images of each class")
    options = parser.parse_args(arguments)
    if len(set(options.seeds)) < len(options.seeds):
        parser.error("--seeds: one of them is given twice")
    return options


def run_options(options: argparse.Namespace, seed: int) -> argparse.Namespace:
    """Return the options of train_keras.py for one seed."""
    arguments = ["--data", str(options.data), "--output", str(options.output / f"seed-{seed}"), "--resume"]
    arguments += ["--model", options.model, "--seed", str(seed)]
    for key in ("epochs", "limit"):
        if getattr(options, key) is not None:
            arguments += [f"--{key}", str(getattr(options, key))]
    return train_keras.read_options(arguments)


def sum_up(folders: list[Path]) -> dict:
    """Return means and deviations over the runs, and the scores of all their test beats together.

    Returns
    -------
    dict
        ``runs``: for accuracy and each of METRICS its ``values``, ``mean``, ``standard_deviation`` (None
        for one run) and ``interval`` (95 % bootstrap over each run's test beats, of the mean, or None);
        ``pooled``: as scores.score.
    """
    parts = [read_predictions(folder / "predictions.csv")[1:] for folder in folders]
    classes = parts[0][2]
    runs = {}
    scored = [score(*part) for part in parts]
    # The runs' test parts are drawn apart from each other, so their resamples are, too.
    resamples = [resampled_means(*part, seed=number) for number, part in enumerate(parts)]
    for key in ("accuracy", *METRICS):
        values = [score[key] for score in scored]
        means = np.mean([resample[key] for resample in resamples], axis=0)
        means = means[np.isfinite(means)]  # a resample of few beats may lack what the score needs
        runs[key] = {
            "values": values,
            "mean": float(np.mean(values)),
            "standard_deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "interval": [float(end) for end in np.percentile(means, [2.5, 97.5])] if len(means) else None,
        }
    true, probabilities = (np.concatenate([part[i] for part in parts]) for i in range(2))
    return {"runs": runs, "pooled": score(true, probabilities, classes)}


def describe(summary: dict) -> str:
    """Return a summary as two Markdown tables."""
    lines = [
        "| Score | Mean (95 % interval) | Standard deviation | Seeds "
        + ", ".join(map(str, summary["seeds"])),
        "| --- | ---: | ---: | ---:",
    ]
    for key, values in summary["runs"].items():
        ends = [in_words(end, key) for end in values["interval"] or ()]
        spread = values["standard_deviation"]
        lines.append(
            f"| {TITLES[key]} | {in_words(values['mean'], key)} ({' to '.join(ends) or '-'}) "
            f"| {'-' if spread is None else f'{spread:.4f}'} "
            f"| {', '.join(in_words(value, key) for value in values['values'])}"
        )
    lines += ["", "| Class | Beats of all seeds | Sensitivity | PPV", "| --- | ---: | ---: | ---:"]
    for name, values in summary["pooled"]["per_class"].items():
        lines.append(
            f"| {name} | {values['support']:,d} | {in_words(values['sensitivity'], 'sensitivity')} "
            f"| {in_words(values['ppv'], 'ppv')}"
        )
    return "\n".join(f"{line} |" if line else "" for line in lines)


if __name__ == "__main__":
    command.run(main)
