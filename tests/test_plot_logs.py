"""plot_logs.py, the command."""

import json
import os
from pathlib import Path

from ecgbeats import command

import forked
import pytest
from conftest import assert_refused, run_command, run_python
from made_logs import write_run

import plot_logs


def plot(*arguments, folder):
    return forked.run("plot_logs.py", *arguments, cwd=folder, tensorflow=False)


@pytest.mark.parametrize(
    ("logs", "names"),
    [
        (["output/run-1/log.csv"], ["run-1"]),
        (["output/run-1/log.csv", "output/run-2/log.csv"], ["run-1", "run-2"]),
        (
            ["output/run-1/log.csv", "other/run-1/log.csv", "output/run-2/log.csv"],
            ["output/run-1", "other/run-1", "run-2"],
        ),
        (
            ["run-1/fold-0/log.csv", "run-1/fold-1/log.csv", "run-2/fold-0/log.csv"],
            ["run-1/fold-0", "fold-1", "run-2/fold-0"],
        ),
        (["/run-1/log.csv", "/a/run-1/log.csv"], ["/run-1", "a/run-1"]),
        (["a/keras.csv", "b/keras.csv"], ["a/keras.csv", "b/keras.csv"]),
    ],
)
def test_runs_go_by_the_shortest_path_that_tells_them_apart(logs, names):
    assert plot_logs.short_names([Path(log) for log in logs]) == names


def test_with_no_argument_the_newest_run_is_drawn(tmp_path):
    for age, place in enumerate(["output/run-1/fold-1", "output/run-2", "output", "output/run-3"]):
        log = write_run(tmp_path / place) / "log.csv"
        os.utime(log, (1_000_000 - age, 1_000_000 - age))
    done = run_command("plot_logs.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")] == [
        "output/run-1/fold-1/loss.png"
    ]
    assert "fold-1: 5 epochs, lowest val_loss 0.25 at epoch 3" in done.stdout


def test_one_run_goes_beside_its_log(tmp_path):
    write_run(tmp_path / "elsewhere")
    assert plot("elsewhere", "--metric", "accuracy", folder=tmp_path).returncode == 0
    assert (tmp_path / "elsewhere/accuracy.png").is_file()


def test_several_runs_go_into_the_current_folder(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("a", "b")]
    done = plot(folders[0], folders[1] / "log.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*.png")] == ["loss.png"]
    assert (tmp_path / "loss.png").is_file()


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_formats(tmp_path, suffix, start):
    write_run(tmp_path)
    output = tmp_path / f"new/figures/compare.{suffix}"
    done = plot(tmp_path, "--output", output, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert output.read_bytes().startswith(start)


def test_a_log_of_keras_itself_with_another_metric(tmp_path):
    text = "epoch,acc,loss,val_acc,val_loss\n0,0.5,0.7,0.4,0.8\n1,0.6,0.6,0.5,0.7\n"
    (tmp_path / "history.csv").write_text(text)
    done = plot("history.csv", "--metric", "acc", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at epoch 1" in done.stdout
    assert (tmp_path / "acc.png").is_file()


def test_acc_is_accuracy_by_whatever_name_it_was_logged(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,categorical_accuracy,val_categorical_accuracy\n0,0.5,0.4\n")
    done = plot("history.csv", "--metric", "acc", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "accuracy.png").is_file()


def test_simulated_data_is_told_on_the_terminal_and_in_the_figure(tmp_path):
    folder = write_run(tmp_path / "run-1")
    (folder / "config.json").write_text(json.dumps({"simulated": True}))
    done = plot(folder, "--output", "loss.svg", folder=tmp_path)
    assert command.SIMULATED_NOTICE in done.stdout
    assert command.SIMULATED_NOTICE in (tmp_path / "loss.svg").read_text()


def test_a_plot_is_replaced_but_not_another_file(tmp_path):
    folder = write_run(tmp_path / "run-1")
    assert plot(folder, folder=tmp_path).returncode == 0
    assert plot(folder, folder=tmp_path).returncode == 0
    (folder / "loss.png").write_bytes(b"my own words")
    assert_refused(plot(folder, folder=tmp_path), "loss.png", "--output")
    assert (folder / "loss.png").read_bytes() == b"my own words"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "missing: no such file"),
        (["empty"], "empty: no log.csv"),
        (["folds"], "folds/fold-*"),
        (["garbage.csv"], "garbage.csv"),
        (["young"], "log.csv: no epoch yet"),
        (["run", "missing"], "missing"),
        (["run", "--metric", "f1"], "loss, accuracy, learning_rate"),
        (["run", "--metric", "val_loss"], "--metric val_loss"),
        (["run", "--metric", "epoch"], "--metric epoch"),
        (["run", "--output", "figure.jpg"], ".png, .svg or .pdf"),
        (["run", "--output", "figure"], ".png, .svg or .pdf"),
        (["run", "--output", "garbage.csv/figure.png"], "is a file"),
        (["run", "--output", "folder.png"], "is a folder"),
        (["run", "--output", "x" * 300 + ".png"], "cannot be written"),
        (["x" * 300], "File name too long"),
        (["run", "--metrics", "loss"], "--metrics"),
        ([], "./output"),
    ],
)
def test_mistakes_end_with_status_2_and_one_line(tmp_path, arguments, words):
    write_run(tmp_path / "run")
    write_run(tmp_path / "folds/fold-0")
    write_run(tmp_path / "young", [])
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "garbage.csv").write_bytes(b"\x00\xff\x13" * 1000)
    before = sorted(tmp_path.rglob("*"))
    assert_refused(plot(*arguments, folder=tmp_path), words)
    assert sorted(tmp_path.rglob("*")) == before


def test_mistakes_are_answered_before_matplotlib_is_loaded():
    code = "import sys, plot_logs; sys.exit('matplotlib' in sys.modules)"
    assert run_python("-c", code).returncode == 0
