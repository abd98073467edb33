"""How fast are batches made, from files and from memory, beside what people use instead?

    python benchmarks/batches.py --data DIR [--images N] [--rounds N]

Each image is drawn whole or as one of nine crops. "From files" is an epoch in which nothing was decoded before; the
files are in the page cache, for everybody. "From memory" is a later epoch. An epoch's time ends when its last batch is
there. Each way (batch_ways.py) has a process of its own, and they take turns.
"""

import contextlib
import functools
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.folder import Images

import cv2
import numpy as np

from benchmarks import batch_ways, harness
from benchmarks.batch_ways import FED, OURS, PAUSE

SOURCES = ("from files", "from memory")


def main(arguments: list[str]) -> None:
    """Measure all ways in turn, and print a table."""
    options = harness.parser(
        __doc__,
        data=(Path, "images, one sub-folder for each class"),
        images=(12_000, "drawn evenly"),
        rounds=(5, "turns of each way"),
        seconds=(2.0, "at least, a turn"),
    ).parse_args(arguments)
    images, cores = Images(options.data, in_memory=False), command.available_cores()
    with tempfile.TemporaryDirectory() as folder:
        number = link_evenly(images, options.images, Path(folder))
        rates = compare(batch_ways.ways(cores), folder, options.rounds, options.seconds)
    header = [cell for source in SOURCES for cell in (source, "(1) / it", "(2) / it")]
    print(harness.table([f"{cores} cores, {number:,d} images, images/s", *header], comparison(rates)))
    print(f"\n(1) {OURS}, (2) {FED}. Targets: 2 over the fastest peer; from memory, 4 over tf.data.")
    if not importlib.util.find_spec("torch"):
        print("PyTorch, which may be faster, is not installed: pip install -r benchmarks/requirements.txt")


def link_evenly(images: Images, number: int, folder: Path) -> int:
    """Link every k-th image into ``folder``, class by class, reading each once; return how many there are."""
    wanted = np.unique(np.linspace(0, len(images) - 1, min(number, len(images))).round().astype(int))
    for i in wanted:
        source = (images.folder / images.names[i]).resolve()
        image = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)  # the page cache now has it, for all peers
        if image is None or image.shape != (IMAGE_SIZE, IMAGE_SIZE):
            raise InputError(f"{source} is no image of 128x128; give a folder that make_dataset.py made")
        link = folder / images.names[i]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    return len(wanted)


def compare(ways: dict[str, tuple], folder: str, rounds: int, seconds: float) -> dict[tuple, list[float]]:
    """Return images/s, round by round, of each (way's name, number of one of SOURCES)."""
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(harness.worker()) for name in ways}
        turns = {}
        for source in range(len(SOURCES)):
            for name, (way, *arguments) in ways.items():
                task = rate, way, (folder, *arguments), source
                turns[name, source] = functools.partial(workers[name], *task, seconds)
                if way is batch_ways.checked and source == 0:
                    # Images.check forks only before TensorFlow is there: a new process each time, for one epoch.
                    turns[name, source] = functools.partial(harness.in_process, *task, 0)
        return harness.take_turns(turns, rounds)


def rate(way: Callable, arguments: tuple, source: int, seconds: float) -> float:
    """Return images/s of one of a way's sources, over as many epochs as fill ``seconds``, at least one."""
    return measure(prepared(way, *arguments)[source], seconds)


@functools.cache
def prepared(way: Callable, *arguments) -> tuple[Callable[[], Iterable], ...]:
    """Return what a way returns, made once in a process."""
    return way(*arguments)


def measure(epoch: Callable[[], Iterable], seconds: float) -> float:
    """Return images/s of epochs; what ``epoch`` does before it returns, and between two PAUSE, is not counted."""
    images, spent = 0, 0.0
    while not images or spent < seconds:
        batches, counts = epoch(), True
        before = time.perf_counter()
        for batch in batches:
            now = time.perf_counter()
            spent += now - before if counts else 0
            counts ^= batch is PAUSE
            images += len(batch[1])
            before = now
    return images / spent


def comparison(rates: dict[tuple, list[float]]) -> list[list[str]]:
    """Return the table's rows: images/s of each way, and how many times that our own two make.

    Those are medians of the ratios within a round.
    """
    rows = {name: [name] for name, _ in rates}
    for (name, source), found in rates.items():
        ratios = [harness.ratios(rates[own, source], found) for own in (OURS, FED)]
        rows[name] += [harness.spread(found), *(f"{statistics.median(values):.2f}" for values in ratios)]
    return [*rows.values()]


if __name__ == "__main__":
    command.run(main)
