"""compare_networks.py from its command line to its table and figure, on a small folder of images."""

import csv
import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.images.folder import Images
from ecgbeats.images.protocols import PARTS
from ecgbeats.images.splits import split_images
from ecgbeats.runs.networks import multiply_adds

import cv2
import forked
import numpy as np
import pytest
import trainings
from conftest import assert_refused, once
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from run_folders import change, read, snapshot

import compare_networks
from model_keras import MODELS, build_model

# small_images holds 30, 20 and 10 images: 24, 16 and 8 to train, 3, 2 and 1 to validate and to test.
MOST, MOST_TESTED = 6, 2
EPOCHS = 2
OPTIONS = [
    *("--epochs", EPOCHS, "--batch-size", 8, "--seed", 3, "--split", "beats"),
    *("--images", MOST, "--test-images", MOST_TESTED),
]
NETWORKS = ["fast", "tiny", "twin"]


def stop_at_file(number: int, name: str, which: int) -> None:
    """Send the process a signal when it has put the file ``name`` in its place for the time ``which``."""
    replace, seen = os.replace, 0

    def replace_and_stop(source, target):
        nonlocal seen
        replace(source, target)
        seen += Path(target).name == name
        if Path(target).name == name and seen == which:
            os.kill(os.getpid(), number)
            time.sleep(60)

    os.replace = replace_and_stop


def start(output, *models, extra=(), data=None, patch=forked.add_networks, patch_arguments=()):
    """Start a comparison of networks of one's own, and return how it ended."""
    arguments = ["--data", data or trainings.data("small"), "--output", output, "--models", *models]
    arguments += [*OPTIONS, *extra]
    return forked.run("compare_networks.py", *arguments, patch=patch, patch_arguments=patch_arguments)


def interrupt(number: int, name: str, which: int) -> None:
    forked.add_networks()
    stop_at_file(number, name, which)


def change_tiny() -> None:
    forked.add_networks()
    MODELS["tiny"] = MODELS["wide"]


@pytest.fixture(scope="module")
def unbroken():
    """A comparison of three networks that nothing disturbed, and what it printed."""
    folder, result = once("comparison", lambda folder: start(folder / "deep" / "comparison", *NETWORKS))
    assert (result.returncode, result.stderr) == (0, "")
    return folder / "deep" / "comparison", result


@pytest.fixture
def copied(unbroken, tmp_path) -> Path:
    return shutil.copytree(unbroken[0], tmp_path / "copy")


