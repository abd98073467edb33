"""A run folder: whether it holds a run, whether that may go on, and how it is left whole."""

import argparse
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.files import remove_left, remove_own
from ecgbeats.folders import alone
from ecgbeats.images.dataset import Data
from ecgbeats.images.protocols import read_protocol
from ecgbeats.runs.config import need_config, protocol_of, read_config, used_options

STATE_FILE = "training_state.npz"
# Where one of these is, a folder holds a run, or evaluate_keras.py's results, or a cross-validation.
RUN_FILES = ("config.json", "log.csv", "best.keras", "metrics.json", "fold-0")
# What may differ when a run is resumed: where it happens and for how long, not what is computed.
FREE_ON_RESUME = ("data", "further", "output", "devices", "max_hours", "resume")
# What runs did before there were these options.
EARLIER = {"shift": 0, "balance": 0.0, "most": None, "keep": "best", "calibrate": "no"}


# Whose lock a process holds while it writes to the folder.
LOCK_FILE = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with its process; what a killed one left of its files goes first.

    Raises InputError if another process holds the lock.
    """
    with _lock(folder):
        try:
            remove_left(folder)
            yield
        finally:
            (folder / LOCK_FILE).unlink(missing_ok=True)  # filelock takes no lock on a file that is gone


def check_unlocked(folder: Path) -> None:
    """Raise InputError if another process holds the folder's lock; nothing is written."""
    if os.path.lexists(folder / LOCK_FILE):
        with _lock(folder):
            pass


def _lock(folder: Path) -> contextlib.AbstractContextManager[None]:
    otherwise = f"{folder}: another process is writing to this folder; wait until it has ended, or choose another --output"
    return alone(folder / LOCK_FILE, otherwise)


def is_finished(folder: Path, options: argparse.Namespace) -> bool:
    """Return whether ``folder`` holds the finished run of these options.

    Raises InputError if it holds a run that may not be gone on with.
    """
    config = read_config(folder)
    if not options.resume and any((folder / name).exists() for name in RUN_FILES):
        raise InputError(f"--output {folder} holds a run; choose another folder, or go on with --resume")
    if config is None:
        return False
    before, now = EARLIER | config["options"], used_options(options)
    # Where it is not given, the shift follows from the epochs (options.fill_in_recipe): whoever mends these mends both.
    follows = ["shift"] if before.get("epochs") != now["epochs"] else []
    different = [
        f"--{name.replace('_', '-')} (then {before.get(name)}, now {now[name]})"
        for name in now
        if name not in (*FREE_ON_RESUME, "split", *follows) and before.get(name) != now[name]
    ]
    folders, now_given = (len(given.get("further") or []) for given in (before, now))
    if folders != now_given:
        different.append(f"--further (then {folders} folders, now {now_given})")
    then, wanted = protocol_of(config), read_protocol(options.split)
    if not then.is_same(wanted):
        changed = (
            "the list has changed" if then.name == wanted.name else f"then {then.name}, now {wanted.name}"
        )
        different.append(f"--split ({changed})")
    if different:
        words = ", ".join(different)
        one_of_many = options.fold is not None and folder.name == f"fold-{options.fold}"
        raise InputError(
            f"--resume: the run in {folder} had other options: {words}; give the same, or choose another --output"
            + (", or remove that folder to train the fold again" if one_of_many else "")
        )
    return bool(config.get("finished"))


def check_run(folder: Path, data: Data, options: argparse.Namespace) -> dict | None:
    """Return config.json of the run that ``folder`` holds, None if there is none; it must be of the same images."""
    config = read_config(folder)
    if config is not None and config.get("data_sha256") != data.checksum:
        raise InputError(
            f"--resume: --data {options.data} is not what the run in {folder} was trained on (another checksum); "
            "give the same images, or choose another --output"
        )
    further = [folder["sha256"] for folder in (config or {}).get("further", [])]
    if config is not None and further != data.checksums[1:]:
        raise InputError(
            f"--resume: --further {' '.join(str(one.folder) for one in data.further)} is not what the run in {folder} was "
            "trained on (other checksums); give the same folders in the same order, or choose another --output"
        )
    if config is not None and config.get("fitted") != data.fitted:
        raise InputError(
            f"--resume: --calibrate {options.calibrate} holds other values than when the run in {folder} began; give the "
            "same file, or choose another --output"
        )
    return config


def finish_run(folder: Path) -> None:
    """Note in config.json that the run is finished, and remove what only resuming needs."""
    command.write_json(folder / "config.json", need_config(folder) | {"finished": True})
    (folder / STATE_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def leave_at_signals():
    """While this lasts, SIGTERM and Ctrl-C end the process on the spot, without unwinding.

    command.run lets them raise an exception, wherever the main thread is. Inside a callback of TensorFlow or
    JAX that is printed and forgotten, or crashes. And there is nothing to unwind for: each file in the run
    folder is whole at every moment, but for the one that is being written.
    """

    def leave(number, _frame):
        remove_own()
        os._exit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if not callable(before[signal.SIGTERM]):  # not started by command.run: a notebook keeps its Ctrl-C
        yield
        return
    for number in before:
        if callable(before[number]):  # a background job ignores SIGINT, and goes on to do so
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
