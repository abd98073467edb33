"""A data set: the images of a folder and what dataset.json says of them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images


def read_description(folder: str | os.PathLike) -> dict:
    """Return dataset.json of a folder that make_dataset.py made, or {} for any other."""
    path = Path(folder) / "dataset.json"
    try:
        description = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); make the data set again") from problem
    return description if isinstance(description, dict) else {}


def drawing_of(description: dict) -> str | None:
    """Return how the images that dataset.json describes are drawn, or None where it does not tell.

    ``description`` is that file's content, or {} for a folder that has none.
    """
    options = description.get("options")
    # Data sets of the first version, which had one drawing, do not name it.
    return options.get("drawing", "paper") if isinstance(options, dict) else None


@dataclass
class Data:
    """The images of a run, checked, with what is known of them.

    ``description`` is dataset.json's content, or {}; ``checksum`` a SHA-256 over all images used.
    """

    images: Images
    description: dict
    checksum: str

    @property
    def note(self) -> str | None:
        """What must stand beside every result on this data, if anything."""
        return command.SIMULATED_NOTICE if self.description.get("simulated") else None