def table(folder: Path) -> list[dict]:
    with open(folder / "comparison.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def log(folder: Path) -> dict[str, np.ndarray]:
    return np.genfromtxt(folder / "log.csv", delimiter=",", names=True)


def snapshots(folder: Path, names: list[str]) -> dict:
    return {name: snapshot(folder / name) for name in names}


# -- equal conditions ------------------------------------------------------------------------------------------


def test_all_networks_have_the_same_few_images(unbroken, small_images):
    folder = unbroken[0]
    images = Images(small_images)
    options = compare_networks.read_options(
        ["--data", str(small_images), "--output", "none", *map(str, OPTIONS)]
    )
    parts = compare_networks.choose_images(images, options)
    whole = split_images(images.names, images.labels, images.classes, "beats", seed=3)
    for part, most in (("training", MOST), ("validation", MOST_TESTED), ("test", MOST_TESTED)):
        chosen, available = getattr(parts, part), getattr(whole, part)
        assert set(chosen) <= set(available)
        assert len(set(chosen)) == len(chosen)
        expected = np.minimum(np.bincount(images.labels[available]), most)
        np.testing.assert_array_equal(np.bincount(images.labels[chosen]), expected)

    records = {
        f"{key}_records": sorted({Path(images.names[i]).name.partition("_")[0] for i in getattr(parts, part)})
        for part, key in zip(PARTS, ("train", "validation", "test"), strict=True)
    }
    for name in NETWORKS:
        config = read(folder / name, "config.json")
        assert config["images"] == {"training": 3 * MOST, "validation": 5, "test": 5}
        assert {key: config[key] for key in records} == records
        used = config["options"]
        assert (used["model"], used["epochs"], used["batch_size"], used["seed"]) == (name, EPOCHS, 8, 3)
        with open(folder / name / "predictions.csv", newline="") as stream:
            tested = [row["file"] for row in csv.DictReader(stream)]
        assert tested == [images.names[i] for i in parts.test]


def test_two_networks_that_are_the_same_train_alike(unbroken):
    """So images, their order, the weights at the start and the schedule are the same."""
    one, other = (unbroken[0] / name for name in ("tiny", "twin"))
    for column in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        np.testing.assert_array_equal(log(one)[column], log(other)[column])
    assert len(log(one)) == EPOCHS
    assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    assert not np.array_equal(log(one)["loss"], log(unbroken[0] / "fast")["loss"])


# -- the table -------------------------------------------------------------------------------------------------


def test_the_table_holds_what_the_runs_hold(unbroken):
    folder = unbroken[0]
    rows = table(folder)
    assert list(rows[0]) == compare_networks.COLUMNS
    assert [row["network"] for row in rows] == NETWORKS
    for row in rows:
        run = folder / row["network"]
        metrics = read(run, "metrics.json")
        for key in ("accuracy", "sensitivity"):
            low, high = metrics["intervals"][key]
            assert float(row[key]) == metrics[key]
            assert (float(row[f"{key}_low"]), float(row[f"{key}_high"])) == (low, high)
        assert int(row["seconds"]) == round(log(run)["seconds"].sum())
        # The first epoch holds the compilation.
        assert float(row["images_per_second"]) == log(run)["images_per_second"][1]
    # tiny: 4 filters of 5x5 at 16x16 places, and 3 classes.
    assert (int(rows[1]["parameters"]), int(rows[1]["multiply_adds"])) == (104 + 15, 16 * 16 * 100 + 12)
    model = build_model("fast", 3)
    assert int(rows[0]["parameters"]) == model.count_params()
    assert int(rows[0]["multiply_adds"]) == multiply_adds(model)


def test_the_table_in_words_says_the_same(unbroken):
    folder, result = unbroken
    text = (folder / "comparison.md").read_text()
    assert text in result.stdout
    head, rule, *lines = text.splitlines()
    rows = table(folder)
    assert head.count("|") == rule.count("|")
    for line, row in zip(lines, rows, strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == row["network"]
        assert cells[1] == f"{int(row['parameters']) / 1e6:.2f} M"
        assert cells[2] == f"{int(row['multiply_adds']) / 1e9:.3f} G"
        assert float(cells[3].replace(",", "")) == float(row["seconds"])
        assert float(cells[4]) == pytest.approx(float(row["images_per_second"]), abs=0.051)
        for cell, key in zip(cells[5:], ("accuracy", "sensitivity"), strict=True):
            middle, low, high = (100 * float(row[key + end]) for end in ("", "_low", "_high"))
            assert cell == f"{middle:.1f} % ({low:.1f} to {high:.1f})"
    conditions = lines[len(rows) + 1]
    for words in ("2 epochs", "batch size 8", "--split beats", "seed 3", "training 18", "test 5"):
        assert words in conditions
    for words in read(folder / "fast", "config.json")["devices"]:
        assert words in conditions


def test_the_figure_is_a_picture(unbroken):
    picture = cv2.imread(str(unbroken[0] / "comparison.png"))
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 5


# -- interrupted, and more networks later ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_interrupted_it_goes_on(unbroken, tmp_path, number, status):
    folder, names = tmp_path / "comparison", ["tiny", "twin"]
    # The log is written with its header and after each of two epochs: this is the first epoch of `twin`.
    result = start(folder, *names, patch=interrupt, patch_arguments=(number, "log.csv", 5))
    assert (result.returncode, result.stderr) == (status, "")
    assert len((folder / "twin" / "log.csv").read_text().splitlines()) == 2
    # What is finished is in the table already.
    assert [row["network"] for row in table(folder)] == ["tiny"]
    assert cv2.imread(str(folder / "comparison.png")) is not None
    before = snapshot(folder / "tiny")

    result = start(folder, *names, "wide")
    assert (result.returncode, result.stderr) == (0, "")
    assert snapshot(folder / "tiny") == before
    assert "tiny: trained before" in result.stdout
    assert "going on after epoch 1" in result.stdout
    assert read(folder / "twin", "config.json")["resumed"] == 1
    assert [row["network"] for row in table(folder)] == [*names, "wide"]
    for row, other in zip(table(folder), table(unbroken[0])[1:], strict=False):
        assert row["network"] == other["network"]
        for column in set(compare_networks.COLUMNS) - {"network", "seconds", "images_per_second"}:
            assert float(row[column]) == pytest.approx(float(other[column]), abs=1e-6)
    for name in names:
        for column in ("loss", "val_loss"):
            np.testing.assert_allclose(
                log(folder / name)[column], log(unbroken[0] / name)[column], rtol=1e-5, atol=1e-5
            )
    # No partial files, and those of the unbroken one beside the networks.
    assert {path.name for path in folder.iterdir()} - {"wide"} == {
        path.name for path in unbroken[0].iterdir()
    } - {"fast"}


@pytest.mark.slow
def test_a_network_is_added_later(unbroken, copied):
    """Those that are there stay in the table. On two devices, whose speed is not that of the others."""
    before = snapshots(copied, NETWORKS)
    result = start(copied, "wide", extra=["--devices", 2])
    assert (result.returncode, result.stderr) == (0, "")
    assert snapshots(copied, NETWORKS) == before
    assert len(read(copied / "wide", "config.json")["devices"]) == 2
    assert read(copied / "wide", "config.json")["images"] == read(copied / "tiny", "config.json")["images"], (
        "other images"
    )
    rows = table(copied)
    assert [row["network"] for row in rows] == [*NETWORKS, "wide"]
    assert rows[:3] == table(unbroken[0])
    assert "do not compare" in (copied / "comparison.md").read_text()
    assert "do not compare" not in (unbroken[0] / "comparison.md").read_text()


def test_once_more_nothing_is_trained(unbroken, copied):
    """Not even if the function that built a network was changed: the table is of the one that was trained."""
    before = snapshots(copied, NETWORKS)
    (copied / "comparison.csv").unlink()
    result = start(copied, *reversed(NETWORKS), patch=change_tiny)
    assert (result.returncode, result.stderr) == (0, "")
    assert snapshots(copied, NETWORKS) == before
    assert table(copied) == table(unbroken[0])[::-1]


def test_as_a_command_it_says_nothing_on_standard_error(unbroken, tmp_path, small_images):
    for name in ("fast", "comparison.json"):
        copy = shutil.copytree if name == "fast" else shutil.copy
        (tmp_path / "copy").mkdir(exist_ok=True)
        copy(unbroken[0] / name, tmp_path / "copy" / name)
    before = snapshot(tmp_path / "copy" / "fast")
    arguments = ["--data", small_images, "--output", tmp_path / "copy", "--models", "fast", *OPTIONS]
    result = forked.run("compare_networks.py", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert snapshot(tmp_path / "copy" / "fast") == before
    assert table(tmp_path / "copy") == table(unbroken[0])[:1]


# -- refused ---------------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(tmp_path, small_images, no_keras):
    """Assert that a command is refused in one line, before TensorFlow is imported, and that nothing changes."""

    def check(*arguments, words, data=small_images, output=tmp_path / "new", models=("fast",)):
        before = snapshot(tmp_path)
        arguments = ["--data", data, "--output", output, "--models", *models, *OPTIONS, *arguments]
        result = forked.run("compare_networks.py", *arguments, env=no_keras, tensorflow=False)
        assert_refused(result, *words)
        assert snapshot(tmp_path) == before

    return check


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "fast", "nope"], ["--models nope", "paper"]),
        (["--models"], ["--models"]),
        (["--images", 0], ["--images"]),
        (["--test-images", 0], ["--test-images"]),
        (["--epochs", 0], ["--epochs"]),
        (["--batch-size", "many"], ["--batch-size"]),
        (["--devices", 0], ["--devices"]),
        (["--seed", -1], ["--seed"]),
        (["--seed", 2**32], ["--seed"]),
        (["--split", "patients"], ["--split"]),
        (["--split", "ds1-ds2"], ["ds1-ds2", "aami"]),
        (["--limit", 5], ["--limit"]),
    ],
)
def test_bad_options(refuse, arguments, words):
    refuse(*arguments, words=words)


