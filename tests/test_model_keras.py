"""The networks: shapes, sizes, one training step, and the command."""

from ecgbeats import command
from ecgbeats.runs.networks import multiply_adds

import forked
import keras
import numpy as np
import pytest
from conftest import assert_refused, run_python
from made_networks import SMALL, after_one_step, beats, build_small, probabilities

import model_keras
from model_keras import MODELS, build_model


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


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
    model = after_one_step("fast")[0]
    pixels = keras.Model(model.input, model.get_layer("pixels").output)
    images = np.full((1, 32, 32, 1), 255, np.uint8)
    images[0, 5] = 0
    np.testing.assert_array_equal(np.asarray(pixels(images))[0, :, 0, 0], np.arange(32) == 5)


def test_networks_are_flat_so_that_their_layers_can_be_listed(name):
    assert not any(isinstance(layer, keras.Model) for layer in after_one_step(name)[0].layers)


def test_batch_normalization_follows_within_few_steps():
    normalizations = {
        name: [x for x in after_one_step(name)[0].layers if isinstance(x, keras.layers.BatchNormalization)]
        for name in MODELS
    }
    assert {name: len(found) for name, found in normalizations.items()} == {
        "paper": 7,
        "alexnet": 2,
        "vgg16": 0,
        "resnet50": 53,
        "inceptionv3": 94,
        "fast": 6,
        "columns": 4,
    }
    assert {layer.momentum for found in normalizations.values() for layer in found} == {0.9}


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
    layers = after_one_step("paper")[0].layers
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
        x
        for x in after_one_step("paper")[0].layers
        if isinstance(x, keras.layers.Conv2D | keras.layers.Dense)
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
    model = after_one_step(name)[0]
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


def test_one_step_trains_the_network_down_to_its_first_layer(name):
    model, before, loss = after_one_step(name)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)).kernel
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


@pytest.mark.parametrize("mixed_policy", ["mixed_bfloat16"], indirect=True)
def test_every_network_gives_float32_probabilities_in_bfloat16(mixed_policy, name):
    output = probabilities(build_small(name))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-5)


def test_the_command_prints_layers_parameters_and_multiply_adds():
    result = forked.run("model_keras.py", "fast")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["conv2d", "Conv2D", "32", "x", "32", "x", "32", "1,152", "1,179,648"] in lines
    assert ["total,", "for", "one", "image", "322,376", "22,856,960"] in lines
    assert result.stdout.endswith(
        "2 pixels (up to 6 in more epochs), rare classes drawn more often (--balance 0.25)\n"
    )


def test_a_recipe_leaves_out_what_is_not_done():
    recipe = model_keras.describe_recipe(MODELS["paper"])
    assert recipe == "adam, learning rate 0.0001, batches of 128, 20 epochs"


@pytest.mark.parametrize("arguments", [["lenet"], [], ["fast", "--layers"]])
def test_wrong_arguments_give_status_2_and_one_error_line(arguments):
    result = forked.run("model_keras.py", *arguments, tensorflow=False)
    assert_refused(result)
    assert result.stdout == ""


def test_an_unknown_name_on_the_command_line_lists_the_names():
    result = forked.run("model_keras.py", "lenet", tensorflow=False)
    assert all(known in result.stderr for known in MODELS)


def test_names_and_recipes_are_read_without_keras():
    script = "import model_keras, sys; model_keras.MODELS['fast'].epochs; sys.exit('keras' in sys.modules)"
    assert run_python("-c", script).returncode == 0


def test_recipes_are_whole():
    for network in model_keras.MODELS.values():
        assert network.optimizer in ("adam", "adamw")
        assert (network.weight_decay > 0) == (network.optimizer == "adamw")
        assert network.batch_size in (64, 128)
        assert 0 < network.learning_rate <= 0.01
        assert network.epochs >= 1
