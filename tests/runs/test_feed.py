"""The batches that Keras' fit sees."""

import json

from ecgbeats.runs.devices import choose_devices
from ecgbeats.runs.feed import feed

import forked
import numpy as np
import pytest


def see_batches(folder, devices: int) -> None:
    """Print what DataGenerator gives and what fit sees in three epochs, as sums over each batch's pixels."""
    names, scope = choose_devices(devices)
    import keras

    from DataGenerator import DataGenerator

    batches = DataGenerator(folder, 8, seed=2, devices=len(names))
    expected, seen = [], []
    for epoch in range(3):
        batches.set_epoch(epoch)
        expected.append([float((255 - batches[i][0].astype(float)).sum()) for i in range(len(batches))])
    batches.set_epoch(0)

    class Seen(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append([])

        def on_train_batch_begin(self, batch, logs=None):
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs=None):
            seen[-1].append(float(logs["total"]))

        def on_epoch_end(self, epoch, logs=None):
            batches.set_epoch(epoch + 1)

    with scope():
        images = keras.Input((128, 128, 1), dtype="uint8")
        sums = keras.ops.sum(255.0 - keras.ops.cast(images, "float64"), (1, 2, 3))[:, None]
        nothing = keras.layers.Dense(1)(sums * 0) * 0  # a weight to train
        model = keras.Model(images, nothing + keras.ops.cast(sums, "float32"))
        total = keras.metrics.MeanMetricWrapper(lambda y, p: p[:, 0], name="total")
        model.compile("sgd", "mse", weighted_metrics=[total])
    model.fit(feed(batches), epochs=3, shuffle=False, verbose=0, callbacks=[Seen()])
    print(json.dumps([expected, seen, len(feed(batches))]))


@pytest.mark.parametrize("devices", [1, 2])
def test_each_epoch_is_trained_on_its_own_batches_in_their_order(small_images, devices):
    """Also on several devices, where Keras reads a PyDataset's batches from one queue twice."""
    result = forked.call(see_batches, small_images, devices)
    assert result.returncode == 0, result.stderr
    expected, seen, length = json.loads(result.stdout)
    assert length == len(expected[0]) == 8
    # The last batch is filled up with images of weight 0, which the mean leaves out.
    means = [[total / 8 for total in epoch[:-1]] for epoch in expected]
    np.testing.assert_allclose([epoch[:-1] for epoch in seen], means, rtol=1e-5)
    assert not np.allclose(means[0], means[1])
