"""The beats that an exported network is calibrated with, and those that it is checked on."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.folder import Images, limit_images
from ecgbeats.records.wfdb_files import read_record
from ecgbeats.runs.config import Config
from ecgbeats.runs.training_data import find_parts

import numpy as np

FEWEST = 500  # that a network is checked on
CALIBRATION = 500  # that it is calibrated with, evenly of all classes
PATIENTS = 8  # whose simulated records hold some 1,700 beats of all classes
SEED = 0


@dataclass(frozen=True)
class Beats:
    """Beats to check a network on.

    Attributes
    ----------
    images : numpy.ndarray, uint8, shape (beats, 128, 128, 1)
    labels : numpy.ndarray of int, shape (beats,), or None
        Their classes, where these are known.
    words : str
        What they are.
    """

    images: np.ndarray
    labels: np.ndarray | None
    words: str


def simulate_beats(drawing: str, count: int) -> Beats:
    """Return ``count`` beats of simulated records, or all where those hold fewer, drawn as ``drawing`` says."""
    from ecgbeats.records.simulation import make_records  # brings wfdb, which --help need not wait for

    with tempfile.TemporaryDirectory() as folder:
        names = make_records(folder, patients=PATIENTS)
        records = [read_record(Path(folder) / name) for name in names]
    drawers = [(DRAWINGS[drawing](record), len(record.samples)) for record in records]
    beats = [(draw, i) for draw, length in drawers for i in range(length)]
    images = np.stack([draw(i) for draw, i in map(beats.__getitem__, _choose(len(beats), count))])
    return Beats(images[..., np.newaxis], None, f"simulated beats ({command.SIMULATED_NOTICE})")


def part_images(images: Images, config: Config | None) -> tuple[Images, Images, str]:
    """Return those of ``images`` to calibrate with, those to check on, and what the latter are.

    Where they are the very images of the run that ``config`` describes, these are its training and its test part.
    Raises InputError where they are fewer than FEWEST, or one is no image.
    """
    found = find_parts(images, config)
    if found is None:
        images.check()
        training, checked, words = images, images, "beats of --data"
    else:
        used, parts = found
        training, checked = used.subset(parts.training), used.subset(parts.test)
        words = "beats of the test part of --data"
        if len(checked) < FEWEST:
            checked, words = used, "beats of --data, training beats among them"
    if len(checked) < FEWEST:
        raise InputError(
            f"--data {images.folder} holds {len(checked)} images that can be used, and at least {FEWEST} are needed to "
            "check the network on; give more"
        )
    return training, checked, words


def take_beats(images: Images, count: int, words: str) -> Beats:
    """Return ``count`` of ``images``, or all where they are fewer; ``words`` say what they are."""
    chosen = _choose(len(images), count)
    return Beats(images.gather(chosen)[..., np.newaxis], images.labels[chosen], words)


def take_calibration(training: Images) -> np.ndarray:
    """Return about CALIBRATION of the images, evenly of all classes: uint8, shape (images, 128, 128, 1)."""
    drawn = limit_images(training, -(-CALIBRATION // len(training.classes)), SEED)
    return drawn.gather(np.arange(len(drawn)))[..., np.newaxis]


def _choose(available: int, count: int) -> np.ndarray:
    """Return ``count`` of the positions below ``available``, rising, drawn at random."""
    return np.sort(np.random.default_rng(SEED).choice(available, min(count, available), replace=False))
