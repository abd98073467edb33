"""Image files of strangers: transparent ones, ones cut short, too large ones, and what is no file."""

import base64
import io
import os
import socket
import struct
import time
import zlib
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images import folder as folder_module
from ecgbeats.images.folder import Images
from ecgbeats.images.image_files import decode, encode

import cv2
import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

CASES = PROJECT.parent / "shared" / "cases"
SIZE = 128
# A line: opaque in the middle, half transparent beside it.
ALPHA = np.zeros((SIZE, SIZE), np.uint8)
ALPHA[60:64] = 255
ALPHA[40:44] = 128
BLACK = np.zeros_like(ALPHA)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth: int, colours: int, row: bytes, *chunks: bytes, width: int = SIZE, height: int = SIZE) -> bytes:
    """A PNG of equal rows."""
    size = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * height)
    ends = chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + b"".join((*chunks, *ends))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pillow(mode: str, gray: np.ndarray = BLACK) -> Image.Image:
    """An image of black lines that stand in the alpha channel."""
    return Image.fromarray(np.dstack([gray] * 3 + [ALPHA])).convert(mode)


LINES_OVER_WHITE = 255 - ALPHA.astype(int)
TRANSPARENT = {
    "PNG, RGBA": saved(pillow("RGBA"), "PNG"),
    "PNG, gray and alpha": saved(pillow("LA"), "PNG"),
    "PNG, RGBA, 16 bits": cv2.imencode(".png", np.dstack([BLACK] * 3 + [ALPHA]).astype(np.uint16) * 257)[
        1
    ].tobytes(),
    "WebP": saved(pillow("RGBA"), "WEBP", lossless=True),
    "TIFF": saved(pillow("RGBA"), "TIFF"),
    "TIFF, gray and alpha": saved(pillow("LA"), "TIFF"),
    "JPEG 2000": saved(pillow("RGBA"), "JPEG2000"),
    "AVIF": saved(pillow("RGBA"), "AVIF"),
    "BMP": cv2.imencode(".bmp", np.dstack([BLACK] * 3 + [ALPHA]))[1].tobytes(),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_what_is_transparent_is_white(name):
    found = decode(TRANSPARENT[name], name)
    assert found.shape == (SIZE, SIZE)
    assert found.dtype == np.uint8
    tolerance = 3 if name == "AVIF" else 1
    assert np.abs(found - LINES_OVER_WHITE).max() <= tolerance


def test_gray_lies_over_white_by_its_opacity():
    gray = np.full_like(ALPHA, 100)
    expected = np.where(ALPHA == 255, 100, np.where(ALPHA == 128, 177, 255))
    assert np.abs(decode(saved(pillow("RGBA", gray), "PNG"), "a.png") - expected).max() <= 1
    assert np.abs(decode(saved(pillow("LA", gray), "PNG"), "a.png") - expected).max() <= 1


def test_the_transparent_case_of_the_field():
    files = sorted(CASES.glob("img-transparent-png/*/*.png"))
    if not files:
        pytest.skip("the cases are not in ../shared/cases")
    for file in files:
        image = decode(file.read_bytes(), file)
        assert 240 < image.mean() < 250
        assert image.min() < 50


PALETTE = chunk(b"PLTE", bytes([0, 0, 0, 100, 100, 100]))
LEVELS = {
    # name: file, first pixels
    "a palette with a transparent entry": (
        png(8, 3, bytes([0, 1] * 64), PALETTE, chunk(b"tRNS", b"\0")),
        [255, 100],
    ),
    "a palette with a half transparent one": (
        png(8, 3, bytes([0, 1] * 64), PALETTE, chunk(b"tRNS", b"\x80\xff")),
        [127, 100],
    ),
    "a palette of one bit": (png(1, 3, b"\x55" * 16, PALETTE, chunk(b"tRNS", b"\0")), [255, 100]),
    "a gray level": (png(8, 0, bytes([3, 4] * 64), chunk(b"tRNS", b"\0\3")), [255, 4]),
    "a gray level of one bit": (png(1, 0, b"\x50" * 16, chunk(b"tRNS", b"\0\1")), [0, 255, 0, 255, 0, 0]),
    "black of one bit": (png(1, 0, b"\x50" * 16, chunk(b"tRNS", b"\0\0")), [255] * 4),
    "a gray level of two bits": (png(2, 0, b"\x1b" * 32, chunk(b"tRNS", b"\0\1")), [0, 255, 170, 255]),
    "a gray level of four bits": (png(4, 0, b"\x12" * 64, chunk(b"tRNS", b"\0\1")), [255, 34]),
    "a gray level of 16 bits": (png(16, 0, b"\1\2\1\3" * 64, chunk(b"tRNS", b"\1\2")), [255, 1]),
    "a colour": (png(8, 2, bytes([1, 2, 3, 9, 9, 9] * 64), chunk(b"tRNS", b"\0\1\0\2\0\3")), [255, 9]),
    "a colour of 16 bits": (
        png(16, 2, b"\1\2\3\4\5\6\x09\0\x09\0\x09\0" * 64, chunk(b"tRNS", b"\1\2\3\4\5\6")),
        [255, 9],
    ),
    "a chunk of no use": (png(8, 0, bytes([3, 4] * 64), chunk(b"tRNS", b"\0\3\0")), [3, 4]),
}


@pytest.mark.parametrize("name", LEVELS)
def test_a_transparent_colour_of_a_png_is_white(name):
    content, expected = LEVELS[name]
    assert np.abs(decode(content, name)[0, : len(expected)].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "PPM", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_opaque_images_are_decoded_as_opencv_does(kind, mode):
    image = Image.fromarray(np.random.default_rng(5).integers(0, 256, (SIZE, SIZE, 3), np.uint8)).convert(
        mode
    )
    try:
        content = saved(image, kind)
    except OSError:
        pytest.skip(f"{kind} has no {mode}")
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(decode(content, "a"), expected)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_transparent_image_is_turned_as_its_exif_says(kind):
    exif = Image.Exif()
    exif[0x112] = 6  # the first row is the right side
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    alpha[:10] = 255
    image = Image.fromarray(np.dstack([BLACK] * 3 + [alpha]))
    found = decode(saved(image, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})), "a")
    assert (found[:, -10:] == 0).all()
    assert (found[:, :-10] == 255).all()


