"""The printed table of scores."""

from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score
from ecgbeats.scores.words import score_table

import numpy as np
from made_predictions import beats, certain


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
