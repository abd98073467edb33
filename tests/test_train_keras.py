"""train_keras.py from its command line to its run folder, on small folders of images."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ecgbeats.runs.networks import load_model
from ecgbeats.runs.recorder import Recorder
from ecgbeats.runs.time_limit import SPARE_SECONDS, TimeIsUp, TimeLimit
from ecgbeats.scores.folds import fold_means

import cv2
import keras
import numpy as np
import pytest
from forked import PROJECT, leave_no_memory, train

import train_keras

LOG_COLUMNS = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second"
RUN_FILES = {
    *("best.keras", "config.json", "confusion_matrix.png", "log.csv", "loss.png"),
    *("metrics.json", "predictions.csv"),
}
COMMON = ["--epochs", 2, "--batch-size", 16]
# small_images: 60 images, 48 of them for training. --batch-size 47 leaves a remainder of 1.
RUNS = {
    "again": ["--data", "small", *COMMON, "--resume"],
    "moved, other seed": ["--data", "moved", *COMMON, "--seed", 1],
    "augmented": ["--data", "small", *COMMON, "--split", "records", "--augment"],
    "paper's augmentation": [
        *("--data", "small", "--augment", "--augment-classes", "arrhythmias"),
        *("--epochs", 1, "--batch-size", 47),
    ],
    "2 devices": ["--data", "small", "--epochs", 1, "--batch-size", 47, "--devices", 2],
    "3 devices": ["--data", "small", "--epochs", 1, "--batch-size", 2, "--devices", 3, "--limit", 6],
    "ds1-ds2": ["--data", "aami", "--epochs", 1, "--split", "ds1-ds2"],
    "stranger": ["--data", "stranger", "--epochs", 1, "--batch-size", 16, "--limit", 7],
    "folds": ["--data", "small", "--epochs", 1, "--folds", 2],
    "fold 1": ["--data", "small", "--epochs", 1, "--folds", 2, "--fold", 1],
    "folds, 4 s": ["--data", "small", "--epochs", 1, "--folds", 2, "--max-hours", 0.001],
    "read as needed": ["--data", "small", *COMMON],
    "keep last": ["--data", "small", *COMMON, "--keep", "last"],
    "bfloat16": ["--data", "small", "--epochs", 1, "--precision", "mixed_bfloat16"],
    # An epoch of AlexNet in batches of one image lasts more than a minute.
    "36 s": ["--data", "many", "--model", "alexnet", "--batch-size", 1, "--epochs", 2, "--max-hours", 0.01],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, small_images, image_maker):
    """The data sets that the runs name."""
    place = tmp_path_factory.mktemp("folders")
    image_maker(place / "moved" / "elsewhere", {"NOR": 30, "PVC": 20, "LBB": 10})  # the same images
    image_maker(place / "many", {"NOR": 400, "PVC": 400})
    random = np.random.default_rng(5)
    # 101, 106 and 108 are of DS1; 100, 103 and 202 of DS2.
    for record in (101, 106, 108, 100, 103, 202):
        for number, name in enumerate("NV"):
            (place / "aami" / name).mkdir(parents=True, exist_ok=True)
            for i in range(4):
                image = random.integers(0, 256, (128, 128), dtype=np.uint8)
                cv2.imwrite(str(place / "aami" / name / f"{record}_{10 * i + number}.png"), image)
    for name in ("Größe 1", "zwei", "b"):
        (place / "stranger" / name).mkdir(parents=True)
        for i in range(8):
            image = random.integers(0, 256, (40 + 30 * i, 200 - 9 * i, 3), dtype=np.uint8)
            cv2.imwrite(str(place / "stranger" / name / f"my image {i}.{'jpg' if i % 2 else 'png'}"), image)
    return {
        **{name: place / name for name in ("many", "aami", "stranger")},
        "small": small_images,
        "moved": place / "moved" / "elsewhere",
    }


@pytest.fixture(scope="module")
def first(tmp_path_factory, small_images, run):
    """The run folder of a training as a user starts it, and what that printed."""
    folder = tmp_path_factory.mktemp("first") / "deep" / "run"
    result = run("train_keras.py", "--data", small_images, "--output", folder, *COMMON)
    assert result.returncode == 0, result.stderr
    return folder, result


@pytest.fixture(scope="module")
def trained(tmp_path_factory, folders):
    """``trained(name)``: the folder of that one of RUNS, what it printed and how long it took.

    They go two at a time, from the moment that the first is asked for.
    """
    place = tmp_path_factory.mktemp("runs")

    def run(name):
        started = time.monotonic()
        arguments = [folders.get(argument, argument) for argument in RUNS[name]]
        patch = leave_no_memory if name == "read as needed" else None
        result = train("--output", place / name, *arguments, patch=patch)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        return place / name, result, time.monotonic() - started

    pool = ThreadPoolExecutor(2)
    runs = {name: pool.submit(run, name) for name in RUNS}
    yield lambda name: runs[name].result()
    pool.shutdown(cancel_futures=True)


def rows(path: Path) -> list[dict]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text())


def losses(folder: Path) -> list[tuple]:
    return [tuple(row.values())[:6] for row in rows(folder / "log.csv")]


def snapshot(folder: Path) -> dict:
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(folder.rglob("*"))
    }


# -- the run folder --------------------------------------------------------------------------------------------


def assert_finished(folder: Path) -> None:
    """Assert that a folder holds a run's files and none that only a run that goes on needs."""
    names = {path.name for path in folder.iterdir()}
    assert names >= RUN_FILES
    assert "training_state.npz" not in names
    assert not [name for name in names if name.startswith(".")]
    assert read(folder, "config.json")["finished"] is True