def test_data_or_output_that_is_none(refuse, tmp_path, image_maker):
    (tmp_path / "file").write_text("mine")
    refuse(data=tmp_path / "missing", words=["missing", "does not exist"])
    refuse(data=image_maker(tmp_path / "one", {"NOR": 9}), words=["one class"])
    refuse(output=tmp_path / "file", words=["file", "--output"])
    refuse(output=tmp_path / "file" / "below", words=["file", "--output"])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"options": []}', "\udcff"])
def test_a_broken_comparison(refuse, copied, content):
    (copied / "comparison.json").write_text(content, errors="surrogateescape")
    refuse(output=copied, words=["comparison.json", "cannot be read", "--output"])


def test_a_folder_in_the_place_of_the_comparison(refuse, copied):
    (copied / "comparison.json").unlink()
    (copied / "comparison.json").mkdir()
    refuse(output=copied, words=["comparison.json", "cannot be read"])


@pytest.mark.parametrize(
    ("option", "then", "now"),
    [
        *(
            ("--epochs", EPOCHS, 3),
            ("--batch-size", 8, 16),
            ("--seed", 3, 4),
            ("--split", "beats", "records"),
        ),
        *(("--images", MOST, 7), ("--test-images", MOST_TESTED, 1)),
    ],
)
def test_other_conditions(refuse, copied, option, then, now):
    refuse(option, now, output=copied, words=["other options", f"{option} (then {then}, now {now})"])


