"""Files that are whole or not there."""

from __future__ import annotations  # so that an old Python gets as far as command.check_python

import contextlib
import fcntl
import glob
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from ecgbeats.ending import InputError

# What whole_file calls a file until it is whole: a part of its name, a checksum of all of it, a number by chance.
_PARTIAL = re.compile(r"\..*\.partial-[0-9a-f]{8}-[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)

_being_written: set[Path] = set()  # by this process


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it there when the block ends, remove it if it fails.

    The temporary name keeps the suffix, since Keras and matplotlib choose the format by it. The file is
    synced before it is renamed, so that a kill or power cut leaves the old file or the new one, whole.
    What a process that was killed left of the same file goes first. Who may read an earlier file may read the new one.

    Raises InputError where ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            f"{path} is a folder, where a file is to be written; remove it, or choose another place"
        )
    # A name has its limit, so only a part of this one is seen in the other.
    begin = f".{path.stem[:40]}.partial-{zlib.crc32(os.fsencode(path.name)):08x}-"
    for left in path.parent.glob(f"{glob.escape(begin)}*"):
        _remove_if_left(left)
    temporary = path.with_name(f"{begin}{secrets.token_hex(4)}{path.suffix}")
    lock = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    _being_written.add(temporary)
    try:
        with contextlib.suppress(OSError):  # a disk without locks; there nothing is taken for left
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            os.fchmod(lock, stat.S_IMODE(path.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _being_written.discard(temporary)
        os.close(lock)


def remove_left(folder: Path) -> None:
    """Remove what :func:`whole_file` left in ``folder`` when its process was killed; what another still writes stays."""
    for path in folder.glob(".*.partial-*"):
        if _PARTIAL.fullmatch(path.name):
            _remove_if_left(path)


def remove_own() -> None:
    """Remove what this process has begun to write and will not end, for one that leaves without unwinding."""
    for path in list(_being_written):
        with contextlib.suppress(OSError):
            path.unlink()


def _remove_if_left(path: Path) -> None:
    """Remove a file that no process holds the lock of; leave it where that cannot be known."""
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(file)
