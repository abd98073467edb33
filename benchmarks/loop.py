"""Loop: training through DataGenerator beside training on one constant batch, and the memory that it takes.

    python benchmarks/loop.py --data DIR [--model NAME ...] [--steps N] [--rounds N]

The ceiling is Keras' fit on one batch that tf.data repeats from memory: nothing is drawn, cropped or copied.
The same compiled network is then fit through DataGenerator from memory, without and with random crops, all as
train_keras.py builds, compiles and feeds it, on one device. They take many short turns, in both directions. A turn is
an epoch; its time runs from the end of its second step to the end of its last, since a real epoch has a thousand steps
and begins once. The share is the median of the ratios within a round.

Memory: a process reads all of --data (Images.check), then fits 20 epochs of a few steps of `fast` with crops.
Its resident memory is read after each epoch, its peak at the end, from Linux's /proc.
"""

import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import command
from command import InputError

import numpy as np

import train_keras
from beats import IMAGE_SIZE
from image_folder import Images, free_memory
from model_keras import MODELS

# One step of the paper's network on its 128 images takes two cores some ten seconds.
BATCH_SIZES = {"paper": 32}
MOST_IMAGES = 10_000  # that the speed is measured with
WARM_UP_STEPS = 2
EPOCHS, STEPS_OF_AN_EPOCH = 20, 4  # while memory is watched
ALLOWED_BYTES = 1.5e9  # beside the images


def main(arguments: list[str]) -> None:
    """Measure each network, then memory, each in a process of its own, and print both tables."""
    parser = command.Parser(prog="loop.py", description=__doc__)
    add = parser.add_argument
    at_least_one = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add(
        "--model",
        nargs="+",
        default=["fast", "paper"],
        metavar="NAME",
        help=f"of {', '.join(MODELS)} (default fast paper)",
    )
    add("--batch-size", type=at_least_one, metavar="N", help="default as train_keras.py; 32 for paper")
    add(
        "--steps",
        type=at_least_one,
        metavar="N",
        help="of a turn, after its first two (default: what fills --seconds, at least 2)",
    )
    add("--seconds", type=command.positive_number, default=4, metavar="X", help="of a turn (default 4)")
    add("--rounds", type=at_least_one, default=12, metavar="N", help="turns of each (default 12)")
    options = parser.parse_args(arguments)
    for name in options.model:
        if name not in MODELS:
            parser.error(f"--model {name}: no such network; choose from {', '.join(MODELS)}")
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise InputError("KERAS_BACKEND: the ceiling is measured with tf.data; unset it, or give tensorflow")
    if not Path("/proc/self/status").exists():
        raise InputError("there is no /proc to read a process's memory from; run this on Linux")
    needed = len(Images(options.data, in_memory=False)) * IMAGE_SIZE**2 + ALLOWED_BYTES
    if needed > free_memory():
        raise InputError(
            f"--data {options.data} needs {needed / 1e9:.1f} GB of memory, more than is free; give a smaller one"
        )
    rows = []
    for name in options.model:
        rows.append(in_a_process(measure, options, name))
        print(f"{name}: measured", flush=True)
    print_shares(rows)
    print_memory(*in_a_process(watch_memory, options.data))


