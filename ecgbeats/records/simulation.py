"""Simulated ECG records for a machine that holds no data: SIMULATED, not medical data.

:func:`make_records` writes WFDB records that look like those of MIT-BIH (two channels MLII and V1, 360 Hz,
11 bits, beat and rhythm annotations) and go through the same code. Each record is another patient: own
shape of every kind of beat, heart rate, ectopic beats, noise and baseline wander.

The waves follow the dynamical model of McSharry, Clifford, Tarassenko and Smith, "A dynamical model for
generating synthetic electrocardiogram signals", IEEE Trans Biomed Eng 50 (2003) 289-294. There a point
turns once around the unit circle per beat, and Gaussians of its phase (P, Q, R, S, T) drive the voltage.
Within a beat the phase runs at a constant speed, so a Gaussian of the phase is a Gaussian of time, and the
three differential equations need no numerical integration: each beat's waves are summed in closed form, the
next beat's onto them, which joins the beats without a step. Beats beyond the paper's normal one (blocks,
ectopic, paced, flutter) are other sums of Gaussians; a wave here may be any bump of them (R', notch, spike).
"""

import os
from collections.abc import Iterator
from itertools import pairwise

from ecgbeats.command import SIMULATED_NOTICE
from ecgbeats.records import simulated_waves as waves
from ecgbeats.records.simulated_waves import Beat, T

import numpy as np
import wfdb

SEED = 2003
PATIENTS = 40
SECONDS = 180  # length of each record
SAMPLING_RATE = 360
LEADS = ("MLII", "V1")
ADC_BITS = 11
ADC_GAIN = 200  # units per millivolt
ADC_ZERO = 1024
SYMBOLS = ("N", "V", "/", "R", "L", "A", "!", "E")
# Every fourth patient is of the same kind: what conducts most of the beats. Ten of each, so that even ten folds
# of whole records can hold every class.
KINDS = ("N", "/", "R", "L")
# What else a patient has, patient by patient of its kind; "n" stands for stretches of normal conduction.
# Premature atrial beats stand in those alone, since after a block they would carry the block's shape.
OTHERS = {
    "N": ("VA", "AE!", "VE", "A!V", "EA"),
    "R": ("nVA", "E!", "nAE", "V", "nV!"),
    "L": ("nA!", "VE", "V!", "nAE", "nE"),
    "/": ("nVA", "E!", "VE", "nA!", "V"),
}


class _Patient:
    """What stays the same in one record: kind of conduction, rates, and the shapes of all beats."""

    def __init__(self, number: int, rng: np.random.Generator):
        order, kind = divmod(number, len(KINDS))
        self.kind = KINDS[kind]
        self.others = OTHERS[self.kind][order % len(OTHERS[self.kind])]
        self.rr = rng.uniform(0.66, 0.98)  # mean RR interval of the sinus rhythm, seconds
        self.breath_rate = rng.uniform(0.18, 0.32)  # Hz
        # The paper's two peaks of the heart rate's spectrum: respiration, and Mayer waves near 0.1 Hz.
        self.swings = [
            (self.breath_rate, rng.uniform(0.005, 0.035), rng.uniform(0, 2 * np.pi)),
            (rng.uniform(0.08, 0.12), rng.uniform(0.005, 0.025), rng.uniform(0, 2 * np.pi)),
        ]
        self.paced_rr = self.rr * rng.uniform(1.0, 1.06)
        self.coupling = rng.uniform(0.52, 0.66), rng.uniform(0.56, 0.72)  # of V and A, parts of an RR
        self.escape_rr = max(1.2, self.rr * rng.uniform(1.5, 1.8))
        self.flutter_rr = rng.uniform(0.205, 0.29)  # 207 to 293 waves a minute
        self.blocked = rng.random() < 0.3  # the pause before E shows a P wave that is not conducted

        p_wave, normal_qrs = waves.p_wave(rng), waves.normal_qrs(rng)
        t_height = -rng.uniform(0.06, 0.15) if rng.random() < 0.15 else rng.uniform(0.12, 0.35)  # of the QRS
        t_wave = waves.t_wave(rng, t_height * normal_qrs[:, 3].max(), rng.uniform(-0.2, 0.25))
        early_p = p_wave * np.array([1, rng.uniform(0.75, 0.85), rng.uniform(0.7, 0.9), 1, 1])
        early_p[:, 3:] *= rng.uniform(0.7, 1.2) * (1 if rng.random() < 0.5 else -1)
        slight = np.array([1, 1, 1, rng.uniform(0.88, 1.08), rng.uniform(0.88, 1.08)])  # change of the QRS
        up = rng.random() < 0.6
        self.forms = {
            "N": [np.vstack([p_wave, normal_qrs, t_wave])],
            "R": [waves.right_block(rng, p_wave)],
            "L": [waves.left_block(rng, p_wave)],
            "/": [waves.paced(rng, p_wave, upwards=order % 3 == 1)],
            "A": [np.vstack([early_p, normal_qrs * slight, t_wave])],
            "V": [
                waves.ventricular(rng, up, rng.uniform(0.9, 2.2)),
                waves.ventricular(rng, not up, rng.uniform(0.9, 2.2)),
            ],
            "E": [waves.ventricular(rng, rng.random() < 0.5, rng.uniform(0.7, 1.8))],
            "!": [waves.flutter(rng, self.flutter_rr)],
            "x": [p_wave],
        }
        self.multiform = rng.random() < 0.35

    def sinus_rr(self, time: float, rng: np.random.Generator) -> float:
        swing = sum(size * np.sin(2 * np.pi * rate * time + phase) for rate, size, phase in self.swings)
        return self.rr * (1 + swing + 0.006 * rng.standard_normal())

    @property
    def title(self) -> str:
        conduction = {
            "N": "Normal conduction",
            "/": "Ventricular pacemaker",
            "R": "Right bundle branch block",
            "L": "Left bundle branch block",
        }[self.kind]
        return f"{conduction}, sinus rate {60 / self.rr:.0f}/min"


