"""Reading files of ours, which may have become anything meanwhile: the one place where their content is believed.

A file is opened if it is a regular one (a named pipe would hang), read if it is not too large, and checked against a
declared structure: a TypedDict beside the code that writes the file. What is wrong becomes an InputError that names
the file, the field and the way out.
"""

import contextlib
import csv
import io
import os
import re
import stat
from collections.abc import Iterator
from typing import Annotated, BinaryIO

from ecgbeats.command import InputError

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

LARGEST_JSON = 16 * 2**20  # bytes
DEEPEST_JSON = 64  # levels
LARGEST_CSV = 2**30  # bytes
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


@contextlib.contextmanager
def open_file(path: str | os.PathLike, remedy: str) -> Iterator[BinaryIO | None]:
    """Open a file to read its bytes; None where there is no such file.

    Raises InputError, ending in ``remedy``, for what is no regular file, or cannot be read.
    """
    try:
        # Without waiting: a named pipe would be opened when somebody writes to it.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    except OSError as problem:
        raise InputError(f"{path} cannot be read ({problem.strerror}); {remedy}") from None
    except ValueError as problem:  # a null character in the path
        raise InputError(f"{path!r} cannot be read ({problem}); {remedy}") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise InputError(f"{path} cannot be read (no regular file); {remedy}")
    with open(number, "rb") as file:
        try:
            yield file
        except OSError as problem:  # a disk's fault, or a file that is none, as in /proc
            raise InputError(f"{path} cannot be read ({problem.strerror or problem}); {remedy}") from None


def read_file(path: str | os.PathLike, remedy: str, most: int) -> bytes | None:
    """Return a file's bytes, or None where there is no such file.

    Raises InputError as :func:`open_file` does, and for a file of more than ``most`` bytes.
    """
    with open_file(path, remedy) as file:
        content = None if file is None else file.read(most + 1)
    if content is not None and len(content) > most:
        raise InputError(f"{path} has more than {most / 2**20:,.0f} MB; {remedy}")
    return content


def list_folder(path: str | os.PathLike, what: str, remedy: str) -> list[os.DirEntry]:
    """Return what a folder holds. Raises InputError, ``WHAT is no folder; REMEDY`` or the like, where it cannot."""
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except FileNotFoundError:
        fault = "does not exist"
    except NotADirectoryError:
        fault = "is a file, not a folder"
    except OSError as problem:
        fault = f"cannot be read ({problem.strerror})"
    raise InputError(f"{what} {fault}; {remedy}")


def need(content: bytes | None, path: str | os.PathLike, remedy: str) -> bytes:
    """Return the content that :func:`read_file` gave. Raises InputError where there is no such file."""
    if content is None:
        raise InputError(f"{path}: no such file; {remedy}")
    return content


def parse_json(content: bytes | str, kind, where: str, remedy: str):
    """Return JSON's content, checked against ``kind``, a type that msgspec knows.

    Raises InputError, naming ``where`` and the field, for what is no JSON, is nested too deep, or is not of that type.
    """
    content = content.encode() if isinstance(content, str) else content
    depth = 0
    for bracket in _BRACKETS.findall(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(bracket, 0)
        if depth > DEEPEST_JSON:
            raise InputError(
                f"{where} cannot be read (nested more than {DEEPEST_JSON} levels deep); {remedy}"
            )
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise InputError(f"{where} cannot be read ({problem}); {remedy}") from None


def read_json(path: str | os.PathLike, kind, remedy: str):
    """Return the checked content of a JSON file (see :func:`parse_json`), or None where there is no such file."""
    content = read_file(path, remedy, LARGEST_JSON)
    return None if content is None else parse_json(content, kind, str(path), remedy)


def read_text(path: str | os.PathLike, remedy: str, most: int = LARGEST_CSV, errors: str = "strict") -> str:
    """Return the content of a text file in UTF-8, with ``errors`` as for open. Raises InputError without one."""
    content = need(read_file(path, remedy, most), path, remedy)
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no text in UTF-8 ({problem.reason}); {remedy}") from None


def read_csv(
    path: str | os.PathLike, remedy: str, errors: str = "strict", most: int = LARGEST_CSV
) -> tuple[str, list[tuple[int, list[str]]]]:
    """Return the text of a comma-separated file, and its rows with their line numbers (from 1), empty ones left out."""
    text = read_text(path, remedy, most, errors)
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        return text, [(lines.line_num, row) for row in lines if any(map(str.strip, row))]
    except csv.Error as problem:
        raise InputError(f"{path}, line {lines.line_num}: {problem}; {remedy}") from None
