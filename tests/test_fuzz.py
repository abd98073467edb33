"""Odd command lines and broken files, drawn by a seed, for every command: each ends well, or in one line.

The input of a failed test is in its message and, as the commands saw it, in the folder that pytest keeps. ECGBEATS_FUZZ=N
draws other inputs.
"""

import os
import re
import resource
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import forked
import pytest
from conftest import PROJECT, once
from fuzz_mutations import change_file, change_words, make_odd_places, odd_value
from made_world import COMPARE, TINY, make_world
from test_run_sh_folders import SAYS

pytestmark = pytest.mark.slow

SEED = os.environ.get("ECGBEATS_FUZZ", "0")
SECONDS = 60  # on a busy machine; what is refused takes less than one
MOST_MEMORY = 6 * 2**30  # bytes


@dataclass
class Line:
    """A command line that does well, the files that it reads, and where it may change what is there."""

    words: str
    reads: str
    writes: tuple[str, ...] = ()


RUN = "run/config.json run/metrics.json run/predictions.csv run/log.csv run/best.keras"
IMAGES = "data/*/*.png data/dataset.json"
# The number of inputs, and what they are made from.
COMMANDS = {
    "make_dataset.py": (70, [
        Line("records --output new --jobs 2", "records/*"),
        Line("records --output empty --limit 3 --seed 1 --drawing typical --lead V1 --classes aami --records r0 r1", "records/r[01].*"),
        Line("records --output data --jobs 1", "records/*.hea records/*.atr data/dataset.json"),
    ]),
    "train_keras.py": (110, [
        Line(f"--data data --output new --epochs 1 --max-hours 0.001 --seed 3 {TINY}", IMAGES),
        Line(f"--data stranger --output new --epochs 1 --max-hours 0.001 --limit 5 --shift 2 --balance 0.5 --learning-rate 0.01 {TINY}", "stranger/*/*"),
        Line(f"--data data --output broken --epochs 2 --resume {TINY}", f"{IMAGES} broken/* broken/training_state.npz broken/config.json", ("broken",)),
        Line(f"--data data --output run --epochs 1 --resume {TINY}", "run/config.json run/metrics.json"),
        Line(f"--data data --output folds --epochs 1 --folds 2 --resume {TINY}", "folds/folds.json folds/*/config.json folds/*/metrics.json folds/*/predictions.csv", ("folds",)),
    ]),
    "evaluate_keras.py": (80, [
        Line("run/best.keras --data data --output new", f"{IMAGES} run/best.keras run/config.json"),
        Line("run/best.keras --data data --output cut-off --all --batch-size 7", "run/best.keras run/config.json cut-off/*", ("cut-off",)),
    ]),
    "ecgbeats.scores.report": (80, [Line("run --data data", f"{RUN} {RUN} {IMAGES}", ("run/report.html",))]),
    "plot_logs.py": (70, [
        Line("run", "run/log.csv run/config.json run/loss.png", ("run/loss.png",)),
        Line("run folds/fold-0 folds/fold-1 keras.csv --metric accuracy --output new.svg", "run/log.csv folds/*/log.csv folds/*/config.json keras.csv"),
        Line("", "output/*/log.csv", ("output",)),
    ]),
    "compare_networks.py": (50, [
        Line(COMPARE, f"{IMAGES} compare/comparison.json compare/tiny/*.json compare/tiny/log.csv compare/tiny/best.keras", ("compare",)),
    ]),
    "check_task.py": (50, [Line("task.conf", "task.conf"), Line("", "task.conf")]),
    "model_keras.py": (12, [Line("fast", "")]),
}  # fmt: skip
CASES = [f"{script}-{number}" for script, (count, _) in COMMANDS.items() for number in range(count)]
PLAIN = ("make_dataset.py", "plot_logs.py", "check_task.py")


# -- the inputs ------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path) -> Path:
    """A copy of it that a test may break."""
    made, _ = once("fuzz", make_world)
    folder = tmp_path / "above" / "it" / "world"
    shutil.copytree(made, folder, symlinks=True)
    make_odd_places(folder)
    (tmp_path / "tmp").mkdir()
    return folder


def draw(random: Random, lines: list[Line], folder: Path) -> tuple[Line, list[str], list[str]]:
    """Choose a line, and change its words or a file that it reads; return the line, its words, and the changes."""
    line = random.choice(lines)
    words, changes = line.words.split(), []
    files = [random.choice(line.reads.split())] if line.reads else []
    files = [path for pattern in files for path in sorted(folder.glob(pattern)) if path.is_file()]
    for _ in range(random.choice([1, 1, 1, 2])):
        if files and (not words or random.random() < 0.6):
            path = random.choice(files)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**30:
                changes.append(f"{path.relative_to(folder)}: {change_file(random, path)}")
        elif words:
            words, change = change_words(random, words)
            changes.append(change)
    return line, words, changes


