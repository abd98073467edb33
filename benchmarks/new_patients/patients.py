"""The patients that experiments choose by: the records of DS1 and svdb, all leads at one rate. DS2 is never read."""

import hashlib
from dataclasses import dataclass
from math import gcd
from pathlib import Path

from ecgbeats.images.protocols import DS1
from ecgbeats.reading import need, read_file
from ecgbeats.records.record import Record
from ecgbeats.records.symbols import symbol_classes
from ecgbeats.records.wfdb_files import ANNOTATOR, find_records, read_record

import numpy as np
from scipy.signal import resample_poly

CLASSES = ["N", "S", "V", "F", "Q"]
RATE = 128  # Hz, svdb's
FOLDS = 5
LARGEST_FILE = 2**24  # bytes of a header or of annotations


@dataclass(frozen=True)
class Patient:
    """A record of one patient: its leads, the first being the one that is scored.

    ``labels`` are positions in CLASSES, int8, shape (beats,), -1 for a beat that AAMI's classes do not count.
    """

    name: str
    part: str
    leads: list[Record]
    labels: np.ndarray


def read_patients(mitdb: Path, svdb: Path, rate: int = RATE) -> list[Patient]:
    """Read DS1 and svdb at ``rate`` Hz."""
    paths = [("ds1", mitdb / name) for name in DS1]
    paths += [("svdb", svdb / name) for name in find_records(svdb)]
    return [read_patient(path, part, rate) for part, path in paths]


def checksums(mitdb: Path, svdb: Path) -> dict[str, str]:
    """Return what tells the records that are read from others, by folder: their headers, which sum the signals, and beats."""
    found = {}
    for name, folder, records in (("mitdb", mitdb, DS1), ("svdb", svdb, find_records(svdb))):
        digest, remedy = hashlib.sha256(), f"give --{name} the folder of its records"
        for file in (folder / f"{record}.{suffix}" for record in records for suffix in ("hea", ANNOTATOR)):
            digest.update(file.name.encode() + need(read_file(file, remedy, LARGEST_FILE), file, remedy))
        found[name] = f"records of checksum {digest.hexdigest()[:16]}"
    return found


def read_patient(path: Path, part: str, rate: int) -> Patient:
    """Read both leads of one record; the lead that make_dataset.py takes comes first."""
    first = read_record(path)
    others = [read_record(path, lead) for lead in ("0", "1")]
    leads = [first, *(lead for lead in others if lead.lead != first.lead)]
    return Patient(path.name, part, [at_rate(lead, rate) for lead in leads], labels_of(first))


def labels_of(record: Record) -> np.ndarray:
    """Return the positions of a record's beats in CLASSES: int8, shape (beats,), -1 for a beat of none."""
    classes = symbol_classes("aami")
    names = [classes.get(symbol) for symbol in record.symbols]
    return np.array([CLASSES.index(name) if name else -1 for name in names], np.int8)


def at_rate(record: Record, rate: int) -> Record:
    """Return a record as if it had been sampled at ``rate`` Hz."""
    if record.rate == rate:
        return record
    common = gcd(rate, int(record.rate))
    signal = resample_poly(record.signal.astype(np.float64), rate // common, int(record.rate) // common)
    samples = np.minimum(np.rint(record.samples * rate / record.rate).astype(np.int64), len(signal) - 1)
    return Record(record.name, record.lead, float(rate), signal.astype(np.float32), samples, record.symbols)


def folds(patients: list[Patient], number: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Return the fold of each patient, int, shape (patients,): near to stratified over classes and parts."""
    from sklearn.model_selection import StratifiedGroupKFold

    # A beat of S in DS1 is to be shared out apart from one in svdb.
    strata = [patient.labels.astype(int) + 10 * (patient.part == "svdb") for patient in patients]
    groups = np.repeat(np.arange(len(patients)), [len(labels) for labels in strata])
    labels = np.concatenate(strata)
    found = np.empty(len(patients), int)
    split = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    for fold, (_, inside) in enumerate(split.split(labels, labels, groups)):
        found[np.unique(groups[inside])] = fold
    return found
