"""annotate_record.py --adapt-minutes: a person labels the first minutes, the network learns them and labels the rest."""

import json
import re

from ecgbeats.runs.networks import save_model
from ecgbeats.runs.rehearsal import NAME

import forked
import keras
import made_recordings
import numpy as np
import pytest
import wfdb
from conftest import assert_refused, once

SECONDS = 150


def annotate(*arguments, **options):
    return forked.run("annotate_record.py", *arguments, **options)


def made(folder):
    """Write a record whose wide beats are said to be S, and a network that has not learnt anything."""
    _, samples = made_recordings.ecg(SECONDS)
    made_recordings.write_wfdb(folder, seconds=SECONDS)
    symbols = ["A" if i % 10 == 9 else "N" for i in range(len(samples))]
    wfdb.wrann("own", "ref", samples, symbol=symbols, write_dir=str(folder))
    symbols = [symbol if i < 40 else "!" for i, symbol in enumerate(symbols)]  # which has no class here
    wfdb.wrann("own", "few", samples, symbol=symbols, write_dir=str(folder))
    keras.utils.set_random_seed(0)
    inputs = keras.Input((128, 128, 1), dtype="uint8")
    x = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(-1 / 255, 1)(inputs))
    x = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(x))
    save_model(model, folder / "new.keras", list("NSVFQ"), "typical")


@pytest.fixture(scope="module")
def folder():
    """The folder of the record own, its annotations ref and few, and the network new.keras."""
    return once("adapt-minutes", made)[0]


def given(folder):
    return (folder / "own", "--model", folder / "new.keras")


def pages_corrections(folder):
    """Return the corrections that the page of a record begins with."""
    page = (folder / "own.review.html").read_text()
    return json.loads(re.search(r'"corrections": ("[^"]*")', page)[1])


def test_annotated_minutes_are_learnt_and_stand_as_they_were_given(folder, tmp_path):
    arguments = (*given(folder), "--beats", "ref", "--adapt-minutes", "1", "--compare", "ref")
    result = annotate(*arguments, "--output", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "from 60 s on (behind the labelled minutes)" in result.stdout
    told = wfdb.rdann(str(folder / "own"), "ref")
    read = wfdb.rdann(str(tmp_path / "own"), "ecgbeats")
    early = told.sample < 60 * 360
    truth = np.where(np.array(told.symbol) == "A", "S", "N")
    symbols, notes = np.array(read.symbol), np.array(read.aux_note)
    assert read.sample.tolist() == told.sample.tolist()
    assert symbols[early].tolist() == truth[early].tolist()
    assert set(notes[early]) == {"by hand"}
    assert "by hand" not in notes[~early]
    assert np.mean(symbols[~early] == truth[~early]) > 0.95
    summary = json.loads((tmp_path / "own.summary.json").read_text())
    counts = {name: int((truth[early] == name).sum()) for name in "NSVFQ"}
    adapted = summary["adapted"]
    assert (adapted["labelled"], adapted["lacking"]) == (counts, ["V", "F", "Q"])
    assert (adapted["minutes"], adapted["labels_from"], adapted["network"]) == (1, "--beats ref", "adapted")
    words = f"{early.sum()} labelled beats ({counts['N']} N, {counts['S']} S)"
    for text in (summary["notices"][0], (tmp_path / "own.review.html").read_text(), result.stdout):
        assert words in text
        assert "none of V, F, Q" in text
    corrections = tmp_path / "own.corrections.csv"
    corrections.write_text(pages_corrections(tmp_path))
    assert len(corrections.read_text().splitlines()) == 1 + early.sum() == 1 + summary["by_hand"]
    arguments = (*arguments, "--corrections", corrections)
    assert annotate(*arguments, "--output", tmp_path / "again").returncode == 0
    for end in ("ecgbeats", "beats.csv"):
        assert (tmp_path / f"own.{end}").read_bytes() == (tmp_path / "again" / f"own.{end}").read_bytes()


def test_the_pages_corrections_label_the_minutes_and_the_next_page_has_them(folder, tmp_path):
    assert annotate(*given(folder), "--output", tmp_path).returncode == 0
    read = wfdb.rdann(str(tmp_path / "own"), "ecgbeats")
    told = wfdb.rdann(str(folder / "own"), "ref")
    early = read.sample < 60 * 360
    nearest = np.abs(read.sample[:, None] - told.sample).argmin(1)
    truth = np.where(np.array(told.symbol)[nearest] == "A", "S", "N")
    lines = [
        f"{sample},relabel,{symbol}"
        for sample, symbol, old in zip(read.sample[early], truth[early], read.symbol, strict=False)
        if symbol != old
    ]
    lines[0] = f"{read.sample[0]},delete,"
    corrections = tmp_path / "own.corrections.csv"
    corrections.write_text("\n".join(["sample,action,symbol", *lines, f"{read.sample[-1]},relabel,F", ""]))
    arguments = (*given(folder), "--corrections", corrections, "--adapt-minutes", "1")
    assert annotate(*arguments, "--output", tmp_path / "first").returncode == 0
    found = wfdb.rdann(str(tmp_path / "first" / "own"), "ecgbeats")
    assert found.sample.tolist() == read.sample[1:].tolist()
    early, truth, symbols = early[1:], truth[1:], np.array(found.symbol)
    assert symbols[early].tolist() == truth[early].tolist()
    by_hand = np.array(found.aux_note) == "by hand"
    assert by_hand.tolist() == [*[True] * early.sum(), *[False] * ((~early).sum() - 1), True]
    assert symbols[-1] == "F"
    assert np.mean(symbols[~early] == truth[~early]) > 0.9
    corrections.write_text(pages_corrections(tmp_path / "first"))
    assert annotate(*arguments, "--output", tmp_path / "second").returncode == 0
    for end in ("ecgbeats", "beats.csv", "review.html"):
        first, second = ((tmp_path / run / f"own.{end}").read_bytes() for run in ("first", "second"))
        assert first == second


def test_what_cannot_be_learnt_is_refused(folder, tmp_path, no_keras):
    def refused(*arguments, words, **options):
        assert_refused(annotate(*arguments, "--output", tmp_path / "out", **options), *words)

    before = {"env": no_keras, "tensorflow": False}
    refused(
        *(*given(folder), "--adapt-minutes", "5"),
        words=("--adapt-minutes 5", "--corrections FILE.csv", "--beats EXT"),
        **before,
    )
    for number in ("0", "-1", "61", "nan", "x"):
        refused(
            *given(folder), "--beats", "ref", "--adapt-minutes", number, words=("minutes", number), **before
        )
    refused(
        *given(folder), "--beats", "few", "--adapt-minutes", "1", words=("40 beats", "--beats few", "50 are")
    )
    refused(
        *given(folder), "--beats", "ref", "--adapt-minutes", "3", words=("own", "nothing is left to label")
    )
    (folder / NAME).write_text("no archive")
    try:
        refused(
            *given(folder), "--beats", "ref", "--adapt-minutes", "1", words=(NAME, "cannot be read"), **before
        )
    finally:
        (folder / NAME).unlink()
    assert not (tmp_path / "out").exists()
