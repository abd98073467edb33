"""Write the beats of training patients that annotate_record.py --adapt-minutes learns beside a new patient's.

    python benchmarks/new_patients/examples_file.py --data DIR --split LIST --output examples.npz [--limit N] [--seed N]

DIR is a data set of make_dataset.py with the network's drawing, LIST a protocol (a name of protocols/, or a file). Of the
records whose part is training or validation each class gives at most --limit beats, drawn evenly over the records that have them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.choice import Chosen, limit_beats
from ecgbeats.images.dataset import drawing_of, read_description
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import read_protocol
from ecgbeats.runs.rehearsal import write_examples

import numpy as np

from benchmarks import harness

LIMIT = 250


def main(arguments: list[str]) -> None:
    """Choose the beats, and write them."""
    made = harness.parser(
        __doc__,
        data=(Path, "data set of make_dataset.py"),
        split=(str, "list of records, as for train_keras.py"),
        output=(Path, "file to write, examples.npz beside the network"),
        limit=(LIMIT, "beats of a class"),
        seed=(0, "of the choice"),
    )
    options = made.parse_args(arguments)
    drawing = drawing_of(read_description(options.data))
    parts = read_protocol(options.split or "").parts
    if drawing is None or parts is None:
        raise InputError("give --data a data set of make_dataset.py, and --split a list of records")
    images = Images(options.data, in_memory=False)
    record_of = record_names(images.names)
    if record_of is None:
        raise InputError(f"--data {options.data} has images without a record in their name")
    learnt = np.flatnonzero(np.isin(record_of, [record for record, part in parts.items() if part != "test"]))
    names = np.array(images.classes)[images.labels]
    chosen = learnt[spread(record_of[learnt], names[learnt], options.limit, options.seed)]
    write_examples(options.output, images.gather(chosen), drawing)
    counts = ", ".join(f"{(names[chosen] == name).sum():,d} {name}" for name in images.classes)
    print(f"{options.output}: {counts}; {options.output.stat().st_size / 1e6:.2f} MB")


def spread(records: np.ndarray, classes: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Return the positions of at most ``limit`` beats of each class, drawn evenly over the records that have any.

    ``records`` and ``classes`` name the record and the class of each beat: str, shape (beats,).
    """
    of_record = {}
    for record in np.unique(records).tolist():
        index = np.flatnonzero(records == record)
        of_record[record] = Chosen(index, index.tolist(), classes[index].tolist())
    return np.sort(np.concatenate([kept.index for kept in limit_beats(of_record, limit, seed).values()]))


if __name__ == "__main__":
    command.run(main)
