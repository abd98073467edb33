"""Image files of strangers: whole ones alone, in gray, with white behind what is transparent."""

import io
import struct

from ecgbeats.images import MOST_PIXELS

import cv2
import numpy as np
import simplejpeg
from zlib_ng import zlib_ng

PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
JPEG_BEGIN = b"\xff\xd8"
# Formats beside PNG that may be transparent and that OpenCV reads, by Pillow's names. None of them runs a program.
_MAYBE_TRANSPARENT = ("WEBP", "TIFF", "GIF", "BMP", "DIB", "JPEG2000", "AVIF")


def decode_foreign(content: bytes) -> np.ndarray:
    """Decode an image file to gray, of its own size.

    Parameters
    ----------
    content : bytes
        The file's bytes, in any format that OpenCV reads.

    Returns
    -------
    numpy.ndarray, uint8, shape (height, width)
        OpenCV's gray image; of one that is transparent somewhere, that image over white.

    Raises
    ------
    ValueError
        If it is no image, or not a whole one, or has more than MOST_PIXELS; the message is the fault.
    """
    # libpng and libjpeg write to standard error what is wrong with a file, so a broken one must not get there;
    # of a JPEG that is cut short OpenCV returns the part there is.
    try:
        if content.startswith(PNG_BEGIN):
            image = _decode_png(content)
        elif content.startswith(JPEG_BEGIN):
            image = _decode(content) if _is_whole_jpeg(content) else None
        else:
            image = _over_white(content)
            image = _decode(content) if image is None else image
    except cv2.error as problem:
        if problem.code == cv2.Error.StsNoMem:
            raise MemoryError(problem.err) from None
        raise ValueError(f"is no image that OpenCV reads, or has more than {MOST_PIXELS:,d} pixels") from None
    if image is None:
        raise ValueError("is not an image, or is cut short or corrupt" if content else "is empty")
    return image


def _decode(content: bytes, flags: int = cv2.IMREAD_GRAYSCALE) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def _decode_png(content: bytes) -> np.ndarray | None:
    """Decode a PNG; None if a chunk is broken or missing."""
    chunks = _png_chunks(content)
    if chunks is None:
        return None
    if b"tRNS" not in chunks and not chunks[b"IHDR"][9] & 4:  # no transparent colour, no alpha channel
        return _decode(content)
    data = np.frombuffer(content, np.uint8)
    raw, kinds, metadata = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_UNCHANGED)
    if raw is None:
        return None
    opacity = _opacity(raw, chunks)
    if opacity.min() == 1:
        return _decode(content)
    gray = _decode(content, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    blended = np.rint(255 - opacity * (255.0 - gray)).astype(np.uint8)
    # OpenCV turns an image as its EXIF says, but not its alpha channel: so that it turns the result as well.
    return _decode(cv2.imencodeWithMetadata(".png", blended, kinds, metadata)[1])


def _opacity(raw: np.ndarray, chunks: dict[bytes, bytes]) -> np.ndarray:
    """Return how opaque each pixel of a PNG is, from 0 to 1; ``raw`` is what OpenCV makes of it unchanged."""
    if raw.ndim == 3 and raw.shape[2] == 4:
        return raw[..., 3] / np.iinfo(raw.dtype).max
    if raw.ndim == 2 and len(chunks[b"tRNS"]) == 2:  # one level of gray, which OpenCV does not see
        depth = chunks[b"IHDR"][8]
        level = int.from_bytes(chunks[b"tRNS"]) * (1 if depth >= 8 else 255 // (2**depth - 1))
        return (raw != level).astype(float)
    return np.ones(raw.shape[:2])  # a chunk of another length than it must have: libpng passes over it


def _png_chunks(content: bytes) -> dict[bytes, bytes] | None:
    """Return the chunks of a PNG but for its pixels, the last of each kind; None if one is broken or missing."""
    chunks = {}
    place, kind = len(PNG_BEGIN), b""
    while kind != b"IEND":
        if place + 12 > len(content):
            return None
        length = struct.unpack_from(">I", content, place)[0]
        end = place + 8 + length
        if end + 4 > len(content):
            return None
        if zlib_ng.crc32(content[place + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            return None
        kind = content[place + 4 : place + 8]
        if kind != b"IDAT":
            chunks[kind] = content[place + 8 : end]
        place = end + 4
    return chunks if len(chunks.get(b"IHDR", b"")) == 13 else None


def _is_whole_jpeg(content: bytes) -> bool:
    """Return whether libjpeg decodes a JPEG without complaint; it fills what is missing with gray.

    Arithmetic coding says nothing of what is missing before an end mark.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if height * width <= MOST_PIXELS:  # else OpenCV refuses it
            own = "CMYK" if colours in ("CMYK", "YCCK") else "GRAY"  # libjpeg makes no gray of those
            simplejpeg.decode_jpeg(content, own)
    except ValueError as problem:
        # Sampling that TurboJPEG has no name for, as 4:1 both ways: OpenCV decodes it.
        return "subsampling" in str(problem) and b"\xff\xd9" in content[-1024:]
    return True


def _over_white(content: bytes) -> np.ndarray | None:
    """Return an image over white if it is transparent somewhere, else None. Raises ValueError for a broken one.

    By Pillow, since OpenCV does not see the alpha channel of a gray TIFF, and multiplies that of a coloured one.
    """
    from PIL import Image, ImageOps

    try:
        image = Image.open(io.BytesIO(content), formats=_MAYBE_TRANSPARENT)
        if not image.has_transparency_data or image.width * image.height > MOST_PIXELS:
            return None
    except Exception:  # Pillow has no common error; what it cannot open, OpenCV may
        return None
    try:
        image = ImageOps.exif_transpose(image).convert("RGBA")
    except Exception:
        raise ValueError("is cut short or corrupt") from None
    if image.getextrema()[3][0] == 255:
        return None
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("L"))
