"""Networks as files, and their size."""

import json
import os
import shutil
import zipfile

from ecgbeats import command
from ecgbeats.runs.networks import load_model, multiply_adds, read_about, read_classes, save_model

import keras
import numpy as np
import pytest
from conftest import run_python
from made_networks import (
    CLASSES,
    SMALL,
    after_one_step,
    assert_close,
    beats,
    build_small,
    probabilities,
    train,
)

from model_keras import MODELS


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture
def saved(tmp_path):
    """A whole file of a small network."""
    path = tmp_path / "best.keras"
    save_model(build_small("fast"), path, CLASSES)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with every network after one step of training, and what each gives for the same images."""
    folder = tmp_path_factory.mktemp("trained")
    outputs = {}
    for name in MODELS:
        model = after_one_step(name)[0]
        save_model(model, folder / f"{name}.keras", CLASSES)
        outputs[name] = probabilities(model)
    yield folder, outputs
    shutil.rmtree(folder)  # 0.5 GB, which pytest would keep for three runs


def test_a_saved_network_gives_equal_probabilities_and_its_classes(name, trained):
    folder, outputs = trained
    loaded, classes = load_model(folder / f"{name}.keras")
    assert classes == CLASSES
    assert_close(probabilities(loaded), outputs[name])


@pytest.mark.slow
def test_keras_alone_loads_every_saved_network(trained, tmp_path):
    folder, outputs = trained
    for name in MODELS:
        np.save(tmp_path / f"{name}.npy", beats(size=SMALL[name], seed=1)[0])
    stranger = """if True:
        import importlib.util, pathlib, sys, keras, numpy
        assert importlib.util.find_spec("model_keras") is None
        for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
            output = keras.models.load_model(path)(numpy.load(path.stem + ".npy"))
            numpy.save(path.stem + ".npy", keras.ops.convert_to_numpy(output))
    """
    result = run_python("-c", stranger, folder, cwd=tmp_path, env={"PYTHONPATH": ""})
    assert result.returncode == 0, result.stderr
    for name in MODELS:
        assert_close(np.load(tmp_path / f"{name}.npy"), outputs[name])


@pytest.mark.parametrize("mixed_policy", ["mixed_bfloat16", "mixed_float16"], indirect=True)
def test_training_in_16_bits_saves_a_network_in_float32(mixed_policy, tmp_path):
    model = build_small("fast")
    assert model.get_layer("logits").compute_dtype in mixed_policy
    assert np.isfinite(train(model)).all()
    mixed = probabilities(model)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-5)
    save_model(model, tmp_path / "best.keras", CLASSES)

    keras.config.set_dtype_policy("float32")
    loaded, _ = load_model(tmp_path / "best.keras")
    assert {layer.dtype_policy.name for layer in loaded.layers} == {"float32"}
    assert "mixed" not in zipfile.ZipFile(tmp_path / "best.keras").read("config.json").decode()
    assert loaded.input.dtype == "uint8"
    same = build_small("fast")
    same.set_weights(model.get_weights())
    assert_close(probabilities(loaded), probabilities(same))
    np.testing.assert_allclose(probabilities(loaded), mixed, atol=0.02)


def test_saving_leaves_the_network_that_trains_as_it_is(tmp_path):
    model = build_small("fast")
    train(model)
    before = model.get_weights()
    save_model(model, tmp_path / "best.keras", CLASSES)
    assert model.optimizer is not None
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_optimizer_is_not_saved(tmp_path):
    model = build_small("fast")
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(*beats(size=32))
    save_model(model, tmp_path / "best.keras", CLASSES)
    loaded = keras.models.load_model(tmp_path / "best.keras")
    assert not loaded.compiled
    assert (tmp_path / "best.keras").stat().st_size < 4 * model.count_params() + 200_000


def test_class_names_of_any_letters_come_back(tmp_path):
    names = ["Schläge", "a b", "心拍", 'q"', "x,y", "/", "n\n", "8"]
    save_model(build_small("fast"), tmp_path / "best.keras", names)
    assert read_classes(tmp_path / "best.keras") == names


def test_the_drawing_travels_with_the_network(tmp_path):
    model = build_small("fast")
    for drawing in ("typical", None):
        save_model(model, tmp_path / "best.keras", CLASSES, drawing)
        assert read_about(tmp_path / "best.keras") == {"classes": CLASSES} | (
            {"drawing": drawing} if drawing else {}
        )


@pytest.mark.parametrize("names", [CLASSES[:7], [c + "x" * 9000 for c in CLASSES]], ids=["few", "long"])
def test_class_names_that_do_not_fit_are_refused_and_the_old_file_stays(saved, names):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="class names"):
        save_model(build_small("fast"), saved, names)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def damage(path, how):
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("epoch,loss\n")
    elif how == "cut off":
        path.write_bytes(data[: len(data) // 2])
    elif how == "one byte changed":
        path.write_bytes(data[:100_000] + bytes([data[100_000] ^ 255]) + data[100_001:])
    elif how == "no class names":
        keras.models.load_model(path).save(path)
    elif how == "other comment":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"[1, 2]"
    elif how == "no network":
        with zipfile.ZipFile(path, "w") as archive:
            archive.comment = json.dumps({"classes": CLASSES}).encode()
    elif how == "layer unknown here":
        with zipfile.ZipFile(path) as archive:
            parts = {part: archive.read(part) for part in archive.namelist()}
        parts["config.json"] = parts["config.json"].replace(b'"GlobalAveragePooling2D"', b'"Later"')
        with zipfile.ZipFile(path, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
            archive.comment = json.dumps({"classes": CLASSES}).encode()


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        "folder",
        "empty",
        "text",
        "cut off",
        "one byte changed",
        "no class names",
        "other comment",
        "no network",
        "layer unknown here",
    ],
)
def test_a_file_that_is_no_whole_network_is_an_input_error_that_names_it(saved, how):
    damage(saved, how)
    with pytest.raises(command.InputError, match=r"best\.keras"):
        load_model(saved)


def test_another_kind_of_file_is_an_input_error(tmp_path):
    (tmp_path / "log.csv").write_text("epoch\n")
    with pytest.raises(command.InputError, match=r"not a \.keras file"):
        load_model(tmp_path / "log.csv")


def test_multiply_adds_are_weights_times_places():
    layers = keras.layers
    inputs = keras.Input((10, 12, 4))
    x = layers.Conv2D(6, (3, 5), strides=2, padding="same", groups=2)(inputs)  # 5 x 6
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)  # 3 x 4 x 12
    x = layers.SeparableConv2D(5, 3, padding="same")(x)
    inner = keras.Sequential([layers.Input((60,)), layers.Dense(7)])
    model = keras.Model(inputs, layers.Dense(2)(inner(layers.Flatten()(x))))
    convolution = 5 * 6 * 3 * 5 * (4 // 2) * 6
    depthwise = 3 * 4 * 3 * 3 * 12
    separable = 3 * 4 * (3 * 3 * 12 + 12 * 5)
    assert multiply_adds(model) == convolution + depthwise + separable + 60 * 7 + 7 * 2
