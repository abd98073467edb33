"""run.sh as a newcomer starts it. tests/test_dbc.py has it as a DBC node does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import made_recordings
import pytest
from conftest import PROJECT, assert_refused


def checkout(folder: Path) -> Path:
    """Copy the project's files, without what git ignores, as a fresh clone has them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    names = listed or [str(p.relative_to(PROJECT)) for p in PROJECT.glob("*") if p.is_file()]
    for name in names:
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    return folder


@pytest.fixture
def clone(tmp_path):
    return checkout(tmp_path / "home" / "code")


def run_sh(clone, *arguments, cwd=None, timeout=300, **env):
    """Run run.sh with the Python of the tests, which has the packages."""
    return subprocess.run(
        ["bash", str(clone / "run.sh"), *arguments],
        cwd=cwd or clone,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHON": sys.executable, **env},
        check=False,
    )


@pytest.mark.slow
def test_the_main_job_on_simulated_records(clone, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # At most 100 beats of each class: the slow test below takes all.
    first = run_sh(clone, "--epochs", "1", "--limit", "100", cwd=elsewhere)
    assert first.returncode == 0, first.stderr
    out = first.stdout
    for words in (
        "== 1/4 Packages",
        "== 2/4 Data",
        "== 3/4 Training",
        "== 4/4 Plots",
        "SIMULATED, not medical data",
        "trains the small network 'fast'",
        "--split records",
        "accuracy",
        "best.keras",
    ):
        assert words in out, words
    assert "Installing" not in out
    assert "\r" not in out
    run = clone / "output" / "run-1"
    assert {"best.keras", "metrics.json", "loss.png", "accuracy.png", "log.csv"} <= {
        p.name for p in run.iterdir()
    }
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"] == "records"
    assert metrics["simulated"] is True
    assert list(elsewhere.iterdir()) == []

    # Once more, with a split that these classes refuse: the data is there, and the status is the training's.
    second = run_sh(clone, "--model", "fast", "--split", "ds1-ds2")
    assert second.returncode == 2
    assert second.stderr.startswith("error: --split ds1-ds2")
    assert "Making simulated records" not in second.stdout
    assert "nothing to do" in second.stdout
    assert "trains the small network" not in second.stdout
    assert "output/run-2" in second.stdout

    again = run_sh(clone, "--epochs", "1", "--limit", "100", "--resume")
    assert again.returncode == 0, again.stderr
    assert "finished; nothing to do" in again.stdout
    assert "output/run-1" in again.stdout


@pytest.mark.slow
def test_the_default_job_reaches_its_score(clone):
    result = run_sh(clone)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((clone / "output/run-1/metrics.json").read_text())
    assert metrics["accuracy"] >= 0.95


def test_a_mistyped_option_ends_it_before_any_data_is_made(clone):
    result = run_sh(clone, "--epoch", "3")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert not (clone / "images").exists()
    assert not (clone / "records").exists()


def test_help(clone):
    result = run_sh(clone, "--help")
    assert result.returncode == 0
    assert "usage: train_keras.py" in result.stdout
    assert not (clone / "images").exists()


@pytest.fixture(scope="module")
def hurried(tmp_path_factory, image_maker):
    """Folders as a user names them from where they stand, and no time for an epoch."""
    folder = tmp_path_factory.mktemp("hurried")
    image_maker(folder / "mine", {"a": 12, "b": 12})
    clone = checkout(folder / "home" / "code")
    limit = ["--max-hours", "0.0001", "--batch-size", "8"]
    result = run_sh(clone, *limit, cwd=folder, DATA_DIR="mine", OUTPUT_DIR="result")
    assert result.returncode == 0, result.stderr
    return folder / "result", result


def test_data_and_output_are_meant_from_where_the_user_stands(hurried):
    folder, result = hurried
    assert json.loads((folder / "metrics.json").read_text())["classes"] == ["a", "b"]
    assert "SIMULATED" not in result.stdout
    assert not (folder.parent / "home/code/output").exists()


def test_no_time_for_one_epoch_gives_a_result_still(hurried):
    folder, _ = hurried
    assert {"best.keras", "metrics.json", "predictions.csv"} < {path.name for path in folder.iterdir()}
    assert json.loads((folder / "metrics.json").read_text())["epochs"] == 0
    assert not (folder / "accuracy.png").exists()


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_data_folder_without_data_is_refused(clone, tmp_path, kind):
    folder = tmp_path / "data"
    if kind == "empty":
        folder.mkdir()
    result = run_sh(clone, DATA_DIR=str(folder))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"error: DATA_DIR={folder}" in result.stderr


def fake_machine(folder: Path, **programs: str) -> dict:
    """Return an environment whose PATH holds the usual tools and these shell scripts alone."""
    folder.mkdir()
    for tool in ("bash", "dirname", "date", "sed", "cat", "find", "realpath", "cksum", "cut", "seq", "sleep"):
        (folder / tool).symlink_to(shutil.which(tool))
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder), "PYTHON": ""}


