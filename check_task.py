"""Tell what in a DBC task file is still to be filled in or would be refused, before it is submitted.

    python check_task.py [task.conf]

Prints what the task will do and ends with status 0, or lists what to mend and ends with 2. The rules are
those of DBC's client of 2018 (ai_power_requestor_service.cpp), which parses the file with Boost's
program_options, and those of this project: on DBC there is one try, and it costs rented hours.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import hashlib
import json
import re
from pathlib import Path

from ecgbeats.command import InputError

# The client's keys; what may be left out holds its default. Any other key makes it refuse the task.
REQUIRED = ("peer_nodes_list", "training_engine", "code_dir", "entry_file")
KEYS = (
    *REQUIRED,
    *("data_dir", "hyper_parameters", "server_specification", "server_count", "select_mode"),
    *("task_id", "master", "checkpoint_dir", "container_name"),
)
MOST_BYTES = 2**20  # of a task file
MOST_CHARACTERS = 128  # of an image's and the entry file's name
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# A Docker image: [registry/]name[:tag], in small letters but for the tag.
IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]*(:\d+/[a-z0-9._-]+)?(/[a-z0-9._-]+)*(:\w[\w.-]*)?")
# What a machine may be set to accept alone.
DBC_IMAGE = re.compile(r"dbctraining/.*-(cpu|gpu):v\d*\.\d*\.\d*")
PLACEHOLDER = re.compile(r"\b[A-Z]+(_[A-Z]+)+\b|\bHOURS\b")


def main(arguments: list[str]) -> None:
    """Check the file that is named, or task.conf beside this script."""
    parser = command.Parser(prog="check_task.py", description=__doc__)
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path(__file__).parent / "task.conf", help="default task.conf"
    )
    path = parser.parse_args(arguments).file
    task, findings = parse(read_task(path))
    notes = []
    findings += check(task, notes)
    for note in notes:
        print(f"note: {note}")
    if findings:
        for finding in findings:
            print(f"- {finding}")
        raise InputError(f"{path} is not ready: {len(findings)} to mend, listed on standard output")
    print(f"machine  {', '.join(task['peer_nodes_list'])}")
    print(f"image    {task['training_engine']}")
    print(f"code     {task['code_dir']}")
    print(f"data     {task.get('data_dir') or 'none: simulated records'}")
    print(f"command  bash {task['entry_file']} {task.get('hyper_parameters', '')}".rstrip())
    print("ready")


def read_task(path: Path) -> str:
    """Return a task file's text. This script runs without any package, so it is read here."""
    if not path.is_file():  # a named pipe would be waited for
        raise InputError(f"{path}: no such file, or no regular one; name the task file")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}; name the task file") from problem
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES:,d} bytes; name the task file")
    return content.decode(errors="surrogateescape")


def parse(text: str) -> tuple[dict, list[str]]:
    """Read a task file as the client does.

    Parameters
    ----------
    text : str
        The file's content.

    Returns
    -------
    task : dict
        The value of each known key; for ``peer_nodes_list``, which may stand more than once, a list.
    findings : list of str
        What would make the client refuse the file, with the number of the line.
    """
    task, findings = {}, []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.partition("#")[0].strip()
        key, equals, value = (part.strip() for part in line.partition("="))
        if not line:
            continue
        if key.startswith("\ufeff"):
            findings.append(f"line {number}: the file starts with a byte order mark; save it without (UTF-8)")
        elif key.startswith("[") or not equals:
            findings.append(f"line {number}: {line!r} is not key=value")
        elif key == "dataset_dir":
            findings.append(
                f"line {number}: the client knows no dataset_dir (the tutorial's word); use data_dir"
            )
        elif key not in KEYS:
            findings.append(f"line {number}: the client knows no key {key!r}; it knows {', '.join(KEYS)}")
        elif key == "peer_nodes_list":
            task.setdefault(key, []).append(value)
        elif key in task:
            findings.append(f"line {number}: {key} stands twice")
        else:
            task[key] = value
    return task, findings


def check(task: dict, notes: list[str]) -> list[str]:
    """Return what is wrong with the values of a task; what is only worth knowing is added to ``notes``."""
    findings = [f"{key} is missing" for key in REQUIRED if not task.get(key)]
    for key, value in task.items():
        for one in value if isinstance(value, list) else [value]:
            placeholder = PLACEHOLDER.search(one) if key != "server_specification" else None
            if placeholder:
                findings.append(f"{key} still holds the placeholder {placeholder[0]}: fill it in")
            elif one:
                findings += CHECKS.get(key, lambda value, notes: [])(one, notes)
            elif key == "peer_nodes_list" or key in ("server_count", "select_mode"):
                findings.append(f"{key} is empty: fill it in, or leave the line out")
    if task.get("code_dir") and task.get("code_dir") == task.get("data_dir"):
        findings.append("code_dir and data_dir are the same: dbc_upload prints one DIR_HASH for each folder")
    if not task.get("data_dir"):
        notes.append("data_dir is empty: the node trains on simulated records, not on medical data")
    if "--max-hours" not in task.get("hyper_parameters", ""):
        notes.append("hyper_parameters has no --max-hours: if the rent ends before run.sh does, all is lost")
    return findings


