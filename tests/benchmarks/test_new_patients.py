"""The experiments for new patients: whom they read, what they make, how they count."""

from dataclasses import replace

from ecgbeats.images.image_files import encode
from ecgbeats.images.protocols import DS1, DS2
from ecgbeats.records.record import Record
from ecgbeats.runs.rehearsal import read_examples

import numpy as np
import pytest

from benchmarks.new_patients import examples_file
from benchmarks.new_patients import patients as readers
from benchmarks.new_patients.adapt import minutes
from benchmarks.new_patients.beat_numbers import groups, numbers
from benchmarks.new_patients.examples import Examples
from benchmarks.new_patients.examples_file import spread
from benchmarks.new_patients.made import SHORTEST, make_rhythm
from benchmarks.new_patients.patients import Patient, folds, read_patients
from benchmarks.new_patients.scores import N, S, kept, summary


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


def test_a_made_rhythm_says_what_it_is():
    patient = make_patient()
    early = make_rhythm(patient, 1, {"early": 1.0})
    rr = np.diff(early.leads[0].samples) / 128
    is_s = early.labels[1:] == S
    assert 5 < is_s.sum() < 150
    usual = np.median(rr[~is_s])
    assert (rr[is_s] < 0.95 * usual).all()
    assert rr.min() > SHORTEST - 0.02
    fibrillation = make_rhythm(patient, 1, {"fibrillation": 1.0})
    assert (fibrillation.labels == N).all()
    rr = np.diff(fibrillation.leads[0].samples) / 128
    assert rr.std() / rr.mean() > 0.1
    # Each beat still stands where it is annotated, and the P wave before it is gone.
    signal, at = fibrillation.leads[0].signal, fibrillation.leads[0].samples[5:-5]
    assert np.abs(np.array([signal[x - 4 : x + 5].argmax() for x in at]) - 4).max() <= 1
    p_waves = [
        np.mean([record.signal[x - 20] - record.signal[x - 32] for x in record.samples[5:-5]])
        for record in (patient.leads[0], fibrillation.leads[0])
    ]
    assert p_waves[1] < p_waves[0] / 3
    # The same seed gives the same.
    again = make_rhythm(patient, 1, {"fibrillation": 1.0})
    assert (again.leads[0].signal == signal).all()


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


def test_numbers_are_of_the_drawing():
    record = make_patient().leads[0]
    found = numbers(record)
    assert found.shape == (400, groups()["own"].stop)
    assert np.isfinite(found).all()
    turned = numbers(replace(record, signal=-3 * record.signal))
    assert np.abs(turned[50:-50] - found[50:-50]).max() < 0.02


def test_the_first_minutes_are_those():
    patient = make_patient(part="ds1", beats=500)
    examples = Examples(np.zeros((600, 3), np.float32), np.zeros(600, np.int8), np.repeat([7, 0], [100, 500]))
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
    found = read_examples(tmp_path / "best.keras", "usual")
    assert np.unique(found, return_counts=True)[1].tolist() == [4 * 128 * 128] * 2
    assert set(np.unique(found).tolist()) == {0, 51}


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