def test_our_own_images_need_no_library():
    import ecgbeats.images.image_files as module

    content = encode(np.full((SIZE, SIZE), 77, np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "decode_foreign", None)
        assert (module.decode(content, "a.png") == 77).all()


def lines(height=200, width=301) -> np.ndarray:
    image = np.full((height, width, 3), 255, np.uint8)
    x = np.arange(width)
    points = np.stack([x, height / 2 + height / 3 * np.sin(x / 9)], axis=1).astype(np.int32)
    cv2.polylines(image, [points[:, None]], False, (0, 0, 0), 2)
    return image


JPEGS = {
    "Pillow's photograph-like noise": saved(
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)), "JPEG"
    )
}
for options in (
    {},
    {"progressive": True},
    {"optimize": True},
    {"quality": 100, "subsampling": 0},
    {"quality": 1},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 1},
):
    for mode in ("RGB", "L", "CMYK"):
        JPEGS[f"Pillow's {mode} {options}"] = saved(Image.fromarray(lines()).convert(mode), "JPEG", **options)
for setting in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]):
    JPEGS[f"OpenCV's {setting}"] = cv2.imencode(".jpg", lines(), setting)[1].tobytes()


@pytest.mark.parametrize("name", JPEGS)
def test_whole_jpegs_are_taken_and_cut_ones_refused(name, capfd):
    content = JPEGS[name]
    assert decode(content, name).shape == (SIZE, SIZE)
    assert decode(content + b"\0" * 5000, name).shape == (SIZE, SIZE)  # cameras put more behind the end
    for share in (0.3, 0.6, 0.9):
        cut = content[: int(share * len(content))]
        for broken in (cut, cut + b"\xff\xd9"):
            with pytest.raises(InputError, match=r"a\.jpg is .*cut short"):
                decode(broken, "a.jpg")
    assert capfd.readouterr().err == ""


# cjpeg -sample 4x2, of 32 x 16 pixels.
SAMPLED_4X2 = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wCDEAAoABwAHgAjAB4AGQAoACMAIQAjAC0AKwAoADAAPABkAEEAPAA3ADcAPAB7AFgAXQ"
    "BJAGQAkQCAAJkAlgCPAIAAjACKAKAAtADmAMMAoACqANoArQCKAIwAyAERAMsA2gDuAPUBAgEEAQIAmwDBARsBLwEYAPoBLADm"
    "AP0BAgD4/9sAQwErLS08NTx2QUF2+KWMpfj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+P"
    "j4/8EAEQgAEAAgAwFCAAIRAQMRAf/EABUAAQEAAAAAAAAAAAAAAAAAAAAF/8QAGBAAAgMAAAAAAAAAAAAAAAAAAAVko+H/xAAU"
    "AQEAAAAAAAAAAAAAAAAAAAAA/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AP41mB/GswP41mB/GswsgAD//2Q"
    "=="
)


