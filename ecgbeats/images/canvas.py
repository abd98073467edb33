"""The sheet that beats are drawn on: its size, its gray levels, its lines."""

import cv2
import numpy as np

IMAGE_SIZE = 128  # pixels, both ways
WHITE = 255  # gray level of the background; the line is 0
# cv2 takes coordinates as whole numbers with this many fractional bits.
FRACTION_BITS = 8
# White pixels left free above and below, so that the line's own width is not cut off.
BORDER = 2.0


def draw_lines(image: np.ndarray, lines: list[np.ndarray], gray: int = 0) -> None:
    """Draw lines into ``image``, each through its points: int32, (points, 1, 2), column and row."""
    cv2.polylines(image, lines, False, gray, 1, cv2.LINE_AA, FRACTION_BITS)
