"""Batches: DataGenerator beside other ways to read the same images, each drawn whole or as one of nine crops.

    python benchmarks/batches.py --data DIR [--images N] [--rounds N]

"From files" is an epoch in which nothing was decoded before; the files are in the page cache, for everybody.
"From memory" is a later epoch. Each way runs in a process of its own, and they take turns, so the ratios
hold on a machine that is not quiet. An epoch's time runs from the request for its first batch until its last
one is there; listing the folder is not in it. The peers:

- one Python generator: cv2.imread, crop, cv2.resize and np.stack in one thread, as the paper's public
  implementations do; from memory, the same over a list of decoded images;
- tf.data: keras.utils.image_dataset_from_directory, then crop and tf.image.resize for each image in
  map(num_parallel_calls=AUTOTUNE), batch and prefetch(AUTOTUNE); from memory, with cache() before the map;
- PyTorch: a DataLoader with as many workers as there are cores, which stay from epoch to epoch; inside, the
  same cv2 calls. From memory, over one array that the workers share.

DataGenerator's own rows:

- after Images.check: as in train_keras.py all images are read first (before TensorFlow is imported, so that
  processes can do it), then the first epoch is from memory, too. "From files" is the time of both, and each round a
  new process. The batches are taken one after another, in one thread. The ratios are to this row;
- through train_keras.feed: the same, but the batches come as fit reads them, through a tf.data.Dataset;
- by itself: the first epoch decodes each image when it is drawn;
- in model.fit(DataGenerator(...)): as Keras reads it without train_keras.py, through its two threads.

A second table has the first row's rate from memory for growing numbers of images: up to all of --data, about 30 KB of
memory for each.
"""

import contextlib
import functools
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.folder import Images, free_memory

import cv2
import numpy as np

BATCH = 128
# As in DataGenerator.py, which would bring TensorFlow into every peer's process.
CROP_SIZE = 96
CROP_OFFSETS = tuple((x, y) for y in (0, 16, 32) for x in (0, 16, 32))
SOURCES = ("from files", "from memory")
OURS = "DataGenerator after Images.check"
FED = "the same through train_keras.feed, as train_keras.py"
NO_TORCH = "PyTorch is not installed: pip install -r benchmarks/requirements.txt"


def main(arguments: list[str]) -> None:
    """Measure all ways in turn, then DataGenerator with more and more images, and print both tables."""
    parser = command.Parser(prog="batches.py", description=__doc__)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    at_least_one = command.whole_number(1)
    add("--images", type=at_least_one, default=12_000, metavar="N", help="drawn evenly (default 12000)")
    add("--rounds", type=at_least_one, default=5, metavar="N", help="turns of each way (default 5)")
    add(
        "--seconds", type=command.positive_number, default=2, metavar="X", help="at least, a turn (default 2)"
    )
    add(
        "--sizes",
        type=at_least_one,
        nargs="+",
        default=[10_000, 30_000],
        metavar="N",
        help="numbers of images in the second table, beside all of them (default 10000 30000)",
    )
    options = parser.parse_args(arguments)
    images = Images(options.data, in_memory=False)
    cores = command.available_cores()
    with tempfile.TemporaryDirectory() as folder:
        number = link_evenly(images, options.images, Path(folder))
        rates = compare(ways(cores), folder, options.rounds, options.seconds)
    print_comparison(rates, cores, number)
    sizes = sorted({min(size, len(images)) for size in [*options.sizes, len(images)]})
    print_sizes(grow(images, sizes, options.rounds, options.seconds))


def link_evenly(images: Images, number: int, folder: Path) -> int:
    """Link every k-th image into ``folder``, class by class, reading each once; return how many there are."""
    wanted = np.linspace(0, len(images) - 1, min(number, len(images))).round().astype(int)
    for i in np.unique(wanted):
        source = (images.folder / images.names[i]).resolve()
        image = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)  # the page cache now has it, for all peers
        if image is None or image.shape != (IMAGE_SIZE, IMAGE_SIZE):
            raise InputError(
                f"{source} is no image of {IMAGE_SIZE}x{IMAGE_SIZE}; give a folder that make_dataset.py made"
            )
        link = folder / images.names[i]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    return len(np.unique(wanted))


# -- processes that take turns --------------------------------------------------------------------------------

# A way to read batches is a function that returns others, one for each of SOURCES. Each of them prepares an epoch and
# returns an iterable over its batches (images, labels).
Way = Callable[..., tuple[Callable[[], Iterable], ...]]


