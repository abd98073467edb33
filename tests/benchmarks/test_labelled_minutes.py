"""What labelled_minutes.py tells of each record, and of all together, against counts by hand."""

from ecgbeats.command import InputError
from ecgbeats.images.folder import Images, limit_images
from ecgbeats.images.image_files import encode

import numpy as np
import pytest

from benchmarks.new_patients.labelled_minutes import row_of, scored_images, summary

CLASSES = ["N", "S", "V"]
TRUE = np.array([0] * 6 + [1] * 2 + [2] * 2)
BEFORE = np.array([0] * 5 + [1] + [0, 1] + [2, 2])  # one S found, one missed, one falsely so
AFTER = np.array([0] * 6 + [1, 1] + [2, 0])  # one V missed


def test_the_images_are_those_that_the_run_used(tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for number in range(20):
            image = encode(np.full((128, 128), number, np.uint8))
            (tmp_path / name / f"{('101', '100', '106')[number % 3]}_{number}.png").write_bytes(image)
    whole = Images(tmp_path)
    options = {
        "data": str(tmp_path),
        "split": "own.csv",
        "seed": 3,
        "folds": None,
        "fold": None,
        "limit": None,
    }
    config = {
        "options": options,
        "classes": CLASSES,
        "protocol": {"parts": {"101": "training", "100": "test", "106": "validation"}, "patients": {}},
        "data_sha256": whole.check(),
    }
    every = [name for name in whole.names if "/100_" in name]
    assert scored_images(tmp_path, config).names == every
    limited = limit_images(whole, 6, 3)
    of_limit = config | {"options": options | {"limit": 6}, "data_sha256": limited.check()}
    assert scored_images(tmp_path, of_limit).names == [name for name in limited.names if name in every]
    next(tmp_path.glob("N/100_*")).unlink()
    with pytest.raises(InputError, match="holds other images than the run in"):
        scored_images(tmp_path, config)


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