@pytest.fixture
def fast_alone(copied) -> Path:
    """A comparison whose networks are all in MODELS."""
    shutil.rmtree(copied / "tiny")
    shutil.rmtree(copied / "twin")
    return copied


def test_other_images_are_told_before_any_training(refuse, fast_alone, tmp_path, image_maker):
    other = image_maker(tmp_path / "other", {"NOR": 30, "PVC": 20, "LBB": 10}, seed=1)
    refuse(data=other, output=fast_alone, models=["alexnet", "fast"], words=["other images", "fast"])
    refuse(data=other, output=fast_alone, models=["alexnet"], words=["other images", "fast"])


def test_a_run_with_other_numbers_of_images(refuse, fast_alone):
    """As where comparison.json was lost."""
    (fast_alone / "comparison.json").unlink()
    refuse("--images", 5, output=fast_alone, words=["other images", "fast"])


def test_a_run_of_another_recipe(refuse, fast_alone):
    path = fast_alone / "fast" / "config.json"
    change(path, options=json.loads(path.read_text())["options"] | {"learning_rate": 0.5})
    refuse(
        output=fast_alone,
        models=["alexnet", "fast"],
        words=["--learning-rate (then 0.5", f"remove {fast_alone / 'fast'}"],
    )


def test_a_network_that_is_not_there_any_more(refuse, copied):
    refuse(output=copied, words=["tiny", "MODELS"])


def test_a_run_that_was_damaged_later(fast_alone):
    path = fast_alone / "fast" / "metrics.json"
    for content in ("{", "{}", '{"intervals": {"accuracy": null}, "accuracy": 1.0}'):
        path.write_text(content)
        with pytest.raises(command.InputError, match=r"metrics.json cannot be read.* remove"):
            compare_networks.describe("fast", fast_alone / "fast")


