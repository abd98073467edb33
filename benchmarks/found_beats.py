"""What does it cost that beats are found, and not annotated, when a network labels them?

    python benchmarks/found_beats.py [--records FOLDER] [--names R ...] [--model FILE.keras]

Labels the annotated beats of each record, and those that annotate_record.py finds. A beat counts as right where its
label is that of the annotation within 150 ms, so a beat that is not found is wrong. Beats of no class of the network
are left out, as is flutter, of which nobody says that it is found.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.records.recordings import read_recording
from ecgbeats.records.symbols import CLASSES
from ecgbeats.records.wfdb_files import read_annotations
from ecgbeats.runs.networks import load_model

import numpy as np

import annotate_record
from benchmarks import harness

TEN = "100 108 118 119 203 207 208 214 217 222".split()
WINDOW = 0.15  # seconds


def main(arguments: list[str]) -> None:
    """Label the beats of each record in both ways, and print how many are right."""
    options = harness.parser(
        __doc__,
        records=(harness.PROJECT.parent / "shared" / "mitdb", "WFDB records with .atr"),
        names=(TEN, "which"),
        model=(harness.PROJECT / "pretrained" / "fast.keras", "the network"),
    ).parse_args(arguments)
    network = annotate_record.read_network(options.model)
    with command.quiet_import():
        model, _ = load_model(options.model, IMAGE_SIZE)
    rows = [count(options.records / name, model, network) for name in options.names]
    total = np.sum([row[1:] for row in rows], axis=0).tolist()
    rows.append(["all", *total])
    shares = [[name, f"{n:,d}", f"{100 * a / n:.2f} %", f"{100 * b / n:.2f} %"] for name, n, a, b in rows]
    print(harness.table(["record", "beats", "annotated: right", "found: right"], shares))


def count(path: Path, model, network) -> list:
    """Return a record's name, its beats, how many are labelled right where annotated, and where found."""
    scheme = next(scheme for scheme in CLASSES.values() if set(network.classes) <= set(scheme))
    classes = {symbol: name for name in network.classes for symbol in scheme[name] if symbol != "!"}
    recording = read_recording(path)
    truth = read_annotations(path)
    right = []
    for annotator in ("atr", None):
        pieces = annotate_record.start_finding(recording, annotator, None)
        samples, noise = annotate_record.take_beats(recording, pieces)
        labelled = annotate_record.label(recording, samples, noise, model, network)
        names = np.array(network.classes)[labelled.predicted]
        nearest = np.abs(truth.samples[:, None] - samples).argmin(1)
        close = np.abs(samples[nearest] - truth.samples) <= WINDOW * recording.signal.rate
        wanted = np.array([classes.get(symbol, "") for symbol in truth.symbols])
        right.append(int((close & (names[nearest] == wanted) & (wanted != "")).sum()))
    return [path.name, int((wanted != "").sum()), *right]


if __name__ == "__main__":
    command.run(main)
