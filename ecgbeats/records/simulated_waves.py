"""The shapes of simulated beats: sums of Gaussians over the cycle (see simulation.py)."""

from typing import NamedTuple

import numpy as np

P, SPIKE, QRS, T = range(4)  # the parts of a beat


class Beat(NamedTuple):
    """One turn of the phase, or a P wave that is not conducted (symbol ``x``)."""

    time: float  # seconds from the record's start to the main deflection
    symbol: str
    form: int  # which of the patient's shapes for this symbol


# A shape is an array (waves, 5) with a row for each Gaussian: part, centre, width (standard deviation), height
# in MLII, height in V1. Seconds from the main deflection at 60 beats a minute, where the phase is 2 pi times
# the seconds; millivolts.
def _waves(part: int, *rows: tuple) -> np.ndarray:
    return np.array([(part, *row) for row in rows])


def p_wave(rng: np.random.Generator) -> np.ndarray:
    """P wave: the atria."""
    start, height = -rng.uniform(0.145, 0.19), rng.uniform(0.09, 0.22)
    width = rng.uniform(0.016, 0.024)
    return _waves(
        P,
        (start, width, height, 0.5 * height),
        (start + 1.6 * width, width, 0.5 * height, -0.4 * height),
    )


def t_wave(rng: np.random.Generator, mlii: float, v1: float, delay: float = 0.0) -> np.ndarray:
    """Return a T wave of about these heights that rises slowly and falls fast, as T waves do."""
    centre, width = delay + rng.uniform(0.24, 0.29), rng.uniform(0.045, 0.06)
    return _waves(
        T,
        (centre - 0.8 * width, 1.1 * width, 0.6 * mlii, 0.6 * v1),
        (centre + 0.3 * width, 0.65 * width, 0.65 * mlii, 0.65 * v1),
    )


def normal_qrs(rng: np.random.Generator) -> np.ndarray:
    """Q, R and S of normal conduction, by the axis of the heart."""
    axis = np.deg2rad(rng.uniform(5, 90))  # of the heart in the frontal plane; MLII looks along 60 degrees
    size = rng.uniform(0.9, 1.9)
    tall = size * np.cos(axis - np.pi / 3)
    deep = size * rng.uniform(0.05, 0.2) + 0.25 * size * max(0.0, np.sin(np.pi / 6 - axis))
    width = rng.uniform(0.009, 0.0125)
    return _waves(
        QRS,
        (-2.5 * width, 0.8 * width, -rng.uniform(0.02, 0.15) * size, rng.uniform(0.1, 0.3)),
        (0.0, width, tall, -rng.uniform(0.6, 1.3)),
        (2.5 * width, 0.9 * width, -deep, -rng.uniform(0.0, 0.3)),
    )


def right_block(rng: np.random.Generator, p_wave: np.ndarray) -> np.ndarray:
    """Right bundle branch block: the right ventricle follows late (broad S in MLII, R' in V1)."""
    tall, late = rng.uniform(0.6, 1.5), rng.uniform(0.052, 0.066)
    width = rng.uniform(0.010, 0.013)
    qrs = _waves(
        QRS,
        (-2.5 * width, 0.8 * width, -rng.uniform(0.0, 0.1), rng.uniform(0.1, 0.3)),
        (0.0, width, tall, -rng.uniform(0.2, 0.5)),
        (late, rng.uniform(0.019, 0.026), -rng.uniform(0.35, 0.65) * tall, rng.uniform(0.6, 1.2)),
    )
    end = t_wave(rng, rng.uniform(0.12, 0.35), -rng.uniform(0.15, 0.35), delay=0.03)
    return np.vstack([p_wave, qrs, end])


def left_block(rng: np.random.Generator, p_wave: np.ndarray) -> np.ndarray:
    """Left bundle branch block: broad, notched R without Q, T against it; V1 mostly downwards."""
    first, second = rng.uniform(0.6, 1.3), rng.uniform(0.6, 1.3)
    gap, width = rng.uniform(0.05, 0.062), rng.uniform(0.020, 0.025)
    qrs = _waves(
        QRS,
        (0.0, width, first, -rng.uniform(0.5, 1.0)),
        (gap, 1.1 * width, second, -rng.uniform(0.6, 1.2)),
    )
    strain = _waves(T, (0.14, 0.04, -rng.uniform(0.0, 0.12), rng.uniform(0.05, 0.15)))
    end = t_wave(rng, -rng.uniform(0.15, 0.45), rng.uniform(0.2, 0.5), delay=0.06)
    return np.vstack([p_wave, qrs, strain, end])


def paced(rng: np.random.Generator, p_wave: np.ndarray, upwards: bool) -> np.ndarray:
    """Paced beat: the stimulus' spike, then a wide QRS, as a rule downwards in MLII (right apex)."""
    sign = 1 if upwards else -1
    size, width = rng.uniform(0.7, 1.6), rng.uniform(0.026, 0.036)
    spike = rng.uniform(0.65, 1.2) * size * (1 if rng.random() < 0.7 else -1)
    late = 2.4 * width + rng.uniform(0.012, 0.025)  # of the QRS; the spike is what MIT-BIH's mark stands on
    waves = [
        _waves(SPIKE, (0.0, 0.0025, spike, 0.7 * spike), (0.010, 0.004, -0.15 * spike, -0.1 * spike)),
        _waves(
            QRS,
            (late, width, sign * size, -rng.uniform(0.6, 1.3)),
            (late + 1.6 * width, 0.9 * width, sign * rng.uniform(0.0, 0.5) * size, -rng.uniform(0.0, 0.5)),
        ),
        t_wave(rng, -sign * rng.uniform(0.25, 0.45) * size, rng.uniform(0.2, 0.5), delay=0.12),
    ]
    if rng.random() < 0.5:  # a pacemaker that follows the atria
        waves.append(p_wave + np.array([0, 0.02, 0, 0, 0]))
    return np.vstack(waves)


def ventricular(rng: np.random.Generator, upwards: bool, size: float) -> np.ndarray:
    """Beat from a ventricle: wide QRS, T against it, no P."""
    sign, width = (1 if upwards else -1), rng.uniform(0.027, 0.038)
    v1 = rng.uniform(0.5, 1.3) * (1 if rng.random() < 0.5 else -1)
    qrs = _waves(
        QRS,
        (-2.2 * width, 0.8 * width, -sign * rng.uniform(0.0, 0.3) * size, -0.2 * v1),
        (0.0, width, sign * size, v1),
        (1.9 * width, 0.9 * width, sign * rng.uniform(-0.35, 0.3) * size, 0.2 * v1),
    )
    return np.vstack(
        [qrs, t_wave(rng, -sign * rng.uniform(0.3, 0.55) * size, -rng.uniform(0.3, 0.5) * v1, delay=0.06)]
    )


def flutter(rng: np.random.Generator, period: float) -> np.ndarray:
    """One wave of ventricular flutter: up, and down half a period later, QRS and T not to be told apart."""
    size, v1 = rng.uniform(0.7, 1.6), rng.uniform(0.2, 0.9)
    middle, width = period * rng.uniform(0.45, 0.55), period * rng.uniform(0.16, 0.2)
    return _waves(
        QRS,
        (0.0, width, size, v1),
        (middle, width, -rng.uniform(0.6, 1.0) * size, -v1),
    )