def test_sampling_without_a_name_is_taken():
    expected = cv2.imdecode(np.frombuffer(SAMPLED_4X2, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert expected.shape == (16, 32)
    assert decode(SAMPLED_4X2, "a.jpg").min() < 100
    with pytest.raises(InputError):
        decode(SAMPLED_4X2[:-20], "a.jpg")


BOMBS = {
    "a.png": png(8, 0, b"", width=30_000, height=30_000),
    "wide.png": png(8, 0, b"", width=2_000_000, height=100),
    "largest.png": png(8, 6, b"", width=2**31 - 1, height=2**31 - 1),
    "alpha.png": png(8, 6, b"", width=30_000, height=30_000),
    "a.bmp": b"BM"
    + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 30_000, 30_000, 1, 8, 0, 0, 0, 0, 0, 0)
    + b"\0" * 99,
    "a.ppm": b"P6 30000 30000 255\n" + b"\0" * 99,
}
BOMBS["a.jpg"] = bytearray(saved(Image.fromarray(lines()), "JPEG"))
_frame = BOMBS["a.jpg"].index(b"\xff\xc0") + 5
BOMBS["a.jpg"][_frame : _frame + 4] = b"\xff\xff\xff\xff"


@pytest.mark.parametrize("name", BOMBS)
def test_an_image_of_too_many_pixels_is_refused_at_once(name):
    started = time.perf_counter()
    with pytest.raises(InputError, match=name):
        decode(bytes(BOMBS[name]), name)
    assert time.perf_counter() - started < 2


@pytest.fixture
def data(small_images, tmp_path):
    """A folder of three classes; NOR may be changed."""
    for name in ("PVC", "LBB"):
        (tmp_path / name).symlink_to(small_images / name)
    (tmp_path / "NOR").mkdir()
    for file in sorted((small_images / "NOR").iterdir())[:3]:
        (tmp_path / "NOR" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


STRANGE = {
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a loop": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to a folder": lambda path: path.symlink_to("../PVC"),
    "a link to a pipe": lambda path: (os.mkfifo(path.with_name(".pipe")), path.symlink_to(".pipe")),
    "a socket": make_socket,
    "a link through a file": lambda path: path.symlink_to("../PVC/../NOR/" + path.name + "/x"),
    "a link with a long name": lambda path: path.symlink_to("x" * 300),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_file_is_named_and_counted(data, kind, run, refused):
    STRANGE[kind](data / "NOR" / "a_5.png")
    (data / "NOR" / "b_6.png").symlink_to("nothing, too")
    with pytest.raises(InputError, match=r"holds 2 .* the first is .*NOR/a_5\.png"):
        Images(data)
    result = run("train_keras.py", "--data", data, "--output", data.parent / "out", timeout=60)
    refused(result, "holds 2", "NOR/a_5.png")


@pytest.mark.parametrize("kind", ["a link to nothing", "a loop"])
def test_a_class_folder_that_leads_nowhere_is_named(data, kind):
    STRANGE[kind](data / "RBB")
    with pytest.raises(InputError, match=r"holds 1 .* is .*RBB"):
        Images(data)


def test_links_to_images_and_hidden_leftovers_are_no_matter(data):
    (data / "NOR" / "linked_7.png").symlink_to(sorted((data / "NOR").iterdir())[0].name)
    (data / "NOR" / ".leftover").symlink_to("nothing")
    assert len(Images(data)) == 3 + 1 + 20 + 10
    Images(data).check()


def test_files_that_are_given_one_by_one_do_not_hang(data):
    os.mkfifo(data / "NOR" / "p_1.png")
    (data / "NOR" / "d_1.png").symlink_to("/dev/zero")
    for name in ("p_1.png", "d_1.png"):
        with pytest.raises(InputError, match="no regular file"):
            Images([data / "NOR" / name]).check()


def test_a_file_that_may_not_be_read_is_bad_input(data, monkeypatch):
    file, open_ = str(sorted((data / "NOR").iterdir())[0]), os.open

    def refuse(path, *rest, **options):
        if str(path) == file:
            raise PermissionError(13, "Permission denied", path)
        return open_(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        Images(data).check()


def test_a_folder_that_may_not_be_read_is_bad_input(data, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("NOR"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"NOR cannot be read \(Permission denied\)"):
        Images(data)


def test_a_file_of_gigabytes_is_refused_unread(data, monkeypatch):
    monkeypatch.setattr(folder_module, "LARGEST_IMAGE", 1000)
    (data / "NOR" / "large_1.png").write_bytes(b"\0" * 1001)
    with pytest.raises(InputError, match="large_1"):
        Images(data).check()


@pytest.mark.parametrize("name", ["missing", "file", "x" * 300])
def test_data_that_is_no_folder_is_refused(tmp_path, run, refused, name):
    if name == "file":
        (tmp_path / name).write_text("")
    refused(
        run("train_keras.py", "--data", tmp_path / name, "--output", tmp_path / "o"),
        f"--data {tmp_path / name} ",
    )