def in_a_process(function, *arguments):
    """Return what a function of this file returns in a new process; raise what it raises."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        said = ours.recv()
    except EOFError:
        raise RuntimeError(
            "the process that measured has ended; the machine's memory may be used up"
        ) from None
    process.join()
    if isinstance(said, Exception):
        raise said
    return said


def _answer(pipe, function, arguments) -> None:
    """In the new process: send what the function returns or raises."""
    try:
        pipe.send(function(*arguments))
    except Exception as problem:
        pipe.send(problem)


# -- speed ----------------------------------------------------------------------------------------------------


def measure(options, name: str) -> dict:
    """Return one network's rates.

    Returns
    -------
    dict
        ``model``, ``batch_size``, ``steps`` and ``rates``: for each round the images/s on the constant batch,
        through DataGenerator, and through it with crops.
    """
    build, devices = prepare(name, options.batch_size or BATCH_SIZES.get(name))
    import tensorflow as tf

    images = Images(options.data, in_memory=True)
    images = images.subset(np.linspace(0, len(images) - 1, min(MOST_IMAGES, len(images))).astype(int))
    images.check()
    model, batch_size = build(len(images.classes))

    def feeds(steps: int) -> list:
        through = [make_batches(images, batch_size, steps, augment, devices) for augment in (False, True)]
        constant = tf.data.Dataset.from_tensors(through[0][0]).repeat(steps)
        unhindered = tf.data.Options()
        unhindered.autotune.enabled = False  # as in train_keras.feed
        return [constant.with_options(unhindered), *map(train_keras.feed, through)]

    for feed in feeds(WARM_UP_STEPS + 1):  # each has its own traced function
        fit_epochs(model, feed)
    [seconds] = fit_epochs(model, feeds(WARM_UP_STEPS + 2)[0])
    steps = options.steps or max(2, round(options.seconds * 2 / seconds))
    turns = feeds(WARM_UP_STEPS + steps)
    rates = []
    for number in range(options.rounds):
        found = {}
        for which in range(3) if number % 2 == 0 else reversed(range(3)):
            [seconds] = fit_epochs(model, turns[which])
            found[which] = steps * batch_size / seconds
        rates.append([found[which] for which in range(3)])
    return {"model": name, "batch_size": batch_size, "steps": steps, "rates": rates}


def prepare(name: str, batch_size: int | None):
    """Import Keras; return a function from the number of classes to (compiled network, batch size), and the devices."""
    with command.quiet_import():
        import keras  # noqa: F401

        devices, _ = train_keras.choose_devices(1)
    arguments = ["--data", ".", "--output", ".", "--model", name]
    if batch_size:
        arguments += ["--batch-size", str(batch_size)]
    run = train_keras.read_options(arguments)

    def build(classes: int):
        precision = train_keras.choose_precision(run.precision, devices)
        model, _ = train_keras.build(run, precision, classes, steps=1000)  # an epoch, for the learning rate
        return model, run.batch_size

    return build, devices


def make_batches(images: Images, batch_size: int, steps: int, augment: bool, devices: list[str]):
    """Return a DataGenerator of so many whole batches, as train_keras.py makes it; images may come more than once."""
    from DataGenerator import DataGenerator

    order = np.random.default_rng(0).permutation(len(images))
    return DataGenerator(
        images.subset(np.resize(order, steps * batch_size)),
        batch_size,
        augment=augment,
        devices=1,
        workers=train_keras.choose_workers(images, devices),
    )


def fit_epochs(model, feed, epochs: int = 1, after_epoch=None) -> list[float]:
    """Fit, and return the seconds of each epoch without its first steps; ``after_epoch()`` is called at its end."""
    import keras

    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.ended = time.perf_counter()
            if batch == WARM_UP_STEPS - 1:
                self.started = self.ended

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(self.ended - self.started)
            if after_epoch:
                after_epoch()

    model.fit(feed, epochs=epochs, shuffle=False, verbose=0, callbacks=[Clock()])
    return seconds


def print_shares(rows: list[dict]) -> None:
    """Print each network's rates, medians over the rounds, and their share of the ceiling."""
    print("\n| images/s | constant batch | DataGenerator | share | with crops | share |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        ceiling, plain, crops = (statistics.median(rates) for rates in zip(*row["rates"], strict=True))
        shares = [statistics.median(r[which] / r[0] for r in row["rates"]) for which in (1, 2)]
        print(
            f"| {row['model']}, batches of {row['batch_size']}, {row['steps']} steps x {len(row['rates'])} | "
            f"{ceiling:,.1f} | {plain:,.1f} | {shares[0]:.1%} | {crops:,.1f} | {shares[1]:.1%} |"
        )
    print("\nshare: of the constant batch's rate, median over the rounds (target: at least 97 %).")


# -- memory ---------------------------------------------------------------------------------------------------


def watch_memory(data: Path) -> tuple[int, list[int], int]:
    """Return the bytes of all images, the resident bytes after each epoch, and their peak."""
    build, devices = prepare("fast", None)
    images = Images(data, in_memory=True)
    images.check()
    model, batch_size = build(len(images.classes))
    batches = make_batches(images, batch_size, STEPS_OF_AN_EPOCH, True, devices)
    resident = []
    fit_epochs(model, train_keras.feed(batches), EPOCHS, lambda: resident.append(memory_of_this("VmRSS")))
    return len(images) * IMAGE_SIZE**2, resident, memory_of_this("VmHWM")


def memory_of_this(field: str) -> int:
    """Return this process's resident memory (VmRSS) or its peak (VmHWM) in bytes."""
    with open("/proc/self/status") as file:
        values = dict(line.split(":", 1) for line in file)
    return int(values[field].split()[0]) * 1024


def print_memory(images: int, resident: list[int], peak: int) -> None:
    """Print what the process took, and whether it grew."""
    print("\n| memory, network fast | MB |\n| --- | ---: |")
    for name, value in {
        "all images": images,
        "peak of the process": peak,
        f"peak beside the images (target: below {ALLOWED_BYTES / 1e6:,.0f})": peak - images,
        "after epoch 2": resident[1],
        f"after epoch {len(resident)}": resident[-1],
        f"growth from epoch 2 to {len(resident)} (target: none)": resident[-1] - resident[1],
        f"of that, in the last {len(resident) // 2} epochs": resident[-1] - resident[-1 - len(resident) // 2],
    }.items():
        print(f"| {name} | {value / 1e6:,.1f} |")


if __name__ == "__main__":
    command.run(main)
