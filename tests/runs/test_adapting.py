"""A network learns a new patient: what it takes from labelled beats, what it keeps, and when it stays as it was."""

from ecgbeats.command import InputError
from ecgbeats.runs.adapting import HOLD_BACK, Beats, adapt, predict_images
from ecgbeats.runs.rehearsal import LEVELS, NAME, read_examples, write_examples

import keras
import numpy as np
import pytest

CLASSES = ["N", "S", "V"]


def beats(labels, places, seed=0):
    """Images of 16x16 noise with a dark square, which for each class is in the place that ``places`` gives."""
    labels = np.asarray(labels)
    images = np.random.default_rng(seed).integers(200, 256, (len(labels), 16, 16, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = places[label]
        image[row : row + 4, column : column + 4] = 0
    return Beats(images, labels)


USUAL = {0: (0, 0), 1: (6, 0), 2: (0, 6)}
UNLIKE = {0: (0, 0), 1: (12, 12), 2: (0, 6)}  # S of the new patient look as nobody's before


@pytest.fixture(scope="module")
def first():
    """A network that knows what is usual; batch normalization after all that it has seen."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 1), dtype="uint8")
    x = keras.layers.Rescaling(-1 / 255, 1)(inputs)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(x))
    x = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Dense(32, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(len(CLASSES), activation="softmax")(x))
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    known = beats(np.arange(600) % 3, USUAL)
    model.fit(known.images, known.labels, epochs=4, verbose=0)
    assert right(model, known) > 0.99
    return model


def right(model, judged):
    return np.mean(predict_images(model, judged.images).argmax(1) == judged.labels)


def test_a_copy_learns_what_is_the_patients_own_and_keeps_what_the_minutes_lack(first):
    own = beats([0] * 60 + [1] * 20, UNLIKE, seed=1)
    others = beats(np.arange(90) % 3, USUAL, seed=2).images
    rest, lacking = beats([0, 1] * 40, UNLIKE, seed=3), beats([2] * 40, UNLIKE, seed=4)
    before = [weights.copy() for weights in first.get_weights()]
    assert right(first, rest) < 0.6
    learnt = adapt(first, own, others, seed=0)
    assert right(learnt, rest) > 0.8
    assert right(learnt, lacking) > 0.95
    for old, same in zip(before, first.get_weights(), strict=True):
        np.testing.assert_array_equal(old, same)
    statistics = [layer for layer in learnt.layers if isinstance(layer, keras.layers.BatchNormalization)]
    moving = next(layer for layer in first.layers if isinstance(layer, keras.layers.BatchNormalization))
    np.testing.assert_array_equal(statistics[0].moving_mean, moving.moving_mean)
    again = adapt(first, own, others, seed=0)
    for one, other in zip(learnt.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_others_it_learns_less_and_keeps_what_the_minutes_lack(first):
    own = beats([0] * 60 + [1] * 20, UNLIKE, seed=1)
    lacking = beats([2] * 40, UNLIKE, seed=4)
    learnt = adapt(first, own, None, seed=0)
    before, after = (predict_images(model, own.images[60:])[:, 1].mean() for model in (first, learnt))
    assert after > before + 0.1
    assert right(learnt, lacking) > 0.95


def test_what_does_worse_on_beats_that_were_held_back_is_not_taken(first):
    strange = beats(
        [1] * 100, UNLIKE
    )  # all alike, and labelled otherwise where they judge than where they teach
    says = int(np.bincount(predict_images(first, strange.images).argmax(1)).argmax())
    taught = (says + 1) % 3
    judges = np.arange(100) % HOLD_BACK == HOLD_BACK - 1
    usual = beats([says] * 100, USUAL)
    # Every fifth of the class `says` is strange, the others are usual; of the class `taught` four of five are strange.
    images = np.concatenate(
        [
            np.where(judges[:, None, None, None], strange.images, usual.images),
            np.where(judges[:, None, None, None], beats([taught] * 100, USUAL).images, strange.images),
        ]
    )
    own = Beats(images, np.repeat([says, taught], 100))
    others = beats([3 - says - taught] * 30, USUAL).images
    assert adapt(first, own, others, seed=0) is None
    assert adapt(first, beats(own.labels, USUAL), others, seed=0) is not None


def test_examples_lie_beside_the_network(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 128, 128)).astype(np.uint8)
    network = tmp_path / "best.keras"
    assert read_examples(network, "usual") is None
    write_examples(tmp_path / NAME, images, "usual")
    found = read_examples(network, "usual")
    assert found.shape == (4, 128, 128, 1)
    assert np.abs(found[..., 0].astype(int) - images).max() <= 8
    assert len(np.unique(found)) == LEVELS
    with pytest.raises(InputError, match=r"examples\.npz holds .*drawing usual"):
        read_examples(network, "typical")
    np.savez(network.parent / NAME, images=np.uint8(3), drawing="usual")
    with pytest.raises(InputError, match="holds no images"):
        read_examples(network, "usual")
    content = (tmp_path / NAME).read_bytes()
    for damaged in (content[:-100], b"", b"PK\3\4" + content[50:]):
        (tmp_path / NAME).write_bytes(damaged)
        with pytest.raises(InputError, match=r"examples\.npz cannot be read"):
            read_examples(network, "usual")
    np.savez(tmp_path / NAME, images=images[:, :64], drawing="usual")
    with pytest.raises(InputError, match=r"examples\.npz holds no images"):
        read_examples(network, "usual")
