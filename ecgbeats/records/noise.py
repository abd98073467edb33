"""Noise of moving patients, made for a record: baseline wander and electrode motion at a signal-to-noise ratio.

What it is made after, and how it is measured, is the MIT-BIH Noise Stress Test Database (Moody, Muldrow, Mark: Computers
in Cardiology 11:381-384, 1984; 10.13026/C2HS3T), whose records bw and em are recordings of such noise. This noise is
made by a model of what is told of them; nothing is fitted to their samples.
"""

import argparse
import re
import zlib
from dataclasses import replace

from ecgbeats.records.record import Record
from ecgbeats.records.symbols import CLASSES

import numpy as np

LEAST, MOST = -30.0, 60.0  # decibels that can be asked for
MADE_RATE = 250  # Hz at which noise is made, so that it is the same whatever a record's rate
TRIMMED = 20  # one in so many of the largest and of the smallest amplitudes is left out, as sigamp does
WINDOW = 0.05  # seconds on each side of a beat in which its swing is measured
LOWEST = 0.05  # Hz; what is slower was taken away from bw and em
HIGHEST_WANDER = 0.5
BREATHS = (0.15, 0.3)  # Hz (Friesen et al.: IEEE Trans Biomed Eng 37(1):85-98, 1990)
MOTION_BAND = (1.0, 10.0)  # Hz, where it cannot be told from beats
EFFORT = 0.5  # standard deviation of its logarithm
SHIFTS = 1.0  # abrupt ones of the baseline a second, on average
RISE = 0.012  # seconds, the standard deviation of the Gaussian that makes a shift's edge
RETURNS = (0.15, 0.4, 1.0)  # seconds in which a shift falls to 1/e


def decibels(text: str) -> list[float]:
    """Argparse type for a signal-to-noise ratio, or a range of it such as ``6-24``: one number, or lowest and highest."""
    number = r"(-?\d+(?:\.\d+)?)"
    found = re.fullmatch(f"{number}(?:-{number})?", text.strip(), re.ASCII)
    values = [float(value) for value in found.groups() if value is not None] if found else []
    if not values or values != sorted(values) or not LEAST <= values[0] <= values[-1] <= MOST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of decibels from {LEAST:g} to {MOST:g}, nor a range of them such as 6-24"
        )
    return values


def as_typed(decibels: list[float]) -> str:
    """Return the words that :func:`decibels` makes this of, in one way."""
    return "-".join(f"{value:g}" for value in decibels)


def add_noise(
    record: Record, decibels: list[float], seed: int, kinds: tuple[str, ...] = ("wander", "motion")
) -> Record:
    """Return a record with noise on the whole of it; one without a beat that can be measured stays as it is.

    Parameters
    ----------
    record : Record
        Of 20 samples a second at least.
    decibels : list of float
        The signal-to-noise ratio as nst has it, or its lowest and highest value: then each minute draws its own, and it
        glides from one to the next.
    seed : int
        With the record's name and lead it decides on the noise.
    kinds : tuple of str
        Of KINDS. Each has as much power as the others.

    Source
    ------
    PhysioNet's nst(1) and sigamp(1). The signal's power is an eighth of the square of the QRS complexes' swing, as if
    they were a sine wave; the noise's is that of its swing within one second (see :func:`qrs_swing` and
    :func:`amplitude`). So wander, which hardly moves within a second, is large. Unlike nst, all beats and all seconds
    are measured, not the first 300, and noise is on the whole record, where nst leaves the first five minutes and
    every other two clean.
    """
    swing = qrs_swing(record)
    if not swing:
        return record
    random = np.random.default_rng([seed, zlib.crc32(f"{record.name} {record.lead}".encode())])
    length = len(record.signal)
    minutes = np.arange(length / record.rate / 60 + 2)
    ratio = np.interp(
        np.arange(length) / record.rate / 60,
        minutes,
        random.uniform(decibels[0], decibels[-1], len(minutes)),
    )
    noise = make_noise(length, record.rate, random, kinds)
    gain = swing / np.sqrt(8) * 10 ** (-ratio / 20)
    return replace(record, signal=(record.signal + gain * noise).astype(np.float32))


def make_noise(
    length: int, rate: float, random: np.random.Generator, kinds: tuple[str, ...] = ("wander", "motion")
) -> np.ndarray:
    """Return noise of the amplitude 1: float64 of shape (length,), with ``rate`` samples a second."""
    made = (int(length / rate) + 2) * MADE_RATE  # whole seconds: Fourier transforms of primes take long
    noise = np.zeros(made)
    for kind in kinds:
        part = KINDS[kind](made, random)
        noise += part / amplitude(part, MADE_RATE)
    noise = np.interp(np.arange(length) * MADE_RATE / rate, np.arange(made), noise)
    return noise / amplitude(noise, rate)


