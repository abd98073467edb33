"""From predictions to scores: metrics, their intervals, predictions.csv, the printed table and the figures.

Every function takes and returns values, so a notebook can use them on predictions.csv alone:

    files, true, probabilities, classes = scores.read_predictions("output/run-1/predictions.csv")
    metrics = scores.score(true, probabilities, classes)
    print(scores.table(metrics, scores.intervals(true, probabilities, classes)))

``true`` holds the number of each beat's class, ``probabilities`` one column for each of ``classes``; the
predicted class is the one with the highest probability. scikit-learn and Matplotlib are imported where they
are used, and no Keras at all.
"""

import csv
import os

import command
from command import InputError

import numpy as np

from plot_logs import COLOURS, DPI

# One-vs-rest, in the order and by the names that the paper reports.
METRICS = ("sensitivity", "specificity", "ppv", "f1", "auc")
TITLES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "f1": "F1",
    "auc": "AUC",
}
LEVEL = 0.95  # of the intervals
LONGEST_NAME = 16  # characters of a class's name in the table and the figures
LINE_STYLES = ("-", "--", ":", "-.")  # with six colours: twelve curves that differ


# -- metrics -----------------------------------------------------------------------------------------------


def score(true: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> dict:
    """Return the metrics of a set of predictions, ready for metrics.json.

    Parameters
    ----------
    true : numpy.ndarray of int, shape (beats,)
        Each beat's class, as an index into ``classes``.
    probabilities : numpy.ndarray of float, shape (beats, classes)
    classes : list of str

    Returns
    -------
    dict
        ``accuracy``: the share of beats right. ``sensitivity specificity ppv f1 auc``: one-vs-rest means over
        the classes that have beats, each class counting alike. ``per_class``: the same for each class, and
        its ``support``, the number of its beats. ``confusion_matrix``: counts, rows true. ``classes``,
        ``test_images``. None for what is not defined: all of an absent class, and specificity and AUC where
        all beats are of one class. PPV is 0 for a class that was never predicted.

    Raises
    ------
    InputError
        A probability is not finite.
    """
    from sklearn import metrics as sk

    true, probabilities = _checked(true, probabilities, classes)
    predicted = probabilities.argmax(axis=1)
    per_class = {}
    for number, name in enumerate(classes):
        actual, chosen = true == number, predicted == number
        values = dict.fromkeys(METRICS)
        if actual.any():
            values["ppv"], values["sensitivity"], values["f1"], _ = sk.precision_recall_fscore_support(
                actual, chosen, average="binary", zero_division=0
            )
            if not actual.all():
                values["specificity"] = sk.recall_score(~actual, ~chosen)
                values["auc"] = sk.roc_auc_score(actual, probabilities[:, number])
        values = {key: None if value is None else float(value) for key, value in values.items()}
        per_class[name] = values | {"support": int(actual.sum())}

    # No beats at all is what the rest of DS2 without record 202 may be.
    metrics = {"accuracy": float(sk.accuracy_score(true, predicted)) if len(true) else None}
    for key in METRICS:
        defined = [values[key] for values in per_class.values() if values[key] is not None]
        metrics[key] = float(np.mean(defined)) if defined else None
    size = len(classes)
    confusion = np.bincount(true * size + predicted, minlength=size * size).reshape(size, size)
    return metrics | {
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
        "classes": list(classes),
        "test_images": len(true),
    }


def _checked(true, probabilities, classes) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays (int64, float32), after checking that they belong together."""
    true, probabilities = np.asarray(true, np.int64), np.asarray(probabilities, np.float32)
    if probabilities.shape != (len(true), len(classes)):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} for {len(true)} beats and {len(classes)} classes"
        )
    if len(true) and not 0 <= true.min() <= true.max() < len(classes):
        raise ValueError(f"a true class is outside 0 to {len(classes) - 1}")
    if not np.isfinite(probabilities).all():
        raise InputError(
            "the network gives probabilities that are not finite: train it again with a lower --learning-rate"
        )
    return true, probabilities


def intervals(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    groups: np.ndarray | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> dict:
    """Return bootstrap intervals (95 %, percentile method) of the metrics that :func:`score` gives.

    Beats of one record are alike, so resampling beats gives intervals that are too narrow for new patients:
    give the records as ``groups`` wherever the split is over records. In each repeat a mean is over the
    classes that its beats have, as in score. An interval without any error among its beats has no width.

    Parameters
    ----------
    true, probabilities, classes
        As for score.
    groups : sequence of str or int, shape (beats,), optional
        The record of each beat: whole records are resampled. Without it beats are.
    repeats : int
    seed : int

    Returns
    -------
    dict
        ``level``, ``repeats``, ``resampled`` ("records" or "beats") and ``units``, how many there are;
        ``accuracy``, ``sensitivity``, ... each [low, high], and ``per_class`` the same for each class. None
        where there is nothing to resample: with fewer than two units, or for a class that fewer than two
        of them hold; ``missing`` says so in words (by class name, or under "all").

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    true, probabilities = _checked(true, probabilities, classes)
    size = len(classes)
    unit = np.arange(len(true)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(unit) != len(true):
        raise ValueError(f"{len(unit)} groups for {len(true)} beats")
    units = int(unit.max(initial=-1)) + 1
    holders = [len(np.unique(unit[true == number])) for number in range(size)]
    resampled = "beats" if groups is None else "records"

    samples = {"accuracy": np.empty(0)} | {key: np.empty((0, size)) for key in METRICS}
    if units > 1:
        samples = _resample(true, probabilities, unit, units, repeats, seed)
    result = {"level": LEVEL, "repeats": repeats, "resampled": resampled, "units": units}
    result |= {key: _percentiles(values) for key, values in _means(samples).items()}
    result["per_class"] = {
        name: {key: _percentiles(samples[key][:, i]) if holders[i] > 1 else None for key in METRICS}
        for i, name in enumerate(classes)
    }
    missing = {}
    if units < 2:
        missing["all"] = f"fewer than two {resampled}: there is nothing to resample"
    else:
        for name, number in zip(classes, holders, strict=True):
            if number < 2:
                missing[name] = f"only one of the {resampled} holds it" if number else "no beats"
    result["missing"] = missing
    return result


def resampled_means(
    true: np.ndarray, probabilities: np.ndarray, classes: list[str], repeats: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return accuracy and the means of METRICS in each of ``repeats`` bootstrap resamples of the beats.

    For intervals of what several sets of predictions give together. Parameters as for :func:`intervals`; each
    array is float64 of shape (repeats,).
    """
    true, probabilities = _checked(true, probabilities, classes)
    return _means(_resample(true, probabilities, np.arange(len(true)), len(true), repeats, seed))


def _means(samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each metric's mean over the classes that a resample has, NaN where it has none."""
    with np.errstate(invalid="ignore"):
        means = {
            key: np.nansum(samples[key], axis=1) / np.isfinite(samples[key]).sum(axis=1) for key in METRICS
        }
    return {"accuracy": samples["accuracy"]} | means


def _resample(true, probabilities, unit, units, repeats, seed) -> dict[str, np.ndarray]:
    """Return each metric in each repeat: accuracy of shape (repeats,), others (repeats, classes), or NaN.

    A resample is a weight for each beat, how often its unit was drawn, so that a class's probabilities are
    sorted once for all repeats; an AUC is then the weighted share of pairs in the right order, ties half.
    """
    size = probabilities.shape[1]
    cell = true * size + probabilities.argmax(axis=1)
    places = [_order(column, true == number) for number, column in enumerate(probabilities.T)]
    lengths = [2 * (place.max() // 2 + 1) for place in places]
    confusion = np.empty((repeats, size, size))
    auc = np.full((repeats, size), np.nan)
    random = np.random.default_rng(seed)
    for repeat in range(repeats):
        drawn = np.bincount(random.integers(units, size=units), minlength=units)
        weights = drawn.astype(float)[unit]
        confusion[repeat] = np.bincount(cell, weights, size * size).reshape(size, size)
        support = confusion[repeat].sum(axis=1)
        for number in np.flatnonzero((support > 0) & (support < support.sum())):
            counts = np.bincount(places[number], weights, lengths[number])
            negative, positive = counts.reshape(-1, 2).T
            below = np.cumsum(negative) - negative / 2
            auc[repeat, number] = positive @ below / (positive.sum() * negative.sum())

    right = np.diagonal(confusion, axis1=1, axis2=2)
    support, chosen, total = confusion.sum(axis=2), confusion.sum(axis=1), confusion.sum(axis=(1, 2))
    others = total[:, None] - support
    with np.errstate(invalid="ignore"):
        rates = {
            "sensitivity": right / support,
            "specificity": (others - chosen + right) / others,
            "ppv": right / np.maximum(chosen, 1),
            "f1": 2 * right / (support + chosen),
            "auc": auc,
        }
    rates = {key: np.where(support > 0, values, np.nan) for key, values in rates.items()}
    return rates | {"accuracy": right.sum(axis=1) / total}


def _order(values: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return where each beat stands by its probability, for an AUC: twice its step, plus 1 if ``actual``.

    Equal values share a step, and so do neighbours of the same kind, since no pair among them counts: a good
    network's beats stand on few steps.
    """
    levels, rank = np.unique(values, return_inverse=True)
    positive = np.bincount(rank, actual, len(levels))
    mixed = (positive > 0) & (positive < np.bincount(rank, minlength=len(levels)))
    same_kind = ((positive > 0)[1:] == (positive > 0)[:-1]) & ~mixed[1:] & ~mixed[:-1]
    step = np.concatenate([[0], np.cumsum(~same_kind)])
    return 2 * step[rank] + actual


def _percentiles(values: np.ndarray) -> list[float] | None:
    """Return the ends of the interval that holds LEVEL of the values that are defined, or None."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    return np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()


# -- predictions.csv ---------------------------------------------------------------------------------------


def write_predictions(
    path: str | os.PathLike,
    files: list[str],
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
) -> None:
    """Write ``file,true,predicted,probability`` and a column ``p_CLASS`` for each class.

    ``files`` are paths relative to --data; the rest is as for :func:`score`. Probabilities are written in
    the fewest digits that give the same float32 again.
    """
    true, probabilities = _checked(true, probabilities, classes)
    predicted = probabilities.argmax(axis=1)
    digits = probabilities.astype(str)
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "true", "predicted", "probability", *(f"p_{name}" for name in classes)])
        for file, actual, chosen, row in zip(files, true, predicted, digits, strict=True):
            writer.writerow([file, classes[actual], classes[chosen], row[chosen], *row])


def read_predictions(path: str | os.PathLike) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """Read a predictions.csv back.

    Returns
    -------
    files : list of str
    true : numpy.ndarray, int64, shape (beats,)
    probabilities : numpy.ndarray, float32, shape (beats, classes)
    classes : list of str

    Raises
    ------
    InputError
        There is no such file, or it is no predictions.csv; the message names the line.
    """
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, csv.Error) as problem:
        raise InputError(f"{path} cannot be read ({problem}); name a predictions.csv") from None
    classes = [name.removeprefix("p_") for name in header[4:]]
    if (
        header != ["file", "true", "predicted", "probability", *(f"p_{name}" for name in classes)]
        or not classes
    ):
        raise InputError(
            f"{path} is no predictions.csv: its first line must be file,true,predicted,probability "
            "and a p_CLASS for each class"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    true, probabilities = np.empty(len(rows), np.int64), np.empty((len(rows), len(classes)), np.float32)
    for place, (line, row) in enumerate(rows):
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} columns instead of {len(header)}")
            if row[1] not in numbers:
                raise ValueError(f"no column p_{row[1]} for this class")
            true[place], probabilities[place] = numbers[row[1]], row[4:]
        except ValueError as problem:
            raise InputError(f"{path}, line {line}: {problem}; mend it or write it again") from None
    return [row[0] for _, row in rows], true, probabilities, classes


# -- in words ----------------------------------------------------------------------------------------------


def table(metrics: dict, intervals: dict | None = None) -> str:
    """Return the metrics as plain text for a terminal: at most 80 columns, a row for each class.

    ``metrics`` is what :func:`score` returns; with ``intervals``, those of the overall scores stand there too.
    """
    names = [_short(name) for name in metrics["classes"]]
    present = sum(values["support"] > 0 for values in metrics["per_class"].values())
    lines = []
    for key in ("accuracy", *METRICS):
        line = f"{TITLES[key]:<12}{in_words(metrics[key], key):>9}"
        if intervals and intervals[key]:
            low, high = (in_words(end, key) for end in intervals[key])
            line += f"   {low:>8} to {high:>8}"
        if key == "accuracy":
            line += f"   of {metrics['test_images']:,d} beats"
        if key == "sensitivity":
            line += f"   mean of {present} of {len(names)} classes, as below"
        lines.append(line)
    if intervals:
        lines.append(interval_words(intervals))
    name_width = max(5, *map(len, names))
    widths = [max(len(TITLES[key]) + 1, 10) for key in METRICS]
    header = "".join(f"{TITLES[key]:>{width}}" for key, width in zip(METRICS, widths, strict=True))
    lines += ["", f"{'class':<{name_width}}{header}{'beats':>9}"]
    for name, short in zip(metrics["classes"], names, strict=True):
        values = metrics["per_class"][name]
        cells = "".join(
            f"{in_words(values[key], key):>{width}}" for key, width in zip(METRICS, widths, strict=True)
        )
        lines.append(f"{short:<{name_width}}{cells}{values['support']:>9,d}")
    return "\n".join(lines)


def in_words(value: float | None, key: str) -> str:
    """Return a score in words: AUC as a number, the others in percent, "-" if it is not defined."""
    if value is None:
        return "-"
    return _rounded(value, 4) if key == "auc" else _rounded(100 * value, 2, 100) + " %"


def _rounded(value: float, digits: int, top: float = 1) -> str:
    """Round, but never an error away: what is below ``top`` or above 0 does not read as top or 0."""
    step = 10**-digits
    if 0 < value < step / 2:
        return f"<{step:.{digits}f}"
    if top - step / 2 <= value < top:
        return f">{top - step:.{digits}f}"
    return f"{value:.{digits}f}"


def _short(name: str) -> str:
    """Return a class's name in at most LONGEST_NAME characters (other people's folders have long names)."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 8] + ".." + name[-6:]


def interval_words(intervals: dict) -> str:
    """Say what kind of intervals these are."""
    if intervals["units"] < 2:
        return f"no intervals: fewer than two {intervals['resampled']}"
    return f"{100 * intervals['level']:.0f} % bootstrap intervals over {intervals['units']:,d} {intervals['resampled']}"


# -- figures -----------------------------------------------------------------------------------------------


def save_figure(figure, path: str | os.PathLike) -> None:
    """Write a figure, whole or not at all, in the format that the path's suffix names."""
    with command.whole_file(path) as unfinished:
        figure.savefig(unfinished)


def plot_confusion_matrix(metrics: dict, note: str | None = None):
    """Draw the confusion matrix: counts, and percentages of each true class, which the colour shows too.

    The colour scale is that of the square root, so that a class of which 1 % is missed does not look flawless.

    Parameters
    ----------
    metrics : dict
        As :func:`score` returns it.
    note : str, optional
        Words to print small above the matrix.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.patches import Rectangle

    counts = np.array(metrics["confusion_matrix"])
    size = len(counts)
    support = counts.sum(axis=1)
    shares = counts / np.maximum(support, 1)[:, None]
    names = [_printable(name) for name in metrics["classes"]]
    figure = _new_figure(2.4 + 0.62 * max(size, 3), 1.9 + 0.5 * max(size, 3))
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="auto")
    # The luminance of WCAG 2: below 0.179 white has the higher contrast on a colour, above it black.
    colours = image.cmap(image.norm(shares))[..., :3]
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    dark = linear @ (0.2126, 0.7152, 0.0722) < 0.179
    for row in range(size):
        if not support[row]:
            axes.add_patch(
                Rectangle(
                    (-0.5, row - 0.5), size, 1, facecolor="0.96", edgecolor="0.8", hatch="///", linewidth=0
                )
            )
            box = {"facecolor": "0.96", "edgecolor": "none", "pad": 2}
            axes.text(
                (size - 1) / 2,
                row,
                "no beats",
                ha="center",
                va="center",
                fontsize=8,
                color="0.25",
                bbox=box,
            )
            continue
        for column in range(size):
            text, colour = "0", "0.4"
            if counts[row, column]:
                colour = "white" if dark[row, column] else "black"
                text = f"{counts[row, column]:,d}\n{_rounded(100 * shares[row, column], 1, 100)} %"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7, linespacing=1.25)
    ends = np.arange(size + 1) - 0.5
    axes.hlines(ends, -0.5, size - 0.5, color="0.8", linewidth=0.6)
    axes.vlines(ends, -0.5, size - 0.5, color="0.8", linewidth=0.6)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 6 else {}
    axes.set_xticks(range(size), names, fontsize=8, **turned)
    beats = [f"{name} ({number:,d})" for name, number in zip(names, support, strict=True)]
    axes.set_yticks(range(size), beats, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class (beats)")
    bar = figure.colorbar(image, ax=axes, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], fraction=0.05, pad=0.02)
    bar.ax.set_yticklabels(["0", "1", "5", "10", "25", "50", "100"], fontsize=7)
    bar.set_label("Percent of the true class's beats", fontsize=8)
    bar.outline.set_visible(False)
    accuracy = in_words(metrics["accuracy"], "accuracy")
    _set_title(figure, f"Accuracy {accuracy} of {metrics['test_images']:,d} beats", note)
    return figure


def plot_curves(true: np.ndarray, probabilities: np.ndarray, classes: list[str], note: str | None = None):
    """Draw each class's ROC and precision-recall curve, whole and with the corner enlarged.

    Parameters are those of :func:`score`; returns a matplotlib.figure.Figure.
    """
    from matplotlib.lines import Line2D
    from sklearn import metrics as sk

    true, probabilities = _checked(true, probabilities, classes)
    figure = _new_figure(7.6, 7.4 + 0.18 * ((len(classes) + 1) // 2))
    whole, zoomed = figure.subplots(2, 2)
    curves, key = [], []
    for number, name in enumerate(classes):
        actual, values = true == number, probabilities[:, number]
        style = {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": LINE_STYLES[number % len(LINE_STYLES)],
            "linewidth": 1.4,
        }
        words = _printable(name)
        if not actual.any():
            key.append(Line2D([], [], linestyle="", label=f"{words}: no beats"))
            continue
        precision, recall, _ = sk.precision_recall_curve(actual, values, drop_intermediate=True)
        words += f": average precision {_rounded(sk.average_precision_score(actual, values), 4)}"
        curves.append((1, recall, precision, style | {"drawstyle": "steps-post"}))
        if not actual.all():
            false_alarms, found, _ = sk.roc_curve(actual, values)
            words += f", AUC {_rounded(sk.roc_auc_score(actual, values), 4)}"
            curves.append((0, false_alarms, found, style))
        key.append(Line2D([], [], label=f"{words} ({actual.sum():,d} beats)", **style))
    for panel, x, y, style in curves:
        for axes in (whole[panel], zoomed[panel]):
            axes.plot(x, y, **style)

    # Enlarged is the corner in which the curves of all classes bend: the worst are those that one looks for.
    for panel, (title, x_label, y_label) in enumerate(
        (
            ("ROC", "1 − specificity", "Sensitivity"),
            ("Precision and recall", "Recall (sensitivity)", "Precision (PPV)"),
        )
    ):
        bends = [
            np.min(np.maximum(x if panel == 0 else 1 - x, 1 - y)) for at, x, y, _ in curves if at == panel
        ]
        corner = float(np.clip(1.5 * np.max(bends), 0.01, 0.5)) if bends else 0.5
        for axes, side in ((whole[panel], 1.0), (zoomed[panel], corner)):
            margin = 0.03 * side
            axes.set_xlim(*((-margin, side) if panel == 0 else (1 - side, 1 + margin)))
            axes.set_ylim(1 - side, 1 + margin)
            axes.set_xlabel(x_label)
            axes.set_ylabel(y_label)
            _clean(axes)
        whole[panel].set_title(title, fontsize=10)
        zoomed[panel].set_title("the same, enlarged", fontsize=9, color="0.25")
    figure.legend(
        handles=key, loc="outside lower center", ncols=1 if len(key) < 4 else 2, frameon=False, fontsize=7.5
    )
    _set_title(figure, f"{len(true):,d} beats, each class against the rest", note)
    return figure


def plot_per_class(metrics: dict, intervals: dict | None = None, note: str | None = None):
    """Draw sensitivity, specificity, PPV and F1 of each class, and their means, with interval bars.

    Parameters
    ----------
    metrics : dict
        As :func:`score` returns it.
    intervals : dict, optional
        As :func:`intervals` returns it.
    note : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import PercentFormatter

    rows = [(name, metrics["per_class"][name]) for name in metrics["classes"]]
    bars = [(intervals or {}).get("per_class", {}).get(name, {}) for name, _ in rows]
    labels = [f"{_printable(name)} ({values['support']:,d})" for name, values in rows]
    rows.append(("mean", metrics))
    bars.append(intervals or {})
    labels.append("mean")
    figure = _new_figure(8.2, 1.5 + 0.3 * len(rows))
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    drawn = []
    for axes, key in zip(panels, METRICS[:4], strict=True):
        axes.axhline(len(rows) - 1.5, color="0.6", linewidth=0.8)
        for place, ((_, values), bar) in enumerate(zip(rows, bars, strict=True)):
            value, ends = values[key], bar.get(key)
            if value is None:
                undefined = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
                axes.text(0.5, place, "not defined", fontsize=7, color="0.4", **undefined)
                continue
            drawn.append(value)
            if ends:
                drawn += ends
                axes.plot(
                    ends, [place, place], color=COLOURS[0], alpha=0.4, linewidth=4, solid_capstyle="butt"
                )
            axes.plot(
                value, place, "D" if values is metrics else "o", color=COLOURS[0], markersize=4.5, zorder=3
            )
        axes.set_title(TITLES[key][0].upper() + TITLES[key][1:], fontsize=9)
        _clean(axes)
    lowest = min([0.99, *drawn])
    margin = 0.06 * (1 - lowest)
    panels[0].set_xlim(lowest - margin, 1 + margin)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    panels[0].set_yticks(range(len(rows)), labels)
    panels[0].set_ylabel("Class (beats)", fontsize=9)
    for axes in panels:
        axes.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10])
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    figure.supxlabel(f"Percent; {interval_words(intervals)}" if intervals else "Percent", fontsize=8)
    accuracy = in_words(metrics["accuracy"], "accuracy")
    _set_title(figure, f"Accuracy {accuracy} of {metrics['test_images']:,d} beats", note)
    return figure


def _new_figure(width: float, height: float):
    """Return an empty figure of this size in inches. No pyplot: that would open a display, and is global."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def _set_title(figure, title: str, note: str | None) -> None:
    """Print the title, and the note below it."""
    figure.suptitle(title + (f"\n{note}" if note else ""), fontsize=10)


def _clean(axes) -> None:
    """Give axes a pale grid and no box."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _printable(name: str) -> str:
    """Return a class's name as Matplotlib can print it: short, `$` not as formula, whatever its bytes."""
    return _short(name).encode("utf-8", "replace").decode().replace("$", r"\$")
