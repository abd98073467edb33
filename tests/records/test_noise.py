"""Noise: as much of it as is asked for, by nst's definition measured anew, and of the kinds that it says."""

import argparse
from dataclasses import replace

from ecgbeats.command import InputError
from ecgbeats.records.changes import LOWEST_RATE, Changes
from ecgbeats.records.noise import MADE_RATE, add_noise, amplitude, decibels, make_noise, motion, qrs_swing
from ecgbeats.records.record import Record
from ecgbeats.records.wfdb_files import read_record

import numpy as np
import pytest
from scipy.signal import welch

SECONDS = 600


def make_record(rate=360, name="p", lead="MLII", symbols="N"):
    """Return ten minutes of triangles of 2.5 mV, 80 ms wide, one each 0.8 seconds; V are twice as high."""
    samples = np.rint(np.arange(0.5, SECONDS - 1, 0.8) * rate).astype(int)
    symbols = np.resize(list(symbols), len(samples))
    time = np.arange(SECONDS * rate) / rate
    heights = np.interp(time, samples / rate, np.where(symbols == "V", 5.0, 2.5))
    away = np.abs((time - 0.5 + 0.4) % 0.8 - 0.4)
    signal = heights * np.clip(1 - away / 0.04, 0, None)
    return Record(name, lead, float(rate), signal.astype(np.float32), samples, symbols)


