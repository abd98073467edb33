"""Cross-validation: the scores of all folds together, also of folds that were trained on other machines.

Nothing here needs Keras or the images.
"""

from pathlib import Path
from typing import NotRequired, TypedDict

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.names import record_names
from ecgbeats.images.notes import note_of
from ecgbeats.reading import Count, Share, read_json
from ecgbeats.runs.config import need_config, protocol_of, read_config
from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.figures import plot_confusion_matrix
from ecgbeats.scores.metrics import METRICS
from ecgbeats.scores.metrics_file import Scores, read_metrics
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.scoring import score_beats
from ecgbeats.scores.words import LONGEST_NAME, TITLES, in_words, interval_words

import numpy as np


class OverFolds(TypedDict):
    """A metric over the folds."""

    mean: Share
    standard_deviation: Share | None
    values: list[Share | None]


class ClassOverFolds(TypedDict):
    """The metrics of one class over the folds."""

    sensitivity: OverFolds | None
    specificity: OverFolds | None
    ppv: OverFolds | None
    f1: OverFolds | None
    auc: OverFolds | None
    support: list[Count]


class Pooled(Scores):
    """The scores of all folds' test beats together."""

    split: str
    simulated: bool
    made: NotRequired[str | None]


class Folds(TypedDict):
    """folds.json."""

    folds: Count
    accuracy: OverFolds | None
    sensitivity: OverFolds | None
    specificity: OverFolds | None
    ppv: OverFolds | None
    f1: OverFolds | None
    auc: OverFolds | None
    per_class: dict[str, ClassOverFolds]
    pooled: NotRequired[Pooled]


def check_fold_data(folders: list[Path], checksums: list[str] | None = None) -> None:
    """Raise InputError unless all folds that were begun were trained on the same images.

    ``checksums`` are those of --data's images and of --further's, where they are at hand; otherwise the folds are compared.
    """
    first = None
    for folder in folders:
        config = read_config(folder)
        if config is None:
            continue
        found = [config.get("data_sha256"), *(further["sha256"] for further in config.get("further", []))]
        if checksums is None:
            first, checksums = folder, found
        if found != checksums:
            other = f"those of {first}" if first else "those of --data and --further"
            raise InputError(
                f"{folder} was trained on other images than {other} (another checksum); "
                "give the same images, or remove the wrong folder to train its fold again"
            )


def is_gathered(output: Path, folders: list[Path]) -> bool:
    """Return whether folds.json is there and sums up these very folds: one may have been trained again."""
    means = fold_means(read_fold_metrics(folders))
    try:
        summary = read_json(output / "folds.json", Folds, "remove it: --resume writes it again")
    except InputError:  # broken, or of an earlier version: all that is in it follows from the folds
        return False
    return summary is not None and all(summary.get(name) == value for name, value in means.items())


def read_fold_metrics(folders: list[Path]) -> list[dict]:
    """Return metrics.json of each fold. Raises InputError where they are not of the same classes."""
    every = [read_metrics(folder) for folder in folders]
    for folder, metrics in zip(folders, every, strict=True):
        if metrics["classes"] != every[0]["classes"]:
            raise InputError(
                f"{folder / 'metrics.json'} is of other classes than that of {folders[0]}; copy the run's whole folder "
                "again, or remove it to train the fold again"
            )
    return every


def fold_means(every: list[dict]) -> dict:
    """Return each metric's mean and standard deviation over folds.

    Parameters
    ----------
    every : list of dict
        metrics.json of each fold, in their order.

    Returns
    -------
    dict
        ``folds``, their number. For accuracy and each of METRICS a dict: ``values`` of the folds,
        None where a fold's is not defined (a class that its test part lacks, an AUC of beats of one class),
        their ``mean``, and their sample ``standard_deviation`` (None for a single one); None in its place if no
        fold has a value. ``per_class``: the same for each class, and its ``support`` in each fold.
    """

    def over_folds(values: list[float | None]) -> dict | None:
        defined = [value for value in values if value is not None]
        if not defined:
            return None
        spread = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
        return {"mean": float(np.mean(defined)), "standard_deviation": spread, "values": values}

    summary = {"folds": len(every)}
    for name in ("accuracy", *METRICS):
        summary[name] = over_folds([metrics[name] for metrics in every])
    summary["per_class"] = {}
    for name in every[0].get("per_class", {}):
        folds = [metrics["per_class"][name] for metrics in every]
        summary["per_class"][name] = {
            key: over_folds([values[key] for values in folds]) for key in METRICS
        } | {"support": [values["support"] for values in folds]}
    return summary


