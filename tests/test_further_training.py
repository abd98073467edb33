"""train_keras.py with --further and --most."""

import json
import shutil

from ecgbeats.images.names import parse_image_name

import numpy as np
import pytest
import trainings
from conftest import assert_refused, make_images, once
from forked import add_networks, die_inside_an_epoch, train
from run_folders import losses, read


@pytest.fixture(scope="module")
def more():
    """Two folders of further images, of records of `small` and of none."""

    def make(folder):
        make_images(folder / "a", {"NOR": 40, "PVC": 20}, records=12, seed=1)
        make_images(folder / "b", {"PVC": 10, "LBB": 30}, records=10, seed=2)

    folder = once("further", make)[0]
    return folder / "a", folder / "b"


def broken_off(states):
    add_networks()
    die_inside_an_epoch(states)


@pytest.mark.slow
def test_a_run_that_was_broken_off_goes_on_with_the_same_further_images(small_images, more, tmp_path):
    options = [
        *("--data", small_images, "--further", *more, "--most", 2, "--split", "records", "--model", "tiny"),
        *("--epochs", 2, "--batch-size", 16, "--resume", "--output"),
    ]
    whole = train(*options, tmp_path / "whole", patch=add_networks)
    assert whole.returncode == 0, whole.stderr
    run = tmp_path / "run"
    assert train(*options, run, patch=broken_off, patch_arguments=(3,)).returncode == -9
    for other in ([more[0]], [more[1], more[0]]):
        refused = [str(word) for word in options]
        at = refused.index("--further")
        refused[at + 1 : at + 3] = map(str, other)
        assert_refused(train(*refused, run, patch=add_networks), "--further")
    most = [3 if word == 2 and options[i - 1] == "--most" else word for i, word in enumerate(options)]
    assert_refused(train(*most, run, patch=add_networks), "--most (then 2, now 3)")
    result = train(*options, run, patch=add_networks)
    assert "going on in epoch 1, after 3 of" in result.stdout, result.stdout + result.stderr
    ours, theirs = (np.array(losses(folder), float) for folder in (run, tmp_path / "whole"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def cells(data, more, trains):
    """Count what an epoch draws: two at most of each class and record of a folder."""
    counts = {}
    for number, folder in enumerate([data, *more]):
        for file in folder.rglob("*.png"):
            record = parse_image_name(file)[0]
            if record in trains:
                cell = number, file.parent.name, record
                counts[cell] = counts.get(cell, 0) + 1
    return sum(min(2, count) for count in counts.values())


def test_each_fold_has_further_images_of_its_own_patients(small_images, more, tmp_path):
    options = ["--data", small_images, "--further", *more, "--most", 2, "--split", "records", "--folds", 2]
    result = train(
        *options, "--output", tmp_path / "run", "--model", "tiny", "--epochs", 1, patch=add_networks
    )
    assert result.returncode == 0, result.stderr
    for fold in range(2):
        config = read(tmp_path / "run" / f"fold-{fold}", "config.json")
        trains = set(config["train_records"])
        expected = [
            sum(parse_image_name(file)[0] in trains for file in folder.rglob("*.png")) for folder in more
        ]
        assert [folder["images"] for folder in config["further"]] == expected
        assert 0 < expected[0] < 60
        assert f"Further images that train: {expected[0]}, {expected[1]}\n" in result.stdout
        assert f"An epoch draws {cells(small_images, more, trains)} of " in result.stdout
        assert config["options"]["further"] == list(map(str, more))
        assert (config["options"]["most"], config["options"]["balance"]) == (2, 0)
        report = (tmp_path / "run" / f"fold-{fold}" / "report.html").read_text()
        assert f"Beside them trained {expected[1]} images of {more[1]}." in report


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--further", "more"], ["--further", "--split records", "beats"]),
        (["--further", "gone", "--split", "records"], ["--further", "gone", "does not exist"]),
        (["--further", "classes", "--split", "records"], ["classes", "VEB"]),
        (["--further", "drawing", "--split", "records"], ["--further", "drawing", "of the drawing usual"]),
        (["--further", "stranger", "--split", "records"], ["--further", "stranger", "RECORD_SAMPLE.png"]),
        (["--further", "others", "--split", "records"], ["--further", "others", "no image of a record"]),
        (["--further", "more", "broken", "--split", "records"], ["broken/NOR/r", "is not an image"]),
        (["--further", "more", "more/../more", "--split", "records"], ["--further more/../more", "already"]),
        (["--most", 0], ["--most"]),
        (["--most", 5, "--balance", 0.5], ["--most", "--balance"]),
    ],
)
def test_what_cannot_train_is_told(arguments, words, small_images, more, no_keras, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(more[0], "more")
    for name, file in {
        "classes": "VEB/r1_1.png",
        "stranger": "NOR/mine.png",
        "others": "NOR/s1_1.png",
    }.items():
        (tmp_path / name / file).parent.mkdir(parents=True)
        shutil.copy(next(more[0].rglob("*.png")), tmp_path / name / file)
    shutil.copytree(more[0], "drawing")
    (tmp_path / "drawing" / "dataset.json").write_text(json.dumps({"options": {"drawing": "usual"}}))
    for record in range(10):
        (tmp_path / "broken" / "NOR").mkdir(parents=True, exist_ok=True)
        (tmp_path / "broken" / "NOR" / f"r{record}_1.png").write_bytes(b"no image")
    result = train("--data", small_images, "--output", "run", *arguments, env=no_keras)
    assert_refused(result, *words)
    assert not (tmp_path / "run").exists()


def test_most_needs_to_know_the_patients(no_keras, tmp_path):
    stranger = trainings.data("stranger")
    result = train("--data", stranger, "--output", tmp_path / "run", "--most", 3, env=no_keras)
    assert_refused(result, "--most", "RECORD_SAMPLE.png")
