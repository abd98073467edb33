"""Find and label the beats of your own ECG, and hand them back with a page on which to check them.

    python annotate_record.py RECORD [RECORD ...] --output DIR

RECORD is a WFDB record (with or without .hea), an EDF file or a CSV file. For each, DIR gets RECORD.ecgbeats (WFDB
annotations), RECORD.beats.csv, RECORD.summary.json and RECORD.review.html. docs/own-ecg.md says what is in them.
This is no medical device.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import argparse
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.folders import alone
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.names import image_name
from ecgbeats.progress import progress
from ecgbeats.reading import read_json
from ecgbeats.runs.networks import load_model, read_classes
from ecgbeats.runs.rehearsal import read_examples
from ecgbeats.runs.training_data import read_training, trained_drawing, used_records
from ecgbeats.scores.annotating.adapting import Adapted, label_adapted
from ecgbeats.scores.annotating.corrections import (
    Correction,
    as_text,
    check_symbols,
    correct,
    read_corrections,
)
from ecgbeats.scores.annotating.files import marks, wfdb_name, write_annotations, write_beats
from ecgbeats.scores.annotating.labelled import Labelled, class_symbols
from ecgbeats.scores.annotating.labelling import Network, label
from ecgbeats.scores.annotating.notices import SEEN, notices
from ecgbeats.scores.annotating.options import read_options
from ecgbeats.scores.annotating.summary import summarize

import numpy as np

MODEL = Path(__file__).resolve().parent / "pretrained" / "new-patients" / "columns.keras"
FEWEST_BEATS = 5
LEAST_READABLE = 0.1  # share of the detections that look like beats; with less it is no ECG


def main(arguments: list[str]) -> None:
    """Check all options and files, then annotate one recording after another."""
    started = time.perf_counter()
    options = read_options(arguments, __doc__, MODEL)
    recordings = find_recordings(options)
    network = read_network(options.model, not options.beats)
    corrections = read_corrections(options.corrections) if options.corrections else []
    check_symbols(corrections, network.symbols, options.corrections)
    others = read_examples(network.path, network.drawing) if options.adapt_minutes else None
    command.check_backend()
    import ecgbeats.records.finding  # noqa: F401 - once, before the processes are forked that find beats with it

    pool = command.process_pool(command.available_cores(), command.start_worker)
    try:
        annotate_all(recordings, network, corrections, others, options, pool, started)
    except BrokenProcessPool:
        raise InputError("a process was killed, maybe for want of memory; close other programs") from None
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def find_recordings(options: argparse.Namespace) -> dict[str, Path]:
    """Return the path of each recording by the name that its results get, having looked at what they would replace."""
    from ecgbeats.records.recordings import find_recording, is_wfdb

    found = {}
    for text in options.records:
        path = find_recording(text)
        name = wfdb_name(path.name if is_wfdb(path) else path.stem)
        if name in found:
            raise InputError(
                f"{found[name]} and {path} would both be {name} in {options.output}; rename one of them"
            )
        found[name] = path
    for name, path in found.items():
        check_replaced(options, name)
        stem = path if is_wfdb(path) else path.with_suffix("")
        for option in ("beats", "compare"):
            wanted = getattr(options, option)
            if wanted and not Path(f"{stem}.{wanted}").is_file():
                raise InputError(
                    f"--{option} {wanted}: there is no {stem}.{wanted}; name another annotation file"
                )
    return found


def check_replaced(options: argparse.Namespace, name: str) -> None:
    """Raise InputError if a file of the results is there and is none that this command wrote, as its summary tells."""
    lock, written = lock_of(options, name), None  # the annotation file that this command wrote last
    if lock.is_file():
        written = lock.read_text(errors="replace")
    if not written:
        summary = read_json(options.output / f"{name}.summary.json", dict, "remove it") or {}
        written = summary.get("annotations")
    others = () if written else ("beats.csv", "review.html", "compare.json", "summary.json")
    ways = {options.write_as: "--write-as or --output"} | dict.fromkeys(others, "--output")
    for end, way in ways.items():
        file = options.output / f"{name}.{end}"
        if os.path.lexists(file) and written != file.name:
            raise InputError(
                f"{file} is there already, and not what this command wrote last; remove it, or choose another {way}"
            )


def read_network(path: Path, finds: bool = True) -> Network:
    """Return what a network's file, and config.json beside it, say of it; ``finds`` is whether beats are looked for.

    Raises InputError where that is too little.
    """
    from ecgbeats.images.drawings import DRAWINGS

    classes = read_classes(path)
    config = read_training(path)
    drawing = trained_drawing(path, config)
    if drawing not in DRAWINGS:
        fault = (
            f"was trained on the drawing {drawing}, which is not known here"
            if drawing
            else "does not say its drawing"
        )
        raise InputError(f"{path} {fault}; copy config.json of its run beside it, or give another network")
    told = notices(path, finds)
    if config and config["simulated"]:
        told.append(f"The network was trained on records that are {command.SIMULATED_NOTICE}.")
    return Network(path, classes, class_symbols(classes, str(path)), drawing, told, config)


def annotate_all(
    recordings: dict[str, Path],
    network: Network,
    corrections: list[Correction],
    others: np.ndarray | None,
    options: argparse.Namespace,
    pool: Executor | None,
    started: float,
) -> None:
    """Annotate one recording after another; ``started`` is when the command began, ``others`` are what adapting takes.

    Raises InputError at the end, where others than a lone recording cannot be annotated.
    """
    model, bad = None, []

    def attempt(function, *given):
        try:
            return function(*given)
        except InputError as problem:
            if len(recordings) == 1:
                raise
            bad.append(str(problem))
            return None

    for name, path in recordings.items():
        begun = attempt(begin, name, path, options, pool)
        if begun and model is None:  # while the processes find beats
            before = time.perf_counter()
            with command.quiet_import():
                model, _ = load_model(network.path, IMAGE_SIZE)
            imported = time.perf_counter() - before
        beats = begun and attempt(take_beats, *begun)
        if not beats:
            continue
        (recording, _), (samples, noise) = begun, beats
        if options.adapt_minutes:
            given = (recording, samples, noise, model, network, others, corrections, options)
            labels = attempt(label_adapted, *given)
            if not labels:
                continue
        else:
            found = label(recording, samples, noise, model, network)
            labels = found, correct(found, corrections, options.corrections) if corrections else found, None
        write_results(name, recording, *labels, network, options)
    if len(bad) == len(recordings):
        raise InputError(f"none of the recordings can be annotated: {'; '.join(bad)}")
    print(
        f"Results: {options.output} ({time.perf_counter() - started:.1f} s, of which {imported:.1f} s are for loading "
        "Keras and the network)"
    )
    for line in network.notices:
        print(line)
    if bad:
        raise InputError(f"{len(bad)} of {len(recordings)} recordings cannot be annotated: {'; '.join(bad)}")


def begin(name: str, path: Path, options: argparse.Namespace, pool: Executor | None):
    """Read a recording, say so, and begin to find its beats; return it, and what start_finding returns."""
    from ecgbeats.records.recordings import read_recording

    recording = read_recording(path, options.lead, options.rate, options.unit, (options.begin, options.end))
    signal = recording.signal
    print(
        f"{name}: lead {signal.lead}, {len(signal.millivolts) / signal.rate / 60:,.1f} min at {signal.rate:g} Hz",
        flush=True,
    )
    for line in recording.said:
        print(f"{name}: {line}")
    return recording, start_finding(recording, options.beats, pool)


def start_finding(recording, annotator: str | None, pool: Executor | None):
    """Return an iterator over the beats of each piece of a recording, and which are doubtful."""
    from ecgbeats.records.finding import find_beats
    from ecgbeats.records.recordings import read_beats

    if annotator:
        samples, _ = read_beats(recording, annotator)
        return iter([(samples, np.zeros(len(samples), bool))])
    return find_beats(recording.signal.millivolts, recording.signal.rate, pool)


def take_beats(recording, pieces) -> tuple[np.ndarray, np.ndarray]:
    """Wait for the beats of all pieces; return those that can be judged, and the stretches where none can.

    Raises InputError where next to nothing looks like a beat.
    """
    from ecgbeats.records.finding import piece_limits
    from ecgbeats.records.quality import are_within, find_unreadable

    signal = recording.signal
    limits = piece_limits(len(signal.millivolts), signal.rate)
    found = []
    with progress(len(signal.millivolts) / signal.rate / 60, "finding beats", "min") as tell:
        for piece, (start, end) in zip(pieces, limits, strict=False):  # annotations are one piece
            found.append(piece)
            tell((end - start) / signal.rate / 60)
    samples, doubtful = (np.concatenate(part) for part in zip(*found, strict=True))
    noise = find_unreadable(samples, doubtful, signal.gaps, signal.rate)
    kept = samples[~are_within(samples, noise)]
    if len(kept) < max(FEWEST_BEATS, LEAST_READABLE * len(samples)):
        raise InputError(
            f"{recording.path}: lead {signal.lead} holds no ECG that can be read: {len(samples):,d} places look like beats, and "
            f"{len(samples) - len(kept):,d} of them are noise; choose another --lead, or a better stretch (--from, --to)"
        )
    return kept, noise


def write_results(
    name: str,
    recording,
    found: Labelled,
    labelled: Labelled,
    adapted: Adapted | None,
    network: Network,
    options: argparse.Namespace,
) -> None:
    """Write the files of one recording, all of them or none, and print what they say in short.

    ``found`` is as the network labelled it, ``labelled`` with what a person said. The page shows both, and its next file
    of corrections holds all that a person said.
    """
    from ecgbeats.scores.review import Review, write_review

    comparison = compare_with(recording, labelled, options) if options.compare else None
    seen = [SEEN] if used_records([image_name(name, 0)], network.training)[0] else []
    told = [*([adapted.words()] if adapted else []), *seen, *recording.said, *network.notices]
    summary = summarize(labelled) | {
        "record": name,
        "source": str(recording.path),
        "annotations": f"{name}.{options.write_as}",
        "network": str(network.path),
        "drawing": network.drawing,
        "adapted": adapted and adapted.as_dict(),
        "notices": told,
        "version": command.VERSION,
    }
    review = Review(
        name=name,
        lead=labelled.signal.lead,
        rate=labelled.signal.rate,
        millivolts=labelled.signal.millivolts,
        samples=found.samples,
        classes=found.classes,
        symbols=found.symbols,
        predicted=found.predicted,
        probabilities=found.probabilities,
        noise=found.noise,
        drawing=network.drawing,
        notices=told,
        start_time=recording.start,
        first=labelled.first,
        corrections=as_text(found, labelled),
    )
    with replacing(options, name) as unfinished:
        # The first to be written is renamed last, when the others are in place.
        unfinished("summary.json").write_bytes(command.as_json(summary))
        write_annotations(unfinished(options.write_as), labelled)
        write_beats(unfinished("beats.csv"), labelled)
        write_review(unfinished("review.html"), review)
        if comparison:
            unfinished("compare.json").write_bytes(command.as_json(comparison.as_dict()))
        else:  # that of an earlier run is of other beats
            (options.output / f"{name}.compare.json").unlink(missing_ok=True)
    counts = ", ".join(
        f"{count:,d} {which}" for which, count in summary["beats"].items() if which != "all" and count
    )
    print(
        f"{name}: {summary['beats']['all']:,d} beats ({counts}), {summary['unreadable_minutes']:g} min unreadable",
        flush=True,
    )
    if adapted:
        print(f"{name}: {adapted.words()} ({adapted.seconds:.1f} s)", flush=True)
    for line in seen:
        print(f"{name}: {line}", flush=True)


@contextlib.contextmanager
def replacing(options: argparse.Namespace, name: str) -> Iterator[Callable[[str], Path]]:
    """Yield what gives the path to write a recording's file of some suffix to; all are renamed when the block ends.

    One process at a time. What was stopped among the renames leaves its lock with the annotation file's name, by which
    :func:`check_replaced` knows that the files there are this command's.
    """
    command.make_folder(options.output)
    lock, renaming = lock_of(options, name), False
    with alone(
        lock,
        f"{options.output}: another process writes the results of {name}; wait, or choose another --output",
    ):
        try:
            with contextlib.ExitStack() as files:
                yield lambda end: files.enter_context(command.whole_file(options.output / f"{name}.{end}"))
                lock.write_text(f"{name}.{options.write_as}")
                renaming = True
            renaming = False
        finally:
            if not renaming:
                lock.unlink(missing_ok=True)


def lock_of(options: argparse.Namespace, name: str) -> Path:
    """Return the file that is there while a recording's results are written, and after a stop among their renames."""
    return options.output / f".{name}.unfinished"


