"""Turn ECG records into one 128x128 image for each beat, in one folder for each class.

    python make_dataset.py SOURCE [SOURCE ...] --output DIR

SOURCE is a folder of WFDB records (.hea .dat .atr), or `mitdb` or `svdb` (downloads the MIT-BIH Arrhythmia or the
MIT-BIH Supraventricular Arrhythmia Database 1.0.0 into ./records/mitdb or ./records/svdb), or `simulated` (makes
records in ./records/simulated).
"""

import functools
import hashlib
import os
import time
from collections import Counter
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.folders import is_unfinished, whole_folder
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.choice import Chosen, choose_beats, limit_beats
from ecgbeats.images.dataset import drawing_of, read_description
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.image_files import encode
from ecgbeats.images.names import image_name
from ecgbeats.images.notes import note_of
from ecgbeats.images.preview import save_preview
from ecgbeats.process import terminal
from ecgbeats.records.annotations import annotator_suffix
from ecgbeats.records.changes import Changes
from ecgbeats.records.headers import read_header
from ecgbeats.records.noise import as_typed, decibels
from ecgbeats.records.record import Beats
from ecgbeats.records.rhythms import RHYTHMS
from ecgbeats.records.sources import SOURCES, Source, choose_annotated, choose_records, find_source
from ecgbeats.records.symbols import CLASSES
from ecgbeats.records.wfdb_files import ANNOTATOR, read_annotations, read_record

import cv2
import numpy as np

SIMULATED = "simulated"  # the database of simulated records


def main(arguments: list[str]) -> None:
    """Read the options, make the records if they are to be made, and build the data set."""
    options = read_options(arguments)
    command.check_output(options.output)
    # Folders first: a mistake in them is told before anything is downloaded.
    sources = [find_source(source) for source in sorted(options.source, key=SOURCES.__contains__)]
    import wfdb  # noqa: F401 - once, before the processes are forked that read with it

    pool = command.process_pool(options.jobs, _start_worker) or ThreadPoolExecutor(options.jobs)
    try:
        make(sources, options, pool)
    except BrokenProcessPool:
        raise InputError("a process was killed, maybe for want of memory; use fewer --jobs") from None
    finally:
        pool.shutdown(cancel_futures=True)


def make(sources: list[Source], options, pool: Executor) -> None:
    """Make the data set that the options ask for, unless it is there; ``pool`` reads and draws."""
    plan = plan_dataset(sources, options, pool)
    existing = read_dataset(options.output)
    if existing is not None:
        check_same(existing, plan.options, options.output)
        print(f"{options.output} already holds this data set; nothing to do.")
        return
    description = describe_dataset(", ".join(options.source), plan)
    note = note_of(description)
    tell_beats_behind(plan.annotated)
    started = time.perf_counter()
    with whole_folder(options.output) as folder:
        draw_all(plan, folder, pool)
        command.write_json(folder / "dataset.json", description)
        save_preview(folder, plan.beats, list(description["classes"]), note)
    seconds = time.perf_counter() - started
    for name, count in description["classes"].items():
        print(f"  {name:4} {count:7,d}")
    print(
        f"{counted(description['images'], 'image')} of {counted(len(plan.sources), 'record')} in {options.output} "
        f"({seconds:.1f} s, {description['images'] / seconds:,.0f} images/s)"
    )
    if note:
        print(note)


