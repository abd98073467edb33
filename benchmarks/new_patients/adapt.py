"""What do five labelled minutes of a new patient give, learnt as annotate_record.py --adapt-minutes learns them?

    python benchmarks/new_patients/adapt.py NAME --output DIR [--minutes N] [--limit N] [--seed N]
        [--records R ...]

NAME is an experiment of cross_validate, whose networks NAME-SEED-FOLD.keras lie in --output. Each patient's network, which
has not seen the patient, is calibrated as the experiment is, by all patients' labels. It learns the first minutes beside
examples of the patients that it was trained on; the rest is scored, beside the same minutes by the network as it was. A
line for each way is added to adaptation.csv there. Patients that are done are kept, so the same command goes on after an interruption.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.images.protocols import DS1
from ecgbeats.runs.adapting import Beats, adapt, predict_images
from ecgbeats.runs.calibration import fold_in
from ecgbeats.runs.networks import load_model
from ecgbeats.runs.rehearsal import with_few_shades

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.examples import Examples
from benchmarks.new_patients.examples_file import LIMIT, spread
from benchmarks.new_patients.experiment import Experiment, add_row, fold_file, read_experiment
from benchmarks.new_patients.patients import CLASSES, Patient
from benchmarks.new_patients.scores import by_patient, kept, summary, weights
from benchmarks.new_patients.training import one_thread

WAYS = ("without", "adapted")


def main(arguments: list[str]) -> None:
    """Adapt to each patient, and score what follows the minutes."""
    made = harness.parser(
        __doc__,
        output=(Path, "folder of cross_validate"),
        minutes=(5, "that are labelled"),
        limit=(LIMIT, "examples of each class; 0 learns without any"),
        seed=(0, "of the experiment's training"),
    )
    made.add_argument("name", metavar="NAME", help="of the experiment")
    made.add_argument("--records", nargs="+", default=DS1, metavar="R", help="(default DS1)")
    options = made.parse_args(arguments)
    with command.quiet_import():
        one_thread()
    experiment = read_experiment(options.output, options.name, [options.seed])
    patients, examples, fold_of = experiment.patients, experiment.own, experiment.fold_of
    name = f"{options.name}-{options.seed}"
    way = f"adapted-{options.minutes}-{options.limit}"
    done = {}
    for number, patient in enumerate(patients):
        if patient.name not in options.records:
            continue
        file = done[number] = options.output / f"{name}-{way}-{patient.name}.npz"
        if not file.exists():
            file_of = fold_file(options.output, options.name, options.seed, fold_of[number])
            model, _ = load_model(file_of.with_suffix(".keras"))
            fold_in(model, *experiment.calibration)
            others = choose(experiment, number, options.limit)
            early, late = minutes(patient, examples, number, options.minutes)
            found = score(model, early, late, others)
            with command.whole_file(file) as partial:
                np.savez(partial, labels=late.labels, **found)
            print(f"{patient.name}: {len(early.labels)} beats labelled, {found['seconds']:.1f} s", flush=True)
    found = [dict(np.load(file)) for file in done.values()]
    report([patients[number] for number in done], found, name, way, options.output / "adaptation.csv")


def choose(experiment: Experiment, number: int, limit: int) -> np.ndarray | None:
    """Return what examples.npz beside the network of a patient's fold would hold, of those that it was trained on."""
    if not limit:
        return None
    examples, fold_of = experiment.own, experiment.fold_of
    trained = experiment.trains & (fold_of != fold_of[number])
    own = np.flatnonzero(trained[examples.patient])
    records = np.array([patient.name for patient in experiment.patients])[examples.patient[own]]
    chosen = own[spread(records, np.array(CLASSES)[examples.labels[own]], limit, 0)]
    return with_few_shades(take(examples, chosen).images)


def minutes(patient: Patient, examples: Examples, number: int, length: float) -> tuple[Beats, Beats]:
    """Return the kept beats of a patient's first minutes, and those behind them."""
    record = patient.leads[0]
    early = record.samples[kept(patient)] < length * 60 * record.rate
    own = np.flatnonzero(examples.patient == number)
    return take(examples, own[early]), take(examples, own[~early])


def score(
    model,
    early: Beats,
    late: Beats,
    others: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Return what a network says of the beats behind the minutes, as it was and adapted, and the learning's seconds."""
    found = {"without": predict_images(model, late.images)}
    started = time.perf_counter()
    learnt = adapt(model, early, others, seed=0)
    found["seconds"] = time.perf_counter() - started
    found["kept"] = learnt is None
    found["adapted"] = found["without"] if learnt is None else predict_images(learnt, late.images)
    return found


def report(patients: list[Patient], found: list, name: str, way: str, file: Path) -> None:
    """Print the scores of each way and each record's accuracy, and write the scores to adaptation.csv."""
    true = [values["labels"] for values in found]
    rows, shares = [], {}
    for one in WAYS:
        predicted = [values[one].argmax(1) for values in found]
        row = {"experiment": name, "way": way.replace("adapted", one), "patients": len(patients)}
        row |= {key: round(value, 4) for key, value in summary(patients, true, predicted).items()}
        add_row(file, row, ("experiment", "way"))
        print(", ".join(f"{key} {value}" for key, value in row.items()))
        shares[one] = [
            np.average(labels == labelled, weights=weights(patient, labels))
            for patient, labels, labelled in zip(patients, true, predicted, strict=True)
        ]
        rows.append(by_patient(patients, true, predicted, ("ds1", "svdb")))
    changes = np.subtract(shares["adapted"], shares["without"])
    table = [
        [
            *before,
            *after[2:4],
            *after[5:],
            f"{one:.2%}",
            f"{other:.2%}",
            f"{100 * change:+.2f}",
            "kept" if values["kept"] else "",
        ]
        for before, after, one, other, change, values in zip(
            *rows, shares["without"], shares["adapted"], changes, found, strict=True
        )
    ]
    header = ["", "S", "found", "false", "V", "found", "false", "S found", "false", "V found", "false"]
    print(harness.table([*header, "accuracy", "adapted", "points", "network"], table))
    worst = int(changes.argmin())
    seconds = [float(values["seconds"]) for values in found]
    print(
        f"\nGreatest loss: {patients[worst].name}, {100 * changes[worst]:+.2f} points; learning took {np.median(seconds):.1f} s, "
        f"{max(seconds):.1f} s at most; {sum(bool(values['kept']) for values in found)} networks stayed as they were"
    )


def take(examples: Examples, positions: np.ndarray) -> Beats:
    """Return beats by their positions, as a network takes them."""
    order = np.argsort(positions, kind="stable")  # memory of a file is read best from its start to its end
    images = np.empty((len(positions), *examples.images.shape[1:]), np.uint8)
    images[order] = examples.images[positions[order]]
    return Beats(images[..., np.newaxis], examples.labels[positions].astype(np.int64))


if __name__ == "__main__":
    command.run(main)
