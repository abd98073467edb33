"""A run folder as the report needs it: read, and checked to be of one run."""

from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.dataset import read_description
from ecgbeats.images.folder import LARGEST_IMAGE
from ecgbeats.images.image_files import decode
from ecgbeats.images.names import parse_image_name, record_names
from ecgbeats.images.notes import note_of
from ecgbeats.images.protocols import Protocol
from ecgbeats.reading import need, read_file
from ecgbeats.runs.config import need_config, protocol_of
from ecgbeats.scores.metrics_file import read_metrics
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.scoring import split_intervals, split_reliability

import numpy as np

# What config.json names the records of each part by.
RECORD_KEYS = {"training": "train_records", "validation": "validation_records", "test": "test_records"}


@dataclass
class Run:
    """What a run folder holds, checked; ``files``, ``true`` and ``probabilities`` are the test part's.

    ``true`` is int64 of shape (beats,), an index into ``classes``; ``probabilities`` float32 of shape
    (beats, classes).
    """

    folder: Path
    data_folder: Path
    config: dict
    metrics: dict
    description: dict
    files: list[str]
    true: np.ndarray
    probabilities: np.ndarray
    classes: list[str]

    @property
    def predicted(self) -> np.ndarray:
        """The number of each test beat's predicted class."""
        return self.probabilities.argmax(axis=1)

    @property
    def note(self) -> str | None:
        """What must stand beside every result of this run, if anything."""
        return note_of(self.config)

    @property
    def protocol(self) -> Protocol:
        """How the beats were parted."""
        return protocol_of(self.config)

    def records(self, part: str) -> list[str]:
        """Return the records of a part of the split, [] where the names of the images do not tell them."""
        return self.config.get(RECORD_KEYS[part]) or []

    def image(self, i: int) -> np.ndarray:
        """Return test beat ``i`` as the network sees it: uint8, shape (128, 128)."""
        path = self.data_folder / self.files[i]
        remedy = "let --data name the images that the run was trained on"
        return decode(need(read_file(path, remedy, LARGEST_IMAGE), path, remedy), path)

    def place(self, i: int) -> str:
        """Return where test beat ``i`` stands: its record and minutes:seconds, or else its file."""
        record, sample = parse_image_name(self.files[i]) or (None, 0)
        rate = self.description.get("sampling_rate", {}).get(record)
        if not rate:
            return self.files[i]
        minutes, seconds = divmod(int(sample / rate), 60)
        return f"record {record}, {minutes:02d}:{seconds:02d}"


def read_run(folder: Path, data_folder: Path) -> Run:
    """Read and check a run folder; intervals and reliability that its metrics.json lacks are computed.

    Raises
    ------
    InputError
        A file is missing, broken or of another run.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name a run folder of train_keras.py")
    if not data_folder.is_dir():
        raise InputError(f"--data {data_folder} is no folder; name the images that the run was trained on")
    config, metrics = need_config(folder), read_metrics(folder)
    predictions = read_predictions(folder / "predictions.csv")
    run = Run(folder, data_folder, config, metrics, read_description(data_folder), *predictions)
    _check_one_run(run)
    _complete_scores(run)
    return run


def _check_one_run(run: Run) -> None:
    """Raise InputError where the folder's files are not those of a run, or of several.

    They then differ in classes, in the number of test beats, or in what the split parts.
    """
    from ecgbeats.runs.networks import read_classes

    for name, content, needed in (
        ("config.json", run.config["options"], ("model",)),
        ("metrics.json", run.metrics, ("epochs", "seconds")),
    ):
        if lacks := [key for key in needed if key not in content]:
            raise InputError(
                f"{run.folder / name} lacks {', '.join(lacks)}; name a finished run of train_keras.py"
            )
    remedy = "so they are not of one run; finish it with train_keras.py --resume, or train again"
    for name, found in (
        ("metrics.json", run.metrics.get("classes")),
        ("config.json", run.config.get("classes")),
        ("best.keras", read_classes(run.folder / "best.keras")),
    ):
        if found != run.classes:
            raise InputError(f"{run.folder / name} and predictions.csv have other classes, {remedy}")
    if run.metrics["test_images"] != len(run.files):
        raise InputError(
            f"{run.folder / 'predictions.csv'} has {len(run.files)} beats and metrics.json "
            f"{run.metrics['test_images']}, {remedy}"
        )
    if "without_record_202" in run.metrics and record_names(run.files) is None:
        raise InputError(
            f"{run.folder / 'predictions.csv'} names no records and metrics.json tells of record 202, {remedy}"
        )


def _complete_scores(run: Run) -> None:
    """Compute what metrics.json of an older version lacks, over beats or patients, whichever the split parts."""
    records = record_names(run.files)

    def complete(scores: dict, chosen) -> None:
        part = (run.true[chosen], run.probabilities[chosen], run.classes)
        of = None if records is None else records[chosen]
        for name, compute in (("intervals", split_intervals), ("reliability", split_reliability)):
            if not scores.get(name):
                scores[name] = compute(*part, of, run.protocol)

    complete(run.metrics, slice(None))
    if "without_record_202" in run.metrics:
        complete(run.metrics["without_record_202"], records != "202")