def read_options(arguments: list[str]):
    """Return the command line's options."""
    parser = command.Parser(prog="make_dataset.py", description=__doc__)
    parser.add_argument(
        "source", nargs="+", metavar="SOURCE", help=f"folder of WFDB records, or: {', '.join(SOURCES)}"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--classes",
        choices=list(CLASSES),
        default="paper",
        help="paper: NOR PVC PAB RBB LBB APC VFW VEB; aami: N S V F Q (default paper)",
    )
    parser.add_argument(
        "--drawing",
        choices=list(DRAWINGS),
        default="paper",
        help="paper: the signal between the beat's neighbours, stretched to the image; strips: the beat and the "
        "five seconds around it, at fixed scales of time and amplitude; typical: the beat over the median of the "
        "record's beats, and RR intervals in units of their median; usual: the beat over the usual one around it, "
        "their difference, RR intervals, and gauges of how early it is and how irregular the rhythm (default paper)",
    )
    parser.add_argument(
        "--lead",
        help="name of a lead, its index from 0, or other: not the default one (default MLII, else the first)",
    )
    parser.add_argument(
        "--rhythm",
        choices=list(RHYTHMS),
        help="set each record's N and V at the intervals of this rhythm, for training; early makes S of some N "
        "(default as recorded)",
    )
    parser.add_argument(
        "--noise",
        type=decibels,
        metavar="DB",
        help="add baseline wander and electrode motion at this signal-to-noise ratio in decibels, or at ratios of a "
        "range such as 6-24; with an equals sign where it begins with a minus: --noise=-6-24 (default none)",
    )
    parser.add_argument(
        "--annotator",
        type=annotator_suffix,
        default=ANNOTATOR,
        metavar="EXT",
        help=f"suffix of the annotation files (default {ANNOTATOR})",
    )
    parser.add_argument(
        "--skip-unannotated", action="store_true", help="leave out records that have no annotation file"
    )
    parser.add_argument("--records", nargs="+", metavar="R", help="these records only (default all)")
    parser.add_argument(
        "--limit",
        type=command.whole_number(1),
        metavar="N",
        help="at most N beats of each class, drawn evenly over the records (default all)",
    )
    parser.add_argument(
        "--seed",
        type=command.seed,
        default=0,
        help="which beats --limit draws, and of --rhythm and --noise (default 0)",
    )
    parser.add_argument(
        "--jobs",
        type=command.whole_number(1, maximum=command.most_jobs()),
        default=command.available_cores(),
        metavar="N",
        help="processes that draw (default one for each core)",
    )
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Plan:
    """What becomes images, before anything is drawn.

    ``sources``, ``databases``, ``annotated`` and ``beats`` hold for each record's name where it is from, its database, its
    beats as ``changes`` leaves them, and those chosen; ``options`` is what decides on the result, as dataset.json keeps it.
    """

    sources: dict[str, Source]
    databases: dict[str, str]
    annotated: dict[str, Beats]
    beats: dict[str, Chosen]
    changes: Changes
    options: dict

    def path(self, name: str) -> Path:
        """Return a record's path without a suffix."""
        return self.sources[name].folder / name


def plan_dataset(sources: list[Source], options, pool: Executor) -> Plan:
    """Choose the beats of each record, and say by which options."""
    wanted = choose_records(sources, options.records)
    source_of = choose_annotated(wanted, options.annotator, options.skip_unannotated)
    if len(source_of) < len(wanted):
        print(f"Left out, without annotations: {len(wanted) - len(source_of)} of {len(wanted)} records")
    paths = [source.folder / name for name, source in source_of.items()]
    changes = Changes(options.rhythm, options.noise, options.seed)
    read = functools.partial(read_beats, annotator=options.annotator, lead=options.lead, changes=changes)
    annotated = dict(zip(source_of, pool.map(read, paths), strict=True))
    digest = hashlib.sha256()
    chosen = {}
    for path, (name, beats) in zip(paths, annotated.items(), strict=True):
        digest.update(f"{name} {len(beats.samples)}\n".encode())
        for suffix in ("hea", options.annotator):  # the header holds the signals' checksums
            digest.update(Path(f"{path}.{suffix}").read_bytes())
        chosen[name] = choose_beats(beats.samples, beats.symbols, options.classes)
    if options.limit:
        chosen = limit_beats(chosen, options.limit, options.seed)
    if not any(map(len, chosen.values())):
        raise InputError(
            f"{', '.join(options.source)}: no beats of the {options.classes} classes; choose other --records"
        )
    described = {
        "source_sha256": digest.hexdigest(),
        "classes": options.classes,
        "drawing": options.drawing,
        "lead": options.lead,
        "rhythm": options.rhythm,
        "noise": as_typed(options.noise) if options.noise else None,
        "annotator": options.annotator,
        "records": list(source_of),
        "limit": options.limit,
        "seed": options.seed if options.limit or changes.words else None,
    }
    databases = {  # ours stay simulated wherever they are moved to
        name: SIMULATED if read_header(path).is_simulated else source_of[name].database
        for name, path in zip(source_of, paths, strict=True)
    }
    return Plan(source_of, databases, annotated, chosen, changes, described)


def read_beats(path: Path, annotator: str, lead: str | None, changes: Changes) -> Beats:
    """Return the beats of a record as it is drawn: changed. See :func:`read_annotations` and :class:`Changes`."""
    beats = read_annotations(path, annotator, lead)
    changes.check_rate(path.name, beats.rate)
    if changes.rhythm:
        made = changes.apply(read_record(path, lead, beats=beats))
        beats = replace(beats, samples=made.samples, symbols=made.symbols)
    return beats


def tell_beats_behind(annotated: dict[str, Beats]) -> None:
    """Say which records have beats annotated at or behind their signal's end; these give no images."""
    behind = {name: beats.behind for name, beats in annotated.items() if beats.behind}
    if behind:
        records = ", ".join(f"{name}: {count}" for name, count in behind.items())
        print(
            f"Left out, annotated at or behind the end of the signal: {sum(behind.values()):,d} ({records})"
        )


