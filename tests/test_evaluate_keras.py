"""evaluate_keras.py on a run's own data and on others."""

import csv
import json
import shutil
from pathlib import Path

from ecgbeats import command

import cv2
import numpy as np
import pytest
from forked import train

import evaluate_keras

CLASSES = ["NOR", "PVC", "LBB"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_images):
    """The folder of a run that was trained on a part of small_images."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    options = ["--epochs", 4, "--batch-size", 16, "--limit", 18, "--seed", 2]
    result = train("--data", small_images, "--output", folder, *options)
    assert result.returncode == 0, result.stderr
    return folder


def read(folder: Path, name: str = "metrics.json") -> dict:
    return json.loads((folder / name).read_text())


def rows(folder: Path) -> list[dict]:
    with open(folder / "predictions.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def evaluate(model: Path, data: Path, output: Path, *extra) -> dict:
    """Evaluate in this process, and return the metrics."""
    evaluate_keras.main([str(a) for a in (model, "--data", data, "--output", output, *extra)])
    return read(output)


def assert_metrics_of_training(metrics: dict, folder: Path) -> None:
    before = read(folder)
    same = set(before) - {"seconds", "model", "epochs", "best_epoch", "stopped_early"}
    assert {key: metrics[key] for key in same} == {key: before[key] for key in same}


# -- what is scored --------------------------------------------------------------------------------------------


def test_on_its_own_data_the_test_part_alone_is_scored(trained, small_images, tmp_path, run):
    result = run(
        *("evaluate_keras.py", trained / "best.keras", "--data", small_images, "--output", tmp_path / "new")
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "test part" in result.stdout
    assert_metrics_of_training(read(tmp_path / "new"), trained)
    assert read(tmp_path / "new")["training_images_included"] is False
    one, other = rows(tmp_path / "new"), rows(trained)
    assert [row["file"] for row in one] == [row["file"] for row in other]
    for name in CLASSES:
        column = f"p_{name}"
        np.testing.assert_allclose(
            [float(row[column]) for row in one], [float(row[column]) for row in other], atol=1e-5
        )
    picture = cv2.imread(str(tmp_path / "new" / "confusion_matrix.png"))
    assert picture.std() > 5


def test_data_that_moved_is_known_again(trained, small_images, tmp_path):
    shutil.copytree(small_images, tmp_path / "moved")
    (tmp_path / "moved" / "Thumbs.db").write_text("left by a file manager")
    assert_metrics_of_training(
        evaluate(trained / "best.keras", tmp_path / "moved", tmp_path / "new"), trained
    )


def test_all_scores_everything_and_says_so(trained, small_images, tmp_path, capsys):
    metrics = evaluate(trained / "best.keras", small_images, tmp_path / "new", "--all")
    assert metrics["test_images"] == len(rows(tmp_path / "new")) == 60
    assert metrics["training_images_included"] is True
    assert metrics["split"] is None
    assert "Training beats are among them" in capsys.readouterr().out


def test_a_network_without_its_config_scores_everything(trained, small_images, tmp_path, capsys):
    shutil.copy(trained / "best.keras", tmp_path / "mine.keras")
    metrics = evaluate(tmp_path / "mine.keras", small_images, tmp_path / "new")
    assert metrics["test_images"] == 60
    assert metrics["training_images_included"] is None
    assert "not known" in capsys.readouterr().out


def test_data_with_one_image_more_is_not_taken_for_its_own(trained, small_images, tmp_path, capsys):
    """Most of it was trained on, but which images, the checksum cannot tell."""
    shutil.copytree(small_images, tmp_path / "more")
    cv2.imwrite(str(tmp_path / "more" / "NOR" / "new_1.png"), np.full((128, 128), 255, np.uint8))
    metrics = evaluate(trained / "best.keras", tmp_path / "more", tmp_path / "new")
    assert metrics["test_images"] == 61
    assert metrics["training_images_included"] is None
    assert "not known" in capsys.readouterr().out


def test_classes_are_matched_by_name(trained, small_images, tmp_path):
    """A folder with two of the three classes, whose own order would be another one."""
    everything = tmp_path / "everything"
    evaluate(trained / "best.keras", small_images, everything, "--all")
    for name in ("LBB", "PVC"):
        shutil.copytree(small_images / name, tmp_path / "fewer" / name)
    metrics = evaluate(trained / "best.keras", tmp_path / "fewer", tmp_path / "new")
    assert metrics["classes"] == CLASSES
    assert metrics["per_class"]["NOR"]["support"] == 0
    assert metrics["per_class"]["NOR"]["sensitivity"] is None
    assert metrics["per_class"]["PVC"]["support"] == 20
    before = {row["file"]: row for row in rows(everything)}
    for row in rows(tmp_path / "new"):
        assert row["true"] == row["file"].split("/")[0]
        assert row["predicted"] == before[row["file"]]["predicted"]
        assert float(row["p_LBB"]) == pytest.approx(float(before[row["file"]]["p_LBB"]), abs=1e-5)


def test_simulated_data_is_called_so(trained, small_images, tmp_path, capsys):
    shutil.copytree(small_images, tmp_path / "data")
    (tmp_path / "data" / "dataset.json").write_text('{"simulated": true}')
    metrics = evaluate(trained / "best.keras", tmp_path / "data", tmp_path / "new")
    assert metrics["simulated"] is True
    assert command.SIMULATED_NOTICE in capsys.readouterr().out


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(tmp_path, run, refused, trained, small_images):
    """Assert that a command line is refused in one line, before Keras is imported, with nothing written."""
    for name in ("tensorflow", "keras"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text("import os\nos._exit(77)\n")

    def check(*extra, model=trained / "best.keras", data=small_images, output=tmp_path / "new", words=()):
        arguments = ["evaluate_keras.py", model, "--data", data, "--output", output, *extra]
        refused(run(*arguments, env={"PYTHONPATH": str(tmp_path / "poison")}), *words)
        assert not (tmp_path / "new").exists()

    return check


def test_a_class_that_the_network_does_not_know(refuse, image_maker, tmp_path):
    data = image_maker(tmp_path / "data", {"NOR": 3, "VEB": 3})
    refuse(data=data, words=["VEB", "NOR, PVC, LBB"])


def test_a_missing_or_broken_network(refuse, trained, tmp_path):
    whole = (trained / "best.keras").read_bytes()
    broken = tmp_path / "broken.keras"
    refuse(model=tmp_path / "none.keras", words=["none.keras", "no such file"])
    for content in (whole[: len(whole) // 2], b"", b"garbage\n" * 99, whole[:5000] + b"\0" + whole[5001:]):
        broken.write_bytes(content)
        refuse(model=broken, words=["broken.keras"])
    refuse(model=trained / "log.csv", words=["log.csv", "best.keras"])
    refuse(model=trained, words=[str(trained)])


def test_bad_data(refuse, image_maker, tmp_path):
    refuse(data=tmp_path / "none", words=["none", "does not exist"])
    (tmp_path / "empty").mkdir()
    refuse(data=tmp_path / "empty", words=["empty"])
    data = image_maker(tmp_path / "data", {"NOR": 3, "PVC": 3})
    (data / "PVC" / "cut.png").write_bytes((data / "PVC" / "r0_1000.png").read_bytes()[:900])
    refuse(data=data, words=["cut.png"])


def test_a_broken_config_beside_the_network(refuse, trained, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(trained / "best.keras", tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("[]")
    refuse(model=tmp_path / "run" / "best.keras", words=["config.json"])


def test_an_output_that_holds_results_or_is_a_file(refuse, trained, tmp_path):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    refuse(output=trained, words=["holds results", str(trained)])
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        refuse(output=output, words=["is a file"])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("value", [0, -1, "nan"])
def test_a_bad_batch_size(refuse, value):
    refuse("--batch-size", value, words=["--batch-size"])
