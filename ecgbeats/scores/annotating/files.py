"""The files of a labelled recording: WFDB annotations and a table of beats."""

import re
import tempfile
from pathlib import Path

from ecgbeats.scores.annotating.labelled import Labelled
from ecgbeats.scores.annotations import Annotations

import numpy as np

UNREADABLE, READABLE = -1, 0  # subtypes of ~: neither of two signals can be read, both can (annot(5))
BY_HAND = "by hand"
COLUMNS = ("sample", "seconds", "symbol", "class", "probability", "rr_before", "rr_after")


def wfdb_name(name: str) -> str:
    """Return a record's name with _ for each character that WFDB refuses."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"


def marks(labelled: Labelled) -> tuple[Annotations, list[str]]:
    """Return the annotations of a recording, in its own samples, and a note for each.

    Beats have their probability as a note, or that a person labelled them. Where the signal is too poor to judge a ~
    of subtype -1 begins, and one of subtype 0 ends the stretch.
    """
    length = len(labelled.signal.millivolts)
    ends = labelled.noise[labelled.noise[:, 1] < length, 1]
    samples = np.concatenate([labelled.samples, labelled.noise[:, 0], ends])
    symbols = np.array(labelled.beat_symbols + ["~"] * (len(labelled.noise) + len(ends)))
    subtypes = np.repeat([0, UNREADABLE, READABLE], [len(labelled.samples), len(labelled.noise), len(ends)])
    notes = [
        BY_HAND if by_hand else f"{probability:.3f}"
        for probability, by_hand in zip(labelled.probability.tolist(), labelled.by_hand.tolist(), strict=True)
    ]
    notes += ["unreadable"] * len(labelled.noise) + ["readable"] * len(ends)
    order = np.argsort(samples, kind="stable")
    return (
        Annotations(samples[order] + labelled.first, symbols[order], subtypes[order]),
        [notes[i] for i in order.tolist()],
    )


def write_annotations(path: Path, labelled: Labelled) -> None:
    """Write a WFDB annotation file; its suffix is the annotator's name, letters alone."""
    import wfdb

    annotations, notes = marks(labelled)
    if not len(annotations.samples):  # which wfdb does not write
        path.write_bytes(b"\0\0")
        return
    rate = labelled.signal.rate
    with tempfile.TemporaryDirectory() as folder:  # wfdb has its own rules for the file's name
        wfdb.wrann(
            "record",
            "beats",
            annotations.samples,
            symbol=annotations.symbols.tolist(),
            subtype=annotations.subtypes,
            aux_note=notes,
            fs=int(rate) if rate == int(rate) else rate,
            write_dir=folder,
        )
        path.write_bytes((Path(folder) / "record.beats").read_bytes())


def write_beats(path: Path, labelled: Labelled) -> None:
    """Write a CSV file with a row for each beat: COLUMNS; seconds count from the recording's start."""
    intervals = [_number(value) for value in labelled.rr_intervals().tolist()]
    rate, first = labelled.signal.rate, labelled.first
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(
            f"{sample + first},{(sample + first) / rate:.3f},{labelled.symbols[label]},{labelled.classes[label]},"
            f"{'' if by_hand else f'{probability:.3f}'},{before},{after}\n"
            for sample, label, probability, by_hand, before, after in zip(
                labelled.samples.tolist(),
                labelled.predicted.tolist(),
                labelled.probability.tolist(),
                labelled.by_hand.tolist(),
                ["", *intervals][: len(labelled.samples)],
                [*intervals, ""][: len(labelled.samples)],
                strict=True,
            )
        )


def _number(seconds: float) -> str:
    return "" if np.isnan(seconds) else f"{seconds:.3f}"
