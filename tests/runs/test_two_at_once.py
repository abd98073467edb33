"""Two processes in one folder, and an evaluation that is killed: the second refuses, and nothing has to be tidied up by hand."""

import json
import os
import signal
import time
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.splits import split_as
from ecgbeats.runs.folder import LOCK_FILE, check_unlocked, locked

import pytest
from forked import Command, die_at_file, run, train

import train_keras

OPTIONS = ["--epochs", 2, "--batch-size", 16]


def content(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK_FILE}


def wait_for(training: Command, word: str) -> None:
    end = time.monotonic() + 120
    while word not in training.stdout.read_text():
        assert training.is_running(), training.stderr.read_text()
        assert time.monotonic() < end, f"no {word!r} in 120 s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_images) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    result = train("--data", small_images, "--output", folder, *OPTIONS)
    assert result.returncode == 0, result.stderr
    return folder


# -- two at once -----------------------------------------------------------------------------------------------


def test_a_lock_is_refused_to_others_and_leaves_nothing(tmp_path):
    check_unlocked(tmp_path)
    with locked(tmp_path):
        for take in (lambda: check_unlocked(tmp_path), lambda: locked(tmp_path).__enter__()):
            with pytest.raises(InputError, match=f"{tmp_path}: another process"):
                take()
    assert os.listdir(tmp_path) == []
    with locked(tmp_path):
        pass


def test_a_second_training_refuses_and_the_first_goes_on(tmp_path, small_images, refused):
    arguments = ["--data", small_images, "--output", tmp_path / "run", "--epochs", 1000, "--resume"]
    first = Command("train_keras.py", *arguments)
    wait_for(first, "epoch    1/")
    started = time.monotonic()
    refused(run("train_keras.py", *arguments), str(tmp_path / "run"), "another process")
    assert time.monotonic() - started < 30, "it was not told before the images were read"
    assert first.is_running()
    first.kill(signal.SIGKILL)
    first.end()
    # The lock has died with its process.
    again = Command("train_keras.py", *arguments)
    wait_for(again, "going on after epoch")
    again.kill(signal.SIGTERM)
    assert again.end().returncode == 143


@pytest.mark.parametrize(
    ("script", "extra"),
    [
        ("train_keras.py", ["--folds", 3]),
        ("train_keras.py", ["--folds", 3, "--resume"]),
        ("compare_networks.py", ["--models", "fast"]),
        ("evaluate_keras.py", []),
    ],
)
def test_every_command_that_fills_a_folder_refuses(tmp_path, small_images, trained, refused, script, extra):
    first = [trained / "best.keras"] if script == "evaluate_keras.py" else []
    output = tmp_path / "output"
    output.mkdir()
    with locked(output):
        refused(
            run(script, *first, "--data", small_images, "--output", output, *extra), str(output), "another"
        )
    assert os.listdir(output) == []


def options(small_images, folder, *extra):
    arguments = ["--data", small_images, "--output", folder, *OPTIONS, *extra]
    return train_keras.read_options(list(map(str, arguments)))


def test_a_run_that_another_process_ended_meanwhile_is_left_alone(trained, small_images):
    """As when it trained while this process still read the images."""
    before = content(trained)
    first = options(small_images, trained)
    data = train_keras.load_data(first)
    parts = split_as(data.images, vars(first))
    with pytest.raises(InputError, match="holds a run"):
        train_keras.train(data, parts, first, trained)
    metrics = train_keras.train(data, parts, options(small_images, trained, "--resume"), trained)
    assert metrics == json.loads((trained / "metrics.json").read_text())
    assert content(trained) == before


# -- many folds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [200_000, 2**31 - 1])
@pytest.mark.parametrize("extra", [[], ["--resume"], ["--fold", 1]])
def test_more_folds_than_images_are_refused_at_once(tmp_path, small_images, refused, folds, extra):
    started = time.monotonic()
    arguments = ["--data", small_images, "--output", tmp_path / "run", "--folds", folds, *extra]
    refused(run("train_keras.py", *arguments), "--folds", str(folds))
    assert time.monotonic() - started < 40
    assert not (tmp_path / "run").exists()


# -- an evaluation that is killed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("die_at", "when"), [("predictions.csv", "half"), ("curves.png", "replaced"), ("metrics.json", "written")]
)
def test_an_evaluation_that_was_killed_is_done_again_by_the_same_command(
    tmp_path, small_images, trained, die_at, when
):
    output = tmp_path / "new"
    arguments = [trained / "best.keras", "--data", small_images, "--output", output]
    killed = run("evaluate_keras.py", *arguments, patch=die_at_file, patch_arguments=(die_at, when, 1))
    assert killed.returncode == -signal.SIGKILL
    assert not (output / "metrics.json").exists()
    result = run("evaluate_keras.py", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(content(output)) == [
        "confusion_matrix.png",
        "curves.png",
        "metrics.json",
        "per_class.png",
        "predictions.csv",
    ]
    before = content(output)
    refused = run("evaluate_keras.py", *arguments)
    assert refused.returncode == 2
    assert "holds results" in refused.stderr
    assert content(output) == before


def test_a_folder_in_the_place_of_the_mark_of_an_evaluation_is_refused(
    tmp_path, small_images, trained, refused
):
    (tmp_path / ".evaluation").mkdir()
    arguments = [trained / "best.keras", "--data", small_images, "--output", tmp_path]
    refused(run("evaluate_keras.py", *arguments), ".evaluation")
    assert os.listdir(tmp_path) == [".evaluation"]


def test_predictions_that_no_evaluation_left_are_not_overwritten(tmp_path, small_images, trained, refused):
    (tmp_path / "predictions.csv").write_text("mine")
    refused(
        run("evaluate_keras.py", trained / "best.keras", "--data", small_images, "--output", tmp_path),
        "holds results",
    )
    assert content(tmp_path) == {"predictions.csv": b"mine"}
