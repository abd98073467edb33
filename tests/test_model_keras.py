"""The networks: shapes, sizes, one training step, saving and loading, and the command."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from ecgbeats import command
from ecgbeats.runs.networks import load_model, multiply_adds, read_classes, save_model

import keras
import numpy as np
import pytest

import model_keras
from model_keras import MODELS, build_model

PROJECT = Path(__file__).resolve().parents[1]
CLASSES = ["NOR", "PVC", "PAB", "RBB", "LBB", "APC", "VFW", "VEB"]
# The smallest images that each network takes, for the tests that train or write files.
SMALL = {"paper": 16, "alexnet": 64, "vgg16": 32, "resnet50": 32, "inceptionv3": 75, "fast": 32}


def beats(count=4, size=128, seed=0):
    """Random dark pixels on white, and a class for each image."""
    generator = np.random.default_rng(seed)
    images = np.where(generator.random((count, size, size, 1)) < 0.05, 0, 255).astype(np.uint8)
    return images, generator.integers(0, len(CLASSES), count).astype(np.int32)


def build_small(name, **options):
    return build_model(name, input_shape=(SMALL[name], SMALL[name], 1), **options)


def train(model, steps=1):
    """Take training steps of SGD, which needs no memory of its own; eager, for compiling takes longer."""
    images, labels = beats(size=model.input_shape[1])
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", run_eagerly=True)
    return [float(model.train_on_batch(images, labels)) for _ in range(steps)]


def probabilities(model):
    images, _ = beats(size=model.input_shape[1], seed=1)
    return keras.ops.convert_to_numpy(model(images))


def assert_close(one, other):
    """Equal but for the order in which threads add."""
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def run_python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
    )


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture
def mixed_policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def saved(tmp_path):
    """A whole file of a small network."""
    path = tmp_path / "best.keras"
    save_model(build_small("fast"), path, CLASSES)
    return path


# Building


def test_uint8_pixels_give_float32_probabilities_that_sum_to_one(name):
    model = build_model(name)
    assert model.input.dtype == "uint8"
    assert model.input_shape == (None, 128, 128, 1)
    output = probabilities(model)
    assert output.dtype == np.float32
    assert output.shape == (4, 8)
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-5)


def test_other_numbers_of_classes_and_sizes_are_built():
    model = build_model("fast", num_classes=5, input_shape=(96, 64, 3))
    assert model.output_shape == (None, 5)
    assert model.input_shape == (None, 96, 64, 3)


def test_an_unknown_name_is_an_input_error_that_lists_the_names():
    with pytest.raises(command.InputError) as error:
        build_model("lenet")
    assert "'lenet'" in str(error.value)
    assert all(known in str(error.value) for known in MODELS)


def test_white_background_becomes_zero_and_the_line_one():
    model = build_small("fast")
    pixels = keras.Model(model.input, model.get_layer("pixels").output)
    images = np.full((1, 32, 32, 1), 255, np.uint8)
    images[0, 5] = 0
    np.testing.assert_array_equal(np.asarray(pixels(images))[0, :, 0, 0], np.arange(32) == 5)


def test_networks_are_flat_so_that_their_layers_can_be_listed(name):
    assert not any(isinstance(layer, keras.Model) for layer in build_small(name).layers)


def test_batch_normalization_follows_within_few_steps():
    normalizations = {
        name: [x for x in build_small(name).layers if isinstance(x, keras.layers.BatchNormalization)]
        for name in MODELS
    }
    assert {name: len(found) for name, found in normalizations.items()} == {
        "paper": 7,
        "alexnet": 2,
        "vgg16": 0,
        "resnet50": 53,
        "inceptionv3": 94,
        "fast": 6,
    }
    assert {layer.momentum for found in normalizations.values() for layer in found} == {0.9}


# The layers and their sizes


def test_paper_has_the_papers_parameters_layer_by_layer():
    model = build_model("paper")
    assert model.count_params() == 135_392_200
    counts = [(type(x).__name__, x.count_params()) for x in model.layers if x.count_params()]
    expected = []
    for inputs, filters in ((1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)):
        expected += [("Conv2D", (3 * 3 * inputs + 1) * filters), ("BatchNormalization", 4 * filters)]
    expected += [("Dense", (16 * 16 * 256 + 1) * 2048), ("BatchNormalization", 4 * 2048)]
    assert counts == [*expected, ("Dense", (2048 + 1) * 8)]


def test_paper_has_elu_then_batch_normalization_after_each_layer():
    layers = build_small("paper").layers
    kinds = [type(layer).__name__ for layer in layers]
    block = ["Conv2D", "Activation", "BatchNormalization"]
    assert kinds == [
        "InputLayer",
        "Rescaling",
        *3 * [*block, *block, "MaxPooling2D"],
        "Flatten",
        "Dense",
        "Activation",
        "BatchNormalization",
        "Dropout",
        "Dense",
        "Activation",
    ]
    activations = [x.activation.__name__ for x in layers if isinstance(x, keras.layers.Activation)]
    assert activations == [*7 * ["elu"], "softmax"]
    assert [x.rate for x in layers if isinstance(x, keras.layers.Dropout)] == [0.5]


def test_paper_starts_from_glorots_initialization():
    layers = [
        x for x in build_small("paper").layers if isinstance(x, keras.layers.Conv2D | keras.layers.Dense)
    ]
    assert {type(layer.kernel_initializer) for layer in layers} == {keras.initializers.GlorotUniform}


def kernels(model):
    """The shapes of a network's kernels, without the layer of classes."""
    return [tuple(x.shape) for x in model.weights if len(x.shape) > 1][:-1]


