"""What a network looks at: how the odds of a beat's class fall when a part of its image is erased.

Source: Zeiler and Fergus 2014 (arXiv:1311.2901), section 4.2. Unlike Grad-CAM this needs no gradients, so it
is the same on every backend, and is as fine for every network: the last convolution of Inception-v3 has only
2x2 places on these images.
"""

from ecgbeats.images.canvas import IMAGE_SIZE, WHITE

import numpy as np

# The erased squares, in pixels. At half a square apart their tents add up to one.
PATCH = 16
STRIDE = PATCH // 2
BATCH = 32  # images; fits any device


def what_it_looks_at(model, image: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Erase one small square of an image after another, and see what that does to the prediction.

    Parameters
    ----------
    model : keras.Model
    image : numpy.ndarray, uint8, shape (128, 128)
    label : int
        The class whose evidence is looked for.

    Returns
    -------
    heat : numpy.ndarray, float64, shape (128, 128)
        How much the class's log odds fall when the line there is erased; 0 where they do not.
    before : numpy.ndarray, float64, shape (classes,)
        The probabilities for the whole image.
    after : numpy.ndarray, float64, shape (classes,)
        Those for the image without the square that matters most.
    """
    corners = [
        (y, x)
        for y in range(-STRIDE, IMAGE_SIZE, STRIDE)
        for x in range(-STRIDE, IMAGE_SIZE, STRIDE)
        if (image[_square(y, x)] != WHITE).any()  # where nothing is, erasing changes nothing
    ]
    # One size for every image, so that the network is compiled once.
    count = 1 + len(corners)
    erased = np.repeat(image[np.newaxis], count + -count % BATCH, axis=0)
    for place, (y, x) in enumerate(corners, 1):
        erased[place][_square(y, x)] = WHITE
    probabilities = model.predict(erased[..., np.newaxis], batch_size=BATCH, verbose=0)
    probabilities = np.asarray(probabilities, np.float64)[:count]
    odds = _log_odds(probabilities, label)
    tent = 1 - np.abs(np.arange(PATCH) - (PATCH - 1) / 2) / STRIDE
    heat = np.zeros((IMAGE_SIZE + 2 * STRIDE,) * 2)
    for (y, x), fall in zip(corners, odds[0] - odds[1:], strict=True):
        heat[y + STRIDE : y + STRIDE + PATCH, x + STRIDE : x + STRIDE + PATCH] += fall * np.outer(tent, tent)
    strongest = int(odds.argmin())  # 0, the whole image, where no square counts
    return (
        np.maximum(heat[STRIDE:-STRIDE, STRIDE:-STRIDE], 0),
        probabilities[0],
        probabilities[strongest],
    )


def _square(y: int, x: int) -> tuple[slice, slice]:
    """Return the pixels of the square whose corner is there, maybe outside of the image."""
    return np.s_[max(y, 0) : y + PATCH, max(x, 0) : x + PATCH]


def _log_odds(probabilities: np.ndarray, label: int) -> np.ndarray:
    """Return the log odds of a class, since the probability of a sure one stays near 1.

    Not log(p / (1 - p)): p rounds to 1.
    """
    others = np.delete(probabilities, label, axis=1).sum(axis=1)
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(probabilities[:, label], tiny)) - np.log(np.maximum(others, tiny))


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the image on a ground of its heat, from white (0) to red (its maximum): uint8 RGB, (128, 128, 3)."""
    import matplotlib

    ground = matplotlib.colormaps["Reds"](0.75 * heat / (heat.max() or 1))[..., :3]
    ground = 1 - (1 - ground) * (heat > 0)[..., np.newaxis]  # the map's own lowest colour is not white
    return np.round(ground * image[..., np.newaxis]).astype(np.uint8)
