"""Curves of training and validation against epochs."""

import math
import os
import textwrap
from pathlib import Path

from ecgbeats.scores.figure_style import COLOURS, DPI, clean, save_figure
from ecgbeats.scores.glyphs import with_glyphs
from ecgbeats.scores.logs import LOG_NAME, best_epoch, check_metric, read_keep, read_log, read_note

import numpy as np

AXIS_LABELS = {"loss": "Loss (cross-entropy)", "accuracy": "Accuracy"}
SIZE_INCHES = (6.4, 4.0)
LEGEND_ROW_INCHES = 0.18
MARKERS = "os^Dv<>PphdX"
MARKERS_PER_CURVE = 12  # more of them hide a long curve
DECADES_FOR_LOG_SCALE = 2
LARGEST_DRAWN = 1e100  # near the largest float, axes cannot be laid out
LEGEND_CHARACTERS = 76  # that fit in the figure's width; a longer name takes more lines


def plot_training(
    runs: dict[str, dict[str, np.ndarray]],
    metric: str = "loss",
    note: str | None = None,
    keep: dict[str, str] | None = None,
):
    """Draw a metric of one or more runs against epochs.

    Epochs without a finite value (or one beyond LARGEST_DRAWN) are left out of a curve and the line joins their neighbours, since
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

    for name, log in runs.items():
        check_metric(log, metric, name)
    keep = keep or {}
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    axes = figure.add_subplot()
    lines, best = [], []
    for place, (name, log) in enumerate(runs.items()):
        line, words = _draw_run(axes, log, metric, name, keep.get(name, "best"), place, len(runs))
        lines.append(line)
        best += words
    _finish_axes(axes, metric, list(runs.values()))
    # Both legends stand outside the axes, where they cannot cover a curve.
    key = _key(
        alone=len(runs) == 1,
        validation=any(f"val_{metric}" in log for log in runs.values()),
        best=best,
        last="last" in keep.values(),
    )
    figure.legend(handles=key, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    if len(runs) > 1:
        figure.legend(handles=lines, loc="outside lower left", frameon=False, fontsize=8)
        rows = sum(line.get_label().count("\n") + 1 for line in lines)
        figure.set_figheight(SIZE_INCHES[1] + LEGEND_ROW_INCHES * rows)
    if note:
        axes.set_title(note, fontsize=8, color="0.25")
    return figure


def _draw_run(axes, log: dict, metric: str, name: str, keep: str, place: int, runs: int):
    """Draw run ``place`` of ``runs``; return its training curve, labelled, and a list with the words of its best epoch.

    The list is empty where no epoch is the best.
    """
    alone = runs == 1
    label, colour, marker = name, COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    for column, dashed in ((metric, False), (f"val_{metric}", True)):
        if column not in log:
            continue
        if alone and dashed:
            colour, marker = COLOURS[1], "s"
        finite = _is_drawn(log[column])
        values = log[column][finite]
        step = max(1, len(values) // MARKERS_PER_CURVE)
        (curve,) = axes.plot(
            log["epoch"][finite],
            values,
            color=colour,
            linestyle="--" if dashed else "-",
            linewidth=1.3,
            marker=marker,
            markersize=4,
            markerfacecolor="white" if dashed else colour,
            # Runs take turns, so that markers of close curves do not hide one another.
            markevery=(step * place // runs, step),
        )
        if not dashed:
            training = curve
            if not len(values):
                label += " (no finite value)"
    best, words = best_epoch(log, keep), []
    value = log.get(f"val_{metric}", np.full(len(log["epoch"]), np.nan))[best or 0]
    if best is not None and _is_drawn(value):
        epoch = log["epoch"][best]
        size = 13 if alone else 10
        axes.plot(epoch, value, "*", color=colour, markersize=size, markeredgecolor="black", zorder=4)
        if alone:
            axes.axvline(epoch, color="0.6", linestyle=":", linewidth=1, zorder=0)
        words = [f"epoch {epoch:.10g}, {value:.4g}"]
        label += f" (best.keras: {words[0]})"
    training.set_label(_legend_text(label))
    return training, words


def _is_drawn(values):
    """Return for each value whether it is drawn: NaN, infinity and the like are not."""
    return np.abs(values) <= LARGEST_DRAWN


def _key(alone: bool, validation: bool, best: list[str], last: bool) -> list:
    """Return the lines of the legend that says what is training, what validation and what the star is.

    ``best`` is what :func:`_draw_run` says of the best epochs; ``last`` is whether one is there by --keep last.
    """
    from matplotlib.lines import Line2D

    solid = {"color": COLOURS[0] if alone else "0.3", "linewidth": 1.3, "marker": "o", "markersize": 4}
    key = [Line2D([], [], label="training", **solid)]
    if validation:
        dashed = solid | {"linestyle": "--", "markerfacecolor": "white"}
        dashed |= {"color": COLOURS[1], "marker": "s"} if alone else {}
        key.append(Line2D([], [], label="validation", **dashed))
    if best:
        words = best[0] if alone else "the epoch kept" if last else "lowest validation loss"
        star = {"linestyle": "", "marker": "*", "markersize": 11, "markeredgecolor": "black"}
        key.append(Line2D([], [], color=COLOURS[1] if alone else "0.6", label=f"best.keras: {words}", **star))
    return key


def _finish_axes(axes, metric: str, logs: list[dict[str, np.ndarray]]) -> None:
    """Set scales, ticks and labels for the epochs and finite values of all curves together."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    epochs = np.concatenate([log["epoch"] for log in logs])
    values = np.concatenate([log[name] for log in logs for name in (metric, f"val_{metric}") if name in log])
    values = values[_is_drawn(values)]

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
    axes.set_ylabel(AXIS_LABELS.get(metric, _legend_text(metric)))
    clean(axes, 10)


def _legend_text(label: str) -> str:
    """Return a label with a run's name as Matplotlib can print it: on several lines, `$` not as formula."""
    printable = with_glyphs(label.encode("utf-8", "replace").decode())  # a file's name need not be UTF-8
    return textwrap.fill(printable, LEGEND_CHARACTERS).replace("$", r"\$")


def plot_run(folder: str | os.PathLike, note: str | None = None) -> Path:
    """Draw the loss of a run folder into its loss.png and return that path.

    train_keras.py calls this when an epoch ends. Without ``note`` the run's own notice is printed (see
    :func:`read_note`). The old picture stays until the new one is whole.
    """
    folder = Path(folder)
    log = read_log(folder / LOG_NAME)
    target = folder / "loss.png"
    figure = plot_training(
        {folder.name: log}, note=note or read_note(folder), keep={folder.name: read_keep(folder)}
    )
    save_figure(figure, target)
    return target
