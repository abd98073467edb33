"""What several finished runs of one protocol say of new patients together: means and ranges over their seeds, as tables."""

from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.names import record_names
from ecgbeats.runs.config import Config, need_config, protocol_of
from ecgbeats.runs.folder import EARLIER, FREE_ON_RESUME
from ecgbeats.scores.aami import BEATS
from ecgbeats.scores.aami import RATES as EC57_RATES
from ecgbeats.scores.metrics import score
from ecgbeats.scores.metrics_file import Metrics, Scores, read_metrics
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.words import rounded

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.scores import FEWEST

ECTOPIC = ("S", "V")
RATES = ("f1", "sensitivity", "ppv")
# The scores that tables have, with their titles.
HEADLINE = {"accuracy": "Accuracy"} | {
    f"{name}_{rate}": f"{word} of {name}"
    for name in ECTOPIC
    for rate, word in zip(RATES, ("F1", "Sensitivity", "PPV"), strict=True)
}
QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class Run:
    """A finished run of train_keras.py.

    Attributes
    ----------
    folder : pathlib.Path
    config : Config
    metrics : Metrics
    files : list of str
        The test images, as predictions.csv names them.
    true : numpy.ndarray, int64, shape (beats,)
        Positions in ``classes``.
    probabilities : numpy.ndarray, float32, shape (beats, classes)
    classes : list of str
    """

    folder: Path
    config: Config
    metrics: Metrics
    files: list[str]
    true: np.ndarray
    probabilities: np.ndarray
    classes: list[str]

    @property
    def network(self) -> Path:
        """Its file."""
        return self.folder / "best.keras"

    @property
    def seed(self) -> int:
        """That of its training."""
        return self.config["options"]["seed"]

    @property
    def protocol(self) -> str:
        """Its list of records, by name."""
        return Path(self.config["options"]["split"]).stem

    @property
    def records(self) -> np.ndarray:
        """The record of each test beat: str, shape (beats,)."""
        return record_names(self.files)


def read_runs(folders: list[Path]) -> dict[str, list[Run]]:
    """Return the runs by protocol, in the order of ``folders``, having checked that each protocol's differ in seed alone."""
    by_protocol = {}
    for folder in folders:
        run = read_run(folder)
        by_protocol.setdefault(run.protocol, []).append(run)
    for runs in by_protocol.values():
        for other in runs[1:]:
            check_alike(runs[0], other)
        if len({run.seed for run in runs}) < len(runs):
            raise InputError(f"{runs[0].folder}: another run has its seed; give each seed once")
    return by_protocol


def read_run(folder: Path) -> Run:
    """Return a finished run, having checked that its predictions are those that its metrics are of."""
    config, metrics = need_config(folder), read_metrics(folder)
    files, true, probabilities, classes = read_predictions(folder / "predictions.csv")
    if not config["finished"]:
        raise InputError(f"{folder}: this run is not finished; go on with train_keras.py --resume")
    if classes != list(BEATS) or record_names(files) is None:
        raise InputError(f"{folder}: not a run of records with the classes {' '.join(BEATS)}; give another")
    if score(true, probabilities, classes)["confusion_matrix"] != metrics["confusion_matrix"]:
        raise InputError(f"{folder}: metrics.json is not of its predictions.csv; copy the whole folder again")
    return Run(folder, config, metrics, files, true, probabilities, classes)


def check_alike(one: Run, other: Run) -> None:
    """Raise InputError where two runs of a protocol differ in more than their seed, or in what they are tested on."""
    ours, theirs = recipe(one), recipe(other)
    different = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if one.files != other.files or (one.true != other.true).any():
        different.append("test beats")
    if different:
        raise InputError(
            f"{one.folder} and {other.folder} are of one protocol but differ in {', '.join(different)}; give seeds of "
            "one recipe"
        )


def recipe(run: Run) -> dict:
    """Return what decides on a run's network beside its seed: options, and for those that name files what is in these."""
    options = EARLIER | run.config["options"]
    kept = {name: value for name, value in options.items() if name not in (*FREE_ON_RESUME, "seed")}
    return kept | {
        "data": run.config["data_sha256"],
        "further": [folder["sha256"] for folder in run.config.get("further", [])],
        "split": protocol_of(run.config).content or options["split"],
        "calibrate": run.config.get("fitted") or options["calibrate"],
    }


def score_run(run: Run) -> dict:
    """Return what a run says of new patients, ready for JSON.

    ``all`` and, of DS2, ``without_record_202``: see :func:`headline`; ``patients``: see :func:`patient_quartiles`;
    ``records``: see :func:`count_by_record`.
    """
    predicted = run.probabilities.argmax(axis=1)
    patients = protocol_of(run.config).patients_of(run.records)
    found = {
        "seed": run.seed,
        "folder": run.folder.name,
        "all": headline(run.metrics),
        "patients": patient_quartiles(run.true, predicted, patients),
        "records": count_by_record(run.true, predicted, run.records),
    }
    if "without_record_202" in run.metrics:
        found["without_record_202"] = headline(run.metrics["without_record_202"])
    return found


def headline(scores: Scores) -> dict:
    """Return accuracy and RATES of S and V, and calibration error and the standard's gross figures where they are told."""
    found = {"beats": scores["test_images"], "accuracy": scores["accuracy"]}
    if "reliability" in scores:
        found["calibration_error"] = scores["reliability"]["expected_calibration_error"]
    for name in ECTOPIC:
        found |= {f"{name}_{rate}": scores["per_class"][name][rate] for rate in RATES}
    if "ec57" in scores:
        for kind, figures in scores["ec57"]["gross"].items():
            found |= {f"{kind}_{name}": figures[name] for name in EC57_RATES}
    return found