def refused_setup(clone, env) -> str:
    result = run_sh(clone, **env)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    return result.stderr


def test_no_python_is_told(clone, tmp_path):
    assert "Python is not installed" in refused_setup(clone, fake_machine(tmp_path / "bin"))


def test_an_old_python_is_told(clone, tmp_path):
    error = refused_setup(clone, fake_machine(tmp_path / "bin", python3="echo 3.9"))
    assert "Python 3.9 is not supported" in error
    assert "3.11, 3.12 or 3.13" in error


def test_a_python_without_venv_is_told(clone, tmp_path):
    # Answers as Debian's python3 does without the package python3-venv.
    script = f'case "$*" in *venv*) exit 1;; -) exit 1;; *) exec {sys.executable} "$@";; esac'
    error = refused_setup(clone, fake_machine(tmp_path / "bin", python3=script))
    assert "apt-get install python3-venv" in error


def test_a_gpu_that_tensorflow_does_not_see_stops_it(clone, tmp_path):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "nvidia-smi").write_text("#!/bin/bash\necho 'GPU 0: a GPU'\n")
    (bin_folder / "nvidia-smi").chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    result = run_sh(clone, PATH=path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "TensorFlow sees none" in result.stderr
    assert not (clone / "images").exists()


def test_a_windows_clone_starts(tmp_path):
    """Git for Windows sets core.autocrlf, which would give bash files that end their lines in CR."""
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no git clone")
    clone = tmp_path / "code"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", "-c", "core.autocrlf=true", PROJECT.as_uri(), clone],
        check=True,
    )
    binary = (".png", ".keras", ".xz", ".npz")
    files = [
        path for path in clone.rglob("*") if path.is_file() and ".git" not in path.relative_to(clone).parts
    ]
    assert {"run.sh", "task.conf", "Dockerfile"} <= {path.name for path in files}
    with_cr = [path.name for path in files if path.suffix not in binary and b"\r" in path.read_bytes()]
    assert not with_cr
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout
    assert changed == ""
    result = run_sh(clone, "--help")
    assert result.returncode == 0, result.stderr
    assert "usage: train_keras.py" in result.stdout


# -- annotate --------------------------------------------------------------------------------------------------


def test_annotate_takes_paths_from_where_the_user_stands(clone, tmp_path):
    result = run_sh(clone, "annotate", "mine.csv", "--rate", "360", cwd=tmp_path)
    assert_refused(result, "mine.csv is no recording")
    (tmp_path / "mine.csv").write_text("II\n" + "0.1\n" * 100)
    assert_refused(run_sh(clone, "annotate", "mine.csv", "--rate", "360", cwd=tmp_path), "mine.csv has 0.3 s")
    assert not (clone / "output").exists()


@pytest.mark.slow
def test_annotate_writes_below_output(clone, tmp_path):
    made_recordings.write_edf(tmp_path / "mine.edf")
    result = run_sh(clone, "annotate", "mine.edf", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (clone / "output" / "annotated" / "mine.review.html").stat().st_size > 10_000