def test_the_run_folder_holds_the_files_of_a_run(first):
    assert_finished(first[0])


def test_log_has_a_row_for_each_epoch(first):
    lines = (first[0] / "log.csv").read_text().splitlines()
    assert lines[0] == LOG_COLUMNS
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    values = np.array([line.split(",") for line in lines[1:]], float)
    assert np.isfinite(values).all()
    assert (values > 0)[:, [1, 3, 5, 6, 7]].all()


def test_one_line_an_epoch_and_nothing_on_standard_error(first):
    result = first[1]
    assert result.stderr == ""
    assert "\r" not in result.stdout
    assert sum(line.startswith("epoch ") for line in result.stdout.splitlines()) == 2
    assert len(result.stdout.splitlines()) < 30


def test_config_tells_all_of_the_run(first, small_images):
    config = read(first[0], "config.json")
    assert config["options"] == {
        "data": str(small_images),
        "output": str(first[0]),
        "model": "fast",
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": train_keras.MODELS["fast"].learning_rate,
        "augment": False,
        "augment_classes": "all",
        "shift": 1,
        "balance": 0.25,
        "split": "beats",
        "folds": None,
        "fold": None,
        "keep": "best",
        "precision": "auto",
        "devices": None,
        "limit": None,
        "max_hours": None,
        "seed": 0,
        "resume": False,
    }
    assert config["precision"] in ("float32", "mixed_bfloat16", "mixed_float16")
    assert config["devices"]
    assert config["versions"]["keras"] == keras.__version__
    assert config["classes"] == ["NOR", "PVC", "LBB"]
    assert config["images"] == {"training": 48, "validation": 6, "test": 6}
    for part in ("train", "validation", "test"):
        assert set(config[f"{part}_records"]) <= {f"r{i}" for i in range(10)}
    tested = {Path(row["file"]).name.partition("_")[0] for row in rows(first[0] / "predictions.csv")}
    assert config["test_records"] == sorted(tested)
    assert len(config["data_sha256"]) == 64


