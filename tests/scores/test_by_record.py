"""The report's table by record: the worst first, and those that fail."""

from pathlib import Path

from ecgbeats.scores.report.by_record import ectopic_rows, record_rows, words_of_bounds
from ecgbeats.scores.report.run import Run

import numpy as np
from made_predictions import certain

CLASSES = ["N", "S", "V"]


def run(**predicted_by_true) -> Run:
    """Return a run of records by name, each with pairs such as ("NNNV", "NNSV"): true and predicted."""
    pairs = [
        (record, *pair) for record, both in predicted_by_true.items() for pair in zip(*both, strict=True)
    ]
    files = [f"{true}/{record}_{i}.png" for i, (record, true, _) in enumerate(pairs)]
    true, predicted = (np.array([CLASSES.index(pair[k]) for pair in pairs]) for k in (1, 2))
    description = {"database": {"r1": "mitdb"}}
    return Run(Path(), Path(), {}, {}, description, files, true, certain(predicted, 3), CLASSES)


def test_the_worst_record_stands_first_with_its_most_frequent_error():
    rows = record_rows(run(r1=("NNNN", "NNNN"), r2=("NNNSS", "NNSNN"), r3=("NNNNN", "NNNNV")))
    assert [row["name"] for row in rows] == ["r2", "r3", "r1"]
    assert [row["right"] for row in rows] == [2 / 5, 4 / 5, 1]
    assert rows[0]["error"] == {"count": 2, "true": "S", "predicted": "N"}
    assert [row["error"] is None for row in rows] == [False, False, True]
    assert [row["database"] for row in rows] == [None, None, "mitdb"]
    assert [row["fails"] for row in rows] == [["right"], [], []]


def test_a_record_whose_ectopic_beats_are_missed_fails():
    normal = "N" * 90
    rows = record_rows(
        run(
            r1=(normal + "V" * 10, normal + "N" * 6 + "V" * 4),
            r2=(normal + "V" * 9, normal + "N" * 9),  # too few to tell
            r3=(normal + "S" * 10, normal + "N" * 5 + "S" * 5),
        )
    )
    assert {row["name"]: row["fails"] for row in rows} == {"r1": ["VEB"], "r2": [], "r3": []}


def test_what_fails_is_told_in_words_and_the_standards_only_of_its_classes():
    assert words_of_bounds(["NOR", "PVC", "VEB"]) == "fewer than 80 % of its beats right"
    told = words_of_bounds(CLASSES)
    assert (
        "at least 10 VEB (ventricular ectopic beats, class V) or SVEB (supraventricular ectopic beats, class S)"
        in told
    )


def test_figures_without_record_202_stand_beside_those_with_it():
    whole = run(**{"200": ("NV", "NV"), "202": ("NV", "NN")})
    assert list(ectopic_rows(whole)) == ["Gross: all beats", "Average of records"]
    whole.metrics["without_record_202"] = {}
    rows = ectopic_rows(whole)
    assert rows["Gross: all beats"]["VEB"]["sensitivity"] == 1 / 2
    assert rows["Gross, without 202"]["VEB"]["sensitivity"] == 1


def test_images_of_strangers_have_no_rows():
    strange = run(r1=("NV", "NV"))
    strange.files = ["N/a.png", "V/b.png"]
    assert record_rows(strange) == []
    strange.classes = ["b", "zwei", "drei"]
    assert ectopic_rows(strange) == {}
