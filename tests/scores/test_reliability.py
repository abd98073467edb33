"""How far probabilities can be taken at their word."""

from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.reliability import doubtful_rows, expected_calibration_error, score_reliability

import numpy as np
import pytest
from made_predictions import PAPER, PAPER_BEATS, certain

# Confidences 0.95 0.95 0.95 0.55 0.55, of which the first two and the fourth are right.
TRUE = np.array([0, 1, 1, 0, 0])
PROBABILITIES = np.array([[0.95, 0.05], [0.05, 0.95], [0.95, 0.05], [0.55, 0.45], [0.45, 0.55]])


def test_the_error_of_a_case_computed_by_hand():
    # 3/5 |2/3 - 0.95| + 2/5 |1/2 - 0.55|
    assert expected_calibration_error(TRUE, PROBABILITIES) == pytest.approx(0.17 + 0.02)
    found = score_reliability(TRUE, PROBABILITIES, ["A", "B"])
    assert found["expected_calibration_error"] == pytest.approx(0.19)
    assert found["equal_mass"] == pytest.approx(0.19)
    # Bins 8 and 14 of fifteen end at 0.6 and 1.
    assert found["beats"] == [0] * 8 + [2] + [0] * 5 + [3]
    assert found["accuracy"][8] == 0.5
    assert found["accuracy"][14] == pytest.approx(2 / 3)
    assert found["confidence"][8] == pytest.approx(0.55)
    assert found["accuracy"][0] is found["confidence"][0] is None


def test_the_order_of_beats_does_not_matter():
    true, probabilities = PAPER_BEATS
    order = np.random.default_rng(1).permutation(len(true))
    one, other = (
        score_reliability(true[chosen], probabilities[chosen], PAPER) for chosen in (slice(None), order)
    )
    for name in ("expected_calibration_error", "equal_mass", "beats"):
        assert one[name] == pytest.approx(other[name])


def test_of_beats_that_are_all_certain_it_is_the_share_of_errors_with_its_interval():
    true, _ = PAPER_BEATS
    probabilities = certain(np.where(np.arange(len(true)) % 7, true, 0), len(PAPER))
    records = np.arange(len(true)) % 9
    low, high = bootstrap_intervals(true, probabilities, PAPER, records)["accuracy"]
    found = score_reliability(true, probabilities, PAPER, records)
    assert found["expected_calibration_error"] == pytest.approx((probabilities.argmax(1) != true).mean())
    assert found["interval"] == pytest.approx([1 - high, 1 - low])
    assert score_reliability(true, probabilities, PAPER, np.zeros(len(true)))["interval"] is None


def test_no_beats_have_no_error():
    found = score_reliability(np.zeros(0, int), np.zeros((0, 2), np.float32), ["A", "B"])
    assert found["expected_calibration_error"] is found["interval"] is found["equal_mass"] is None
    assert sum(found["beats"]) == 0


def test_what_lies_below_a_doubt():
    rows = {row["below"]: row for row in doubtful_rows(TRUE, PROBABILITIES)}
    assert rows[0.5] == {"below": 0.5, "beats": 0, "right": None, "errors": 0}
    assert rows[0.9] == {"below": 0.9, "beats": 0.4, "right": 0.5, "errors": 0.5}
    assert rows[0.99] == {"below": 0.99, "beats": 1, "right": 0.6, "errors": 1}
    assert doubtful_rows(TRUE[:2], PROBABILITIES[:2])[0]["errors"] is None
