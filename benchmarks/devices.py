"""Many devices: whether they learn what one device learns, and how much faster several GPUs are.

    python benchmarks/devices.py --data DIR [--devices 2 4] [--steps N]
    python benchmarks/devices.py --gpus [--model NAME]

Without --gpus: a network is trained on one logical CPU device and on several, under train_keras.py's own
strategy and recipe, from the same weights and on the same batches, each in a process of its own. Its batch
normalization is made synchronized and its dropout 0, for the statistics of a part of a batch, and random masks,
are other ones on each device. Then all losses should agree to 0.001. In float32 rounding grows from step to step:
how far it goes shows one device with the synchronized formula, which only sums in another order. In float64
there is next to none. Beside it: the same with each device's own statistics, which is Keras' default and what
train_keras.py uses.

With --gpus: steps a second on 1 to N GPUs, once with a batch for each GPU (weak scaling), once with one batch
divided among them (strong scaling). Every batch is the same one, so reading images plays no part.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.runs.devices import choose_devices, choose_precision
from ecgbeats.runs.feed import feed

import numpy as np

from benchmarks import step
from model_keras import MODELS

# The largest difference of a batch's loss that counts as equal.
TARGET = 1e-3


def main(arguments: list[str]) -> int | None:
    """Measure, and print the tables."""
    if arguments[:1] == ["--child"]:
        return step.answer(
            arguments[1], {"losses": measure_losses, "count": count_gpus, "rate": measure_rate}
        )
    options = read_options(arguments)
    try:
        if options.gpus:
            print_scaling(options)
        else:
            print_losses(options)
    except step.Failed as problem:
        command.fail(problem)
        return 1
    return None


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="devices.py", description=__doc__)
    number = command.whole_number(1)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, help="images, one sub-folder for each class; not for --gpus")
    add("--gpus", action="store_true", help="measure the speed of GPUs instead")
    add("--model", metavar="NAME", help="default fast; with --gpus, paper")
    add(
        "--devices",
        type=command.whole_number(2),
        nargs="+",
        default=[2, 4],
        metavar="N",
        help="numbers of logical CPU devices (default 2 4)",
    )
    add("--batch-size", type=number, default=128, metavar="N", help="over all devices (default 128)")
    add("--steps", type=number, default=30, metavar="N", help="without --gpus (default 30)")
    add(
        "--precisions",
        nargs="+",
        choices=["float32", "float64"],
        default=["float64", "float32"],
        metavar="NAME",
        help="float32 or float64, without --gpus (default both)",
    )
    add(
        "--schedule",
        type=number,
        default=2000,
        metavar="N",
        help="take the learning rates of a run of N steps, from its beginning (default 2000)",
    )
    add(
        "--seconds",
        type=command.positive_number,
        default=10,
        metavar="X",
        help="of each measurement with --gpus (default 10)",
    )
    add("--seed", type=command.whole_number(0), default=0, metavar="N", help="default 0")
    options = parser.parse_args(arguments)
    options.model = options.model or ("paper" if options.gpus else "fast")
    if options.model not in MODELS:
        parser.error(f"--model {options.model}: no such network; choose from {', '.join(MODELS)}")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        parser.error(f"MirroredStrategy is TensorFlow's: unset KERAS_BACKEND, now {backend}")
    if options.gpus:
        return options
    if options.data is None:
        parser.error("--data is needed: images, one sub-folder for each class (or give --gpus)")
    for devices in options.devices:
        if options.batch_size % devices:
            parser.error(
                f"--batch-size {options.batch_size} cannot be divided among {devices} devices evenly"
            )
    return options


# -- equality ------------------------------------------------------------------------------------------------


def print_losses(options: argparse.Namespace) -> None:
    """Train on one device and on several, and print how far the losses are apart."""
    Images(options.data, in_memory=False)  # says now what is wrong with the folder
    # One device comes first: the others are compared with it.
    kinds = [(1, False), (1, True)]
    kinds += [(devices, synchronized) for synchronized in (True, False) for devices in options.devices]
    found = {}
    for precision in options.precisions:
        for devices, synchronized in kinds:
            task = {
                "do": "losses",
                "data": str(options.data),
                "model": options.model,
                "devices": devices,
                "synchronized": synchronized,
                "precision": precision,
                **{name: getattr(options, name) for name in ("batch_size", "steps", "schedule", "seed")},
            }
            found[precision, devices, synchronized] = step.in_process(__file__, task)["losses"]
            print(f"{precision}, {devices} devices, synchronized: {synchronized}: done", file=sys.stderr)
    print(
        "\n".join(loss_rows(found, f"{options.model}, {options.steps} steps of {options.batch_size} images"))
    )
    for precision in options.precisions:
        of_precision = {key: losses for key, losses in found.items() if key[0] == precision}
        largest = largest_difference(of_precision)
        verdict = "reached" if largest <= TARGET else "missed"
        print(
            f"\n{precision}: largest difference of several devices, synchronized, {largest:.2g} (target {TARGET:g}: {verdict})."
        )


def largest_difference(found: dict) -> float:
    """Return how far synchronized losses of several devices are from those of one, at most; NaN if one is NaN.

    ``found`` holds the losses by (precision, devices, synchronized).
    """
    return float(
        np.max(
            [
                np.abs(np.subtract(losses, found[precision, 1, False])).max()
                for (precision, devices, synchronized), losses in found.items()
                if devices > 1 and synchronized
            ]
        )
    )


def loss_rows(found: dict, title: str) -> list[str]:
    """Return the lines of the table; ``found`` holds the losses by (precision, devices, synchronized)."""
    lines = [
        f"| {title} | Statistics over | Precision | Largest difference of a loss | Mean difference | First loss "
        "| Last loss |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for (precision, devices, synchronized), losses in found.items():
        over = "each device's part" if devices > 1 else "the batch"
        if synchronized:
            over = "the batch, synchronized"
        differences = np.abs(np.subtract(losses, found[precision, 1, False]))
        compared = f"{differences.max():.2g} | {differences.mean():.2g}"
        if (devices, synchronized) == (1, False):
            compared = " | "
        lines.append(
            f"| {devices} device{'s' if devices > 1 else ''} | {over} | {precision} | {compared} "
            f"| {losses[0]:.4f} | {losses[-1]:.4f} |"
        )
    return lines


def measure_losses(
    data: str,
    model: str,
    devices: int,
    synchronized: bool,
    batch_size: int,
    steps: int,
    schedule: int,
    seed: int,
    precision: str,
) -> dict:
    """Train on so many logical CPU devices, and return ``losses``: the cross-entropy of each batch.

    Parameters
    ----------
    data : str
        The folder of images; as many batches as it has are used, over and over again.
    model : str
        Of ``model_keras.MODELS``; its dropout becomes 0.
    devices, batch_size, steps, seed : int
        ``batch_size`` counts over all devices.
    schedule : int
        Steps of the run whose learning rates are taken, from its first one on.
    precision : str
        Keras' dtype policy.
    synchronized : bool
        Whether batch normalization takes its statistics over all devices.
    """
    # Equality is asked of CPUs: GPUs add in an order of their own.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import train_keras

    arguments = ["--data", data, "--output", "none", "--model", model, "--devices", str(devices)]
    arguments += ["--batch-size", str(batch_size), "--seed", str(seed)]
    options = train_keras.read_options(arguments)
    with command.quiet_import():
        import keras

        from DataGenerator import DataGenerator

        names, scope = choose_devices(options.devices)
    images = Images(options.data)
    needed = min(steps * batch_size, len(images) // batch_size * batch_size)
    if not needed:
        raise InputError(f"--data {data} holds {len(images)} images: no batch of {batch_size}")
    drawn = np.random.default_rng(seed).permutation(len(images))[:needed]
    batches = DataGenerator(images.subset(drawn), batch_size, seed=seed, devices=len(names))
    options.epochs = 1

    def change(kind: str, configuration: dict) -> None:
        if kind == "BatchNormalization":
            configuration["synchronized"] = synchronized
        if "Dropout" in kind:
            configuration["rate"] = 0.0

    class Losses(keras.callbacks.Callback):
        """Keeps each batch's cross-entropy; Keras' own logs are means since the epoch began."""

        def __init__(self):
            super().__init__()
            self.values = []

        def on_epoch_end(self, epoch, logs=None):
            batches.set_epoch(epoch + 1)

        def on_train_batch_begin(self, batch, logs=None):
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs=None):
            self.values.append(float(logs["cross_entropy"]))

    with scope():
        original, _ = train_keras.build(options, precision, len(images.classes), schedule)
        network = step.rewritten(original, change)
        network.set_weights(original.get_weights())
    losses = Losses()
    epochs = -(-steps // len(batches))
    network.fit(feed(batches), epochs=epochs, shuffle=False, verbose=0, callbacks=[losses])
    return {"losses": losses.values[:steps]}


# -- GPUs ----------------------------------------------------------------------------------------------------


def print_scaling(options: argparse.Namespace) -> None:
    """Measure 1 to N GPUs, and print one table for weak and one for strong scaling."""
    found = step.in_process(__file__, {"do": "count"})["names"]
    if not found:
        raise InputError(
            "--gpus: TensorFlow sees no GPU here; leave --gpus out to compare logical CPU devices"
        )
    for kind in ("weak", "strong"):
        rates = []
        for gpus in range(1, len(found) + 1):
            # train_keras.py fills a batch up to a multiple of the devices.
            size = options.batch_size * gpus if kind == "weak" else -(-options.batch_size // gpus) * gpus
            task = {
                "do": "rate",
                "model": options.model,
                "devices": gpus,
                "batch_size": size,
                "seconds": options.seconds,
            }
            rates.append(step.in_process(__file__, task))
            print(f"{kind}, {gpus} GPUs: {rates[-1]['steps']:.1f} steps/s", file=sys.stderr)
        print("\n".join(scaling_rows(kind, rates, options, found[0])) + "\n")


def scaling_rows(kind: str, rates: list[dict], options: argparse.Namespace, name: str) -> list[str]:
    """Return the lines of a table; ``rates`` holds what :func:`measure_rate` returned for 1, 2, ... GPUs."""
    what = f"{options.batch_size} images {'for each GPU' if kind == 'weak' else 'over all GPUs'}"
    lines = [
        f"| {options.model}, {rates[0]['precision']}, {what}, {name} | Batch | Steps/s | Images/s | Speed-up "
        "| For each GPU |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = rates[0]["steps"] * rates[0]["batch_size"]
    for gpus, rate in enumerate(rates, 1):
        images = rate["steps"] * rate["batch_size"]
        lines.append(
            f"| {gpus} | {rate['batch_size']} | {rate['steps']:.1f} | {images:,.0f} | {images / first:.2f} "
            f"| {100 * images / first / gpus:.0f} % |"
        )
    return lines


def count_gpus() -> dict:
    """Return the ``names`` of the GPUs that TensorFlow sees."""
    with command.quiet_import():
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        return {
            "names": [
                details(gpu).get("device_name", "GPU") for gpu in tf.config.list_physical_devices("GPU")
            ]
        }


def measure_rate(model: str, devices: int, batch_size: int, seconds: float) -> dict:
    """Train on one constant batch on so many devices, and return ``steps`` a second.

    ``batch_size`` counts over all devices. The result has it, too, and the ``precision``.
    """
    with command.quiet_import():
        import keras  # noqa: F401

        import train_keras

        names, scope = choose_devices(devices)
    precision = choose_precision("auto", names)
    with scope():
        network, _ = train_keras.build(step.recipe(model), precision, step.CLASSES, 1000)
    batch = (*step.constant_batch(batch_size), np.ones(batch_size, np.float32))
    taken = step.training_seconds(network, batch, seconds)
    return {"steps": 1 / taken, "batch_size": batch_size, "precision": precision}


if __name__ == "__main__":
    command.run(main)
