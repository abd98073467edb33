"""Calibrated probabilities: what is fitted, that it is folded into the network, and that this is done once."""

import argparse
import json
import os
import shutil
import signal

from ecgbeats.command import InputError
from ecgbeats.images.folder import order_classes
from ecgbeats.runs import calibration
from ecgbeats.runs.calibration import apply_calibration, fit_calibration, fold_in
from ecgbeats.runs.networks import load_model, read_about
from ecgbeats.scores.metrics_file import read_metrics

import numpy as np
import pytest
import trainings
from forked import add_networks, die_at_file, train
from made_networks import build_small, probabilities
from run_folders import assert_finished, change

BIASES = np.array([-0.8, 0.5, 0.3])


def made(beats: int = 20_000, seed: int = 0, temperature: float = 1.8):
    """Return probabilities, and classes drawn from what temperature and BIASES make of them."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=4, size=(beats, 3))
    given = np.exp(calibration.log_softmax(logits))
    chances = apply_calibration(given, temperature, BIASES)
    return given, (chances.cumsum(axis=1) > random.random((beats, 1))).argmax(axis=1)


def test_a_known_temperature_and_biases_are_found(monkeypatch):
    given, true = made()
    temperature, biases = fit_calibration(given, true, "biases")
    assert temperature == pytest.approx(1.8, abs=0.1)  # held to 1 and 0 a little
    np.testing.assert_allclose(biases, BIASES, atol=0.1)
    monkeypatch.setattr(calibration, "RIDGE", 1e-6)
    temperature, biases = fit_calibration(given, true, "biases")
    assert temperature == pytest.approx(1.8, abs=0.04)
    np.testing.assert_allclose(biases, BIASES, atol=0.04)


def test_a_temperature_alone_changes_no_class():
    given, true = made()
    temperature, biases = fit_calibration(given, true, "temperature")
    assert temperature > 1.3
    assert not biases.any()


def test_a_class_of_few_beats_or_one_patient_gets_no_bias():
    given, true = made(1000)
    patients = np.repeat(["a", "b"], 500)
    few = np.flatnonzero((true != 2) | (np.cumsum(true == 2) <= calibration.FEWEST_BEATS - 1))
    of_one = np.flatnonzero((true != 2) | (patients == "a"))
    for chosen in (few, of_one):
        _, biases = fit_calibration(given[chosen], true[chosen], "biases", patients[chosen])
        assert biases[2] == 0
        assert biases[0] == pytest.approx(-biases[1])
        assert biases[0] < -0.1
    assert fit_calibration(given, true, "biases", patients)[1].all()


def test_few_beats_that_are_all_right_make_nobody_sure():
    given = np.full((5, 3), 0.01) + 0.97 * np.eye(3)[[0, 1, 0, 1, 0]]
    temperature, biases = fit_calibration(given, np.array([0, 1, 0, 1, 0]), "biases")
    assert 0.4 < temperature < 1
    assert not biases.any()


def test_patients_count_alike_however_long_their_records_are():
    given, true = made(600)
    patients = np.repeat(["a", "b", "c"], 200)
    longer = np.concatenate([np.arange(600), np.tile(np.arange(200), 4)])
    one = fit_calibration(given, true, "biases", patients)
    other = fit_calibration(given[longer], true[longer], "biases", patients[longer])
    np.testing.assert_allclose(one[0], other[0], rtol=1e-3)
    np.testing.assert_allclose(one[1], other[1], atol=1e-3)


def test_the_last_layer_gives_the_calibrated_probabilities():
    model, biases = build_small("fast"), np.linspace(-1, 1, 8)
    before = probabilities(model)
    fold_in(model, 1.7, biases)
    np.testing.assert_allclose(probabilities(model), apply_calibration(before, 1.7, biases), atol=1e-6)


def die_at_calibration() -> None:
    add_networks()
    die_at_file("best.keras", "replaced", 2)


@pytest.mark.slow
def test_a_killed_run_is_calibrated_once(tmp_path):
    def command(folder):
        data = ["--data", trainings.data("small"), "--output", tmp_path / folder, *trainings.TINY]
        return [*data, "--epochs", 1, "--calibrate", "temperature", "--resume"]

    assert train(*command("unbroken"), patch=add_networks).returncode == 0
    # best.keras is written when the epoch ends, and when it is calibrated.
    killed = train(*command("run"), patch=die_at_calibration)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    noted = read_about(tmp_path / "run" / "best.keras")["calibration"]
    result = train(*command("run"), patch=add_networks)
    assert (result.returncode, result.stderr) == (0, "")
    assert_finished(tmp_path / "run")
    assert read_metrics(tmp_path / "run")["calibration"] == noted
    expected = read_metrics(tmp_path / "unbroken")["calibration"]["temperature"]
    assert noted["temperature"] == pytest.approx(expected, abs=1e-3)
    assert abs(expected - 1) > 0.01
    weights = [
        load_model(tmp_path / folder / "best.keras")[0].get_weights() for folder in ("run", "unbroken")
    ]
    for pair in zip(*weights, strict=True):
        np.testing.assert_allclose(*pair, atol=1e-4)


def test_a_bias_that_is_missing_is_told(tmp_path):
    run = shutil.copytree(trainings.trained("read as needed, keep last")[0], tmp_path / "run")
    told = {"temperature": 1.5, "beats": 9, "patients": None, "error_before": 0.5, "error_after": 0.2}
    change(run / "metrics.json", calibration=told | {"biases": [0.5]})
    with pytest.raises(InputError, match="one bias for each class"):
        read_metrics(run)


def test_a_file_holds_what_was_fitted_elsewhere(tmp_path):
    file = tmp_path / "fitted.json"
    fitted = {"classes": ["N", "S"], "temperature": 1.5, "biases": [0.5, -0.5]}
    file.write_text(json.dumps(fitted))
    assert calibration.read_fitted(str(file), ["N", "S"]) == fitted
    assert calibration.how_to_calibrate(str(file)) == str(file)
    for wrong, told in (
        ({"classes": ["N", "V"]}, "is for the classes N, V"),
        ({"biases": [0.5]}, "1 biases for 2 classes"),
        ({"temperature": 0}, "temperature"),
        ({"biases": ["x", 0]}, "biases"),
    ):
        file.write_text(json.dumps(fitted | wrong))
        with pytest.raises(InputError, match=told):
            calibration.read_fitted(str(file), ["N", "S"])
    with pytest.raises(InputError, match="no such file"):
        calibration.read_fitted(str(tmp_path / "none.json"), ["N", "S"])
    with pytest.raises(argparse.ArgumentTypeError, match=r"FILE\.json"):
        calibration.how_to_calibrate("bias")


@pytest.mark.slow
def test_what_a_file_holds_belongs_to_the_run(small_images, tmp_path):
    file = tmp_path / os.fsdecode(b"fitted\xff.json")
    arguments = ["--data", small_images, "--output", tmp_path / "run", "--epochs", "2", "--calibrate", file]
    classes = sorted(path.name for path in small_images.iterdir() if path.is_dir())
    order = [name for name in order_classes(classes) if name in classes]
    file.write_text(json.dumps({"classes": order, "temperature": 2.0, "biases": [0.0] * len(order)}))
    done = train(*arguments, "--max-hours", "0.000001")
    assert done.returncode == 0
    assert "Calibrated by fitted?.json: temperature 2.00, no bias" in done.stdout
    calibration_of = read_metrics(tmp_path / "run")["calibration"]
    assert (calibration_of["temperature"], calibration_of["file"]) == (2.0, "fitted?.json")
    given = file.read_text()
    file.write_text(json.dumps({"classes": order, "temperature": 3.0, "biases": [0.0] * len(order)}))
    again = train(*arguments, "--resume")
    assert again.returncode == 2
    assert "--calibrate" in again.stderr
    assert "other values" in again.stderr
    file.write_text(given)
    ended = train(*arguments, "--resume")
    assert (ended.returncode, ended.stderr) == (0, "")
    file.unlink()
    assert "nothing to do" in train(*arguments, "--resume").stdout
