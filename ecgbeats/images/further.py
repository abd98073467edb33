"""Folders of images that only train, beside those of --data: second leads, made rhythms, of the patients that train."""

from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.dataset import Data, Description, Further, drawing_of, read_description
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import Protocol
from ecgbeats.images.splits import Split

import numpy as np


def list_further(folder: Path, classes: list[str], description: Description) -> Further:
    """Return a folder's images, not read yet.

    ``classes`` and ``description`` are those of --data, to which the folder must fit. Raises InputError where it does
    not, or its files are not named by their records.
    """
    images = Images(folder, classes, in_memory=False, option="--further")
    own = read_description(folder)
    drawings = [drawing_of(known) for known in (own, description)]
    if drawings[0] != drawings[1]:
        words = [f"of the drawing {drawing}" if drawing else "of no known drawing" for drawing in drawings]
        raise InputError(
            f"--further {folder} holds images {words[0]}, and --data {words[1]}; make both with the same --drawing"
        )
    if record_names(images.names) is None:
        raise InputError(
            f"--further {folder} has files that are not named RECORD_SAMPLE.png as make_dataset.py does, so whose they "
            "are is not known; make it with make_dataset.py"
        )
    return Further(folder, images, own)


def training_records(names: list[str], parts: Split) -> set[str]:
    """Return the records of the training part whose patient is in no other part; ``names`` are the images'."""
    records = record_names(names)
    patients = parts.protocol.patients_of(records)
    elsewhere = patients[np.concatenate([parts.validation, parts.test])]
    kept = parts.training[~np.isin(patients[parts.training], elsewhere)]
    return set(records[kept].tolist())


def take_records(images: Images, records: set[str]) -> Images:
    """Return the images of these records."""
    return images.subset(np.flatnonzero(np.isin(record_names(images.names), sorted(records))))


def choose_training(data: Data, parts: Split) -> list[Images]:
    """Return the images that train: those of the training part, and of each further folder those of its patients.

    A further image does not train where a record of its patient is in the validation or test part.
    """
    folders = [data.images.subset(parts.training)]
    if data.further:
        records = training_records(data.images.names, parts)
        folders += [take_records(further.images, records) for further in data.further]
    return folders


def patient_groups(folders: list[Images], protocol: Protocol) -> np.ndarray:
    """Return a number for the patient of each image, int, all folders' one after another.

    A patient counts anew in each folder. Raises InputError where files are not named by their records.
    """
    groups, number = [], 0
    for images in folders:
        records = record_names(images.names)
        if records is None:
            raise InputError(
                "--most needs to know each image's record, but --data has files that are not named RECORD_SAMPLE.png as "
                "make_dataset.py does; leave --most out"
            )
        patients, of_folder = np.unique(protocol.patients_of(records), return_inverse=True)
        groups.append(of_folder + number)
        number += len(patients)
    return np.concatenate(groups)
