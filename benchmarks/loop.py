"""Loop: training through DataGenerator beside training on one constant batch, and the memory that it takes.

    python benchmarks/loop.py --data DIR [--model NAME ...] [--steps N] [--rounds N]

The ceiling is Keras' fit on one batch that tf.data repeats from memory: nothing is drawn, cropped or copied.
The same compiled network is then fit through DataGenerator from memory, by its recipe and with the paper's nine crops
as well (--augment), all as train_keras.py builds, compiles and feeds it, on one device. They take turns, in both
directions, in one process, for it is one network. A turn is an epoch. Its time runs from the end of its second step until
as many batches are left as are made ahead: so it is that of the steps in between, and as many batches are made in it.
The share is the median of the ratios within a round, with its 95 % interval by resampling the rounds.

Memory: a process reads all of --data (Images.check) as train_keras.py does, before TensorFlow is imported, then fits 20
epochs of `fast` with crops, and validates after each. Its resident memory is read after each epoch, its peak at the
end, from Linux's /proc.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.folder import Images, free_memory
from ecgbeats.runs.devices import choose_devices, choose_precision
from ecgbeats.runs.feed import feed

import numpy as np

import train_keras
from model_keras import MODELS

# One step of the paper's network on its 128 images takes two cores some ten seconds. Smaller batches take longer for an
# image, on either side, for their share of the optimizer's work.
BATCH_SIZES = {"paper": 16}
# Turns of each: many, since one and the same takes up to a sixth more or less time; of slow networks few.
ROUNDS = 60
ROUNDS_OF = {"paper": 5}
MOST_IMAGES = 10_000  # that the speed is measured with
WARM_UP_STEPS = 2
EPOCHS = 20  # while memory is watched
VALIDATION_STEPS = 10
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
    add("--batch-size", type=at_least_one, metavar="N", help="default as train_keras.py; 16 for paper")
    add(
        "--steps",
        type=at_least_one,
        metavar="N",
        help="of a turn (default: what fills --seconds, at least 8)",
    )
    add("--seconds", type=command.positive_number, default=2, metavar="X", help="of a turn (default 2)")
    add("--rounds", type=at_least_one, metavar="N", help="turns of each (default 60; 5 for paper)")
    add(
        "--epoch-steps",
        type=at_least_one,
        default=200,
        metavar="N",
        help="of each of the 20 epochs (default 200)",
    )
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
    print_memory(*in_a_process(watch_memory, options.data, options.epoch_steps), options.epoch_steps)


def in_a_process(function, *arguments):
    """Return what a function of this file returns in a new process; raise what it raises."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # No daemon, which could not start the processes of Images.check.
    process = context.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        said = ours.recv()
    except EOFError:
        raise RuntimeError(
            "the process that measured has ended; the machine's memory may be used up"
        ) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if isinstance(said, Exception):
        raise said
    return said


def _answer(pipe, function, arguments) -> None:
    """In the new process: send what the function returns or raises."""
    command.start_worker()
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
    images = Images(options.data, in_memory=True)
    images = images.subset(np.linspace(0, len(images) - 1, min(MOST_IMAGES, len(images))).astype(int))
    images.check()
    model, run, devices = prepare(name, options.batch_size or BATCH_SIZES.get(name), len(images.classes))
    import tensorflow as tf  # after prepare, which keeps its messages off standard error

    def feeds(steps: int) -> tuple[list, int]:
        """Return what fit reads for so many steps that are timed, and how many are made ahead."""
        ahead = make_batches(images, 1, run, devices).max_queue_size
        steps += WARM_UP_STEPS + ahead
        through = [
            make_batches(images, steps, argparse.Namespace(**vars(run) | {"augment": augment}), devices)
            for augment in (False, True)
        ]
        constant = tf.data.Dataset.from_tensors(through[0][0]).repeat(steps)
        unhindered = tf.data.Options()
        unhindered.autotune.enabled = False  # as in train_keras.feed
        return [constant.with_options(unhindered), *map(feed, through)], ahead

    for feed in feeds(1)[0]:  # each has its own traced function
        fit_epochs(model, feed)
    few = 4
    turns, ahead = feeds(few)
    [seconds] = fit_epochs(model, turns[0], ahead)
    steps = options.steps or max(8, round(options.seconds * few / seconds))
    turns, ahead = feeds(steps)
    rates = []
    for number in range(options.rounds or ROUNDS_OF.get(name, ROUNDS)):
        found = {}
        for which in range(3) if number % 2 == 0 else reversed(range(3)):
            [seconds] = fit_epochs(model, turns[which], ahead)
            found[which] = steps * run.batch_size / seconds
        rates.append([found[which] for which in range(3)])
    return {"model": name, "batch_size": run.batch_size, "steps": steps, "rates": rates}