def _episodes(patient: _Patient, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return what interrupts the base rhythm: episodes for any place, and for normal conduction alone.

    An episode is a string of symbols; ``b`` in it is a beat of the base rhythm.
    """
    anywhere, normal = [], []
    if "V" in patient.others:
        anywhere += ["V"] * int(rng.integers(12, 17)) + ["VV"] * int(rng.integers(0, 4))
        anywhere += ["VbVbV"] * int(rng.integers(1, 4))  # bigeminy
    if "E" in patient.others:
        anywhere += ["E"] * int(rng.integers(9, 12)) + ["EE", "EE", "EEE"]
    if "!" in patient.others:
        anywhere += ["!" * int(rng.integers(12, 25)) for _ in range(2)]
    if "A" in patient.others:
        normal += ["A"] * int(rng.integers(16, 25)) + ["AbA"] * int(rng.integers(0, 3))
    return anywhere, normal


def _plan(patient: _Patient, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Yield (base symbol, symbol) of one beat after another; the record ends before the plan does."""
    anywhere, normal = _episodes(patient, rng)
    # Room that the base rhythm has: an ectopic beat and its pause last about two RR intervals.
    busy = sum(len(e) * (0.25 if "!" in e else 1.9 * patient.rr) for e in anywhere + normal)
    room = int((SECONDS - 4 - busy) / patient.rr)
    if "n" in patient.others:
        turns = np.cumsum([rng.integers(14, 32) for _ in range(1 + room // 14)])
        bases = ["N" if np.searchsorted(turns, i) % 2 else patient.kind for i in range(room)]
    else:
        bases = [patient.kind] * room

    # Draw the place of each episode, in each conduction's own beats, one from each of equal parts.
    places: dict[int, str] = {}
    for symbols, free in ((normal, [i for i in range(room) if bases[i] == "N"]), (anywhere, range(room))):
        free = [i for i in free if i not in places and 2 < i < room - 2]
        edges = np.linspace(0, len(free), len(symbols) + 1)
        order = np.argsort(rng.random(len(symbols)))
        for number, (low, high) in zip(order, pairwise(edges), strict=True):
            places[free[int(rng.uniform(low, high))]] = symbols[number]

    for place, base in enumerate(bases):
        yield base, base
        for symbol in places.get(place, ""):
            yield base, base if symbol == "b" else symbol
    while True:
        yield bases[-1], bases[-1]


def _gap(patient: _Patient, rng: np.random.Generator, beats: list[Beat], base: str, symbol: str) -> float:
    """Return the seconds from the last beat to one with ``symbol``."""
    last, before = beats[-1], beats[-2] if len(beats) > 1 else beats[-1]
    jitter = 1 + 0.03 * rng.standard_normal()
    rr = (
        patient.paced_rr * (1 + 0.004 * rng.standard_normal())
        if base == "/"
        else patient.sinus_rr(last.time, rng)
    )
    if symbol == "!":
        return patient.flutter_rr * jitter if last.symbol == "!" else rng.uniform(0.38, 0.5)
    if symbol == "E":
        return patient.escape_rr * jitter
    if symbol == "V":
        return rng.uniform(0.4, 0.5) if last.symbol == "V" else max(0.37, patient.coupling[0] * rr * jitter)
    if symbol == "A":
        return max(0.38, patient.coupling[1] * rr * jitter)
    if last.symbol == "!":
        return rng.uniform(1.1, 1.7)
    if last.symbol == "V" and before.symbol == "V":
        return rr * rng.uniform(1.2, 1.5)
    if last.symbol == "V" and base != "/":  # the sinus node kept its beat: a compensatory pause
        return 2 * rr - (last.time - before.time)
    if last.symbol == "A":  # the sinus node was reset: a normal interval, or a little more
        return rr * rng.uniform(1.0, 1.12)
    return rr


def _rhythm(patient: _Patient, rng: np.random.Generator) -> list[Beat]:
    """Return the record's beats and non-conducted P waves, in the order of time."""
    beats: list[Beat] = []
    blocked: list[Beat] = []
    for base, symbol in _plan(patient, rng):
        time = beats[-1].time + _gap(patient, rng, beats, base, symbol) if beats else rng.uniform(0.3, 0.8)
        if time > SECONDS - 0.8:
            return sorted(beats + blocked)
        if symbol == "E" and patient.blocked and beats[-1].symbol != "E":
            blocked.append(Beat(beats[-1].time + patient.sinus_rr(time, rng), "x", 0))
        form = int(patient.multiform and symbol == "V" and rng.random() < 0.3)
        beats.append(Beat(time, symbol, form))


def _voltage(patient: _Patient, rhythm: list[Beat], rng: np.random.Generator) -> np.ndarray:
    """Return the clean signal, (samples, leads), in millivolts."""
    signal = np.zeros((SECONDS * SAMPLING_RATE, len(LEADS)))
    before, after = int(0.4 * SAMPLING_RATE), int(1.0 * SAMPLING_RATE)
    previous = rhythm[0].time - patient.rr
    strength = 1.0
    for time, symbol, form in rhythm:
        waves = patient.forms[symbol][form].copy()
        vary = {"V": 0.06, "E": 0.06, "!": 0.15}.get(symbol, 0.03)
        breath = 0.05 * np.sin(2 * np.pi * patient.breath_rate * time)
        if symbol == "!":  # flutter waxes and wanes: its strength wanders from wave to wave
            strength = min(1.4, max(0.6, strength + 0.12 * rng.standard_normal()))
        size = strength if symbol == "!" else 1 + vary * rng.standard_normal()
        waves[:, 3:] *= (size + breath) * (1 + vary * rng.standard_normal((len(waves), 1)))
        waves[:, 1] *= 1 + 0.015 * rng.standard_normal(len(waves))
        waves[:, 2] *= 1 + 0.03 * rng.standard_normal(len(waves))
        # The QT interval goes with the square root of the RR interval (Bazett), as in the paper's model.
        late = waves[:, 0] == T
        waves[late, 1:3] *= np.sqrt(0.5 * (min(time - previous, 1.4) + patient.rr))

        start = int(time * SAMPLING_RATE) - before
        low, high = max(0, start), min(len(signal), start + before + after)
        offset = np.arange(low, high)[:, None] / SAMPLING_RATE - time
        signal[low:high] += np.exp(-0.5 * ((offset - waves[:, 1]) / waves[:, 2]) ** 2) @ waves[:, 3:]
        if symbol != "x":
            previous = time
    return signal


def _noise(patient: _Patient, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Return noise and baseline wander, (samples, leads) in millivolts, and where an electrode moved."""
    time = np.arange(SECONDS * SAMPLING_RATE) / SAMPLING_RATE
    noise = np.zeros((len(time), len(LEADS)))
    moves = sorted(int(rng.integers(len(time))) for _ in range(int(rng.integers(1, 5))))
    muscle, mains = rng.uniform(0.004, 0.02), rng.uniform(0.0, 0.008)
    effort = 1 + np.clip(np.sin(2 * np.pi * rng.uniform(0.01, 0.03) * time + rng.uniform(0, 6)), 0, 1)
    for lead in range(len(LEADS)):
        white = rng.standard_normal(len(time) + 2)
        noise[:, lead] += muscle * effort * np.convolve(white, [0.5, 1.0, 0.5], "valid")
        noise[:, lead] += mains * np.sin(2 * np.pi * 60 * time + rng.uniform(0, 6))
        wander = [(patient.breath_rate, 0.06), (0.31, 0.02), (0.13, 0.04), (0.05, 0.1), (0.02, 0.1)]
        for rate, size in wander:
            drift = rng.uniform(0.9, 1.1) * rate * time + rng.random()
            noise[:, lead] += size * rng.uniform(0.1, 1.0) * np.sin(2 * np.pi * drift)
        for move in moves:
            after = np.maximum(0.0, time - time[move]) / rng.uniform(0.15, 0.5)
            noise[:, lead] += rng.uniform(-0.5, 0.5) * after * np.exp(1 - after)
    return noise, moves


def _annotations(
    patient: _Patient, rhythm: list[Beat], moves: list[int], rng: np.random.Generator
) -> list[tuple[int, str, str]]:
    """Return (sample, symbol, aux note), samples increasing: beats, rhythm changes, flutter's ends, noise."""
    marks: dict[int, tuple[str, str]] = {}
    rhythm_now, last, last_sample = None, None, 0
    for time, symbol, form in rhythm:
        # The mark stands on the largest deflection of the shape, a few samples beside it as a human's does.
        waves = patient.forms[symbol][form]
        offset = np.arange(-0.08, 0.08, 0.001)[:, None]
        clean = np.exp(-0.5 * ((offset - waves[:, 1]) / waves[:, 2]) ** 2) @ waves[:, 3]
        peak = 0.0 if symbol in "x/" else offset[np.argmax(np.abs(clean)), 0]
        sample = round((time + peak) * SAMPLING_RATE) + int(rng.integers(-2, 3))
        if symbol == "x":
            marks[sample + round(waves[0, 1] * SAMPLING_RATE)] = ("x", "")
            continue
        note = {"/": "(P", "!": "(VFL"}.get(symbol, "(N")
        if symbol in "VAE" and rhythm_now == "(P":  # single beats do not end a rhythm
            note = rhythm_now
        if last == "!" != symbol:
            marks[last_sample + 30] = ("]", "")
        if symbol == "!" != last:
            marks[sample - 40] = ("[", "")
        if note != rhythm_now:
            marks[sample - 30] = ("+", note)
            rhythm_now = note
        marks[sample] = (symbol, "")
        last, last_sample = symbol, sample
    for move in moves:
        marks.setdefault(move, ("~", ""))
    return [(sample, *marks[sample]) for sample in sorted(marks)]


def _write(folder: str | os.PathLike, number: int, seed: int) -> str:
    """Write one patient's record and return its name."""
    name = f"sim{number + 1:02d}"
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    patient = _Patient(number, rng)
    rhythm = _rhythm(patient, rng)
    noise, moves = _noise(patient, rng)
    millivolts = _voltage(patient, rhythm, rng) + noise
    # Whole ADC units: processors differ in the last bit of exp and sin, which the rounding takes away.
    limit = 2 ** (ADC_BITS - 1) - 1
    signal = ADC_ZERO + np.clip(np.rint(millivolts * ADC_GAIN), -limit, limit).astype(np.int64)
    samples, symbols, notes = zip(*_annotations(patient, rhythm, moves, rng), strict=True)

    leads = len(LEADS)
    record = wfdb.Record(
        record_name=name,
        n_sig=leads,
        fs=SAMPLING_RATE,
        sig_len=len(signal),
        d_signal=signal,
        file_name=[f"{name}.dat"] * leads,
        fmt=["212"] * leads,
        adc_gain=[ADC_GAIN] * leads,
        baseline=[ADC_ZERO] * leads,
        units=["mV"] * leads,
        adc_res=[ADC_BITS] * leads,
        adc_zero=[ADC_ZERO] * leads,
        block_size=[0] * leads,
        sig_name=list(LEADS),
        comments=[SIMULATED_NOTICE, patient.title],
    )
    record.set_d_features()  # first value and checksum of each channel
    record.wrsamp(write_dir=str(folder))
    wfdb.wrann(name, "atr", np.array(samples), list(symbols), aux_note=list(notes), write_dir=str(folder))
    return name


def make_records(folder: str | os.PathLike, seed: int = SEED, patients: int = PATIENTS) -> list[str]:
    """Write the simulated records into ``folder``: SIMULATED, not medical data.

    Parameters
    ----------
    folder : path
        An empty folder that exists. Each record gives a ``.hea``, a ``.dat`` (format 212) and an ``.atr``.
    seed : int
        From 0; the same seed gives the same bytes.
    patients : int
        How many records; the first eight hold every class.

    Returns
    -------
    list of str
        The records' names, in order. Each record is another patient.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    """
    return [_write(folder, number, seed) for number in range(patients)]
