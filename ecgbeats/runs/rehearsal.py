"""Beats of training patients that lie beside a network, so that it does not forget them while it learns a new patient.

examples.npz holds ``images``, uint8 (beats, 128, 128), of ``LEVELS`` shades of gray, since that is a file of half the size;
``classes``, the name of each one's class; and ``drawing``.
"""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.reading import read_file

import numpy as np

NAME = "examples.npz"
LEVELS = 16
LARGEST_FILE, LARGEST_CONTENT = 2**24, 2**28  # bytes, packed and unpacked
REMEDY = "copy the one that belongs to the network, or remove it"


class Examples(NamedTuple):
    """Beats whose class is known.

    Attributes
    ----------
    images : numpy.ndarray, uint8, shape (beats, 128, 128, 1)
    labels : numpy.ndarray, int64, shape (beats,)
        Positions among the network's classes.
    """

    images: np.ndarray
    labels: np.ndarray


def write_examples(path: Path, images: np.ndarray, classes: list[str], drawing: str) -> None:
    """Write the file, whole or not at all; ``images`` are uint8 (beats, 128, 128), ``classes`` names the class of each."""
    with command.whole_file(path) as unfinished:
        np.savez_compressed(unfinished, images=reduce(images), classes=np.array(classes), drawing=drawing)


def reduce(images: np.ndarray) -> np.ndarray:
    """Return images in LEVELS shades, from black to white."""
    step = 255 // (LEVELS - 1)
    return ((images.astype(np.uint16) + step // 2) // step * step).astype(np.uint8)


def read_examples(network: Path, classes: list[str], drawing: str) -> Examples | None:
    """Return the examples beside a network's file; None where there are none.

    Raises InputError where they are damaged, or of another drawing or other classes than the network's.
    """
    path = network.parent / NAME
    content = read_file(path, REMEDY, LARGEST_FILE)
    if content is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_CONTENT:
            raise ValueError(f"it holds {size:,d} bytes")
        with np.load(io.BytesIO(content)) as file:
            images, names, drawn = (file[name] for name in ("images", "classes", "drawing"))
    except Exception as problem:  # a broken archive shows in many ways
        raise InputError(f"{path} cannot be read ({problem}); {REMEDY}") from None
    if (
        images.dtype != np.uint8
        or names.dtype.kind != "U"
        or images.shape != (len(np.atleast_1d(names)), IMAGE_SIZE, IMAGE_SIZE)
    ):
        raise InputError(f"{path} holds no images with a class each; {REMEDY}")
    if str(drawn) != drawing or not set(names.tolist()) <= set(classes):
        raise InputError(
            f"{path} holds images of the drawing {str(drawn)[:40]} with the classes {' '.join(sorted(set(names.tolist())))[:60]}, "
            f"and the network is of {drawing} with {' '.join(classes)}; {REMEDY}"
        )
    return Examples(images[..., np.newaxis], np.array([classes.index(name) for name in names.tolist()], int))
