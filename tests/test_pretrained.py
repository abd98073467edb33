"""The network that comes with the project keeps the scores that stand beside it."""

import json

import numpy as np
import pytest
from conftest import PROJECT

import beats
import scores
from model_keras import load_model, multiply_adds

FOLDER = PROJECT / "pretrained"


@pytest.fixture(scope="module")
def config() -> dict:
    return json.loads((FOLDER / "config.json").read_text())


@pytest.fixture(scope="module")
def predictions():
    return scores.read_predictions(FOLDER / "predictions.csv")


def test_it_is_small():
    model, classes = load_model(FOLDER / "fast.keras")
    assert classes == list(beats.CLASSES["paper"])
    assert model.count_params() <= 500_000
    assert multiply_adds(model) <= 25_000_000
    assert (FOLDER / "fast.keras").stat().st_size <= 3_000_000


def test_its_scores_are_those_of_its_predictions(predictions):
    metrics = json.loads((FOLDER / "metrics.json").read_text())
    _, true, probabilities, classes = predictions
    found = scores.score(true, probabilities, classes)
    for key in ("accuracy", *scores.METRICS):
        assert metrics[key] == pytest.approx(found[key], abs=1e-6)
    assert metrics["confusion_matrix"] == found["confusion_matrix"]
    assert metrics["accuracy"] > 0.9905, "the paper's"
    assert metrics["sensitivity"] > 0.9785


def test_it_can_be_trained_again(config):
    assert config["command"].startswith("python train_keras.py --data data --output ")
    assert len(config["data_sha256"]) == 64
    assert config["options"]["seed"] == 0
    assert config["options"]["limit"] is None
    assert config["drawing"] == "paper"
    assert config["finished"]


def test_it_finds_the_promised_accuracy_on_real_beats(mitdb, config, predictions):
    files, true, promised, _ = predictions
    by_record = {}
    for place, file in enumerate(files):
        record, sample = beats.parse_image_name(file)
        by_record.setdefault(record, []).append((sample, place))
    assert len(by_record) == 48
    images = np.empty((len(files), 128, 128, 1), np.uint8)
    for name, wanted in by_record.items():
        record = beats.read_record(mitdb / name)
        draw = beats.paper_drawer(record)
        index = {int(sample): number for number, sample in enumerate(record.samples)}
        for sample, place in wanted:
            images[place, ..., 0] = draw(index[sample])
    model, _ = load_model(FOLDER / "fast.keras")
    found = np.asarray(model.predict(images, batch_size=128, verbose=0))
    assert len(files) == config["images"]["test"]
    assert (found.argmax(1) == true).mean() == pytest.approx((promised.argmax(1) == true).mean(), abs=2e-4)
    assert np.abs(found - promised).max() < 0.01
