"""PNG files: what is written is read, and what is broken is told."""

import zlib

from ecgbeats.command import InputError
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.image_files import _PNG_BEGIN, _PNG_END, _decode_plain, decode, encode
from ecgbeats.records.record import Record

import cv2
import numpy as np
import pytest


def test_any_damage_to_our_own_images_is_found(capfd):
    image = np.full((128, 128), 255, np.uint8)
    image[60:64, 10:90] = 0
    content = encode(image)
    for i in range(len(content)):
        for broken in (content[:i], content[:i] + bytes([content[i] ^ 16]) + content[i + 1 :]):
            with pytest.raises(InputError, match=r"a\.png"):
                decode(broken, "a.png")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_our_images_are_decoded_as_opencv_does(drawing):
    signal = np.random.default_rng(1).normal(size=9000).cumsum().astype(np.float32)
    samples = np.arange(200, 8900, 300)
    record = Record("x", "MLII", 360.0, signal, samples, np.full(len(samples), "N"))
    draw = DRAWINGS[drawing](record)
    for beat in range(len(samples)):
        content = encode(draw(beat))
        plain = _decode_plain(content)
        np.testing.assert_array_equal(plain, cv2.imdecode(np.frombuffer(content, np.uint8), 0))
        assert plain.flags["WRITEABLE"]
        assert plain.flags["C_CONTIGUOUS"]


NOISE = np.random.default_rng(3).integers(0, 256, (128, 128), dtype=np.uint8)


@pytest.mark.parametrize("image", [np.zeros((128, 128)), np.full((128, 128), 255), NOISE, NOISE.T])
def test_any_image_is_the_same_after_encoding(image):
    image = image.astype(np.uint8)
    content = encode(image)
    for found in (decode(content, "a.png"), cv2.imdecode(np.frombuffer(content, np.uint8), -1)):
        np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("image", [np.zeros((128, 127), np.uint8), np.zeros((128, 128), np.float32)])
def test_no_other_image_is_encoded(image):
    with pytest.raises(ValueError, match="128"):
        encode(image)


def png_of(image: np.ndarray, *settings, change=None) -> bytes:
    """Return a PNG, its image data changed by a function of the bytes before they are compressed."""
    content = cv2.imencode(".png", image, settings)[1].tobytes()
    if change is None:
        return content
    place = content.index(b"IDAT")
    length = int.from_bytes(content[place - 4 : place])
    data = b"IDAT" + zlib.compress(change(zlib.decompress(content[place + 4 : place + 4 + length])))
    chunk = (len(data) - 4).to_bytes(4) + data + zlib.crc32(data).to_bytes(4)
    return content[: place - 4] + chunk + content[place + 8 + length :]


LINE = np.where(np.abs(np.subtract.outer(np.arange(128), np.arange(128))) < 3, 0, 255).astype(np.uint8)


OTHER_PNGS = {
    "filtered": png_of(LINE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
    "many chunks": png_of(NOISE),
    "other size": png_of(LINE[:100]),
    "larger": png_of(np.tile(LINE, (2, 2))),
    "one bit": png_of(LINE, cv2.IMWRITE_PNG_BILEVEL, 1),
    "16 bits": png_of(LINE.astype(np.uint16) * 257),
    "colour": png_of(np.dstack([LINE, LINE.T, LINE])),
}


@pytest.mark.parametrize("name", OTHER_PNGS)
def test_other_pngs_are_left_to_opencv(name):
    content = OTHER_PNGS[name]
    assert _decode_plain(content) is None
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    found = decode(content, "a.png")
    assert found.shape == (128, 128)
    if expected.shape == found.shape:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "change",
    [lambda rows: rows[:-1], lambda rows: rows + b"\0", lambda rows: b"\7" + rows[1:]],
    ids=["too short", "too long", "no such filter"],
)
def test_wrong_image_data_in_a_whole_png_is_left_to_opencv(change):
    plain = cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE
    assert _decode_plain(png_of(LINE, *plain, change=bytes)) is not None
    assert _decode_plain(png_of(LINE, *plain, change=change)) is None


@pytest.mark.parametrize("held", range(0, 13))
def test_one_of_ours_without_its_pixels_is_refused(held):
    """Of the chunk of pixels, which takes 12 bytes when it is empty, these many are left."""
    whole = encode(np.full((128, 128), 255, np.uint8))
    with pytest.raises(InputError, match=r"a\.png is not an image"):
        decode(whole[: len(_PNG_BEGIN) + held] + _PNG_END, "a.png")
