"""What is handed back of labelled beats: annotations, the table, the summary; and corrections."""

import csv
import json
from dataclasses import replace

from ecgbeats.command import InputError
from ecgbeats.records.record import Signal
from ecgbeats.scores.annotating.corrections import as_text, correct, read_corrections
from ecgbeats.scores.annotating.files import write_annotations, write_beats
from ecgbeats.scores.annotating.labelled import Labelled, class_symbols
from ecgbeats.scores.annotating.summary import summarize

import numpy as np
import pytest
import wfdb

RATE = 250.0
CLASSES = ["N", "S", "V", "F", "Q"]


def labelled(text="NNNVVVNSN", interval=200, noise=(), rate=RATE, first=0):
    """Return beats with these classes, one each ``interval`` samples from sample 100 on."""
    predicted = np.array([CLASSES.index(each) for each in text])
    samples = 100 + interval * np.arange(len(text))
    length = int(samples[-1]) + 100
    probabilities = np.full((len(text), 5), 0.05, np.float32)
    probabilities[np.arange(len(text)), predicted] = 0.8
    signal = Signal("own", "II", rate, np.zeros(length, np.float32), np.zeros(length, bool))
    by_hand = np.zeros(len(text), bool)
    noise = np.array(noise, np.int64).reshape(-1, 2)
    return Labelled(signal, first, samples, CLASSES, list(CLASSES), predicted, probabilities, by_hand, noise)


def annotations(beats, folder):
    write_annotations(folder / "own.ecgbeats", beats)
    return wfdb.rdann(str(folder / "own"), "ecgbeats")


@pytest.mark.parametrize("rate", [250.0, 511.422])
def test_wfdb_reads_the_annotations(tmp_path, rate):
    read = annotations(labelled("NVS", noise=[(150, 250), (550, 600)], rate=rate, first=1000), tmp_path)
    assert read.fs == rate
    assert read.sample.tolist() == [1100, 1150, 1250, 1300, 1500, 1550]
    assert read.symbol == ["N", "~", "~", "V", "S", "~"]
    assert read.subtype.tolist() == [0, -1, 0, 0, 0, -1]
    assert read.aux_note == ["0.800", "unreadable", "readable", "0.800", "0.800", "unreadable"]
    assert [path.name for path in tmp_path.iterdir()] == ["own.ecgbeats"]


