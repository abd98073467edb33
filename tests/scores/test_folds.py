"""Cross-validation whose folds are trained one by one, on several machines, and summed up on another."""

import json
import shutil
import signal
from pathlib import Path

from ecgbeats.scores.folds import fold_means, fold_table, pool_folds
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score

import cv2
import numpy as np
import pytest
from conftest import assert_refused, make_images, once
from forked import add_networks, die_at_file, train
from run_folders import change, read, rows, snapshot

CLASSES = ["NOR", "PVC", "LBB"]
FOLDS = 3
# 27 images: each fold tests nine of them.
COUNTS = {"NOR": 12, "PVC": 9, "LBB": 6}
OPTIONS = ["--model", "tiny", "--epochs", 2, "--batch-size", 8, "--seed", 4, "--folds", FOLDS]


@pytest.fixture(scope="module")
def images() -> Path:
    return once("images-of-folds", lambda folder: make_images(folder, COUNTS))[0]


@pytest.fixture(scope="module")
def machines(images) -> list[Path]:
    """The run folders of three machines, each of which trained one fold, on a copy of the images."""

    def make(folder: Path) -> None:
        for fold in range(FOLDS):
            shutil.copytree(images, folder / str(fold) / "images")
            arguments = ["--data", folder / str(fold) / "images", "--output", folder / str(fold) / "out"]
            result = train(*arguments, *OPTIONS, "--fold", fold, patch=add_networks)
            assert (result.returncode, result.stderr) == (0, "")

    folder = once("machines", make)[0]
    return [folder / str(fold) / "out" for fold in range(FOLDS)]


@pytest.fixture
def collected(tmp_path, machines) -> Path:
    """A folder into which the folds were copied."""
    for fold, run in enumerate(machines):
        shutil.copytree(run, tmp_path / "all" / f"fold-{fold}")
    return tmp_path / "all"


@pytest.fixture
def gather(collected, tmp_path, no_keras):
    """Give the command that sums up, where neither the images nor Keras can be found."""

    def start(*extra, data=tmp_path / "not here"):
        arguments = ["--data", data, "--output", collected, *OPTIONS, *extra]
        return train(*arguments, env=no_keras, tensorflow=False, patch=add_networks)

    return start


