"""What every command of this project does alike: options, errors, exit status, whole files.

A command's file ends with ``if __name__ == "__main__": command.run(main)``, where ``main(argv)``
reads its options with :class:`Parser`, raises :class:`InputError` for whatever the user can mend,
and returns the exit status (None is 0).
"""

from __future__ import annotations  # so that an old Python gets as far as check_python

import argparse
import contextlib
import errno
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

VERSION = "0.2.0"
SIMULATED_NOTICE = "SIMULATED, not medical data"

# A signal first lets Python unwind (temporary files go); a process that is deep inside a training
# step cannot, and is ended after this many seconds. DBC and Docker kill after about ten.
SECONDS_TO_UNWIND = 4.0


def fail(message: str) -> None:
    """Write ``error: MESSAGE`` to standard error, on one line whatever the message holds."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr, flush=True)


def check_python() -> None:
    """Leave with status 2 on a Python that the pinned packages do not support."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        fail(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is not supported; use Python 3.11, 3.12 or 3.13"
        )
        raise SystemExit(2)


check_python()  # at once: the packages that the scripts import next may not even be there


def _explain_missing_package(kind, problem, trace) -> None:
    """Say in one line that a package is missing, for whoever forgot to activate the environment."""
    if not isinstance(problem, ModuleNotFoundError):
        sys.__excepthook__(kind, problem, trace)
        return
    fail(f"{problem}: activate the environment (source .venv/bin/activate), or make it (bash run.sh setup)")
    os._exit(2)


sys.excepthook = _explain_missing_package


class InputError(Exception):
    """Something that the user gave is wrong; the message names it and says what to do."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports a bad option in one ``error:`` line, as INTERFACE asks."""

    def __init__(self, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def error(self, message: str):
        """Print the message as one line and leave with status 2."""
        fail(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def run(main: Callable[[list[str]], int | None], seconds_to_unwind: float = SECONDS_TO_UNWIND) -> None:
    """Run ``main(sys.argv[1:])`` and leave with its status.

    InputError gives 2, a full disk or refused file 1, each with one ``error:`` line; Ctrl-C gives 130,
    SIGTERM 143, a reader that closed the pipe (``| head``) 141.
    """
    _end_on_signals(seconds_to_unwind)
    try:
        status = main(sys.argv[1:]) or 0
        sys.stdout.flush()
    except InputError as problem:
        fail(problem)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as problem:
        if problem.errno not in _DISK_FAULTS:
            raise
        where = f" ({problem.filename})" if problem.filename else ""
        fail(f"{_DISK_FAULTS[problem.errno]}{where}; what was finished before is untouched")
        status = 1
    raise SystemExit(status)


_DISK_FAULTS = {
    errno.ENOSPC: "no space left on the disk: free some, or choose another --output",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another --output",
    errno.EFBIG: "a file grew beyond the size limit set here (ulimit -f)",
    errno.EROFS: "the disk is read-only: choose another --output",
    errno.EACCES: "permission denied: choose a place that you may write to",
    errno.EPERM: "not permitted: choose a place that you may write to",
    errno.EIO: "the disk reports a read or write fault",
}


def _end_on_signals(seconds_to_unwind: float) -> None:
    """Make SIGINT and SIGTERM end the process soon, even while native code holds the main thread.

    Python runs a signal's handler only between two bytecodes, and one training step of the paper's
    network can take 16 s. The C-level handler writes the signal's number to a pipe at once, so a thread
    waits on that pipe and ends the process if the main thread has not.
    """
    receive, send = os.pipe()
    os.set_blocking(send, False)

    def unwind(number, _frame):
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def watch():
        number = os.read(receive, 1)[0]
        threading.Event().wait(seconds_to_unwind)
        os._exit(128 + number)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job keeps ignoring it
        signal.signal(signal.SIGINT, unwind)
    signal.signal(signal.SIGTERM, unwind)
    signal.set_wakeup_fd(send, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keep what TensorFlow's native code writes while it is imported off standard error, unless it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException as problem:
            os.dup2(kept, 2)
            if isinstance(problem, ImportError):
                raise InputError(
                    f"{problem}; install the packages: pip install -r requirements.txt, or use: bash run.sh"
                ) from problem
            if not isinstance(problem, (InputError, KeyboardInterrupt, SystemExit)):
                noise.seek(0)
                sys.stderr.write(noise.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it there when the block ends, remove it if it fails.

    The temporary name keeps the suffix, since Keras and matplotlib choose the format by it. The file is
    synced before it is renamed, so that a kill or power cut leaves the old file or the new one, whole.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike, content: dict) -> None:
    """Write a JSON file whole, or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; rename it there when the block ends, remove it if it fails.

    ``path`` must not exist, or be an empty folder. Raises InputError where it cannot be made.
    """
    path = Path(path)
    check_output(path)
    make_folder(path.parent)
    prefix = f".{path.name}.partial-"
    for left in path.parent.glob(prefix + "*"):  # by a run that was killed
        if not _is_running(left.name.removeprefix(prefix).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=path.parent))
    except FileNotFoundError as problem:  # some folders, such as /proc, take no new ones
        raise InputError(f"{path} cannot be made ({problem.strerror}); choose another --output") from problem
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _is_running(process: str) -> bool:
    """Return whether a process of that number runs here; True for what is no number."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        pass
    return True


def _umask() -> int:
    """Return the process's umask (it can only be read by setting it)."""
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder and those above it; raise InputError where that is not possible (but for a full disk)."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{path} cannot be made ({problem.strerror}); choose another --output") from problem


def check_output(path: str | os.PathLike) -> None:
    """Raise InputError if ``path`` is a file or lies below one, or its folder cannot be written to."""
    path = Path(path).absolute()
    for place in [path, *path.parents]:
        try:
            is_folder = place.is_dir()
        except PermissionError:  # a folder above it may not even be looked into
            continue
        if is_folder:
            if not os.access(place, os.W_OK | os.X_OK):
                raise InputError(f"--output {path}: no permission to write to {place}; choose another folder")
            return
        if place.exists() or place.is_symlink():
            raise InputError(f"--output {path}: {place} is a file, not a folder; choose another --output")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def whole_number(minimum: int, name: str = "number") -> Callable[[str], int]:
    """Return an argparse type for whole numbers of at least ``minimum``."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole {name}") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text} is too small: at least {minimum} is needed")
        return number

    return parse


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