def test_the_checksum_is_of_names_and_content(first, trained, small_images):
    digest = hashlib.sha256()
    for name in ("NOR", "PVC", "LBB"):
        for path in sorted((small_images / name).iterdir()):
            digest.update(f"{name}/{path.name}".encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    assert read(first[0], "config.json")["data_sha256"] == digest.hexdigest()
    assert read(trained("moved, other seed")[0], "config.json")["data_sha256"] == digest.hexdigest()


def test_the_network_loads_in_plain_keras_and_gives_the_predictions(first, small_images):
    folder = first[0]
    model = keras.models.load_model(folder / "best.keras")
    assert load_model(folder / "best.keras")[1] == ["NOR", "PVC", "LBB"]
    predictions = rows(folder / "predictions.csv")
    images = np.stack([cv2.imread(str(small_images / row["file"]), 0) for row in predictions])
    probabilities = np.asarray(model.predict(images[..., np.newaxis], verbose=0))
    written = np.array([[row[f"p_{name}"] for name in ("NOR", "PVC", "LBB")] for row in predictions], float)
    np.testing.assert_allclose(probabilities, written, atol=1e-5)


def test_predictions_are_of_the_test_part(first, small_images):
    predictions = rows(first[0] / "predictions.csv")
    assert list(predictions[0]) == ["file", "true", "predicted", "probability", "p_NOR", "p_PVC", "p_LBB"]
    assert len(predictions) == 6
    for row in predictions:
        assert (small_images / row["file"]).is_file()
        assert row["true"] == row["file"].split("/")[0]
        probabilities = {name: float(row[f"p_{name}"]) for name in ("NOR", "PVC", "LBB")}
        assert row["predicted"] == max(probabilities, key=probabilities.get)
        assert float(row["probability"]) == max(probabilities.values())
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_metrics_fit_the_predictions(first):
    metrics, predictions = read(first[0], "metrics.json"), rows(first[0] / "predictions.csv")
    right = [row["true"] == row["predicted"] for row in predictions]
    assert metrics["accuracy"] == pytest.approx(np.mean(right))
    for key in ("sensitivity", "specificity", "ppv", "f1", "auc"):
        assert 0 <= metrics[key] <= 1
        assert metrics[key] == pytest.approx(np.mean([of[key] for of in metrics["per_class"].values()]))
    assert {name: of["support"] for name, of in metrics["per_class"].items()} == {
        name: sum(row["true"] == name for row in predictions) for name in ("NOR", "PVC", "LBB")
    }
    for i, true in enumerate(metrics["classes"]):
        for j, chosen in enumerate(metrics["classes"]):
            counted = sum((row["true"], row["predicted"]) == (true, chosen) for row in predictions)
            assert metrics["confusion_matrix"][i][j] == counted
    assert (metrics["test_images"], metrics["split"]) == (6, "beats")
    assert metrics["seconds"] > 0


def test_the_pictures_are_pictures(first):
    for name in ("loss.png", "confusion_matrix.png"):
        picture = cv2.imread(str(first[0] / name))
        assert min(picture.shape[:2]) > 400
        assert picture.std() > 5, f"{name} is blank"


# -- the seed --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run(first, trained):
    """`again` was also started with --resume in a folder that was not there."""
    again = trained("again")[0]
    assert losses(again) == losses(first[0])
    assert (again / "predictions.csv").read_bytes() == (first[0] / "predictions.csv").read_bytes()


def test_another_seed_gives_another_split_and_other_losses(first, trained):
    other = trained("moved, other seed")[0]
    assert {row["file"] for row in rows(other / "predictions.csv")} != {
        row["file"] for row in rows(first[0] / "predictions.csv")
    }
    assert losses(other) != losses(first[0])


# -- splits ----------------------------------------------------------------------------------------------------


def test_records_are_kept_apart(trained):
    config = read(trained("augmented")[0], "config.json")
    parts = [set(config[f"{part}_records"]) for part in ("train", "validation", "test")]
    assert all(parts)
    assert set.union(*parts) == {f"r{i}" for i in range(10)}
    assert sum(map(len, parts)) == 10


def test_ds1_ds2_tests_on_ds2_with_and_without_record_202(trained):
    folder = trained("ds1-ds2")[0]
    config, metrics = read(folder, "config.json"), read(folder, "metrics.json")
    assert config["test_records"] == ["100", "103", "202"]
    assert sorted(config["train_records"] + config["validation_records"]) == ["101", "106", "108"]
    assert metrics["split"] == "ds1-ds2"
    assert metrics["test_images"] == 24
    without = metrics["without_record_202"]
    assert without["test_images"] == 16
    right = [
        row["true"] == row["predicted"]
        for row in rows(folder / "predictions.csv")
        if "/202_" not in row["file"]
    ]
    assert without["accuracy"] == pytest.approx(np.mean(right))


def test_a_strangers_folder_trains(trained):
    """Names without records, colour, odd sizes, JPEG, class names of all kinds."""
    folder = trained("stranger")[0]
    config = read(folder, "config.json")
    assert config["classes"] == ["Größe 1", "b", "zwei"]
    assert sum(config["images"].values()) == 3 * 7
    assert config["test_records"] is None
    assert load_model(folder / "best.keras")[1] == ["Größe 1", "b", "zwei"]


def test_folds_test_every_image_once(trained, small_images):
    folder, result, _ = trained("folds")
    tested = [row["file"] for i in range(2) for row in rows(folder / f"fold-{i}" / "predictions.csv")]
    assert sorted(tested) == sorted(str(path.relative_to(small_images)) for path in small_images.glob("*/*"))
    assert "\r" not in result.stdout
    for i in range(2):
        assert_finished(folder / f"fold-{i}")


def test_folds_are_summed_up(trained):
    folder = trained("folds")[0]
    accuracies = [read(folder / f"fold-{i}", "metrics.json")["accuracy"] for i in range(2)]
    summary = read(folder, "folds.json")
    assert summary["folds"] == 2
    assert summary["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert summary["accuracy"]["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))


