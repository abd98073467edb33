"""Commands that are killed at random moments: the same command goes on or starts over, and ends as an unbroken one.

tests/runs/test_resume.py does so with the training of one network. Moments are shares of what the unbroken command took.
"""

import csv
import json
import math
import shutil
import signal
import time
from pathlib import Path
from random import Random

import forked
import pytest
from conftest import once
from made_world import COMPARE, TINY, make_world
from run_folders import assert_whole

pytestmark = pytest.mark.slow

KILLS = 3  # one after another, before the command may end
# A command line, and the folder that it fills.
LINES = {
    "images": ("make_dataset.py", "records --output new --jobs 2", "new"),
    "images in the current folder": ("make_dataset.py", "../records --output . --drawing strips", "."),
    "simulated images": ("make_dataset.py", "simulated --output new --limit 3", "new"),
    "training": ("train_keras.py", f"--data data --output new --epochs 2 --resume {TINY}", "new"),
    "going on": ("train_keras.py", f"--data data --output broken --epochs 2 --resume {TINY}", "broken"),
    "evaluation": ("evaluate_keras.py", "run/best.keras --data data --output new --all", "new"),
    "evaluation again": ("evaluate_keras.py", "run/best.keras --data data --output cut-off", "cut-off"),
    "folds": ("train_keras.py", f"--data data --output new --epochs 1 --folds 2 --resume {TINY}", "new"),
    "comparison": ("compare_networks.py", COMPARE.replace("tiny", "tiny twin"), "compare"),
    "report": ("ecgbeats.scores.report", "run --data data", "run"),
}
# What is another each time.
VOLATILE = {"seconds", "images_per_second", "started", "resumed", "command", "output", "data"}


def start(name: str, world: Path) -> forked.Command:
    script, words, folder = LINES[name]
    cwd = world
    if folder == ".":
        cwd = world / "empty"
        cwd.mkdir(exist_ok=True)
    return forked.Command(script, *words.split(), cwd=cwd, patch=forked.add_networks)


def filled(name: str, world: Path) -> Path:
    folder = LINES[name][2]
    return world / ("empty" if folder == "." else folder)


def results(folder: Path) -> dict:
    """Return what a command left: images byte for byte, numbers without times, of other files that they are there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.endswith(".lock"):  # of a process that was killed; it holds nothing
            continue
        found[name] = path.is_dir()
        if path.suffix == ".json":
            found[name] = _steady(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            with open(path, newline="") as stream:
                found[name] = [_steady(row) for row in csv.DictReader(stream)]
        elif path.suffix == ".png" and "_" in name:
            found[name] = path.read_bytes()
    return found


def _steady(tree):
    if isinstance(tree, dict):
        return {key: _steady(value) for key, value in tree.items() if key not in VOLATILE}
    return [_steady(value) for value in tree] if isinstance(tree, list) else tree


def assert_alike(one, other, where: str = "") -> None:
    """Assert that two trees are the same but for the last digits of numbers, which the order of threads decides."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_alike(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_alike(*pair, f"{where}/{i}")
    elif one != other:
        assert math.isclose(float(one), float(other), rel_tol=1e-3, abs_tol=1e-3), (where, one, other)


@pytest.fixture
def world(tmp_path) -> Path:
    made, _ = once("fuzz", make_world)
    return shutil.copytree(made, tmp_path / "world", symlinks=True)


def unbroken(name: str) -> tuple[Path, float]:
    """Return the folder that the command filled, and the seconds it took."""

    def make(folder: Path) -> float:
        world = shutil.copytree(once("fuzz", make_world)[0], folder / "world", symlinks=True)
        started = time.monotonic()
        result = start(name, world).end()
        assert (result.returncode, result.stderr) == (0, ""), result.stderr
        return time.monotonic() - started

    folder, seconds = once(f"unbroken {name}", make)
    return filled(name, folder / "world"), seconds


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", LINES)
def test_killed_at_random_moments_it_ends_as_if_unbroken(world, name, seed):
    expected, seconds = unbroken(name)
    random, moments = Random(f"{name} {seed}"), []
    folder = filled(name, world)
    for _ in range(KILLS):
        command = start(name, world)
        moments.append(random.uniform(0, seconds))
        time.sleep(moments[-1])
        if command.is_running():
            command.kill(signal.SIGKILL)
        result = command.end()
        assert result.returncode in (0, -signal.SIGKILL), (moments, result.stderr)
        if LINES[name][0] == "make_dataset.py":
            # Not there, or told to be unfinished, or whole.
            if folder.exists() and any(folder.iterdir()) and not (folder / "UNFINISHED").exists():
                assert_alike(results(folder), results(expected))
        elif folder.exists():
            assert_whole(folder)
        if result.returncode == 0 and LINES[name][0] == "evaluate_keras.py":
            break  # a whole evaluation is refused
    else:
        result = start(name, world).end()
        assert (result.returncode, result.stderr) == (0, ""), (moments, result.stderr)
    assert_alike(results(folder), results(expected))