def test_alexnet_has_the_kernels_of_its_paper():
    assert kernels(build_model("alexnet")) == [
        (11, 11, 1, 96),
        (5, 5, 96, 256),
        (3, 3, 256, 384),
        (3, 3, 384, 384),
        (3, 3, 384, 256),
        (3 * 3 * 256, 4096),
        (4096, 4096),
    ]


@pytest.mark.parametrize(
    ("name", "application"), [("vgg16", "VGG16"), ("resnet50", "ResNet50"), ("inceptionv3", "InceptionV3")]
)
def test_published_networks_have_the_kernels_of_keras_applications(name, application):
    shape = (SMALL[name], SMALL[name], 1)
    published = getattr(keras.applications, application)(weights=None, input_shape=shape, classes=8)
    model = build_small(name)
    assert kernels(model) == kernels(published)
    assert model.count_params() == published.count_params()


def test_vgg16_keeps_the_signal_level_through_its_layers():
    model = build_small("vgg16")
    convolutions = [x.output for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    signals = keras.Model(model.input, [convolutions[0], convolutions[-1]])(beats(size=32)[0])
    first, last = (float(np.std(signal)) for signal in signals)
    assert 0.2 < last / first < 5


def test_fast_is_small_and_cheap():
    model = build_model("fast")
    assert model.count_params() == 322_376
    assert multiply_adds(model) == 22_856_960


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


# Training


def test_one_step_trains_the_network_down_to_its_first_layer(name):
    model = build_small(name)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)).kernel
    before = keras.ops.convert_to_numpy(first).copy()
    (loss,) = train(model)
    assert np.isfinite(loss)
    assert not np.array_equal(keras.ops.convert_to_numpy(first), before)


