"""A folder of images with one sub-folder for each class: ours, or a stranger's.

Nothing here needs Keras, so that bad data is found before TensorFlow is imported.
"""

import hashlib
import itertools
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from command import InputError

import cv2
import numpy as np
from zlib_ng import zlib_ng

import beats
from beats import IMAGE_SIZE

# Files that file managers leave behind.
_IGNORED = {"thumbs.db", "desktop.ini"}
# The part of the free memory that decoded images may take; the rest is for the network.
MEMORY_SHARE = 0.5
# Read at once; most images are smaller.
_READ_BYTES = 1 << 16
# How a PNG of IMAGE_SIZE begins, 8 bits gray and not interlaced, up to the length of its first data, and how it ends.
_IHDR = b"IHDR" + struct.pack(">IIBBBBB", IMAGE_SIZE, IMAGE_SIZE, 8, 0, 0, 0, 0)
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + _IHDR + struct.pack(">I", zlib_ng.crc32(_IHDR))
_PNG_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib_ng.crc32(b"IEND"))


class Images:
    """The images of some classes, decoded once each and kept in memory while that fits.

    Parameters
    ----------
    source : path-like or sequence of path-like
        A folder with one sub-folder for each class, or image files, whose folders' names are their classes.
    classes : sequence of str, optional
        The class names in the order of the labels; by default as :func:`order_classes` gives.
    in_memory : bool, optional
        Whether to keep decoded images. By default while they take at most half of the free memory.

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

    def __init__(self, source, classes=None, in_memory: bool | None = None):
        if isinstance(source, (str, os.PathLike)):
            self.folder = Path(source)
            by_class = list_folder(self.folder)
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
        self.classes = list(classes) if classes is not None else order_classes(by_class)
        unknown = sorted(set(by_class) - set(self.classes))
        if unknown:
            raise InputError(
                f"{self.folder} holds classes that are not asked for: {', '.join(unknown)}; "
                f"expected {', '.join(self.classes)}"
            )
        self.names = [name for c in self.classes for name in by_class.get(c, [])]
        self.labels = np.repeat(
            np.arange(len(self.classes), dtype=np.int32), [len(by_class.get(c, [])) for c in self.classes]
        )
        size = len(self.names) * IMAGE_SIZE * IMAGE_SIZE
        if in_memory is None:
            in_memory = size <= MEMORY_SHARE * free_memory()
        self._pixels = np.empty((len(self.names), IMAGE_SIZE, IMAGE_SIZE), np.uint8) if in_memory else None
        self._decoded = np.zeros(len(self.names), bool)
        self._rows = np.arange(len(self.names))

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

    def check(self, threads: int | None = None) -> str:
        """Read every image once, keep it if they are kept, and return the checksum of all.

        Returns
        -------
        str
            SHA-256, in hexadecimal, over the names and bytes of the files.

        Raises
        ------
        InputError
            Naming the first file that is no whole image.
        """

        def take(first: int) -> list[bytes]:
            checksums = []
            for i in range(first, min(first + chunk, len(self))):
                content = self._read(i)
                image = decode(content, self._path(i))
                if self._pixels is not None:
                    self._pixels[self._rows[i]] = image
                    self._decoded[self._rows[i]] = True
                checksums.append(hashlib.sha256(content).digest())
            return checksums

        chunk = 256  # one task for each image would be several times slower than one thread
        digest = hashlib.sha256()
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            try:
                parts = pool.map(take, range(0, len(self), chunk))
                for name, checksum in zip(self.names, itertools.chain.from_iterable(parts), strict=True):
                    digest.update(os.fsencode(name) + b"\0" + checksum)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return digest.hexdigest()

    def _path(self, i: int) -> str:
        """Return where image file ``i`` is; pathlib would take a good part of the time of reading it."""
        return f"{self.folder}/{self.names[i]}"

    def _read(self, i: int) -> bytes:
        """Return the bytes of image file ``i``."""
        path = self._path(i)
        try:
            file = os.open(path, os.O_RDONLY)  # open() costs as much again as reading
            try:
                content = os.read(file, _READ_BYTES)
                while more := os.read(file, _READ_BYTES):
                    content += more
                return content
            finally:
                os.close(file)
        except OSError as problem:
            raise InputError(f"{path} cannot be read ({problem.strerror}); mend or remove it") from problem


def limit_images(images: Images, limit: int, seed: int) -> Images:
    """Return at most ``limit`` images of each class, drawn at random by the seed."""
    random = np.random.default_rng([seed, limit])
    kept = []
    for label in range(len(images.classes)):
        of_class = np.flatnonzero(images.labels == label)
        kept.append(np.sort(random.choice(of_class, min(limit, len(of_class)), replace=False)))
    return images.subset(np.concatenate(kept))


def list_folder(folder: Path) -> dict[str, list[str]]:
    """Return the image files of each class folder in ``folder``, as sorted paths below it.

    Hidden files, and class folders without any file, are passed over. Raises InputError if nothing is left.
    """
    if not folder.is_dir():
        fault = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(
            f"--data {folder} {fault}; give a folder with one sub-folder of images for each class (make_dataset.py)"
        )
    by_class = {}
    with os.scandir(folder) as entries:
        class_names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    for class_name in class_names:
        with os.scandir(folder / class_name) as entries:
            names = [
                f"{class_name}/{entry.name}"
                for entry in entries
                if not entry.name.startswith(".") and entry.name.lower() not in _IGNORED and entry.is_file()
            ]
        if names:
            by_class[class_name] = sorted(names)
    if not by_class:
        raise InputError(
            f"--data {folder} holds no class folders with images; give a folder with one sub-folder for each class, "
            "or make one with make_dataset.py"
        )
    return by_class


def order_classes(names) -> list[str]:
    """Return class names in the paper's order, or in that of AAMI, where all are among them; else sorted."""
    for scheme in beats.CLASSES.values():
        if set(names) <= set(scheme):
            return [name for name in scheme if name in names]
    return sorted(names)


