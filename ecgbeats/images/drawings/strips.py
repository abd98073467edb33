"""The drawing "strips": the beat and the five seconds around it, at fixed scales of time and amplitude."""

from collections.abc import Callable

from ecgbeats.images.bands import BEAT_STRIP, RHYTHM_STRIP, amplitudes, draw_ticks, strip_line
from ecgbeats.images.canvas import IMAGE_SIZE, WHITE
from ecgbeats.records.record import Record

import numpy as np


def drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat of ``record`` with its rhythm, given its index among the beats.

    The image has three bands. At the top the signal around the beat, at a fixed scale of time, the annotation always
    in the same column; at the bottom a longer stretch, at a slower scale; between them a tick at each annotated beat
    of that stretch, its own among them. Both show the signal as :func:`amplitudes` gives it, so that a low beat is
    low. What lies outside of the record stays white.
    """
    depth = 1 - amplitudes(record.signal, record.rate)
    lines = [strip_line(strip, depth, record.rate) for strip in (BEAT_STRIP, RHYTHM_STRIP)]

    def draw_strips(beat: int) -> np.ndarray:
        image = np.full((IMAGE_SIZE, IMAGE_SIZE), WHITE, np.uint8)
        sample = int(record.samples[beat])
        for line in lines:
            line(image, sample)
        draw_ticks(image, record.samples, sample, record.rate)
        return image

    return draw_strips
