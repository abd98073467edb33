"""A folder with all that the commands read and leave behind: records, images, runs, folds, a comparison, a task."""

import re
from pathlib import Path

import cv2
import forked
import numpy as np
import wfdb
from made_logs import write_run
from test_task_conf import filled

TINY = "--model tiny --batch-size 16"
COMPARE = "--data data --output compare --models tiny --epochs 1 --batch-size 16 --images 9 --test-images 2 --seed 1"


def make_world(folder: Path) -> None:
    """Make what the lines above name: records, images, runs, folds, a comparison, a task."""
    _write_records(folder / "records")
    _well("make_dataset.py", "records --output data", folder)
    _well("train_keras.py", f"--data data --output run --epochs 1 {TINY}", folder)
    _well("train_keras.py", f"--data data --output folds --epochs 1 --folds 2 {TINY}", folder)
    _well("compare_networks.py", COMPARE, folder)
    arguments = f"--data data --output broken --epochs 2 {TINY}".split()
    assert forked.train(*arguments, cwd=folder, patch=_be_killed).returncode == -9
    arguments = "run/best.keras --data data --output cut-off".split()
    killed = forked.run("evaluate_keras.py", *arguments, cwd=folder, patch=_be_killed)
    assert killed.returncode == -9
    _write_strange_images(folder / "stranger")
    write_run(folder / "output" / "run-1")
    (folder / "keras.csv").write_text("epoch,acc,loss,val_acc,val_loss\n0,0.5,0.9,0.4,1.0\n1,0.6,0.8,NA,NA\n")
    (folder / "task.conf").write_text(re.sub(r"^#.*\n|^\n", "", filled(), flags=re.M))


def _well(script: str, words: str, folder: Path) -> None:
    result = forked.run(script, *words.split(), cwd=folder, patch=forked.add_networks)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


def _be_killed() -> None:
    """A training dies in its second epoch, an evaluation before its metrics are there."""
    forked.add_networks()
    forked.die_at_batch(1, 1)
    forked.die_at_file("metrics.json", "written", 1)


def _write_records(folder: Path) -> None:
    """Write six records of 15 beats of three classes."""
    folder.mkdir()
    random = np.random.default_rng(2)
    for number in range(6):
        signal = random.integers(900, 1200, (3600, 2))
        signal[:, 0] += 300 * (np.arange(3600) % 240 < 9)
        wfdb.wrsamp(
            f"r{number}",
            fs=360,
            units=["mV", "mV"],
            sig_name=["MLII", "V1"],
            d_signal=signal,
            fmt=["212", "212"],
            adc_gain=[200, 200],
            baseline=[1024, 1024],
            write_dir=str(folder),
        )
        beats = np.arange(100, 3500, 240)
        wfdb.wrann(f"r{number}", "atr", beats, list("NNVNNANVNNNNANV"), write_dir=str(folder))


def _write_strange_images(folder: Path) -> None:
    """Write images of two classes in colour, gray and transparent, as PNG and JPEG."""
    random = np.random.default_rng(4)
    for name in ("Größe 1", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            image = random.integers(0, 256, (30 + i, 40, (1, 3, 4)[i % 3]), dtype=np.uint8)
            cv2.imwrite(str(folder / name / f"image {i}.{'jpg' if i % 2 and i % 3 < 2 else 'png'}"), image)
