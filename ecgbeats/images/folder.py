"""A folder of images with one sub-folder for each class: ours, or a stranger's.

Nothing here needs Keras, so that bad data is found before TensorFlow is imported.
"""

import hashlib
import io
import math
import mmap
import os
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ecgbeats import command, reading
from ecgbeats.command import InputError
from ecgbeats.folders import refuse_unfinished
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.image_files import decode
from ecgbeats.images.memory import free_memory
from ecgbeats.images.names import check_class_names
from ecgbeats.records.symbols import CLASSES

import cv2
import numpy as np

# Files that file managers leave behind.
_IGNORED = {"thumbs.db", "desktop.ini"}
# The part of the free memory that decoded images may take; the rest is for the network. To read ours as needed takes
# little more time: 0.03 ms each while the kernel keeps the files, a quarter of the size.
MEMORY_SHARE = 0.5
LARGEST_IMAGE = 2**30  # bytes of a file
# Images of one task of Images.check; one task for each image would be several times slower than one thread.
_CHUNK = 256
# From so many images on, processes save more time than it takes to start them.
_MANY_IMAGES = 4000


class Images:
    """The images of some classes, decoded once each and kept in memory while that fits.

    Parameters
    ----------
    source : path-like or sequence of path-like
        A folder with one sub-folder for each class, or image files, whose folders' names are their classes.
    classes : sequence of str, optional
        The class names in the order of the labels; by default as :func:`order_classes` gives.
    in_memory : bool, optional
        Whether to keep decoded images (default while there is room, see :func:`keep_together`).
    option : str
        What the folder was given by, for errors.

    Attributes
    ----------
    folder : pathlib.Path
        What ``names`` are relative to.
    names : list of str
        Each image's path below ``folder``, sorted by class, then as text.
    labels : numpy.ndarray, int32, shape (images,)
    classes : list of str

    Raises
    ------
    InputError
        Where there is no folder or no image in it.
    """

    def __init__(self, source, classes=None, in_memory: bool | None = None, option: str = "--data"):
        if isinstance(source, (str, os.PathLike)):
            self.folder = Path(source)
            by_class = list_folder(self.folder, option)
        else:
            files = [Path(file) for file in source]
            if not files:
                raise InputError("no image files given")
            self.folder = Path(os.path.commonpath([file.absolute().parent.parent for file in files]))
            by_class = {}
            for file in files:
                by_class.setdefault(file.parent.name, []).append(
                    str(file.absolute().relative_to(self.folder))
                )
        check_class_names(list(by_class), self.folder)
        self.classes = list(classes) if classes is not None else order_classes(by_class)
        unknown = sorted(set(by_class) - set(self.classes))
        if unknown:
            raise InputError(
                f"{option} {self.folder} holds classes that are not asked for: {', '.join(unknown)}; expected some of "
                f"{', '.join(self.classes)}, so make it with the same --classes"
            )
        self.names = [name for c in self.classes for name in by_class.get(c, [])]
        self.labels = np.repeat(
            np.arange(len(self.classes), dtype=np.int32), [len(by_class.get(c, [])) for c in self.classes]
        )
        keep_together([self], in_memory)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def in_memory(self) -> bool:
        """Whether decoded images are kept."""
        return self._pixels is not None

    def subset(self, index: np.ndarray) -> "Images":
        """Return these images alone, in this order, sharing the decoded ones with the whole.

        ``index`` is an int array of positions.
        """
        part = object.__new__(Images)
        part.__dict__.update(self.__dict__)
        part.names = [self.names[i] for i in index]
        part.labels = self.labels[index]
        part._rows = self._rows[index]
        return part

    def __getitem__(self, i: int) -> np.ndarray:
        """Return image ``i``: uint8, shape (128, 128). Raises InputError if the file is no image."""
        if self._pixels is None:
            return decode(self._read(i), self._path(i))
        row = self._rows[i]
        if not self._decoded[row]:
            self._pixels[row] = decode(self._read(i), self._path(i))
            self._decoded[row] = True
        return self._pixels[row]

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Return these images as one new array: uint8, shape (len(index), 128, 128)."""
        if self._pixels is not None and self._decoded[self._rows[index]].all():
            return self._pixels[self._rows[index]]
        return np.stack([self[i] for i in index])

    def check(self, jobs: int | None = None) -> str:
        """Read every image once, keep it if they are kept, and return the checksum of all.

        Many images are read by processes where they can be forked, before TensorFlow or JAX is imported, else by
        threads, which wait for one another most of the time.

        Parameters
        ----------
        jobs : int, optional
            Processes or threads (default one for each core).

        Returns
        -------
        str
            SHA-256, in hexadecimal, over the names and bytes of the files.

        Raises
        ------
        InputError
            Naming the first file that is no whole image.
        """
        chunks = [
            range(first, min(first + _CHUNK, len(self.names))) for first in range(0, len(self.names), _CHUNK)
        ]
        jobs = min(jobs or command.available_cores(), len(chunks))
        pool, take = None, _take_inherited
        if jobs > 1 and _may_fork(len(self.names)):
            pool = command.process_pool(jobs, _inherit, self)
        if pool is None:
            pool, take = ThreadPoolExecutor(jobs), self._take
        digest = hashlib.sha256()
        with pool:
            try:
                for chunk, checksums in zip(chunks, pool.map(take, chunks), strict=True):
                    for i, checksum in zip(chunk, checksums, strict=True):
                        digest.update(os.fsencode(self.names[i]) + b"\0" + checksum)
                    if self._pixels is not None:
                        self._decoded[self._rows[chunk.start : chunk.stop]] = True
            except BrokenProcessPool:
                raise InputError(
                    f"a process that read {self.folder} was killed, maybe for want of memory; free some, or read fewer images"
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return digest.hexdigest()

    def _take(self, chunk: range) -> list[bytes]:
        """Read these images, and keep them if they are kept; return the SHA-256 of each file."""
        checksums = []
        for i in chunk:
            content = self._read(i)
            image = decode(content, self._path(i))
            if self._shared is not None:
                # Faster than through the map, where each page is first filled with zeros.
                place = int(self._rows[i]) * image.nbytes
                if os.pwrite(self._shared.fileno(), image, place) != image.nbytes:
                    raise MemoryError("no room for all images in memory")
            elif self._pixels is not None:
                self._pixels[self._rows[i]] = image
            checksums.append(hashlib.sha256(content).digest())
        return checksums

    def _path(self, i: int) -> str:
        """Return where image file ``i`` is; pathlib would take a good part of the time of reading it."""
        return f"{self.folder}/{self.names[i]}"

    def _read(self, i: int) -> bytes:
        """Return the bytes of image file ``i``."""
        path = self._path(i)
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # open() costs as much again as reading
            try:
                kind = os.fstat(file)
                if not stat.S_ISREG(kind.st_mode) or kind.st_size > LARGEST_IMAGE:
                    fault = f"is no regular file, or has more than {LARGEST_IMAGE / 2**20:,.0f} MB"
                    raise InputError(f"{path} {fault}; mend or remove it")
                content = os.read(file, kind.st_size)
                while len(content) < kind.st_size and (more := os.read(file, kind.st_size - len(content))):
                    content += more
                return content
            finally:
                os.close(file)
        except OSError as problem:
            raise InputError(f"{path} cannot be read ({problem.strerror}); mend or remove it") from problem


# In a process of Images.check: its images, as they were when it was forked; their pixels are shared.
_inherited: Images | None = None


def _inherit(images: Images) -> None:
    """Begin such a process."""
    global _inherited
    command.start_worker()
    cv2.setNumThreads(1)
    _inherited = images


def _take_inherited(chunk: range) -> list[bytes]:
    """Do Images._take in such a process."""
    return _inherited._take(chunk)


def _may_fork(images: int) -> bool:
    """Return whether forked processes should read so many images: on Linux, without threads of TensorFlow's kind."""
    threads_of_their_own = {"tensorflow", "jax", "torch"} & set(sys.modules)
    return images >= _MANY_IMAGES and sys.platform == "linux" and not threads_of_their_own


