"""Beats of training patients that lie beside a network, so that it does not forget them while it learns a new patient.

examples.npz holds ``images``, uint8 (beats, 128, 128), of LEVELS shades of gray, since that is a file of half the size, and
the name of their ``drawing``.
"""

import io
import zipfile
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.reading import read_file

import numpy as np

NAME = "examples.npz"
LEVELS = 16
LARGEST_FILE, LARGEST_CONTENT = 2**24, 2**28  # bytes, packed and unpacked
REMEDY = "copy the one that belongs to the network, or remove it"


def write_examples(path: Path, images: np.ndarray, drawing: str) -> None:
    """Write the file, whole or not at all; ``images`` are uint8 (beats, 128, 128)."""
    with command.whole_file(path) as unfinished, open(unfinished, "wb") as file:  # by a name, NumPy adds .npz
        np.savez_compressed(file, images=with_few_shades(images), drawing=drawing)


def with_few_shades(images: np.ndarray) -> np.ndarray:
    """Return images in LEVELS shades, from black to white; uint8 as they are."""
    step = 255 // (LEVELS - 1)
    return ((images.astype(np.uint16) + step // 2) // step * step).astype(np.uint8)


def read_examples(network: Path, drawing: str) -> np.ndarray | None:
    """Return the examples beside a network's file: uint8, shape (beats, 128, 128, 1); None where there is no such file.

    Raises InputError where it is damaged, or of another drawing than the network's.
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
            images, drawn = file["images"], str(file["drawing"])
    except Exception as problem:  # a broken archive shows in many ways
        raise InputError(f"{path} cannot be read ({problem}); {REMEDY}") from None
    if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or not images.size:
        raise InputError(f"{path} holds no images of {IMAGE_SIZE} x {IMAGE_SIZE}; {REMEDY}")
    if drawn != drawing:
        raise InputError(
            f"{path} holds images of the drawing {drawn[:40]}, and the network is of {drawing}; {REMEDY}"
        )
    return images[..., np.newaxis]
