"""The benchmarks that train for a score: they keep test beats out of what chooses, and sum up rightly."""

import json
import types

from ecgbeats import command
from ecgbeats.images.names import record_names
from ecgbeats.images.splits import DS1, DS2
from ecgbeats.runs.config import used_options
from ecgbeats.runs.folder import is_finished

import numpy as np
import pytest

from benchmarks import within_ds1


class Images(types.SimpleNamespace):
    def __len__(self):
        return len(self.names)


@pytest.fixture(scope="module")
def images():
    records = [*DS1, *DS2]
    labels = np.repeat([0, 1, 2], [6600, 1320, 880])
    np.random.default_rng(0).shuffle(labels)
    names = [f"X/{records[i % 44]}_{i}.png" for i in range(8800)]
    return Images(names=names, labels=labels, classes=["N", "S", "V"])


@pytest.mark.parametrize("script", ["seeds.py", "within_ds1.py"])
def test_bad_input_is_one_line(run, refused, script, tmp_path):
    result = run(f"benchmarks/{script}", "--data", tmp_path / "none", "--output", tmp_path / "out")
    refused(result, str(tmp_path / "none"))
    assert not (tmp_path / "out").exists()


def test_ds1_is_cross_validated_without_ds2(images):
    records = record_names(images.names)
    tested = []
    for fold in range(4):
        parts = within_ds1.choose_parts(images, 4, fold, 1000)
        of_part = [set(records[part]) for part in (parts.training, parts.validation, parts.test)]
        assert set.union(*of_part) == set(DS1)
        assert sum(map(len, of_part)) == len(DS1), "no record is in two parts"
        assert np.bincount(images.labels[parts.training]).max() == 1000
        tested.append(parts.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(tested)), np.flatnonzero(np.isin(records, DS1)))


def test_ds1_is_not_cross_validated_with_other_classes_or_records(
    images, run, refused, small_images, tmp_path
):
    arguments = ["--data", small_images, "--output", tmp_path / "out"]
    result = run("benchmarks/within_ds1.py", *arguments)
    refused(result, "within_ds1.py is for the AAMI classes", "--classes aami")
    assert not (tmp_path / "out").exists()
    few = Images(
        names=[f"X/{DS1[i % 7]}_{i}.png" for i in range(8800)], labels=images.labels, classes=["N", "S", "V"]
    )
    with pytest.raises(command.InputError, match="fewer than 8 records of DS1"):
        within_ds1.choose_parts(few, 4, 0, 1000)
    few.names = [f"X/{i}.png" for i in range(8800)]
    with pytest.raises(command.InputError, match="fewer than 8 records of DS1"):
        within_ds1.choose_parts(few, 4, 0, 1000)


def test_what_the_cross_validation_sets_is_refused():
    for option in ("--split", "--fold=1", "--resume"):
        with pytest.raises(command.InputError, match=option):
            within_ds1.main(["--data", "x", "--output", "y", option])


def config_of(options: dict) -> dict:
    """Return the config.json of a finished run with these options."""
    empty = {"devices": [], "versions": {}, "data_sha256": "", "simulated": False, "classes": ["N"]}
    return empty | {
        "options": options,
        "finished": True,
        "images": {"training": 1, "validation": 1, "test": 1},
    }


@pytest.mark.parametrize(("folds", "beats", "option"), [(3, 6000, "--folds"), (4, 3, "--beats")])
def test_a_run_on_other_parts_is_not_gone_on_with(tmp_path, folds, beats, option):
    """config.json keeps what chose a run's images, for is_finished to compare."""

    def a_run(folds=4, beats=6000):
        options = types.SimpleNamespace(data=tmp_path / "data", output=tmp_path, folds=folds, beats=beats)
        return within_ds1.run_options(options, ["--resume"], 0)

    (tmp_path / "run").mkdir()
    used = used_options(a_run())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config_of(used)))
    assert is_finished(tmp_path / "run", a_run())
    with pytest.raises(command.InputError, match=option):
        is_finished(tmp_path / "run", a_run(folds, beats))


@pytest.mark.slow
def test_seeds_are_summed_up_and_not_trained_again(run, small_images, tmp_path):
    arguments = ["--data", small_images, "--output", tmp_path / "out", "--seeds", 3, 4, "--epochs", 1]
    result = run("benchmarks/seeds.py", *arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "seeds.json").read_text())
    folders = [tmp_path / "out" / f"seed-{seed}" for seed in (3, 4)]
    single = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    accuracies = [one["accuracy"] for one in single]
    found = summary["runs"]["accuracy"]
    assert found["values"] == accuracies
    assert found["mean"] == pytest.approx(np.mean(accuracies))
    assert found["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    assert found["interval"][0] <= found["mean"] <= found["interval"][1]
    assert summary["pooled"]["test_images"] == sum(one["test_images"] for one in single)
    options = [json.loads((folder / "config.json").read_text())["options"] for folder in folders]
    assert [one["seed"] for one in options] == [3, 4]
    again = run("benchmarks/seeds.py", *arguments)
    assert again.stdout.strip() == result.stdout[result.stdout.index("| Score") :].strip()


@pytest.mark.slow
def test_ds1_is_scored_as_a_whole(run, image_maker, tmp_path):
    image_maker(tmp_path / "images", {"N": 120, "V": 60}, records=8)
    for number, record in enumerate(DS1[:8]):
        for file in (tmp_path / "images").glob(f"*/r{number}_*"):
            file.rename(file.with_name(file.name.replace(f"r{number}", record)))
    arguments = [
        "--data",
        tmp_path / "images",
        "--output",
        tmp_path / "out",
        "--folds",
        2,
        "--beats",
        30,
        "--epochs",
        1,
    ]
    result = run("benchmarks/within_ds1.py", *arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "within_ds1.json").read_text())
    assert summary["test_images"] == 180
    assert f"Accuracy {summary['accuracy']:.2%}" in result.stdout
    assert "| V | 60 |" in result.stdout
    for fold in (0, 1):
        images = json.loads((tmp_path / "out" / f"fold-{fold}" / "config.json").read_text())["images"]
        assert images["training"] <= 60
