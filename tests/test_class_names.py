"""Names of classes: which are refused before training, and that the others survive to the report."""

import csv
import html
import json
import os

from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.images.names import MOST_CLASSES, check_class_names
from ecgbeats.runs.networks import read_classes
from ecgbeats.scores.figure_style import printable
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import FORMULA_BEGINS, read_predictions, write_predictions
from ecgbeats.scores.words import LONGEST_NAME, score_table, short_names

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

UNFIT = [
    "a\rb",
    "a\nb",
    "a\tb",
    "a\x1b[31m",
    "\x7f",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    os.fsdecode(b"caf\xe9"),
]
FIT = [
    'a, "b" and $c$',
    "<b>&amp;",
    "=1+1",
    "＝1+1",
    "-x",
    "@SUM",
    "'quoted'",
    " spaces  inside ",
    "心律失常",
    "\\$x_{",
    "%s{}",
    "#c",
    "p_p_NOR",
    "Nodal (junctional) premature beat",
    "Nodal (junctional) escape beat",
]


@pytest.mark.parametrize("name", UNFIT)
def test_a_name_that_would_not_survive_is_refused_before_training(image_maker, tmp_path, run, refused, name):
    data = image_maker(tmp_path / "data", {"NOR": 3, "x": 3})
    (data / "x").rename(data / name)
    result = run("train_keras.py", "--data", data, "--output", tmp_path / "run", timeout=60)
    refused(result, str(data), ascii(name)[1:-1], "rename")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="rename"):
        Images([data / name / file for file in os.listdir(data / name)])


def test_more_or_longer_names_than_a_network_holds_are_refused():
    long = [f"{i:03d}" + "x" * 247 for i in range(300)]
    check_class_names(long[:245], "data")
    with pytest.raises(InputError, match="room for 6"):
        check_class_names(long, "data")
    with pytest.raises(InputError, match="room for 6"):  # six bytes for each in JSON
        check_class_names([f"{i:03d}" + "心" * 84 for i in range(130)], "data")
    check_class_names([str(i) for i in range(MOST_CLASSES)], "data")
    with pytest.raises(InputError, match="1,001 classes"):
        check_class_names([str(i) for i in range(MOST_CLASSES + 1)], "data")


def test_the_names_of_the_longest_list_are_kept_in_a_network(tmp_path):
    from ecgbeats.runs.networks import Calibration, save_model

    import keras

    names = [f"{i:03d}" + "心" * 40 for i in range(250)]
    check_class_names(names, "data")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(len(names))])
    # The longest that is noted beside them.
    calibration = Calibration(
        temperature=10.0,
        biases=[-1.2345] * 250,
        beats=10**9,
        patients=10**9,
        error_before=0.1 / 3,
        error_after=0.1 / 3,
    )
    save_model(model, tmp_path / "a.keras", names, "typical", calibration)
    assert read_classes(tmp_path / "a.keras") == names


@pytest.mark.slow
def test_strange_names_survive_to_the_report(image_maker, tmp_path, run):
    data = image_maker(tmp_path / "data", {name: 4 for name in FIT})
    result = run("train_keras.py", "--data", data, "--output", tmp_path / "run", "--epochs", 1)
    assert (result.returncode, result.stderr) == (0, "")
    result = run(
        "evaluate_keras.py", tmp_path / "run/best.keras", "--data", data, "--output", tmp_path / "again"
    )
    assert (result.returncode, result.stderr) == (0, "")
    classes = sorted(FIT)
    assert read_classes(tmp_path / "run/best.keras") == classes
    for folder in ("run", "again"):
        assert read_predictions(tmp_path / folder / "predictions.csv")[3] == classes
        assert json.loads((tmp_path / folder / "metrics.json").read_text())["classes"] == classes
    report = (tmp_path / "run/report.html").read_text()
    for name in FIT:
        assert name in html.unescape(report)
    assert "<b>&amp;<" not in report  # a name is no markup


def test_no_cell_of_predictions_is_a_formula(tmp_path):
    names = [name for name in FIT if "\0" not in name]
    files = [f"{name}/a.png" for name in names]
    probabilities = np.eye(len(names), dtype=np.float32)
    write_predictions(tmp_path / "p.csv", files, np.arange(len(names)), probabilities, names)
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            assert not [cell for cell in row if cell.startswith(tuple("=+-@＝＋－＠\t\r"))]
    read = read_predictions(tmp_path / "p.csv")
    assert read[0] == files
    assert read[3] == names


@given(
    st.lists(
        st.text(st.sampled_from([*FORMULA_BEGINS[:-2], "a", ",", '"', " "]), min_size=1),
        unique=True,
        min_size=1,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_names_come_back_from_predictions(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("p") / "p.csv"
    write_predictions(path, names, np.arange(len(names)), np.eye(len(names), dtype=np.float32), names)
    read = read_predictions(path)
    assert read[0] == read[3] == names


ALIKE = [
    ["Nodal (junctional) premature beat", "Nodal (junctional) escape beat"],
    ["Premature ventricular contraction", "Premature atrial contraction"],
    ["x" * 60 + str(i) + "y" * 60 for i in range(120)],
    ["a" * i for i in range(1, 60)],
    ["a" * 30, "a" * 31, "a" * 13 + "..1", "a" * 13 + "..2", "aaaaaaaa..aaaaaa"],
]


@pytest.mark.parametrize("names", ALIKE)
def test_labels_of_one_set_of_classes_differ(names):
    short = short_names(names)
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= LONGEST_NAME
    for name, label in zip(names, short, strict=True):
        assert (label == name) == (len(name) <= LONGEST_NAME)
    assert len(set(printable(names))) == len(names)


@given(st.lists(st.text("ab.1", min_size=1, max_size=30), unique=True, min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_labels_differ(names):
    short = short_names(names)
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= LONGEST_NAME


def made_scores(names: list[str]):
    true = np.repeat(np.arange(len(names)), 2)
    probabilities = np.full((len(true), len(names)), 0.1 / len(names), np.float32)
    probabilities[np.arange(len(true)), true] = 0.9
    return true, probabilities


def test_table_and_figures_tell_classes_apart():
    names = ALIKE[0]
    true, probabilities = made_scores(names)
    metrics = score(true, probabilities, names)
    assert "..premature beat" in score_table(metrics)
    assert "..l) escape beat" in score_table(metrics)
    matrix = plot_confusion_matrix(metrics).axes[0]
    assert [label.get_text() for label in matrix.get_xticklabels()] == [
        "..premature beat",
        "..l) escape beat",
    ]
    bars = plot_per_class(metrics).axes[0]
    assert [label.get_text() for label in bars.get_yticklabels()][:2] == [
        "..premature beat (2)",
        "..l) escape beat (2)",
    ]
    key = plot_curves(true, probabilities, names).legends[0]
    assert [text.get_text().partition(":")[0] for text in key.get_texts()][:2] == short_names(names)


@pytest.mark.slow
def test_a_matrix_of_many_classes_is_a_picture_of_a_moderate_size(tmp_path):
    names = [f"class {i}" for i in range(200)]
    figure = plot_confusion_matrix(score(*made_scores(names), names))
    assert (figure.get_size_inches() * figure.dpi).max() < 6000
    assert len(figure.axes[0].texts) == 0
    figure.savefig(tmp_path / "a.png")
