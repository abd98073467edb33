"""train_keras.py from its command line to its run folder, on small folders of images."""

import hashlib
import shutil
from pathlib import Path

from ecgbeats.runs.networks import load_model

import cv2
import forked
import keras
import numpy as np
import pytest
from conftest import assert_refused
from run_folders import assert_finished, change, losses, read, rows, snapshot
from trainings import COMMON, RUNS, data, trained

import train_keras

LOG_COLUMNS = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second"


@pytest.fixture(scope="module")
def first():
    """The run folder of a training as a user starts it, and what that printed."""
    return trained("first")[:2]


def train(*arguments, **options):
    """Start train_keras.py in a process that has not imported TensorFlow yet."""
    return forked.train(*arguments, tensorflow=False, **options)


# -- the run folder --------------------------------------------------------------------------------------------


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
        "further": None,
        "output": str(first[0]),
        "model": "fast",
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": train_keras.MODELS["fast"].learning_rate,
        "augment": False,
        "augment_classes": "all",
        "shift": 1,
        "balance": 0.25,
        "most": None,
        "split": "beats",
        "folds": None,
        "fold": None,
        "keep": "best",
        "calibrate": "no",
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


def test_the_checksum_is_of_names_and_content(first, small_images):
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


def test_the_same_seed_gives_the_same_run(first):
    """`again` was also started with --resume in a folder that was not there."""
    again = trained("again")[0]
    assert losses(again) == losses(first[0])
    assert (again / "predictions.csv").read_bytes() == (first[0] / "predictions.csv").read_bytes()


def test_another_seed_gives_another_split_and_other_losses(first):
    other = trained("moved, other seed")[0]
    assert {row["file"] for row in rows(other / "predictions.csv")} != {
        row["file"] for row in rows(first[0] / "predictions.csv")
    }
    assert losses(other) != losses(first[0])


# -- splits ----------------------------------------------------------------------------------------------------


def test_records_are_kept_apart():
    config = read(trained("augmented")[0], "config.json")
    parts = [set(config[f"{part}_records"]) for part in ("train", "validation", "test")]
    assert all(parts)
    assert set.union(*parts) == {f"r{i}" for i in range(10)}
    assert sum(map(len, parts)) == 10


def test_ds1_ds2_tests_on_ds2_with_and_without_record_202():
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


def test_a_strangers_folder_trains():
    """Names without records, colour, odd sizes, JPEG, class names of all kinds."""
    folder = trained("stranger")[0]
    config = read(folder, "config.json")
    assert config["classes"] == ["Größe 1", "b", "zwei"]
    assert sum(config["images"].values()) == 3 * 7
    assert config["test_records"] is None
    assert load_model(folder / "best.keras")[1] == ["Größe 1", "b", "zwei"]


def test_folds_test_every_image_once(small_images):
    folder, result, _ = trained("folds")
    tested = [row["file"] for i in range(2) for row in rows(folder / f"fold-{i}" / "predictions.csv")]
    assert sorted(tested) == sorted(str(path.relative_to(small_images)) for path in small_images.glob("*/*"))
    assert "\r" not in result.stdout
    for i in range(2):
        assert_finished(folder / f"fold-{i}")


def test_folds_are_summed_up():
    folder = trained("folds")[0]
    accuracies = [read(folder / f"fold-{i}", "metrics.json")["accuracy"] for i in range(2)]
    summary = read(folder, "folds.json")
    assert summary["folds"] == 2
    assert summary["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert summary["accuracy"]["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))


def test_one_fold_alone_is_the_same_as_among_all():
    one, among = trained("fold 1")[0], trained("folds")[0] / "fold-1"
    assert losses(one) == losses(among)
    assert (one / "predictions.csv").read_bytes() == (among / "predictions.csv").read_bytes()


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


def test_a_run_of_before_there_was_shift_can_be_gone_on_with(first, tmp_path, small_images):
    shutil.copytree(first[0], tmp_path / "run")
    options = read(tmp_path / "run", "config.json")["options"]
    newer = [options.pop(name) for name in ("shift", "balance", "keep", "calibrate")]
    assert newer == [1, 0.25, "best", "no"]
    change(tmp_path / "run" / "config.json", options=options)
    options = ["--data", small_images, "--output", tmp_path / "run", *COMMON, "--resume"]
    assert train(*options, "--shift", 0, "--balance", 0).returncode == 0
    assert train(*options).returncode == 2


def test_which_epoch_is_kept_changes_nothing_else(first):
    folder = trained("read as needed, keep last")[0]
    assert losses(folder) == losses(first[0])
    assert read(folder, "metrics.json")["best_epoch"] == 2
    page = (folder / "report.html").read_text()
    assert page.count("by --keep last") == 2
    assert "Validation alone" not in page
    assert "Validation alone chose" in (first[0] / "report.html").read_text()


# -- devices, precision, augmentation, time --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "devices"), [("2 devices", 2), ("3 devices", 3)])
def test_any_batch_and_data_size_trains_on_several_devices(name, devices):
    """Also a batch smaller than the number of devices, and one with a single image left over."""
    folder = trained(name)[0]
    assert len(read(folder, "config.json")["devices"]) == devices
    assert len(losses(folder)) == 1


def test_a_mixed_precision_saves_float32():
    folder = trained("bfloat16")[0]
    assert read(folder, "config.json")["precision"] == "mixed_bfloat16"
    model = keras.models.load_model(folder / "best.keras")
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}


