"""Figures of scores: confusion matrix, curves, scores of each class, reliability diagram."""

import math

from ecgbeats.scores.figure_style import COLOURS, clean, new_figure, printable, set_title
from ecgbeats.scores.metrics import METRICS, checked
from ecgbeats.scores.words import TITLES, in_words, interval_words, rounded

import numpy as np

LINE_STYLES = ("-", "--", ":", "-.")  # with six colours: twelve curves that differ
MOST_NUMBERED = 51  # classes whose confusion matrix holds numbers: with 150 it would take gigabytes
FEW_BEATS = 20  # of a bin of confidences, whose share right means little
LARGEST_MATRIX = 30.0  # inches, without numbers


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
    names = printable(metrics["classes"])
    # Of many classes, colours and names alone; of hundreds, a part of the names.
    numbered = size <= MOST_NUMBERED
    width, height = (
        (0.62 * max(size, 3), 0.5 * max(size, 3)) if numbered else [min(0.14 * size, LARGEST_MATRIX)] * 2
    )
    named = range(0, size, 1 if numbered else math.ceil(0.14 * size / LARGEST_MATRIX))
    figure = new_figure(2.4 + width, 1.9 + height)
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
        for column in range(size if numbered else 0):
            text, colour = "0", "0.4"
            if counts[row, column]:
                colour = "white" if dark[row, column] else "black"
                text = f"{counts[row, column]:,d}\n{rounded(100 * shares[row, column], 1, 100)} %"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7, linespacing=1.25)
    ends = np.arange(size + 1) - 0.5
    axes.hlines(ends, -0.5, size - 0.5, color="0.8", linewidth=0.6)
    axes.vlines(ends, -0.5, size - 0.5, color="0.8", linewidth=0.6)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 6 else {}
    axes.set_xticks(named, [names[i] for i in named], fontsize=8, **turned)
    beats = [f"{name} ({number:,d})" for name, number in zip(names, support, strict=True)]
    axes.set_yticks(named, [beats[i] for i in named], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class (beats)")
    bar = figure.colorbar(image, ax=axes, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], fraction=0.05, pad=0.02)
    bar.ax.set_yticklabels(["0", "1", "5", "10", "25", "50", "100"], fontsize=7)
    bar.set_label("Percent of the true class's beats", fontsize=8)
    bar.outline.set_visible(False)
    accuracy = in_words(metrics["accuracy"], "accuracy")
    set_title(figure, f"Accuracy {accuracy} of {metrics['test_images']:,d} beats", note)
    return figure


def plot_curves(true: np.ndarray, probabilities: np.ndarray, classes: list[str], note: str | None = None):
    """Draw each class's ROC and precision-recall curve, whole and with the corner enlarged.

    Parameters are those of :func:`score`; returns a matplotlib.figure.Figure.
    """
    from matplotlib.lines import Line2D
    from sklearn import metrics as sk

    true, probabilities = checked(true, probabilities, classes)
    figure = new_figure(7.6, 7.4 + 0.18 * ((len(classes) + 1) // 2))
    whole, zoomed = figure.subplots(2, 2)
    curves, key = [], []
    for number, words in enumerate(printable(classes)):
        actual, values = true == number, probabilities[:, number]
        style = {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": LINE_STYLES[number % len(LINE_STYLES)],
            "linewidth": 1.4,
        }
        if not actual.any():
            key.append(Line2D([], [], linestyle="", label=f"{words}: no beats"))
            continue
        precision, recall, _ = sk.precision_recall_curve(actual, values, drop_intermediate=True)
        words += f": average precision {rounded(sk.average_precision_score(actual, values), 4)}"
        curves.append((1, recall, precision, style | {"drawstyle": "steps-post"}))
        if not actual.all():
            false_alarms, found, _ = sk.roc_curve(actual, values)
            words += f", AUC {rounded(sk.roc_auc_score(actual, values), 4)}"
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
            clean(axes)
        whole[panel].set_title(title, fontsize=10)
        zoomed[panel].set_title("the same, enlarged", fontsize=9, color="0.25")
    # Two columns of longer lines would be cut off at both sides.
    columns = 2 if len(key) > 3 and max(len(line.get_label()) for line in key) <= 58 else 1
    figure.legend(handles=key, loc="outside lower center", ncols=columns, frameon=False, fontsize=7.5)
    set_title(figure, f"{len(true):,d} beats, each class against the rest", note)
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
    words = printable(metrics["classes"])
    labels = [f"{name} ({values['support']:,d})" for name, (_, values) in zip(words, rows, strict=True)]
    rows.append(("mean", metrics))
    bars.append(intervals or {})
    labels.append("mean")
    figure = new_figure(8.2, 1.5 + 0.3 * len(rows))
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
        clean(axes)
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
    set_title(figure, f"Accuracy {accuracy} of {metrics['test_images']:,d} beats", note)
    return figure


def plot_reliability(reliability: dict, note: str | None = None):
    """Draw a reliability diagram: the share of beats that are right against confidence, and how many beats there are.

    Parameters
    ----------
    reliability : dict
        As :func:`~ecgbeats.scores.reliability.score_reliability` returns it.
    note : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import PercentFormatter

    beats = np.array(reliability["beats"], float)
    means = [np.array(reliability[name], float) for name in ("confidence", "accuracy")]
    held = np.flatnonzero((beats > 0) & np.isfinite(means).all(axis=0))
    confidence, accuracy = (values[held] for values in means)
    few = beats[held] < FEW_BEATS
    figure = new_figure(5.2, 5.0)
    diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    diagram.plot(
        [0, 1],
        [0, 1],
        color="0.5",
        linestyle="--",
        linewidth=1,
        label="right as often as the network says",
    )
    diagram.vlines(confidence, confidence, accuracy, color=COLOURS[2], linewidth=3, alpha=0.35)
    diagram.plot(confidence[~few], accuracy[~few], "-", color=COLOURS[0], linewidth=1)
    style = {"color": COLOURS[0], "markersize": 5, "linestyle": "", "zorder": 3}
    diagram.plot(confidence[~few], accuracy[~few], "o", label="the beats of a bin", **style)
    if few.any():
        words = f"fewer than {FEW_BEATS} beats"
        diagram.plot(confidence[few], accuracy[few], "o", markerfacecolor="white", label=words, **style)
    diagram.legend(frameon=False, fontsize=7.5, loc="upper left")
    diagram.set_ylabel("Right, percent", fontsize=9)
    diagram.set_xlim(-0.02, 1.02)
    diagram.set_ylim(-0.03, 1.03)
    diagram.yaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    left, total = np.arange(len(beats)) / len(beats), max(1, beats.sum())
    histogram.set_yscale("log")
    histogram.set_ylim(min(0.5 / total, 0.005), 1.5)
    histogram.bar(
        left, beats / total, 1 / len(beats), align="edge", color=COLOURS[0], edgecolor="white", linewidth=0.5
    )
    histogram.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    histogram.set_ylabel("Beats, percent\n(logarithmic)", fontsize=9)
    histogram.set_xlabel("Confidence: probability of the predicted class, percent", fontsize=9)
    histogram.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    for axes in (diagram, histogram):
        clean(axes)
    error = in_words(reliability["expected_calibration_error"], "accuracy")
    set_title(figure, f"Expected calibration error {error} of {beats.sum():,.0f} beats", note)
    return figure
