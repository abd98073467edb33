"""Do several devices learn what one device learns, and how much faster are several GPUs?

    python benchmarks/devices.py --data DIR [--devices 2 4] [--steps N]
    python benchmarks/devices.py --gpus [--model NAME]

Without --gpus: a network is trained on one logical CPU device and on several, under train_keras.py's own strategy and
recipe, from the same weights and on the same batches, each in a process of its own. Its batch normalization is made
synchronized and its dropout 0, for the statistics of a part of a batch, and random masks, are other ones on each device.
Then all losses should be those of one device. In float32 rounding grows from step to step: how far shows one device with
the synchronized formula, which only sums in another order. Beside it: each device's own statistics, Keras' default.

With --gpus: steps a second on 1 to N GPUs, once with a batch for each GPU (weak scaling), once with one batch
divided among them (strong scaling). Every batch is the same one, so reading images plays no part.
"""

import argparse
import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images, list_folder
from ecgbeats.runs.devices import choose_devices, choose_precision
from ecgbeats.runs.feed import feed

import numpy as np

from benchmarks import harness, step
from model_keras import MODELS

TARGET = 1e-3  # the largest difference of a batch's loss that counts as equal


def main(arguments: list[str]) -> None:
    """Measure, and print the tables."""
    parser = harness.parser(
        __doc__,
        gpus=(bool, "measure the speed of GPUs instead"),
        model=(str, "default fast; with --gpus, paper", MODELS),
        devices=([2, 4], "numbers of logical CPU devices"),
        batch_size=(128, "over all devices"),
        steps=(30, "without --gpus"),
        precisions=(["float64", "float32"], "of float64 and float32, without --gpus", ["float64", "float32"]),
        seconds=(10.0, "of each measurement with --gpus"),
        data=(Path, "images, one sub-folder for each class; not for --gpus", False),
    )
    options = parser.parse_args(arguments)
    options.model = options.model or ("paper" if options.gpus else "fast")
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        parser.error(f"MirroredStrategy is TensorFlow's: unset KERAS_BACKEND={os.environ['KERAS_BACKEND']}")
    if not options.gpus and options.data is None:
        parser.error("--data is needed: images, one sub-folder for each class (or give --gpus)")
    odd = [devices for devices in options.devices if options.batch_size % devices]
    if odd and not options.gpus:
        parser.error(f"--batch-size {options.batch_size} is not divided among {odd[0]} devices evenly")
    (print_scaling if options.gpus else print_losses)(options)


def print_losses(options: argparse.Namespace) -> None:
    """Train on one device and on several, and print how far the losses are apart."""
    list_folder(options.data)  # says in one line what is wrong with it
    # One device comes first: the others are compared with it.
    kinds = [(1, False), (1, True)]
    kinds += [(devices, synchronized) for synchronized in (True, False) for devices in options.devices]
    shared = {name: getattr(options, name) for name in ("data", "model", "batch_size", "steps")}
    found = {}
    for kind in itertools.product(options.precisions, kinds):
        found[kind[0], *kind[1]] = harness.in_process(measure_losses, *kind[1], precision=kind[0], **shared)
    title = f"Devices: {options.model}, {options.steps} steps of {options.batch_size} images"
    differences = [f"Largest difference (target {TARGET})", "Mean difference", "First loss", "Last loss"]
    print(harness.table([title, "Statistics over", "Precision", *differences], loss_rows(found), left=3))


def measure_losses(
    devices: int, synchronized: bool, precision: str, data: Path, model: str, batch_size: int, steps: int
) -> list[float]:
    """Train on so many logical CPU devices, and return the cross-entropy of each batch.

    As many batches as ``data`` has are used, over and over again; ``batch_size`` counts over all devices. The network's
    dropout is 0; ``synchronized``: its batch normalization takes its statistics over all devices.
    """
    # Equality is asked of CPUs: GPUs add in an order of their own.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras

    import train_keras
    from DataGenerator import DataGenerator

    names, scope = choose_devices(devices)
    images = Images(data)
    needed = min(steps * batch_size, len(images) // batch_size * batch_size)
    if not needed:
        raise InputError(f"--data {data} holds {len(images)} images: no batch of {batch_size}")
    drawn = np.random.default_rng(0).permutation(len(images))[:needed]
    batches = DataGenerator(images.subset(drawn), batch_size, devices=len(names))
    losses = []

    class Losses(keras.callbacks.Callback):
        """Keeps each batch's cross-entropy; Keras' own logs are means since the epoch began."""

        def on_epoch_end(self, epoch, logs=None):
            batches.set_epoch(epoch + 1)

        def on_train_batch_begin(self, batch, logs=None):
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs=None):
            losses.append(float(logs["cross_entropy"]))

    with scope():
        # Learning rates from the beginning of a run of 2,000 steps.
        options = harness.train_options(model=model, epochs=1)
        network, _ = train_keras.build(options, precision, len(images.classes), 2000)
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = synchronized
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    epochs = -(-steps // len(batches))
    network.fit(feed(batches), epochs=epochs, shuffle=False, verbose=0, callbacks=[Losses()])
    return losses[:steps]


def loss_rows(found: dict) -> list[list]:
    """Return the rows of the table; ``found`` holds the losses by (precision, devices, synchronized)."""
    rows = []
    for (precision, devices, synchronized), losses in found.items():
        over = "each device's part" if devices > 1 and not synchronized else "the batch"
        apart = np.abs(np.subtract(losses, found[precision, 1, False]))
        compared = f"{apart.max():.2g}", f"{apart.mean():.2g}", f"{losses[0]:.4f}", f"{losses[-1]:.4f}"
        rows.append([devices, over + ", synchronized" * synchronized, precision, *compared])
    return rows


def print_scaling(options: argparse.Namespace) -> None:
    """Measure 1 to N GPUs, with a batch for each and with one for all, and print a table."""
    names = harness.in_process(list_gpus)
    if not names:
        raise InputError("--gpus: TensorFlow sees no GPU here; leave it out to compare logical CPU devices")
    rows = []
    for weak in (True, False):
        speeds = []
        for gpus in range(1, len(names) + 1):
            # train_keras.py fills a batch up to a multiple of the devices.
            size = gpus * (options.batch_size if weak else -(-options.batch_size // gpus))
            steps = harness.in_process(measure_rate, options.model, gpus, size, options.seconds)
            speeds.append(steps * size)
            figures = harness.figure(steps), harness.figure(speeds[-1]), f"{speeds[-1] / speeds[0]:.2f}"
            rows.append([gpus, "for each GPU" if weak else "for all GPUs", size, *figures])
    title = f"GPUs: {options.model}, {names[0]}"
    print(harness.table([title, "Batch", "Images a step", "Steps/s", "Images/s", "Speed-up"], rows, left=2))


def list_gpus() -> list[str]:
    """Return the names of the GPUs that TensorFlow sees."""
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [one.get("device_name", "GPU") for one in details]


def measure_rate(model: str, devices: int, batch_size: int, seconds: float) -> float:
    """Return the steps a second of training on one constant batch, of this size over all devices."""
    names, scope = choose_devices(devices)
    with scope():
        network = step.build(model, choose_precision("auto", names))
    return 1 / step.training_seconds(network, step.constant_batch(batch_size), seconds)


if __name__ == "__main__":
    command.run(main)
