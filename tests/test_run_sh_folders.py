"""Where run.sh takes data from and writes to, whatever names it: with a Python that only says what it is asked to run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT, assert_refused

# Answers for Python's version and the packages, and prints the rest.
SAYS = """#!/bin/bash
case "$1" in
    -c) echo 3.12 ;;
    -) cat >/dev/null ;;
    *) echo "RUNS in $PWD: $*" ;;
esac
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """A project folder with run.sh, and a Python beside it."""
    code = tmp_path / "home" / "code"
    code.mkdir(parents=True)
    for name in ("run.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, code)
    (tmp_path / "python").write_text(SAYS)
    (tmp_path / "python").chmod(0o755)
    return code


@pytest.fixture
def start(project, tmp_path):
    def run(*arguments, cwd=None, prefix=(), **env):
        environment = {k: v for k, v in os.environ.items() if k not in ("DATA_DIR", "OUTPUT_DIR", "WORK_DIR")}
        return subprocess.run(
            [*prefix, "bash", project / "run.sh", *map(str, arguments)],
            cwd=cwd or tmp_path,
            capture_output=True,
            text=True,
            env=environment | {"PYTHON": str(tmp_path / "python"), **env},
            timeout=60,
            check=False,
        )

    return run


def class_folder(folder: Path) -> Path:
    (folder / "NOR").mkdir(parents=True)
    (folder / "NOR" / "a.png").touch()
    return folder


def record_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "100.hea").touch()
    return folder


def called(result, script: str) -> tuple[str, str]:
    """Return the folder in which a script was run, and its arguments."""
    assert result.returncode == 0, result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("RUNS in ") and script in line)
    place, _, words = line.removeprefix("RUNS in ").partition(": ")
    return place, words.partition(f"{script} ")[2]


# -- --data and --output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--data", "mine", "--output", "there"], ["--data=mine", "--output=there"]], ids=["two", "one"]
)
def test_data_and_output_are_taken_from_where_the_user_stands(start, tmp_path, words):
    class_folder(tmp_path / "mine")
    # What the environment says is overruled, and what lies about is not taken.
    class_folder(tmp_path / "home" / "data")
    result = start("--epochs", 2, *words, "--split", "beats", DATA_DIR="/none", OUTPUT_DIR="/none")
    _, arguments = called(result, "train_keras.py")
    assert arguments.startswith(
        f"--data {tmp_path}/mine --output {tmp_path}/there --epochs 2 --split beats --model"
    )
    assert "SIMULATED" not in result.stdout


@pytest.mark.parametrize("words", [["--split", "my list.csv"], ["--split=my list.csv"]], ids=["two", "one"])
def test_a_list_of_records_is_taken_from_where_the_user_stands(start, tmp_path, words):
    class_folder(tmp_path / "mine")
    _, arguments = called(start("--data", "mine", *words), "train_keras.py")
    assert f"--split{(words[0][7:] and '=') or ' '}{tmp_path}/my list.csv" in arguments


def test_folders_with_spaces(start, tmp_path):
    class_folder(tmp_path / "my data")
    _, arguments = called(start("--data", "my data", "--output=my output"), "train_keras.py")
    assert f"--data {tmp_path}/my data --output {tmp_path}/my output" in arguments


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data"], "--data"),
        (["--data", "--epochs", "3"], "--data"),
        (["--data", ""], "--data"),
        (["--data="], "--data"),
        (["--output="], "--output"),
        (["--epochs", "3", "--output"], "--output"),
        (["--data", "none"], "--data none"),
        (["--data", "empty"], "--data empty"),
    ],
)
def test_folders_that_are_none_are_refused(start, tmp_path, words, told):
    (tmp_path / "empty").mkdir()
    assert_refused(start(*words), told)
    assert not (tmp_path / "home" / "code" / "images").exists()


# -- the run's folder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "new", "newest"),
    [
        ([], "run-1", "run-1"),
        (["run-08"], "run-9", "run-08"),
        (["run-08", "run-9", "run-010"], "run-11", "run-010"),
        (["run-2", "run-x", "run-", "run-1e3", "run-99999999999999999999"], "run-3", "run-2"),
    ],
)
def test_the_next_and_the_newest_run(project, start, there, new, newest):
    class_folder(project / "data")
    for name in there:
        (project / "output" / name).mkdir(parents=True)
    assert f"--output output/{new} " in called(start(), "train_keras.py")[1]
    assert f"--output output/{newest} " in called(start("--resume"), "train_keras.py")[1]


# -- a project folder that cannot be written to ----------------------------------------------------------------


def test_work_dir_takes_the_environment_the_images_and_the_results(project, start, tmp_path):
    records = record_folder(tmp_path / "records")
    result = start("--data", records, WORK_DIR="work")
    place, arguments = called(result, "make_dataset.py")
    assert place == str(tmp_path / "work")
    assert arguments.startswith(f"{records} --output images/records-")
    place, arguments = called(result, "train_keras.py")
    assert place == str(tmp_path / "work")
    assert "--output output/run-1 " in arguments
    assert sorted(os.listdir(project)) == ["requirements.txt", "run.sh"]


def test_with_work_dir_data_beside_the_code_is_found_too(project, start, tmp_path):
    class_folder(project.parent / "data")
    (project.parent / "output").mkdir()
    _, arguments = called(start(WORK_DIR=str(tmp_path / "work")), "train_keras.py")
    data, output = arguments.split()[1::2][:2]
    assert os.path.samefile(data, project.parent / "data")
    assert os.path.samefile(output, project.parent / "output")


def test_a_work_dir_that_cannot_be_made_is_refused(start, tmp_path):
    (tmp_path / "file").touch()
    assert_refused(start(WORK_DIR=str(tmp_path / "file" / "x")), "WORK_DIR")


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_folder_that_cannot_be_written_to_is_told_with_the_way_out(project, start, tmp_path):
    for folder in (project, *project.parents):
        if folder.stat().st_uid == 0 and str(folder) != "/tmp":
            folder.chmod(folder.stat().st_mode | 0o055)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    records = record_folder(tmp_path / "records")
    assert_refused(start("--data", records, prefix=nobody), str(project), "WORK_DIR=DIR")
    classes = class_folder(tmp_path / "classes")
    assert_refused(start("--data", classes, prefix=nobody), str(project), "WORK_DIR=DIR")
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o777)
    called(start("--data", records, prefix=nobody, WORK_DIR=str(tmp_path / "work")), "train_keras.py")
    # Nothing has to be written there where the results go elsewhere.
    called(start("--data", classes, "--output", tmp_path / "work" / "run", prefix=nobody), "train_keras.py")


# -- the time of the start -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["abc", "1e9", "-5", "99999999999999999999", "12 34"])
def test_a_start_that_is_no_time_is_refused(start, value):
    assert_refused(start(RUN_STARTED=value), f"RUN_STARTED={value}")


def test_a_start_with_a_zero_before_it_is_no_octal_number(project, start):
    class_folder(project / "data")
    assert "Whole job:" in start(RUN_STARTED="0189").stdout
