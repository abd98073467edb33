"""Names of image files, RECORD_SAMPLE.png: by them the later rooms know which record and beat an image is of."""

import os
from pathlib import Path

import numpy as np


def image_name(record: str, sample: int) -> str:
    """Return the file name of a beat's image; :func:`parse_image_name` reads it back."""
    return f"{record}_{sample}.png"


def parse_image_name(name: str | Path) -> tuple[str, int] | None:
    """Return (record, sample) of an image file's name or path, or None if it is not of that form.

    A record's name may itself hold ``_``, so the last one parts it from the sample.
    """
    record, _, sample = os.path.splitext(os.path.basename(name))[0].rpartition("_")
    return (record, int(sample)) if record and sample.isascii() and sample.isdigit() else None


def record_names(names: list[str]) -> np.ndarray | None:
    """Return the record of each image file, or None where any name does not carry one (RECORD_SAMPLE.png)."""
    parsed = [parse_image_name(name) for name in names]
    return None if None in parsed else np.array([record for record, _ in parsed])