def test_one_fold_alone_is_the_same_as_among_all(trained):
    one, among = trained("fold 1")[0], trained("folds")[0] / "fold-1"
    assert losses(one) == losses(among)
    assert (one / "predictions.csv").read_bytes() == (among / "predictions.csv").read_bytes()


def test_a_metric_that_a_fold_lacks_is_left_out_of_the_mean():
    names = ("accuracy", "sensitivity", "specificity", "ppv", "f1")
    summary = fold_means(
        [dict.fromkeys(names, 0.5) | {"auc": auc, "specificity": None} for auc in (0.5, 1.0, None)]
    )
    assert summary["auc"]["mean"] == 0.75
    assert summary["specificity"] is None


@pytest.mark.parametrize(
    ("given", "shift", "balance"),
    [
        ([], 2, 0.25),  # of `fast` and its 5 epochs
        (["--epochs", "1"], 0, 0.25),
        (["--epochs", "40"], 6, 0.25),
        (["--epochs", "40", "--shift", "0", "--balance", "0"], 0, 0),
        (["--shift", "9", "--balance", "1"], 9, 1),
        (["--model", "paper"], 0, 0),
    ],
)
def test_images_are_moved_and_classes_drawn_as_network_and_epochs_want_it(given, shift, balance):
    options = train_keras.read_options(["--data", "x", "--output", "y", *given])
    assert (options.shift, options.balance) == (shift, balance)


def test_a_run_of_before_there_was_shift_can_be_gone_on_with(first, tmp_path, small_images, run):
    shutil.copytree(first[0], tmp_path / "run")
    config = read(tmp_path / "run", "config.json")
    assert (config["options"].pop("shift"), config["options"].pop("balance")) == (1, 0.25)
    assert config["options"].pop("keep") == "best"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    options = ["--data", small_images, "--output", tmp_path / "run", *COMMON, "--resume"]
    assert run("train_keras.py", *options, "--shift", 0, "--balance", 0).returncode == 0
    assert run("train_keras.py", *options).returncode == 2


def test_which_epoch_is_kept_changes_nothing_else(first, trained):
    folder = trained("keep last")[0]
    assert losses(folder) == losses(first[0])
    assert read(folder, "metrics.json")["best_epoch"] == 2
    page = (folder / "report.html").read_text()
    assert page.count("by --keep last") == 2
    assert "Validation alone" not in page
    assert "Validation alone chose" in (first[0] / "report.html").read_text()


@pytest.mark.parametrize(("keep", "kept"), [("best", 1), ("last", 2)])
def test_best_keras_is_the_epoch_that_keep_asks_for(tmp_path, keep, kept):
    """The validation loss rises in the second epoch."""

    model = train_keras.build(
        train_keras.read_options(["--data", "x", "--output", "y", "--epochs", "2"]), "float32", 2, 1
    )[0]

    class Batches:
        images = [None] * 100

        def __len__(self):
            return 1

        def set_epoch(self, _epoch):
            pass

    recorder = Recorder(
        tmp_path,
        ["a", "b"],
        Batches(),
        lambda _step: 0.1,
        2,
        TimeLimit(None, 10, 10, 128),
        draw=lambda: None,
        keep=keep,
    )
    recorder.set_model(model)
    bias = model.weights[-1]
    for epoch in (0, 1):
        recorder.on_epoch_begin(epoch)
        recorder.on_test_begin()
        bias.assign([epoch + 1, 0])
        logs = {"cross_entropy": 0.5, "accuracy": 0.5, "val_cross_entropy": 0.5 + epoch, "val_accuracy": 0.5}
        time.sleep(0.01)
        recorder.on_epoch_end(epoch, logs)
    assert load_model(tmp_path / "best.keras")[0].weights[-1].numpy()[0] == kept


