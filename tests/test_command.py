"""What every command does alike."""

import importlib
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.folders import whole_folder
from ecgbeats.runs.folder import check_unlocked, locked

import forked
import pytest
from conftest import PROJECT, run_python, start_python

SCRIPTS = sorted(path.name for path in PROJECT.glob("*.py") if "__main__" in path.read_text())


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick_and_says_what_the_command_does(run, script):
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        result = run(script, "--help")
        seconds.append(time.perf_counter() - started)
    assert result.returncode == 0
    assert result.stdout.startswith("usage: " + script)
    assert result.stderr == ""
    assert min(seconds) < 1.0


@pytest.mark.parametrize("script", SCRIPTS)
def test_unknown_options_are_refused(run, refused, script):
    refused(run(script, "--no-such-option"))


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.txt"
    with command.whole_file(path) as unfinished:
        unfinished.write_text("one")
        assert not path.exists()
        assert unfinished.suffix == ".txt"
    with pytest.raises(RuntimeError), command.whole_file(path) as unfinished:
        unfinished.write_text("two")
        raise RuntimeError
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_process_left_of_a_file_goes_with_the_next_and_what_another_writes_stays(tmp_path):
    path, other = tmp_path / "a [1].txt", tmp_path / "b [1].txt"
    write = (
        "import os, sys; from ecgbeats import command; file = command.whole_file(sys.argv[1]); "
        "name = file.__enter__(); name.write_text('x'); print(name, flush=True); sys.stdin.read(); os._exit(1)"
    )

    def begin(path):
        words = [sys.executable, "-c", write, path]
        writer = subprocess.Popen(words, cwd=PROJECT, stdin=-1, stdout=-1, text=True)
        return writer, Path(writer.stdout.readline().strip())

    (first, _), (second, of_other), (third, used) = begin(path), begin(other), begin(path)
    first.kill()
    first.communicate()
    command.write_json(path, {})
    assert set(tmp_path.iterdir()) == {path, of_other, used}
    with locked(tmp_path):
        assert set(tmp_path.iterdir()) == {path, of_other, used, tmp_path / ".lock"}
    for writer in (second, third):
        writer.communicate()
    with locked(tmp_path):
        assert set(tmp_path.iterdir()) == {path, tmp_path / ".lock"}


def test_a_file_keeps_who_may_read_it_and_a_folder_is_not_replaced(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("")
    path.chmod(0o600)
    command.write_json(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "b.json").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        command.write_json(tmp_path / "b.json", {})
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json"]


def test_long_names_that_begin_alike_are_written_at_once(tmp_path):
    long = "x" * 60
    summary, compare = tmp_path / f"{long}.summary.json", tmp_path / f"{long}.compare.json"
    with command.whole_file(summary) as one, command.whole_file(compare) as two:
        one.write_text("one")
        two.write_text("two")
    assert (summary.read_text(), compare.read_text()) == ("one", "two")


def test_a_lock_removes_what_was_left_of_files_and_nothing_else(tmp_path):
    (tmp_path / ".a.partial-00000000-0000000f.txt").touch()
    (tmp_path / ".data.partial-00000000").mkdir()
    (tmp_path / ".thesis.partial-final.txt").touch()
    with locked(tmp_path):
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {".lock", ".data.partial-00000000", ".thesis.partial-final.txt"}


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("gone")])
def test_what_only_has_the_name_of_a_lock_is_told(tmp_path, make):
    make(tmp_path / ".lock")
    with pytest.raises(InputError, match="remove it"):
        check_unlocked(tmp_path)
    with pytest.raises(InputError, match="remove it"), locked(tmp_path):
        pytest.fail("it is no lock")


def test_a_folder_is_whole_or_not_there(tmp_path):
    with whole_folder(tmp_path / "x" / "a") as unfinished:
        (unfinished / "file").write_text("one")
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "x" / "b") as unfinished:
        (unfinished / "file").write_text("one")
        raise RuntimeError
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["x", "x/a", "x/a/file"]


DRIVER = """
import ctypes, sys, time
from ecgbeats import command
from ecgbeats.folders import whole_folder
def main(arguments):
    print("ready", flush=True)
    if "native" in arguments:  # holds the main thread in native code, as a training step does
        ctypes.CDLL(None).sleep(60)
        ctypes.CDLL(None).sleep(60)
    if "error" in arguments:
        raise command.InputError("first line\\nsecond line")
    for number, name in ((28, "full"), (13, "denied"), (30, "read-only")):
        if name in arguments:
            raise OSError(number, name, "a/file")
    time.sleep(60)
command.run(main)
"""


def drive(*arguments):
    return start_python("-c", DRIVER, *arguments, cwd=PROJECT)


@pytest.mark.parametrize("where", ["python", "native"])
@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_signals_end_a_command_soon_even_in_native_code(where, number, status):
    process = drive(where)
    assert process.stdout.readline() == "ready\n"
    started = time.perf_counter()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert errors == ""
    assert time.perf_counter() - started < 6


def test_errors_are_one_line():
    process = drive("error")
    assert process.communicate(timeout=30)[1] == "error: first line second line\n"
    assert process.returncode == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [("full", "no space left"), ("denied", "permission denied"), ("read-only", "the disk is read-only")],
)
def test_faults_of_the_disk_are_one_line(fault, words):
    process = drive(fault)
    errors = process.communicate(timeout=30)[1]
    assert errors.startswith(f"error: {words}")
    assert "a/file" in errors
    assert errors.count("\n") == 1
    assert process.returncode == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_another_python_is_told_so_before_any_package_is_imported(script):
    old = (
        "import runpy, sys; sys.version_info = (3, 10, 0, 'final', 0); "
        "sys.modules.update(dict.fromkeys(['numpy', 'cv2', 'keras', 'matplotlib', 'sklearn', 'wfdb', 'tqdm'])); "
        f"runpy.run_path({script!r}, run_name='__main__')"
    )
    result = run_python("-c", old, cwd=PROJECT)
    assert result.returncode == 2
    assert result.stderr == "error: Python 3.10 is not supported; use Python 3.11, 3.12 or 3.13\n"


@pytest.mark.parametrize("version", [(3, 10), (3, 14), (2, 7)])
def test_other_pythons_are_refused_in_one_line(monkeypatch, capsys, version):
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    with pytest.raises(SystemExit) as ended:
        command.check_python()
    assert ended.value.code == 2
    assert "use Python 3.11, 3.12 or 3.13" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tensorflow", "keras", "jax"])
def test_who_imports_it_too_early_is_found_out(no_keras, name):
    """What other tests mean by: refused before TensorFlow is imported."""
    assert forked.call(importlib.import_module, name, env=no_keras, tensorflow=False).returncode == 77


@pytest.mark.parametrize(
    ("script", "option"),
    [("make_dataset.py", "--jobs"), ("train_keras.py", "--devices"), ("compare_networks.py", "--devices")],
)
def test_more_processes_or_devices_than_a_machine_bears_are_refused(run, refused, tmp_path, script, option):
    given = ["simulated"] if script == "make_dataset.py" else ["--data", tmp_path]
    refused(run(script, *given, "--output", tmp_path / "new", option, "2147483647"), option, "too large")
