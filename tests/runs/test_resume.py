"""Trainings that are killed, stopped, or run out of disk: nothing is broken, and nothing is lost."""

import csv
import importlib.util
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused, once
from forked import (
    Command,
    add_networks,
    block_in_native_code,
    die_at_batch,
    die_at_file,
    die_inside_an_epoch,
    leave_no_memory,
    limit_file_size,
    train,
)
from run_folders import assert_whole

# `fast` has a Dropout, whose random state has to go on too.
EPOCHS = 4
OPTIONS = ["--model", "fast", "--epochs", EPOCHS, "--batch-size", 16, "--augment", "--seed", 3]


@pytest.fixture(scope="module")
def unbroken(small_images):
    """A run that nothing disturbed, to compare with."""
    folder, result = once(
        "unbroken", lambda folder: train("--data", small_images, "--output", folder / "run", *OPTIONS)
    )
    assert result.returncode == 0, result.stderr
    return folder / "run"


@pytest.fixture
def resumed(tmp_path, small_images):
    """Start the run, or go on with it, as the same command line does."""

    def start(*extra, **options):
        arguments = ["--data", small_images, "--output", tmp_path / "run", *OPTIONS, "--resume", *extra]
        return Command("train_keras.py", *arguments, **options)

    return start


def partial_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*.partial-*")]


def losses(folder: Path) -> np.ndarray:
    """Return loss, accuracy, val_loss, val_accuracy and learning rate of each epoch."""
    return np.loadtxt(folder / "log.csv", delimiter=",", skiprows=1, usecols=range(1, 6), ndmin=2)


def assert_same_run(folder: Path, unbroken: Path) -> None:
    """Assert that a run that was resumed ended as the one that nothing disturbed."""
    np.testing.assert_allclose(losses(folder), losses(unbroken), rtol=1e-5, atol=1e-5)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in unbroken.iterdir()
    ), "the same files, and no partial ones"
    one, other = (
        list(csv.DictReader((run / "predictions.csv").read_text().splitlines())) for run in (folder, unbroken)
    )
    assert [row["file"] for row in one] == [row["file"] for row in other]
    for name in ("probability", "p_NOR", "p_PVC", "p_LBB"):
        np.testing.assert_allclose(
            [float(row[name]) for row in one], [float(row[name]) for row in other], atol=1e-5
        )


