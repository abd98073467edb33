"""Training and scoring on JAX, where TensorFlow is not installed."""

import importlib.util
import signal

import forked
import numpy as np
import pytest
from run_folders import assert_finished, losses, read
from trainings import COMMON

if importlib.util.find_spec("jax") is None:
    pytest.skip("JAX is not installed here (requirements-jax.txt)", allow_module_level=True)


@pytest.fixture
def run(tmp_path, small_images):
    """Run a command in tmp_path, on JAX, as if TensorFlow was not installed."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "tensorflow.py").write_text("raise ImportError('No module named tensorflow')\n")
    env = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(tmp_path / "without")}

    def run(script, *arguments, patch=forked.add_networks, patch_arguments=(), status=0):
        result = forked.run(
            *(script, *arguments, "--data", small_images),
            **{"cwd": tmp_path, "env": env, "tensorflow": False},
            patch=patch,
            patch_arguments=patch_arguments,
        )
        assert (result.returncode, result.stderr) == (status, "")

    return run


@pytest.mark.slow
def test_a_network_is_trained_loaded_and_scored(run, tmp_path):
    run("train_keras.py", "--output", "run", *COMMON, "--max-hours", 1)
    assert read(tmp_path / "run", "config.json")["backend"] == "jax"
    assert len(losses(tmp_path / "run")) == 2
    assert_finished(tmp_path / "run")
    run("evaluate_keras.py", "run/best.keras", "--output", "scores", "--batch-size", 16)
    one, other = (read(tmp_path / name, "metrics.json") for name in ("run", "scores"))
    assert one["confusion_matrix"] == other["confusion_matrix"]


def test_two_devices_train(run, tmp_path):
    """48 training images: a remainder of 1."""
    run(
        "train_keras.py",
        "--output",
        "run",
        "--model",
        "tiny",
        *("--epochs", 1, "--batch-size", 47, "--devices", 2),
    )
    assert len(read(tmp_path / "run", "config.json")["devices"]) == 2


def test_a_time_limit_ends_a_training(run, tmp_path):
    limit = ("--epochs", 9, "--batch-size", 1, "--max-hours", 0.001)
    run("train_keras.py", "--output", "run", "--model", "tiny", *limit)
    assert read(tmp_path / "run", "metrics.json")["stopped_early"] is True


@pytest.mark.slow
def test_a_training_goes_on_after_a_kill(run, tmp_path):
    arguments = ["train_keras.py", *COMMON, "--epochs", 3, "--resume", "--output"]
    run(*arguments, "unbroken")
    moment = ("log.csv", "written", 3)  # the header and two epochs
    run(*arguments, "killed", patch=forked.die_at_file, patch_arguments=moment, status=-signal.SIGKILL)
    run(*arguments, "killed")
    one, other = (np.array(losses(tmp_path / name), float) for name in ("killed", "unbroken"))
    assert len(one) == 3
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