class Turns:
    """A process of its own that makes ``way(*arguments)`` and measures one of its sources at a time."""

    def __init__(self, way: Way, *arguments):
        self._way, self._arguments, self._first_rate = way, arguments, True
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # none has the libraries of another
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._way, self._arguments))
        self._process.start()
        theirs.close()  # so that each side notices when the other ends

    def answer(self):
        """Return what the process says next: None when it is ready, else a rate. Raises what it raised."""
        try:
            said = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a process has ended; the machine's memory may be used up") from None
        if isinstance(said, Exception):
            raise said
        return said

    def rate(self, source: int, seconds: float) -> float:
        """Return images/s of whole epochs, for at least ``seconds``.

        A process that checks the images first does so once, without what it imports later: there is a new one each time.
        """
        once = self._way is checked and source == 0
        if once and not self._first_rate:
            self.close()
            self._start()
            self.answer()
        self._first_rate = False
        self._pipe.send((source, 0 if once else seconds))
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def _serve(pipe, way: Way, arguments: tuple) -> None:
    """In the other process: answer until the pipe is closed."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            with command.quiet_import():
                sources = way(*arguments)
            pipe.send(None)
            while True:
                source, seconds = pipe.recv()
                with command.quiet_import():
                    pipe.send(measure(sources[source], seconds))
        except (EOFError, OSError):  # the other side has ended
            raise
        except Exception as problem:
            pipe.send(problem)


def measure(epoch: Callable[[], Iterable], seconds: float) -> float:
    """Return images/s over as many epochs as fill ``seconds``, at least one."""
    images, spent = 0, 0.0
    while not images or spent < seconds:
        batches = epoch()
        started = ended = time.perf_counter()
        for _, labels in batches:
            images += len(labels)
            ended = time.perf_counter()
        spent += ended - started - getattr(batches, "untimed", 0.0)
    return images / spent


def compare(
    ways: dict[str, tuple], folder: str, rounds: int, seconds: float
) -> dict[str, list[tuple[float, ...]]]:
    """Return each way's rates, one tuple (from files, from memory) for each round."""
    with contextlib.ExitStack() as stack:
        turns = {}
        for name, (way, *arguments) in ways.items():
            turns[name] = Turns(way, folder, *arguments)
            stack.callback(turns[name].close)
        for one in turns.values():
            one.answer()
        rates = {name: [] for name in turns}
        for number in range(rounds):
            found = {name: [] for name in turns}
            for source in range(len(SOURCES)):
                for name, one in turns.items():
                    found[name].append(one.rate(source, seconds))
            for name in turns:
                rates[name].append(tuple(found[name]))
            print(f"round {number + 1} of {rounds}", flush=True)
    return rates


# -- the ways -------------------------------------------------------------------------------------------------


def ways(cores: int) -> dict[str, tuple]:
    """Return name: (function, arguments after the folder) of all ways that this environment has."""
    found = {
        OURS: (checked, False),
        FED: (checked, True),
        "DataGenerator by itself": (data_generator, False),
        "DataGenerator in model.fit, workers=2": (data_generator, True),
    }
    found["one Python generator, cv2"] = (python_generator,)
    found["tf.data"] = (tf_data,)
    try:
        from importlib.metadata import version

        version("torch")
    except ImportError:
        pass
    else:
        found[f"PyTorch DataLoader, {cores} workers"] = (torch_loader, cores)
    return found


class CheckedEpoch:
    """An epoch of new images that are all read first. ``untimed`` are the seconds of importing Keras meanwhile."""

    def __init__(self, images: Images, read: Callable[[], Iterable]):
        self._images, self._read = images, read
        self.untimed = 0.0

    def __iter__(self) -> Iterator:
        self._images.check()
        started = time.perf_counter()
        batches = self._read()
        self.untimed = time.perf_counter() - started
        yield from batches


def checked(folder, feed: bool):
    """DataGenerator after Images.check, by itself or through train_keras.feed."""
    images = Images(folder, in_memory=True)

    @functools.cache
    def reader() -> Callable[[], Iterable]:
        from DataGenerator import DataGenerator

        batches = DataGenerator(images, BATCH, augment=True, devices=1 if feed else None)
        if not feed:
            return lambda: read_in_turn(batches)
        import tensorflow as tf

        dataset = feed(batches)

        @tf.function  # as in fit, which leaves Python's lock to the thread that fills the dataset
        def count_images():
            return dataset.reduce(0, lambda n, batch: n + tf.math.count_nonzero(batch[2], dtype=tf.int32))

        count_images.get_concrete_function()

        def read():
            yield None, range(int(count_images()))
            batches.on_epoch_end()

        return read

    def first():
        return CheckedEpoch(images, lambda: reader()())

    def later():
        images.check()
        return reader()()

    return first, later


