"""Reading of training logs, and which epoch was best."""

import re

from ecgbeats import command
from ecgbeats.scores.logs import best_epoch, read_keep, read_log, read_note

import numpy as np
import pytest
from made_logs import COLUMNS, VAL_LOSS, write_run


def read_text(tmp_path, text):
    path = tmp_path / "some.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(path)


def test_columns_are_float_arrays(tmp_path):
    log = read_log(write_run(tmp_path / "run-1") / "log.csv")
    assert list(log) == COLUMNS.split(",")
    assert {values.dtype for values in log.values()} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(log["val_loss"], VAL_LOSS)
    np.testing.assert_array_equal(log["epoch"], [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    "tail", ["3", "3,0.1", "3,0.1,", "3,0.1,0.", '3,0.1,"0', "3,0.1,0.2,-", "3,0.1,0.2,1e"]
)
def test_a_last_line_that_is_cut_off_is_left_out(tmp_path, tail):
    log = read_text(tmp_path, "epoch,loss,accuracy,val_loss\n1,0.5,0.8,0.6\n2,0.4,0.9,0.5\n" + tail)
    np.testing.assert_array_equal(log["epoch"], [1, 2])


def test_a_whole_last_line_counts_without_its_line_end(tmp_path):
    np.testing.assert_array_equal(read_text(tmp_path, "epoch,loss\n1,0.5\n2,0.25")["loss"], [0.5, 0.25])


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\r\n1,0.5\r\n2,0.25\r\n",
        "\nepoch,loss\n\n1,0.5\n\n  \n2,0.25\n\n",
        b"\xef\xbb\xbfepoch,loss\n1,0.5\n2,0.25\n",
        "loss, epoch\n0.5, 1\n0.25, 2\n",
        'epoch,loss,begun,tags\n1,0.5,10:15,"[1, 2]"\n2,0.25,10:16,\n',
    ],
    ids=["windows", "blank lines", "byte order mark", "spaces", "columns of text"],
)
def test_other_writers_of_csv(tmp_path, text):
    log = read_text(tmp_path, text)
    assert set(log) == {"epoch", "loss"}
    np.testing.assert_array_equal(log["epoch"], [1, 2])
    np.testing.assert_array_equal(log["loss"], [0.5, 0.25])


def test_missing_values_are_nan(tmp_path):
    log = read_text(tmp_path, "epoch,loss,val_loss\n0,nan,NA\n1,0.5,\n2,inf,0.25\n")
    np.testing.assert_array_equal(log["loss"], [np.nan, 0.5, np.inf])
    np.testing.assert_array_equal(log["val_loss"], [np.nan, np.nan, 0.25])


def test_an_epoch_that_was_trained_again_counts_once(tmp_path):
    log = read_text(tmp_path, "epoch,loss\n1,0.5\n2,0.4\n3,0.3\n2,0.2\n")
    np.testing.assert_array_equal(log["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(log["loss"], [0.5, 0.2, 0.3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no epoch yet"),
        ("epoch,loss\n", "no epoch yet"),
        ("epoch,loss\n1,", None),
        ("epoch,loss\n1", "no epoch yet"),
        ("epoch;loss\n1;0.5\n", "no column 'epoch'"),
        ("Some words, and more.\n", "no column 'epoch'"),
        (bytes(range(256)) * 50, "training log"),
        (b"epoch,loss\n1,0.5\n" + bytes(200_000), "training log"),
        ("epoch,loss\n1,0.5\n2\n3,0.2\n", "line 3"),
        ("epoch,loss\n1,0.5\n2,0.4,0.3\n", "line 3"),
        ("epoch,loss\n1,0.5\n2,O.4\n", "line 3: loss is 'O.4'"),
        ("epoch,loss\none,0.5\n", "line 2: epoch is 'one'"),
        ("epoch,loss\nnan,0.5\n", "epoch"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, text, words):
    if words is None:  # an empty last cell is a value that is missing, not a mistake
        assert np.isnan(read_text(tmp_path, text)["loss"]).all()
        return
    with pytest.raises(command.InputError, match=re.escape(words)) as problem:
        read_text(tmp_path, text)
    assert "some.csv" in str(problem.value)


def test_best_epoch_is_the_first_of_the_lowest_validation_losses(tmp_path):
    log = read_log(write_run(tmp_path) / "log.csv")
    assert log["epoch"][best_epoch(log)] == 3


def test_best_epoch_ignores_nan():
    assert best_epoch({"val_loss": np.array([np.nan, 0.5, np.nan, 0.4])}) == 3


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"options": 3}', '{"options": {"keep": 7}}'])
def test_without_word_of_it_the_lowest_validation_loss_is_taken(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert read_keep(tmp_path) == "best"


@pytest.mark.parametrize("log", [{}, {"val_loss": np.array([np.nan, np.nan])}])
def test_without_validation_there_is_no_best_epoch(log):
    assert best_epoch(log) is None


@pytest.mark.parametrize(
    ("config", "note"),
    [
        ('{"simulated": true}', command.SIMULATED_NOTICE),
        ('{"simulated": false}', None),
        ("{}", None),
        ("[1]", None),
        ("{", None),
        (None, None),
    ],
)
def test_a_run_on_simulated_data_says_so(tmp_path, config, note):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert read_note(tmp_path) == note
