"""Images: how a beat is drawn, image files and folders of them, and which of them train, validate and test."""

import os

# Of an image file: beyond any beat, and any page at 1,000 dots an inch. OpenCV reads its limit when it is imported.
MOST_PIXELS = 2**27
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