# -- the figure ------------------------------------------------------------------------------------------------


def invented(
    name: str, multiply_adds: float, accuracy: float, sensitivity: float, half: float | None
) -> dict:
    row = {"network": name, "multiply_adds": int(multiply_adds)}
    for key, value in (("accuracy", accuracy), ("sensitivity", sensitivity)):
        row[key] = value
        row[f"{key}_low"] = None if half is None else value - half
        row[f"{key}_high"] = None if half is None else min(1.0, value + half)
    return row


SETS = {
    "six networks": [
        invented("paper", 2.56e9, 0.9905, 0.9785, 0.004),
        invented("alexnet", 0.33e9, 0.8207, 0.8498, 0.03),
        invented("vgg16", 5.04e9, 0.9904, 0.9600, 0.005),
        invented("resnet50", 1.23e9, 0.9225, 0.9349, 0.02),
        invented("inceptionv3", 0.73e9, 0.9301, 0.9411, 0.02),
        invented("fast", 0.036e9, 0.9938, 0.9688, 0.002),
    ],
    "alike, near 100 %": [
        invented(f"plain-{i}", 36_000_000 + i, 0.999 + 0.0002 * i, 1 - 0.0003 * i, 5e-4) for i in range(6)
    ],
    "one, without interval": [invented("fast", 36e6, 1.0, 1.0, None)],
    "far apart": [
        invented("a_network_of_my_own_$x$", 1e4, 0.02, 0.01, None),
        invented("b", 9e12, 1.0, 1.0, 0.1),
    ],
}


@pytest.mark.parametrize("rows", SETS.values(), ids=SETS)
def test_no_label_in_the_figure_meets_another_or_the_edge(rows):
    figure = compare_networks.plot(rows, "SIMULATED, not medical data")
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    # A tick's label is drawn where its tick is.
    boxes = {text: text.get_window_extent() for text in texts}
    words = [text.get_text() for text in texts]
    assert {row["network"] for row in rows} <= set(words)
    assert "SIMULATED, not medical data" in words
    for text, box in boxes.items():
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (one, here), (other, there) in itertools.combinations(boxes.items(), 2):
        assert not here.overlaps(there), (one.get_text(), other.get_text())


@pytest.mark.parametrize("rows", SETS.values(), ids=SETS)
def test_the_figure_shows_the_numbers(rows):
    figure = compare_networks.plot(rows)
    FigureCanvasAgg(figure).draw()
    accuracy, sensitivity, cost = figure.axes
    names = [label.get_text() for label in accuracy.get_yticklabels()]
    assert sorted(names) == sorted(row["network"] for row in rows)
    by_name = {row["network"]: row for row in rows}
    for axes, key, factor in (
        (accuracy, "accuracy", 100),
        (sensitivity, "sensitivity", 100),
        (cost, "multiply_adds", 1e-9),
    ):
        shown, places = axes.lines[0].get_data()
        np.testing.assert_allclose(shown, [factor * by_name[name][key] for name in names])
        np.testing.assert_array_equal(places, range(len(rows)))
        low, high = axes.get_xlim()
        assert np.all((low < shown) & (shown < high))
        assert all(low <= tick <= high for tick in axes.get_xticks())
        assert len(axes.get_xticks()) >= 2
        if key == "multiply_adds":
            continue
        assert max(axes.get_xticks()) <= 100
        (lines,) = axes.collections
        drawn = {segment[0, 1]: segment[:, 0] for segment in lines.get_segments() if len(segment)}
        expected = {
            place: [100 * by_name[name][f"{key}_low"], 100 * by_name[name][f"{key}_high"]]
            for place, name in enumerate(names)
            if by_name[name][f"{key}_low"] is not None
        }
        assert drawn.keys() == expected.keys()
        for place, ends in drawn.items():
            np.testing.assert_allclose(ends, expected[place])