def prepare(name: str, batch_size: int | None, classes: int):
    """Import Keras; return the compiled network, train_keras.py's options for it, and the devices."""
    with command.quiet_import():
        import keras  # noqa: F401

        devices, _ = choose_devices(1)
    arguments = ["--data", ".", "--output", ".", "--model", name]
    if batch_size:
        arguments += ["--batch-size", str(batch_size)]
    run = train_keras.read_options(arguments)
    precision = choose_precision(run.precision, devices)
    model, _ = train_keras.build(run, precision, classes, steps=1000)  # an epoch, for the learning rate
    return model, run, devices


def make_batches(images: Images, steps: int, run: argparse.Namespace, devices: list[str]):
    """Return train_keras.py's DataGenerator of so many whole batches; images may come more than once."""
    order = np.random.default_rng(0).permutation(len(images))
    return train_keras.training_batches(images.subset(np.resize(order, steps * run.batch_size)), run, devices)


def fit_epochs(
    model, feed, ahead: int = 0, epochs: int = 1, validation=None, after_epoch=None
) -> list[float]:
    """Fit, and return the seconds of each epoch without its first steps and its last ``ahead``.

    ``after_epoch()`` is called at its end.
    """
    import keras

    seconds = []
    last = int(feed.cardinality()) - ahead - 1

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == WARM_UP_STEPS - 1:
                self.started = time.perf_counter()
            if batch == last:
                seconds.append(time.perf_counter() - self.started)

        def on_epoch_end(self, epoch, logs=None):
            if after_epoch:
                after_epoch()

    model.fit(feed, validation_data=validation, epochs=epochs, shuffle=False, verbose=0, callbacks=[Clock()])
    return seconds


def print_shares(rows: list[dict]) -> None:
    """Print each network's rates, medians over the rounds, and their share of the ceiling."""
    print("\n| images/s | constant batch | DataGenerator | share | with --augment | share |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        ceiling, plain, crops = (statistics.median(rates) for rates in zip(*row["rates"], strict=True))
        shares = [interval([r[which] / r[0] for r in row["rates"]]) for which in (1, 2)]
        print(
            f"| {row['model']}, batches of {row['batch_size']}, {row['steps']} steps x {len(row['rates'])} | "
            f"{ceiling:,.1f} | {plain:,.1f} | {shares[0]} | {crops:,.1f} | {shares[1]} |"
        )
    print("\nshare: of the constant batch's rate, median over the rounds, 95 % interval in brackets")
    print("(target: at least 97 %).")


def interval(shares: list[float]) -> str:
    """Return the median of some shares, and its 95 % interval: that of the medians of shares drawn from them."""
    drawn = np.random.default_rng(0).choice(shares, (10_000, len(shares)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return f"{statistics.median(shares):.1%} ({low:.1%} to {high:.1%})"


# -- memory ---------------------------------------------------------------------------------------------------


def watch_memory(data: Path, steps: int) -> tuple[int, list[int], int]:
    """Return the bytes of all images, the resident bytes after each epoch of so many steps, and their peak."""
    images = Images(data, in_memory=True)
    images.check()
    for first in range(0, len(images), 1024):  # read, so that they all count as this process's
        images.gather(np.arange(first, min(first + 1024, len(images))))
    model, run, devices = prepare("fast", None, len(images.classes))
    run.augment = True
    training = feed(make_batches(images, steps, run, devices))
    validation = feed(make_batches(images, VALIDATION_STEPS, run, devices))
    resident = []
    fit_epochs(model, training, 0, EPOCHS, validation, lambda: resident.append(memory_of_this("VmRSS")))
    return len(images) * IMAGE_SIZE**2, resident, memory_of_this("VmHWM")


def memory_of_this(field: str) -> int:
    """Return this process's resident memory (VmRSS) or its peak (VmHWM) in bytes."""
    with open("/proc/self/status") as file:
        values = dict(line.split(":", 1) for line in file)
    return int(values[field].split()[0]) * 1024


def print_memory(images: int, resident: list[int], peak: int, steps: int) -> None:
    """Print what the process took, and whether it grew."""
    half = len(resident) // 2
    grown = resident[-1] - resident[-1 - half]
    print("\n| memory, network fast | MB |\n| --- | ---: |")
    for name, value in {
        "all images": images,
        "peak of the process": peak,
        f"peak beside the images (target: below {ALLOWED_BYTES / 1e6:,.0f})": peak - images,
        **{
            f"after epoch {epoch} of {steps} steps": resident[epoch - 1]
            for epoch in sorted({1, 2, len(resident) - half, len(resident)})
        },
        f"growth in the last {half} epochs (target: none)": grown,
        "of that, for 1,000 steps": grown * 1000 / (half * steps),
    }.items():
        print(f"| {name} | {value / 1e6:,.1f} |")


if __name__ == "__main__":
    command.run(main)
