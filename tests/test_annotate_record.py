"""annotate_record.py: a stranger's recording in, labelled beats out."""

import csv
import json
import shutil
import signal
from pathlib import Path

from ecgbeats.folders import alone

import forked
import made_recordings
import numpy as np
import pytest
import wfdb
from conftest import PROJECT, assert_refused, once
from run_folders import change, read

OUTPUTS = ("ecgbeats", "beats.csv", "summary.json", "review.html")


def annotate(*arguments, **options):
    return forked.run("annotate_record.py", *arguments, **options)


def made(folder: Path) -> str:
    """Annotate a WFDB record, an EDF file and a CSV file; return what was printed."""
    inputs = folder / "in"
    inputs.mkdir()
    millivolts, _ = made_recordings.ecg(40)
    quiet = np.concatenate(
        [millivolts, made_recordings.noise("white", 40), made_recordings.ecg(40, seed=1)[0]]
    )
    record = made_recordings.write_wfdb(inputs, seconds=40, annotated=True)
    paths = [
        record,
        made_recordings.write_edf(inputs / "holter 1.edf", quiet),
        made_recordings.write_watch(inputs / "watch.csv", millivolts),
    ]
    result = annotate(*paths, "--output", folder / "out")
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.fixture(scope="module")
def results():
    """The folder of recordings (in) and of their results (out), and what was printed."""
    return once("annotated", made)


def summary(folder, name) -> dict:
    return json.loads((folder / f"{name}.summary.json").read_text())


def test_each_recording_gets_its_files(results):
    folder, said = results
    assert {path.name for path in (folder / "out").iterdir()} == {
        f"{name}.{end}" for name in ("own", "holter_1", "watch") for end in OUTPUTS
    }
    for words in (
        "own: lead II",
        "holter_1: lead II",
        "watch: lead I,",
        "no medical device",
        "flutter",
        "Keras",
    ):
        assert words in said
    _, beats = made_recordings.ecg(40)
    read = wfdb.rdann(str(folder / "out" / "own"), "ecgbeats")
    assert len(read.sample) == len(beats)
    assert np.abs(read.sample - beats).max() <= 5
    assert set(read.symbol) <= set("NSVFQ")
    assert read.fs == 360
    rows = list(csv.DictReader((folder / "out" / "own.beats.csv").read_text().splitlines()))
    assert [int(row["sample"]) for row in rows] == read.sample.tolist()
    assert [row["probability"] for row in rows] == read.aux_note
    assert summary(folder / "out", "own")["beats"]["all"] == len(beats)
    page = (folder / "out" / "own.review.html").read_text()
    assert "no medical device" in page
    assert "split ds1+svdb-ds2" in page


def test_noise_is_marked_and_not_labelled(results):
    folder, _ = results
    found = summary(folder / "out", "holter_1")
    assert found["unreadable_minutes"] == pytest.approx(40 / 60, abs=0.1)
    (stretch,) = found["unreadable"]
    assert stretch == pytest.approx([40, 80], abs=3)
    read = wfdb.rdann(str(folder / "out" / "holter_1"), "ecgbeats")
    assert read.subtype[np.array(read.symbol) == "~"].tolist() == [-1, 0]


def test_corrections_of_an_untouched_page_give_the_same_files_and_others_what_they_say(results, tmp_path):
    folder, _ = results
    corrections = tmp_path / "own.corrections.csv"
    corrections.write_text("sample,action,symbol\n")
    arguments = (folder / "in" / "own", "--output", tmp_path, "--corrections", corrections)
    assert annotate(*arguments).returncode == 0
    for end in ("ecgbeats", "beats.csv"):
        assert (tmp_path / f"own.{end}").read_bytes() == (folder / "out" / f"own.{end}").read_bytes()
    sample = wfdb.rdann(str(tmp_path / "own"), "ecgbeats").sample[3]
    corrections.write_text(f"sample,action,symbol\n{sample},relabel,F\n")
    assert annotate(*arguments).returncode == 0
    read = wfdb.rdann(str(tmp_path / "own"), "ecgbeats")
    assert (read.symbol[3], read.aux_note[3]) == ("F", "by hand")
    assert summary(tmp_path, "own")["by_hand"] == 1


