"""Millivolts: units by name, and a check that catches values in another unit than their file says."""

from ecgbeats.command import InputError
from ecgbeats.records.qrs_band import qrs_band
from ecgbeats.records.wfdb_files import MILLIVOLTS

import numpy as np

WINDOW_SECONDS = 2  # holds a beat at 30 beats a minute
LOOKED_AT = 300  # windows, spread over the record
# The level (see :func:`level`) lies between 0.32 and 1.99 mV in all records of MIT-BIH's Arrhythmia Database. What is
# far outside of these, and within them once it is divided by a thousand, is in microvolts.
LOWEST_LEVEL, HIGHEST_LEVEL = 0.02, 20.0
MICROVOLTS = 1000.0


def factor(unit: str) -> float:
    """Return how many millivolts a unit's name stands for, in any spelling; 1 for a name that is no voltage."""
    by_name = {name.lower(): value for name, value in MILLIVOLTS.items() if name != "V"}
    words = {"v": 1e3, "volt": 1e3, "volts": 1e3, "millivolt": 1.0, "microvolt": 1e-3, "microvolts": 1e-3}
    return (by_name | words).get(unit.strip().lower(), 1.0)


def level(millivolts: np.ndarray, rate: float, gaps: np.ndarray | None = None) -> float:
    """Return how high QRS complexes are: the median over windows of 2 s of the largest value in the 5 to 20 Hz band.

    Parameters
    ----------
    millivolts : numpy.ndarray of float, shape (samples,)
        Two seconds or more, all finite.
    rate : float
        Samples per second.
    gaps : numpy.ndarray, bool, shape (samples,), optional
        True where a sample is not valid. Windows with one are left out, but where all have one.
    """
    window = round(WINDOW_SECONDS * rate)
    starts = np.arange(0, len(millivolts) - window + 1, window)
    if len(starts) > LOOKED_AT:
        starts = starts[np.linspace(0, len(starts) - 1, LOOKED_AT).astype(int)]
    valid = [start for start in starts if gaps is None or not gaps[start : start + window].any()]
    windows = np.stack([millivolts[start : start + window] for start in valid or starts])
    return float(np.median(np.abs(qrs_band(windows, rate)).max(1)))


def check_level(
    millivolts: np.ndarray, rate: float, gaps: np.ndarray, where: str, given: bool
) -> tuple[float, str | None]:
    """Find out whether a signal is in millivolts.

    Parameters
    ----------
    millivolts, rate, gaps
        As for :func:`level`; in millivolts, as far as is known.
    where : str
        The file, for messages.
    given : bool
        Whether the user gave the unit, which then stands.

    Returns
    -------
    factor : float
        What the signal must be multiplied by.
    said : str or None
        What was done, for the user.

    Raises
    ------
    InputError
        Where the level is that of no ECG in any unit.
    """
    found = level(millivolts, rate, gaps)
    if found == 0 or not np.ptp(millivolts) > 0:
        raise InputError(f"{where} is flat: it holds no ECG; choose another --lead or file")
    if LOWEST_LEVEL <= found <= HIGHEST_LEVEL:
        return 1.0, None
    if not given and LOWEST_LEVEL < found / MICROVOLTS <= HIGHEST_LEVEL / 2 and found > 5 * HIGHEST_LEVEL:
        return 1 / MICROVOLTS, (
            f"QRS complexes of {found:,.0f} mV cannot be: the values are taken for microvolts (--unit says otherwise)"
        )
    raise InputError(
        f"{where} has QRS complexes of {found:.3g} mV, where an ECG has 0.3 to 2: it holds none, or its values are in "
        f"another unit; choose another --lead, or give the right --unit"
    )
