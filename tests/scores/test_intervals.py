"""Bootstrap intervals of the metrics."""

import json

from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import METRICS, score

import numpy as np
import pytest
from hypothesis import given, settings
from made_predictions import OVERALL, PAPER, PAPER_BEATS, beats, certain, predictions


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


def test_intervals_hold_the_score():
    metrics = score(*PAPER_BEATS, PAPER)
    result = bootstrap_intervals(*PAPER_BEATS, PAPER, repeats=300)
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


def test_intervals_repeat_with_the_seed_and_change_with_it():
    first, again, other = (bootstrap_intervals(*PAPER_BEATS, PAPER, repeats=50, seed=s) for s in (1, 1, 2))
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