def measured(record, noisy):
    """Return the ratio in decibels: Moody's definition, in his words, step by step."""
    rate = int(record.rate)
    swings = []
    for at, symbol in zip(record.samples, record.symbols, strict=True):
        around = record.signal[at - int(0.05 * rate) : at + int(0.05 * rate) + 1]
        if symbol != "V":
            swings.append(max(around) - min(around))
    noise = noisy.signal.astype(float) - record.signal
    seconds = [noise[start : start + rate] for start in range(0, len(noise) - rate + 1, rate)]
    deviations = [np.sqrt(np.mean((second - np.mean(second)) ** 2)) for second in seconds]
    middle = [
        sorted(values)[len(values) // 20 : len(values) - len(values) // 20] for values in (swings, deviations)
    ]
    return 10 * np.log10(np.mean(middle[0]) ** 2 / 8 / np.mean(middle[1]) ** 2)


@pytest.mark.parametrize("rate", [128, 360])
@pytest.mark.parametrize("kinds", [("wander",), ("motion",), ("wander", "motion")])
def test_as_much_noise_as_asked_for(rate, kinds):
    record = make_record(rate, symbols="NNV")
    for asked in (24.0, 6.0, -6.0):
        assert measured(record, add_noise(record, [asked], 0, kinds)) == pytest.approx(asked, abs=0.01)


def test_both_kinds_have_equal_power():
    wander, motion = (
        make_noise(360 * SECONDS, 360, np.random.default_rng(0), (k,)) for k in ("wander", "motion")
    )
    both = make_noise(360 * SECONDS, 360, np.random.default_rng(1))

    def power(noise):  # above 1 Hz there is no wander
        frequency, density = welch(noise, 360, nperseg=360 * 20)
        return density[frequency > 1].sum()

    assert power(wander) < 1e-3 * power(motion)
    # As amplitudes add by their squares, of both together motion has half.
    assert power(both) == pytest.approx(power(motion) / 2, rel=0.3)


def test_the_same_noise_at_any_rate_and_another_for_another_record():
    slow, fast = (add_noise(make_record(rate), [6.0], 3) for rate in (128, 360))
    time = np.arange(SECONDS * 128) / 128
    noise = [noisy.signal - make_record(int(noisy.rate)).signal for noisy in (slow, fast)]
    alike = np.interp(time, np.arange(SECONDS * 360) / 360, noise[1])
    assert np.corrcoef(noise[0], alike)[0, 1] > 0.999
    assert (add_noise(make_record(128), [6.0], 3).signal == slow.signal).all()
    for other in (make_record(128, name="q"), make_record(128, lead="V1")):
        assert abs(np.corrcoef(add_noise(other, [6.0], 3).signal - other.signal, noise[0])[0, 1]) < 0.5
    assert (
        abs(
            np.corrcoef(add_noise(make_record(128), [6.0], 4).signal - make_record(128).signal, noise[0])[
                0, 1
            ]
        )
        < 0.5
    )


def test_wander_is_slow_and_motion_is_abrupt_and_comes_in_bursts():
    wander, motion = (
        make_noise(360 * SECONDS, 360, np.random.default_rng(5), (k,)) for k in ("wander", "motion")
    )
    frequency, density = welch(wander, 360, nperseg=360 * 60)
    assert density[frequency > 1].sum() < 1e-3 * density.sum()
    assert density[frequency < 0.03].sum() < 0.05 * density.sum()
    frequency, density = welch(motion, 360, nperseg=360 * 60)
    assert density[(frequency > 5) & (frequency < 15)].sum() > 0.05 * density.sum()  # where QRS complexes are
    # Within 60 ms it moves by far more than noise of its spectrum ever would, and rarely.
    moves = np.abs(motion[22:] - motion[:-22])
    assert moves.max() > 8 * moves.std()
    assert np.mean((motion - motion.mean()) ** 4) > 5 * motion.var() ** 2


def test_motion_swings_as_far_as_that_of_the_noise_stress_test():
    """Its records 118e06 hold no more than 12 bits of 5 microvolts, and 118e00 more (10.13026/C2HS3T)."""
    for seed in range(3):
        noise = motion(1800 * MADE_RATE, np.random.default_rng(seed))
        largest = np.abs(noise).max() / amplitude(noise, MADE_RATE) * 2.7 / np.sqrt(8)  # mV at 0 dB
        assert largest > 10.24
        assert largest / 2 < 10.24


def test_a_range_is_drawn_from_minute_by_minute():
    record = make_record()
    noisy = add_noise(record, [6.0, 24.0], 0)
    noise = (noisy.signal - record.signal).reshape(SECONDS, 360).std(axis=1)
    fixed = (add_noise(record, [6.0], 0).signal - record.signal).reshape(SECONDS, 360).std(axis=1)
    ratio = 6 - 20 * np.log10(noise / fixed)
    assert 5.9 < ratio.min() < ratio.max() < 24.1
    assert np.ptp(ratio) > 9
    assert np.abs(np.diff(ratio)).max() < 0.5  # it glides


def test_short_and_empty_records():
    record = make_record()
    short = Record("p", "MLII", 360.0, record.signal[:200], record.samples[:1], record.symbols[:1])
    assert np.isfinite(add_noise(short, [6.0], 0).signal).all()
    none = Record("p", "MLII", 360.0, record.signal, record.samples[:0], record.symbols[:0])
    assert (add_noise(none, [6.0], 0).signal == none.signal).all()
    for empty in (replace(none, signal=record.signal[:0]), replace(short, signal=record.signal[:1])):
        assert add_noise(empty, [6.0], 0) is empty
    assert qrs_swing(make_record(symbols="V")) == pytest.approx(5.0, rel=0.01)


@pytest.mark.parametrize(
    ("text", "values"), [("6", [6]), ("0", [0]), ("-6", [-6]), ("6-24", [6, 24]), ("-6-1.5", [-6, 1.5])]
)
def test_decibels(text, values):
    assert decibels(text) == values


@pytest.mark.parametrize("text", ["", "nan", "inf", "24-6", "6-", "1e9", "6 24", "-31", "61", "6-24-30", "٦"])
def test_no_decibels(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no number of decibels"):
        decibels(text)


@pytest.mark.parametrize(
    "changes", [{"noise": [6.0]}, {"rhythm": "early"}, {"rhythm": "fibrillation", "noise": [6.0]}]
)
def test_rates_that_are_too_low_are_refused_and_the_lowest_is_changed(changes):
    for rate in (1.5, 2, LOWEST_RATE - 0.1):
        with pytest.raises(
            InputError, match=f"record p has {rate} samples a second, and .* 20 .* leave out --"
        ):
            Changes(**changes).apply(replace(make_record(), rate=rate))
    record = make_record(LOWEST_RATE)
    made = Changes(**changes).apply(record)
    assert np.isfinite(made.signal).all()
    assert qrs_swing(made) > 0
    assert len(made.signal) != len(record.signal) or (made.signal != record.signal).any()


def test_a_real_record(mitdb):
    record = read_record(mitdb / "118")
    noisy = add_noise(record, [12.0], 0)
    assert measured(record, noisy) == pytest.approx(12, abs=0.01)
    assert noisy.signal.dtype == np.float32