def read_description(folder: str | os.PathLike) -> dict:
    """Return dataset.json of a folder that make_dataset.py made, or {} for any other."""
    path = Path(folder) / "dataset.json"
    try:
        description = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); make the data set again") from problem
    return description if isinstance(description, dict) else {}


def decode(content: bytes, path: str | os.PathLike) -> np.ndarray:
    """Decode an image file to grayscale of 128x128.

    Parameters
    ----------
    content : bytes
        The file's bytes, in any format that OpenCV reads.
    path : path-like
        For the error's text.

    Returns
    -------
    numpy.ndarray, uint8, shape (128, 128)

    Raises
    ------
    InputError
        If it is no image, or not a whole one.
    """
    image = _decode_plain(content)
    if image is not None:
        return image
    # libpng and libjpeg write to standard error what is wrong with a file, so a broken one must not get there;
    # of a JPEG that is cut short OpenCV returns the part there is.
    if content and _is_whole(content):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        fault = "is empty" if not content else "is not an image, or is cut short or corrupt"
        raise InputError(f"{path} {fault}; remove it, or make the data set again")
    if image.shape != (IMAGE_SIZE, IMAGE_SIZE):
        shrinks = min(image.shape) >= IMAGE_SIZE
        image = cv2.resize(
            image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    return image


def _decode_plain(content: bytes) -> np.ndarray | None:
    """Decode a PNG as make_dataset.py writes it; None for any other file, and for a broken one.

    That is: of IMAGE_SIZE, 8 bits gray, in one chunk, no row filtered. The result is OpenCV's, in half the time.
    """
    begin = len(_PNG_BEGIN)
    if not (content.startswith(_PNG_BEGIN) and content.endswith(_PNG_END)):
        return None
    length, kind = struct.unpack_from(">I4s", content, begin)
    end = begin + 8 + length
    if kind != b"IDAT" or end + 4 + len(_PNG_END) != len(content):
        return None
    data = memoryview(content)
    if zlib_ng.crc32(data[begin + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
        return None
    size = IMAGE_SIZE * (1 + IMAGE_SIZE)  # each row begins with the number of its filter
    try:
        pixels = zlib_ng.decompress(data[begin + 8 : end], bufsize=size)
    except zlib_ng.error:
        return None
    if len(pixels) != size:
        return None
    rows = np.frombuffer(pixels, np.uint8).reshape(IMAGE_SIZE, 1 + IMAGE_SIZE)
    return None if rows[:, 0].any() else rows[:, 1:].copy()


def _is_whole(content: bytes) -> bool:
    """Return False for a PNG whose chunks are broken or missing, or a JPEG without its end."""
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in content[-1024:]
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return True
    place, kind = 8, b""
    while kind != b"IEND":
        if place + 12 > len(content):
            return False
        length = struct.unpack_from(">I", content, place)[0]
        end = place + 8 + length
        if end + 4 > len(content):
            return False
        if zlib_ng.crc32(content[place + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            return False
        kind = content[place + 4 : place + 8]
        place = end + 4
    return True


def free_memory() -> int:
    """Return how many bytes this process may still take, by the machine and by its container."""
    free = []
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        free.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):  # no Linux
        free.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # not in such a container, or without a limit ("max")
            continue
    return max(0, min(free))