def test_augmentation_trains():
    for name, classes in (("augmented", "all"), ("2 devices", "arrhythmias")):
        options = read(trained(name)[0], "config.json")["options"]
        assert (options["augment"], options["augment_classes"]) == (True, classes)


def test_a_time_limit_shorter_than_an_epoch_still_gives_results():
    folder, result, seconds = trained("36 s")
    assert seconds < 36
    assert "stopping before --max-hours" in result.stdout
    metrics = read(folder, "metrics.json")
    assert metrics["stopped_early"] is True
    assert metrics["epochs"] == 0
    assert keras.models.load_model(folder / "best.keras").output_shape == (None, 3)
    assert len(rows(folder / "predictions.csv")) == metrics["test_images"] == 6
    assert read(folder, "config.json")["finished"] is False


def test_a_time_limit_ends_all_folds():
    """No fold starts after one that was stopped, and there is no summary of half a cross-validation."""
    folder, result, _ = trained("folds, 4 s")
    assert [path.name for path in folder.iterdir()] == ["fold-0"]
    assert "go on with --resume" in result.stdout


def test_images_that_do_not_fit_into_memory_train_alike(first):
    folder, result, _ = trained("read as needed, keep last")
    assert "read as needed" in result.stdout
    assert losses(folder) == losses(first[0])


# -- a folder that holds a run ---------------------------------------------------------------------------------


def test_a_finished_run_is_refused_and_untouched(first, small_images, no_keras):
    before = snapshot(first[0])
    for extra in ([], ["--folds", 2]):
        result = train("--data", small_images, "--output", first[0], *COMMON, *extra, env=no_keras)
        assert_refused(result, str(first[0]), "holds a run", "--resume")
        assert result.stdout == ""
    assert snapshot(first[0]) == before


@pytest.mark.parametrize("name", ["metrics.json", "log.csv", "best.keras"])
def test_any_results_in_the_folder_are_refused(tmp_path, small_images, no_keras, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    result = train("--data", small_images, "--output", tmp_path / "run", env=no_keras)
    assert_refused(result, "holds a run")
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_folds_are_refused_before_any_is_trained(tmp_path, small_images, no_keras):
    (tmp_path / "run" / "fold-1").mkdir(parents=True)
    (tmp_path / "run" / "fold-1" / "log.csv").write_text("mine")
    options = ["--data", small_images, "--output", tmp_path / "run", "--folds", 2]
    assert_refused(train(*options, env=no_keras), "fold-1", "holds a run")
    assert not (tmp_path / "run" / "fold-0").exists()


def test_resuming_a_finished_run_changes_nothing(first, no_keras):
    before = snapshot(first[0])
    # Another path of the data, other devices and a time limit are no other run.
    others = ["--data", data("moved"), "--devices", 2, "--max-hours", 1]
    result = train("--output", first[0], *COMMON, *others, "--resume", env=no_keras)
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing to do" in result.stdout
    assert snapshot(first[0]) == before


def test_resuming_finished_folds_changes_nothing(small_images, no_keras):
    folder = trained("folds")[0]
    before = snapshot(folder)
    arguments = [small_images, *RUNS["folds"][2:], "--output", folder, "--resume"]
    result = train("--data", *arguments, env=no_keras, patch=forked.add_networks)
    assert (result.returncode, result.stderr) == (0, "")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--epochs", 4), ("--seed", 5), ("--model", "paper"), ("--batch-size", 32), ("--split", "records")),
        *(("--limit", 9), ("--augment", None), ("--learning-rate", 0.5), ("--folds", 2)),
    ],
)
def test_resuming_with_another_option_is_refused(first, small_images, no_keras, option, value):
    before = snapshot(first[0])
    extra = [option] if value is None else [option, value]
    result = train(
        *("--data", small_images, "--output", first[0], *COMMON, *extra, "--resume"),
        env=no_keras,
    )
    assert_refused(result, option)
    assert option == "--model" or "--shift" not in result.stderr, (
        "it follows from the epochs, and was not given"
    )
    assert snapshot(first[0]) == before


def test_resuming_with_other_data_is_refused(no_keras):
    folder = trained("36 s")[0]
    before = snapshot(folder)
    arguments = ["--data", data("aami"), *RUNS["36 s"][2:], "--output", folder, "--resume"]
    result = train(*arguments, env=no_keras, patch=forked.add_networks)
    assert_refused(result, "--data", "checksum")
    assert snapshot(folder) == before


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(tmp_path, small_images, no_keras):
    """Assert that options are refused, in one line, before Keras is imported, with nothing written."""

    def check(*arguments, words=(), data=small_images, output=None):
        output = output or tmp_path / "run"
        result = train("--data", data, "--output", output, *arguments, env=no_keras)
        assert_refused(result, *words)
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


def test_missing_options(no_keras):
    assert_refused(train(env=no_keras), "--data", "--output")


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
def test_splits_of_records_need_record_names(refuse, split):
    refuse("--split", split, data=data("stranger"), words=[f"--split {split}", "RECORD_SAMPLE.png"])


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


def test_an_output_that_may_not_be_written_to(small_images, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    result = forked.train("--data", small_images, "--output", closed / "run", patch=forked.obey_permissions)
    assert_refused(result, "--output", "closed", "permission")
    assert result.stdout == ""
