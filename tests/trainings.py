"""Trainings that several tests look at. Each is done once, by whoever asks first; tests change copies alone."""

import time
from pathlib import Path

import cv2
import forked
import numpy as np
from conftest import make_images, once, run_command

COMMON = ["--epochs", 2, "--batch-size", 16]
TINY = ["--model", "tiny"]
# Of the 60 images of `small` 48 are for training, so --batch-size 47 leaves a remainder of 1. `tiny` (see
# forked.add_networks) is for what does not depend on the network.
RUNS = {
    "first": ["--data", "small", *COMMON],
    "again": ["--data", "small", *COMMON, "--resume"],
    "read as needed, keep last": ["--data", "small", *COMMON, "--keep", "last"],
    "moved, other seed": ["--data", "moved", *COMMON, "--seed", 1],
    "augmented": ["--data", "small", *COMMON, "--split", "records", "--augment", "--limit", 18],
    "2 devices": [
        *("--data", "small", "--epochs", 1, "--batch-size", 47, "--devices", 2),
        *("--augment", "--augment-classes", "arrhythmias"),
    ],
    "3 devices": [
        *("--data", "small", *TINY, "--epochs", 1, "--batch-size", 2, "--devices", 3, "--limit", 6)
    ],
    "ds1-ds2": ["--data", "aami", *TINY, "--epochs", 1, "--split", "ds1-ds2"],
    "stranger": ["--data", "stranger", *TINY, "--epochs", 1, "--batch-size", 16, "--limit", 7],
    "folds": ["--data", "small", *TINY, "--epochs", 1, "--folds", 2],
    "fold 1": ["--data", "small", *TINY, "--epochs", 1, "--folds", 2, "--fold", 1],
    "folds, 4 s": ["--data", "small", *TINY, "--epochs", 1, "--folds", 2, "--max-hours", 0.001],
    "bfloat16": ["--data", "small", *TINY, "--epochs", 1, "--precision", "mixed_bfloat16"],
    "36 s": ["--data", "small", *TINY, "--batch-size", 1, "--epochs", 2, "--max-hours", 0.01],
}


def data(name: str) -> Path:
    """Return the folder of one of the data sets that RUNS names."""
    return once(f"data-{name}", globals()[f"_make_{name}"])[0]


def _make_small(folder: Path) -> None:
    """Write 60 images of 3 classes that a network tells apart at once, in 10 records."""
    make_images(folder, {"NOR": 30, "PVC": 20, "LBB": 10})


def _make_moved(folder: Path) -> None:
    """Write the same images."""
    _make_small(folder)


def _make_aami(folder: Path) -> None:
    """Write images of the AAMI's classes: 101, 106 and 108 are of DS1; 100, 103 and 202 of DS2."""
    random = np.random.default_rng(5)
    for record in (101, 106, 108, 100, 103, 202):
        for number, name in enumerate("NV"):
            (folder / name).mkdir(exist_ok=True)
            for i in range(4):
                image = random.integers(0, 256, (128, 128), dtype=np.uint8)
                cv2.imwrite(str(folder / name / f"{record}_{10 * i + number}.png"), image)


def _make_stranger(folder: Path) -> None:
    """Write images without records, in colour, of odd sizes, some JPEG; class names of all kinds."""
    random = np.random.default_rng(5)
    for name in ("Größe 1", "zwei", "b"):
        (folder / name).mkdir()
        for i in range(8):
            image = random.integers(0, 256, (40 + 30 * i, 200 - 9 * i, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / name / f"my image {i}.{'jpg' if i % 2 else 'png'}"), image)


def trained(name: str):
    """Return the folder of that one of RUNS, what it printed and how many seconds it took."""
    folder, (result, seconds) = once(f"run-{name}", lambda folder: _train(name, folder / "deep" / "run"))
    return folder / "deep" / "run", result, seconds


def _train(name: str, output: Path):
    """``first`` is a process as a user starts it."""
    options = RUNS[name]
    arguments = ["--data", data(options[1]), *options[2:], "--output", output]
    started = time.monotonic()
    if name == "first":
        result = run_command("train_keras.py", *arguments)
    else:
        result = forked.train(*arguments, patch=_prepare, patch_arguments=[name])
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result, time.monotonic() - started


def _prepare(name: str) -> None:
    forked.add_networks()
    if name.startswith("read as needed"):
        forked.leave_no_memory()
    if name == "36 s":
        forked.slow_batches(3)  # so that an epoch lasts more than a minute
