"""The images that a network was trained with, known again by the config.json beside it."""

from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.dataset import Description, drawing_of
from ecgbeats.images.folder import Images, limit_images
from ecgbeats.images.names import record_names
from ecgbeats.images.splits import Split, split_as
from ecgbeats.runs.config import Config, protocol_of, read_config
from ecgbeats.runs.networks import read_about

import numpy as np


def read_training(model: Path, classes: list[str] | None = None) -> Config | None:
    """Return config.json of the run that the network's file lies in, or None if there is none beside it.

    With ``classes``, the network's, also None if it is of a network with others.
    """
    config = read_config(model.parent, "mend or remove it")
    return None if config and classes and config["classes"] != classes else config


def trained_drawing(model: Path, config: Config | None) -> str | None:
    """Return the drawing that a network understands, by its file or its run's ``config``; None where neither tells."""
    return read_about(model).get("drawing") or (config or {}).get("drawing")


def check_drawing(description: Description, trained: str | None, data: Path) -> None:
    """Raise InputError if images and training are known to be of different drawings.

    ``description`` is dataset.json of the images' folder ``data``, ``trained`` what :func:`trained_drawing` returns.
    """
    drawn = drawing_of(description)
    if drawn and trained and drawn != trained:
        raise InputError(
            f"--data {data} holds images of the drawing {drawn}, but the network was trained on {trained}; "
            f"give it images that make_dataset.py drew with --drawing {trained}"
        )


def used_records(names: list[str], config: Config | None) -> tuple[list[str], list[str]]:
    """Return which records of these images are of patients that the run trained on or validated with, and all, sorted.

    Both are empty where the names of these images, or of the run's, do not tell records.
    """
    records, config = record_names(names), config or {}
    used = (config.get("train_records") or []) + (config.get("validation_records") or [])
    if records is None or not used:
        return [], []
    every, patients_of = np.unique(records), protocol_of(config).patients_of
    return every[np.isin(patients_of(every), patients_of(used))].tolist(), every.tolist()


def find_parts(images: Images, config: Config | None) -> tuple[Images, Split] | None:
    """Return the images that the run of ``config`` used and its parts of them, or None if its data is not ``images``."""
    if config is None or images.classes != config["classes"]:
        return None
    options = config["options"]
    used = limit_images(images, options["limit"], options["seed"]) if options["limit"] else images
    if used.check() != config["data_sha256"]:
        return None
    return used, split_as(used, options, protocol_of(config))