def compare_with(recording, labelled: Labelled, options: argparse.Namespace):
    """Return, and print, the standard's comparison with annotations that lie beside the recording."""
    from ecgbeats.records.annotations import convert, read_marks
    from ecgbeats.records.recordings import is_wfdb
    from ecgbeats.scores.annotations import Annotations, read_timing
    from ecgbeats.scores.ec57 import START, compare, words

    rate, path, counted = labelled.signal.rate, recording.path, labelled.signal.rate
    if is_wfdb(path):
        counted, _ = read_timing(path)  # that of the lead may be another
    else:
        path = path.with_suffix("")
    # All of them, as an episode of flutter may have begun before the stretch.
    told = read_marks(Path(f"{path}.{options.compare}"), beats_alone=False)
    reference = Annotations(convert(told.times, told.rate or counted, rate), told.symbols, told.subtypes)
    end = labelled.first + len(labelled.signal.millivolts)
    # The standard leaves the first five minutes for learning; where there is no more, or the user chose, nothing is.
    start = labelled.first / rate if options.begin or end <= 2 * START * rate else START
    learnt = labelled.first / rate + 60 * (options.adapt_minutes or 0)
    behind = " (behind the labelled minutes)" if options.adapt_minutes else ""
    start = max(start, learnt)
    comparison = compare(reference, marks(labelled)[0], rate, end - 1, start)
    print(
        f"{labelled.signal.name}: {options.write_as} against {options.compare}, from {start:g} s on{behind}\n"
    )
    print(f"{words(comparison)}\n", flush=True)
    return comparison


if __name__ == "__main__":
    command.run(main)
