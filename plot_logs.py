"""Draw training logs: training and validation against epochs, several runs in one figure.

    python plot_logs.py                              the newest run under ./output
    python plot_logs.py output/run-1 output/run-2    compare runs, into ./loss.png
    python plot_logs.py run.csv --metric accuracy --output accuracy.pdf

A run is a folder that train_keras.py wrote, or any comma-separated log with a column `epoch` and a
column for the metric (and `val_` before its name for the validation part), such as Keras' CSVLogger
writes. Epochs are numbered as in the log: train_keras.py counts from 1, Keras from 0. The star marks the
epoch of best.keras: the lowest `val_loss`, or the last one with --keep last.

Without --output one run's figure is written beside its log, that of several runs into the current
folder, as loss.png or accuracy.png; a file of that name that Matplotlib did not draw is left alone.
A file named by --output is replaced.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import errno
import os
import re
from pathlib import Path

from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.log_plot import plot_training
from ecgbeats.scores.logs import (
    ACCURACY_NAMES,
    LOG_NAME,
    best_epoch,
    check_metric,
    read_log,
    read_marks,
    with_accuracy,
)

import numpy as np

OUTPUT = Path("output")  # where run.sh and train_keras.py's examples put their runs
SUFFIXES = (".png", ".svg", ".pdf")


def main(arguments: list[str]) -> None:
    """Read the logs, draw them, say what they hold."""
    options = read_options(arguments)
    logs = [find_log(place) for place in options.runs] or [newest_log()]
    logs = list({os.path.abspath(log): log for log in logs}.values())  # a run named twice is drawn once
    runs, said = {}, []
    for name, log in zip(short_names(logs), logs, strict=True):
        runs[name] = read_log(log, said.append)
    if options.metric in ACCURACY_NAMES and any(options.metric not in run for run in runs.values()):
        options.metric = "accuracy"
    for name, log in zip(runs, logs, strict=True):
        if options.metric == "accuracy":
            runs[name] = with_accuracy(runs[name])
        check_metric(runs[name], options.metric, log)
    marks = [read_marks(log.parent, said.append) for log in logs]
    keep = {name: kept for name, (_, kept) in zip(runs, marks, strict=True)}
    notes = {note for note, _ in marks} - {None}
    target = choose_output(options.output, logs, options.metric)
    write(plot_training(runs, options.metric, "; ".join(notes), keep), target)
    for name, log in runs.items():
        print(f"{name}: {in_words(log)}")
    for words in (*said, *notes):
        print(words)
    print(f"Wrote {target}")


def read_options(arguments: list[str]):
    """Return the command line's options."""
    summary, _, details = __doc__.partition("\n\n")
    parser = command.Parser(prog="plot_logs.py", description=summary, epilog=details)
    parser.add_argument("runs", nargs="*", metavar="RUN_DIR_OR_CSV", help="default: newest under ./output")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"a file in {', '.join(SUFFIXES)}")
    parser.add_argument(
        "--metric",
        default="loss",
        metavar="loss|accuracy",
        help="or another column of the log; default loss; acc and the like are accuracy",
    )
    options = parser.parse_args(arguments)
    if options.output and options.output.suffix.lower() not in SUFFIXES:
        raise command.InputError(
            f"--output {options.output}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    return options


def find_log(place: str) -> Path:
    """Return the log that an argument means: the file itself, or log.csv in the run folder."""
    if not os.path.isdir(place):
        return Path(place)
    log = Path(place) / LOG_NAME
    if not log.exists():
        folds = sorted(Path(place).glob(f"fold-*/{LOG_NAME}"))
        hint = f"name its folds: {place}/fold-*" if folds else "name a folder that train_keras.py wrote"
        raise command.InputError(f"{place}: no {LOG_NAME} in this folder; {hint}")
    return log


def newest_log() -> Path:
    """Return the log under ./output that was written to last."""
    logs = [log for pattern in ("", "*/", "*/*/") for log in OUTPUT.glob(pattern + LOG_NAME)]
    if not logs:
        raise command.InputError(f"no {LOG_NAME} under ./{OUTPUT}: name a run folder, or train first")
    return max(logs, key=lambda log: log.stat().st_mtime_ns)


def short_names(logs: list[Path]) -> list[str]:
    """Return a name for each log: as much of the end of its path as tells it from the others.

    A log.csv goes by its folder's name.
    """
    paths = [log.absolute() for log in logs]
    parts = [(path.parent if path.name == LOG_NAME else path).parts for path in paths]
    names = []
    for own in parts:
        others = [other for other in parts if other != own]
        length = 1
        while any(own[-length:] == other[-length:] for other in others):
            length += 1
        names.append(str(Path(*own[-length:])))
    return names


def choose_output(output: Path | None, logs: list[Path], metric: str) -> Path:
    """Return where the figure goes, after checking that it can be written there."""
    target = output
    if target is None:
        folder = logs[0].parent if len(logs) == 1 else Path()
        target = folder / (re.sub(r"[^\w.-]", "_", metric) + ".png")
        if target.is_file() and not is_of_matplotlib(target):
            raise command.InputError(f"{target} is not a plot of Matplotlib: name another file with --output")
    if os.path.isdir(target):
        raise command.InputError(f"--output {target} is a folder: name a file in it")
    command.check_output(target.parent)
    return target


def is_of_matplotlib(picture: Path) -> bool:
    """Return whether Matplotlib drew a picture, by what it writes at the beginning."""
    with open(picture, "rb") as file:
        return b"Matplotlib" in file.read(1024)


def write(figure, target: Path) -> None:
    """Write the figure. Raises InputError where that is not possible, but for a full disk."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_figure(figure, target)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise  # not the user's mistake: command.run tells
        raise command.InputError(f"--output {target}: cannot be written: {problem.strerror}") from None


def in_words(log: dict[str, np.ndarray]) -> str:
    """Return how many epochs a log has, and its lowest validation loss."""
    words = f"{len(log['epoch'])} epochs" if len(log["epoch"]) > 1 else "1 epoch"
    best = best_epoch(log)
    if best is not None:
        words += f", lowest val_loss {log['val_loss'][best]:.4g} at epoch {log['epoch'][best]:.10g}"
    return words


if __name__ == "__main__":
    command.run(main)