def _make_room(images: int) -> tuple[np.ndarray, io.FileIO | None]:
    """Return room for images, and the file in memory that it is if forked processes are to fill it.

    The room is uint8, shape (images, 128, 128).
    """
    shape = (images, IMAGE_SIZE, IMAGE_SIZE)
    if not _may_fork(images):
        return np.empty(shape, np.uint8), None
    file = open(os.memfd_create("images"), "r+b", buffering=0)  # noqa: SIM115 - it lives as long as the images
    file.truncate(math.prod(shape))
    return np.frombuffer(mmap.mmap(file.fileno(), math.prod(shape)), np.uint8).reshape(shape), file


def keep_together(parts: list[Images], in_memory: bool | None = None) -> None:
    """Make one room in memory for the decoded images of all ``parts``, or for none of them.

    By default if they take at most half of the free memory.
    """
    number = sum(map(len, parts))
    if in_memory is None:
        in_memory = number * IMAGE_SIZE * IMAGE_SIZE <= MEMORY_SHARE * free_memory()
    pixels, shared = _make_room(number) if in_memory else (None, None)
    decoded, rows = np.zeros(number, bool), np.arange(number)
    for part in parts:
        part._pixels, part._shared, part._decoded = pixels, shared, decoded
        part._rows, rows = np.split(rows, [len(part)])