def data_generator(folder, in_fit: bool):
    """DataGenerator, by itself or as Keras' fit reads it; from files it and its images are new in each epoch."""
    from DataGenerator import DataGenerator

    read = read_as_fit if in_fit else read_in_turn

    def batches(images) -> DataGenerator:
        return DataGenerator(images, BATCH, augment=True)

    kept = Images(folder, in_memory=True)
    kept.check()
    later = batches(kept)
    return (lambda: read(batches(Images(folder, in_memory=True)))), (lambda: read(later))


def read_in_turn(batches) -> Iterator:
    """Yield one epoch's batches one after another."""
    for i in range(len(batches)):
        yield batches[i]
    batches.on_epoch_end()


def read_as_fit(batches) -> Iterator:
    """Yield one epoch of a PyDataset as Keras' fit reads it, with its workers."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    adapter = PyDatasetAdapter(batches)
    adapter.on_epoch_begin()
    for number, batch in enumerate(adapter.get_numpy_iterator(), 1):
        yield batch
        if number == len(batches):
            break
    adapter.on_epoch_end()


def python_generator(folder):
    """One Python generator, one thread; from memory over a list of decoded images."""
    paths, labels = list_images(folder)

    def batches(read: Callable[[int], np.ndarray]) -> Iterator:
        order = np.random.default_rng().permutation(len(paths))
        for first in range(0, len(order), BATCH):
            index = order[first : first + BATCH]
            yield np.stack([draw(read(i)) for i in index])[..., np.newaxis], labels[index]

    def read_file(i: int) -> np.ndarray:
        return cv2.imread(paths[i], cv2.IMREAD_GRAYSCALE)

    decoded = [read_file(i) for i in range(len(paths))]
    return (lambda: batches(read_file)), (lambda: batches(decoded.__getitem__))


def list_images(folder) -> tuple[list[str], np.ndarray]:
    """Return all image files and their labels: int32, shape (images,)."""
    images = Images(folder, in_memory=False)
    return [f"{folder}/{name}" for name in images.names], images.labels


def draw(image: np.ndarray) -> np.ndarray:
    """Return the whole image or one of its nine crops, all equally likely: uint8, shape (128, 128)."""
    position = random.randrange(len(CROP_OFFSETS) + 1)
    if position == len(CROP_OFFSETS):
        return image
    x, y = CROP_OFFSETS[position]
    return cv2.resize(image[y : y + CROP_SIZE, x : x + CROP_SIZE], (IMAGE_SIZE, IMAGE_SIZE))


def tf_data(folder):
    """Keras' own function for image folders; the images are float32, as it gives them."""
    import keras
    import tensorflow as tf

    images = keras.utils.image_dataset_from_directory(
        folder, color_mode="grayscale", image_size=(IMAGE_SIZE, IMAGE_SIZE), batch_size=None, verbose=False
    )

    def draw(image, label):
        position = tf.random.uniform([], 0, len(CROP_OFFSETS) + 1, tf.int32)
        y, x = 16 * (position // 3), 16 * (position % 3)

        def crop():
            return tf.image.resize(
                tf.slice(image, [y, x, 0], [CROP_SIZE, CROP_SIZE, 1]), (IMAGE_SIZE, IMAGE_SIZE)
            )

        return tf.cond(position == len(CROP_OFFSETS), lambda: image, crop), label

    def epochs(source) -> Callable[[], Iterable]:
        drawn = source.map(draw, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        return lambda: drawn

    cached = images.cache()
    for _ in cached:  # the epoch that fills it
        pass
    return epochs(images), epochs(cached)


def torch_loader(folder, workers: int):
    """PyTorch's DataLoader."""
    import torch

    paths, labels = list_images(folder)

    class Drawn(torch.utils.data.Dataset):
        def __init__(self, decoded=None):
            self.decoded = decoded

        def __len__(self):
            return len(paths)

        def __getitem__(self, i):
            image = (
                cv2.imread(paths[i], cv2.IMREAD_GRAYSCALE)
                if self.decoded is None
                else self.decoded[i].numpy()
            )
            return torch.from_numpy(draw(image))[None], int(labels[i])

    def epochs(dataset) -> Callable[[], Iterable]:
        loader = torch.utils.data.DataLoader(
            dataset,
            BATCH,
            shuffle=True,
            num_workers=workers,
            persistent_workers=True,
            multiprocessing_context="fork",  # PyTorch's default on Linux, but not below a spawned process
            worker_init_fn=_one_thread,
        )
        return lambda: loader

    decoded = torch.from_numpy(np.stack([cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in paths]))
    return epochs(Drawn()), epochs(Drawn(decoded))


def _one_thread(_worker: int) -> None:
    """Keep OpenCV of a worker from starting threads beside the other workers; PyTorch does so for its own."""
    cv2.setNumThreads(1)


# -- more and more images -------------------------------------------------------------------------------------


def data_generators(files: list[list[Path]]):
    """One DataGenerator from memory for each list of files."""
    from DataGenerator import DataGenerator

    def epochs(some) -> Callable[[], Iterable]:
        images = Images(some, in_memory=True)
        images.check()
        batches = DataGenerator(images, BATCH, augment=True)
        return lambda: read_in_turn(batches)

    return tuple(epochs(some) for some in files)


def grow(images: Images, sizes: list[int], rounds: int, seconds: float) -> dict[int, float]:
    """Return DataGenerator's images/s from memory for each number of images; median over the rounds."""
    needed = sum(sizes) * IMAGE_SIZE**2
    if needed > free_memory():
        raise InputError(
            f"--sizes: {sum(sizes):,d} images take {needed / 1e9:.1f} GB of memory, more than is free; "
            "give fewer and smaller ones, or a smaller --data"
        )
    files = []
    for size in sizes:
        wanted = np.linspace(0, len(images) - 1, size).round().astype(int)
        files.append([images.folder / images.names[i] for i in wanted])
    with contextlib.closing(Turns(data_generators, files)) as turns:
        turns.answer()
        rates = [[turns.rate(which, seconds) for which in range(len(sizes))] for _ in range(rounds)]
    return {
        size: statistics.median(found) for size, found in zip(sizes, zip(*rates, strict=True), strict=True)
    }


# -- tables ---------------------------------------------------------------------------------------------------


def print_comparison(rates: dict[str, list[tuple[float, ...]]], cores: int, number: int) -> None:
    """Print images/s of each way, and how many times that ours makes."""
    medians = {name: [statistics.median(r) for r in zip(*rows, strict=True)] for name, rows in rates.items()}

    def times(own: str, name: str, source: int) -> float:
        """How many times as fast our own way is; median of the ratios within a round."""
        pairs = zip(rates[own], rates[name], strict=True)
        return statistics.median(ours[source] / theirs[source] for ours, theirs in pairs)

    print(f"\n| {cores} cores, {number:,d} images, images/s | {SOURCES[0]} | ratio | {SOURCES[1]} | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, rows in rates.items():
        cells = []
        for source, rounds in enumerate(zip(*rows, strict=True)):
            spread = f" ({min(rounds):,.0f} to {max(rounds):,.0f})" if len(rounds) > 1 else ""
            cells.append(f"{medians[name][source]:,.0f}{spread} | {times(OURS, name, source):.2f}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nratio: {OURS} over this way. Medians over the rounds, range in brackets.")
    peers = [name for name in rates if name not in (OURS, FED) and not name.startswith("DataGenerator")]
    fastest = max(peers, key=lambda name: medians[name][0])
    print(f"From files: {times(OURS, fastest, 0):.2f} times the fastest peer, {fastest} (target 2);")
    print(f"through train_keras.feed {times(FED, fastest, 0):.2f} times.")
    print(f"From memory: {times(OURS, 'tf.data', 1):.2f} times tf.data with cache() (target 4);")
    print(f"through train_keras.feed {times(FED, 'tf.data', 1):.2f} times.")
    print(f"From memory, {medians[OURS][1]:,.0f} images/s (target 30,000); through train_keras.feed")
    print(f"{medians[FED][1]:,.0f} images/s.")
    if not any(name.startswith("PyTorch") for name in rates):
        print(f"{NO_TORCH}. Its row is missing, and it may be the fastest peer.")


def print_sizes(rates: dict[int, float]) -> None:
    """Print the cost of an image by the number of images."""
    print("\n| DataGenerator from memory | images/s | µs an image |\n| --- | ---: | ---: |")
    for size, rate in rates.items():
        print(f"| {size:,d} images | {rate:,.0f} | {1e6 / rate:.1f} |")
    costs = list(rates.values())
    print(f"\nAn image of the most costs {costs[0] / costs[-1]:.2f} times one of the fewest (target: flat).")


if __name__ == "__main__":
    command.run(main)
