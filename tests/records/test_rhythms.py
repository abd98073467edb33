"""Rhythms made anew of a record's own beats."""

import time
from dataclasses import replace

from ecgbeats.records.record import Record
from ecgbeats.records.rhythms import RATES, SHORTEST, SPREADS, fibrillate
from ecgbeats.records.wfdb_files import read_record

import numpy as np
import pytest


def regular(rate, beats=600, rr=0.9, symbols=None):
    """A record of QRS complexes with P waves 160 ms before them."""
    samples = np.rint((1 + np.arange(beats) * rr) * rate).astype(np.int64)
    signal = np.zeros(samples[-1] + 2 * round(rate))
    for height, before, width in ((1.0, 0.0, 0.02), (0.2, 0.16, 0.02)):
        for x in samples / rate - before:
            near = np.arange(round((x - 0.12) * rate), round((x + 0.12) * rate))
            signal[near] += height * np.exp(-(((near / rate - x) / width) ** 2) / 2)
    symbols = np.full(beats, "N") if symbols is None else symbols
    return Record("made", "MLII", float(rate), signal.astype(np.float32), samples, symbols)


@pytest.mark.parametrize("rate", [128, 360])
def test_fibrillation_has_its_intervals_and_no_p_waves(rate):
    record = regular(rate)
    made = fibrillate(record, 3)
    assert (made.name, made.lead, made.rate) == ("made", "MLII", rate)
    assert len(made.samples) == 598, "all but the first and the last"
    rr = np.diff(made.samples) / rate
    assert rr.min() > SHORTEST - 1.5 / rate
    # Beats share a rate and a spread, 40 at least; neighbouring intervals are independent.
    for at in range(0, 560, 20):
        logarithms = np.log(rr[at : at + 20])
        assert 0.4 * SPREADS[0] < logarithms.std() < 1.8 * SPREADS[1] + 0.2
        assert 0.9 * RATES[0] * 0.7 < rr[at : at + 20].mean() / 0.9 < RATES[1] * 1.3
    assert SPREADS[0] < np.log(rr).std() < 2 * SPREADS[1]
    assert abs(np.corrcoef(rr[1:], rr[:-1])[0, 1]) < 0.5
    # Each beat stands where its QRS complex is.
    reach = round(0.06 * rate)
    peaks = np.array([made.signal[x - reach : x + reach + 1].argmax() for x in made.samples[1:-1]]) - reach
    assert np.abs(peaks).max() <= 1

    def p_wave(record):
        p, before = (record.samples[5:-5] - round(seconds * rate) for seconds in (0.16, 0.24))
        return np.mean(record.signal[p] - record.signal[before])

    assert p_wave(made) < p_wave(record) / 4


def test_n_and_v_alone_stay_and_keep_their_symbols():
    symbols = np.array(list("NLVANFN/RE") * 40)
    made = fibrillate(regular(360, len(symbols), symbols=symbols), 0)
    kept = symbols[1:-1]
    assert made.symbols.tolist() == kept[np.isin(kept, list("NLVRE"))].tolist()
    assert (np.diff(made.samples) > 0).all()


def test_the_seed_and_the_name_decide():
    record = regular(128)
    made = fibrillate(record, 1)
    assert (fibrillate(record, 1).signal == made.signal).all()
    assert (fibrillate(record, 1).samples == made.samples).all()
    assert fibrillate(record, 2).samples.tolist() != made.samples.tolist()
    assert fibrillate(replace(record, name="other"), 1).samples.tolist() != made.samples.tolist()


@pytest.mark.parametrize("symbols", [list("AAAAAA"), list("NAAAAN"), list("NN"), ["N"], []])
def test_a_record_without_such_beats_becomes_an_empty_one(symbols):
    record = regular(360, 6)
    record = replace(record, samples=record.samples[: len(symbols)], symbols=np.array(symbols, "<U1"))
    made = fibrillate(record, 0)
    assert (len(made.samples), len(made.symbols), len(made.signal)) == (0, 0, 0)


def test_beats_upon_one_another_are_no_trouble():
    record = regular(360, 30)
    samples = np.sort(np.concatenate([record.samples, record.samples[::3] + 1, record.samples[::5]]))
    made = fibrillate(replace(record, samples=samples, symbols=np.full(len(samples), "V")), 0)
    assert np.isfinite(made.signal).all()
    assert (np.diff(made.samples) > 0).all()


def test_a_real_record_of_half_an_hour_takes_no_time(mitdb):
    record = read_record(mitdb / "203")
    started = time.process_time()
    made = fibrillate(record, 0)
    assert time.process_time() - started < 1
    assert np.isfinite(made.signal).all()
    assert np.abs(made.signal).max() < 3 * np.abs(record.signal).max()