def content(folder: Path) -> dict[str, bytes | str]:
    """Return all that a folder holds by its path; words for what is no file."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_bytes() if path.stat().st_size < 2**30 else "huge"
        else:
            found[name] = "folder" if path.is_dir() else "no file"
    return found


def prepare() -> None:
    """Add the small networks, and let no input take more memory than a laptop has."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    forked.add_networks()


def judge(
    status: int, stdout: str, stderr: str, seconds: float, before: dict, after: dict, writes
) -> list[str]:
    """Return what is wrong with how a command ended."""
    faults = []
    if status not in (0, 2):
        faults.append(f"status {status}")
    if not re.fullmatch(r"error: [^\n]+\n" if status else "", stderr) or "this should not happen" in stderr:
        faults.append("standard error")
    if "Traceback" in stdout or "Warning" in stdout:
        faults.append("standard output")
    if seconds > SECONDS:
        faults.append(f"{seconds:.0f} s")
    if left := [
        name for name in after if name not in before and re.search(r"\.partial-|\.lock$|UNFINISHED$", name)
    ]:
        faults.append(f"left behind: {left}")
    for name in sorted(before.keys() | after.keys()):
        if name.endswith("/.lock"):  # of a process that was killed
            continue
        may_change = not status and any(Path(name).is_relative_to(place) for place in writes)
        if before.get(name) == after.get(name) or may_change or (not status and name not in before):
            continue
        kind = "gone" if name not in after else "new" if name not in before else "changed"
        faults.append(f"{kind}: {name}")
    return faults


@pytest.mark.parametrize("case", CASES)
def test_any_input_ends_well_or_in_one_line(world, case):
    script, _, _ = case.rpartition("-")
    line, words, changes = draw(Random(f"{SEED} {case}"), COMMANDS[script][1], world)
    before, started = content(world), time.monotonic()
    command = forked.Command(
        script,
        *words,
        cwd=world,
        patch=prepare,
        env={"TMPDIR": str(world.parents[2] / "tmp")},
        tensorflow=script not in PLAIN,
    )
    stdout = ""
    try:
        result = command.end(SECONDS)
        status, stdout, stderr = result.returncode, result.stdout, result.stderr
    except TimeoutError as problem:
        status, stderr = -9, str(problem)
    faults = judge(status, stdout, stderr, time.monotonic() - started, before, content(world), line.writes)
    details = "".join(path.read_text() for path in (world.parents[2] / "tmp").glob("ecgbeats-*"))
    assert not faults, (
        f"{faults}\nin {world}\n{script} {shlex.join(words)[:2000]!r}\n{changes}\nstatus {status}\n"
        f"stderr: {stderr[:3000]!r}\n{details[-3000:]}"
    )


RUN_SH = "--data data --output new --epochs 1 --resume --model fast"
SURROUNDINGS = {
    "DATA_DIR": "records",
    "OUTPUT_DIR": "output",
    "WORK_DIR": "work",
    "RUN_STARTED": "1700000000",
}


@pytest.mark.parametrize("number", range(40))
def test_any_input_of_run_sh_ends_well_or_in_one_line(world, number):
    """With a Python that only says what it is asked to run, so these are run.sh's own checks."""
    random = Random(f"{SEED} run.sh-{number}")
    code = world.parent / "code"
    code.mkdir()
    for name in ("run.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, code)
    python = world.parent / "python"
    python.write_text(SAYS)
    python.chmod(0o755)
    words, change = change_words(random, RUN_SH.split())
    given = {name: value for name, value in SURROUNDINGS.items() if random.random() < 0.5}
    if given and random.random() < 0.6:
        name = random.choice(list(given))
        given[name] = odd_value(random, given[name])
    before, started = content(world), time.monotonic()
    result = subprocess.run(
        ["bash", code / "run.sh", *words],
        cwd=world,
        env={**os.environ, "PYTHON": str(python), **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=SECONDS,
        check=False,
    )
    after = {
        name: held for name, held in content(world).items() if name in before
    }  # folders for results are made
    faults = judge(result.returncode, "", result.stderr, time.monotonic() - started, before, after, ())
    assert not faults, (
        f"{faults}\nin {world}\n{given}\nrun.sh {words!r}, {change}\n{result.returncode} {result.stderr!r}"
    )