def join(parts: list[Images]) -> Images:
    """Return images of several folders as one, in this order; the ``parts`` were kept together, and have one list of classes."""
    whole = parts[0].subset(np.arange(len(parts[0])))
    if parts[1:]:
        folders = [os.path.abspath(part.folder) for part in parts]
        whole.folder = Path(os.path.commonpath(folders))
        below = [os.path.relpath(folder, whole.folder) for folder in folders]
        whole.names = [
            f"{place}/{name}" for place, part in zip(below, parts, strict=True) for name in part.names
        ]
        whole.labels = np.concatenate([part.labels for part in parts])
        whole._rows = np.concatenate([part._rows for part in parts])
    return whole


def limit_images(images: Images, limit: int, seed: int) -> Images:
    """Return at most ``limit`` images of each class, drawn at random by the seed."""
    random = np.random.default_rng([seed, limit])
    kept = []
    for label in range(len(images.classes)):
        of_class = np.flatnonzero(images.labels == label)
        kept.append(np.sort(random.choice(of_class, min(limit, len(of_class)), replace=False)))
    return images.subset(np.concatenate(kept))


def list_folder(folder: Path, option: str = "--data") -> dict[str, list[str]]:
    """Return the image files of each class folder in ``folder``, as sorted paths below it.

    Hidden files, and class folders without any file, are passed over. Raises InputError, naming the ``option`` that gave
    the folder, if nothing is left.
    """
    remedy = "give a folder with one sub-folder of images for each class (make_dataset.py)"
    entries = _shown(reading.list_folder(folder, f"{option} {folder}", remedy))
    refuse_unfinished(folder, "make the data set again")
    by_class, strange = {}, _strange(entries)
    for class_name in sorted(entry.name for entry in entries if _is(entry.is_dir)):
        path = folder / class_name
        entries = _shown(reading.list_folder(path, f"{option} {folder}: {class_name}", "mend or remove it"))
        strange += _strange(entries) + [
            f"{entry.path} (a folder, where images are)" for entry in entries if _is(entry.is_dir)
        ]
        names = [f"{class_name}/{entry.name}" for entry in entries if _is(entry.is_file)]
        if names:
            by_class[class_name] = sorted(names)
    if strange:
        raise InputError(
            f"{option} {folder} holds {len(strange)} that can be no image, the first is {min(strange)}; mend or remove "
            f"{'it' if len(strange) == 1 else 'them'}"
        )
    if not by_class:
        raise InputError(
            f"{option} {folder} holds no class folders with images; give a folder with one sub-folder for each class, "
            "or make one with make_dataset.py"
        )
    return by_class


def _shown(entries: list[os.DirEntry]) -> list[os.DirEntry]:
    """Return these entries of a folder without hidden ones, and without what file managers leave behind."""
    return [e for e in entries if not e.name.startswith(".") and e.name.lower() not in _IGNORED]


def _is(kind: Callable[[], bool]) -> bool:
    """Return what ``entry.is_file`` or ``entry.is_dir`` does, and False for a link that leads nowhere."""
    try:
        return kind()
    except OSError:
        return False


def _strange(entries: list[os.DirEntry]) -> list[str]:
    """Return which entries are neither files nor folders, and why."""
    found = []
    for entry in entries:
        if _is(entry.is_file) or _is(entry.is_dir):
            continue
        try:
            entry.stat()
            fault = "no regular file"
        except OSError as problem:
            fault = f"a link to what cannot be opened: {problem.strerror}"
        found.append(f"{entry.path} ({fault})")
    return found


def order_classes(names) -> list[str]:
    """Return class names in the paper's order, or in that of AAMI, where all are among them; else sorted."""
    for scheme in CLASSES.values():
        if set(names) <= set(scheme):
            return [name for name in scheme if name in names]
    return sorted(names)
