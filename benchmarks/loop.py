"""What part of its time does training wait for images, and how much memory does it take?

    python benchmarks/loop.py --data DIR [--model NAME ...] [--steps N] [--rounds N]

The ceiling is Keras' fit on one batch that tf.data repeats from memory: nothing is drawn, cropped or copied.
The same compiled network is then fit through DataGenerator from memory, by its recipe and with the paper's nine crops
as well (--augment), all as train_keras.py builds, compiles and feeds it, on one device. They take turns in one process,
for it is one network. A turn is an epoch. Its time runs from the end of its second step until as many batches are left
as are made ahead: so it is that of the steps in between, and as many batches are made in it.

Memory: a process reads all of --data as train_keras.py does, then fits 20 epochs of `fast` with crops, and validates
after each. Its resident memory is read after each epoch, its peak at the end, from Linux's /proc.
"""

import argparse
import functools
import statistics
import sys
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
from benchmarks import harness, step

# Images a step, steps of a turn, turns. One step of the paper's network on its 128 images takes two cores some ten
# seconds; smaller batches take longer for an image, on either side, for their share of the optimizer's work. Many turns,
# since one and the same takes up to a sixth more or less time.
SIZES = {"fast": (64, 32, 60), "paper": (16, 8, 5)}
FEEDS = ("constant batch", "DataGenerator", "with --augment")
MOST_IMAGES = 10_000  # that the speed is measured with
WARM_UP_STEPS = 2
EPOCHS, VALIDATION_STEPS = 20, 10  # while memory is watched
ALLOWED_BYTES = 1.5e9  # beside the images


def main(arguments: list[str]) -> None:
    """Measure each network, then memory, each in a process of its own, and print both tables."""
    options = harness.parser(
        __doc__,
        data=(Path, "images, one sub-folder for each class"),
        model=(["fast", "paper"], "of fast and paper", SIZES),
        batch_size=(int, "images a step (default 64 for fast, 16 for paper)"),
        steps=(int, "of a turn (default 32 for fast, 8 for paper)"),
        rounds=(int, "turns of each (default 60 for fast, 5 for paper)"),
        epoch_steps=(200, "of each epoch while memory is watched"),
    ).parse_args(arguments)
    if not Path("/proc/self/status").exists():
        raise InputError("there is no /proc to read a process's memory from; run this on Linux")
    needed = len(Images(options.data, in_memory=False)) * IMAGE_SIZE**2 + ALLOWED_BYTES
    if needed > free_memory():
        raise InputError(f"--data {options.data} needs {needed / 1e9:.1f} GB of memory; give a smaller one")
    rows = []
    for name in options.model:
        given = options.batch_size, options.steps, options.rounds
        size, steps, rounds = (one or default for one, default in zip(given, SIZES[name], strict=True))
        rates = harness.in_process(measure, options.data, name, size, steps, rounds)
        rows.append([f"{name}, batches of {size}, {steps} steps x {rounds}", *share_cells(rates)])
    print(harness.table(["images/s", FEEDS[0], FEEDS[1], "share", FEEDS[2], "share"], rows))
    print("\nshare: of the constant batch's rate, with its 95 % interval (target: at least 97 %)\n")
    found = harness.in_process(watch_memory, options.data, options.epoch_steps)
    print(harness.table(["memory, network fast", "MB"], memory_rows(*found, options.epoch_steps)))


def prepare(name: str, batch_size: int | None, precision: str, classes: int):
    """Return the compiled network, train_keras.py's options for it, and the devices."""
    devices, _ = choose_devices(1)
    run = harness.train_options(model=name, batch_size=batch_size)
    precision = choose_precision(precision, devices)
    model, _ = train_keras.build(run, precision, classes, steps=1000)  # an epoch, for the learning rate
    return model, run, devices


def make_batches(images: Images, steps: int, run: argparse.Namespace, devices: list[str], augment: bool):
    """Return train_keras.py's DataGenerator of so many whole batches; images may come more than once."""
    order = np.random.default_rng(0).permutation(len(images))
    some = images.subset(np.resize(order, steps * run.batch_size))
    return train_keras.training_batches(some, argparse.Namespace(**vars(run) | {"augment": augment}), devices)


