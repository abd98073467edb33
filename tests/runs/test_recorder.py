"""What the recorder keeps of each epoch."""

import time

from ecgbeats.runs.networks import load_model
from ecgbeats.runs.recorder import Recorder
from ecgbeats.runs.time_limit import TimeLimit

import pytest

import train_keras


@pytest.mark.parametrize(("keep", "kept"), [("best", 1), ("last", 2)])
def test_best_keras_is_the_epoch_that_keep_asks_for(tmp_path, keep, kept):
    """The validation loss rises in the second epoch."""

    model = train_keras.build(
        train_keras.read_options(["--data", "x", "--output", "y", "--epochs", "2"]), "float32", 2, 1
    )[0]

    class Batches:
        images_of_epoch = 100

        def __len__(self):
            return 1

        def set_epoch(self, _epoch):
            pass

    recorder = Recorder(
        tmp_path,
        ["a", "b"],
        Batches(),
        lambda _step: 0.1,
        2,
        TimeLimit(None, 10, 10, 128),
        draw=lambda: None,
        keep=keep,
    )
    recorder.set_model(model)
    bias = model.weights[-1]
    for epoch in (0, 1):
        recorder.on_epoch_begin(epoch)
        recorder.on_test_begin()
        bias.assign([epoch + 1, 0])
        logs = {"cross_entropy": 0.5, "accuracy": 0.5, "val_cross_entropy": 0.5 + epoch, "val_accuracy": 0.5}
        time.sleep(0.01)
        recorder.on_epoch_end(epoch, logs)
    assert load_model(tmp_path / "best.keras")[0].weights[-1].numpy()[0] == kept
