"""The ways to read batches that batches.py compares: DataGenerator's own, and its peers.

A way is a function that returns two others, "from files" and "from memory". Each of them prepares an epoch and returns
an iterable over its batches (images, labels).
"""

import functools
import importlib.util
import random
from collections.abc import Callable, Iterable, Iterator

from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.folder import Images

import cv2
import numpy as np

BATCH = 128
# As in DataGenerator.py, which would bring TensorFlow into every peer's process.
CROP_SIZE = 96
CROP_OFFSETS = tuple((x, y) for y in (0, 16, 32) for x in (0, 16, 32))
OURS = "DataGenerator after Images.check"
FED = "the same through ecgbeats.runs.feed, as train_keras.py"
PAUSE = None, ()  # what an epoch yields before and after what is not to be timed


def ways(cores: int) -> dict[str, tuple]:
    """Return name: (function, arguments after the folder) of all ways that this environment has."""
    found = {OURS: (checked, False), FED: (checked, True)}
    found |= {"one Python generator, cv2": (python_generator,), "tf.data": (tf_data,)}
    if importlib.util.find_spec("torch"):
        found[f"PyTorch DataLoader, {cores} workers"] = (torch_loader, cores)
    return found


def checked(folder, fed: bool):
    """DataGenerator as train_keras.py has it: all images are read first, then the first epoch is from memory, too.

    "From files" is the time of both. Batches are taken one after another in one thread, or as fit reads them, by feed.
    """
    images = Images(folder, in_memory=True)

    @functools.cache
    def batches():
        from DataGenerator import DataGenerator

        made = DataGenerator(images, BATCH, augment=True, devices=1 if fed else None)

        def in_turn() -> Iterator:
            yield from map(made.__getitem__, range(len(made)))
            made.on_epoch_end()

        return read_as_fit(made) if fed else in_turn

    def first() -> Iterator:
        images.check()  # before TensorFlow is imported, so that processes can do it
        yield PAUSE  # importing is not counted
        read = batches()
        yield PAUSE
        yield from read()

    def later() -> Iterable:
        images.check()
        return batches()()

    return first, later


def read_as_fit(batches) -> Callable[[], Iterator]:
    """Return a function that yields one epoch as a whole, read as fit reads it, with as many labels as images."""
    from ecgbeats.runs.feed import feed

    import tensorflow as tf

    dataset = feed(batches)

    @tf.function  # as in fit, which leaves Python's lock to the thread that fills the dataset
    def count_images():
        return dataset.reduce(0, lambda n, batch: n + tf.math.count_nonzero(batch[2], dtype=tf.int32))

    count_images.get_concrete_function()

    def read() -> Iterator:
        yield None, range(int(count_images()))
        batches.on_epoch_end()

    return read


def draw(image: np.ndarray) -> np.ndarray:
    """Return the whole image or one of its nine crops, all equally likely: uint8, shape (128, 128)."""
    position = random.randrange(len(CROP_OFFSETS) + 1)
    if position == len(CROP_OFFSETS):
        return image
    x, y = CROP_OFFSETS[position]
    return cv2.resize(image[y : y + CROP_SIZE, x : x + CROP_SIZE], (IMAGE_SIZE, IMAGE_SIZE))


def readers(folder) -> tuple[np.ndarray, Callable[[int], np.ndarray], list[np.ndarray]]:
    """Return all labels (int32), a function that reads image ``i`` from its file, and all images decoded."""
    images = Images(folder, in_memory=False)
    paths = [f"{folder}/{name}" for name in images.names]

    def read(i: int) -> np.ndarray:
        return cv2.imread(paths[i], cv2.IMREAD_GRAYSCALE)

    return images.labels, read, [read(i) for i in range(len(paths))]


def python_generator(folder):
    """One thread: cv2.imread, crop, cv2.resize and np.stack, as the paper's public implementations do.

    From memory, the same over a list of decoded images.
    """
    labels, read, decoded = readers(folder)

    def batches(image: Callable[[int], np.ndarray]) -> Iterator:
        order = np.random.default_rng().permutation(len(labels))
        for first in range(0, len(order), BATCH):
            index = order[first : first + BATCH]
            yield np.stack([draw(image(i)) for i in index])[..., np.newaxis], labels[index]

    return (lambda: batches(read)), (lambda: batches(decoded.__getitem__))


def tf_data(folder):
    """Keras' image_dataset_from_directory, then crop and tf.image.resize in a parallel map; from memory after cache()."""
    import keras
    import tensorflow as tf

    size = (IMAGE_SIZE, IMAGE_SIZE)
    how = {"color_mode": "grayscale", "image_size": size, "batch_size": None, "verbose": False}
    images = keras.utils.image_dataset_from_directory(folder, **how)

    def draw(image, label):
        position = tf.random.uniform([], 0, len(CROP_OFFSETS) + 1, tf.int32)
        y, x = 16 * (position // 3), 16 * (position % 3)

        def crop():
            return tf.image.resize(tf.slice(image, [y, x, 0], [CROP_SIZE, CROP_SIZE, 1]), size)

        return tf.cond(position == len(CROP_OFFSETS), lambda: image, crop), label

    def epochs(source) -> Callable[[], Iterable]:
        drawn = source.map(draw, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        return lambda: drawn

    cached = images.cache()
    for _ in cached:  # the epoch that fills it
        pass
    return epochs(images), epochs(cached)


def torch_loader(folder, workers: int):
    """PyTorch's DataLoader, whose workers stay from epoch to epoch and use cv2; from memory, over an array they share."""
    import torch

    labels, read, decoded = readers(folder)
    shared = torch.from_numpy(np.stack(decoded))

    class Drawn(torch.utils.data.Dataset):
        def __init__(self, image: Callable[[int], np.ndarray]):
            self.image = image

        def __len__(self):
            return len(labels)

        def __getitem__(self, i):
            return torch.from_numpy(draw(self.image(i)))[None], int(labels[i])

    def one_thread(_worker: int) -> None:
        cv2.setNumThreads(1)  # beside the other workers; PyTorch does so for its own

    def epochs(image: Callable[[int], np.ndarray]) -> Callable[[], Iterable]:
        # fork is PyTorch's default on Linux, but not below a spawned process.
        how = {"multiprocessing_context": "fork", "persistent_workers": True, "worker_init_fn": one_thread}
        loader = torch.utils.data.DataLoader(Drawn(image), BATCH, shuffle=True, num_workers=workers, **how)
        return lambda: loader

    return epochs(read), epochs(lambda i: shared[i].numpy())
