"""The networks that come with the project keep the scores that stand beside them."""

import csv
import json
import lzma

from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.names import parse_image_name
from ecgbeats.records.symbols import CLASSES
from ecgbeats.records.wfdb_files import read_record
from ecgbeats.runs.networks import load_model, multiply_adds, read_about
from ecgbeats.scores.metrics import METRICS, score
from ecgbeats.scores.predictions import read_predictions

import numpy as np
import pytest
from conftest import PROJECT

FOLDERS = {"paper": PROJECT / "pretrained", "strips": PROJECT / "pretrained" / "strips"}


@pytest.fixture(scope="module", params=FOLDERS)
def drawing(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(drawing):
    return FOLDERS[drawing]


@pytest.fixture(scope="module")
def config(folder) -> dict:
    return json.loads((folder / "config.json").read_text())


@pytest.fixture(scope="module")
def predictions(folder):
    return read_predictions(folder / "predictions.csv")


def test_it_is_small(folder):
    model, classes = load_model(folder / "fast.keras")
    assert classes == list(CLASSES["paper"])
    assert model.count_params() <= 500_000
    assert multiply_adds(model) <= 25_000_000
    assert (folder / "fast.keras").stat().st_size <= 3_000_000


def test_its_scores_are_those_of_its_predictions(folder, predictions):
    metrics = json.loads((folder / "metrics.json").read_text())
    _, true, probabilities, classes = predictions
    found = score(true, probabilities, classes)
    for key in ("accuracy", *METRICS):
        assert metrics[key] == pytest.approx(found[key], abs=1e-6)
    assert metrics["confusion_matrix"] == found["confusion_matrix"]
    assert metrics["accuracy"] > 0.9905, "the paper's"
    assert metrics["sensitivity"] > 0.9785


def test_it_can_be_trained_again(config, drawing):
    assert len(config["data_sha256"]) == 64
    assert config["options"]["model"] == "fast"
    assert config["options"]["seed"] == 0
    assert config["options"]["limit"] is None
    assert config["drawing"] == drawing
    assert config["finished"]
    # The pages' command for it, `python train_keras.py --data ... --epochs N`, has the same options.
    data = {"paper": "data", "strips": "data-strips"}[drawing]
    lines = [line for page in (PROJECT / "docs").glob("*.md") for line in page.read_text().splitlines()]
    start = f"python train_keras.py --data {data} "
    (found,) = {line[line.index(start) :] for line in lines if start in line and "seed-0" in line}
    from train_keras import read_options

    options = vars(read_options(found.split()[2:]))
    for key in (
        "epochs",
        "batch_size",
        "learning_rate",
        "shift",
        "balance",
        "augment",
        "split",
        "folds",
        "seed",
    ):
        assert options[key] == config["options"][key], key


def find(mitdb, folder, drawing, predictions, chosen) -> tuple:
    """Return what the network finds in beats of the chosen records, what was promised, and the true classes."""
    files, true, promised, _ = predictions
    by_record = {}
    for place, file in enumerate(files):
        record, sample = parse_image_name(file)
        by_record.setdefault(record, []).append((sample, place))
    assert len(by_record) == 48
    images, places = [], []
    for name in sorted(by_record)[chosen]:
        record = read_record(mitdb / name)
        draw = DRAWINGS[drawing](record)
        index = {int(sample): number for number, sample in enumerate(record.samples)}
        images += [draw(index[sample]) for sample, _ in by_record[name]]
        places += [place for _, place in by_record[name]]
    model, _ = load_model(folder / "fast.keras")
    found = np.asarray(model.predict(np.array(images)[..., np.newaxis], batch_size=128, verbose=0))
    return found, promised[places], true[places]


def test_it_finds_what_it_promised_in_beats_of_some_real_records(mitdb, folder, drawing, predictions):
    found, promised, _ = find(mitdb, folder, drawing, predictions, slice(2, None, 6))
    assert len(found) > 1500
    assert np.abs(found - promised).max() < 0.01


@pytest.mark.slow
def test_it_finds_the_promised_accuracy_on_real_beats(mitdb, folder, drawing, config, predictions):
    found, promised, true = find(mitdb, folder, drawing, predictions, slice(None))
    assert len(found) == config["images"]["test"]
    assert (found.argmax(1) == true).mean() == pytest.approx((promised.argmax(1) == true).mean(), abs=2e-4)
    assert np.abs(found - promised).max() < 0.01


# -- the network for new patients ----------------------------------------------------------------------------


NEW_PATIENTS = PROJECT / "pretrained" / "new-patients"


def test_the_network_for_new_patients_says_what_it_understands_and_scores_what_it_promises():
    about = read_about(NEW_PATIENTS / "columns.keras")
    assert (about["classes"], about["drawing"]) == (list(CLASSES["aami"]), "usual")
    fitted = json.loads((NEW_PATIENTS / "calibration.json").read_text())
    assert {name: about["calibration"][name] for name in ("temperature", "biases")} == {
        name: fitted[name] for name in ("temperature", "biases")
    }
    config = json.loads((NEW_PATIENTS / "config.json").read_text())
    assert (config["drawing"], config["options"]["split"], config["finished"]) == (
        "usual",
        "ds1+svdb-ds2",
        True,
    )
    text = lzma.decompress((NEW_PATIENTS / "predictions.csv.xz").read_bytes()).decode()
    rows = list(csv.DictReader(text.splitlines()))
    metrics = json.loads((NEW_PATIENTS / "metrics.json").read_text())
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert right == pytest.approx(metrics["accuracy"], abs=1e-6)
    sizes = [file.stat().st_size for file in NEW_PATIENTS.iterdir()]
    assert max(sizes) <= 3_000_000
    assert sum(sizes) <= 6_000_000
    card = (PROJECT / "pretrained" / "README.md").read_text()
    assert f"{100 * right:.2f} %" in card
    for name in "SV":
        assert f"{metrics['per_class'][name]['f1']:.3f}" in card


def test_the_network_for_new_patients_gives_again_what_it_promises(mitdb):
    # From the record to the probabilities, which the file has to four digits.
    text = lzma.decompress((NEW_PATIENTS / "predictions.csv.xz").read_bytes()).decode()
    rows = [row for row in csv.DictReader(text.splitlines()) if "/233_" in row["file"]][::100]
    model, classes = load_model(NEW_PATIENTS / "columns.keras")
    record = read_record(mitdb / "233")
    draw = DRAWINGS["usual"](record)
    places = [parse_image_name(row["file"].rpartition("/")[2])[1] for row in rows]
    beats = np.searchsorted(record.samples, places)
    found = model.predict_on_batch(np.stack([draw(int(beat)) for beat in beats])[..., None])
    promised = [[float(row[f"p_{name}"]) for name in classes] for row in rows]
    assert len(rows) > 20
    assert np.abs(found - promised).max() < 1e-3
