"""Numbers as text that a page can hold: differences, deflated, in base64. codec.js unpacks them."""

import base64

import numpy as np

# The second differences of a signal at 360 Hz are smaller than its samples, and than the first ones, so that
# a day fits into a page.
SIGNAL_ORDER = 2
BEATS_ORDER = 1


def pack(values: np.ndarray, order: int = 0) -> str:
    """Return whole numbers as text.

    Parameters
    ----------
    values : numpy.ndarray of uint8, int16 or int32, shape (numbers,)
    order : int
        How often the differences of neighbours are taken (the first of them from 0); they wrap around as the
        type does. Of differences, the signs move to the lowest bit, so that small ones are small numbers.

    Returns
    -------
    str
        Base64 of a zlib stream with all lowest bytes first, then all second ones, and so on.
    """
    from zlib_ng import zlib_ng

    for _ in range(order):
        values = np.diff(values, prepend=values.dtype.type(0))
    if order:
        values = (values << 1) ^ (values >> (8 * values.itemsize - 1))
    planes = np.frombuffer(values.astype(values.dtype.newbyteorder("<")).tobytes(), np.uint8)
    planes = planes.reshape(-1, values.itemsize).T
    return base64.b64encode(zlib_ng.compress(planes.tobytes(), 6)).decode()


def pack_signal(millivolts: np.ndarray, block: int, largest: int) -> tuple[list[str], float]:
    """Return a signal in blocks of so many samples, and the step in millivolts that it is rounded to.

    The step is the smallest of STEPS with which the blocks take at most ``largest`` bytes together, else the last. A
    signal that is too large for 16 bits in these steps takes a larger one, a faint one a smaller one.

    Parameters
    ----------
    millivolts : numpy.ndarray, float32, shape (samples,)
        At least one sample, all finite.
    """
    peak = float(np.abs(millivolts).max())
    typical = float(np.percentile(np.abs(millivolts[:: max(1, len(millivolts) // 100_000)]), 90))
    finest = min(1.0, typical / FAINT if typical else 1.0)
    for step in STEPS:
        step = max(step * finest, peak / np.iinfo(np.int16).max)
        blocks = [
            pack(np.rint(millivolts[start : start + block] / step).astype(np.int16), SIGNAL_ORDER)
            for start in range(0, len(millivolts), block)
        ]
        if sum(map(len, blocks)) <= largest:
            break
    return blocks, step


STEPS = (0.005, 0.01, 0.02)  # millivolts: MIT-BIH's own; half a pixel at 10 mm/mV is 0.0125
FAINT = 0.1  # millivolts; of a fainter signal, finer steps are kept
