"""How a command ends: the line that it leaves on standard error, and its exit status."""

from __future__ import annotations  # so that an old Python gets as far as command.check_python

import contextlib
import errno
import os
import sys

from ecgbeats import process


class InputError(Exception):
    """Something that the user gave is wrong; the message names it and says what to do."""


def fail(message: str) -> None:
    """Write ``error: MESSAGE`` to standard error, on one line whatever the message holds."""
    with contextlib.suppress(OSError, ValueError):  # nobody listens
        print("error: " + " ".join(str(message).split()), file=process.lines(), flush=True)


# What the system refuses: what the user gave is wrong, or the machine is.
_MISTAKES = {
    errno.ENAMETOOLONG: "a file would get too long a name, or lie too deep: choose a shorter path",
    errno.ELOOP: "a link leads back to itself: mend it, or choose another path",
    errno.EMFILE: "more files are to be open at once than is allowed here: raise the limit (ulimit -n 1024)",
    errno.ENFILE: "more files are open on this machine than it allows: close some programs",
}
_FAULTS = _MISTAKES | {
    errno.ENOSPC: "no space left on the disk: free some, or choose another --output",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another --output",
    errno.EFBIG: "a file grew beyond the size limit set here (ulimit -f)",
    errno.EROFS: "the disk is read-only: choose another --output",
    errno.EACCES: "permission denied: choose a place that you may write to",
    errno.EPERM: "not permitted: choose a place that you may write to",
    errno.EIO: "the disk reports a read or write fault",
}


def tell(problem: BaseException) -> int:
    """Say in a line what ended a command, if it is for the user to know, and return the exit status."""
    if isinstance(problem, SystemExit):  # of argparse
        return problem.code or 0
    if isinstance(problem, KeyboardInterrupt):
        return 130
    if isinstance(problem, BrokenPipeError):
        return 141
    if isinstance(problem, InputError):
        fail(problem)
        return 2
    if isinstance(problem, MemoryError):
        fail("no memory left: free some, or do with fewer images (--limit), records or processes (--jobs)")
        return 1
    if isinstance(problem, OSError) and problem.errno in _FAULTS:
        return _tell_fault(problem)
    _tell_unforeseen(problem)
    return 1


def wants_traceback() -> bool:
    """Return whether the user wants to see what went wrong inside."""
    return os.environ.get("ECGBEATS_TRACEBACK") == "1"


def _tell_fault(problem: OSError) -> int:
    """Say what the system refused, and return the exit status: 2 where the user gave the wrong file."""
    where = "" if problem.filename is None else f" ({os.fsdecode(problem.filename)})"
    if problem.errno in _MISTAKES:
        fail(f"{_MISTAKES[problem.errno]}{where}")
        return 2
    if (
        problem.errno in (errno.EACCES, errno.EPERM)
        and where
        and _is_unreadable(os.fsdecode(problem.filename))
    ):
        fail(
            f"permission to read denied{where}: give yourself that permission, or name another file or folder"
        )
        return 2
    fail(f"{_FAULTS[problem.errno]}{where}; what was finished before is untouched")
    return 1


def _is_unreadable(path: str) -> bool:
    """Return whether a path that was refused is one that may not be read, rather than one that may not be written."""
    if os.path.exists(path):
        return not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0))
    folder = os.path.dirname(path)
    while folder and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return not os.access(folder or ".", os.X_OK)  # else a new file was to be made in it


def _tell_unforeseen(problem: BaseException) -> None:
    """Say in one line what nobody foresaw, with its traceback in a file that the user can send."""
    import shlex
    import tempfile
    import traceback

    details = "".join(traceback.format_exception(problem))
    if wants_traceback():
        print(details, file=process.lines())
        return
    short = "".join(traceback.format_exception_only(problem))
    words = f"this should not happen ({' '.join(short.split())}); the details are"
    try:
        number, path = tempfile.mkstemp(prefix="ecgbeats-", suffix=".txt")  # mode 600
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{shlex.join(sys.argv)}\n{details}")
        fail(f"{words} in {path}")
    except OSError:
        fail(f"{words}: {details}")
