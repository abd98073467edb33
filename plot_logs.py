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

import csv
import errno
import io
import json
import math
import os
import re
import textwrap
import warnings
from pathlib import Path

import command

import numpy as np

LOG_NAME = "log.csv"
OUTPUT = Path("output")  # where run.sh and train_keras.py's examples put their runs
SUFFIXES = (".png", ".svg", ".pdf")

AXIS_LABELS = {"loss": "Loss (cross-entropy)", "accuracy": "Accuracy"}
SIZE_INCHES = (6.4, 4.0)
DPI = 150
LEGEND_ROW_INCHES = 0.18
# Hues that colour-blind readers tell apart (after Okabe and Ito 2008), each of another lightness, so that
# they differ in gray too.
COLOURS = ("#0b2fa0", "#f09a10", "#b8321e", "#8fcdf5", "#14b07f", "#000000")
MARKERS = "os^Dv<>PphdX"
MARKERS_PER_CURVE = 12  # more of them hide a long curve
DECADES_FOR_LOG_SCALE = 2
LEGEND_CHARACTERS = 76  # that fit in the figure's width; a longer name takes more lines

NO_VALUE = {"", "na", "n/a", "nan", "none", "null"}  # Keras' CSVLogger writes NA for a skipped validation


def read_log(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a training log, also one that is still growing.

    A last line without a line end is left out if it lacks columns or its last number cannot be read.
    If an epoch stands there twice (it was trained again after a stop), its last line counts.

    Parameters
    ----------
    path : path
        A comma-separated file, UTF-8, whose first line names the columns, `epoch` among them.

    Returns
    -------
    dict of str to numpy.ndarray
        For each column float64 of shape (epochs,), in the order of the epochs; NaN where the log has no
        value. Columns that hold no number at all but text (times of day, notes) are not among them.

    Raises
    ------
    command.InputError
        There is no such file, it is no such log, or it has no epoch yet.
    """
    if not os.path.isfile(path):
        raise command.InputError(f"{path}: no such file; name a run folder or a log in CSV")
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
        lines = csv.reader(io.StringIO(text))
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except OSError as problem:
        raise command.InputError(f"{path}: cannot be read: {problem.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise command.InputError(f"{path}: not a training log in CSV ({problem})") from None

    header = [name.strip() for name in rows.pop(0)[1]] if rows else ["epoch"]
    if "epoch" not in header:
        raise command.InputError(f"{path}: not a training log: its first line names no column 'epoch'")
    if rows and not text.endswith("\n") and not _is_whole(rows[-1][1], header):
        rows.pop()
    for number, row in rows:
        if len(row) != len(header):
            raise command.InputError(
                f"{path}, line {number}: {len(row)} columns where the first line names {len(header)}; mend it"
            )
    if not rows:
        raise command.InputError(f"{path}: no epoch yet; wait until the first one has ended")

    log = {}
    for name, cells in zip(header, zip(*(row for _, row in rows), strict=True), strict=True):
        values = [_number(cell) for cell in cells]
        wrong = [place for place, value in enumerate(values) if value is None]
        if wrong and (name == "epoch" or any(v is not None and not math.isnan(v) for v in values)):
            line = rows[wrong[0]][0]
            raise command.InputError(
                f"{path}, line {line}: {name} is {cells[wrong[0]]!r}, not a number; mend it"
            )
        if not wrong:
            log[name] = np.array(values, np.float64)
    if not np.isfinite(log["epoch"]).all():
        raise command.InputError(f"{path}: the column 'epoch' must hold a number in each line; mend it")
    order = list({epoch: place for place, epoch in enumerate(log["epoch"])}.values())
    order.sort(key=log["epoch"].__getitem__)
    return {name: values[order] for name, values in log.items()}


def _number(cell: str) -> float | None:
    """Return a cell's number, NaN if it is empty, None if it holds something else."""
    if cell.strip().lower() in NO_VALUE:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None


def _is_whole(row: list[str], header: list[str]) -> bool:
    """Tell whether a line without a line end can be used: all columns, and its last cell not cut off."""
    return len(row) == len(header) and _number(row[-1]) is not None


def best_epoch(log: dict[str, np.ndarray], keep: str = "best") -> int | None:
    """Return the index of the epoch of best.keras, or None where no validation loss tells.

    By ``keep`` that is the lowest val_loss (the first of equals) or, for "last", the last epoch.
    """
    if keep == "last":
        return len(log["epoch"]) - 1
    losses = log.get("val_loss", np.array([]))
    return int(np.nanargmin(losses)) if not np.isnan(losses).all() else None


def check_metric(log: dict[str, np.ndarray], metric: str, where: str | os.PathLike) -> None:
    """Raise InputError, naming ``where``, if the log has no column of numbers for this metric."""
    names = [name for name in log if name != "epoch" and not name.startswith("val_")]
    if metric not in names:
        raise command.InputError(
            f"{where}: no numbers for --metric {metric}; this log has {', '.join(names) or 'no metric'}"
        )


def plot(
    runs: dict[str, dict[str, np.ndarray]],
    metric: str = "loss",
    note: str | None = None,
    keep: dict[str, str] | None = None,
):
    """Draw a metric of one or more runs against epochs.

    Epochs without a finite value are left out of a curve and the line joins their neighbours, since
    validation may run at each fifth epoch only. The axis is logarithmic if a loss spans more than two
    decades. No pyplot and no display are used, so this is safe in any thread.

    Parameters
    ----------
    runs : dict of str to dict
        Name in the legend, and log as :func:`read_log` returns it.
    metric : str
        A column of every log; the column `val_METRIC` is drawn where there is one.
    note : str, optional
        Words to print small above the curves.
    keep : dict of str to str, optional
        Of runs whose best.keras is not the lowest validation loss: name, and --keep.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    command.InputError
        A log has no column for the metric.
    """
    # Here, not above: a wrong option is answered before Matplotlib is loaded.
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    for name, log in runs.items():
        check_metric(log, metric, name)
    keep = keep or {}
    alone = len(runs) == 1
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    axes = figure.add_subplot()
    run_lines, best_labels, everything = [], [], []

    for place, (name, log) in enumerate(runs.items()):
        marker = MARKERS[place % len(MARKERS)]
        label = name
        for column, dashed in ((metric, False), (f"val_{metric}", True)):
            if column not in log:
                continue
            finite = np.isfinite(log[column])
            values = log[column][finite]
            everything.append(values)
            step = max(1, len(values) // MARKERS_PER_CURVE)
            colour = COLOURS[1 if alone and dashed else place % len(COLOURS)]
            (line,) = axes.plot(
                log["epoch"][finite],
                values,
                color=colour,
                linestyle="--" if dashed else "-",
                linewidth=1.3,
                marker="s" if alone and dashed else marker,
                markersize=4,
                markerfacecolor="white" if dashed else colour,
                # Runs take turns, so that markers of close curves do not hide one another.
                markevery=(step * place // len(runs), step),
            )
            if not dashed:
                run_lines.append(line)
                if not len(values):
                    label += " (no finite value)"
        best = best_epoch(log, keep.get(name, "best"))
        value = log.get(f"val_{metric}", np.full(len(log["epoch"]), np.nan))[best or 0]
        if best is not None and np.isfinite(value):
            epoch = log["epoch"][best]
            axes.plot(
                epoch,
                value,
                "*",
                color=colour,
                markersize=13 if alone else 10,
                markeredgecolor="black",
                zorder=4,
            )
            if alone:
                axes.axvline(epoch, color="0.6", linestyle=":", linewidth=1, zorder=0)
            best_labels.append(f"epoch {epoch:.10g}, {value:.4g}")
            label += f" (best.keras: {best_labels[-1]})"
        run_lines[-1].set_label(_legend_text(label))

    epochs = np.concatenate([log["epoch"] for log in runs.values()])
    _finish_axes(axes, metric, epochs, np.concatenate(everything))

    # Both legends stand outside the axes, where they cannot cover a curve.
    train_style = {"color": COLOURS[0] if alone else "0.3", "linewidth": 1.3, "marker": "o", "markersize": 4}
    key = [Line2D([], [], label="training", **train_style)]
    if any(f"val_{metric}" in log for log in runs.values()):
        style = {"linestyle": "--", "markerfacecolor": "white"}
        style |= {"color": COLOURS[1], "marker": "s"} if alone else {}
        key.append(Line2D([], [], label="validation", **train_style | style))
    if best_labels:
        star = {"linestyle": "", "marker": "*", "markersize": 11, "markeredgecolor": "black"}
        words = (
            best_labels[0]
            if alone
            else "the epoch kept"
            if "last" in keep.values()
            else "lowest validation loss"
        )
        colour = COLOURS[1] if alone else "0.6"
        key.append(Line2D([], [], color=colour, label=f"best.keras: {words}", **star))
    figure.legend(handles=key, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    if not alone:
        figure.legend(handles=run_lines, loc="outside lower left", frameon=False, fontsize=8)
        rows = sum(line.get_label().count("\n") + 1 for line in run_lines)
        figure.set_figheight(SIZE_INCHES[1] + LEGEND_ROW_INCHES * rows)
    if note:
        axes.set_title(note, fontsize=8, color="0.25")
    return figure


def _finish_axes(axes, metric: str, epochs: np.ndarray, values: np.ndarray) -> None:
    """Set scales, ticks and labels for these epochs and finite values, of all curves together."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if not values.size:
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center")
    elif "acc" not in metric and values.min() > 0:
        decades = math.log10(values.max()) - math.log10(values.min())
        if decades > DECADES_FOR_LOG_SCALE:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 4 else (1,)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)
    if epochs.min() == epochs.max():
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(AXIS_LABELS.get(metric, metric.replace("$", r"\$")))
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend_text(label: str) -> str:
    """Return a label with a run's name as Matplotlib can print it: on several lines, `$` not as formula."""
    printable = label.encode("utf-8", "replace").decode()  # a file's name need not be UTF-8
    return textwrap.fill(printable, LEGEND_CHARACTERS).replace("$", r"\$")


def plot_run(folder: str | os.PathLike, note: str | None = None) -> Path:
    """Draw the loss of a run folder into its loss.png and return that path.

    train_keras.py calls this when an epoch ends. Without ``note`` the run's own notice is printed (see
    :func:`read_note`). The old picture stays until the new one is whole.
    """
    folder = Path(folder)
    log = read_log(folder / LOG_NAME)
    target = folder / "loss.png"
    figure = plot({folder.name: log}, note=note or read_note(folder), keep={folder.name: read_keep(folder)})
    _save(figure, target)
    return target


def read_note(folder: str | os.PathLike) -> str | None:
    """Return the notice for a run that was trained on simulated data, else None.

    Such a run has ``"simulated": true`` in its config.json.
    """
    return command.SIMULATED_NOTICE if _read_config(folder).get("simulated") is True else None


def read_keep(folder: str | os.PathLike) -> str:
    """Return --keep of a run, "best" or "last"; "best" for a log from elsewhere."""
    options = _read_config(folder).get("options")
    return "last" if isinstance(options, dict) and options.get("keep") == "last" else "best"


def _read_config(folder: str | os.PathLike) -> dict:
    """Return a run's config.json, {} for a log from elsewhere: train_keras.py writes it before the first epoch."""
    try:
        config = json.loads((Path(folder) / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _save(figure, path: Path) -> None:
    with command.whole_file(path) as temporary:
        figure.savefig(temporary)


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
        if target.is_file() and b"Matplotlib" not in target.read_bytes()[:1024]:
            raise command.InputError(f"{target} is not a plot of Matplotlib: name another file with --output")
    if os.path.isdir(target):
        raise command.InputError(f"--output {target} is a folder: name a file in it")
    command.check_output(target.parent)
    return target


def main(argv: list[str]) -> None:
    """Run the command with these arguments."""
    summary, _, details = __doc__.partition("\n\n")
    parser = command.Parser(prog="plot_logs.py", description=summary, epilog=details)
    parser.add_argument("runs", nargs="*", metavar="RUN_DIR_OR_CSV", help="default: newest under ./output")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"a file in {', '.join(SUFFIXES)}")
    parser.add_argument(
        "--metric", default="loss", metavar="loss|accuracy", help="or another column of the log; default loss"
    )
    options = parser.parse_args(argv)
    if options.output and options.output.suffix.lower() not in SUFFIXES:
        raise command.InputError(
            f"--output {options.output}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )

    logs = [find_log(place) for place in options.runs] or [newest_log()]
    logs = list({os.path.abspath(log): log for log in logs}.values())  # a run named twice is drawn once
    runs = {}
    for name, log in zip(short_names(logs), logs, strict=True):
        runs[name] = read_log(log)
        check_metric(runs[name], options.metric, log)
    keep = {name: read_keep(log.parent) for name, log in zip(runs, logs, strict=True)}
    notes = {read_note(log.parent) for log in logs} - {None}
    target = choose_output(options.output, logs, options.metric)

    warnings.filterwarnings("ignore", "Glyph .* missing")  # a run's name may be in any script
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _save(plot(runs, options.metric, "; ".join(notes), keep), target)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise  # not the user's mistake: command.run tells
        raise command.InputError(f"--output {target}: cannot be written: {problem.strerror}") from None
    for name, log in runs.items():
        best = best_epoch(log)
        words = f"{len(log['epoch'])} epochs" if len(log["epoch"]) > 1 else "1 epoch"
        if best is not None:
            words += f", lowest val_loss {log['val_loss'][best]:.4g} at epoch {log['epoch'][best]:.10g}"
        print(f"{name}: {words}")
    for note in notes:
        print(note)
    print(f"Wrote {target}")


if __name__ == "__main__":
    command.run(main)