def describe_dataset(source: str, plan: Plan) -> dict:
    """Return dataset.json's content."""
    counts = Counter(name for beats in plan.beats.values() for name in beats.classes)
    scheme = plan.options["classes"]
    return {
        "source": source,
        "simulated": SIMULATED in plan.databases.values(),
        "made": plan.changes.words,
        "scheme": scheme,
        "classes": {name: counts[name] for name in CLASSES[scheme] if counts[name]},
        "images": counts.total(),
        "image_size": [IMAGE_SIZE, IMAGE_SIZE],
        "records": list(plan.sources),
        "database": plan.databases,
        "lead": {name: beats.lead for name, beats in plan.annotated.items()},
        "sampling_rate": {name: beats.rate for name, beats in plan.annotated.items()},
        "options": plan.options,
        "version": command.VERSION,
    }


def read_dataset(folder: Path) -> dict | None:
    """Return what dataset.json says of ``folder``, or None where there is nothing whole yet.

    Raises InputError for a folder that holds something else.
    """
    if not folder.is_dir() or is_unfinished(folder) or not any(folder.iterdir()):
        return None
    existing = read_description(folder)
    if "options" not in existing:
        raise InputError(
            f"--output {folder} is not empty and holds no data set of make_dataset.py; choose another folder"
        )
    return existing


def check_same(existing: dict, now: dict, folder: Path) -> None:
    """Raise InputError if the data set that exists was made with other options than ``now``, naming them."""
    before = {"annotator": ANNOTATOR} | existing["options"] | {"drawing": drawing_of(existing)}
    different = [name for name in now if before.get(name) != now[name]]
    if different:
        words = []
        for name in different:
            if name == "source_sha256":
                words.append(f"the records (then from {existing.get('source')})")
            elif name == "records":
                words.append(f"--records (then {command.shorten(before.get(name, []))})")
            else:
                words.append(f"--{name} (then {before.get(name)}, now {now[name]})")
        raise InputError(
            f"--output {folder} holds a data set made with other options: {'; '.join(words)}; "
            "choose another folder, or remove this one"
        )


def counted(number: int, thing: str) -> str:
    """Return a number and what it counts, in the singular where it is one."""
    return f"{number:,d} {thing}{'' if number == 1 else 's'}"


def draw_all(plan: Plan, folder: Path, pool: Executor) -> None:
    """Draw the planned beats into ``folder`` by ``pool``."""
    from tqdm import tqdm

    total = sum(map(len, plan.beats.values()))
    for name in sorted({name for beats in plan.beats.values() for name in beats.classes}):
        (folder / name).mkdir()
    places = ", ".join(dict.fromkeys(str(source.folder) for source in plan.sources.values()))
    print(
        f"Drawing {counted(total, 'beat')} of {counted(len(plan.beats), 'record')} from {places}", flush=True
    )
    how = tuple(plan.options[name] for name in ("lead", "annotator", "drawing"))
    with tqdm(total=total, unit="image", file=terminal(), disable=not terminal().isatty()) as bar:
        try:
            tasks = {
                pool.submit(
                    draw_record,
                    plan.path(name),
                    *how,
                    plan.changes,
                    beats.index,
                    beats.classes,
                    folder,
                ): name
                # The longest first, so that the processes end at about the same time.
                for name, beats in sorted(plan.beats.items(), key=lambda item: -len(item[1]))
            }
            import matplotlib.backends.backend_agg  # noqa: F401 - for the preview, while the others draw

            for task in as_completed(tasks):
                task.result()
                bar.update(len(plan.beats[tasks[task]]))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # before the folder that they write to is removed
            raise


def _start_worker() -> None:
    """Begin a process that draws, with one thread."""
    command.start_worker()
    cv2.setNumThreads(1)


def draw_record(
    path: Path,
    lead: str | None,
    annotator: str,
    drawing: str,
    changes: Changes,
    index: np.ndarray,
    classes: list[str],
    folder: Path,
) -> None:
    """Write the images of one record's beats.

    Parameters
    ----------
    path : pathlib.Path
        The record's path without a suffix.
    lead, annotator : str or None, str
        See :func:`read_record`.
    drawing : str
        One of DRAWINGS.
    changes : Changes
        What is done to the record before it is drawn.
    index : numpy.ndarray of int, shape (images,)
        Which of the changed record's beats to draw.
    classes : list of str, length images
        Their classes, the sub-folders of ``folder``.
    """
    if not len(index):  # a made record may have no beats at all
        return
    record = changes.apply(read_record(path, lead, annotator))
    draw = DRAWINGS[drawing](record)
    for i, class_name in zip(index.tolist(), classes, strict=True):
        name = image_name(path.name, record.samples[i])
        write_new(f"{folder}/{class_name}/{name}", encode(draw(i)))


def write_new(path: str, content: bytes) -> None:
    """Write a file that is not there yet, without Python's buffers, which cost as much as writing so little."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        while len(content):
            content = content[os.write(file, content) :]
    finally:
        os.close(file)


if __name__ == "__main__":
    command.run(main, seconds_to_unwind=30)  # there may be 100,000 files to remove
