"""The experiments for new patients: whom they read, what they make, how they count."""

import csv
import pickle
from dataclasses import replace

from ecgbeats.command import InputError
from ecgbeats.images.image_files import encode
from ecgbeats.images.protocols import DS1, DS2
from ecgbeats.records.record import Record
from ecgbeats.runs import rehearsal

import forked
import numpy as np
import pytest
from conftest import assert_refused

from benchmarks.new_patients import cross_validate, examples_file
from benchmarks.new_patients import patients as readers
from benchmarks.new_patients.adapt import choose, minutes
from benchmarks.new_patients.examples import Examples, read_examples, what_is
from benchmarks.new_patients.examples_file import spread
from benchmarks.new_patients.experiment import (
    PATIENTS,
    RECORDS,
    Experiment,
    all_folds,
    fold_file,
    keep_options,
    options_file,
    read_experiment,
    training_patients,
)
from benchmarks.new_patients.patients import Patient, checksums, folds, read_patients
from benchmarks.new_patients.scores import N, S, kept, summary
from benchmarks.new_patients.training import TrainingImages


def make_patient(name="p", part="svdb", beats=400, rr=0.8, rate=128, labels=None):
    samples = np.rint((1 + np.arange(beats) * rr) * rate).astype(np.int64)
    t = np.arange(samples[-1] + 2 * rate) / rate
    signal = np.zeros(len(t))
    for x in samples / rate:
        near = slice(max(0, round((x - 0.5) * rate)), round((x + 0.5) * rate))
        signal[near] += np.exp(-(((t[near] - x) / 0.03) ** 2) / 2)
        signal[near] += 0.2 * np.exp(-(((t[near] - x + 0.16) / 0.02) ** 2) / 2)
    leads = [
        Record(name, lead, float(rate), signal.astype(np.float32), samples, np.full(beats, "N"))
        for lead in "AB"
    ]
    return Patient(name, part, leads, np.zeros(beats, np.int8) if labels is None else labels)


def test_ds2_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "800.hea").touch()
    monkeypatch.setattr(readers, "read_patient", lambda path, part, rate: path.name)
    names = read_patients(tmp_path, tmp_path)
    assert names == [*DS1, "800"]
    assert not set(names) & set(DS2)


def test_further_examples_are_of_their_kind(tmp_path):
    patient = make_patient(labels=np.where(np.arange(400) % 50 == 49, S, N).astype(np.int8))
    symbols = np.where(patient.labels == S, "A", "N")
    patient = replace(patient, leads=[replace(lead, symbols=symbols) for lead in patient.leads])
    found = {
        kind: read_examples([patient], kind, "paper", tmp_path)
        for kind in ("own", "second", "early-1", "noise-0")
    }
    assert {kind: examples.images.shape[1:] for kind, examples in found.items()} == dict.fromkeys(
        found, (128, 128)
    )
    assert found["own"].labels.tolist() == patient.labels[kept(patient)].tolist()
    assert np.bincount(found["second"].labels).tolist() == [300, 8]
    assert np.sum(found["early-1"].labels == S) > 8
    assert (found["noise-0"].images != found["second"].images).any()
    assert [what_is(kind)[0] for kind in ("second", "fibrillation-0", "early-1", "noise-1")] == [1, 0, 1, 0]
    with pytest.raises(InputError, match="made-0"):
        what_is("made-0")


def test_patients_train_alike():
    random = np.random.default_rng(0)
    parts = [
        Examples(
            random.integers(0, 255, (count, 128, 128), np.uint8),
            np.where(np.arange(count) % 100 == 0, S, N).astype(np.int8),
            np.repeat(np.arange(3), [count - 400, 100, 300]),
        )
        for count in (700, 1000)
    ]
    images = TrainingImages(parts, np.array([True, False, True]))
    assert len(images) == 1500
    # A patient counts anew in each part.
    assert np.bincount(images.groups).tolist() == [300, 0, 300, 600, 0, 300]
    index = np.array([1400, 3])
    pixels, labels = images.gather(index), images.labels[index]
    assert labels.tolist() == [S, N]
    assert (pixels == [parts[1].images[900], parts[0].images[3]]).all()
    assert (images[1400] == pixels[0]).all()


