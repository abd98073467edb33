"""scores.py: metrics, their intervals, predictions.csv, the printed table and the figures."""

import json
import subprocess
import sys
import warnings

from ecgbeats import command
from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import METRICS, score
from ecgbeats.scores.predictions import read_predictions, write_predictions
from ecgbeats.scores.words import score_table

import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

PAPER = ["NOR", "PVC", "PAB", "RBB", "LBB", "APC", "VFW", "VEB"]
OVERALL = ["accuracy", *METRICS]


def predict(true, skill, size, seed=0, noise=1.6):
    """Return softmax outputs, float32, that lean to the true class by ``skill`` (one number, or one a class)."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=noise, size=(len(true), size))
    logits[np.arange(len(true)), true] += np.broadcast_to(skill, size)[true]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def certain(predicted, size):
    """Return probabilities 1 and 0 that give these predictions."""
    return np.eye(size, dtype=np.float32)[np.asarray(predicted, int)]


def beats(counts, skill=3.0, seed=0):
    """Return ``true`` with these counts of the classes, shuffled, and probabilities."""
    true = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    return true, predict(true, skill, len(counts), seed)


@pytest.fixture(scope="module")
def paper():
    """Return (true, probabilities): the paper's classes, with the imbalance of MIT-BIH."""
    return beats([1500, 140, 140, 145, 160, 50, 9, 3])


@st.composite
def predictions(draw):
    size = draw(st.integers(1, 5))
    n = draw(st.integers(1, 40))
    true = draw(arrays.arrays(np.int64, n, elements=st.integers(0, size - 1)))
    # Few different values, so that ties are common.
    steps = draw(arrays.arrays(np.float32, (n, size), elements=st.integers(0, 4).map(float)))
    return true, steps / 4, list("ABCDE")[:size]


# -- metrics -----------------------------------------------------------------------------------------------


def test_a_matrix_worked_out_by_hand():
    # Rows A, B, C: 6 2 0 / 1 3 0 / 0 1 3
    true = [0] * 8 + [1] * 4 + [2] * 4
    predicted = [0] * 6 + [1] * 2 + [0] + [1] * 3 + [1] + [2] * 3
    metrics = score(true, certain(predicted, 3), ["A", "B", "C"])
    assert metrics["confusion_matrix"] == [[6, 2, 0], [1, 3, 0], [0, 1, 3]]
    assert metrics["accuracy"] == 12 / 16
    assert metrics["per_class"]["A"] == pytest.approx(
        {
            "sensitivity": 6 / 8,
            "specificity": 7 / 8,
            "ppv": 6 / 7,
            "f1": 12 / 15,
            "auc": 13 / 16,
            "support": 8,
        }
    )
    assert metrics["per_class"]["B"] == pytest.approx(
        {"sensitivity": 3 / 4, "specificity": 9 / 12, "ppv": 3 / 6, "f1": 6 / 10, "auc": 3 / 4, "support": 4}
    )
    assert metrics["per_class"]["C"] == pytest.approx(
        {"sensitivity": 3 / 4, "specificity": 1, "ppv": 1, "f1": 6 / 7, "auc": 7 / 8, "support": 4}
    )
    assert metrics["sensitivity"] == pytest.approx((6 / 8 + 3 / 4 + 3 / 4) / 3)
    assert metrics["specificity"] == pytest.approx((7 / 8 + 9 / 12 + 1) / 3)
    assert metrics["ppv"] == pytest.approx((6 / 7 + 3 / 6 + 1) / 3)
    assert metrics["f1"] == pytest.approx((12 / 15 + 6 / 10 + 6 / 7) / 3)
    assert metrics["auc"] == pytest.approx((13 / 16 + 3 / 4 + 7 / 8) / 3)


