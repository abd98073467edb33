"""A task on a DeepBrainChain node, step by step as DBC's start script does it, and what the user downloads.

The node downloads the code to /dbc/code and the data to /dbc/data, mends the entry file's line ends, runs it
in /dbc/code with its output going through tee into /dbc/output, uploads /dbc/output, and empties /dbc.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.records.simulation import make_records

import pytest
from conftest import PROJECT
from run_folders import rows
from test_run_sh import checkout

RESULT = (
    "best.keras config.json log.csv metrics.json predictions.csv "
    "loss.png accuracy.png confusion_matrix.png training_result_file"
).split()
LOG_LINES = 100  # what one call of `logs` shows
OPTIONS = "--epochs 2 --batch-size 16 --seed 7 --limit 19 --no-augment"

EXECUTE = r"""
cd "$1/code" || exit 1
sed -i 's/\r$//' run.sh  # dos2unix
chmod +x run.sh
/bin/bash run.sh $2 2>&1 | tee "$1/output/training_result_file"
exit "${PIPESTATUS[0]}"  # which DBC's script does not see
"""


class Node:
    """A machine with one task: its /dbc folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.code, self.data, self.output = (folder / name for name in ("code", "data", "output"))
        self.code.mkdir(parents=True)
        self.output.mkdir()
        checkout(self.code)
        # The Python of the tests comes first, as that of the image does; nothing can be installed.
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHON"} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
        }

    def run(self, hyper_parameters: str = "", timeout: float = 300) -> int:
        """Run the task to its end; return the status of run.sh."""
        return subprocess.run(
            ["bash", "-c", EXECUTE, "node", self.folder, hyper_parameters],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
            timeout=timeout,
            check=False,
        ).returncode

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start run.sh alone, for what happens while it runs; ``returncode`` is its status."""
        with open(self.output / "training_result_file", "w") as log:
            return subprocess.Popen(
                ["/bin/bash", "run.sh", *arguments],
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )

    def hand_over(self, folder: Path) -> Path:
        """Upload the output, empty the machine, and return what the user downloads."""
        shutil.copytree(self.output, folder)
        shutil.rmtree(self.folder)
        return folder


def log_of(folder: Path) -> str:
    return (folder / "training_result_file").read_bytes().decode()


def assert_finished(folder: Path) -> None:
    """Assert that all results are there, and nothing big that only resuming would need."""
    names = {path.name for path in folder.iterdir()}
    assert set(RESULT) <= names
    assert "training_state.npz" not in names


def assert_whole(folder: Path) -> None:
    """Assert that every file can be read, and that nothing unfinished lies about."""
    import keras
    import numpy as np
    from PIL import Image

    assert not [path.name for path in folder.iterdir() if "partial" in path.name]
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    for path in folder.glob("*.png"):
        Image.open(path).load()
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            assert len([arrays[name] for name in arrays.files]) > 1
    keras.models.load_model(folder / "best.keras")


# -- a task with records, its code from a Windows machine --------------------------------------------------------


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """The names in the node's folders as they were at the end, the status of run.sh, and the download."""
    node = Node(tmp_path_factory.mktemp("node") / "dbc")
    for path in node.code.rglob("*"):
        if path.suffix in (".sh", ".py", ".txt", ".conf"):
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    node.data.mkdir()
    records = tmp_path_factory.mktemp("records")
    for name in make_records(records)[::10]:
        for path in records.glob(f"{name}.*"):
            shutil.copy(path, node.data)
    status = node.run(OPTIONS)
    left = {folder: {path.name for path in folder.iterdir()} for folder in (node.code, node.data)}
    left = {folder.name: names for folder, names in left.items()}
    return status, left, node.hand_over(tmp_path_factory.mktemp("user") / "result")


def test_the_user_gets_all_results(task):
    status, _, result = task
    assert status == 0, log_of(result)
    assert_finished(result)
    assert_whole(result)


def test_the_log_suits_dbcs_client(task):
    log = log_of(task[2])
    assert "\r" not in log
    assert "\x1b" not in log
    assert len(log.splitlines()) <= LOG_LINES
    assert not re.search("DIR_HASH:", log)  # `result` takes such a line for the address of the output


def test_each_epoch_has_one_line(task):
    epochs = [line for line in log_of(task[2]).splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in epochs] == ["1/2", "2/2"]


def test_the_arguments_are_passed_on(task):
    options = json.loads((task[2] / "config.json").read_text())["options"]
    expected = {"epochs": 2, "batch_size": 16, "seed": 7, "limit": 19, "model": "fast"}
    assert {name: options[name] for name in expected} == expected


def test_nothing_is_installed(task):
    _, left, result = task
    assert not {".venv", "output"} & left["code"]
    assert "Installing" not in log_of(result)


def test_records_become_images_beside_the_code(task):
    _, left, result = task
    assert {Path(name).suffix for name in left["data"]} == {".hea", ".dat", ".atr"}, "as they were uploaded"
    assert "images" in left["code"]
    assert "Records in ../data" in log_of(result)
    files = [row["file"] for row in rows(result / "predictions.csv")]
    assert all(re.fullmatch(r"[A-Z]{3}/\w+_\d+\.png", file) for file in files)


# -- tasks with class folders --------------------------------------------------------------------------------------