# -- killed ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_inside_epochs_the_run_ends_as_if_unbroken(unbroken, resumed, tmp_path):
    # 48 images are three batches: an epoch has a state after the first, after the second, and at its end.
    for states, begins in [
        (2, "48"),
        (5, "going on in epoch 1, after 2 of 3 batches"),
        (0, "going on in epoch 3, after 1 of 3 batches"),
    ]:
        result = resumed(patch=die_inside_an_epoch, patch_arguments=(states,)).end()
        assert result.returncode == (-signal.SIGKILL if states else 0), result.stderr
        assert begins in result.stdout, result.stdout
    assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_on_jax_a_resumed_run_ends_as_an_unbroken_one(tmp_path, small_images):
    """The last but one state is inside the second epoch; Keras on JAX reads ahead in its own way."""
    for folder, states, status in [("one", 0, 0), ("two", 4, -9), ("two", 1, -9), ("two", 0, 0)]:
        result = train(
            *("--data", small_images, "--output", tmp_path / folder, *OPTIONS, "--resume"),
            **{"patch": die_inside_an_epoch, "patch_arguments": (states,)},
            **{"env": {"KERAS_BACKEND": "jax"}, "tensorflow": False},
        )
        assert result.returncode == status, result.stderr
    assert "going on after epoch 2" in result.stdout or "going on in epoch 2" in result.stdout
    assert_same_run(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
def test_killed_again_and_again_the_run_ends_as_if_unbroken(unbroken, resumed, tmp_path):
    run = tmp_path / "run"
    logged = []
    for patch, moment, epochs in [
        (die_at_file, ("best.keras", "half", 1), 0),  # the first network is being written
        (die_at_batch, (1, 1), 1),  # in the middle of the second epoch
        (die_at_file, ("training_state.npz", "half", 1), 1),
        (
            die_at_file,
            ("log.csv", "written", 3),
            2,
        ),  # epochs 2 and 3: the first writing only restores the log
        (die_at_file, ("loss.png", "half", 2), 4),  # restored, then epoch 4
        (die_at_file, ("confusion_matrix.png", "half", 1), 4),
    ]:
        result = resumed(patch=patch, patch_arguments=moment).end()
        assert result.returncode == -signal.SIGKILL, (moment, result.stdout, result.stderr)
        lines = assert_whole(run)
        assert len(lines) - 1 == epochs, moment
        assert lines[: len(logged)] == logged, f"{moment}: a logged row changed"
        logged = lines
        if moment[1] == "half":
            assert partial_files(run), "the kill was meant to be in the middle of a file"
        if moment[0] == "loss.png":
            drawn = (run / "loss.png").stat().st_mtime_ns
    result = resumed().end()
    assert result.returncode == 0, result.stderr
    assert "going on after epoch 4" in result.stdout
    assert assert_whole(run) == logged
    assert (run / "loss.png").stat().st_mtime_ns > drawn, "the plot that was killed is drawn again"
    assert json.loads((run / "config.json").read_text())["resumed"] == 6
    assert_same_run(run, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments_the_run_ends_as_if_unbroken(unbroken, resumed, tmp_path, seed):
    moments, run, logged = random.Random(seed), tmp_path / "run", []
    for _ in range(4):
        training = resumed()
        if moments.random() < 0.5:
            time.sleep(moments.uniform(0, 12))
        else:  # while something is being written
            name = moments.choice([".best.", ".training_state.", ".log.", ".loss."])
            while training.is_running() and not list(run.glob(name + "*")):
                time.sleep(0.0005)
            time.sleep(moments.uniform(0, 0.02))
        if training.is_running():
            training.kill(signal.SIGKILL)
        training.end()
        if run.exists():
            lines = assert_whole(run)
            assert lines[: len(logged)] == logged
            logged = lines
    result = resumed().end()
    assert result.returncode == 0, result.stderr
    assert assert_whole(run)[: len(logged)] == logged
    assert_same_run(run, unbroken)


def test_a_broken_state_is_told(unbroken, tmp_path, small_images):
    shutil.copytree(unbroken, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config = json.dumps(config | {"finished": False})
    (tmp_path / "run" / "config.json").write_text(config)
    (tmp_path / "run" / "training_state.npz").write_bytes(b"PK\x03\x04 cut off")
    result = train("--data", small_images, "--output", tmp_path / "run", *OPTIONS, "--resume")
    assert_refused(result, "training_state.npz", "--output")
    assert (tmp_path / "run" / "config.json").read_text() == config
    assert (tmp_path / "run" / "log.csv").read_bytes() == (unbroken / "log.csv").read_bytes()


# -- stopped ---------------------------------------------------------------------------------------------------


def wait_for(training: Command, word: str) -> None:
    """Wait until the training has printed a word."""
    end = time.monotonic() + 120
    while word not in training.stdout.read_text():
        assert training.is_running(), training.stderr.read_text()
        assert time.monotonic() < end, f"no {word!r} in 120 s"
        time.sleep(0.05)


def with_threads() -> None:
    add_networks()
    leave_no_memory()


@pytest.mark.parametrize(
    ("number", "status", "patch"),
    [
        (signal.SIGTERM, 143, add_networks),
        (signal.SIGINT, 130, add_networks),
        (signal.SIGTERM, 143, with_threads),
    ],
)
def test_a_signal_ends_a_training(resumed, tmp_path, number, status, patch):
    """The last time with threads that read images."""
    training = resumed("--model", "tiny", "--epochs", 1000, patch=patch)
    wait_for(training, "epoch    1/")
    training.kill(number)
    result = training.end(20)
    assert result.returncode == status
    assert result.stderr == ""
    assert len(assert_whole(tmp_path / "run")) > 1
    assert not partial_files(tmp_path / "run")


def test_a_signal_ends_a_training_inside_a_long_step(resumed, tmp_path):
    """The paper's network takes more than 16 s a step on a CPU, and DBC kills after about ten."""
    training = resumed(patch=block_in_native_code)
    wait_for(training, "blocking")
    sent = time.monotonic()
    training.kill(signal.SIGTERM)
    assert training.end(20).returncode == 143
    assert time.monotonic() - sent < 8
    assert_whole(tmp_path / "run")


@pytest.mark.slow
def test_a_signal_ends_a_real_long_step(tmp_path, image_maker):
    images = image_maker(tmp_path / "data", {"NOR": 80, "PVC": 80})
    training = Command("train_keras.py", "--data", images, "--output", tmp_path / "run", "--model", "paper")
    wait_for(training, "parameters")
    time.sleep(6)
    sent = time.monotonic()
    training.kill(signal.SIGTERM)
    result = training.end(20)
    assert (result.returncode, result.stderr) == (143, "")
    assert time.monotonic() - sent < 8


# -- a full disk -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_earlier_files_are_intact(unbroken, resumed, tmp_path):
    run = tmp_path / "run"
    assert (
        resumed(patch=die_at_batch, patch_arguments=(1, 0)).end().returncode == -signal.SIGKILL
    )  # one epoch is done
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    # Room for the network, not for the state that resuming needs.
    limit = (run / "best.keras").stat().st_size + 100_000
    result = resumed(patch=limit_file_size, patch_arguments=(limit,)).end()
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert "ulimit" in result.stderr
    assert len(assert_whole(run)) == 2
    for name in ("log.csv", "training_state.npz"):
        assert (run / name).read_bytes() == before[name]
    assert not partial_files(run)
    assert resumed().end().returncode == 0
    assert_same_run(run, unbroken)


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_no_room_from_the_start_is_told(tmp_path, small_images, size):
    """For config.json; for the network."""
    result = train(
        *("--data", small_images, "--output", tmp_path / "run", "--epochs", 1),
        patch=limit_file_size,
        patch_arguments=(size,),
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert_whole(tmp_path / "run")
    assert not partial_files(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.slow
def test_a_small_disk_that_fills_up_is_told(tmp_path, small_images):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=2300k none {disk} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        result = train("--data", small_images, "--output", disk / "run", "--epochs", 1)
        assert result.returncode == 1
        assert result.stderr.startswith("error: no space left")
        assert len(result.stderr.splitlines()) == 1
        assert_whole(disk / "run")
    finally:
        os.system(f"umount {disk}")
