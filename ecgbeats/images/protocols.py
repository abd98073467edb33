"""Who trains and who tests: the words of --split, which may be a list of records by part, in a CSV file.

A list has the columns ``record,part`` and maybe ``patient``; a part is training, validation or test. The field's lists
lie in protocols/ beside the package, and go by their names.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from ecgbeats.command import InputError
from ecgbeats.reading import read_csv

import numpy as np

PARTS = ("training", "validation", "test")
METHODS = ("beats", "records")
FOLDER = Path(__file__).resolve().parents[2] / "protocols"
LARGEST_LIST = 2**24  # bytes
LONGEST_NAME = 200  # characters of a record or patient
# Records of one patient (physionet.org/physiobank/database/html/mitdbdir/intro.htm).
SAME_PATIENT = {"202": "201"}
# de Chazal, O'Dwyer, Reilly: IEEE Trans Biomed Eng 51(7):1196-1206 (2004). The paced records are left out.
DS1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230".split()
DS2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234".split()
_REMEDY = "mend the list, or give --split another"


class RecordList(TypedDict):
    """A list as config.json keeps it: the part of each record, and the patient of those that have a name of their own."""

    parts: dict[str, Literal[PARTS]]
    patients: dict[str, str]


@dataclass(frozen=True)
class Protocol:
    """How beats are parted.

    Attributes
    ----------
    name : str or None
        As --split gives it: one of METHODS, or the name or path of a list. None for images that were not parted, of
        patients that trained nothing.
    parts : dict, optional
        The part of each record of a list.
    patients : dict
        The patient of each record whose patient is not called as the record.
    """

    name: str | None
    parts: dict[str, str] | None = None
    patients: dict[str, str] = field(default_factory=SAME_PATIENT.copy)

    @property
    def keeps_patients_apart(self) -> bool:
        """Whether no patient stands in two parts (but for DS1 and DS2, see :attr:`has_ds1_ds2`)."""
        return self.name != "beats"

    @property
    def has_ds1_ds2(self) -> bool:
        """Whether it trains on all of DS1 and tests on all of DS2, as the field does: they share a patient, 201 and 202."""
        parts = self.parts or {}
        return all(parts.get(record) in PARTS[:2] for record in DS1) and all(
            parts.get(record) == "test" for record in DS2
        )

    @property
    def content(self) -> RecordList | None:
        """What config.json keeps of a list, so that a run is of it whatever becomes of the file; None for METHODS."""
        return None if self.parts is None else {"parts": self.parts, "patients": self.patients}

    def is_same(self, other: "Protocol") -> bool:
        """Return whether both part alike: the same list, wherever its file lies, or the same of METHODS."""
        return self.content == other.content and (self.parts is not None or self.name == other.name)

    def patients_of(self, records: np.ndarray) -> np.ndarray:
        """Return the patient of each beat, by the record of each: str, shape (beats,)."""
        return np.array([self.patients.get(record, record) for record in records])


BEATS = Protocol("beats")


def read_protocol(split: str) -> Protocol:
    """Return the protocol that --split means: one of METHODS, a name of protocols/, or a path that ends in .csv.

    Raises InputError, naming file and line, where there is no such list, or it is not in order.
    """
    if split in METHODS:
        return Protocol(split)
    path = Path(split)
    if not is_file(split):
        path = FOLDER / f"{split}.csv"
        if split not in named_lists():
            raise InputError(
                f"--split {split}: no such protocol; choose from {', '.join([*METHODS, *named_lists()])}, or name a CSV "
                "file (FILE.csv) with the columns record,part"
            )
    _, rows = read_csv(path, "give --split a CSV file with the columns record,part", most=LARGEST_LIST)
    return _check_list(split, path, rows)


def is_file(split: str) -> bool:
    """Return whether --split names a file."""
    return split.lower().endswith(".csv") or Path(split).name != split


def named_lists() -> list[str]:
    """Return the names of the lists in protocols/, DS1 and DS2 first."""
    return sorted((path.stem for path in FOLDER.glob("*.csv")), key=lambda name: (name != "ds1-ds2", name))


def _check_list(split: str, path: Path, rows: list[tuple[int, list[str]]]) -> Protocol:
    """Return the protocol of a list's rows, each with its line. Raises InputError for what cannot be one."""
    header = [name.strip() for name in rows[0][1]] if rows else []
    if sorted(header) not in (["part", "record"], ["part", "patient", "record"]):
        raise InputError(
            f"{path} is no list of records: its first line must be record,part or record,part,patient; {_REMEDY}"
        )
    parts, patients, lines = {}, {}, {}
    for line, row in rows[1:]:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise InputError(f"{where}: {len(row)} columns instead of {len(header)}; {_REMEDY}")
        cells = dict(zip(header, map(str.strip, row), strict=True))
        record, part = cells["record"], cells["part"]
        for name, cell in cells.items():
            if not cell.isprintable() or len(cell) > LONGEST_NAME or not (cell or name == "patient"):
                raise InputError(
                    f"{where}: {cell[:LONGEST_NAME]!r} is no name of a {name}, it is empty, too long, or holds control "
                    f"characters; {_REMEDY}"
                )
        if part not in PARTS:
            raise InputError(f"{where}: the part is {part!r}, not one of {', '.join(PARTS)}; {_REMEDY}")
        if record in parts:
            raise InputError(f"{where}: record {record} stands in line {lines[record]}, too; {_REMEDY}")
        parts[record], lines[record] = part, line
        patient = cells.get("patient") or SAME_PATIENT.get(record, record)
        if patient != record:
            patients[record] = patient
    for part in ("training", "test"):
        if part not in parts.values():
            raise InputError(f"{path} has no record whose part is {part}; {_REMEDY}")
    protocol = Protocol(split, parts, patients)
    _check_patients(protocol, path, lines)
    return protocol


def _check_patients(protocol: Protocol, path: Path, lines: dict[str, int]) -> None:
    """Raise InputError where a patient stands in two parts; but DS1 and DS2 are what the field compares by."""
    seen = {}
    for record, part in protocol.parts.items():
        patient = protocol.patients.get(record, record)
        other = seen.setdefault(patient, record)
        if protocol.parts[other] == part or (protocol.has_ds1_ds2 and {record, other} == {"201", "202"}):
            continue
        raise InputError(
            f"{path}, line {lines[record]}: record {record} is in {part}, and record {other} (line {lines[other]}) of "
            f"the same patient, {patient}, in {protocol.parts[other]}; {_REMEDY}"
        )