def test_an_auc_worked_out_by_hand():
    # Pairs of a B and an A: 0.4 beats 0.3 and ties 0.4, 0.9 beats both: 3.5 of 4.
    of_b = np.array([0.3, 0.4, 0.4, 0.9])
    metrics = score([0, 0, 1, 1], np.stack([1 - of_b, of_b], axis=1), ["A", "B"])
    assert metrics["per_class"]["B"]["auc"] == metrics["per_class"]["A"]["auc"] == 3.5 / 4


def test_the_means_are_scikit_learns(paper):
    true, probabilities = paper
    predicted = probabilities.argmax(axis=1)
    metrics = score(true, probabilities, PAPER)
    ppv, sensitivity, f1, _ = sk.precision_recall_fscore_support(true, predicted, average="macro")
    assert metrics["ppv"] == pytest.approx(ppv)
    assert metrics["sensitivity"] == pytest.approx(sensitivity) == sk.balanced_accuracy_score(true, predicted)
    assert metrics["f1"] == pytest.approx(f1)
    assert metrics["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert metrics["confusion_matrix"] == sk.confusion_matrix(true, predicted).tolist()
    tables = sk.multilabel_confusion_matrix(true, predicted)
    assert metrics["specificity"] == pytest.approx(np.mean(tables[:, 0, 0] / tables[:, 0].sum(axis=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it minds that float32 rows do not add up to 1 in all digits
        auc = sk.roc_auc_score(true, probabilities.astype(float), multi_class="ovr")
    assert metrics["auc"] == pytest.approx(auc)


def test_each_class_is_as_scikit_learn_scores_it(paper):
    true, probabilities = paper
    metrics = score(true, probabilities, PAPER)
    report = sk.classification_report(
        true, probabilities.argmax(axis=1), target_names=PAPER, output_dict=True, zero_division=0
    )
    for name in PAPER:
        ours, theirs = metrics["per_class"][name], report[name]
        assert [ours["ppv"], ours["sensitivity"], ours["f1"], ours["support"]] == pytest.approx(
            [theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"]]
        )


def test_an_absent_class_is_null_and_counts_in_no_mean():
    true, probabilities = [0, 0, 2, 2], certain([0, 1, 2, 2], 3)
    metrics = score(true, probabilities, ["A", "B", "C"])
    assert metrics["per_class"]["B"] == dict.fromkeys(METRICS) | {"support": 0}
    assert metrics["sensitivity"] == (1 / 2 + 1) / 2
    assert metrics["confusion_matrix"] == [[1, 1, 0], [0, 0, 0], [0, 0, 2]]


def test_a_class_never_predicted_has_ppv_0_and_counts():
    metrics = score([0, 0, 0, 1], certain([0, 0, 0, 0], 2), ["A", "B"])
    assert metrics["per_class"]["B"] == {
        "sensitivity": 0, "specificity": 1, "ppv": 0, "f1": 0, "auc": 0.5, "support": 1,
    }  # fmt: skip
    assert metrics["ppv"] == 0.75 / 2


def test_beats_of_one_class_alone_have_no_specificity_and_no_auc():
    metrics = score([1, 1, 1, 1], certain([1, 1, 1, 0], 2), ["A", "B"])
    assert metrics["per_class"]["B"]["sensitivity"] == metrics["sensitivity"] == 0.75
    assert metrics["per_class"]["B"]["specificity"] is metrics["specificity"] is None
    assert metrics["per_class"]["B"]["auc"] is metrics["auc"] is None


def test_perfect_predictions_score_1_everywhere():
    true = [0, 1, 1, 2, 2, 2]
    metrics = score(true, certain(true, 3), ["A", "B", "C"])
    assert {metrics[key] for key in OVERALL} == {1.0}


def test_no_beats_at_all_score_null():
    metrics = score(np.zeros(0, int), np.zeros((0, 2), np.float32), ["A", "B"])
    assert {metrics[key] for key in OVERALL} == {None}
    assert metrics["confusion_matrix"] == [[0, 0], [0, 0]]


def test_the_keys_of_metrics_json(paper):
    metrics = score(*paper, PAPER)
    assert list(metrics) == [*OVERALL, "per_class", "confusion_matrix", "classes", "test_images"]
    assert list(metrics["per_class"]) == metrics["classes"] == PAPER
    assert metrics["test_images"] == len(paper[0])


def test_probabilities_that_are_not_finite_are_refused():
    probabilities = certain([0, 1], 2)
    probabilities[1, 0] = np.nan
    with pytest.raises(command.InputError, match="not finite"):
        score([0, 1], probabilities, ["A", "B"])


@pytest.mark.parametrize("true", [[0, 2], [0, -1], [0, 1, 1]])
def test_labels_that_do_not_fit_are_a_mistake(true):
    with pytest.raises(ValueError, match=r"true class|shape"):
        score(true, certain([0, 1], 2), ["A", "B"])


@given(predictions())
@settings(max_examples=60, deadline=None)
def test_scores_lie_in_0_to_1_and_are_json(case):
    metrics = score(*case)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    for values in (metrics, *metrics["per_class"].values()):
        assert all(0 <= values[key] <= 1 for key in METRICS if values[key] is not None)


@given(predictions())
@settings(max_examples=60, deadline=None)
def test_rows_of_the_confusion_matrix_add_up_to_the_support(case):
    metrics = score(*case)
    support = [values["support"] for values in metrics["per_class"].values()]
    assert [sum(row) for row in metrics["confusion_matrix"]] == support
    assert sum(support) == metrics["test_images"] == len(case[0])


@given(predictions(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_order_of_beats_does_not_matter(case, seed):
    true, probabilities, classes = case
    order = np.random.default_rng(seed).permutation(len(true))
    assert score(true[order], probabilities[order], classes) == score(*case)


# -- intervals ---------------------------------------------------------------------------------------------


def resample_plainly(true, probabilities, classes, units, repeats, seed=0):
    """Return score() of resamples that are really built: lists of metrics, from the same random numbers."""
    random = np.random.default_rng(seed)
    for _ in range(repeats):
        rows = np.concatenate([units[i] for i in random.integers(len(units), size=len(units))])
        yield score(true[rows], probabilities[rows], classes)


def ends(values):
    values = [value for value in values if value is not None]
    return np.quantile(values, [0.025, 0.975]).tolist() if values else None


@pytest.mark.parametrize("by_record", [False, True])
def test_intervals_are_those_of_resamples_that_are_really_built(by_record):
    true, probabilities = beats([60, 20, 6, 0], skill=[3, 2, 1, 1])
    probabilities = np.round(probabilities, 1)  # ties
    records = np.random.default_rng(1).choice(["100", "105", "x_1", "200", "231"], len(true))
    units = [np.flatnonzero(records == name) for name in np.unique(records)] if by_record else [
        np.array([i]) for i in range(len(true))
    ]  # fmt: skip
    built = list(resample_plainly(true, probabilities, list("ABCD"), units, 80))
    result = bootstrap_intervals(true, probabilities, list("ABCD"), records if by_record else None, 80)
    for key in OVERALL:
        assert result[key] == pytest.approx(ends([metrics[key] for metrics in built])), key
    for name in "ABCD":
        for key in METRICS:
            expected = ends([metrics["per_class"][name][key] for metrics in built])
            found = result["per_class"][name][key]
            assert (found is expected is None) or found == pytest.approx(expected), (name, key)


def test_intervals_where_resamples_predict_a_class_once_or_never():
    true, probabilities = beats([2] * 10)
    built = resample_plainly(true, probabilities, list("ABCDEFGHIJ"), np.arange(20)[:, None], 30)
    result = bootstrap_intervals(true, probabilities, list("ABCDEFGHIJ"), repeats=30)
    assert result["ppv"] == pytest.approx(ends([metrics["ppv"] for metrics in built]))


def test_intervals_hold_the_score(paper):
    metrics = score(*paper, PAPER)
    result = bootstrap_intervals(*paper, PAPER, repeats=300)
    for key in OVERALL:
        assert result[key][0] <= metrics[key] <= result[key][1]
    for name in PAPER:
        for key in METRICS:
            low, high = result["per_class"][name][key]
            assert low <= metrics["per_class"][name][key] <= high


def test_intervals_shrink_with_the_number_of_beats():
    few, many = (bootstrap_intervals(*beats([n, n // 2, n // 4]), "ABC", repeats=300) for n in (100, 1600))
    for key in OVERALL:
        # Sixteen times the beats: a quarter of the width.
        assert np.diff(many[key])[0] == pytest.approx(np.diff(few[key])[0] / 4, rel=0.4)


def test_records_that_differ_widen_the_intervals():
    random = np.random.default_rng(3)
    records = np.repeat(np.arange(20), 60)
    true = random.integers(3, size=len(records))
    skill = random.uniform(0, 6, size=20)[records]  # some patients are hard, others are not
    logits = random.normal(scale=1.6, size=(len(true), 3))
    logits[np.arange(len(true)), true] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    over_beats = bootstrap_intervals(true, probabilities, list("ABC"), repeats=300)
    over_records = bootstrap_intervals(true, probabilities, list("ABC"), records, repeats=300)
    for key in OVERALL:
        assert np.diff(over_records[key]) > 1.5 * np.diff(over_beats[key])


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(4)
    held = 0
    for _ in range(120):
        right = random.random(300) < 0.85
        low, high = bootstrap_intervals(np.zeros(300, int), certain(~right, 2), ["A", "B"], repeats=200)[
            "accuracy"
        ]
        held += low <= 0.85 <= high
    assert 0.88 <= held / 120 <= 0.995  # 0.95, with the chance of 120 trials


def test_one_record_alone_gives_no_intervals_and_says_why():
    true, probabilities = beats([20, 10])
    result = bootstrap_intervals(true, probabilities, ["A", "B"], ["100"] * 30, repeats=10)
    assert {str(result[key]) for key in OVERALL} == {"None"}
    assert result["missing"] == {"all": "fewer than two records: there is nothing to resample"}


def test_a_class_in_one_record_or_none_has_no_interval_and_it_says_why():
    true, probabilities = beats([20, 10, 0])
    records = np.where(true == 1, "200", np.resize(["100", "200"], 30))
    result = bootstrap_intervals(true, probabilities, ["A", "B", "C"], records, repeats=50)
    assert result["missing"] == {"B": "only one of the records holds it", "C": "no beats"}
    assert result["per_class"]["B"] == result["per_class"]["C"] == dict.fromkeys(METRICS)
    assert result["per_class"]["A"]["sensitivity"] is not None


def test_intervals_repeat_with_the_seed_and_change_with_it(paper):
    first, again, other = (bootstrap_intervals(*paper, PAPER, repeats=50, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first["accuracy"] != other["accuracy"]


@given(predictions())
@settings(max_examples=40, deadline=None)
def test_intervals_are_in_order_within_0_to_1_and_json(case):
    result = bootstrap_intervals(*case, repeats=20)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for values in (result, *result["per_class"].values()):
        for key in METRICS:
            assert values[key] is None or 0 <= values[key][0] <= values[key][1] <= 1


def test_groups_of_another_length_are_a_mistake():
    with pytest.raises(ValueError, match="2 groups for 3 beats"):
        bootstrap_intervals([0, 1, 1], certain([0, 1, 1], 2), ["A", "B"], ["100", "101"])


# -- predictions.csv ---------------------------------------------------------------------------------------


def test_predictions_csv_by_its_lines(tmp_path):
    probabilities = np.array([[0.1, 0.9], [1 / 3, 1e-8]], np.float32)
    write_predictions(tmp_path / "p.csv", ["N/100_5.png", "V/b,1_7.png"], [0, 1], probabilities, ["N", "V"])
    assert (tmp_path / "p.csv").read_text() == (
        "file,true,predicted,probability,p_N,p_V\n"
        "N/100_5.png,N,V,0.9,0.1,0.9\n"
        '"V/b,1_7.png",V,N,0.33333334,0.33333334,1e-08\n'
    )


def test_predictions_are_read_back_bit_by_bit(tmp_path, paper):
    true, probabilities = paper
    files = [f'{PAPER[label]}/é "{i}",_{i}.png' for i, label in enumerate(true)]
    files[0] = "N/\udcff_0.png"  # a name that is not UTF-8
    write_predictions(tmp_path / "p.csv", files, true, probabilities, PAPER)
    found_files, found_true, found, classes = read_predictions(tmp_path / "p.csv")
    assert (found_files, classes) == (files, PAPER)
    np.testing.assert_array_equal(found_true, true)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), probabilities.view(np.uint32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("", "no predictions.csv"),
        ("epoch,loss\n1,2\n", "no predictions.csv"),
        ("file,true,predicted,probability\n", "no predictions.csv"),
        ("file,true,predicted,probability,p_A\nx,A,A,1\n", "line 2: 4 columns instead of 5"),
        ("file,true,predicted,probability,p_A\nx,A,A,1,1\ny,B,A,1,1\n", "line 3: no column p_B"),
        ("file,true,predicted,probability,p_A\nx,A,A,1,one\n", "line 2: could not convert"),
    ],
)
def test_a_file_that_is_no_predictions_csv_is_refused(tmp_path, text, words):
    if text is not None:
        (tmp_path / "p.csv").write_text(text)
    with pytest.raises(command.InputError, match=words):
        read_predictions(tmp_path / "p.csv")


# -- in words ----------------------------------------------------------------------------------------------


def test_the_table_by_its_lines():
    true, predicted = [0] * 8 + [1] * 4, [0] * 6 + [1] * 2 + [1] * 4
    text = score_table(score(true, certain(predicted, 3), ["N", "V", "Q"]))
    assert text.split("\n") == [
        "accuracy      83.33 %   of 12 beats",
        "sensitivity   87.50 %   mean of 2 of 3 classes, as below",
        "specificity   87.50 %",
        "PPV           83.33 %",
        "F1            82.86 %",
        "AUC            0.8750",
        "",
        "class sensitivity specificity       PPV        F1       AUC    beats",
        "N         75.00 %    100.00 %  100.00 %   85.71 %    0.8750        8",
        "V        100.00 %     75.00 %   66.67 %   80.00 %    0.8750        4",
        "Q               -           -         -         -         -        0",
    ]


def test_the_table_fits_a_terminal_with_intervals_and_long_names():
    true, probabilities = beats([400_000, 30_000, 2], skill=9)
    classes = ["left bundle branch block", "right bundle branch block", "x"]
    metrics = score(true, probabilities, classes)
    text = score_table(metrics, bootstrap_intervals(true, probabilities, classes, repeats=5))
    assert max(map(len, text.split("\n"))) <= 80
    assert "95 % bootstrap intervals over 430,002 beats" in text
    assert "left bun.. block" in text


def test_one_error_among_many_beats_does_not_read_as_100_percent():
    predicted = np.zeros(100_001, int)
    predicted[-1] = 1
    metrics = score(np.zeros(100_001, int), certain(predicted, 2), ["A", "B"])
    assert score_table(metrics).startswith("accuracy     >99.99 %")


# -- figures -----------------------------------------------------------------------------------------------


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


def test_the_curves_are_scikit_learns_and_the_legend_gives_their_areas(paper):
    true, probabilities = paper
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


def test_dots_and_bars_stand_at_the_scores_and_their_intervals(paper):
    metrics = score(*paper, PAPER)
    result = bootstrap_intervals(*paper, PAPER, repeats=50)
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


def test_importing_scores_loads_no_heavy_library():
    heavy = "{'keras', 'tensorflow', 'jax', 'sklearn', 'matplotlib', 'scipy'}"
    code = f"import sys, ecgbeats.scores.scoring; print(sorted({heavy} & set(sys.modules)))"
    folder = PROJECT
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
