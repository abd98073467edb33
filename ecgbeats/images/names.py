"""Names of image files, RECORD_SAMPLE.png, by which the later rooms know record and beat; names of classes."""

import json
import os
import unicodedata
import zipfile
from pathlib import Path

from ecgbeats.command import InputError

import numpy as np

# Of names: control characters, what is no UTF-8, and the separators that end a line.
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}
# What else the comment of a network's file holds, in bytes: its drawing and calibration, and of each class a bias.
NOTES, NOTE_OF_CLASS = 500, 9
MOST_CLASSES = 1000  # a figure of more would be larger than Matplotlib can write


def image_name(record: str, sample: int) -> str:
    """Return the file name of a beat's image; :func:`parse_image_name` reads it back."""
    return f"{record}_{sample}.png"


def parse_image_name(name: str | Path) -> tuple[str, int] | None:
    """Return (record, sample) of an image file's name or path, or None if it is not of that form.

    A record's name may itself hold ``_``, so the last one parts it from the sample.
    """
    record, _, sample = os.path.splitext(os.path.basename(name))[0].rpartition("_")
    return (
        (record, int(sample))
        if record and sample.isascii() and sample.isdigit() and len(sample) < 19
        else None
    )


def record_names(names: list[str]) -> np.ndarray | None:
    """Return the record of each image file, or None where any name does not carry one (RECORD_SAMPLE.png)."""
    parsed = [parse_image_name(name) for name in names]
    return None if None in parsed else np.array([record for record, _ in parsed])


def check_class_names(names: list[str], folder: str | os.PathLike) -> None:
    """Raise InputError where a class's name would not survive in the files that results are written to.

    ``folder`` holds the classes' folders.
    """
    for name in names:
        if any(unicodedata.category(character) in _UNFIT for character in name):
            raise InputError(
                f"{folder} has the class folder {name!r}, which holds a control character or is no UTF-8; rename it"
            )
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"{folder} has {len(names):,d} classes, more than the {MOST_CLASSES:,d} that results are drawn for; give "
            "the folder above the images of each class"
        )
    size = len(json.dumps({"classes": names}))
    room = zipfile.ZIP_MAX_COMMENT - NOTES - NOTE_OF_CLASS * len(names)
    if size > room:
        raise InputError(
            f"{folder} has classes whose names take {size:,d} bytes together, and a network's file has room for "
            f"{room:,d}; use fewer classes, or shorter names"
        )