FEED = """
import json, sys
import train_keras
from train_keras import feed

devices, scope = train_keras.choose_devices(int(sys.argv[2]))
import keras
from DataGenerator import DataGenerator

batches = DataGenerator(sys.argv[1], 8, seed=2, devices=len(devices))
expected, seen = [], []
for epoch in range(3):
    batches.set_epoch(epoch)
    expected.append([float((255 - batches[i][0].astype(float)).sum()) for i in range(len(batches))])
batches.set_epoch(0)


class Seen(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        seen.append([])

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        seen[-1].append(float(logs["total"]))

    def on_epoch_end(self, epoch, logs=None):
        batches.set_epoch(epoch + 1)


with scope():
    images = keras.Input((128, 128, 1), dtype="uint8")
    sums = keras.ops.sum(255.0 - keras.ops.cast(images, "float64"), (1, 2, 3))
    model = keras.Model(images, keras.layers.Dense(1)(sums[:, None] * 0) * 0 + keras.ops.cast(sums[:, None], "float32"))
    model.compile("sgd", "mse", weighted_metrics=[keras.metrics.MeanMetricWrapper(lambda y, p: p[:, 0], name="total")])
model.fit(feed(batches), epochs=3, shuffle=False, verbose=0, callbacks=[Seen()])
print(json.dumps([expected, seen, len(feed(batches))]))
"""


