"""What labelled_minutes.py tells of each record, and of all together, against counts by hand."""

import numpy as np
import pytest

from benchmarks.new_patients.labelled_minutes import row_of, summary

CLASSES = ["N", "S", "V"]
TRUE = np.array([0] * 6 + [1] * 2 + [2] * 2)
BEFORE = np.array([0] * 5 + [1] + [0, 1] + [2, 2])  # one S found, one missed, one falsely so
AFTER = np.array([0] * 6 + [1, 1] + [2, 0])  # one V missed


def test_a_records_row():
    row = row_of("101", CLASSES, TRUE, BEFORE, AFTER)
    assert (row["without"], row["adapted"]) == (0.8, 0.9)
    assert (row["S"], row["S without"], row["false S without"]) == (2, 1, 1)
    assert (row["S adapted"], row["false S adapted"]) == (2, 0)
    assert (row["V"], row["V without"], row["V adapted"], row["false V adapted"]) == (2, 2, 1, 0)


def test_all_beats_count_together_and_few_give_no_median():
    many = np.repeat(TRUE, 10), np.repeat(BEFORE, 10)
    scores = summary(CLASSES, [TRUE, many[0]], [BEFORE, many[1]])
    assert scores["accuracy"] == pytest.approx(0.8)
    assert scores["S"] == pytest.approx(0.5)
    assert scores["S median"] == pytest.approx(0.5)  # of the second alone: the first has 2 S
    assert scores["V"] == 1
    assert np.isnan(summary(CLASSES, [TRUE], [BEFORE])["S median"])
