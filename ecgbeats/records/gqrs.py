"""gqrs, the detector of the WFDB software package, as wfdb has it but several times as fast."""

import numpy as np
from wfdb.processing.qrs import GQRS


def gqrs_detect(signal: np.ndarray, rate: float, gain: float) -> np.ndarray:
    """Find beats as ``wfdb.processing.gqrs_detect(d_sig=signal, fs=rate, adc_gain=gain, adc_zero=0)`` does.

    The same beats: its matched filter alone, which wfdb evaluates sample by sample in Python, is computed at once.

    Parameters
    ----------
    signal : numpy.ndarray of int, shape (samples,)
        One sample at least.
    rate : float
        Samples per second, 58 at least.
    gain : float
        Units per millivolt.

    Returns
    -------
    numpy.ndarray, int64, shape (beats,)
        About the onset of each QRS complex; may lie outside of the signal.
    """
    found = _FilteredAtOnce().detect(signal, GQRS.Conf(fs=rate, adc_gain=gain), 0)
    return np.array([annotation.time for annotation in found], np.int64)


class _FilteredAtOnce(GQRS):
    """The detector with its filter's output in a list."""

    def detect(self, x, conf, adc_zero):
        output = filter_output(np.asarray(x, np.int64), conf.dt, conf.v1norm)
        # Where the filter runs out of samples wfdb goes on for a second, and reads from its ring of _BUFLN values what
        # was written there one turn before.
        self._first = -conf.dt4 - 2
        self._last = len(x) - conf.dt3
        known = self._last + 1 - self._first
        output = np.concatenate([[0, 0], output])[: known + 1]
        stale = np.arange(len(output), len(output) + conf.sps + 2) - conf._BUFLN
        output = np.concatenate([output, np.where(stale >= 0, output[np.maximum(stale, 0)], 0)])
        self._output = output.tolist()  # Python takes numbers from a list faster than from an array
        return super().detect(x, conf, adc_zero)

    def qf(self):
        if self.t > self._last:
            self.sample_valid = False

    def qfv_at(self, t):
        return self._output[t - self._first]


def filter_output(signal: np.ndarray, dt: int, norm: int) -> np.ndarray:
    """Return the square of the matched filter of gqrs, from 4 ``dt`` before the signal to 4 ``dt`` behind it.

    Parameters
    ----------
    signal : numpy.ndarray, int64, shape (samples,)
        At its ends it is taken to go on level.
    dt : int
        A quarter of the duration of a typical QRS complex, in samples.
    norm : int
        What the filter's output is divided by.

    Returns
    -------
    numpy.ndarray, int64, shape (samples + 8 * dt,)
    """
    pad = 14 * dt
    level = np.pad(signal, pad, "edge")
    total = np.concatenate([[0], np.cumsum(level)])
    # A trapezoid of width 2 dt smooths; wfdb begins with it at sample 1.
    places = np.arange(-8 * dt, len(signal) + 8 * dt)
    at = places + pad
    smooth = 2 * (total[at + dt] - total[at - dt + 1]) + level[at + dt] + level[at - dt]
    smooth[places < 1] = 0

    def difference(steps: int) -> np.ndarray:
        width = len(smooth) - 8 * dt
        return smooth[(4 + steps) * dt :][:width] - smooth[(4 - steps) * dt :][:width]

    slope = 10 * difference(1) - 4 * difference(2) - 2 * difference(3) + difference(4)
    return np.trunc(np.cumsum(slope) / norm).astype(np.int64) ** 2