@pytest.mark.parametrize("devices", [1, 2])
def test_each_epoch_is_trained_on_its_own_batches_in_their_order(small_images, devices):
    """Also on several devices, where Keras reads a PyDataset's batches from one queue twice."""
    result = subprocess.run(
        [sys.executable, "-c", FEED, str(small_images), str(devices)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    expected, seen, length = json.loads(result.stdout)
    assert length == len(expected[0]) == 8
    # The last batch is filled up with images of weight 0, which the mean leaves out.
    means = [[total / 8 for total in epoch[:-1]] for epoch in expected]
    np.testing.assert_allclose([epoch[:-1] for epoch in seen], means, rtol=1e-5)
    assert not np.allclose(means[0], means[1])


# -- devices, precision, augmentation, time --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "devices"), [("2 devices", 2), ("3 devices", 3)])
def test_any_batch_and_data_size_trains_on_several_devices(trained, name, devices):
    """Also a batch smaller than the number of devices, and one with a single image left over."""
    folder = trained(name)[0]
    assert len(read(folder, "config.json")["devices"]) == devices
    assert len(losses(folder)) == 1


def test_a_mixed_precision_saves_float32(trained):
    folder = trained("bfloat16")[0]
    assert read(folder, "config.json")["precision"] == "mixed_bfloat16"
    model = keras.models.load_model(folder / "best.keras")
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}


def test_augmentation_trains(trained):
    for name, classes in (("augmented", "all"), ("paper's augmentation", "arrhythmias")):
        options = read(trained(name)[0], "config.json")["options"]
        assert (options["augment"], options["augment_classes"]) == (True, classes)


def test_a_time_limit_shorter_than_an_epoch_still_gives_results(trained):
    folder, result, seconds = trained("36 s")
    assert seconds < 36
    assert "stopping before --max-hours" in result.stdout
    metrics = read(folder, "metrics.json")
    assert metrics["stopped_early"] is True
    assert metrics["epochs"] == 0
    assert keras.models.load_model(folder / "best.keras").output_shape == (None, 2)
    assert len(rows(folder / "predictions.csv")) == metrics["test_images"] == 80
    assert read(folder, "config.json")["finished"] is False


def test_a_time_limit_ends_all_folds(trained):
    """No fold starts after one that was stopped, and there is no summary of half a cross-validation."""
    folder, result, _ = trained("folds, 4 s")
    assert [path.name for path in folder.iterdir()] == ["fold-0"]
    assert "go on with --resume" in result.stdout


def test_images_that_do_not_fit_into_memory_train_alike(first, trained):
    folder, result, _ = trained("read as needed")
    assert "read as needed" in result.stdout
    assert losses(folder) == losses(first[0])


def test_compiling_does_not_count_as_the_rate_of_training(monkeypatch):
    """With 10 s for the first batch and 0.1 s for others, 100 s are enough for more than one batch."""
    clock = [1000.0]
    monkeypatch.setattr("ecgbeats.runs.time_limit.time.time", lambda: clock[0])
    limit = TimeLimit(1100.0, validated=10_000, tested=10_000, batch_size=128)
    with pytest.raises(TimeIsUp):
        for batch in range(10_000):
            clock[0] += 0.1 if batch else 10.0
            limit.after_batch(batch, 1000.0, 0.5)
    # Scoring takes half of 0.1 s for each of 79 batches, and a quarter more in reserve.
    scoring = 1.25 * 0.05 * 10_000 / 128
    assert clock[0] == pytest.approx(1100 - SPARE_SECONDS - scoring, abs=0.5)


# -- a folder that holds a run ---------------------------------------------------------------------------------


@pytest.fixture
def no_keras(tmp_path):
    """An environment in which whoever imports TensorFlow or Keras ends at once with status 77."""
    for name in ("tensorflow", "keras", "jax"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text("import os\nos._exit(77)\n")
    return {"PYTHONPATH": str(tmp_path / "poison")}


def test_a_finished_run_is_refused_and_untouched(first, small_images, run, refused, no_keras):
    before = snapshot(first[0])
    for extra in ([], ["--folds", 2]):
        result = run(
            "train_keras.py", "--data", small_images, "--output", first[0], *COMMON, *extra, env=no_keras
        )
        refused(result, str(first[0]), "holds a run", "--resume")
        assert result.stdout == ""
    assert snapshot(first[0]) == before


@pytest.mark.parametrize("name", ["metrics.json", "log.csv", "best.keras"])
def test_any_results_in_the_folder_are_refused(tmp_path, small_images, run, refused, no_keras, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    result = run("train_keras.py", "--data", small_images, "--output", tmp_path / "run", env=no_keras)
    refused(result, "holds a run")
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_folds_are_refused_before_any_is_trained(trained, tmp_path, small_images, run, refused, no_keras):
    (tmp_path / "run" / "fold-1").mkdir(parents=True)
    (tmp_path / "run" / "fold-1" / "log.csv").write_text("mine")
    options = ["--data", small_images, "--output", tmp_path / "run", "--folds", 2]
    refused(run("train_keras.py", *options, env=no_keras), "fold-1", "holds a run")
    assert not (tmp_path / "run" / "fold-0").exists()


def test_resuming_a_finished_run_changes_nothing(first, folders, run, no_keras):
    before = snapshot(first[0])
    # Another path of the data, other devices and a time limit are no other run.
    others = ["--data", folders["moved"], "--devices", 2, "--max-hours", 1]
    result = run("train_keras.py", "--output", first[0], *COMMON, *others, "--resume", env=no_keras)
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing to do" in result.stdout
    assert snapshot(first[0]) == before


def test_resuming_finished_folds_changes_nothing(trained, small_images, run, no_keras):
    folder = trained("folds")[0]
    before = snapshot(folder)
    options = ["--data", small_images, "--output", folder, "--epochs", 1, "--folds", 2, "--resume"]
    result = run("train_keras.py", *options, env=no_keras)
    assert (result.returncode, result.stderr) == (0, "")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--epochs", 3), ("--seed", 5), ("--model", "paper"), ("--batch-size", 32), ("--split", "records")),
        *(("--limit", 9), ("--augment", None), ("--learning-rate", 0.5), ("--folds", 2)),
    ],
)
def test_resuming_with_another_option_is_refused(first, small_images, run, refused, no_keras, option, value):
    before = snapshot(first[0])
    extra = [option] if value is None else [option, value]
    result = run(
        *("train_keras.py", "--data", small_images, "--output", first[0], *COMMON, *extra, "--resume"),
        env=no_keras,
    )
    refused(result, option)
    assert snapshot(first[0]) == before


def test_resuming_with_other_data_is_refused(trained, folders, run, refused, no_keras):
    folder = trained("36 s")[0]
    before = snapshot(folder)
    arguments = [argument for argument in RUNS["36 s"] if argument != "many"]
    arguments[0:1] = ["--data", folders["small"]]
    result = run("train_keras.py", "--output", folder, *arguments, "--resume", env=no_keras)
    refused(result, "--data", "checksum")
    assert snapshot(folder) == before


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(tmp_path, small_images, run, refused, no_keras):
    """Assert that options are refused, in one line, before Keras is imported, with nothing written."""

    def check(*arguments, words=(), data=small_images, output=None):
        output = output or tmp_path / "run"
        result = run("train_keras.py", "--data", data, "--output", output, *arguments, env=no_keras)
        refused(result, *words)
        assert result.stdout == ""
        assert not (tmp_path / "run").exists()

    return check


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nope"], ["nope", "fast", "paper"]),
        (["--shift", -1], ["--shift"]),
        (["--shift", 128], ["--shift 128", "128 pixels"]),
        (["--balance", 1.5], ["--balance", "0 to 1"]),
        (["--balance", "nan"], ["--balance"]),
        (["--epochs", 0], ["--epochs"]),
        (["--epochs", -1], ["--epochs"]),
        (["--epochs", "nan"], ["--epochs"]),
        (["--epochs", 1.5], ["--epochs"]),
        (["--batch-size", 0], ["--batch-size"]),
        (["--limit", 0], ["--limit"]),
        (["--limit", 2], ["image"]),  # three parts need one image of each class
        (["--learning-rate", 0], ["--learning-rate"]),
        (["--learning-rate", "nan"], ["--learning-rate"]),
        (["--learning-rate", "-1e-3"], ["--learning-rate"]),
        (["--learning-rate", "inf"], ["--learning-rate"]),
        (["--seed", -1], ["--seed"]),
        (["--seed", 2**32], ["--seed"]),
        (["--devices", 0], ["--devices"]),
        (["--max-hours", 0], ["--max-hours"]),
        (["--max-hours", "nan"], ["--max-hours"]),
        (["--precision", "float8"], ["--precision"]),
        (["--split", "patients"], ["--split"]),
        (["--folds", 1], ["--folds"]),
        (["--folds", 100], ["--folds"]),
        (["--folds", 3, "--fold", 3], ["--fold 3", "0 to 2"]),
        (["--folds", 3, "--fold", -1], ["--fold"]),
        (["--fold", 0], ["--folds"]),
        (["--folds", 11, "--split", "records"], ["--folds"]),
        (["--split", "ds1-ds2"], ["ds1-ds2", "aami"]),
        (["--augment-classes", "arrhythmias"], ["--augment"]),
        (["--epoch", 3], ["--epoch"]),
        (["more"], ["more"]),
    ],
)
def test_bad_options(refuse, arguments, words):
    refuse(*arguments, words=words)


