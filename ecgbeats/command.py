"""What every command of this project does alike: options, errors, exit status, whole files.

A command's file ends with ``if __name__ == "__main__": command.run(main)``, where ``main(argv)``
reads its options with :class:`Parser`, raises :class:`InputError` for whatever the user can mend,
and returns the exit status (None is 0).
"""

from __future__ import annotations  # so that an old Python gets as far as check_python

import argparse
import contextlib
import errno
import importlib.util
import itertools
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ecgbeats import is_command, process
from ecgbeats.ending import InputError, fail, tell, wants_traceback
from ecgbeats.files import whole_file

VERSION = "0.2.0"
SIMULATED_NOTICE = "SIMULATED, not medical data"

# The backends of Keras that train here, and what installs the packages that each needs.
BACKENDS = {"tensorflow": "requirements.txt", "jax": "requirements-jax.txt"}

# With fewer open files neither TensorFlow nor a pool of processes starts.
FEWEST_OPEN_FILES = 64


def check_python() -> None:
    """Leave with status 2 on a Python that the pinned packages do not support."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        fail(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is not supported; use Python 3.11, 3.12 or 3.13"
        )
        raise SystemExit(2)


check_python()  # at once: the packages that the scripts import next may not even be there


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports a bad option in one ``error:`` line, as INTERFACE asks."""

    def __init__(self, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)
        self.register("type", Path, _named_path)

    def parse_known_args(self, args=None, namespace=None):
        """Parse as argparse does, but for ``--option=--``, of which it makes nothing."""
        for word in sys.argv[1:] if args is None else args:
            if word.startswith("--") and word.endswith("=--"):
                self.error(f"argument {word[:-3]}: expected one argument")
        return super().parse_known_args(args, namespace)

    def error(self, message: str):
        """Raise InputError."""
        raise InputError(f"{message} (see {self.prog} --help)")


def _named_path(text: str) -> Path:
    """Argparse type in the place of Path, which takes nothing for the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; name a file or folder (the current one is .)")
    return Path(text)


def run(
    main: Callable[[list[str]], int | None], seconds_to_unwind: float = process.SECONDS_TO_UNWIND
) -> None:
    """Run ``main(sys.argv[1:])`` and leave with its status.

    InputError gives 2, a full disk or a place that may not be written to 1, each with one ``error:`` line; Ctrl-C
    gives 130, SIGTERM 143, a reader that closed the pipe (``| head``) 141. What nobody foresaw gives 1 and a line that
    names a file with the traceback; ECGBEATS_TRACEBACK=1 prints it instead, and what libraries write.
    """
    process.open_missing_streams()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's is not there for a command
    if not wants_traceback():
        process.silence_libraries()
    received = process.end_on_signals(seconds_to_unwind)
    try:
        _check_open_files()
        status = main(sys.argv[1:]) or 0
        sys.stdout.flush()
    except BaseException as problem:
        # A library may have made another exception of the signal's.
        status = 128 + received[0] if received else tell(problem)
    process.let_go_of_streams()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a handler would be cut off with a traceback while Python ends
    raise SystemExit(status)


def _check_open_files() -> None:
    """Take as many open files as are allowed. Raises InputError where that is too few to do anything."""
    try:
        import resource
    except ImportError:  # no Unix
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FEWEST_OPEN_FILES:
        soft = FEWEST_OPEN_FILES if hard < 0 else min(hard, FEWEST_OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if 0 <= soft < FEWEST_OPEN_FILES:
        raise InputError(
            f"only {soft} files may be open here; allow {FEWEST_OPEN_FILES} at least (ulimit -n)"
        )


def check_backend() -> str:
    """Return the backend that Keras will use, without importing it. Raises InputError if it is not there."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise InputError(f"KERAS_BACKEND={backend} is not supported; use {' or '.join(BACKENDS)}")
    for package in (backend, "keras"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"the package {package} is not installed, which KERAS_BACKEND={backend} needs; install it (pip "
                f"install -r {BACKENDS[backend]}), or use another backend (KERAS_BACKEND={' or '.join(BACKENDS)})"
            )
    return backend


def shorten(names: list[str], most: int = 12) -> str:
    """Return a list of names in words, cut after ``most``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import Keras within this: as the project needs it, whatever the user's keras.json says; its faults in one line."""
    backend = os.environ["KERAS_BACKEND"] = check_backend()
    os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")  # a place that cannot hold a keras.json
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        yield
    except ImportError as problem:
        raise InputError(
            f"{problem}; install the packages for KERAS_BACKEND={backend} again (pip install -r {BACKENDS[backend]})"
        ) from problem


