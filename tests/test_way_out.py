"""However a command ends: no traceback, nothing of libraries, and the exit status that tells what it was."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROJECT, start_python

COMMANDS = sorted(path.name for path in PROJECT.glob("*.py") if ".run(main)" in path.read_text())

# A command whose main does what the arguments say.
DRIVER = """
import sys
from ecgbeats import command
def main(arguments):
    exec(arguments[0])
command.run(main)
"""


def drive(code: str, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=None, **env):
    return subprocess.run(
        [sys.executable, "-c", DRIVER, code],
        cwd=PROJECT,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env={**os.environ, **env},
        timeout=60,
        preexec_fn=preexec_fn or (lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)),
        check=False,
    )


# -- what nobody foresaw ---------------------------------------------------------------------------------------


def test_what_nobody_foresaw_is_one_line_that_names_a_private_file_with_the_traceback(tmp_path):
    result = drive("raise ZeroDivisionError('a\\nb')", TMPDIR=str(tmp_path))
    assert result.returncode == 1
    said = re.fullmatch(
        r"error: this should not happen \(ZeroDivisionError: a b\); the details are in (\S+)\n", result.stderr
    )
    details = Path(said[1])
    assert details.parent == tmp_path
    assert stat.S_IMODE(details.stat().st_mode) == 0o600
    assert "Traceback (most recent call last)" in details.read_text()
    assert "in main" in details.read_text()


def test_where_no_file_can_be_written_the_line_holds_the_details():
    code = (
        "import tempfile\n"
        "def refuse(*_, **__): raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "tempfile.mkstemp = refuse\n"
        "raise ZeroDivisionError('words')"
    )
    result = drive(code)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "this should not happen (ZeroDivisionError: words)" in result.stderr
    assert "in main" in result.stderr


def test_the_traceback_is_printed_to_whoever_asks():
    result = drive("raise ZeroDivisionError('words')", ECGBEATS_TRACEBACK="1")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last)")
    assert "should not happen" not in result.stderr


# -- libraries that talk ---------------------------------------------------------------------------------------


def test_libraries_are_kept_off_standard_error_and_our_lines_are_not():
    code = (
        "import ctypes, logging, os, threading, warnings\n"
        "os.write(2, b'native'); ctypes.CDLL(None).perror(b'native')\n"
        "print('python', file=sys.stderr)\n"
        "logging.warning('logged'); warnings.warn('warned')\n"
        "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "raise command.InputError('ours')"
    )
    result = drive(code)
    assert (result.returncode, result.stderr) == (2, "error: ours\n")
    assert "native" in drive(code, ECGBEATS_TRACEBACK="1").stderr


# -- standard streams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["print('out')", "raise command.InputError('ours')", "raise ZeroDivisionError"]
)
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_change_no_status(closed, code, tmp_path):
    def close():
        for number in closed:
            os.close(number)

    # A file that is written to must not become the stream.
    code = f"open({str(tmp_path / 'file')!r}, 'w').write('mine')\n" + code
    result = drive(code, preexec_fn=close, TMPDIR=str(tmp_path))
    assert result.returncode == {"p": 0, "c": 2, "Z": 1}[code.split("\n")[1].removeprefix("raise ")[0]]
    assert (tmp_path / "file").read_text() == "mine"
    if 2 not in closed:
        assert result.stderr.count("\n") == (result.returncode > 0)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_cannot_show_a_character_gets_another(encoding):
    result = drive("print('\\u6b63'); raise command.InputError('\\u6b63')", PYTHONIOENCODING=encoding)
    assert result.returncode == 2
    assert result.stderr == "error: \\u6b63\n"
    assert result.stdout.endswith("\\u6b63\n")


def test_a_reader_that_goes_away_ends_it_quietly():
    for end in ("out", "err"):
        receive, send = os.pipe()
        os.close(receive)
        streams = {"stdout": send} if end == "out" else {"stderr": send}
        code = "print('x' * 100_000)" if end == "out" else "raise command.InputError('nobody reads this')"
        result = drive(code, **streams)
        os.close(send)
        assert result.returncode == (141 if end == "out" else 2)
        assert not result.stderr


def test_a_full_disk_behind_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        result = drive("print('x')", stdout=full)
    assert result.returncode == 1
    assert result.stderr.startswith("error: no space left")
    assert result.stderr.count("\n") == 1


# -- the user's permissions and limits -------------------------------------------------------------------------


def test_reading_is_told_from_writing_where_permission_is_denied(tmp_path):
    """A file that may not be read is the wrong input (2); a place that may not be written to is not (1)."""
    (tmp_path / "secret").touch(mode=0)
    (tmp_path / "hidden").mkdir(mode=0)
    (tmp_path / "closed").mkdir(mode=0o555)
    for code, status, words in (
        (f"open({str(tmp_path / 'secret')!r})", 2, "secret"),
        (f"import os; os.listdir({str(tmp_path / 'hidden')!r})", 2, "hidden"),
        (f"open({str(tmp_path / 'hidden' / 'file')!r})", 2, "hidden/file"),
        (f"open({str(tmp_path / 'closed' / 'new')!r}, 'w')", 1, "new"),
    ):
        result = drive("import forked; forked.obey_permissions()\n" + code, PYTHONPATH=str(PROJECT / "tests"))
        assert result.returncode == status, result.stderr
        assert result.stderr.startswith("error: permission")
        assert words in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("script", COMMANDS)
def test_few_open_files_are_one_line(script, tmp_path):
    arguments = {
        "model_keras.py": ["fast"],
        "plot_logs.py": [tmp_path],
        "evaluate_keras.py": [tmp_path, "--data", tmp_path, "--output", tmp_path / "x"],
        "make_dataset.py": ["simulated", "--output", tmp_path / "x"],
        "check_task.py": [],
    }.get(script, ["--data", tmp_path, "--output", tmp_path / "x"])
    command = ["bash", "-c", 'ulimit -n 12; exec "$@"', "bash", sys.executable, PROJECT / script, *arguments]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 2
    assert re.fullmatch(r"error: [^\n]*ulimit -n[^\n]*\n", result.stderr), result.stderr
    assert os.listdir(tmp_path) == []


# -- signals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[PROJECT / "train_keras.py"], ["-m", "ecgbeats.scores.report"]])
def test_ctrl_c_while_packages_are_imported_leaves_no_traceback(arguments, tmp_path):
    """Sent when the interpreter has started and reads our first file, and at moments from then on."""
    arguments = [*map(str, arguments), "--data", str(tmp_path), "--output", str(tmp_path / "run")]
    for moment in (0, 0.02, 0.05, 0.1, 0.2, 0.4):
        started = tmp_path / "started"
        started.unlink(missing_ok=True)
        (tmp_path / "sitecustomize.py").write_text(
            # As ecgbeats is found, so no signal hits the interpreter's own start.
            "import sys, os\n"
            "class Tell:\n"
            "    def find_spec(self, name, *_):\n"
            f"        if name == 'argparse': open({str(started)!r}, 'w').close()\n"
            "sys.meta_path.insert(0, Tell())\n"
        )
        process = start_python(*arguments, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(tmp_path)})
        end = time.monotonic() + 60
        while not started.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        # Either it was sooner than all its checks, or it had found out what is wrong with its options.
        assert process.returncode in (-signal.SIGINT, 130, 2)
        assert re.fullmatch(r"error: [^\n]*\n" if process.returncode == 2 else r"(error: [^\n]*\n)?", errors)


def test_a_signal_that_a_library_makes_another_error_of_still_counts():
    code = (
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    for _ in range(10**6): pass\n"
        "except KeyboardInterrupt: raise ImportError('cannot import name')"
    )
    result = drive(code)
    assert (result.returncode, result.stderr) == (130, "")


def test_a_second_ctrl_c_does_not_cut_off_the_tidying_up(tmp_path):
    code = (
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(5)\n"
        "finally:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        f"    open({str(tmp_path / 'tidy')!r}, 'w').close()"
    )
    result = drive(code)
    assert (result.returncode, result.stderr) == (130, "")
    assert (tmp_path / "tidy").exists()
