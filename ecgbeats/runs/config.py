"""config.json: the options, versions, devices and records of a run, all that is needed to run it again."""

import argparse
import platform
import sys
import time
from pathlib import Path
from typing import Annotated, Literal, NotRequired, Required, TypedDict

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.dataset import Data, drawing_of
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import METHODS, PARTS, Protocol, RecordList, read_protocol
from ecgbeats.images.splits import Split
from ecgbeats.reading import AtLeastOne, Count, Share, read_json
from ecgbeats.runs.calibration import Fitted

from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]


class Options(TypedDict, total=False):
    """The options of train_keras.py as a run used them; older runs lack the newer ones."""

    data: str
    output: str
    model: str
    epochs: AtLeastOne
    batch_size: AtLeastOne
    learning_rate: Positive
    augment: bool
    augment_classes: str
    shift: Count
    balance: Share
    most: AtLeastOne | None
    further: list[str] | None
    split: Required[Annotated[str, Meta(min_length=1)]]
    folds: Required[Annotated[int, Meta(ge=2, lt=2**31)] | None]
    fold: Required[Count | None]
    keep: Literal["best", "last"]
    calibrate: str
    precision: str
    devices: AtLeastOne | None
    limit: Required[AtLeastOne | None]
    max_hours: Positive | None
    seed: Required[Annotated[int, Meta(ge=0, lt=2**32)]]
    resume: bool
    # What benchmarks/within_ds1.py adds, so that a fold of other parts is not gone on with.
    folds_of_ds1: AtLeastOne
    beats: AtLeastOne


class Sizes(TypedDict):
    """How many images each part has: the names are PARTS."""

    training: Count
    validation: Count
    test: Count


class FurtherFolder(TypedDict):
    """A folder of --further: how many of its images train, and the checksum of those that might."""

    data: str
    images: Count
    sha256: str
    drawing: NotRequired[str | None]
    made: NotRequired[str | None]


class Config(TypedDict):
    """config.json."""

    options: Options
    finished: bool
    command: NotRequired[str]
    backend: NotRequired[str]
    devices: list[str]
    precision: NotRequired[str]
    machine: NotRequired[str]
    versions: dict[str, str | None]
    started: NotRequired[str]
    resumed: NotRequired[Count]
    data_sha256: str
    simulated: bool
    made: NotRequired[str | None]
    drawing: NotRequired[str | None]
    protocol: NotRequired[RecordList | None]
    classes: Annotated[list[str], Meta(min_length=1)]
    images: Sizes
    further: NotRequired[list[FurtherFolder]]
    fitted: NotRequired[Fitted | None]
    train_records: NotRequired[list[str] | None]
    validation_records: NotRequired[list[str] | None]
    test_records: NotRequired[list[str] | None]


def read_config(folder: Path, remedy: str = "choose another --output") -> Config | None:
    """Return config.json of a run folder, or None where there is none."""
    path = folder / "config.json"
    config = read_json(path, Config, remedy)
    if config is not None and not config.get("protocol"):
        split = config["options"]["split"]
        if split not in (*METHODS, "ds1-ds2"):  # runs did not always keep the list of ds1-ds2
            raise InputError(
                f"{path} cannot be read (options.split is {split}, and there is no protocol, its list); {remedy}"
            )
    return config


def protocol_of(config: dict) -> Protocol:
    """Return the protocol of the run that ``config`` describes, whatever has become of the list's file since."""
    split, records = config["options"]["split"], config.get("protocol")
    return Protocol(split, **records) if records else read_protocol(split)


def need_config(folder: Path) -> Config:
    """Return config.json of a run folder. Raises InputError where there is none."""
    remedy = "copy the run's whole folder again"
    config = read_config(folder, remedy)
    if config is None:
        raise InputError(f"{folder / 'config.json'}: no such file; {remedy}")
    return config


def used_options(options: argparse.Namespace) -> dict:
    """Return the options as config.json keeps them."""

    def plain(value):
        if isinstance(value, list):
            return [plain(one) for one in value]
        return command.printable(str(value)) if isinstance(value, (Path, str)) else value

    return {name: plain(value) for name, value in vars(options).items()}


def describe_run(
    data: Data,
    parts: Split,
    options: argparse.Namespace,
    devices: list[str],
    precision: str,
    before: dict | None,
    further: list[int],
) -> dict:
    """Return config.json's content: all that is needed to run this again.

    ``further`` counts the images that train of each of the further folders.
    """
    from importlib.metadata import PackageNotFoundError, version

    import keras

    versions = {"project": command.VERSION, "python": platform.python_version()}
    for package in ("tensorflow", "jax", "keras", "numpy", "opencv-python-headless", "scikit-learn"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    names = data.images.names
    records = {}
    for part, key in zip(PARTS, ("train", "validation", "test"), strict=True):
        found = record_names([names[i] for i in getattr(parts, part)])
        records[f"{key}_records"] = None if found is None else sorted(set(found.tolist()))
    return {
        "options": used_options(options),
        "finished": False,
        "command": " ".join(["python", *sys.argv]),
        "backend": keras.backend.backend(),
        "devices": devices,
        "precision": precision,
        # Losses depend on the number of threads in their last digits, and so in the end does the network.
        "machine": f"{platform.machine()}, {command.available_cores()} cores, {platform.system()}",
        "versions": versions,
        "started": (before or {}).get("started", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())),
        "resumed": (before or {}).get("resumed", 0) + (before is not None),
        "data_sha256": data.checksum,
        "simulated": bool(data.description.get("simulated")),
        "made": data.description.get("made"),
        "drawing": drawing_of(data.description),
        "protocol": parts.protocol.content,
        "classes": data.images.classes,
        "images": {part: len(getattr(parts, part)) for part in PARTS},
        "further": [
            {
                "data": str(folder.folder),
                "images": count,
                "sha256": folder.checksum,
                "drawing": drawing_of(folder.description),
                "made": folder.description.get("made"),
            }
            for folder, count in zip(data.further, further, strict=True)
        ],
        "fitted": data.fitted,
        **records,
    }