def epoch_seconds(model, batches, ahead: int) -> float:
    """Fit an epoch; return its seconds without those of its first steps and its last ``ahead``."""
    first, last = WARM_UP_STEPS - 1, len(batches) - ahead - 1
    [ends] = step.batch_ends(model, batches, (first, last).__contains__)
    return ends[last] - ends[first]


def measure(data: Path, name: str, batch_size: int, steps: int, rounds: int, precision="auto") -> dict:
    """Return images/s of each of FEEDS, round by round; a turn is of so many steps that are timed."""
    images = Images(data, in_memory=True)
    images = images.subset(np.linspace(0, len(images) - 1, min(MOST_IMAGES, len(images))).astype(int))
    images.check()
    model, run, devices = prepare(name, batch_size, precision, len(images.classes))
    ahead = make_batches(images, 1, run, devices, False).max_queue_size

    def feeds(steps: int) -> list:
        whole = steps + WARM_UP_STEPS + ahead
        made = [make_batches(images, whole, run, devices, augment) for augment in (False, True)]
        return [constant_feed(made[0][0], whole), *map(feed, made)]

    def turn(batches) -> float:
        return steps * batch_size / epoch_seconds(model, batches, ahead)

    for batches in feeds(1):  # each has its own traced function
        epoch_seconds(model, batches, ahead)
    turns = [functools.partial(turn, batches) for batches in feeds(steps)]
    return harness.take_turns(dict(zip(FEEDS, turns, strict=True)), rounds)


def constant_feed(batch: tuple, steps: int):
    """Return what fit reads one batch from, over and over again."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return step.constant_batches(batch, steps)
    import tensorflow as tf

    unhindered = tf.data.Options()
    unhindered.autotune.enabled = False  # as in ecgbeats.runs.feed
    return tf.data.Dataset.from_tensors(batch).repeat(steps).with_options(unhindered)


def share_cells(rates: dict[str, list[float]]) -> list[str]:
    """Return a network's rates, medians over the rounds, and their shares of the ceiling."""
    ceiling, *others = (rates[kind] for kind in FEEDS)
    cells = [harness.figure(statistics.median(ceiling))]
    for other in others:
        shares = harness.interval(harness.ratios(other, ceiling), "{:.1%}".format)
        cells += [harness.figure(statistics.median(other)), shares]
    return cells


def watch_memory(data: Path, steps: int) -> tuple[int, list[int], int]:
    """Return the bytes of all images, the resident bytes after each epoch, and their peak."""
    images = Images(data, in_memory=True)
    images.check()
    for first in range(0, len(images), 1024):  # read, so that they all count as this process's
        images.gather(np.arange(first, min(first + 1024, len(images))))
    model, run, devices = prepare("fast", None, "auto", len(images.classes))
    training, validation = (make_batches(images, n, run, devices, True) for n in (steps, VALIDATION_STEPS))
    from keras.callbacks import LambdaCallback

    resident = []
    clock = LambdaCallback(on_epoch_end=lambda *_: resident.append(memory("VmRSS")))
    how = {"epochs": EPOCHS, "shuffle": False, "verbose": 0, "callbacks": [clock]}
    model.fit(feed(training), validation_data=feed(validation), **how)
    return len(images) * IMAGE_SIZE**2, resident, memory("VmHWM")


def memory(field: str) -> int:
    """Return this process's resident memory (VmRSS) or its peak (VmHWM) in bytes."""
    values = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(values[field].split()[0]) * 1024


def memory_rows(images: int, resident: list[int], peak: int, steps: int) -> list[list[str]]:
    """Return the table's rows: what the process took, and whether it grew in the last half of its epochs."""
    half = len(resident) // 2
    grown = resident[-1] - resident[-1 - half]
    shown = sorted({1, 2, len(resident) - half, len(resident)})
    values = {
        "all images": images,
        "peak of the process": peak,
        f"peak beside the images (target: below {ALLOWED_BYTES / 1e6:,.0f})": peak - images,
        **{f"after epoch {epoch} of {steps} steps": resident[epoch - 1] for epoch in shown},
        f"growth in the last {half} epochs (target: none)": grown,
        "of that, for 1,000 steps": grown * 1000 / (half * steps),
    }
    return [[name, f"{value / 1e6:,.1f}"] for name, value in values.items()]


if __name__ == "__main__":
    command.run(main)
