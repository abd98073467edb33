"""What the tests share: the real records, small data sets, and a way to run a command as a user would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
RECORDS = PROJECT.parent / "shared" / "mitdb"


@pytest.fixture(scope="session")
def mitdb() -> Path:
    """The 48 real records of MIT-BIH."""
    if not RECORDS.is_dir():
        pytest.skip("the real MIT-BIH records are not in ../shared/mitdb")
    return RECORDS


def run_command(script: str, *arguments, cwd=None, timeout=300, env=None) -> subprocess.CompletedProcess:
    """Run one of the project's scripts, or a module of ecgbeats, in a process of its own, without a terminal."""
    what = [str(PROJECT / script)] if script.endswith(".py") else ["-m", script]
    return subprocess.run(
        [sys.executable, *what, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **(env or {})},
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess, *words: str) -> None:
    """Assert status 2 and exactly one line on standard error, `error: ...`, that holds the words."""
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"


@pytest.fixture(scope="session")
def run():
    """See run_command."""
    return run_command


@pytest.fixture(scope="session")
def refused():
    """See assert_refused."""
    return assert_refused


def make_images(folder: Path, counts: dict[str, int], records: int = 10, seed: int = 0) -> Path:
    """Write random images with a bar whose place tells the class, named as make_dataset.py names them."""
    import cv2

    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = random.integers(200, 256, (128, 128), dtype=np.uint8)
            image[:, 14 * number : 14 * number + 10] = 0
            cv2.imwrite(str(folder / name / f"r{i % records}_{1000 * number + i}.png"), image)
    return folder


@pytest.fixture(scope="session")
def image_maker():
    """See make_images."""
    return make_images


@pytest.fixture(scope="session")
def small_images(tmp_path_factory) -> Path:
    """A folder of 3 classes that a network tells apart at once, 60 images in 10 records."""
    return make_images(tmp_path_factory.mktemp("images") / "data", {"NOR": 30, "PVC": 20, "LBB": 10})