def test_the_table_has_a_row_for_each_beat(tmp_path):
    write_beats(tmp_path / "own.csv", labelled("NVS", noise=[(350, 450)], first=250))
    with open(tmp_path / "own.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["sample", "seconds", "symbol", "class", "probability", "rr_before", "rr_after"]
    assert rows[1:] == [
        ["350", "1.400", "N", "N", "0.800", "", "0.800"],
        ["550", "2.200", "V", "V", "0.800", "0.800", ""],  # what follows cannot be judged
        ["750", "3.000", "S", "S", "0.800", "", ""],
    ]


def test_the_summary():
    beats = labelled("NNNVVVVNSN")
    samples = beats.samples.copy()
    samples[8:] += 400
    signal = replace(beats.signal, millivolts=np.zeros(3000, np.float32), gaps=np.zeros(3000, bool))
    found = summarize(replace(beats, samples=samples, signal=signal, noise=np.array([[2500, 3000]])))
    json.dumps(found, allow_nan=False)
    assert found["duration_seconds"] == 12
    assert found["beats"] == {"all": 10, "N": 5, "S": 1, "V": 4, "F": 0, "Q": 0}
    assert found["share"] == {"S": 0.1, "V": 0.4}
    assert found["runs"] == {"S": 0, "V": 1}
    assert found["longest_runs"] == [{"kind": "V", "start": 2.8, "beats": 4, "beats_per_minute": 75.0}]
    assert found["longest_pauses"] == [{"start": 6.0, "seconds": 2.4}]
    assert found["unreadable_minutes"] == 0.03
    assert found["heart_rate"] == {"least": 60.0, "median": 60.0, "most": 60.0}
    assert summarize(labelled("N"))["heart_rate"] == {"least": None, "median": None, "most": None}


def test_runs_and_heart_rates_do_not_reach_over_noise():
    broken = labelled("VVVVNNNNNNNNN", noise=[(450, 490)])
    found = summarize(broken)
    assert found["runs"]["V"] == 0
    assert found["heart_rate"]["least"] == 75.0


def test_the_papers_classes_have_its_symbols():
    assert class_symbols(["NOR", "PAB", "VFW"], "x") == ["N", "/", "!"]
    with pytest.raises(InputError, match=r"x: .* cat, dog"):
        class_symbols(["cat", "dog"], "x")


def corrected(beats, tmp_path, *lines):
    file = tmp_path / "c.csv"
    file.write_text("\n".join(["sample,action,symbol", *lines]) + "\n")
    return correct(beats, read_corrections(file), file)


def test_no_corrections_change_nothing(tmp_path):
    beats = labelled("NVS")
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, which in ((before, beats), (after, corrected(beats, tmp_path))):
        folder.mkdir()
        annotations(which, folder)
    assert (before / "own.ecgbeats").read_bytes() == (after / "own.ecgbeats").read_bytes()


def test_a_beat_that_a_person_confirms_is_by_hand(tmp_path):
    beats = labelled("NVS")
    found = corrected(beats, tmp_path, "300,relabel,V")
    assert annotations(found, tmp_path).aux_note == ["0.800", "by hand", "0.800"]
    assert summarize(found)["by_hand"] == 1
    assert as_text(beats, found) == "sample,action,symbol\n300,relabel,V\n"


def test_corrections(tmp_path):
    beats = labelled("NVS", first=1000, noise=[(510, 540)])
    found = corrected(beats, tmp_path, "1100,delete,", "1300,relabel,F", "1400,add,N", "1520,add,V")
    read = annotations(found, tmp_path)
    assert (read.sample.tolist(), read.symbol) == ([1300, 1400, 1500, 1520], ["F", "N", "S", "V"])
    assert read.aux_note == ["by hand", "by hand", "0.800", "by hand"]
    text = as_text(beats, found)  # what the page of the corrected record begins with
    assert corrected(beats, tmp_path, *text.splitlines()[1:]).samples.tolist() == found.samples.tolist()
    assert text == "sample,action,symbol\n1100,delete,\n1300,relabel,F\n1400,add,N\n1520,add,V\n"
    assert as_text(beats, beats) == ""


def test_all_beats_may_be_deleted(tmp_path):
    none = corrected(labelled("NV"), tmp_path, "100,delete,", "300,delete,")
    write_beats(tmp_path / "own.csv", none)
    assert len((tmp_path / "own.csv").read_text().splitlines()) == 1
    write_annotations(tmp_path / "own.ecgbeats", none)
    assert summarize(none)["beats"]["all"] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1101,delete,", "line 2: sample 1101 has no beat"),
        ("1101,relabel,V", "line 2: sample 1101 has no beat"),
        ("1100,add,V", "line 2: sample 1100 has a beat already"),
        ("99,add,V", "line 2: sample 99 lies outside"),
        ("1100,remove,", "line 2"),
        ("a,delete,", "line 2"),
        ("1100,delete", "line 2"),
        ("9" * 30 + ",delete,", "line 2"),
        ("9" * 5000 + ",delete,", "line 2"),
    ],
)
def test_wrong_corrections_are_refused(tmp_path, line, words):
    with pytest.raises(InputError, match=r"c\.csv, " + words):
        corrected(labelled("NVS", first=1000), tmp_path, line)


def test_a_file_of_no_corrections_is_refused(tmp_path):
    (tmp_path / "c.csv").write_text("time,label\n")
    with pytest.raises(InputError, match="sample,action,symbol"):
        read_corrections(tmp_path / "c.csv")
