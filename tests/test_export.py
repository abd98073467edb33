"""export_keras.py: the files that it writes say what Keras says, or are not there."""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.drawings import paper
from ecgbeats.records.simulation import make_records
from ecgbeats.records.wfdb_files import read_record
from ecgbeats.runs.exports import FORMATS, beats

import forked
import numpy as np
import pytest
import wfdb
from conftest import PROJECT, assert_refused, once
from trainings import trained

import export_keras

PRETRAINED = PROJECT / "pretrained" / "fast.keras"
PAGE = PROJECT / "docs" / "phone.md"


def needs(name: str) -> None:
    """Skip a test where a format's packages are not installed."""
    missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed here (requirements-export.txt)")


def export(*arguments, model=PRETRAINED, **options):
    """Export, and return what was printed."""
    result = forked.run("export_keras.py", model, *arguments, **options)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def simulated_images() -> Path:
    """Return the folder of a small data set of simulated beats of all classes."""

    def make(folder):
        (folder / "records").mkdir()
        make_records(folder / "records", patients=beats.PATIENTS)
        arguments = [folder / "records", "--output", folder / "data", "--limit", 80, "--jobs", 1]
        result = forked.run("make_dataset.py", *arguments, tensorflow=False)
        assert result.returncode == 0, result.stderr

    return once("simulated-images", make)[0] / "data"


def ask_keras(images: np.ndarray) -> np.ndarray:
    """Return the probabilities that the network which was exported gives."""
    from ecgbeats.runs.networks import load_model

    return load_model(PRETRAINED)[0].predict_on_batch(images)


# -- what is written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("litert", "new/fast.tflite"),
        ("onnx", "fast.onnx"),
        pytest.param("saved_model", "new/fast-0.2", marks=pytest.mark.slow),
    ],
)
def test_it_gives_keras_classes_and_probabilities(name, file, tmp_path):
    needs(name)
    output = tmp_path / file
    printed = export("--format", name, "--output", output, cwd=tmp_path)
    assert "SIMULATED, not medical data" in printed
    assert re.search(rf"^{name} +[\d,]+ kB +[\d.]+ ms$", printed, re.MULTILINE)
    about = json.loads(
        (output / "about.json" if name == "saved_model" else Path(f"{output}.json")).read_text()
    )
    assert (about["classes"][7], about["drawing"], about["simulated"]) == ("VEB", "paper", False)
    assert about["input"]["shape"][1:] == [128, 128, 1]
    assert (about["checked"]["beats"], about["checked"]["same_class"]) == (500, 1)
    assert [path.name for path in tmp_path.rglob(".*")] == []

    images = beats.simulate_beats("paper", 20).images
    run = FORMATS[name].runner(output)
    found = np.concatenate([run(images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_allclose(found, ask_keras(images), atol=1e-5)


@pytest.mark.parametrize("name", ["litert", pytest.param("onnx", marks=pytest.mark.slow)])
def test_with_8_bits_it_is_small_and_gives_keras_classes(name, tmp_path):
    needs(name)
    output = tmp_path / f"fast{FORMATS[name].suffix}"
    printed = export("--format", name, "--int8", "--data", simulated_images(), "--output", output)
    assert output.stat().st_size <= 450_000
    about = json.loads(Path(f"{output}.json").read_text())
    assert about["weights"] == "int8"
    assert about["checked"]["same_class"] >= 0.99
    assert len(re.findall(r" kB +[\d.]+ ms +[\d.]+%$", printed, re.MULTILINE)) == 2, "an accuracy for each"


@pytest.mark.slow
@pytest.mark.parametrize("network", ["paper", "resnet50"])
def test_large_networks_are_written_too(network, tmp_path):
    """Files of half a gigabyte for `paper`, but no ONNX; a few beats each, since these take a tenth of a second."""
    from model_keras import build_model

    needs("litert")
    needs("onnx")
    model = build_model(network)
    images = beats.simulate_beats("paper", 8).images
    expected = model.predict_on_batch(images)
    for way in FORMATS.values():
        if way.most_parameters and model.count_params() > way.most_parameters:
            continue
        output = tmp_path / f"it{way.suffix}"
        way.convert(model, output)
        run = way.runner(output)
        found = np.concatenate([run(image[np.newaxis]) for image in images])
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_network_that_is_too_large_for_a_format_is_refused(tmp_path, monkeypatch):
    needs("onnx")
    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], most_parameters=1000))
    monkeypatch.setattr(export_keras, "use_one_thread", lambda: None)  # TensorFlow has begun with more here
    output = tmp_path / "fast.onnx"
    with pytest.raises(InputError, match=r"has 3.* parameters.* onnx .*choose another --format"):
        export_keras.main([str(PRETRAINED), "--format", "onnx", "--output", str(output)])
    assert not list(tmp_path.iterdir())


def test_it_is_calibrated_on_the_training_part_and_checked_on_the_test_part(small_images, monkeypatch):
    from ecgbeats.images.folder import Images

    folder = trained("first")[0]
    config = json.loads((folder / "config.json").read_text())
    monkeypatch.setattr(beats, "FEWEST", 5)
    training, checked, words = beats.part_images(Images(small_images), config)
    assert (len(training), len(checked)) == (config["images"]["training"], config["images"]["test"])
    assert not set(training.names) & set(checked.names)
    assert "test part" in words
    training, checked, words = beats.part_images(Images(small_images), config | {"data_sha256": "another"})
    assert len(training) == len(checked) == 60
    assert "test part" not in words


