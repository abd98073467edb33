"""What do five labelled minutes of a new patient give, and which guard keeps what they do not show?

    python benchmarks/new_patients/adapt.py NAME --output DIR [--drawing D] [--minutes N] [--steps N] [--seed N]

NAME is an experiment of cross_validate, whose networks lie in --output. Each patient's network, which has not seen the
patient, learns from the first minutes; the rest is scored, beside the same minutes by the network as it was. A line for
each way is added to adaptation.csv there.
"""

import pickle
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.images.protocols import DS1

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.cross_validate import FOLDS, add_row, one_thread
from benchmarks.new_patients.examples import Examples, read_examples
from benchmarks.new_patients.patients import CLASSES, Patient, folds
from benchmarks.new_patients.scores import best_summary, by_patient, decide, kept, summary
from benchmarks.new_patients.training import epoch, predict

BATCH = 64
FEW = 3  # labelled beats of a class; with fewer the minutes say nothing of it


LEARNING_RATE = 3e-4
# How much of the targets of other patients' beats is what the first network said of them.
KEEPS = {"plain": 0.0, "kept": 0.5}


def main(arguments: list[str]) -> None:
    """Adapt to each patient of DS1 in each way, score what follows the minutes."""
    made = harness.parser(
        __doc__,
        output=(Path, "folder of cross_validate"),
        drawing=("usual", "as for cross_validate"),
        minutes=(5, "that are labelled"),
        steps=(120, "batches"),
        seed=(0, "of the experiment's training"),
    )
    made.add_argument("name", metavar="NAME", help="of the experiment")
    made.add_argument("--records", nargs="+", default=DS1, metavar="R", help="of DS1 (default all)")
    options = made.parse_args(arguments)
    with command.quiet_import():
        one_thread()
    patients = pickle.loads((options.output / "patients.pickle").read_bytes())
    examples = read_examples(patients, "own", options.drawing, options.output)
    fold_of = folds(patients, FOLDS)
    files = {
        number: options.output / f"{options.name}-{options.seed}-adapted-{options.minutes}-{patient.name}.npz"
        for number, patient in enumerate(patients)
        if patient.part == "ds1"
    }
    for number, file in files.items():
        if patients[number].name in options.records and not file.exists():
            fold = fold_of[number]
            network = options.output / f"{options.name}-{options.seed}-{fold}.keras"
            own = np.flatnonzero(examples.patient == number)
            early = own[first_minutes(patients[number], options.minutes)]
            found = adapt(
                network, examples, own, early, examples.of(fold_of != fold), options.steps, seed=number
            )
            with command.whole_file(file) as partial:
                np.savez(partial, labels=examples.labels[np.setdiff1d(own, early)].astype(int), **found)
            print(f"{patients[number].name}: {len(early)} beats labelled of {len(own)}", flush=True)
    done = [number for number, file in files.items() if file.exists()]
    report([patients[number] for number in done], [np.load(files[number]) for number in done], options)


def adapt(
    file: Path, examples: Examples, own, early, pool: list, steps: int, seed: int
) -> dict[str, np.ndarray]:
    """Return what a patient's network says of the beats after the minutes: as it is, and adapted in each way."""
    import keras

    model = keras.models.load_model(file)
    late = _inputs(examples, np.setdiff1d(own, early))
    found = {"without": predict(model, late)}
    for name, keeps in KEEPS.items():
        model = keras.models.load_model(file)
        learn(model, keeps, examples, early, pool, steps, seed)
        found[name] = predict(model, late)
        found[f"{name}-guarded"] = trust_first(found[name], found["without"], examples.labels[early])
    return found


def report(patients: list[Patient], found: list, options) -> None:
    """Print the scores of each way, and write them to adaptation.csv."""
    true = [values["labels"] for values in found]
    # One bias, chosen without adapting: labels of what follows may not choose it.
    _, bias = best_summary(patients, true, [values["without"] for values in found])
    for way in ("without", *(f"{name}{guard}" for name in KEEPS for guard in ("", "-guarded"))):
        predicted = [decide(values[way], bias) for values in found]
        row = {"experiment": options.name, "way": way, "patients": len(patients), "bias": bias}
        row |= {name: round(value, 4) for name, value in summary(patients, true, predicted).items()}
        add_row(options.output / "adaptation.csv", row, ("experiment", "way"))
        print(", ".join(f"{name} {value}" for name, value in row.items()))
        right = [f"{np.mean(labels == values):.2%}" for labels, values in zip(true, predicted, strict=True)]
        rows = [
            [*row, share] for row, share in zip(by_patient(patients, true, predicted), right, strict=True)
        ]
        print(harness.table(["DS1", "S", "found", "false", "V", "found", "false", "accuracy"], rows), "\n")


def first_minutes(patient: Patient, minutes: float) -> np.ndarray:
    """Return which of a patient's kept beats lie in its first minutes: positions among them."""
    record = patient.leads[0]
    return np.flatnonzero(record.samples[kept(patient)] < minutes * 60 * record.rate)


def learn(
    model, keeps: float, examples: Examples, early: np.ndarray, pool: list, steps: int, seed: int
) -> None:
    """Train a network on batches, half of them of the patient's labelled beats, half of other patients', in place."""
    import keras

    random = np.random.default_rng(seed)
    others = random.choice(epoch(random, pool), (steps, BATCH // 2))
    # Rare classes of the minutes come as often as the square root of their number tells.
    labels = examples.labels[early]
    share = 1 / np.sqrt(np.bincount(labels, minlength=len(CLASSES))[labels])
    one_hot = np.eye(len(CLASSES), dtype=np.float32)
    targets = one_hot[examples.labels[others]]
    if keeps:
        first = predict(model, _inputs(examples, others.ravel())).reshape(targets.shape)
        targets = (1 - keeps) * targets + keeps * first
    # Statistics of so few beats would be those of one patient.
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model.compile(keras.optimizers.AdamW(LEARNING_RATE, weight_decay=0.0), loss="categorical_crossentropy")
    for theirs, wanted in zip(others, targets, strict=True):
        mine = random.choice(early, BATCH // 2, p=share / share.sum())
        batch = _batch(examples, np.concatenate([mine, theirs]))
        model.train_on_batch(batch, np.concatenate([one_hot[examples.labels[mine]], wanted]))


def trust_first(adapted: np.ndarray, first: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return probabilities in which classes that the labelled minutes lack have the greater of both networks' evidence."""
    lacking = np.bincount(labels, minlength=len(CLASSES)) < FEW
    joined = np.where(lacking, np.maximum(adapted, first), adapted)
    return joined / joined.sum(axis=1, keepdims=True)


def _inputs(examples: Examples, positions: np.ndarray) -> np.ndarray:
    order = np.argsort(positions, kind="stable")  # memory of a file is read best from its start to its end
    found = np.empty((len(positions), *examples.inputs.shape[1:]), examples.inputs.dtype)
    found[order] = examples.inputs[positions[order]]
    return found


def _batch(examples: Examples, positions: np.ndarray) -> np.ndarray:
    inputs = _inputs(examples, positions)
    return inputs[..., None] if inputs.ndim == 3 else inputs


if __name__ == "__main__":
    command.run(main)