def pool_folds(folders: list[Path]) -> dict:
    """Return the scores of all folds' test beats together: each beat of the data is tested in one fold.

    An AUC compares probabilities of several networks here, so it may lie below the mean of the folds.

    Returns
    -------
    dict
        As score_beats gives it; ``split``, ``simulated`` and ``made`` as in metrics.json.

    Raises
    ------
    InputError
        The folds' predictions.csv are not whole, or test a beat twice.
    """
    parts, tested = [], {}
    for folder in folders:
        config, path = need_config(folder), folder / "predictions.csv"
        files, true, probabilities, classes = read_predictions(path)
        if len(files) != config["images"]["test"] or classes != config["classes"]:
            raise InputError(
                f"{path} holds {len(files)} beats of {len(classes)} classes, but the fold tested "
                f"{config['images']['test']} of {len(config['classes'])}; copy the run's whole folder again"
            )
        for file in files:
            if file in tested:
                raise InputError(
                    f"{path} and {tested[file]} both hold {file}, so these are not folds of one split: "
                    "train them with the same versions of all packages (requirements.txt)"
                )
            tested[file] = path
        parts.append((true, probabilities))
    true, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    protocol = protocol_of(config)
    scored = score_beats(true, probabilities, classes, record_names(list(tested)), protocol)
    return scored | {"split": protocol.name, "simulated": config["simulated"], "made": config.get("made")}


def gather_folds(output: Path, folders: list[Path]) -> None:
    """Write folds.json, each metric over the folds and of all test beats together, draw the latter, print both."""
    summary = fold_means(read_fold_metrics(folders))
    pooled = summary["pooled"] = pool_folds(folders)
    note = note_of(pooled)
    save_figure(plot_confusion_matrix(pooled, note), output / "confusion_matrix.png")
    command.write_json(output / "folds.json", summary)
    print("\n" + fold_table(summary))
    if note:
        print(note)
    print(f"Results: {output / 'folds.json'}")


def fold_table(summary: dict) -> str:
    """Return folds.json's content as plain text for a terminal: at most 80 columns."""

    def mean(values: dict | None, key: str) -> str:
        if values is None:
            return "-"
        text, spread = in_words(values["mean"], key), values["standard_deviation"]
        if spread is None:
            return text
        return f"{text} ± " + (f"{spread:.4f}" if key == "auc" else f"{100 * spread:.2f}")

    pooled = summary.get("pooled")
    lines = [f"{'mean ± standard deviation of ' + str(summary['folds']) + ' folds':<40}"]
    if pooled:
        lines[0] += f"all {pooled['test_images']:,d} test beats together"
    for key in ("accuracy", *METRICS):
        line = f"{TITLES[key]:<12}{mean(summary[key], key):>20}"
        if pooled:
            line += f"{in_words(pooled[key], key):>17}"
            if ends := pooled["intervals"][key]:
                low, high = (in_words(end, key) for end in ends)
                line += f"   {low:>8} to {high:>8}"
        lines.append(line)
    if pooled:
        lines.append(interval_words(pooled["intervals"]) + ", all together")
    width = LONGEST_NAME
    lines += ["", f"{'class':<{width}}{'sensitivity':>18}{'PPV':>18}{'F1':>18}{'beats':>9}"]
    for name, values in summary["per_class"].items():
        cells = "".join(f"{mean(values[key], key):>18}" for key in ("sensitivity", "ppv", "f1"))
        short = name if len(name) <= width else name[: width - 2] + ".."
        lines.append(f"{short:<{width}}{cells}{sum(values['support']):>9,d}")
    return "\n".join(lines)
