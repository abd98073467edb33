"""The band of frequencies where QRS complexes have most of their energy."""

import numpy as np

BAND = (5.0, 20.0)  # Hz
SLOWEST_RATE = 60  # Hz; a signal with fewer samples shows too little of a QRS complex


def qrs_band(signal: np.ndarray, rate: float) -> np.ndarray:
    """Return the 5 to 20 Hz band of a signal, without delay.

    Parameters
    ----------
    signal : numpy.ndarray of float, shape (samples,)
        Half a second or more, all finite.
    rate : float
        Samples per second, SLOWEST_RATE at least.

    Returns
    -------
    numpy.ndarray, float64, shape (samples,)
    """
    return band(signal, rate, BAND)


def band(signal: np.ndarray, rate: float, limits: tuple[float, float]) -> np.ndarray:
    """Return the band between two frequencies (Hz), below half the rate, as :func:`qrs_band` does."""
    from scipy.signal import butter, sosfiltfilt

    return sosfiltfilt(butter(2, limits, btype="bandpass", fs=rate, output="sos"), signal)
