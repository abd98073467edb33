"""What every command of this project does alike: options, errors, exit status, whole files.

A command's file ends with ``if __name__ == "__main__": command.run(main)``, where ``main(argv)``
reads its options with :class:`Parser`, raises :class:`InputError` for whatever the user can mend,
and returns the exit status (None is 0).
"""

from __future__ import annotations  # so that an old Python gets as far as check_python

import argparse
import contextlib
import errno
import itertools
import json
import logging
import math
import os
import shlex
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

VERSION = "0.1.0"
SIMULATED_NOTICE = "SIMULATED, not medical data"

# The backends of Keras that train here, and the packages that each needs.
BACKENDS = {"tensorflow": "requirements.txt", "jax": "requirements-jax.txt"}

# A signal first lets Python unwind (temporary files go); a process that is deep inside a training
# step cannot, and is ended after this many seconds. DBC and Docker kill after about ten.
SECONDS_TO_UNWIND = 4.0


def fail(message: str) -> None:
    """Write ``error: MESSAGE`` to standard error, on one line whatever the message holds."""
    with contextlib.suppress(OSError, ValueError):  # nobody listens
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


def _is_ours(path: str | None) -> bool:
    """Return whether a file is one of the project's commands."""
    return path is not None and Path(__file__).parents[1] in Path(path).resolve().parents


if _is_ours(getattr(sys.modules["__main__"], "__file__", None)):
    sys.excepthook = _explain_missing_package
    # Ctrl-C while packages are still imported, which takes a second, ends the process without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


class InputError(Exception):
    """Something that the user gave is wrong; the message names it and says what to do."""


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
        """Print the message as one line and leave with status 2."""
        fail(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def _named_path(text: str) -> Path:
    """Argparse type in the place of Path, which takes nothing for the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; name a file or folder (the current one is .)")
    return Path(text)


def run(main: Callable[[list[str]], int | None], seconds_to_unwind: float = SECONDS_TO_UNWIND) -> None:
    """Run ``main(sys.argv[1:])`` and leave with its status.

    InputError gives 2, a full disk or refused file 1, each with one ``error:`` line; Ctrl-C gives 130,
    SIGTERM 143, a reader that closed the pipe (``| head``) 141. What nobody foresaw gives 1 and a line that names a
    file with the traceback; ECGBEATS_TRACEBACK=1 prints it instead, and what libraries write.
    """
    _open_missing_streams()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's is not there for a command
    if not _wants_traceback():
        _silence_libraries()
    _end_on_signals(seconds_to_unwind)
    try:
        try:
            status = main(sys.argv[1:]) or 0
        except SystemExit as leave:  # of argparse, or of a signal
            status = leave.code
        sys.stdout.flush()
    except InputError as problem:
        fail(problem)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except MemoryError:
        fail("no memory left: free some, or do with fewer images (--limit), records or processes (--jobs)")
        status = 1
    except Exception as problem:
        status = 1
        where = f" ({problem.filename})" if getattr(problem, "filename", None) else ""
        if isinstance(problem, OSError) and problem.errno in _DISK_FAULTS:
            fail(f"{_DISK_FAULTS[problem.errno]}{where}; what was finished before is untouched")
        elif isinstance(problem, OSError) and problem.errno in _INPUT_FAULTS:
            fail(f"{_INPUT_FAULTS[problem.errno]}{where}")
            status = 2
        else:
            _tell_unforeseen(problem)
    raise SystemExit(status)


def _wants_traceback() -> bool:
    return os.environ.get("ECGBEATS_TRACEBACK") == "1"


def _tell_unforeseen(problem: Exception) -> None:
    """Say in one line what nobody foresaw, with its traceback in a file that the user can send."""
    details = "".join(traceback.format_exception(problem))
    if _wants_traceback():
        print(details, file=sys.stderr)
        return
    words = f"this should not happen ({type(problem).__name__}: {problem}); the details are"
    try:
        number, path = tempfile.mkstemp(prefix="ecgbeats-", suffix=".txt")  # mode 600
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{shlex.join(sys.argv)}\n{details}")
        fail(f"{words} in {path}")
    except OSError:
        fail(f"{words}: {details}")


def _open_missing_streams() -> None:
    """Let a command run whose standard streams are closed, or cannot show every character."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would be taken for the stream
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a notebook's
            stream.reconfigure(errors="backslashreplace")


def _silence_libraries() -> None:
    """Keep off standard error all but this project's lines: native code writes to the number, ours to sys.stderr."""
    sys.stderr.flush()
    own = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    os.set_inheritable(own, False)
    sys.stderr = open(own, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


_DISK_FAULTS = {
    errno.ENOSPC: "no space left on the disk: free some, or choose another --output",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another --output",
    errno.EFBIG: "a file grew beyond the size limit set here (ulimit -f)",
    errno.EROFS: "the disk is read-only: choose another --output",
    errno.EACCES: "permission denied: choose a place that you may write to",
    errno.EPERM: "not permitted: choose a place that you may write to",
    errno.EIO: "the disk reports a read or write fault",
}
_INPUT_FAULTS = {
    errno.ENAMETOOLONG: "a file would get too long a name, or lie too deep: choose a shorter path",
    errno.ELOOP: "a link leads back to itself: mend it, or choose another path",
    errno.EMFILE: "more files are to be open at once than is allowed here: raise the limit (ulimit -n 1024)",
    errno.ENFILE: "more files are open on this machine than it allows: close some programs",
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
    """Import Keras within this: as the project needs it, whatever the user's keras.json says; its faults in one line."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise InputError(f"KERAS_BACKEND={backend} is not supported; use {' or '.join(BACKENDS)}")
    os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")  # a place that cannot hold a keras.json
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        yield
    except ImportError as problem:
        raise InputError(
            f"{problem}; with KERAS_BACKEND={backend}, install the packages (pip install -r {BACKENDS[backend]}), or "
            "use: bash run.sh"
        ) from problem


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it there when the block ends, remove it if it fails.

    The temporary name keeps the suffix, since Keras and matplotlib choose the format by it. The file is
    synced before it is renamed, so that a kill or power cut leaves the old file or the new one, whole.
    """
    path = Path(path)
    temporary = path.with_name(
        f".{path.stem[:40]}.partial-{os.getpid()}{path.suffix}"
    )  # a name has its limit
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike, content: dict) -> None:
    """Write a JSON file whole, or not at all; of a path in it that is no UTF-8, "?" stands for what is not."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="replace")


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
