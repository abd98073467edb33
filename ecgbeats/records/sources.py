"""Where records come from: a folder of the user's, a database to download, or simulation."""

import os
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.folders import is_unfinished, refuse_unfinished, whole_folder
from ecgbeats.records.headers import read_header
from ecgbeats.records.wfdb_files import find_records

# Where records that are downloaded or made are kept, below the current folder.
RECORDS = Path("records")


def find_source(source: str) -> tuple[Path, bool]:
    """Return the folder of records that ``source`` means, made if need be, and whether it is simulated.

    ``source`` is the path of a folder of WFDB records, or one of SOURCES. Raises InputError where there are none.
    """
    if source in SOURCES:
        return SOURCES[source]()
    if not source:
        raise InputError("SOURCE is empty; give a folder of WFDB records (the current one is .)")
    folder = Path(source)
    names = find_records(folder, f"give a folder of WFDB records, or {', or '.join(SOURCES)}")
    if not names:
        raise InputError(f"{source} holds no WFDB records (no .hea file); give the folder that holds them")
    refuse_unfinished(folder, "make the records again")
    # Ours stay simulated wherever the folder is moved to.
    return folder, any(command.SIMULATED_NOTICE in line for line in read_header(folder / names[0]).comments)


def _mitdb() -> tuple[Path, bool]:
    """Download the MIT-BIH Arrhythmia Database, unless it is there."""
    from ecgbeats.records.download import download_mitdb

    return download_mitdb(RECORDS / "mitdb"), False


def _simulated() -> tuple[Path, bool]:
    """Make simulated records, unless they are there."""
    from ecgbeats.records.simulation import make_records

    folder = RECORDS / "simulated"
    if not folder.is_dir() or is_unfinished(folder) or not os.listdir(folder):
        print(f"Making simulated records in {folder}: {command.SIMULATED_NOTICE}", flush=True)
        started = time.perf_counter()
        with whole_folder(folder) as unfinished:
            made = make_records(unfinished)
        print(f"{len(made)} records in {time.perf_counter() - started:.1f} s")
    return folder, True


# A source of your own is a function like these, and a line here.
SOURCES = {"mitdb": _mitdb, "simulated": _simulated}
