"""Where records come from: a folder of the user's, a database to download, or simulation."""

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.folders import is_unfinished, refuse_unfinished, whole_folder
from ecgbeats.records.databases import DATABASES
from ecgbeats.records.wfdb_files import find_records

# Where records that are downloaded or made are kept, below the current folder.
RECORDS = Path("records")


@dataclass(frozen=True)
class Source:
    """A folder of records.

    Attributes
    ----------
    given : str
        What the user named: a folder, or one of SOURCES.
    folder : pathlib.Path
    database : str
        One of SOURCES, or the name of the user's folder.
    names : list of str
        Of its records.
    """

    given: str
    folder: Path
    database: str
    names: list[str]


def find_source(source: str) -> Source:
    """Return the records that ``source`` means, downloaded or made if need be.

    ``source`` is the path of a folder of WFDB records, or one of SOURCES. Raises InputError where there are none.
    """
    if not source:
        raise InputError("SOURCE is empty; give a folder of WFDB records (the current one is .)")
    folder = SOURCES[source]() if source in SOURCES else Path(source)
    names = find_records(folder, f"give a folder of WFDB records, or {', '.join(SOURCES)}")
    if not names:
        raise InputError(f"{source} holds no WFDB records (no .hea file); give the folder that holds them")
    refuse_unfinished(folder, "make the records again")
    database = source if source in SOURCES else os.path.basename(os.path.abspath(folder))
    return Source(source, folder, database, names)


def choose_records(sources: list[Source], wanted: list[str] | None) -> dict[str, Source]:
    """Return the source of each record to read, by its name: those wanted, or all, sorted.

    Raises InputError where none has a wanted one, or two have it.
    """
    holders = {}
    for source in sources:
        for name in source.names:
            holders.setdefault(name, []).append(source)
    missing = [name for name in wanted or [] if name not in holders]
    if missing:
        places = "; ".join(
            f"{source.given}, which holds {command.shorten(source.names)}" for source in sources
        )
        raise InputError(f"--records {' '.join(missing)}: not in {places}")
    names = sorted(set(wanted or holders))
    twice = [name for name in names if len(holders[name]) > 1]
    if twice:
        places = " and ".join(source.given for source in holders[twice[0]])
        raise InputError(
            f"record {twice[0]} is in {places}{f' (and {len(twice) - 1} more are in two)' if twice[1:] else ''}, but "
            "images are named by their record; choose sources or --records whose names differ"
        )
    return {name: holders[name][0] for name in names}


def choose_annotated(source_of: dict[str, Source], annotator: str, skip: bool) -> dict[str, Source]:
    """Return the records that have an annotation file, a file with the suffix ``annotator``.

    Raises InputError for those without, unless ``skip``, and where none has one.
    """
    lacking = {
        name: f"{name}.{annotator}"
        for name, source in source_of.items()
        if not os.path.lexists(source.folder / f"{name}.{annotator}")
    }
    if lacking and (not skip or len(lacking) == len(source_of)):
        out = "" if len(lacking) == len(source_of) else ", or leave those records out with --skip-unannotated"
        raise InputError(
            f"no annotations of {len(lacking)} of {len(source_of)} records ({', '.join(lacking.values())}); name "
            f"another suffix of annotation files with --annotator{out}"
        )
    return {name: source for name, source in source_of.items() if name not in lacking}


def _download(name: str) -> Path:
    """Download a database, unless it is there."""
    from ecgbeats.records.download import download_database

    return download_database(DATABASES[name], RECORDS / name)


def _simulate() -> Path:
    """Make simulated records, unless they are there."""
    from ecgbeats.records.simulation import make_records

    folder = RECORDS / "simulated"
    if not folder.is_dir() or is_unfinished(folder) or not os.listdir(folder):
        print(f"Making simulated records in {folder}: {command.SIMULATED_NOTICE}", flush=True)
        started = time.perf_counter()
        with whole_folder(folder) as unfinished:
            made = make_records(unfinished)
        print(f"{len(made)} records in {time.perf_counter() - started:.1f} s")
    return folder


# A source of your own is a function like these, and a line here.
SOURCES = {name: functools.partial(_download, name) for name in DATABASES} | {"simulated": _simulate}
