"""The figures of scores."""

import warnings

from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score

import numpy as np
import pytest
from made_predictions import PAPER, PAPER_BEATS, beats, certain
from sklearn import metrics as sk


def words_of(figure):
    """Return every text in a figure that is not a number on an axis."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def contrast(one, other):
    """Return the contrast of two colours by WCAG 2: 1 to 21, readable from 4.5."""
    from matplotlib.colors import to_rgb

    lights = []
    for colour in (one, other):
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        lights.append(np.dot(channels, [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(lights) / min(lights)


def test_the_confusion_matrix_shows_counts_and_row_percentages():
    metrics = score([0] * 1000 + [1] * 4, certain([0] * 999 + [1] + [0] + [1] * 3, 2), ["N", "V"])
    words = words_of(plot_confusion_matrix(metrics, note="SIMULATED, not medical data"))
    assert {"999\n99.9 %", "1\n0.1 %", "1\n25.0 %", "3\n75.0 %", "N (1,000)", "V (4)"} <= set(words)
    assert "Accuracy 99.80 % of 1,004 beats\nSIMULATED, not medical data" in words


def test_numbers_are_readable_on_every_colour():
    # Shares from 0 to 1 in steps of 2 %.
    size = 51
    shares = np.arange(size) * 2
    true = np.repeat(np.arange(size), 100)
    predicted = np.where(np.tile(np.arange(100), size) < np.repeat(shares, 100), true, (true + 1) % size)
    metrics = score(true, certain(predicted, size), [str(i) for i in range(size)])
    axes = plot_confusion_matrix(metrics).axes[0]
    image = axes.images[0]
    values = image.get_array()
    assert len(axes.texts) == size * size
    for text in axes.texts:
        column, row = text.get_position()
        assert contrast(text.get_color(), image.cmap(image.norm(values[row, column]))[:3]) >= 4.5


def test_the_confusion_matrix_gets_darker_in_gray_with_the_share():
    image = plot_confusion_matrix(score([0], certain([0], 2), ["A", "B"])).axes[0].images[0]
    gray = image.cmap(image.norm(np.linspace(0, 1, 50)))[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(gray) < 0).all()


def test_an_absent_class_is_shown_as_absent_in_every_figure():
    true, probabilities = beats([50, 20, 0])
    classes = ["N", "V", "Q"]
    metrics = score(true, probabilities, classes)
    assert words_of(plot_confusion_matrix(metrics)).count("no beats") == 1
    assert "Q: no beats" in words_of(plot_curves(true, probabilities, classes))
    assert words_of(plot_per_class(metrics)).count("not defined") == 4


def test_the_curves_are_scikit_learns_and_the_legend_gives_their_areas():
    true, probabilities = PAPER_BEATS
    figure = plot_curves(true, probabilities, PAPER, note="SIMULATED, not medical data")
    roc, recall = figure.axes[:2]
    assert len(roc.lines) == len(recall.lines) == len(PAPER)
    for number, name in enumerate(PAPER):
        line = roc.lines[number]
        area = sk.auc(line.get_xdata(), line.get_ydata())
        assert area == pytest.approx(sk.roc_auc_score(true == number, probabilities[:, number]))
        average = sk.average_precision_score(true == number, probabilities[:, number])
        label = f"{name}: average precision {average:.4f}, AUC {area:.4f} ({(true == number).sum():,d} beats)"
        assert label in words_of(figure)
    assert any("SIMULATED, not medical data" in text for text in words_of(figure))


def test_no_two_of_twelve_curves_look_alike():
    true, probabilities = beats([5] * 12)
    lines = plot_curves(true, probabilities, list("ABCDEFGHIJKL")).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12


def test_dots_and_bars_stand_at_the_scores_and_their_intervals():
    metrics = score(*PAPER_BEATS, PAPER)
    result = bootstrap_intervals(*PAPER_BEATS, PAPER, repeats=50)
    figure = plot_per_class(metrics, result, note="SIMULATED, not medical data")
    for axes, key in zip(figure.axes, ["sensitivity", "specificity", "ppv", "f1"], strict=True):
        drawn = [(tuple(line.get_xdata()), set(line.get_ydata())) for line in axes.lines]
        low, high = axes.get_xlim()
        for place, name in enumerate(PAPER):
            assert ((metrics["per_class"][name][key],), {place}) in drawn
            assert (tuple(result["per_class"][name][key]), {place}) in drawn
            assert low < result["per_class"][name][key][0] <= result["per_class"][name][key][1] < high
        assert ((metrics[key],), {len(PAPER)}) in drawn
    assert any("95 % bootstrap intervals over 2,147 beats" in text for text in words_of(figure))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figures_are_written_whole_in_the_format_of_the_name(tmp_path, suffix):
    metrics = score([0, 1], certain([0, 1], 2), ["$\\frac$", "left bundle branch block"])
    save_figure(plot_confusion_matrix(metrics), tmp_path / f"matrix.{suffix}")
    assert [file.name for file in tmp_path.iterdir()] == [f"matrix.{suffix}"]
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert (tmp_path / f"matrix.{suffix}").read_bytes().startswith(start)


@pytest.mark.parametrize("case", ["one class", "no beats", "perfect", "wrong"])
def test_every_figure_is_drawn_without_a_warning(tmp_path, case):
    true, predicted, classes = {
        "one class": ([0] * 5, [0] * 5, ["A"]),
        "no beats": ([], [], ["A", "B"]),
        "perfect": ([0, 1, 2], [0, 1, 2], ["A", "B", "C"]),
        "wrong": ([0, 1, 2], [1, 2, 0], ["A", "B", "C"]),
    }[case]
    probabilities = certain(predicted, len(classes)).reshape(-1, len(classes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = score(true, probabilities, classes)
        result = bootstrap_intervals(true, probabilities, classes, repeats=10)
        figures = [
            plot_confusion_matrix(metrics),
            plot_curves(true, probabilities, classes),
            plot_per_class(metrics, result),
        ]
        for figure in figures:
            save_figure(figure, tmp_path / "figure.png")