def test_fast_learns_to_tell_lines_apart():
    images = np.full((64, 64, 64, 1), 255, np.uint8)
    labels = np.arange(64, dtype=np.int32) % 2
    for k, upright in enumerate(labels):
        images[(k, slice(None), k) if upright else (k, k)] = 0
    model = build_model("fast", num_classes=2, input_shape=(64, 64, 1))
    model.compile(keras.optimizers.AdamW(4e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=16, epochs=20, verbose=0)
    assert model.evaluate(images, labels, verbose=0, return_dict=True)["accuracy"] > 0.95


@pytest.mark.parametrize("name", ["paper", "resnet50", "fast"])
def test_the_same_seed_gives_the_same_weights(name):
    for one, other in zip(build_small(name).get_weights(), build_small(name).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_gives_other_weights():
    one, other = (build_small("fast", seed=seed).get_weights()[0] for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_the_same_seed_gives_the_same_dropout_which_changes_from_step_to_step():
    def steps():
        model = build_small("alexnet", seed=3)
        images, _ = beats(size=SMALL["alexnet"])
        return [np.asarray(model(images, training=True)) for _ in range(2)]

    one, other = steps(), steps()
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one[0], one[1])


# Saving and loading


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with every network after one step of training, and what each gives for the same images."""
    folder = tmp_path_factory.mktemp("trained")
    outputs = {}
    for name in MODELS:
        model = build_small(name)
        train(model)
        save_model(model, folder / f"{name}.keras", CLASSES)
        outputs[name] = probabilities(model)
    yield folder, outputs
    shutil.rmtree(folder)  # 0.5 GB, which pytest would keep for three runs


def test_a_saved_network_gives_equal_probabilities_and_its_classes(name, trained):
    folder, outputs = trained
    loaded, classes = load_model(folder / f"{name}.keras")
    assert classes == CLASSES
    assert_close(probabilities(loaded), outputs[name])


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
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = run_python("-c", stranger, folder, cwd=tmp_path, env=environment)
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


@pytest.mark.parametrize("mixed_policy", ["mixed_bfloat16"], indirect=True)
def test_every_network_gives_float32_probabilities_in_bfloat16(mixed_policy, name):
    output = probabilities(build_small(name))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-5)


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
    with pytest.raises(command.InputError, match=r"best\.keras: "):
        load_model(saved)


def test_another_kind_of_file_is_an_input_error(tmp_path):
    (tmp_path / "log.csv").write_text("epoch\n")
    with pytest.raises(command.InputError, match=r"not a \.keras file"):
        load_model(tmp_path / "log.csv")


def test_the_whole_round_on_jax_without_tensorflow(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed")
    script = """if True:
        import sys
        class NoTensorFlow:  # as if it were not installed
            def find_spec(name, *_):
                if name.partition(".")[0] == "tensorflow":
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, NoTensorFlow)
        import keras, numpy, model_keras
        from ecgbeats.runs import networks
        assert keras.backend.backend() == "jax"
        model = model_keras.build_model("fast", input_shape=(32, 32, 1))
        model.compile("sgd", "sparse_categorical_crossentropy")
        images = numpy.zeros((4, 32, 32, 1), numpy.uint8)
        model.train_on_batch(images, numpy.arange(4))
        networks.save_model(model, sys.argv[1], list("abcdefgh"))
        loaded, classes = networks.load_model(sys.argv[1])
        assert classes == list("abcdefgh")
        numpy.testing.assert_allclose(
            loaded.predict_on_batch(images), model.predict_on_batch(images), atol=1e-6
        )
    """
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    result = run_python("-c", script, tmp_path / "best.keras", cwd=PROJECT, env=environment)
    assert result.returncode == 0, result.stderr


# The command


def test_the_command_prints_layers_parameters_and_multiply_adds():
    result = run_python(PROJECT / "model_keras.py", "fast")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["conv2d", "Conv2D", "32", "x", "32", "x", "32", "1,152", "1,179,648"] in lines
    assert ["total,", "for", "one", "image", "322,376", "22,856,960"] in lines


@pytest.mark.parametrize("arguments", [["lenet"], [], ["fast", "--layers"]])
def test_wrong_arguments_give_status_2_and_one_error_line(arguments):
    result = run_python(PROJECT / "model_keras.py", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_an_unknown_name_on_the_command_line_lists_the_names():
    result = run_python(PROJECT / "model_keras.py", "lenet")
    assert all(known in result.stderr for known in MODELS)


def test_names_and_recipes_are_read_without_keras():
    script = "import model_keras, sys; model_keras.MODELS['fast'].epochs; sys.exit('keras' in sys.modules)"
    assert run_python("-c", script, cwd=PROJECT).returncode == 0


def test_recipes_are_whole():
    for network in model_keras.MODELS.values():
        assert network.optimizer in ("adam", "adamw")
        assert (network.weight_decay > 0) == (network.optimizer == "adamw")
        assert network.batch_size in (64, 128)
        assert 0 < network.learning_rate <= 0.01
        assert network.epochs >= 1