def check_machine(node: str, notes: list[str]) -> list[str]:
    """A node id is Base58Check: its last four bytes are a checksum, so a mistyped one is told."""
    if not set(node) <= set(BASE58):
        return [
            f"peer_nodes_list: {node!r} is no node id: it has characters that base58 does not (0 O I l, signs)"
        ]
    number = 0
    for character in node:
        number = number * 58 + BASE58.index(character)
    zeros = len(node) - len(node.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) < 5 or hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] != data[-4:]:
        return [f"peer_nodes_list: {node} is no node id (its checksum is wrong): copy it again"]
    return []


def check_image(image: str, notes: list[str]) -> list[str]:
    """The client asks for at most 128 characters; what else is wrong would show on the node, as task_noimage_closed."""
    if len(image) > MOST_CHARACTERS:
        return [f"training_engine is longer than {MOST_CHARACTERS} characters"]
    if not IMAGE.fullmatch(image):
        return [f"training_engine: {image!r} is no Docker image name (name/image:tag, in small letters)"]
    if image.startswith("dbctraining/tensorflow1."):
        return [
            f"training_engine: {image} has a Python too old for this code; build the Dockerfile and name your image"
        ]
    if not DBC_IMAGE.match(image):
        notes.append(f"a machine that takes only dbctraining/... images refuses {image}: ask its owner")
    return []


def check_hash(key: str, value: str) -> list[str]:
    """A DIR_HASH is an IPFS address: Qm and 44 characters of base58. The client asks for 46 letters or digits."""
    if re.fullmatch(f"Qm[{BASE58}]{{44}}", value):
        return []
    return [f"{key}: {value!r} is no DIR_HASH (Qm and 44 letters or digits): copy what dbc_upload printed"]


def check_code(value: str, notes: list[str]) -> list[str]:
    """A DIR_HASH, or on Linux a folder, which the client uploads."""
    if "/" not in value:
        return check_hash("code_dir", value)
    if not Path(value).is_absolute():
        return [f"code_dir: {value}: write the folder's whole path, or the DIR_HASH of dbc_upload"]
    for part in ("run.sh", "train_keras.py", "ecgbeats"):
        if not (Path(value) / part).exists():
            return [f"code_dir: {value} holds no {part} here: name the folder with the code, or its DIR_HASH"]
    sizes = [path.stat().st_size for path in Path(value).rglob("*") if path.is_file()]
    notes.append(
        f"all that lies in {value} is uploaded, {len(sizes):,d} files of {sum(sizes) / 1e6:,.1f} MB: "
        "keep .git, .venv, images and earlier outputs out of it"
    )
    return []


def check_data(value: str, notes: list[str]) -> list[str]:
    """A DIR_HASH; the client uploads no data."""
    if "/" in value:
        return [
            f"data_dir: {value} is a path: upload it with dbc_upload, and write the DIR_HASH that it prints"
        ]
    return check_hash("data_dir", value)


def check_entry(value: str, notes: list[str]) -> list[str]:
    """This project's is run.sh."""
    if value != "run.sh":
        return [f"entry_file is {value!r}: this project's is run.sh"]
    return []


def check_arguments(value: str, notes: list[str]) -> list[str]:
    """The options as train_keras.py takes them; DBC's script parts them at spaces, unquoted."""
    if set(value) & set("\"'`$;|&<>*?()\\"):
        return [
            "hyper_parameters: quotes and the shell's signs do not work there; options and plain words only"
        ]
    words = value.split()
    for word in words:
        if word.partition("=")[0] in ("--data", "--output", "-h", "--help"):
            return [f"hyper_parameters: leave out {word}: run.sh gives the folders that DBC uses"]
    try:
        from train_keras import read_options
    except ImportError as problem:
        notes.append(f"hyper_parameters was not checked ({problem}): .venv/bin/python check_task.py does")
        return []
    try:
        read_options([*words, "--data", "data", "--output", "output"])
    except InputError as problem:
        return [f"hyper_parameters: {problem}"]
    return []


def check_specification(value: str, notes: list[str]) -> list[str]:
    """JSON with the environment of the container."""
    try:
        json.loads(value)
    except (ValueError, RecursionError) as problem:
        return [
            f'server_specification is no JSON ({problem}), such as {{"env":{{"NVIDIA_VISIBLE_DEVICES":"0"}}}}'
        ]
    return []


def check_count(value: str, notes: list[str]) -> list[str]:
    """The parser takes a 32-bit number."""
    if not re.fullmatch(r"[+-]?\d{1,9}", value):
        return [f"server_count: {value!r} is not a whole number"]
    return []


def check_mode(value: str, notes: list[str]) -> list[str]:
    """The parser takes one character; the client's default is 0."""
    if value != "0":
        return [f"select_mode: {value!r} is not 0"]
    return []


CHECKS = {
    "peer_nodes_list": check_machine,
    "training_engine": check_image,
    "code_dir": check_code,
    "data_dir": check_data,
    "entry_file": check_entry,
    "hyper_parameters": check_arguments,
    "server_specification": check_specification,
    "server_count": check_count,
    "select_mode": check_mode,
}

if __name__ == "__main__":
    command.run(main)
