"""The commands where their surroundings are hostile: all works, and standard error stays empty."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ecgbeats import command

import pytest
from conftest import PROJECT

pytestmark = pytest.mark.slow

CASES = PROJECT.parent / "shared" / "cases"
CHINESE = ["正常", "早搏", "室早"]


@pytest.fixture(scope="module")
def chinese(tmp_path_factory, image_maker) -> Path:
    """Images whose classes have Chinese names."""
    return image_maker(
        tmp_path_factory.mktemp("images") / "data", dict(zip(CHINESE, (30, 20, 10), strict=True))
    )


def keras_json(folder: Path, **settings) -> Path:
    folder.mkdir(exist_ok=True)
    default = {
        "floatx": "float32",
        "epsilon": 1e-7,
        "backend": "tensorflow",
        "image_data_format": "channels_last",
    }
    (folder / "keras.json").write_text(json.dumps(default | settings))
    return folder


def hostile(tmp_path: Path, **env) -> dict:
    """Return an environment that a notebook, a bare container or an old Keras could leave behind."""
    return {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": "/proc/none",
        "HOME": "/proc/none",
        "PYTHONIOENCODING": "ascii",
        "PYTHONWARNINGS": "always",
        "LC_ALL": "C",
        "COLUMNS": "0",
        **env,
    }


def assert_quiet(result: subprocess.CompletedProcess) -> None:
    assert (result.returncode, result.stderr) == (0, "")
    assert "Warning" not in result.stdout
    assert "Traceback" not in result.stdout


@pytest.fixture(scope="module")
def trained(chinese, tmp_path_factory, run) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    home = keras_json(folder / "home", image_data_format="channels_first", floatx="float16", backend="theano")
    arguments = ["--data", chinese, "--output", folder / "run", "--epochs", 2, "--batch-size", 16]
    result = run("train_keras.py", *arguments, env=hostile(folder, KERAS_HOME=str(home)))
    assert_quiet(result)
    assert "\\u6b63\\u5e38" in result.stdout
    return folder / "run"


def test_a_training_is_quiet_and_its_results_are_as_ever(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["classes"] == sorted(CHINESE)
    assert metrics["accuracy"] > 0.5, "channels or precision of keras.json were taken"
    config = json.loads((trained / "config.json").read_text())
    assert (config["backend"], config["precision"]) == ("tensorflow", "float32")


def test_the_other_commands_are_quiet_too(trained, chinese, tmp_path, run):
    home = keras_json(tmp_path / "home", image_data_format="channels_first", floatx="int8")
    env = hostile(tmp_path, KERAS_HOME=str(home))
    for script, *arguments in (
        ("evaluate_keras.py", trained / "best.keras", "--data", chinese, "--output", tmp_path / "new"),
        ("ecgbeats.scores.report", trained, "--data", chinese),
        ("plot_logs.py", trained, "--output", tmp_path / "loss.svg"),
        ("plot_logs.py", trained, "--output", tmp_path / "loss.pdf", "--metric", "accuracy"),
    ):
        assert_quiet(run(script, *arguments, env=env, cwd=tmp_path))
    assert json.loads((tmp_path / "new" / "metrics.json").read_text())["classes"] == sorted(CHINESE)


def test_comparing_is_quiet_too(chinese, tmp_path, run):
    arguments = ["--data", chinese, "--output", tmp_path / "all", "--models", "fast", "--epochs", 1]
    case = CASES / "keras-home-theano"
    home = case if case.is_dir() else keras_json(tmp_path / "home", backend="theano")
    assert_quiet(run("compare_networks.py", *arguments, env=hostile(tmp_path, KERAS_HOME=str(home))))
    assert (tmp_path / "all" / "comparison.png").exists()


def test_a_network_is_shown_whatever_keras_json_says(tmp_path, run):
    case = CASES / "keras-home-channels_first"
    home = case if case.is_dir() else keras_json(tmp_path / "home", image_data_format="channels_first")
    result = run("model_keras.py", "fast", env=hostile(tmp_path, KERAS_HOME=str(home)))
    assert_quiet(result)
    assert re.search(r"images\s.*128 x 128 x 1\s", result.stdout)


# -- Keras' backends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["foo", "torch", "TensorFlow", "../jax"])
def test_a_backend_that_is_none_is_refused_before_the_data_is_read(tmp_path, run, refused, backend):
    arguments = ["--data", tmp_path / "none", "--output", tmp_path / "run"]
    for script in ("train_keras.py", "compare_networks.py"):
        refused(run(script, *arguments, env={"KERAS_BACKEND": backend}), f"KERAS_BACKEND={backend}", "jax")
    refused(run("model_keras.py", "fast", env={"KERAS_BACKEND": backend}), f"KERAS_BACKEND={backend}")


@pytest.mark.parametrize(
    ("backend", "file"), [("jax", "requirements-jax.txt"), ("tensorflow", "requirements.txt")]
)
def test_a_backend_that_is_not_installed_is_told_with_what_installs_it(monkeypatch, backend, file):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == backend else name)
    with pytest.raises(command.InputError, match=rf"{backend} is not installed.*pip install -r {file}"):
        command.check_backend()


def test_an_empty_backend_is_none(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "")
    assert command.check_backend() == "tensorflow"


@pytest.mark.parametrize("value", ["abc", "nan", "1e999", "10:15"])
def test_a_start_that_is_no_time_is_refused(tmp_path, run, refused, value):
    arguments = ["--data", tmp_path, "--output", tmp_path / "run"]
    refused(run("train_keras.py", *arguments, env={"RUN_STARTED": value}), f"RUN_STARTED={value}")


# -- no shared memory ------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("how", ["read-only", "absent"])
def test_all_works_without_shared_memory(tmp_path, small_images, trained, how):
    """With so many images that processes would read them."""
    from ecgbeats.images.folder import _MANY_IMAGES

    data = tmp_path / "data"
    for name in CHINESE:
        (data / name).mkdir(parents=True)
    files = sorted(small_images.glob("*/*.png"))
    for i in range(_MANY_IMAGES + 200):
        os.link(files[i % len(files)], data / CHINESE[i % 3] / f"r{i % 10}_{i}.png")
    mount = {
        "read-only": "mount -t tmpfs -o ro none /dev/shm",
        # All of /dev is another one, which lacks it.
        "absent": f"mkdir {tmp_path}/dev && mount -t tmpfs none {tmp_path}/dev && cd {tmp_path}/dev && touch null urandom "
        "zero full && for one in *; do mount --bind /dev/$one $one; done && cd / && mount --move "
        f"{tmp_path}/dev /dev 2>/dev/null || mount --bind {tmp_path}/dev /dev",
    }[how]
    script = f'{{ {mount}; }} || exit 99; test ! -w /dev/shm || exit 99; exec "$@"'
    arguments = [
        PROJECT / "evaluate_keras.py",
        trained / "best.keras",
        "--data",
        data,
        "--output",
        tmp_path / "new",
    ]
    words = ["unshare", "-m", "bash", "-c", script, "bash", sys.executable, *arguments]
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=tmp_path, check=False)
    if result.returncode == 99 or "unshare" in result.stderr:
        pytest.skip(f"mounting is not allowed here: {result.stderr}")
    assert_quiet(result)
    assert json.loads((tmp_path / "new" / "metrics.json").read_text())["test_images"] == _MANY_IMAGES + 200
