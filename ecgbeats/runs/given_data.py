"""The images that a run is given, --data and --further: found, limited, checked, kept in memory while they fit."""

import argparse
import time

from ecgbeats.command import InputError
from ecgbeats.images.dataset import Data, Further, read_description
from ecgbeats.images.folder import Images, keep_together, limit_images
from ecgbeats.images.further import list_further, patient_groups, take_records, training_records
from ecgbeats.images.names import record_names
from ecgbeats.images.splits import split_as
from ecgbeats.records.symbols import normal_classes
from ecgbeats.runs.calibration import KINDS, NO, read_fitted


def load_data(options: argparse.Namespace) -> Data:
    """Find, limit and check the images, and keep them in memory while they fit."""
    started = time.time()
    images = Images(options.data, in_memory=False)
    description = read_description(options.data)
    if options.limit:
        images = limit_images(images, options.limit, options.seed)
    if options.augment and options.augment_classes == "arrhythmias" and not normal_classes(images.classes):
        raise InputError("--augment-classes arrhythmias: --data has no class NOR or N; use all")
    fitted = None
    if options.calibrate not in (NO, *KINDS):
        fitted = read_fitted(options.calibrate, images.classes)
    # A split that cannot be made is told before all images are read.
    parts = split_as(images, vars(options))
    known = [options.data.resolve()]
    for folder in options.further or []:
        if folder.resolve() in known:
            raise InputError(f"--further {folder} is given already, as --data or before; leave it out")
        known.append(folder.resolve())
    further = [list_further(folder, images.classes, description) for folder in options.further or []]
    if options.most:
        patient_groups([images], parts.protocol)
    if further:
        # In folds nearly every patient trains now and then.
        names = images.names
        records = set(record_names(names)) if options.folds else training_records(names, parts)
        for one in further:
            limit_further(one, records, options)
    keep_together([images, *(one.images for one in further)])
    checksum = images.check()
    for one in further:
        one.checksum = one.images.check()
    data = Data(images, description, checksum, further, fitted)
    print(
        f"{len(images):,d} images of {len(images.classes)} classes in {options.data} "
        f"({'kept in memory' if images.in_memory else 'read as needed'}, {time.time() - started:.1f} s)"
    )
    for one in further:
        print(f"{len(one.images):,d} further images of patients that train in {one.folder}")
    if data.note:
        print(data.note, flush=True)
    return data


def limit_further(further: Further, records: set[str], options: argparse.Namespace) -> None:
    """Keep of a folder's images those of these records, at most --limit of each class; it must have some."""
    further.images = take_records(further.images, records)
    if not len(further.images):
        raise InputError(
            f"--further {further.folder} has no image of a record that trains; make it from the records of --data"
        )
    if options.limit:
        further.images = limit_images(further.images, options.limit, options.seed)