def assert_summed_up(folder: Path, images: Path) -> dict:
    """Assert that folds.json fits what the folds' own files hold, and return it."""
    summary = read(folder, "folds.json")
    each = [read(folder / f"fold-{i}", "metrics.json") for i in range(FOLDS)]
    assert summary["folds"] == FOLDS

    def check(values: dict, expected: list[float]) -> None:
        assert values["values"] == expected
        assert values["mean"] == pytest.approx(np.mean(expected))
        assert values["standard_deviation"] == pytest.approx(np.std(expected, ddof=1))

    for name in ("accuracy", "sensitivity", "specificity", "ppv", "f1", "auc"):
        check(summary[name], [metrics[name] for metrics in each])
    assert list(summary["per_class"]) == CLASSES
    for label, values in summary["per_class"].items():
        for name in ("sensitivity", "specificity", "ppv", "f1", "auc"):
            check(values[name], [metrics["per_class"][label][name] for metrics in each])
        assert values["support"] == [COUNTS[label] // FOLDS] * FOLDS

    tested = [row for i in range(FOLDS) for row in rows(folder / f"fold-{i}" / "predictions.csv")]
    files = sorted(str(path.relative_to(images)) for path in images.glob("*/*"))
    assert sorted(row["file"] for row in tested) == files
    pooled = summary["pooled"]
    true = np.array([CLASSES.index(row["true"]) for row in tested])
    probabilities = np.array([[row[f"p_{name}"] for name in CLASSES] for row in tested], np.float32)
    expected = score(true, probabilities, CLASSES)
    assert {key: pooled[key] for key in expected} == expected
    assert pooled["intervals"] == bootstrap_intervals(true, probabilities, CLASSES)
    matrices = np.array([metrics["confusion_matrix"] for metrics in each])
    assert pooled["confusion_matrix"] == matrices.sum(axis=0).tolist()
    assert pooled["test_images"] == sum(COUNTS.values())
    assert (pooled["split"], pooled["simulated"]) == ("beats", False)
    return summary


# -- ten machines ----------------------------------------------------------------------------------------------


def test_folds_of_several_machines_are_summed_up(collected, gather, images):
    before = snapshot(collected)
    result = gather("--resume")
    assert (result.returncode, result.stderr) == (0, "")
    summary = assert_summed_up(collected, images)
    after = snapshot(collected)
    assert {name: after[name] for name in before} == before, "a fold was touched"
    assert sorted(str(name) for name in set(after) - set(before)) == ["confusion_matrix.png", "folds.json"]
    assert cv2.imread(str(collected / "confusion_matrix.png")).std() > 5

    # The table that is printed.
    lines = result.stdout.splitlines()
    assert lines.pop() == f"Results: {collected / 'folds.json'}"
    assert max(map(len, lines)) <= 80
    assert f"{FOLDS} folds" in lines[1]
    assert "27 test beats" in lines[1]
    (accuracy,) = (line for line in lines if line.startswith("accuracy"))
    values, pooled = summary["accuracy"], summary["pooled"]
    low, high = pooled["intervals"]["accuracy"]
    for number in (values["mean"], values["standard_deviation"], pooled["accuracy"], low, high):
        assert f"{100 * number:.2f}" in accuracy
    assert f"± {100 * values['standard_deviation']:.2f}" in accuracy
    (auc,) = (line for line in lines if line.startswith("AUC"))
    assert f"{summary['auc']['mean']:.4f} ± {summary['auc']['standard_deviation']:.4f}" in auc
    (pvc,) = (line for line in lines if line.startswith("PVC"))
    assert f"{100 * summary['per_class']['PVC']['sensitivity']['mean']:.2f} %" in pvc
    assert pvc.endswith(" 9")

    again = snapshot(collected)
    result = gather("--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing to do" in result.stdout
    assert snapshot(collected) == again


def die_after_an_epoch() -> None:
    add_networks()
    die_at_file("log.csv", "replaced", 2)  # the first time it is written with its header alone


def test_a_fold_that_is_not_there_is_trained_and_nothing_else(collected, machines, images):
    """Also when that is interrupted; the end is the same as if another machine had trained it."""
    shutil.rmtree(collected / "fold-1")
    others = {fold: snapshot(collected / fold) for fold in ("fold-0", "fold-2")}
    arguments = ["--data", images, "--output", collected, *OPTIONS, "--resume"]
    result = train(*arguments, patch=die_after_an_epoch)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not (collected / "folds.json").exists()
    assert len((collected / "fold-1" / "log.csv").read_text().splitlines()) == 2
    result = train(*arguments, patch=add_networks)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Trained before: fold-0, fold-2" in result.stdout
    assert "Fold 1 of 3" in result.stdout
    assert "Fold 0 of 3" not in result.stdout
    assert "going on after epoch 1" in result.stdout
    assert {fold: snapshot(collected / fold) for fold in others} == others
    assert_summed_up(collected, images)
    here, there = rows(collected / "fold-1" / "predictions.csv"), rows(machines[1] / "predictions.csv")
    assert [row["file"] for row in here] == [row["file"] for row in there]
    for name in CLASSES:
        np.testing.assert_allclose(
            [float(row[f"p_{name}"]) for row in here], [float(row[f"p_{name}"]) for row in there], atol=1e-5
        )


def test_a_fold_that_was_trained_again_is_summed_up_again(collected, gather):
    assert gather("--resume").returncode == 0
    change(collected / "fold-2" / "metrics.json", accuracy=0.25)
    result = gather("--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert read(collected, "folds.json")["accuracy"]["values"][2] == 0.25


@pytest.mark.parametrize("content", ["", '{"folds": 3, "accuracy": {"mean": 0.9}}', "[]"])
def test_a_summary_that_is_broken_or_of_an_earlier_version_is_written_again(
    collected, gather, images, content
):
    (collected / "folds.json").write_text(content)
    result = gather("--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert_summed_up(collected, images)


def test_where_patients_are_kept_apart_whole_records_are_resampled(collected):
    for fold in range(FOLDS):
        path = collected / f"fold-{fold}" / "config.json"
        change(path, options=json.loads(path.read_text())["options"] | {"split": "records"})
    pooled = pool_folds([collected / f"fold-{fold}" for fold in range(FOLDS)])
    assert pooled["split"] == "records"
    assert (pooled["intervals"]["resampled"], pooled["intervals"]["units"]) == ("records", 10)


def test_simulated_data_is_named(collected, gather):
    for fold in range(FOLDS):
        change(collected / f"fold-{fold}" / "config.json", simulated=True)
    result = gather("--resume")
    assert "SIMULATED" in result.stdout
    assert read(collected, "folds.json")["pooled"]["simulated"] is True


# -- what does not fit together --------------------------------------------------------------------------------


@pytest.fixture
def refuse(gather, collected):
    """Assert that the folds are not summed up, in one line, and that nothing changes."""

    def check(*words, extra=("--resume",), **options):
        before = snapshot(collected)
        result = gather(*extra, **options)
        assert_refused(result, *words)
        assert "Fold" not in result.stdout, "a fold was begun"
        assert snapshot(collected) == before

    return check


def test_without_resume_it_says_that_resume_is_needed(refuse):
    refuse("holds a run", "--resume", extra=())


def test_a_fold_with_another_seed_is_refused(refuse, collected):
    path = collected / "fold-1" / "config.json"
    change(path, options=json.loads(path.read_text())["options"] | {"seed": 5})
    refuse("fold-1", "--seed (then 5, now 4)", "remove that folder")


def test_a_fold_in_the_wrong_folder_is_refused(refuse, collected):
    shutil.rmtree(collected / "fold-1")
    shutil.copytree(collected / "fold-2", collected / "fold-1")
    refuse("fold-1", "--fold (then 2, now 1)")


def test_a_fold_of_other_images_is_refused(refuse, collected, images):
    change(collected / "fold-1" / "config.json", data_sha256="0" * 64)
    refuse("fold-0", "fold-1", "checksum")
    # With a fold still to be trained, it is told before that begins.
    shutil.rmtree(collected / "fold-2")
    refuse("fold-1", "--data", "checksum", data=images)


def test_a_fold_that_was_begun_on_other_images_is_refused_before_any_is_trained(refuse, collected, images):
    shutil.rmtree(collected / "fold-0")
    change(collected / "fold-2" / "config.json", data_sha256="0" * 64, finished=False)
    refuse("fold-2", "--data", "checksum", data=images)


def test_to_train_a_fold_its_images_must_be_there(refuse, collected):
    shutil.rmtree(collected / "fold-1")
    refuse("not here", "does not exist")


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv"])
def test_a_fold_that_was_copied_in_part_is_refused(refuse, collected, name):
    path = collected / "fold-1" / name
    text = path.read_text()
    path.write_text(text[: text.rindex("\n", 0, len(text) - 1) + 1])  # without its last line
    refuse(str(path), "copy")
    path.unlink()
    refuse(str(path))


def test_a_beat_that_two_folds_test_is_refused(refuse, collected):
    """Another version of scikit-learn could part the beats in another way."""
    shutil.copy(collected / "fold-0" / "predictions.csv", collected / "fold-1" / "predictions.csv")
    refuse("fold-0", "fold-1", "both hold", "versions")


# -- the mean --------------------------------------------------------------------------------------------------


def test_a_class_that_a_fold_lacks_is_left_out_of_its_means():
    certain = np.eye(3, dtype=np.float32)
    every = [
        score(np.array(true), certain[chosen], CLASSES)
        for true, chosen in [([0, 0, 1], [0, 1, 1]), ([0, 1, 1], [0, 1, 0]), ([0, 0, 2], [0, 0, 2])]
    ]
    means = fold_means(every)["per_class"]
    assert means["PVC"]["support"] == [1, 2, 0]
    assert means["PVC"]["sensitivity"]["values"] == [1.0, 0.5, None]
    assert means["PVC"]["sensitivity"]["mean"] == 0.75
    assert means["PVC"]["sensitivity"]["standard_deviation"] == pytest.approx(np.sqrt(0.125))
    # Of one fold there is no spread.
    assert means["LBB"]["sensitivity"] == {
        "mean": 1.0,
        "standard_deviation": None,
        "values": [None, None, 1.0],
    }
    nowhere = fold_means(every[:2])
    assert nowhere["per_class"]["LBB"]["sensitivity"] is None
    table = fold_table(nowhere)
    assert table.splitlines()[-1].split() == ["LBB", "-", "-", "-", "0"]


def test_a_metric_that_a_fold_lacks_is_left_out_of_the_mean():
    names = ("accuracy", "sensitivity", "specificity", "ppv", "f1")
    summary = fold_means(
        [dict.fromkeys(names, 0.5) | {"auc": auc, "specificity": None} for auc in (0.5, 1.0, None)]
    )
    assert summary["auc"]["mean"] == 0.75
    assert summary["specificity"] is None
