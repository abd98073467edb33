"""predictions.csv, written and read."""

from ecgbeats import command
from ecgbeats.scores.predictions import read_predictions, write_predictions

import numpy as np
import pytest
from made_predictions import PAPER, PAPER_BEATS


def test_predictions_csv_by_its_lines(tmp_path):
    probabilities = np.array([[0.1, 0.9], [1 / 3, 1e-8]], np.float32)
    write_predictions(tmp_path / "p.csv", ["N/100_5.png", "V/b,1_7.png"], [0, 1], probabilities, ["N", "V"])
    assert (tmp_path / "p.csv").read_text() == (
        "file,true,predicted,probability,p_N,p_V\n"
        "N/100_5.png,N,V,0.9,0.1,0.9\n"
        '"V/b,1_7.png",V,N,0.33333334,0.33333334,1e-08\n'
    )


def test_predictions_are_read_back_bit_by_bit(tmp_path):
    true, probabilities = PAPER_BEATS
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