def amplitude(noise: np.ndarray, rate: float) -> float:
    """Return the noise's amplitude as ``sigamp`` has it: the mean of its standard deviations in each whole second.

    ``noise`` is float of shape (samples,), with ``rate`` of them a second; of less than a second all counts as one.
    """
    second = min(len(noise), round(rate))
    seconds = noise[: len(noise) // second * second].reshape(-1, second)
    return trimmed_mean(seconds.std(axis=1))


def qrs_swing(record: Record) -> float:
    """Return the peak-to-peak amplitude of a record's QRS complexes, as ``sigamp -a`` has it, in the signal's unit.

    Beats of N and S are measured, where there are any. Without a beat that is WINDOW away from the signal's ends it is 0.
    """
    reach = int(WINDOW * record.rate)
    inside = (record.samples >= reach) & (record.samples < len(record.signal) - reach)
    usual = inside & np.isin(record.symbols, list(CLASSES["aami"]["N"] + CLASSES["aami"]["S"]))
    samples = record.samples[usual if usual.any() else inside]
    around = record.signal[samples[:, None] + np.arange(-reach, reach + 1)]
    return trimmed_mean(np.ptp(around, axis=1)) if len(samples) else 0.0


def trimmed_mean(values: np.ndarray) -> float:
    """Return the mean without one in TRIMMED of the largest, and as many of the smallest."""
    left_out = len(values) // TRIMMED
    return float(np.sort(values)[left_out : len(values) - left_out].mean())


def wander(length: int, random: np.random.Generator) -> np.ndarray:
    """Return baseline wander of any amplitude: float64 of shape (length,), MADE_RATE samples a second.

    Drift, the more of it the slower it is, and breathing at the record's own rate, which varies.
    """
    breath = random.uniform(*BREATHS)

    def spectrum(frequency: np.ndarray) -> np.ndarray:
        drift = within(frequency, LOWEST, HIGHEST_WANDER) * LOWEST / np.maximum(frequency, LOWEST)
        return drift + 0.5 * np.exp(-0.5 * ((frequency - breath) / 0.02) ** 2)

    return coloured(length, random, spectrum)


def motion(length: int, random: np.random.Generator) -> np.ndarray:
    """Return the noise of electrodes that move, of any amplitude: float64 of shape (length,), MADE_RATE samples a second.

    Half of its power is of abrupt shifts of the baseline, which return exponentially, half of unrest in a band that the
    QRS complex shares. Both come and go with the patient's effort, in bursts. The largest swings are 13 to 18 times the
    amplitude: so much is known of em, since its sample records hold no more than 10 mV at 6 dB, and more at 0 dB.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import lfilter

    effort = np.exp(EFFORT * coloured(length, random, lambda frequency: within(frequency, 0.02, 0.1)))
    happens = random.random(length) < SHIFTS / MADE_RATE * effort / effort.mean()
    heights = happens * random.standard_normal(length)
    which = random.integers(len(RETURNS), size=length)
    shifts = np.zeros(length)
    for number, seconds in enumerate(RETURNS):
        shifts += lfilter([1.0], [1.0, -np.exp(-1 / (seconds * MADE_RATE))], heights * (which == number))
    shifts = gaussian_filter1d(shifts, RISE * MADE_RATE)
    unrest = effort * coloured(length, random, lambda frequency: within(frequency, *MOTION_BAND))
    # Noise of a few seconds may have no shift.
    return shifts / max(amplitude(shifts, MADE_RATE), 1e-9) + unrest / amplitude(unrest, MADE_RATE)


KINDS = {"wander": wander, "motion": motion}


def within(frequency: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a filter's amplitudes for frequencies (Hz), as Butterworth's of the fourth order: 1 between the limits."""
    above = (low / np.maximum(frequency, 1e-9)) ** 8
    return 1 / np.sqrt((1 + above) * (1 + (frequency / high) ** 8))


def coloured(length: int, random: np.random.Generator, spectrum) -> np.ndarray:
    """Return Gaussian noise of standard deviation 1 whose amplitude is ``spectrum(frequencies in Hz)``."""
    white = np.fft.rfft(random.standard_normal(length))
    noise = np.fft.irfft(white * spectrum(np.fft.rfftfreq(length, 1 / MADE_RATE)), length)
    return noise / noise.std()
