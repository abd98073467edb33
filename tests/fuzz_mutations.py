"""What can become of an option and of a file: each function makes one change, drawn by ``random``, and says which."""

import csv
import io
import json
import os
import re
import shutil
import socket
import struct
import zipfile
import zlib
from pathlib import Path
from random import Random

import numpy as np

DEEP = 100_000
NUMBERS = [
    *(
        "0",
        "1",
        "2",
        "-1",
        "7",
        "0.5",
        "1.5",
        "-0",
        "+1",
        "1e3",
        "1e308",
        "-1e308",
        "1e-320",
        "1e999",
        "nan",
        "-inf",
    ),
    *("2147483647", "2147483648", "4294967296", "18446744073709551616", "9" * 40, "9" * 5000),
    *("0x10", "1_0", "½", "１", "1 ", "1,5", "true"),
]
# A lone \udcXX is how Python has a byte that is no UTF-8.
NAMES = [
    *("", " ", "-", "--", "=--", ".", "x", "a b", "a\nb", "a\rb", "é", "正常", "\x1b[31m", "\x7f", "{}", "%s", "$HOME", "*"),
    *("\udcff", "a\udcfe/\udc80", "n" * 255, "n" * 300, "/".join("d" * 1500), "../" * 50, "=1+1", "NOR", "@task.conf"),
    *("nowhere", "nowhere/deep", "records", "data", "run", "run/config.json", "run/log.csv/x", "task.conf", "stranger"),
    *("/dev/null", "/dev/zero", "/dev/null/x", "/proc/self/mem", "pipe", "loop", "broken-link", "empty", "new.png"),
]  # fmt: skip
JSON_VALUES = [
    *("null", "true", "false", '""', '"x"', "[]", "{}", "[[]]", "[null]", '{"a": {}}', '["NOR"]', '"../x"', '"\\ud800"'),
    *("0", "1", "-1", "0.5", "7", "1e308", "-1e308", "1e999", "NaN", "-Infinity", "9223372036854775808", "9" * 5000),
    *('"' + "n" * 10_000 + '"', "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, '"a\\u0000b\\nc"', "[1, 2"),
]  # fmt: skip
CELLS = [*NUMBERS, *NAMES[:14], "\udcff", "=1+1", '"', '"x', "NOR", "None"]


def odd_value(random: Random, value: str) -> str:
    """Return another value of an option: of its kind, or not."""
    if random.random() < 0.25:
        return random.choice([value + "x", value[:-1], value * 2, " " + value, value + "\n", value.upper()])
    return random.choice(NUMBERS + NAMES)


def change_words(random: Random, words: list[str]) -> tuple[list[str], str]:
    """Return a command line with one change."""
    place, changed = random.randrange(len(words)), list(words)
    kind = random.choice(["value"] * 6 + ["drop", "twice", "insert", "unknown", "swap"])
    if kind == "value":
        # Values first of all: an option's name is only told to be unknown.
        values = [i for i, word in enumerate(words) if not word.startswith("--")]
        place = random.choice(values)
        changed[place] = odd_value(random, words[place])
    elif kind == "drop":
        del changed[place]
    elif kind == "twice":
        changed.insert(place, words[place])
    elif kind == "insert":
        changed.insert(place, random.choice(NAMES + NUMBERS))
    elif kind == "unknown":
        changed.append(
            random.choice(["--unknown", "--out", "-x", "--data=", "--help=1", "--seed=", "--\udcff"])
        )
    else:
        other = random.randrange(len(words))
        changed[place], changed[other] = changed[other], changed[place]
    return changed, f"{kind} at word {place}"


def change_file(random: Random, path: Path) -> str:
    """Change a file in one way, and say in words which."""
    parts = CHANGES.get(path.suffix)
    draw = random.random()
    if draw < 0.2:
        return _replace(random, path)
    content = path.read_bytes()
    if parts is None or draw < 0.4:
        words, content = change_bytes(random, content)
    else:
        try:
            words, content = parts(random, content)
        except (ValueError, LookupError, struct.error, zipfile.BadZipFile):  # changed before
            words, content = change_bytes(random, content)
    path.unlink()  # it may be a link to a file that others have
    path.write_bytes(content)
    return words


def _replace(random: Random, path: Path) -> str:
    kind = random.choice(
        ["gone", "empty", "pipe", "folder", "zeros", "memory", "loop", "broken link", "socket", "huge"]
    )
    path.unlink()
    if kind == "empty":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("zeros", "memory", "loop", "broken link"):
        target = {
            "zeros": "/dev/zero",
            "memory": "/proc/self/mem",
            "loop": path.name,
            "broken link": "nowhere",
        }
        path.symlink_to(target[kind])
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket has its limit
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
        os.chdir(here)
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(2**40)  # takes no room
    return f"instead of it: {kind}"


def change_bytes(random: Random, content: bytes) -> tuple[str, bytes]:
    """Change some bytes of anything."""
    kind = random.choice(["cut", "flip", "flip", "fill", "insert", "twice", "append", "BOM", "CRLF"])
    place = int(random.random() * len(content))
    if kind == "cut":
        content = content[:place]
    elif kind == "flip" and content:
        changed = bytearray(content)
        for _ in range(random.choice([1, 1, 3, 30])):
            changed[int(random.random() * len(content))] ^= 1 << random.randrange(8)
        content = bytes(changed)
    elif kind == "fill":
        length = random.choice([1, 10, 1000])
        content = (
            content[:place] + random.choice([b"\0", b"\xff", b" ", b"9"]) * length + content[place + length :]
        )
    elif kind == "insert":
        content = content[:place] + random.randbytes(random.choice([1, 7, 300])) + content[place:]
    elif kind == "twice":
        content += content
    elif kind == "append":
        content += random.choice([b"\n", b"\0", b"\xff\xfe", b"x", b"\r\n,,,\r\n"])
    elif kind == "BOM":
        content = b"\xef\xbb\xbf" + content
    elif kind == "CRLF":
        content = content.replace(b"\n", b"\r\n")
    return f"bytes: {kind} at {place}", content


def change_json(random: Random, content: bytes) -> tuple[str, bytes]:
    """Give one place of JSON another value, or take it out, or add a name."""
    tree = json.loads(content)
    places = list(_places(tree))
    path = random.choice(places)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    words, value = ".".join(map(str, path)), random.choice(JSON_VALUES)
    draw = random.random()
    if path and draw < 0.2:
        del holder[path[-1]]
        return f"{words} is missing", json.dumps(tree).encode()
    if path and draw < 0.3 and isinstance(holder, dict):
        holder[random.choice(["x", "", "\ud800", "n" * 1000])] = "@value@"
    elif path:
        holder[path[-1]] = "@value@"
    else:
        tree = "@value@"
    words += f" = {value if len(value) < 40 else value[:20] + '...'}"
    return words, json.dumps(tree).replace('"@value@"', value).encode()


def _places(tree, above=()):
    yield above
    for key, value in (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    ):
        yield from _places(value, (*above, key))


def change_csv(random: Random, content: bytes) -> tuple[str, bytes]:
    """Change a cell, a row or a column."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline="")))
    row, column = random.randrange(len(rows)), random.randrange(len(rows[0]))
    kind = random.choice(
        ["cell"] * 5 + ["name", "drop row", "row twice", "drop column", "shuffle", "short row"]
    )
    if kind in ("cell", "name"):
        row = 0 if kind == "name" else row
        rows[row][column] = random.choice(CELLS)
        kind += f" = {rows[row][column][:40]!r}"
    elif kind == "drop row":
        del rows[row]
    elif kind == "row twice":
        rows.insert(row, rows[row])
    elif kind == "drop column":
        rows = [one[:column] + one[column + 1 :] for one in rows]
    elif kind == "shuffle":
        random.shuffle(rows)
    else:
        rows[row] = rows[row][:column]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"row {row}, column {column}: {kind}", text.getvalue().encode("utf-8", "surrogateescape")


def change_text(random: Random, content: bytes) -> tuple[str, bytes]:
    """Change a word or a line: of a header, or a task file."""
    kind = random.choice(["word"] * 5 + ["drop line", "line twice"])
    if kind == "word":
        found = random.choice(list(re.finditer(rb"[^\s=/()]+", content)))
        value = random.choice(CELLS).encode("utf-8", "surrogateescape")
        words = f"{found[0].decode(errors='replace')[:40]} is {value[:40]!r}"
        return words, content[: found.start()] + value + content[found.end() :]
    lines = content.splitlines(keepends=True)
    place = random.randrange(len(lines))
    lines[place : place + 1] = [] if kind == "drop line" else [lines[place]] * 2
    return f"{kind}: {place}", b"".join(lines)


def change_network(random: Random, content: bytes) -> tuple[str, bytes]:
    """Change a part of a .keras file, its checksum with it, or the names of its classes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment
    part = random.choice(["classes", *members])
    if part == "classes":
        words, comment = change_json(random, comment)
        comment = comment[: zipfile.ZIP_MAX_COMMENT]
    else:
        change = change_json if part.endswith(".json") else change_bytes
        words, members[part] = change(random, members[part])
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
        archive.comment = comment
    return f"its {part}: {words}", changed.getvalue()


def change_state(random: Random, content: bytes) -> tuple[str, bytes]:
    """Change the note of a state for resuming, or an array."""
    with np.load(io.BytesIO(content)) as saved:
        arrays = dict(saved)
    name = random.choice(["about"] * 3 + list(arrays))
    if name == "about":
        words, note = change_json(random, str(arrays["about"]).encode())
        arrays["about"] = np.array(note.decode())
    else:
        words, array = random.choice(
            [
                ("is missing", None),
                ("of another shape", np.zeros(3, np.float32)),
                ("of text", np.array(["x"])),
                (
                    "not finite",
                    np.full_like(arrays[name], 255 if arrays[name].dtype.kind in "iu" else np.nan),
                ),
                ("transposed", arrays[name].T),
                ("complex", arrays[name].astype(complex)),
            ]
        )
        arrays[name] = array
        if array is None:
            del arrays[name]
    changed = io.BytesIO()
    np.savez(changed, **arrays)
    return f"its {name}: {words}", changed.getvalue()


def change_png(random: Random, content: bytes) -> tuple[str, bytes]:
    """Change a chunk of a PNG, its checksum with it."""
    chunks, place = [], 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    number = random.randrange(len(chunks))
    kind, data = chunks[number]
    draw = random.random()
    if draw < 0.6 and data:
        words, data = change_bytes(random, data)
        chunks[number] = kind, data
    elif draw < 0.8:
        words = "gone"
        del chunks[number]
    else:
        words = "twice"
        chunks.insert(number, (kind, data))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return f"chunk {kind.decode()}: {words}", content[:8] + b"".join(parts)


CHANGES = {
    ".json": change_json,
    ".csv": change_csv,
    ".hea": change_text,
    ".conf": change_text,
    ".keras": change_network,
    ".npz": change_state,
    ".png": change_png,
}


def make_odd_places(folder: Path) -> None:
    """Make what NAMES name: a pipe, a loop, a link that leads nowhere, an empty folder."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "broken-link").symlink_to("nowhere-at-all")
    (folder / "empty").mkdir()


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
