"""evaluate_keras.py on a run's own data and on others."""

import shutil
from pathlib import Path

from ecgbeats import command

import cv2
import forked
import numpy as np
import pytest
from conftest import assert_refused, run_command
from run_folders import change, read, rows
from trainings import trained

import evaluate_keras

CLASSES = ["NOR", "PVC", "LBB"]


@pytest.fixture(scope="module")
def run() -> Path:
    """The folder of a run that was trained on a part of small_images."""
    return trained("augmented")[0]


def evaluate(model: Path, data: Path, output: Path, *extra) -> dict:
    """Evaluate in this process, and return the metrics."""
    evaluate_keras.main([str(a) for a in (model, "--data", data, "--output", output, *extra)])
    return read(output, "metrics.json")


def assert_metrics_of_training(metrics: dict, folder: Path) -> None:
    before = read(folder, "metrics.json")
    same = set(before) - {"seconds", "model", "epochs", "best_epoch", "stopped_early"}
    assert {key: metrics[key] for key in same} == {key: before[key] for key in same}


# -- what is scored --------------------------------------------------------------------------------------------


def test_on_its_own_data_the_test_part_alone_is_scored(run, small_images, tmp_path):
    arguments = [run / "best.keras", "--data", small_images, "--output", tmp_path / "new"]
    result = run_command("evaluate_keras.py", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "test part" in result.stdout
    assert_metrics_of_training(read(tmp_path / "new", "metrics.json"), run)
    assert read(tmp_path / "new", "metrics.json")["training_images_included"] is False
    one, other = rows(tmp_path / "new" / "predictions.csv"), rows(run / "predictions.csv")
    assert [row["file"] for row in one] == [row["file"] for row in other]
    for name in CLASSES:
        column = f"p_{name}"
        np.testing.assert_allclose(
            [float(row[column]) for row in one], [float(row[column]) for row in other], atol=1e-5
        )
    picture = cv2.imread(str(tmp_path / "new" / "confusion_matrix.png"))
    assert picture.std() > 5


def test_data_that_moved_is_known_again(run, small_images, tmp_path):
    shutil.copytree(small_images, tmp_path / "moved")
    (tmp_path / "moved" / "Thumbs.db").write_text("left by a file manager")
    assert_metrics_of_training(evaluate(run / "best.keras", tmp_path / "moved", tmp_path / "new"), run)


def test_all_scores_everything_and_says_so(run, small_images, tmp_path, capsys):
    metrics = evaluate(run / "best.keras", small_images, tmp_path / "new", "--all")
    assert metrics["test_images"] == len(rows(tmp_path / "new" / "predictions.csv")) == 60
    assert metrics["training_images_included"] is True
    assert metrics["split"] is None
    assert "Training beats are among them" in capsys.readouterr().out


def test_a_network_without_its_config_scores_everything(run, small_images, tmp_path, capsys):
    shutil.copy(run / "best.keras", tmp_path / "mine.keras")
    metrics = evaluate(tmp_path / "mine.keras", small_images, tmp_path / "new")
    assert metrics["test_images"] == 60
    assert metrics["training_images_included"] is None
    assert "not known" in capsys.readouterr().out


def test_data_with_one_image_more_is_not_taken_for_its_own(run, small_images, tmp_path, capsys):
    """Most of it was trained on, but which images, the checksum cannot tell."""
    shutil.copytree(small_images, tmp_path / "more")
    cv2.imwrite(str(tmp_path / "more" / "NOR" / "new_1.png"), np.full((128, 128), 255, np.uint8))
    metrics = evaluate(run / "best.keras", tmp_path / "more", tmp_path / "new")
    assert metrics["test_images"] == 61
    assert metrics["training_images_included"] is None
    assert "not known" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "words", "unit"),
    [
        ("r1", "patients that the training used are (1 of 2: r1)", "beats"),
        ("new", "none of these records is of a patient that the training used", "records"),
    ],
)
def test_other_beats_of_patients_that_trained_are_told(run, tmp_path, capsys, other, words, unit):
    """A second lead, or a folder of --further: not the same images, but no new patients either."""
    copy = shutil.copytree(run, tmp_path / "run")
    change(copy / "config.json", train_records=["r0", "r1"], validation_records=["r2"], test_records=["r3"])
    for name, record in {"NOR": "r3", "PVC": other}.items():
        (tmp_path / "other" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "other" / name / f"{record}_7.png"), np.full((128, 128), 255, np.uint8))
    metrics = evaluate(copy / "best.keras", tmp_path / "other", tmp_path / "new")
    assert metrics["training_images_included"] is None
    assert (metrics["split"], metrics["intervals"]["resampled"]) == (None, unit)
    assert words in capsys.readouterr().out