def test_a_refused_option_is_in_the_log(tmp_path, small_images):
    node = Node(tmp_path / "dbc")
    shutil.copytree(small_images, node.data)
    status = node.run("--epoch 3")
    result = node.hand_over(tmp_path / "result")
    assert status == 2
    assert [path.name for path in result.iterdir()] == ["training_result_file"]
    errors = [line for line in log_of(result).splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "--epoch" in errors[0]


@pytest.mark.slow
def test_it_returns_before_the_rent_ends(tmp_path, small_images):
    node = Node(tmp_path / "dbc")
    shutil.copytree(small_images, node.data)
    seconds = 60
    started = time.time()
    status = node.run(f"--epochs 5000 --batch-size 16 --max-hours {seconds / 3600:.5f}")
    took = time.time() - started
    result = node.hand_over(tmp_path / "result")
    assert status == 0, log_of(result)
    assert took < seconds
    assert {*RESULT, "training_state.npz"} <= {path.name for path in result.iterdir()}
    assert json.loads((result / "metrics.json").read_text())["stopped_early"] is True
    assert_whole(result)


def wait_for(condition, process: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    end = time.time() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.time() < end, log.read_text()
        time.sleep(0.05)


def stop(process: subprocess.Popen) -> float:
    """Send SIGTERM to this process alone; return the seconds until it had ended."""
    started = time.time()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    return time.time() - started


@pytest.mark.slow
def test_a_stopped_task_goes_on_from_the_code_folder(tmp_path, small_images):
    options = "--epochs 8 --batch-size 4 --resume"
    node = Node(tmp_path / "first")
    shutil.copytree(small_images, node.data)
    process = node.start(*options.split())
    log = node.output / "training_result_file"
    wait_for(lambda: "epoch 2/8" in log.read_text(), process, log)
    assert stop(process) < 8
    assert process.returncode == 143, log.read_text()
    assert_whole(node.output)
    kept = node.hand_over(tmp_path / "kept")
    before = rows(kept / "log.csv")
    assert 2 <= len(before) < 8

    node = Node(tmp_path / "second")
    shutil.copytree(small_images, node.data)
    shutil.copytree(kept, node.code / "resume")
    status = node.run(options)
    result = node.hand_over(tmp_path / "result")
    assert status == 0, log_of(result)
    assert f"going on after epoch {len(before)}\n" in log_of(result)
    assert log_of(result).startswith("\n== 1/4")  # this task's log, not the earlier one's
    after = rows(result / "log.csv")
    assert after[: len(before)] == before
    assert [row["epoch"] for row in after] == [str(epoch) for epoch in range(1, 9)]
    assert_finished(result)


def test_the_outputs_own_run_comes_before_the_code_folders(task, tmp_path, small_images):
    """Some versions of DBC's script run the task again where a container is restarted with its /dbc."""
    node = Node(tmp_path / "dbc")
    shutil.copytree(small_images, node.data)
    shutil.copytree(task[2], node.output, dirs_exist_ok=True)
    shutil.copytree(task[2], node.code / "resume")
    (node.code / "resume" / "metrics.json").write_text("{}")
    status = node.run(f"{OPTIONS} --resume")
    result = node.hand_over(tmp_path / "result")
    assert status == 0, log_of(result)
    assert "finished; nothing to do" in log_of(result)
    assert (result / "metrics.json").read_bytes() == (task[2] / "metrics.json").read_bytes()


@pytest.mark.slow
def test_sigterm_inside_a_long_training_step(tmp_path, image_maker):
    """One step of the paper's network takes more than 8 s on two cores."""
    node = Node(tmp_path / "dbc")
    image_maker(node.data, {"NOR": 150, "PVC": 150})
    process = node.start("--model", "paper", "--epochs", "1")
    log = node.output / "training_result_file"
    wait_for(lambda: "parameters, " in log.read_text(), process, log)
    time.sleep(6)
    assert stop(process) < 8
    assert process.returncode == 143, log.read_text()


# -- the image ---------------------------------------------------------------------------------------------------


def in_docker_context(name: str) -> bool:
    """Whether `docker build` copies a file: the last pattern of .dockerignore decides that matches it or a parent."""
    kept = True
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if re.fullmatch(f"{pattern}(/.*)?", name):
                kept = line.startswith("!")
    return kept


def test_the_image_holds_what_the_job_needs(tmp_path):
    code = checkout(tmp_path / "code")
    files = {str(path.relative_to(code)): path for path in code.rglob("*") if path.is_file()}
    context = {name for name in files if in_docker_context(name)}
    assert {name for name in files if name.startswith(("ecgbeats/", "pretrained/", "protocols/"))} < context
    assert not {name for name in context if name.startswith(("tests/", "docs/", "benchmarks/", "."))}
    assert not in_docker_context("ecgbeats/runs/__pycache__/feed.cpython-312.pyc")
    for name in files.keys() - context:
        files[name].unlink()
    help_text = subprocess.run(
        ["bash", "run.sh", "--help"],
        cwd=code,
        env=os.environ | {"PYTHON": sys.executable, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert help_text.returncode == 0, help_text.stderr
    assert "usage: train_keras.py" in help_text.stdout


def test_the_image_has_the_projects_version():
    label = re.search(r'image\.version="(.+?)"', (PROJECT / "Dockerfile").read_text())[1]
    project = re.search(r'^version = "(.+?)"', (PROJECT / "pyproject.toml").read_text(), re.M)[1]
    assert label == project == command.VERSION