def test_an_experiment_is_calibrated_over_all_its_patients(tmp_path):
    random = np.random.default_rng(0)
    labels = (random.random(400) < 0.2).astype(np.int8)
    patients = [make_patient(str(i), "ds1" if i < 5 else "svdb", 400, labels=labels) for i in range(10)]
    (tmp_path / PATIENTS).write_bytes(pickle.dumps(patients))
    beats = [labels[kept(patient)] for patient in patients]
    owners = np.repeat(np.arange(10), [len(values) for values in beats])
    np.save(tmp_path / "usual-own.npy", np.zeros((len(owners), 1, 1), np.uint8))
    np.savez(tmp_path / "usual-own.npz", labels=np.concatenate(beats), patient=owners)
    fold_of = folds(patients)
    for fold in range(5):
        true = np.concatenate(beats)[fold_of[owners] == fold]
        # Too sure of S: right in 20 of 100 that are given 0.6.
        given = np.tile(np.array([0.4, 0.6, 0, 0, 0], np.float32), (len(true), 1))
        np.save(fold_file(tmp_path, "name", 0, fold), given)
    keep_made(tmp_path, "name", part="ds1")
    experiment = read_experiment(tmp_path, "name", [0])
    assert experiment.trains.tolist() == [True] * 5 + [False] * 5
    assert len(experiment.every) == sum(
        np.sum(values == S) + np.sum(values == N) * (1 if patient.part == "ds1" else 3)
        for patient, values in zip(patients, beats, strict=True)
    )
    assert experiment.probabilities[:, S] == pytest.approx(0.2, abs=0.03)
    assert all((values == N).all() for values in experiment.predicted)
    fold_file(tmp_path, "name", 0, 3).unlink()
    with pytest.raises(InputError, match="name-0-3"):
        read_experiment(tmp_path, "name", [0])
    options_file(tmp_path, "name").unlink()
    with pytest.raises(InputError, match=r"name.options.json: no such file"):
        read_experiment(tmp_path, "name", [0])


def make_records(folder):
    """Write files in the place of records, and return the options that name them."""
    for database, names in (("mitdb", DS1), ("svdb", ["800"])):
        (folder / database).mkdir()
        for name in names:
            (folder / database / f"{name}.hea").touch()
            (folder / database / f"{name}.atr").touch()
    return ["--mitdb", str(folder / "mitdb"), "--svdb", str(folder / "svdb")]


def keep_made(folder, name=None, **other):
    """Write what says that patients.pickle, or an experiment's folds, are of the options of the command."""
    if name is None:
        keep_options(folder / RECORDS, checksums(folder / "mitdb", folder / "svdb"), [], "")
    else:
        options = {"drawing": "usual", "network": "columns", "further": [], "part": "both", "epochs": 4}
        keep_options(options_file(folder, name), options | other, [], "")


def test_an_experiment_goes_on_with_its_own_options_alone(tmp_path):
    words = ["one", *make_records(tmp_path), "--output", str(tmp_path), "--further", "none", "--folds", "0"]
    (tmp_path / PATIENTS).write_bytes(pickle.dumps([make_patient()]))
    with pytest.raises(InputError, match=r"patients.pickle is there without patients.json"):
        cross_validate.main(words)
    keep_made(tmp_path)
    fold_file(tmp_path, "one", 1, 0).touch()
    with pytest.raises(InputError, match=r"one-1-0.npy is there without one.options.json"):
        cross_validate.main(words)
    fold_file(tmp_path, "one", 1, 0).unlink()
    for name, value, now in (
        ("epochs", 5, "4"),
        ("part", "ds1", "both"),
        ("further", ["second"], r"\[\]"),
        ("network", "fast", "columns"),
        ("drawing", "typical", "usual"),
    ):
        keep_made(tmp_path, "one", **{name: value})
        with pytest.raises(
            InputError, match=rf"one.options.json is of other options: --{name} \(.*, now {now}\)"
        ):
            cross_validate.main(words)
        options_file(tmp_path, "one").unlink()
    (tmp_path / "svdb" / "800.atr").write_text("corrected")
    with pytest.raises(InputError, match=r"patients.json is of other options: --svdb"):
        cross_validate.main(words)


def test_folds_are_those_of_one_experiment(tmp_path):
    for name in ("one-0-3", "one-12-0", "one-1-0-3", "done-0-3"):
        (tmp_path / f"{name}.npy").touch()
    assert [file.stem for file in all_folds(tmp_path, "one")] == ["one-0-3", "one-12-0"]


def test_a_network_of_ds1_learns_minutes_beside_patients_of_ds1_alone():
    patients = [make_patient(str(number), part) for number, part in enumerate(["ds1", "ds1", "ds1", "svdb"])]
    shades = np.repeat([0, 51, 153, 255], 10).astype(np.uint8)
    own = Examples(
        np.broadcast_to(shades[:, None, None], (40, 128, 128)),
        np.zeros(40, np.int8),
        np.repeat(np.arange(4), 10),
    )
    for part, expected in (("ds1", {51, 153}), ("both", {51, 153, 255})):
        trains = training_patients(patients, part)
        experiment = Experiment(patients, own, np.array([0, 1, 2, 3]), trains, np.zeros((40, 5)))
        assert set(np.unique(choose(experiment, 0, 40))) == expected


