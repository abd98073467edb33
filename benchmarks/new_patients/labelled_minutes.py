"""What do five labelled minutes of the test patients give the networks of finished runs?

    python benchmarks/new_patients/labelled_minutes.py RUN [RUN ...] --examples DIR --output DIR [--minutes N]

RUN is a run folder of train_keras.py, whose --data holds the images that it used. For each test record a copy of its
network learns the first minutes, as annotate_record.py --adapt-minutes does, beside the beats of examples.npz
(examples_file.py). What follows is scored, beside the same beats by the network as it was: F1 of S and V and accuracy over
all of them, medians over patients, and each record. Writes minutes.csv and minutes.md. This scores test patients: results.md counts how often that is done.
"""

import csv
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.dataset import read_description
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.runs.adapting import Beats, adapt, predict_images
from ecgbeats.runs.config import Config, need_config
from ecgbeats.runs.networks import load_model
from ecgbeats.runs.rehearsal import read_examples
from ecgbeats.runs.training_data import find_parts

import numpy as np

from benchmarks import harness

FEWEST = 20  # beats of a class that a patient must have to count in the median


def main(arguments: list[str]) -> None:
    """Adapt each run's network to each test record; write and print the scores."""
    made = harness.parser(
        __doc__,
        examples=(Path, "folder of examples.npz, beats of training patients beside which the copy learns"),
        output=(Path, "folder for the tables"),
        minutes=(5, "that are labelled"),
    )
    made.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    options = made.parse_args(arguments)
    configs = [need_config(run) for run in options.runs]
    tested = [scored_images(run, config) for run, config in zip(options.runs, configs, strict=True)]
    command.make_folder(options.output)
    rows, totals = [], []
    for run, config, images in zip(options.runs, configs, tested, strict=True):
        found = adapt_all(run, config, images, options.examples, options.minutes)
        rows += [{"run": run.name} | row for row in found["records"]]
        totals += [{"run": run.name, "way": way} | scores for way, scores in found["all"].items()]
    with (
        command.whole_file(options.output / "minutes.csv") as partial,
        open(partial, "w", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = harness.table(list(totals[0]), [[shown(value) for value in row.values()] for row in totals])
    with command.whole_file(options.output / "minutes.md") as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    print(text)


def scored_images(run: Path, config: Config) -> Images:
    """Return the images that the run was tested on. Raises InputError where its --data holds others than it used."""
    data = config["options"]["data"]
    found = find_parts(Images(Path(data), in_memory=False), config)
    if found is None:
        raise InputError(
            f"{data} holds other images than the run in {run} used; put those there, or give another RUN"
        )
    used, parts = found
    return used.subset(parts.test)


def adapt_all(run: Path, config: Config, images: Images, examples: Path, minutes: float) -> dict:
    """Return the scores over all test records behind the minutes, by way, and a row for each record.

    ``images`` are those of :func:`scored_images`.
    """
    data = Path(config["options"]["data"])
    rates = read_description(data).get("sampling_rate")
    if rates is None:
        raise InputError(f"{data / 'dataset.json'} does not tell the sampling rates; draw the images anew")
    record_of = np.array(record_names(images.names))
    samples = np.array([int(Path(name).stem.rpartition("_")[2]) for name in images.names])
    model, classes = load_model(run / "best.keras")
    if missing := {"S", "V"}.difference(classes):
        raise InputError(f"{run} has no class {' or '.join(sorted(missing))}; give runs of AAMI's classes")
    others = read_examples(examples / "best.keras", config["drawing"])
    if others is None:
        raise InputError(f"--examples {examples} holds no examples.npz; examples_file.py writes it")
    records, labels, ways = [], [], {"without": [], "adapted": []}
    for record in config["test_records"]:
        own = np.flatnonzero(record_of == record)
        early = samples[own] < minutes * 60 * rates[record]
        known = Beats(images.gather(own[early])[..., None], images.labels[own[early]].astype(np.int64))
        if early.all() or not early.any():
            raise InputError(
                f"--minutes {minutes:g}: {record} has no beat {'behind' if early.all() else 'in'} them"
            )
        late, true = images.gather(own[~early])[..., None], images.labels[own[~early]]
        started = time.perf_counter()
        copy = adapt(model, known, others, seed=0)
        seconds = time.perf_counter() - started
        before = predict_images(model, late).argmax(1)
        after = before if copy is None else predict_images(copy, late).argmax(1)
        labels.append(true)
        ways["without"].append(before)
        ways["adapted"].append(after)
        records.append(
            row_of(record, classes, true, before, after) | {"kept": copy is None, "seconds": seconds}
        )
        print(", ".join(f"{key} {shown(value)}" for key, value in records[-1].items()), flush=True)
    changes = [row["adapted"] - row["without"] for row in records]
    scores = {way: summary(classes, labels, found) for way, found in ways.items()}
    scores["without"] |= {"least change": "", "of": ""}
    scores["adapted"] |= {"least change": min(changes), "of": records[int(np.argmin(changes))]["record"]}
    return {"all": scores, "records": records}


def row_of(record: str, classes: list[str], true: np.ndarray, before: np.ndarray, after: np.ndarray) -> dict:
    """Return a record's accuracy both ways, and for S and V the beats, those found, and those falsely so."""
    row = {"record": record, "without": np.mean(before == true), "adapted": np.mean(after == true)}
    for name in "SV":
        label = classes.index(name)
        row[name] = int((true == label).sum())
        for way, found in (("without", before), ("adapted", after)):
            row[f"{name} {way}"] = int(((true == label) & (found == label)).sum())
            row[f"false {name} {way}"] = int(((true != label) & (found == label)).sum())
    return row


def summary(classes: list[str], true: list[np.ndarray], found: list[np.ndarray]) -> dict:
    """Return accuracy, and F1 of S and V over all beats and in the median over patients."""
    scores = {"accuracy": np.mean(np.concatenate(true) == np.concatenate(found))}
    for name in "SV":
        label = classes.index(name)
        scores[name] = f1(np.concatenate(true) == label, np.concatenate(found) == label)
        by_patient = [
            f1(one == label, other == label)
            for one, other in zip(true, found, strict=True)
            if (one == label).sum() >= FEWEST
        ]
        scores[f"{name} median"] = float(np.median(by_patient)) if by_patient else float("nan")
    return scores


def f1(true: np.ndarray, found: np.ndarray) -> float:
    """Return the F1 score: 0 where the class is neither there nor found."""
    return float(2 * (true & found).sum() / max(1, true.sum() + found.sum()))


def shown(value) -> str:
    """Return a table's text of a value."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    command.run(main)
