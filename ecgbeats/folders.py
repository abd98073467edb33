"""Folders that are whole or not there, and a lock that keeps two processes out of one."""

import contextlib
import errno
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError

# A folder that holds a file of this name is being filled, or what filled it was killed.
UNFINISHED = "UNFINISHED"
# Errors of network disks that have no locks; there two processes are not told apart.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextlib.contextmanager
def alone(
    lock_file: str | os.PathLike, otherwise: str | None = None, wait: str | None = None
) -> Iterator[None]:
    """Hold a lock that ends with its process.

    Where another process holds it, raises InputError(otherwise), or prints ``wait`` and waits.
    """
    import filelock

    if os.path.islink(lock_file) or os.path.isdir(lock_file):
        raise InputError(
            f"{lock_file} has the name of a lock, and is none; remove it, or choose another folder"
        )
    # Not by a file that is there or not, which outlives its process.
    lock = filelock.FileLock(lock_file, fallback_to_soft=False)
    try:
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            if wait is None:
                raise InputError(otherwise) from None
            print(wait, flush=True)
            lock.acquire()
    except OSError as problem:
        if problem.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


def is_unfinished(folder: str | os.PathLike) -> bool:
    """Return whether :func:`whole_folder` fills this folder, or was stopped in it."""
    return os.path.lexists(os.path.join(folder, UNFINISHED))


def refuse_unfinished(folder: str | os.PathLike, remedy: str) -> None:
    """Raise InputError, ending in ``remedy``, for such a folder."""
    if is_unfinished(folder):
        raise InputError(f"{folder} is not whole: what fills it still runs, or was stopped; {remedy}")


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty folder that is at ``path``, whole, when the block ends; if it fails, all is as before.

    It is filled beside ``path`` and then renamed. Where no folder can take that name, a mount or the current folder,
    it is filled in place, with a file UNFINISHED in it that is removed last. What a killed process left goes first.

    ``path`` must not exist, or be empty or unfinished, or a link to such a folder. Raises InputError where it is
    not, or cannot be made, or another process is filling it.
    """
    command.check_output(path)
    place = Path(os.path.realpath(path))
    command.make_folder(place.parent)
    folder = _where_to_fill(place)
    marker = folder / UNFINISHED
    with alone(marker, f"{path}: another process is filling it; wait for it, or choose another --output"):
        try:
            marker.write_text(
                "This folder is being filled, or what filled it was stopped: it is not whole.\n"
            )
            _clear(folder)
            yield folder
            if folder != place:
                _rename(folder, place)
            (place / UNFINISHED).unlink()
        except BaseException:
            with contextlib.suppress(OSError):
                _clear(folder)
                marker.unlink()
                if folder != place:
                    folder.rmdir()
            raise


def _where_to_fill(place: Path) -> Path:
    """Return the folder to fill, made if need be: one beside ``place``, or that itself."""
    if place.is_dir():
        found = os.listdir(place)
        if found and not is_unfinished(place):
            raise InputError(f"{place} is not empty; choose another --output")
        if found or not _can_be_replaced(place):
            return place
    # The same for all that fill this place, so that the lock in it parts them.
    whole_name = zlib.crc32(os.fsencode(place.name))
    beside = place.with_name(f".{place.name[:40]}.partial-{whole_name:08x}")
    command.make_folder(beside)
    return beside


def _can_be_replaced(place: Path) -> bool:
    """Return whether another folder can take the place of this empty one: it is tried."""
    if place.samefile(os.curdir):  # it can, but who stands in it would stand in one that is gone
        return False
    try:
        other = tempfile.mkdtemp(prefix=".", dir=place.parent)
    except OSError:
        return False
    try:
        shutil.copymode(place, other)
        os.replace(other, place)
    except OSError:
        os.rmdir(other)
        return False
    return True


def _rename(folder: Path, place: Path) -> None:
    try:
        os.replace(folder, place)
    except OSError as problem:
        if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise InputError(f"{place} was filled by somebody meanwhile; choose another --output") from None


def _clear(folder: Path) -> None:
    """Remove what the folder holds, but for the file UNFINISHED."""
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name != UNFINISHED:
                os.unlink(entry.path)