def test_classes_are_matched_by_name(run, small_images, tmp_path):
    """A folder with two of the three classes, whose own order would be another one."""
    everything = tmp_path / "everything"
    evaluate(run / "best.keras", small_images, everything, "--all")
    for name in ("LBB", "PVC"):
        shutil.copytree(small_images / name, tmp_path / "fewer" / name)
    metrics = evaluate(run / "best.keras", tmp_path / "fewer", tmp_path / "new")
    assert metrics["classes"] == CLASSES
    assert metrics["per_class"]["NOR"]["support"] == 0
    assert metrics["per_class"]["NOR"]["sensitivity"] is None
    assert metrics["per_class"]["PVC"]["support"] == 20
    before = {row["file"]: row for row in rows(everything / "predictions.csv")}
    for row in rows(tmp_path / "new" / "predictions.csv"):
        assert row["true"] == row["file"].split("/")[0]
        assert row["predicted"] == before[row["file"]]["predicted"]
        assert float(row["p_LBB"]) == pytest.approx(float(before[row["file"]]["p_LBB"]), abs=1e-5)


def test_simulated_data_is_called_so(run, small_images, tmp_path, capsys):
    shutil.copytree(small_images, tmp_path / "data")
    (tmp_path / "data" / "dataset.json").write_text('{"simulated": true}')
    metrics = evaluate(run / "best.keras", tmp_path / "data", tmp_path / "new")
    assert metrics["simulated"] is True
    assert command.SIMULATED_NOTICE in capsys.readouterr().out


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(tmp_path, run, small_images, no_keras):
    """Assert that a command line is refused in one line, before Keras is imported, with nothing written."""

    def check(*extra, model=run / "best.keras", data=small_images, output=tmp_path / "new", words=()):
        arguments = [model, "--data", data, "--output", output, *extra]
        result = forked.run("evaluate_keras.py", *arguments, env=no_keras, tensorflow=False)
        assert_refused(result, *words)
        assert not (tmp_path / "new").exists()

    return check


def test_a_class_that_the_network_does_not_know(refuse, image_maker, tmp_path):
    data = image_maker(tmp_path / "data", {"NOR": 3, "VEB": 3})
    refuse(data=data, words=["VEB", "NOR, PVC, LBB"])


def test_a_missing_or_broken_network(refuse, run, tmp_path):
    whole = (run / "best.keras").read_bytes()
    broken = tmp_path / "broken.keras"
    refuse(model=tmp_path / "none.keras", words=["none.keras", "no such file"])
    for content in (whole[: len(whole) // 2], b"", b"garbage\n" * 99, whole[:5000] + b"\0" + whole[5001:]):
        broken.write_bytes(content)
        refuse(model=broken, words=["broken.keras"])
    refuse(model=run / "log.csv", words=["log.csv", "best.keras"])
    refuse(model=run, words=[str(run)])


def test_bad_data(refuse, image_maker, tmp_path):
    refuse(data=tmp_path / "none", words=["none", "does not exist"])
    (tmp_path / "empty").mkdir()
    refuse(data=tmp_path / "empty", words=["empty"])
    data = image_maker(tmp_path / "data", {"NOR": 3, "PVC": 3})
    (data / "PVC" / "cut.png").write_bytes((data / "PVC" / "r0_1000.png").read_bytes()[:900])
    refuse(data=data, words=["cut.png"])


def test_a_broken_config_beside_the_network(refuse, run, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(run / "best.keras", tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("[]")
    refuse(model=tmp_path / "run" / "best.keras", words=["config.json"])


def test_an_output_that_holds_results_or_is_a_file(refuse, run, tmp_path):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    refuse(output=run, words=["holds results", str(run)])
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        refuse(output=output, words=["is a file"])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("value", [0, -1, "nan"])
def test_a_bad_batch_size(refuse, value):
    refuse("--batch-size", value, words=["--batch-size"])
