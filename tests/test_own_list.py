"""A training by a user's own list of records, and what becomes of the list afterwards."""

import json
import shutil

from ecgbeats.scores.metrics_file import read_metrics

import forked
import numpy as np
import pytest
from conftest import assert_refused, once
from run_folders import change, read, rows
from trainings import data

import evaluate_keras

LIST = (
    "record,part,patient\n101,training,\n106,training,\n108,validation,\n100,test,p\n103,test,p\n202,test,\n"
)
OPTIONS = ["--model", "tiny", "--epochs", 1]


def train(images, output, path, *more):
    options = ["--data", images, "--output", output, *OPTIONS, "--split", path, *more]
    return forked.train(*options, patch=forked.add_networks)


@pytest.fixture(scope="module")
def trained():
    """What a training by LIST printed, and its folder; the list lies beside that."""

    def make(folder):
        (folder / "my.csv").write_text(LIST)
        return train(data("aami"), folder / "run", folder / "my.csv")

    folder, result = once("run-by-list", make)
    assert (result.returncode, result.stderr) == (0, "")
    return folder / "run", result.stdout


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run to go on with, and the list elsewhere."""
    (tmp_path / "other.csv").write_text(LIST)
    return shutil.copytree(trained[0], tmp_path / "run")


def test_the_run_is_of_the_list(trained):
    folder, printed = trained
    config, metrics = read(folder, "config.json"), read_metrics(folder)
    parts = [config[f"{part}_records"] for part in ("train", "validation", "test")]
    assert parts == [["101", "106"], ["108"], ["100", "103", "202"]]
    assert config["options"]["split"] == metrics["split"]
    assert metrics["split"].endswith("my.csv")
    # 202 is its own patient by the list, 100 and 103 are one.
    assert metrics["patients"] == {"N": 2, "V": 2}
    assert metrics["intervals"]["resampled"] == "patients"
    assert metrics["intervals"]["units"] == 2
    assert "without_record_202" not in metrics
    assert "beats patients" in printed
    page = (folder / "report.html").read_text()
    assert "split my.csv" in page
    assert "By the list no patient stands in two parts" in page
    assert "VEB and SVEB by EC57" in page


def test_the_standards_figures_are_those_of_the_predictions(trained):
    folder, printed = trained
    figures = read(folder, "metrics.json")["ec57"]
    assert list(figures) == ["records", "gross", "average"]
    beats = [
        (row["file"].split("/")[1].split("_")[0], row["true"], row["predicted"])
        for row in rows(folder / "predictions.csv")
    ]
    found = []
    for record, kinds in figures["records"].items():
        own = [(true, predicted) for name, true, predicted in beats if name == record]
        ventricular = [predicted == "V" for true, predicted in own if true == "V"]
        normal = [predicted == "V" for true, predicted in own if true == "N"]
        assert kinds["VEB"]["sensitivity"] == pytest.approx(np.mean(ventricular))
        assert kinds["VEB"]["false_positive_rate"] == pytest.approx(np.mean(normal))
        assert kinds["SVEB"]["sensitivity"] is None
        found.append(np.mean(ventricular))
    assert list(figures["records"]) == ["100", "103", "202"]
    assert figures["average"]["VEB"]["sensitivity"] == pytest.approx(np.mean(found))
    assert "VEB  gross" in printed


def test_evaluating_needs_the_list_no_more(copy, tmp_path):
    change(copy / "config.json", options=read(copy, "config.json")["options"] | {"split": "gone.csv"})
    arguments = [copy / "best.keras", "--data", data("aami"), "--output", tmp_path / "new"]
    evaluate_keras.main([str(a) for a in arguments])
    metrics, before = read(tmp_path / "new", "metrics.json"), read(copy, "metrics.json")
    assert metrics["split"] == "gone.csv"
    for name in ("test_images", "patients", "ec57", "intervals", "confusion_matrix"):
        assert metrics[name] == before[name]


def test_resuming_takes_the_same_list_from_anywhere_but_no_other(copy, tmp_path):
    other = tmp_path / "other.csv"
    result = train(data("aami"), copy, other, "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing to do" in result.stdout
    other.write_text(LIST.replace("108,validation", "108,training"))
    assert_refused(train(data("aami"), copy, other, "--resume"), "--split", "my.csv", "other.csv")
    change(copy / "config.json", options=read(copy, "config.json")["options"] | {"split": str(other)})
    assert_refused(train(data("aami"), copy, other, "--resume"), "--split (the list has changed)")


def test_a_list_that_is_not_in_order_is_told_before_all_else(tmp_path, no_keras):
    path = tmp_path / "my.csv"
    path.write_text(LIST.replace("100,test", "100,tests"))
    arguments = ["--data", tmp_path / "none", "--output", tmp_path / "run", "--split", path]
    assert_refused(forked.train(*arguments, env=no_keras, tensorflow=False), str(path), "line 5", "'tests'")
    arguments = [*arguments[:-1], tmp_path / "none.csv"]
    for script in ("train_keras.py", "compare_networks.py"):
        result = forked.run(script, *arguments, env=no_keras, tensorflow=False)
        assert_refused(result, str(tmp_path / "none.csv"), "no such file")
    assert not (tmp_path / "run").exists()


def test_a_run_whose_list_is_lost_is_refused(copy):
    config = read(copy, "config.json")
    del config["protocol"]
    (copy / "config.json").write_text(json.dumps(config))
    arguments = ["--data", data("aami"), "--output", copy.parent / "new"]
    result = forked.run("evaluate_keras.py", copy / "best.keras", *arguments)
    assert_refused(result, "config.json", "protocol")
