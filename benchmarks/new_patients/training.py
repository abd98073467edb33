"""How a fold is trained: patients alike, with averaged weights; networks for images and for numbers."""

from dataclasses import dataclass

import numpy as np

from benchmarks.new_patients.examples import Examples
from benchmarks.new_patients.patients import CLASSES

# Beats of one patient and class in an epoch, drawn anew each time: patients count alike, and rare classes nearly as
# much as N.
LIMITS = {"N": 250, "S": 250, "V": 150, "F": 50, "Q": 20}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    network : str
        A key of NETWORKS.
    epochs, batch : int
    learning_rate, decay : float
        At its highest; AdamW's weight decay.
    shift : int
        Pixels by which a batch of images is moved at most.
    smoothing : float
        Of labels.
    average : float
        How much of the averaged weights a step keeps; 0 for none.
    """

    network: str
    epochs: int
    batch: int
    learning_rate: float
    decay: float = 0.02
    shift: int = 0
    smoothing: float = 0.05
    average: float = 0.0


def numbers_network(shape: tuple[int, ...]):
    """Dense layers for numbers."""
    from keras import Input, Model, layers

    inputs = Input(shape)
    x = layers.GaussianNoise(0.03)(inputs)
    for width in (192, 96):
        x = layers.Dense(width, use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Dropout(0.3)(x)
    return Model(inputs, layers.Dense(len(CLASSES), activation="softmax")(x))


def quarter_network(shape: tuple[int, ...]):
    """The network ``fast`` at about a quarter of its multiply-adds; its head knows where in the image a thing is."""
    from keras import Input, Model, layers

    def convolution(x, filters, size=3, strides=1):
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))

    inputs = Input((*shape, 1), dtype="uint8")
    x = convolution(layers.Rescaling(-1 / 255, offset=1)(inputs), 16, size=6, strides=4)
    x = layers.MaxPooling2D(2)(x)
    x = layers.MaxPooling2D(2)(convolution(convolution(x, 24), 32))
    x = layers.MaxPooling2D(2)(convolution(convolution(x, 48), 48))
    x = layers.Flatten()(layers.Dropout(0.3)(convolution(x, 80)))
    x = layers.Dropout(0.3)(layers.Dense(48, activation="relu")(x))
    return Model(inputs, layers.Dense(len(CLASSES), activation="softmax")(x))


NETWORKS = {"numbers": numbers_network, "quarter": quarter_network}


def epoch(random: np.random.Generator, beats: list[list[np.ndarray]]) -> np.ndarray:
    """Return the positions of one epoch's beats, in the order of training; ``beats`` are as Examples.of returns them."""
    chosen = [
        random.permutation(found)[:most]
        for of_class in beats
        for found, most in zip(of_class, LIMITS.values(), strict=True)
    ]
    return random.permutation(np.concatenate(chosen))


def train(recipe: Recipe, parts: list[Examples], chosen: np.ndarray, seed: int):
    """Train a new network on the beats of the ``chosen`` patients (bool), of all ``parts``; return it."""
    import keras

    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    beats, first, order_of = [], 0, []
    for part in parts:
        beats += [[found + first for found in of_class] for of_class in part.of(chosen)]
        order_of.append(first)
        first += len(part.labels)
    labels = np.concatenate([part.labels for part in parts])
    model = NETWORKS[recipe.network](parts[0].inputs.shape[1:])
    steps = recipe.epochs * (len(epoch(np.random.default_rng(0), beats)) // recipe.batch)
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100,
        steps - steps // 10,
        warmup_target=recipe.learning_rate,
        warmup_steps=steps // 10,
    )
    average = {"use_ema": True, "ema_momentum": recipe.average} if recipe.average else {}
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=recipe.decay, **average),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.smoothing),
    )
    one_hot, done = np.eye(len(CLASSES), dtype=np.float32), 0
    while done < steps:
        order = epoch(random, beats)
        for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
            positions = np.sort(order[start : start + recipe.batch])
            inputs = np.concatenate(
                [
                    part.inputs[positions[(positions >= at) & (positions < at + len(part.labels))] - at]
                    for part, at in zip(parts, order_of, strict=True)
                ]
            )
            if recipe.shift:
                inputs = shifted(inputs, *random.integers(-recipe.shift, recipe.shift + 1, 2))
            model.train_on_batch(
                inputs[..., None] if inputs.ndim == 3 else inputs, one_hot[labels[positions]]
            )
            done += 1
            if done == steps:
                break
    if recipe.average:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def shifted(images: np.ndarray, right: int, down: int) -> np.ndarray:
    """Return images moved by so many pixels, white coming in."""
    moved = np.full_like(images, 255)
    height, width = images.shape[1:]
    moved[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = images[
        :, max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
    ]
    return moved


def predict(model, inputs: np.ndarray, size: int = 512) -> np.ndarray:
    """Return the probabilities of each beat, float32 (beats, classes)."""
    found = [np.empty((0, len(CLASSES)), np.float32)]
    for start in range(0, len(inputs), size):
        batch = np.ascontiguousarray(inputs[start : start + size])
        found.append(model.predict_on_batch(batch[..., None] if batch.ndim == 3 else batch))
    return np.concatenate(found)
