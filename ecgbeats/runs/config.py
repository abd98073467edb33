"""config.json: the options, versions, devices and records of a run, all that is needed to run it again."""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.dataset import Data, drawing_of
from ecgbeats.images.names import record_names
from ecgbeats.images.splits import PARTS, Split


def read_config(folder: Path) -> dict | None:
    """Return config.json of a run folder, or None where there is none."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
        config["options"].items()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); choose another --output") from problem
    return config


def used_options(options: argparse.Namespace) -> dict:
    """Return the options as config.json keeps them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def describe_run(
    data: Data,
    parts: Split,
    options: argparse.Namespace,
    devices: list[str],
    precision: str,
    before: dict | None,
) -> dict:
    """Return config.json's content: all that is needed to run this again."""
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
        "drawing": drawing_of(data.description),
        "classes": data.images.classes,
        "images": {part: len(getattr(parts, part)) for part in PARTS},
        **records,
    }
