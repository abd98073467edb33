"""Metrics: by hand, by scikit-learn, and where they are not defined."""

import json
import warnings

from ecgbeats import command
from ecgbeats.scores.metrics import METRICS, score

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_predictions import OVERALL, PAPER, PAPER_BEATS, certain, predictions
from sklearn import metrics as sk


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


def test_the_means_are_scikit_learns():
    true, probabilities = PAPER_BEATS
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


def test_each_class_is_as_scikit_learn_scores_it():
    true, probabilities = PAPER_BEATS
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


def test_the_keys_of_metrics_json():
    metrics = score(*PAPER_BEATS, PAPER)
    assert list(metrics) == [*OVERALL, "per_class", "confusion_matrix", "classes", "test_images"]
    assert list(metrics["per_class"]) == metrics["classes"] == PAPER
    assert metrics["test_images"] == len(PAPER_BEATS[0])


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