def test_thinned_beats_count_as_many():
    labels = np.zeros(90, np.int8)
    labels[::9] = S
    patients = [make_patient("101", "ds1", 90, labels=labels), make_patient("800", "svdb", 90, labels=labels)]
    whole = [replace(patient, part="ds1") for patient in patients]
    true = [patient.labels[kept(patient)] for patient in patients]
    assert [len(values) for values in true] == [90, 10 + -(-80 // 3)]
    found = summary(
        [*patients, *whole[1:]], [*true, labels], [np.full(len(values), S) for values in (*true, labels)]
    )
    assert found["svdb_S"] == pytest.approx(found["ds1_S"], rel=0.02)
    assert found["svdb_accuracy"] == pytest.approx(1 / 9, rel=0.03)


def test_the_first_minutes_are_those():
    patient = make_patient(part="ds1", beats=500)
    examples = Examples(
        np.zeros((600, 2, 2), np.uint8), np.zeros(600, np.int8), np.repeat([7, 0], [100, 500])
    )
    early, late = minutes(patient, examples, 0, 5)
    assert len(early.labels) == np.sum(1 + np.arange(500) * 0.8 < 300)
    assert len(early.labels) + len(late.labels) == 500


def test_examples_are_spread_over_records_and_classes():
    records = np.repeat(["a", "b", "c"], [100, 10, 100])
    classes = np.where(np.arange(210) % 10 == 0, "S", "N")
    chosen = spread(records, classes, 39, 0)
    assert [int(np.sum((classes[chosen] == "N") & (records[chosen] == r))) for r in "abc"] == [15, 9, 15]
    assert np.sum(classes[chosen] == "S") == 21  # all
    assert spread(records, classes, 39, 0).tolist() == chosen.tolist()
    assert spread(records, classes, 39, 1).tolist() != chosen.tolist()


def test_the_examples_file_holds_no_beat_of_a_test_record(tmp_path):
    data = tmp_path / "data"
    shades = {"101": 0, "106": 51, "100": 153}
    for record, shade in shades.items():
        for name in "NV":
            (data / name).mkdir(parents=True, exist_ok=True)
            for sample in range(5):
                image = encode(np.full((128, 128), shade, np.uint8))
                (data / name / f"{record}_{sample}.png").write_bytes(image)
    (data / "dataset.json").write_text('{"options": {"drawing": "usual"}}')
    examples_file.main(
        [
            "--data",
            str(data),
            "--split",
            "ds1-ds2",
            "--output",
            str(tmp_path / "examples.npz"),
            "--limit",
            "4",
        ]
    )
    found = rehearsal.read_examples(tmp_path / "best.keras", "usual")
    assert np.unique(found, return_counts=True)[1].tolist() == [4 * 128 * 128] * 2
    assert set(np.unique(found).tolist()) == {0, 51}


@pytest.mark.slow
def test_an_experiment_from_training_to_adapting(tmp_path):
    patients = [
        make_patient(
            str(i), "ds1" if i < 5 else "svdb", 120, labels=(np.arange(120) % 6 == 0).astype(np.int8)
        )
        for i in range(10)
    ]
    (tmp_path / PATIENTS).write_bytes(pickle.dumps(patients))
    command, records = "benchmarks/new_patients/cross_validate.py", make_records(tmp_path)
    keep_made(tmp_path)
    options = ("one", *records, "--output", tmp_path, "--epochs", 1, "--further", "second", "fibrillation-0")
    assert "svdb S" not in forked.run(command, *options, "--folds", 0, 3).stdout
    result = forked.run(command, *options)
    assert result.returncode == 0, result.stderr
    assert "svdb S" in result.stdout
    assert "fold 3" not in result.stdout  # it was trained before
    (row,) = csv.DictReader((tmp_path / "experiments.csv").open(newline=""))
    assert (row["experiment"], row["network"], row["further"]) == ("one", "columns", "second fibrillation-0")
    assert 0 <= float(row["svdb_S"]) <= 1
    result = forked.run(command, *options, "--part", "ds1")
    assert_refused(result, "one.options.json", "--part (then both, now ds1)", "choose another NAME")
    result = forked.run("benchmarks/new_patients/failures.py", "one", "--output", tmp_path)
    assert "S missed" in result.stdout, result.stderr
    options = ("one", "--output", tmp_path, "--records", 2, "--minutes", 1, "--limit", 20)
    result = forked.run("benchmarks/new_patients/adapt.py", *options)
    assert "way adapted-1-20" in result.stdout, result.stderr


def test_patients_stay_together():
    patients = [
        make_patient(
            str(i), "ds1" if i < 10 else "svdb", 60, labels=(np.arange(60) % 10 == 0).astype(np.int8)
        )
        for i in range(30)
    ]
    found = folds(patients, 5)
    assert np.bincount(found).tolist() == [6] * 5
    assert np.bincount(found[:10]).tolist() == [2] * 5
