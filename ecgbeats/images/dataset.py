"""A data set: the images of a folder and what dataset.json says of them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypedDict

from ecgbeats.images.folder import Images
from ecgbeats.images.notes import note_of
from ecgbeats.reading import Count, read_json

from msgspec import Meta

Rate = Annotated[float, Meta(ge=1)]  # Hz; records of lower ones are refused


class PlanOptions(TypedDict, total=False):
    """What decides on the images of a data set."""

    source_sha256: str
    classes: str
    drawing: str
    lead: str | None
    rhythm: str | None
    noise: str | None
    annotator: str
    records: list[str]
    limit: Count | None
    seed: Count | None


class Description(TypedDict, total=False):
    """dataset.json: where the images of a folder come from.

    ``made`` says what of the records was made before they were drawn. ``database`` and the two behind it tell the database, lead and sampling rate of each record. Data sets of version
    0.2.0 and before have no ``database``, and no ``annotator`` in ``options``.
    """

    source: str
    simulated: bool
    made: str | None
    scheme: str
    classes: dict[str, Count]
    images: Count
    image_size: list[Count]
    records: list[str]
    database: dict[str, str]
    lead: dict[str, str]
    sampling_rate: dict[str, Rate]
    options: PlanOptions
    version: str


def read_description(folder: str | os.PathLike) -> Description:
    """Return dataset.json of a folder that make_dataset.py made, or {} for any other."""
    remedy = "mend it, or make the data set again"
    return read_json(Path(folder) / "dataset.json", Description, remedy) or {}


def drawing_of(description: Description) -> str | None:
    """Return how the images that dataset.json describes are drawn, or None where it does not tell.

    ``description`` is that file's content, or {} for a folder that has none.
    """
    # Data sets of the first version, which had one drawing, do not name it.
    return description["options"].get("drawing", "paper") if "options" in description else None


@dataclass
class Further:
    """A folder of images that only train: those of its images that may.

    ``description`` is dataset.json's content, or {}; ``checksum`` a SHA-256 over the images, once they are read.
    """

    folder: Path
    images: Images
    description: Description
    checksum: str = ""


@dataclass
class Data:
    """The images of a run, checked, with what is known of them.

    ``description`` is dataset.json's content, or {}; ``checksum`` a SHA-256 over all images used; ``further`` what only
    trains, beside them; ``fitted`` what a file of --calibrate holds for their classes.
    """

    images: Images
    description: Description
    checksum: str
    further: list[Further] = field(default_factory=list)
    fitted: dict | None = None

    @property
    def checksums(self) -> list[str]:
        """Those of the images and of each further folder's."""
        return [self.checksum, *(further.checksum for further in self.further)]

    @property
    def note(self) -> str | None:
        """What must stand beside every result on this data, if anything."""
        return note_of(self.description)