def test_a_network_of_the_papers_classes_on_a_stretch_of_annotated_beats(results, tmp_path):
    folder, _ = results
    record, network = folder / "in" / "own", PROJECT / "pretrained" / "fast.keras"
    _, beats = made_recordings.ecg(40)
    marks = sorted([*((sample, "N") for sample in beats.tolist()), (1800, "["), (5400, "]")])
    samples, symbols = zip(*marks, strict=True)
    wfdb.wrann("own", "fl", np.array(samples), symbol=list(symbols), write_dir=str(results[0] / "in"))
    result = annotate(
        *(record, "--output", tmp_path, "--model", network, "--beats", "atr", "--write-as", "mine"),
        *("--from", "10", "--to", "0:35", "--compare", "fl"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    read = wfdb.rdann(str(tmp_path / "own"), "mine")
    within = beats[(beats >= 3600) & (beats < 12600)]
    assert read.sample.tolist() == within.tolist()
    assert set(read.symbol) <= set("NV/RLA!E")
    assert "QRS sensitivity            100.00 %" in result.stdout
    compared = json.loads((tmp_path / "own.compare.json").read_text())
    counted = int((within > 5400).sum())  # an episode that began before the stretch is left out, too
    assert compared["QRS sensitivity"] == compared["QRS positive predictivity"] == [counted, counted]
    assert summary(tmp_path, "own")["drawing"] == "paper"
    annotate(record, "--output", tmp_path, "--beats", "atr")
    assert not (tmp_path / "own.compare.json").exists(), "a comparison of other beats"


def refused(*arguments, words, env=None):
    assert_refused(annotate(*arguments, env=env, tensorflow=False), *words)


def test_options_are_looked_at_before_anything_is_done(results, tmp_path, no_keras):
    folder, _ = results
    record, out = folder / "in" / "own", tmp_path / "out"
    shutil.copy(folder / "in" / "watch.csv", tmp_path / "own.csv")
    lone = shutil.copy(PROJECT / "pretrained" / "fast.keras", tmp_path / "lone.keras")
    other = tmp_path / "c.csv"
    other.write_text("sample,action,symbol\n5,relabel,X\n")
    for arguments, words in (
        ((record, tmp_path / "own.csv"), ("own.csv", "would both be own")),
        ((tmp_path / "nothing.edf",), ("nothing.edf",)),
        ((record, "--write-as", "atr"), ("--write-as atr",)),
        ((record, "--write-as", "../x"), ("--write-as", "letters")),
        ((record, "--beats", "qrs"), ("--beats qrs", "own.qrs")),
        ((record, "--compare", "qrs"), ("--compare qrs", "own.qrs")),
        ((record, "--model", lone), ("lone.keras", "drawing", "config.json")),
        ((record, "--model", tmp_path / "no.keras"), ("no.keras",)),
        ((record, "--corrections", other), ("c.csv, line 2", "'X'", "N S V F Q")),
        ((record, record, "--corrections", other), ("--corrections",)),
        ((record, "--from", "20", "--to", "10"), ("--to",)),
        ((record, "--from", "soon"), ("--from", "h:mm:ss")),
        ((record, "--unit", "V"), ("--unit",)),
        ((record, "--rate", "0"), ("--rate",)),
    ):
        refused(*arguments, "--output", out, words=words, env=no_keras)
    refused(record, "--output", record.with_suffix(".hea"), words=("--output",), env=no_keras)
    assert not out.exists()


@pytest.mark.parametrize("end", ["ecgbeats", "beats.csv", "review.html", "compare.json", "summary.json"])
def test_files_of_somebody_else_are_not_written_over(results, tmp_path, no_keras, end):
    (tmp_path / f"own.{end}").write_text("{}")
    refused(results[0] / "in" / "own", "--output", tmp_path, words=(f"own.{end}", "--output"), env=no_keras)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["{}"]


def test_bad_recordings_do_not_keep_the_others_from_being_annotated(results, tmp_path):
    (tmp_path / "words.csv").write_text("II\n" + "0.1\n" * 500 + "abc\n")
    noise = made_recordings.write_wfdb(tmp_path, "noise", signal=made_recordings.noise("white", 60))
    record = results[0] / "in" / "own"
    result = annotate(tmp_path / "words.csv", noise, record, "--rate", "360", "--output", tmp_path / "out")
    assert_refused(result, "2 of 3", "words.csv, line 502", "noise: lead II")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"own.{end}" for end in OUTPUTS}


@pytest.mark.parametrize("kind", ["white", "slow", "hum", "flat"])
def test_what_is_no_ecg_is_refused(tmp_path, kind):
    record = made_recordings.write_wfdb(tmp_path, signal=made_recordings.noise(kind, 60))
    result = annotate(record, "--output", tmp_path / "out", env={"ECGBEATS_TRACEBACK": ""})
    assert_refused(result, str(record), "ECG")
    assert not (tmp_path / "out").exists()


def test_two_at_once_do_not_mix_their_results(results, tmp_path):
    with alone(tmp_path / ".own.unfinished", "busy"):
        assert_refused(annotate(results[0] / "in" / "own", "--output", tmp_path), "another process", "own")
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_record_that_trained_is_told(results, tmp_path):
    network = shutil.copytree(PROJECT / "pretrained" / "new-patients", tmp_path / "network") / "columns.keras"
    change(network.parent / "config.json", train_records=["own"])
    record = results[0] / "in" / "own"
    result = annotate(
        record, "--model", network, "--beats", "atr", "--to", "60", "--output", tmp_path / "out"
    )
    summary = read(tmp_path / "out", "own.summary.json")
    for text in (result.stdout, str(summary["notices"])):
        assert "trained the network" in text
        assert "are found, and" not in text  # since beats are not looked for


@pytest.mark.parametrize("name", ["own.review.html", "own.ecgbeats", "own.summary.json"])
def test_a_kill_leaves_whole_files_and_a_summary_only_when_all_are_there(results, tmp_path, name):
    result = annotate(
        *(results[0] / "in" / "own", "--output", tmp_path),
        patch=forked.die_at_file,
        patch_arguments=(name, "written", 1),
    )
    assert result.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert left < {f"own.{end}" for end in OUTPUTS}
    assert "own.summary.json" not in left
    (tmp_path / "own.ref").write_text("mine")  # of somebody else, whatever was stopped here
    refused(
        results[0] / "in" / "own", "--output", tmp_path, "--write-as", "ref", words=("own.ref", "--write-as")
    )
    (tmp_path / "own.ref").unlink()
    assert annotate(results[0] / "in" / "own", "--output", tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"own.{end}" for end in OUTPUTS}


@pytest.mark.slow
def test_found_beats_are_labelled_nearly_as_well_as_annotated_ones(mitdb):
    from ecgbeats.images.canvas import IMAGE_SIZE
    from ecgbeats.runs.networks import load_model

    import annotate_record
    from benchmarks import found_beats

    network = annotate_record.read_network(PROJECT / "pretrained" / "fast.keras")
    model, _ = load_model(network.path, IMAGE_SIZE)
    counts = np.array([found_beats.count(mitdb / name, model, network)[1:] for name in found_beats.TEN])
    beats, annotated, found = counts.sum(0)
    assert annotated / beats - found / beats <= 0.007
