"""ecgbeats.scores.aami: VEB and SVEB of classified beats, by the standard's rules."""

from ecgbeats.scores.aami import RATES, matrix_of, score_by_record
from ecgbeats.scores.metrics import count_patients, score
from ecgbeats.scores.words import ec57_table, score_table

import numpy as np
import pytest
from made_predictions import beats

CLASSES = ["N", "S", "V", "F", "Q"]


def scored(pairs, records=None, classes=CLASSES):
    """Score pairs such as "Nv", reference and test; ``records`` holds a letter for each."""
    true, predicted = (np.array([classes.index(pair[i].upper()) for pair in pairs]) for i in (0, 1))
    return score_by_record(true, predicted, classes, None if records is None else np.array(list(records)))


def test_what_is_taken_for_veb_and_for_sveb():
    """V for V, N and S for V; F and Q taken for V are in no count. F taken for S is a false positive, Q is none."""
    veb = scored(["Vv", "Vv", "Vn", "Vf", "Nv", "Sv", "Fv", "Qv", "Nn", "Fn", "Qq"])["gross"]["VEB"]
    assert [veb[f"{right}_{sign}s"] for right in ("true", "false") for sign in ("positive", "negative")] == [
        2,
        3,
        2,
        2,
    ]
    assert [veb[name] for name in RATES] == pytest.approx([2 / 4, 2 / 4, 2 / 5])
    sveb = scored(["Ss", "Sn", "Ns", "Vs", "Fs", "Qs", "Nn", "Qq"])["gross"]["SVEB"]
    assert [sveb[name] for name in RATES] == pytest.approx([1 / 2, 1 / 4, 3 / 5])


def test_gross_counts_beats_and_average_counts_records():
    figures = scored(["Vv", "Vv", "Vv", "Vn", "Nn", "Nn"], "aaabbc")
    assert list(figures["records"]) == ["a", "b", "c"]
    assert [of["VEB"]["sensitivity"] for of in figures["records"].values()] == [1, 0, None]
    assert figures["gross"]["VEB"]["sensitivity"] == 3 / 4
    assert figures["average"]["VEB"]["sensitivity"] == 1 / 2, "of the two records that have V"
    assert figures["average"]["SVEB"] == dict.fromkeys(RATES[:2]) | {"false_positive_rate": 0}


def test_records_that_are_not_known_have_no_figures():
    figures = scored(["Vv", "Nv"])
    assert figures["records"] == {}
    assert figures["gross"]["VEB"]["positive_predictivity"] == 1 / 2
    assert figures["average"]["VEB"] == dict.fromkeys(RATES)


def test_classes_may_be_some_of_aamis_in_any_order():
    matrix = matrix_of(np.array([0, 1, 1]), np.array([0, 1, 0]), ["V", "N"])
    assert (matrix[2, 2], matrix[0, 0], matrix[0, 2], matrix.sum()) == (1, 1, 1, 3)


def test_patients_stand_beside_the_beats_of_a_class():
    true, probabilities = beats([400_000, 30_000, 2], skill=9)
    classes = ["left bundle branch block", "right bundle branch block", "x"]
    patients = np.array([f"p{i % 5}" for i in range(len(true))])
    patients[true == 2] = "p1"
    metrics = score(true, probabilities, classes) | {"patients": count_patients(true, patients, classes)}
    lines = score_table(metrics).split("\n")
    assert max(map(len, lines)) <= 80
    assert lines[-4].endswith("beats patients")
    assert [line.split()[-2:] for line in lines[-3:]] == [["400,000", "5"], ["30,000", "5"], ["2", "1"]]


def test_the_standards_table_by_its_lines():
    text = ec57_table(scored(["Vv", "Vv", "Vn", "Nn", "Nv", "Ss"], "aababb"))
    assert text.split("\n") == [
        "EC57          sensitivity  positive predictivity  false positive rate",
        "VEB  gross        66.67 %                66.67 %              33.33 %",
        "VEB  average      50.00 %                50.00 %              25.00 %",
        "SVEB gross       100.00 %               100.00 %               0.00 %",
        "SVEB average     100.00 %               100.00 %               0.00 %",
        "VEB: ventricular ectopic beats, class V",
        "SVEB: supraventricular ectopic beats, class S",
    ]