def patient_quartiles(true: np.ndarray, predicted: np.ndarray, patients: np.ndarray) -> dict:
    """Return the quartiles over patients of accuracy, and of the F1 of S and V of those with FEWEST beats of the class.

    Each holds ``number`` of patients and ``quartiles``, three, or None without a patient.
    """
    inside = [patients == name for name in np.unique(patients)]
    values = {"accuracy": [float(np.mean(true[part] == predicted[part])) for part in inside]}
    for name in ECTOPIC:
        label = BEATS.index(name)
        values[name] = [
            f1(true[part] == label, predicted[part] == label)
            for part in inside
            if (true[part] == label).sum() >= FEWEST
        ]
    return {
        name: {"number": len(of), "quartiles": np.percentile(of, QUARTILES).tolist() if of else None}
        for name, of in values.items()
    }


def f1(actual: np.ndarray, chosen: np.ndarray) -> float:
    """Return the F1 score of a class that some beats are of, by whether each is and was taken for it."""
    return float(2 * (actual & chosen).sum() / (actual.sum() + chosen.sum()))


def count_by_record(true: np.ndarray, predicted: np.ndarray, records: np.ndarray) -> dict[str, dict]:
    """Return each record's beats, accuracy, and how many S and V it has, how many are found, and how many false."""
    found = {}
    for name in np.unique(records).tolist():
        actual, chosen = true[records == name], predicted[records == name]
        found[name] = {"beats": len(actual), "accuracy": float(np.mean(actual == chosen))}
        for kind in ECTOPIC:
            is_it, taken = actual == BEATS.index(kind), chosen == BEATS.index(kind)
            found[name] |= {
                kind: int(is_it.sum()),
                f"{kind}_found": int((is_it & taken).sum()),
                f"{kind}_false": int((~is_it & taken).sum()),
            }
    return found


def describe(by_protocol: dict[str, list[dict]]) -> str:
    """Return Markdown tables of what :func:`score_run` says of each protocol's runs."""
    parts = {}
    for name, runs in by_protocol.items():
        parts[name] = [run["all"] for run in runs]
        if "without_record_202" in runs[0]:
            parts[f"{name}, without record 202"] = [run["without_record_202"] for run in runs]
    texts = ["Mean over the seeds, and their range.", main_table(parts), standard_table(parts)]
    texts += [
        "Patients: median (first and third quartile), each the mean over the seeds.",
        patient_table(by_protocol),
    ]
    for name, runs in by_protocol.items():
        texts += [f"Records of {name}, mean over the seeds:", record_table(runs)]
    return "\n\n".join(texts) + "\n"


def main_table(parts: dict[str, list[dict]]) -> str:
    """Return a row for each part: accuracy, RATES of S and V, calibration error."""
    keys = [*HEADLINE, "calibration_error"]
    rows = [
        [name, len(of), f"{of[0]['beats']:,d}", *(spread([one.get(key) for one in of], key) for key in keys)]
        for name, of in parts.items()
    ]
    return harness.table(["Protocol", "Seeds", "Test beats", *HEADLINE.values(), "Calibration error"], rows)


def standard_table(parts: dict[str, list[dict]]) -> str:
    """Return a row for each part: EC57's gross figures."""
    keys = [f"{kind}_{name}" for kind in ("SVEB", "VEB") for name in EC57_RATES]
    rows = [
        [name, *(spread([one.get(key) for one in of], key) for key in keys)] for name, of in parts.items()
    ]
    return harness.table(["EC57, gross", *(key.replace("_", " ") for key in keys)], rows)


def patient_table(by_protocol: dict[str, list[dict]]) -> str:
    """Return a row for each protocol: quartiles of F1 of S and V, and of accuracy."""
    rows = []
    for protocol, runs in by_protocol.items():
        cells = []
        for name in (*ECTOPIC, "accuracy"):
            of = [run["patients"][name] for run in runs]
            cells.append(of[0]["number"])
            if of[0]["quartiles"] is None:
                cells.append("-")
                continue
            low, middle, high = (
                in_digits(value, name) for value in np.mean([one["quartiles"] for one in of], axis=0)
            )
            cells.append(f"{middle} ({low.removesuffix(' %')} to {high.removesuffix(' %')})")
        rows.append([protocol, *cells])
    header = ["Patients", "F1 of S", "Patients", "F1 of V", "Patients", "Accuracy"]
    return harness.table(["Protocol", *header], rows)


def record_table(runs: list[dict]) -> str:
    """Return a row for each record: S and V, found and false, accuracy; means over the seeds."""
    rows = []
    for name in runs[0]["records"]:
        of = [run["records"][name] for run in runs]

        def mean(key, of=of):
            return np.mean([one[key] for one in of])

        counts = [f"{mean(f'{kind}{what}'):,.0f}" for kind in ECTOPIC for what in ("", "_found", "_false")]
        rows.append([name, f"{of[0]['beats']:,d}", *counts, in_digits(mean("accuracy"), "accuracy")])
    header = ["Record", "Beats", "S", "found", "false", "V", "found", "false", "Accuracy"]
    return harness.table(header, rows)


def spread(values: list[float | None], key: str) -> str:
    """Return the mean of some scores and, of several, their range; "-" where one is not defined."""
    if None in values:
        return "-"
    low, high = (in_digits(end, key).removesuffix(" %") for end in (min(values), max(values)))
    return in_digits(float(np.mean(values)), key) + (f" ({low} to {high})" if len(values) > 1 else "")


def in_digits(value: float, key: str) -> str:
    """Return a score as the tables have it: F1 and calibration error as numbers, the others in percent."""
    as_number = key in ECTOPIC or key.endswith(("f1", "calibration_error"))
    return rounded(value, 3) if as_number else rounded(100 * value, 2, 100) + " %"
