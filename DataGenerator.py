"""Batches of beat images for training, with the paper's random cropping.

    from DataGenerator import DataGenerator
    model.fit(DataGenerator("data", augment=True), shuffle=False)

``fit(shuffle=True)``, Keras' default, would reorder the batches by Python's global random state as well.
"""

from collections.abc import Iterator

from ecgbeats import command
from ecgbeats.images.canvas import IMAGE_SIZE, WHITE
from ecgbeats.images.folder import Images

import cv2
import keras
import numpy as np

CROP_SIZE = 96
# Offsets of the nine crops (x, y): left-top, centre-top, right-top, left-centre, ... right-bottom.
_STEPS = (0, (IMAGE_SIZE - CROP_SIZE) // 2, IMAGE_SIZE - CROP_SIZE)
CROP_OFFSETS = tuple((x, y) for y in _STEPS for x in _STEPS)


def crop(image: np.ndarray, position: int, out: np.ndarray | None = None) -> np.ndarray:
    """Cut one of the paper's nine 96x96 crops out of an image, and resize it back to 128x128.

    Parameters
    ----------
    image : numpy.ndarray, uint8, shape (128, 128) or (128, 128, 1)
    position : int
        0..8 = left-top, centre-top, right-top, left-centre, centre, right-centre, left-bottom,
        centre-bottom, right-bottom.
    out : numpy.ndarray, optional
        Where to write the result, same shape as ``image``.

    Returns
    -------
    numpy.ndarray, uint8, same shape as ``image``
        Resized bilinearly by ``cv2.resize``.

    Raises
    ------
    ValueError
        If the position is not one of the nine.
    """
    if not 0 <= position < len(CROP_OFFSETS):
        raise ValueError(f"crop position {position} is not one of the nine, 0 to {len(CROP_OFFSETS) - 1}")
    x, y = CROP_OFFSETS[position]
    part = image[y : y + CROP_SIZE, x : x + CROP_SIZE]
    resized = cv2.resize(part, (IMAGE_SIZE, IMAGE_SIZE), dst=out, interpolation=cv2.INTER_LINEAR)
    return resized.reshape(image.shape)


def shift(image: np.ndarray, right: int, down: int, out: np.ndarray | None = None) -> np.ndarray:
    """Move an image, filling up with background what it leaves.

    Parameters
    ----------
    image : numpy.ndarray, uint8, shape (128, 128) or (128, 128, 1)
    right, down : int
        By how many pixels, less than 128; below 0 to the left and up.
    out : numpy.ndarray, optional
        Where to write the result, same shape as ``image``, C-contiguous, sharing no memory with it.

    Returns
    -------
    numpy.ndarray, uint8, same shape as ``image``

    Raises
    ------
    ValueError
        If ``out`` is not C-contiguous.
    """
    if out is None:
        out = np.empty_like(image, order="C")
    # One copy of one piece; what went over the left or right edge lies on the other side, and is covered.
    by = down * image.shape[1] + right
    to, pixels = out.reshape(-1, copy=False), image.reshape(-1)
    if by > 0:
        to[by:] = pixels[:-by]
    elif by < 0:
        to[:by] = pixels[-by:]
    else:
        to[:] = pixels
    if right > 0:
        out[:, :right] = WHITE
    elif right < 0:
        out[:, right:] = WHITE
    if down > 0:
        out[:down] = WHITE
    elif down < 0:
        out[down:] = WHITE
    return out


class DataGenerator(keras.utils.PyDataset):
    """Batches (images, labels) of a folder with one sub-folder of images for each class.

    Parameters
    ----------
    folder_or_files : path-like, sequence of path-like, or Images
        The data; of single files the folder's name is the class.
    batch_size : int
    augment : bool
        Draw each image as the whole image or one of its nine crops, all ten equally likely. For training.
    shuffle : bool
        A new order in each epoch; else the order of ``images.names``.
    seed : int
        The order and the crops follow from the seed and the epoch alone, however many workers there are.
    classes : sequence of str, optional
        Class names in the order of the labels (default: see ecgbeats.images.folder.order_classes).
    augment_classes : sequence of str, optional
        Only these classes are cropped (default all); the paper leaves NOR whole.
    shift : int
        Move each image at random by up to so many pixels to the left or right, and up or down. For training.
    balance : float, 0 to 1
        How often each class is drawn in an epoch of as many images: 0 as often as it occurs, 1 all classes
        alike, and between them in proportion to its images to the power 1 - balance. Images of rare classes
        are then drawn several times in an epoch, and each epoch leaves out others of the frequent ones.
    groups : numpy.ndarray of int, shape (images,), optional
        Of ``most``: the patient of each image, or the like (default one group).
    most : int, optional
        An epoch draws at most so many images of each class of a group, each once, and others in the next, so that
        groups count alike. Not together with ``balance``.
    devices : int, optional
        Make every batch one size, a multiple of this number: a batch that has fewer images is filled up with
        other ones of sample weight 0, and batches are (images, labels, weights). Keras needs that to split
        batches over several devices; on one it spares compiling the network for a second batch size.
    part : tuple of int
        (k, n): of each batch only the k-th (from 0) of n equal parts is made and given, for one of n processes that
        share it; needs ``devices``, a multiple of n.
    workers, max_queue_size :
        See keras.utils.PyDataset; one where the machine has no shared memory (/dev/shm). Threads do: decoding and cropping let go of Python's lock. At least two: with
        one, Keras 3.15 hands the batches to tf.data's autotuning, whose thread TensorFlow 2.21 waits for at the
        end of an epoch, idle, for up to as long as the epoch took. Under a strategy for several devices neither is
        right, since Keras then begins an epoch with the rest of the one before: see ecgbeats.runs.feed.

    Attributes
    ----------
    images : Images
    classes : list of str
    images_of_epoch : int
        How many images an epoch draws.
    epoch : int
        Set it (or call ``set_epoch``) to get another epoch's batches; ``on_epoch_end`` counts it up.

    Notes
    -----
    A batch is uint8 (B, 128, 128, 1), int32 (B,) and, with ``devices``, float32 (B,). Raises InputError for
    a folder without images or a file that is no image, ValueError for a batch size below 1 or a part that cannot be.
    """

    def __init__(
        self,
        folder_or_files,
        batch_size: int = 128,
        augment: bool = False,
        shuffle: bool = True,
        seed: int = 0,
        classes=None,
        augment_classes=None,
        shift: int = 0,
        balance: float = 0.0,
        groups: np.ndarray | None = None,
        most: int | None = None,
        devices: int | None = None,
        part: tuple[int, int] = (0, 1),
        workers: int = 2,
        **keras_options,
    ):
        # Keras' threads share semaphores.
        super().__init__(workers=workers if command.has_semaphores() else 1, **keras_options)
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} is below 1")
        if not 0 <= shift < IMAGE_SIZE:
            raise ValueError(f"shift {shift} is not within 0 to {IMAGE_SIZE - 1} pixels")
        if not 0 <= balance <= 1 or (balance and not shuffle):
            raise ValueError(f"balance {balance} is not within 0 to 1, or not shuffled")
        if most is not None and (most < 1 or balance or not shuffle):
            raise ValueError(f"most {most} is below 1, or together with balance, or not shuffled")
        if not 0 <= part[0] < part[1] or (part[1] > 1 and (devices or 1) % part[1]):
            raise ValueError(f"part {part} is none of {devices} devices' batches")
        self.images = (
            folder_or_files if isinstance(folder_or_files, Images) else Images(folder_or_files, classes)
        )
        self.classes = self.images.classes
        self.batch_size = batch_size
        self.augment = augment
        self.shift = shift
        self.balance = balance
        self.shuffle = shuffle
        self.seed = seed
        self.part = part
        self.epoch = 0
        cropped = self.classes if augment_classes is None else augment_classes
        self.most = most
        # A number for each class of each group.
        self._cells = (0 if groups is None else groups) * len(self.classes) + self.images.labels
        self.images_of_epoch = len(self.images)
        if most:
            self.images_of_epoch = int(np.minimum(np.bincount(self._cells), most).sum())
        self._cropped_labels = np.array([name in cropped for name in self.classes])
        self._rows = None
        if devices:
            self._rows = -(-min(batch_size, self.images_of_epoch) // devices) * devices
        self._order = (None, None)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.images_of_epoch // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Give the batches of this epoch (from 0) from now on."""
        self.epoch = epoch

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's batches. Keras calls it."""
        self.epoch += 1

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        """Return batch ``batch`` of the present epoch."""
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        epoch = self.epoch
        order = self._epoch_order(epoch)
        index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        real = len(index)
        if self._rows and real < self._rows:
            # Filled up with others from the epoch's beginning: batch normalization sees the usual mixture.
            index = np.concatenate([index, np.resize(order, self._rows - real)])
        part, parts = self.part
        own = slice(len(index) * part // parts, len(index) * (part + 1) // parts)
        images = self._draw(index, np.random.default_rng([self.seed, epoch, batch]), own)
        labels = self.images.labels[index[own]]
        if self._rows is None:
            return images, labels
        return images, labels, (np.arange(len(index)) < real)[own].astype(np.float32)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        """Return the order of the images in an epoch: int array."""
        made_for, order = self._order  # one attribute, so that threads see a whole pair
        if made_for != epoch:
            random = np.random.default_rng([self.seed, epoch])
            if self.most:
                order = self._at_most(random)
            else:
                order = self._balanced(random) if self.balance else np.arange(len(self.images))
            if self.shuffle:
                random.shuffle(order)
            self._order = (epoch, order)
        return order

    def _at_most(self, random: np.random.Generator) -> np.ndarray:
        """Return which images an epoch draws where each class of a group gives at most ``most``: int array."""
        order = random.permutation(len(self.images))
        by_cell = order[np.argsort(self._cells[order], kind="stable")]
        counts = np.bincount(self._cells)
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its cell
        return by_cell[place < self.most]

    def _balanced(self, random: np.random.Generator) -> np.ndarray:
        """Return which images an epoch draws: int array of as many as there are, in the order of the classes."""
        labels = self.images.labels
        counts = np.bincount(labels, minlength=len(self.classes))
        shares = np.where(counts, counts.astype(float) ** (1 - self.balance), 0)
        # Rounded at the borders between the classes, so that they add up.
        ends = np.rint(np.cumsum(shares) / shares.sum() * len(labels)).astype(int)
        drawn = []
        for label, count in enumerate(np.diff(ends, prepend=0)):
            of_class = np.flatnonzero(labels == label)
            # Each image equally often, or once less.
            rounds = [random.permutation(of_class) for _ in range(-(-count // max(1, len(of_class))))]
            drawn.append(np.concatenate([*rounds, of_class[:0]])[:count])
        return np.concatenate(drawn)

    def _draw(self, index: np.ndarray, random: np.random.Generator, own: slice = slice(None)) -> np.ndarray:
        """Return the ``own`` ones of the images at ``index``, cropped and moved at random if that is asked for."""
        if not self.augment and not self.shift:
            return self.images.gather(index[own])[..., np.newaxis]
        whole = len(CROP_OFFSETS)
        positions = np.full(len(index), whole)
        if self.augment:
            positions = random.integers(0, whole + 1, len(index))
            positions[~self._cropped_labels[self.images.labels[index]]] = whole
        moves = random.integers(-self.shift, self.shift, (len(index), 2), endpoint=True)
        # Drawn for the whole batch, so that it is the same however it is parted.
        index, positions, moves = index[own], positions[own], moves[own]
        drawn = np.empty((len(index), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        cropped = np.empty((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        for out, i, position, move in zip(
            drawn, index.tolist(), positions.tolist(), moves.tolist(), strict=True
        ):
            image = self.images[i]
            if position == whole:
                shift(image, *move, out)
            elif self.shift:
                shift(crop(image, position, cropped), *move, out)
            else:
                crop(image, position, out)
        return drawn[..., np.newaxis]


def generator(
    folder, batch_size: int = 128, augment: bool = False, shuffle: bool = True, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of a DataGenerator one after another, epoch after epoch, without end.

    The tutorial's function: ``model.fit(generator("data"), steps_per_epoch=...)``. Parameters and batches are
    those of :class:`DataGenerator`.
    """
    batches = DataGenerator(folder, batch_size, augment, shuffle, seed)
    while True:
        for i in range(len(batches)):
            yield batches[i]
        batches.on_epoch_end()