def printable(text: str) -> str:
    """Return a text in which "?" stands for what is no UTF-8, as a file's name may hold it."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def as_json(content: dict) -> bytes:
    """Return a JSON file's bytes; of a path in it that is no UTF-8, "?" stands for what is not."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", errors="replace")


def write_json(path: str | os.PathLike, content: dict) -> None:
    """Write a JSON file (:func:`as_json`) whole, or not at all."""
    text = as_json(content)
    with whole_file(path) as unfinished:
        unfinished.write_bytes(text)


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder and those above it; raise InputError where that is not possible (but for a full disk)."""
    path = Path(path)
    try:
        missing = list(itertools.takewhile(lambda place: not place.is_dir(), [path, *path.parents]))
        for place in reversed(missing):  # mkdir(parents=True) calls itself for each
            place.mkdir(exist_ok=True)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{path} cannot be made ({problem.strerror}); choose another --output") from problem


def check_output(path: str | os.PathLike) -> None:
    """Raise InputError if ``path`` is a file or lies below one, or its folder cannot be written to, or is too deep."""
    path = Path(path).absolute()
    for place in [path, *path.parents]:
        try:
            is_folder, is_there = place.is_dir(), place.exists() or place.is_symlink()
        except PermissionError:  # a folder above it may not even be looked into
            continue
        except OSError as problem:
            raise InputError(f"--output {path}: {problem.strerror}; choose another folder") from None
        if is_folder:
            if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
                raise InputError(f"--output {path}: no permission to write to {place}; choose another folder")
            return
        if is_there:
            raise InputError(
                f"--output {path}: {place} is a file or a broken link, not a folder; choose another --output"
            )


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_jobs() -> int:
    """Return how many processes a user may ask for: far more than are of use, and no more than the machine bears."""
    return max(64, 4 * available_cores())


def process_pool(jobs: int, begin: Callable, *arguments):
    """Return a ProcessPoolExecutor whose processes each call ``begin(*arguments)``, or None where none can start.

    They need semaphores, which Linux keeps in /dev/shm, and open files. Where they lack something, a line says so.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    before = set(multiprocessing.active_children())
    try:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        pool = ProcessPoolExecutor(jobs, context, begin, arguments)
        pool.submit(int).result()
        return pool
    except (OSError, ImportError, RuntimeError) as problem:  # RuntimeError: no new thread
        for child in set(multiprocessing.active_children()) - before:  # some may have started
            child.kill()
        print(
            f"No processes can be started ({problem}): one does all the work, which takes longer.", flush=True
        )
        return None


def has_semaphores() -> bool:
    """Return whether threads and processes can have semaphores here, which Linux keeps in /dev/shm."""
    import multiprocessing

    try:
        multiprocessing.Lock()
    except (OSError, ImportError):
        return False
    return True


def start_worker() -> None:
    """In a process of a pool: let the parent alone answer signals, and end with it."""
    import multiprocessing.connection

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process().sentinel

    def end_with_parent():
        multiprocessing.connection.wait([parent])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def whole_number(minimum: int, name: str = "number", maximum: int = 2**31 - 1) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from ``minimum`` to ``maximum``."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole {name}") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text} is too small: at least {minimum} is needed")
        if number > maximum:
            raise argparse.ArgumentTypeError(f"{text} is too large: at most {maximum} is possible")
        return number

    return parse


seed = whole_number(0, maximum=2**32 - 1)  # the most that Keras and NumPy take


def positive_number(text: str) -> float:
    """Argparse type for finite numbers above zero."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive, finite number")
    return number


def share(text: str) -> float:
    """Argparse type for numbers from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 to 1")
    return number


def _end_start(_kind, problem, _trace) -> None:
    """End a command that could not even start, in one line; for sys.excepthook."""
    if isinstance(problem, ModuleNotFoundError):
        fail(
            f"{problem}: activate the environment (source .venv/bin/activate), or make it (bash run.sh setup)"
        )
        os._exit(2)
    os._exit(tell(problem))


if is_command():
    process.open_missing_streams()  # before a package takes a closed one's number
    sys.excepthook = _end_start
