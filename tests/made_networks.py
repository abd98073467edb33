"""Networks on small images, for the tests that train or write them."""

import functools

import keras
import numpy as np

from model_keras import build_model

CLASSES = ["NOR", "PVC", "PAB", "RBB", "LBB", "APC", "VFW", "VEB"]


# The smallest images that each network takes, for the tests that train or write files.
SMALL = {
    "paper": 16,
    "alexnet": 64,
    "vgg16": 32,
    "resnet50": 32,
    "inceptionv3": 75,
    "fast": 32,
    "columns": 32,
}


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


@functools.cache
def after_one_step(name):
    """Return a network after one step of training, its first kernel before that, and the step's loss."""
    model = build_small(name)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)).kernel
    before = keras.ops.convert_to_numpy(first).copy()
    (loss,) = train(model)
    return model, before, loss


def probabilities(model):
    images, _ = beats(size=model.input_shape[1], seed=1)
    return keras.ops.convert_to_numpy(model(images))


def assert_close(one, other):
    """Equal but for the order in which threads add."""
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