# -- the page --------------------------------------------------------------------------------------------------


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def simulated_record(folder: Path) -> Path:
    make_records(folder, patients=1)
    return next(folder.glob("*.hea")).with_suffix("")


@pytest.mark.parametrize("name", ["simulated", "208"])
def test_the_page_draws_as_the_project_does(name, tmp_path, request):
    """The signal is in float64, as wfdb-python reads it; of 208 some beats would look different in it."""
    path = simulated_record(tmp_path) if name == "simulated" else request.getfixturevalue("mitdb") / name
    record = read_record(path)
    signal = wfdb.rdrecord(str(path), channels=[0]).p_signal[:, 0]
    assert signal.dtype == np.float64
    draw = paper.drawer(record)
    (block,) = [block for block in blocks() if "def picture" in block]
    names = {}
    exec(block, names)
    for i in range(1, len(record.samples) - 1):
        before, after = record.samples[[i - 1, i + 1]]
        np.testing.assert_array_equal(names["picture"](signal, before, after, record.rate), draw(i))


def test_the_pages_example_names_a_beat(tmp_path, monkeypatch, capsys):
    needs("litert")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "simulated").symlink_to(simulated_images())
    export("--format", "litert", "--output", "output/fast.tflite")
    (block,) = [block for block in blocks() if "Interpreter(" in block]
    exec(block, {})
    assert re.search(r"^PVC \d+%$", capsys.readouterr().out, re.MULTILINE)


# -- what is refused ---------------------------------------------------------------------------------------------


def answer_wrongly() -> None:
    """Let what is exported give its classes in another order."""
    way = FORMATS["saved_model"]

    def runner(path):
        run = way.runner(path)
        return lambda image: run(image)[:, ::-1]

    FORMATS["saved_model"] = dataclasses.replace(way, runner=runner)


def test_a_network_that_says_something_else_is_not_kept(tmp_path):
    arguments = [PRETRAINED, "--format", "saved_model", "--output", tmp_path / "new" / "fast"]
    result = forked.run("export_keras.py", *arguments, patch=answer_wrongly)
    assert_refused(result, "of 500 beats", "not kept")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_named_and_nothing_is_left(name, tmp_path):
    needs(name)
    output = tmp_path / f"fast{FORMATS[name].suffix}"
    limit = {"patch": forked.limit_file_size, "patch_arguments": [500_000]}
    result = forked.run("export_keras.py", PRETRAINED, "--format", name, "--output", output, **limit)
    assert result.returncode == 1
    assert re.fullmatch(r"error: a file grew beyond the size limit .*\n", result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def refuse(tmp_path, no_keras):
    """Assert that a command line is refused in one line, before Keras is imported, with nothing written."""

    def check(*arguments, words=(), model=PRETRAINED, **options):
        before = sorted(tmp_path.rglob("*"))
        options = {"env": no_keras, "tensorflow": False, "cwd": tmp_path} | options
        assert_refused(forked.run("export_keras.py", model, *arguments, **options), *words)
        assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--format litert --output a.onnx", ["a.onnx", ".tflite"]),
        ("--format onnx --output a", ["--output a", ".onnx"]),
        ("--format saved_model --output a.tflite", ["a.tflite", "is a folder"]),
        ("--format torch --output a", ["--format", "litert"]),
        ("--format litert --int8 --output a.tflite", ["--int8", "--data"]),
        ("--format saved_model --int8 --data d --output a", ["--int8", "saved_model"]),
        ("--format saved_model --output a --beats 499", ["--beats", "500"]),
        ("--format saved_model --output a --data none", ["none", "does not exist"]),
    ],
)
def test_bad_options(refuse, arguments, words):
    refuse(*arguments.split(), words=words)


def test_an_output_that_is_there(refuse, tmp_path):
    (tmp_path / "fast.onnx").write_text("mine")
    refuse("--format", "onnx", "--output", "fast.onnx", words=["fast.onnx", "there already"])
    (tmp_path / "other.tflite.json").write_text("mine")
    refuse("--format", "litert", "--output", "other.tflite", words=["other.tflite.json", "there already"])
    (tmp_path / "other.tflite.json").write_text('{"checked": {}}')  # of an export that was stopped
    export_keras.check_name(tmp_path / "other.tflite", "litert")
    refuse("--format", "saved_model", "--output", ".", words=["not empty"])
    refuse("--format", "onnx", "--output", "fast.onnx/a.onnx", words=["fast.onnx", "is a file"])


def test_a_broken_network_and_too_few_images(refuse, small_images, image_maker, tmp_path):
    (tmp_path / "broken.keras").write_bytes(PRETRAINED.read_bytes()[:5000])
    arguments = ["--format", "saved_model", "--output", "a"]
    refuse(*arguments, model="broken.keras", words=["broken.keras"])
    refuse(*arguments, "--data", small_images, words=["60", "500"])


def hide_packages() -> None:
    """Let no package be installed that exporting alone needs."""
    find = importlib.util.find_spec
    hidden = {package for way in FORMATS.values() for package in way.packages}
    importlib.util.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)


@pytest.mark.parametrize(("name", "package"), [("litert", "ai_edge_litert"), ("onnx", "tf2onnx")])
def test_missing_packages_are_named(refuse, name, package):
    output = f"a{FORMATS[name].suffix}"
    words = [package, "pip install -r requirements-export.txt"]
    refuse("--format", name, "--output", output, patch=hide_packages, words=words)


def test_another_backend(refuse, no_keras):
    env = no_keras | {"KERAS_BACKEND": "jax"}
    refuse("--format", "saved_model", "--output", "a", env=env, words=["KERAS_BACKEND=jax"])