def test_missing_options(run, refused, no_keras):
    refused(run("train_keras.py", env=no_keras), "--data", "--output")


def test_data_that_is_no_data(refuse, tmp_path, image_maker):
    (tmp_path / "empty" / "NOR").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    refuse(data=tmp_path / "missing", words=["missing", "does not exist"])
    refuse(data=tmp_path / "file", words=["file"])
    refuse(data=tmp_path / "empty", words=["empty"])
    refuse(data=image_maker(tmp_path / "one", {"NOR": 9}), words=["one class", "NOR"])
    refuse(
        "--augment",
        *("--augment-classes", "arrhythmias"),
        data=image_maker(tmp_path / "abnormal", {"PVC": 9, "LBB": 9}),
        words=["NOR"],
    )


@pytest.mark.parametrize("split", ["records", "ds1-ds2"])
def test_splits_of_records_need_record_names(refuse, folders, split):
    refuse("--split", split, data=folders["stranger"], words=[f"--split {split}", "RECORD_SAMPLE.png"])


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("fault", ["truncated", "empty", "text"])
def test_broken_images(refuse, tmp_path, image_maker, ending, fault):
    data = image_maker(tmp_path / "data", {"NOR": 5, "PVC": 5})
    broken = data / "PVC" / f"broken{ending}"
    content = cv2.imencode(ending, np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8))[1]
    content = content.tobytes()
    contents = {"truncated": content[: len(content) // 2], "empty": b"", "text": b"no image\n" * 50}
    broken.write_bytes(contents[fault])
    refuse(data=data, words=[str(broken)])


def test_an_output_that_is_a_file_or_below_one(refuse, tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        refuse(output=output, words=["--output", "is a file"])
    assert (tmp_path / "file").read_text() == "mine"


def test_a_garbage_config(refuse, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{")
    refuse("--resume", output=tmp_path / "other", words=["config.json"])


def test_an_output_that_may_not_be_written_to(small_images, refused):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        closed = Path(folder) / "closed"
        closed.mkdir(mode=0o555)
        # Root may write anywhere, so it becomes "nobody".
        other_user = {"patch": os.setuid, "patch_arguments": (65534,)} if os.geteuid() == 0 else {}
        result = train("--data", small_images, "--output", closed / "run", **other_user)
    refused(result, "--output", "closed", "permission")
    assert result.stdout == ""


# -- JAX -------------------------------------------------------------------------------------------------------

# Each line is a command line; the number of CPU devices is fixed when JAX starts, so the first has most.
JAX_DRIVER = """
import json, sys
import evaluate_keras, train_keras
for script, arguments in json.loads(sys.argv[1]):
    {"train": train_keras, "evaluate": evaluate_keras}[script].main(arguments)
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """The environment for JAX: as if TensorFlow was not installed."""
    jax = subprocess.run([sys.executable, "-c", "import jax"], capture_output=True)
    if jax.returncode:
        pytest.skip("JAX is not installed here (requirements-jax.txt)")
    folder = tmp_path_factory.mktemp("without")
    (folder / "tensorflow.py").write_text("raise ImportError('No module named tensorflow')\n")
    return {"KERAS_BACKEND": "jax", "PYTHONPATH": f"{folder}{os.pathsep}{PROJECT}"}


def test_jax_trains_without_tensorflow(tmp_path, small_images, without_tensorflow):
    commands = [
        # 48 training images: a remainder of 1 on two devices.
        ("train", "--output two --epochs 1 --batch-size 47 --devices 2"),
        ("train", "--output one --epochs 2 --batch-size 16 --max-hours 1"),
        ("train", "--output stopped --epochs 9 --batch-size 1 --max-hours 0.001"),
        ("evaluate", "one/best.keras --output scores --batch-size 16"),
    ]
    lines = [(script, [*text.split(), "--data", str(small_images)]) for script, text in commands]
    result = subprocess.run(
        [sys.executable, "-c", JAX_DRIVER, json.dumps(lines)],
        **{"cwd": tmp_path, "env": {**os.environ, **without_tensorflow}},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    config = read(tmp_path / "two", "config.json")
    assert config["backend"] == "jax"
    assert len(config["devices"]) == 2
    assert len(losses(tmp_path / "one")) == 2
    assert_finished(tmp_path / "one")
    assert read(tmp_path / "stopped", "metrics.json")["stopped_early"] is True
    scores = read(tmp_path / "scores", "metrics.json")
    assert scores["confusion_matrix"] == read(tmp_path / "one", "metrics.json")["confusion_matrix"]


@pytest.mark.slow
def test_jax_goes_on_after_a_kill(tmp_path, small_images, without_tensorflow):
    arguments = ["--data", small_images, *COMMON, "--epochs", 3, "--resume", "--output"]
    command = [sys.executable, PROJECT / "train_keras.py", *arguments]
    kill = (
        "import forked, train_keras\n"
        "from ecgbeats import command\n"
        "forked.die_at_file('log.csv', 'written', 3)\n"  # the header and two epochs
        "command.run(train_keras.main)\n"
    )
    environment = {**os.environ, **without_tensorflow}
    killed = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{PROJECT / 'tests'}"}
    for start, folder, env, status in (
        (command, "unbroken", environment, 0),
        ([sys.executable, "-c", kill, *arguments], "killed", killed, -9),
        (command, "killed", environment, 0),
    ):
        line = [*map(str, start), str(tmp_path / folder)]
        result = subprocess.run(line, env=env, capture_output=True, text=True)
        assert result.returncode == status, result.stderr
    one, other = (np.array(losses(tmp_path / name), float) for name in ("killed", "unbroken"))
    assert len(one) == 3
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
