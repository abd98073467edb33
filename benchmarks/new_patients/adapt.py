"""What do five labelled minutes of a new patient give, and which guard keeps what they do not show?

    python -m benchmarks.new_patients.adapt NAME --output DIR [--drawing D] [--minutes N] [--steps N] [--seed N]

NAME is an experiment of cross_validate, whose networks lie in --output. Each patient's network, which has not seen the
patient, learns from the first minutes; the rest is scored, beside the same minutes by the network as it was. A line for
each way is added to adaptation.csv there.
"""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.cross_validate import FOLDS, add_row, one_thread
from benchmarks.new_patients.examples import Examples, read_examples
from benchmarks.new_patients.patients import CLASSES, Patient, folds
from benchmarks.new_patients.scores import best_summary, by_patient, decide, kept, summary
from benchmarks.new_patients.training import epoch

BATCH = 64
FEW = 3  # labelled beats of a class; with fewer the minutes say nothing of it


@dataclass(frozen=True)
class Way:
    """How a network learns from a patient's minutes.

    Attributes
    ----------
    rate : float
        The learning rate.
    keeps : float
        The weight of the divergence from the first network's probabilities on other patients' beats.
    trusts_first : bool
        Classes that the minutes lack keep the first network's evidence where that is stronger.
    """

    rate: float
    keeps: float = 0.0
    trusts_first: bool = False


WAYS = {
    "plain": Way(3e-4),
    "guarded": Way(3e-4, trusts_first=True),
    "gentle": Way(1e-4, trusts_first=True),
    "kept": Way(3e-4, keeps=1.0),
    "kept-guarded": Way(3e-4, keeps=1.0, trusts_first=True),
}


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
    options = made.parse_args(arguments)
    with command.quiet_import():
        one_thread()
        import keras
    patients = pickle.loads((options.output / "patients.pickle").read_bytes())
    examples = read_examples(patients, "own", options.drawing, options.output)
    fold_of = folds(patients, FOLDS)
    ways = {"without": None} | WAYS
    true, found = [], {way: [] for way in ways}
    chosen = [number for number, patient in enumerate(patients) if patient.part == "ds1"]
    for number in chosen:
        file = options.output / f"{options.name}-{options.seed}-{fold_of[number]}.keras"
        own = np.flatnonzero(examples.patient == number)
        early = own[first_minutes(patients[number], options.minutes)]
        late = np.setdiff1d(own, early)
        true.append(examples.labels[late].astype(int))
        pool = examples.of(fold_of != fold_of[number])
        for name, way in ways.items():
            model = keras.models.load_model(file)
            first = model.predict_on_batch(_batch(examples, late))
            if way is None:
                found[name].append(first)
                continue
            learn(model, way, examples, early, pool, options.steps, seed=number)
            adapted = model.predict_on_batch(_batch(examples, late))
            if way.trusts_first:
                adapted = trust_first(adapted, first, examples.labels[early])
            found[name].append(adapted)
        print(f"{patients[number].name}: {len(early)} beats labelled, {len(late)} scored", flush=True)
    scored = [patients[number] for number in chosen]
    # One bias, chosen without adapting: labels of the minutes may not choose it for what follows.
    scores, bias = best_summary(scored, true, found["without"])
    for name, probabilities in found.items():
        predicted = [decide(values, bias) for values in probabilities]
        scores = summary(scored, true, predicted)
        row = {"experiment": options.name, "way": name, "bias": bias}
        row |= {key: round(value, 4) for key, value in scores.items()}
        add_row(options.output / "adaptation.csv", row)
        print(", ".join(f"{key} {value}" for key, value in row.items()))
        print(
            harness.table(
                ["DS1", "S", "found", "false", "V", "found", "false"], by_patient(scored, true, predicted)
            )
        )


def first_minutes(patient: Patient, minutes: float) -> np.ndarray:
    """Return which of a patient's kept beats lie in its first minutes: positions among them."""
    record = patient.leads[0]
    return np.flatnonzero(record.samples[kept(patient)] < minutes * 60 * record.rate)


def learn(model, way: Way, examples: Examples, early: np.ndarray, pool: list, steps: int, seed: int) -> None:
    """Train a network on batches, half of them of the patient's labelled beats, half of other patients', in place."""
    import keras

    random = np.random.default_rng(seed)
    others = epoch(random, pool)
    # Rare classes of the minutes come as often as the square root of their number tells.
    labels = examples.labels[early]
    share = 1 / np.sqrt(np.bincount(labels, minlength=len(CLASSES))[labels])
    before = (
        dict(zip(others, model.predict(_batch(examples, others), batch_size=512, verbose=0), strict=True))
        if way.keeps
        else {}
    )
    # Statistics of so few beats would be those of one patient.
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model.compile(keras.optimizers.AdamW(way.rate, weight_decay=0.0), loss="categorical_crossentropy")
    one_hot = np.eye(len(CLASSES), dtype=np.float32)
    for _ in range(steps):
        mine = random.choice(early, BATCH // 2, p=share / share.sum())
        theirs = random.choice(others, BATCH // 2)
        targets = one_hot[examples.labels[np.concatenate([mine, theirs])]]
        if way.keeps:
            kept_before = np.stack([before[position] for position in theirs])
            targets[BATCH // 2 :] = (targets[BATCH // 2 :] + way.keeps * kept_before) / (1 + way.keeps)
        model.train_on_batch(_batch(examples, np.concatenate([mine, theirs])), targets)


def trust_first(adapted: np.ndarray, first: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return probabilities in which classes that the labelled minutes lack have the greater of both networks' evidence."""
    lacking = np.bincount(labels, minlength=len(CLASSES)) < FEW
    joined = np.where(lacking, np.maximum(adapted, first), adapted)
    return joined / joined.sum(axis=1, keepdims=True)


def _batch(examples: Examples, positions: np.ndarray) -> np.ndarray:
    inputs = examples.inputs[positions]
    return inputs[..., None] if inputs.ndim == 3 else inputs


if __name__ == "__main__":
    command.run(main)
