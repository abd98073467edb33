"""Rhythms made anew of a record's own beats."""

import time
from dataclasses import replace

from ecgbeats.records import rhythms
from ecgbeats.records.record import Record
from ecgbeats.records.rhythms import EARLY, PACES, RATES, RHYTHMS, SHORTEST, SPREADS, fibrillate, make_early
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


def runs_of_s(made):
    """Return the first beat of each run of S, and the one behind its last."""
    edges = np.diff(np.concatenate([[0], made.symbols == "A", [0]]).astype(int))
    return zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)


@pytest.mark.parametrize("seed", range(4))
def test_early_beats_come_early_by_the_interval_between_them(monkeypatch, seed):
    # Without what changes from beat to beat, an N that follows an N has the pace itself.
    monkeypatch.setattr(rhythms, "JITTER", 0)
    monkeypatch.setattr(rhythms, "DRIFT", 0)
    made = make_early(regular(250), seed)
    rr = np.append(np.nan, np.diff(made.samples)) / 250
    early = made.symbols == "A"
    before = np.append(True, early[:-1])
    pace = np.median(rr[~early & ~before])
    assert 0.9 * PACES[0] - 0.004 <= pace <= 0.9 * PACES[1] + 0.004
    assert np.ptp(rr[~early & ~before]) < 0.009, "a sample to each side"
    assert 0 < early.sum() < len(early)
    for first, behind in runs_of_s(made):
        run = rr[first:behind]
        assert EARLY[0] * pace - 0.009 < run.min() <= run.max() < EARLY[1] * pace + 0.009
        assert np.ptp(run) < 0.009, "a run has one interval"
        # What follows has no less than the pace, and a pause makes up for what is missing at most.
        assert pace - 0.009 < rr[behind] < 2 * pace - run.min() + 0.009


def test_how_many_beats_are_early_and_how_long_runs_are_varies_widely():
    all_made = [make_early(regular(128), seed) for seed in range(16)]
    shares = [np.mean(made.symbols == "A") for made in all_made]
    longest = [max(behind - first for first, behind in runs_of_s(made)) for made in all_made]
    assert min(shares) < 0.15
    assert max(shares) > 0.6
    assert min(longest) < 20
    assert sum(length > 20 for length in longest) >= 4
    assert all(np.diff(made.samples).min() >= round(SHORTEST * 128) for made in all_made)
    # In a record they are about as early, in another differently.
    logarithms = [np.log(np.diff(made.samples)[made.symbols[1:] == "A"]) for made in all_made]
    assert np.mean([np.std(early) for early in logarithms]) < np.std([early.mean() for early in logarithms])


def test_only_n_become_early_and_v_keep_their_distance_to_the_beat_before():
    symbols = np.array(list("NLVNNNRENNNNVVNNN/NNANNF") * 25)
    record = regular(360, len(symbols), symbols=symbols)
    kept = np.flatnonzero(np.isin(symbols[1:-1], list("NLVRE"))) + 1
    moved = record.samples.copy()
    v = np.isin(symbols, ["V", "E"])
    moved[v] -= np.random.default_rng(0).integers(0, 120, v.sum())
    record = replace(record, samples=moved)
    made = make_early(record, 1)
    changed = made.symbols != symbols[kept]
    assert changed.any()
    assert set(made.symbols[changed]) == {"A"}
    assert set(symbols[kept][changed]) == {"N", "L", "R"}
    # Also where an early beat is right before, whose pause would be in place of the distance.
    beats = np.flatnonzero(v[kept[1:]]) + 1
    assert np.count_nonzero(made.symbols[beats - 1] == "A") > 10
    distances = moved[kept] - moved[kept - 1]
    assert (np.diff(made.samples)[beats - 1] == distances[beats]).all()


@pytest.mark.parametrize("make", RHYTHMS.values(), ids=RHYTHMS)
def test_the_seed_and_the_name_decide(make):
    record = regular(128)
    made = make(record, 1)
    assert (make(record, 1).signal == made.signal).all()
    assert (make(record, 1).samples == made.samples).all()
    assert (make(record, 1).symbols == made.symbols).all()
    assert make(record, 2).samples.tolist() != made.samples.tolist()
    assert make(replace(record, name="other"), 1).samples.tolist() != made.samples.tolist()


@pytest.mark.parametrize("make", RHYTHMS.values(), ids=RHYTHMS)
@pytest.mark.parametrize("symbols", [list("AAAAAA"), list("NAAAAN"), list("NN"), ["N"], []])
def test_a_record_without_such_beats_becomes_an_empty_one(symbols, make):
    record = regular(360, 6)
    record = replace(record, samples=record.samples[: len(symbols)], symbols=np.array(symbols, "<U1"))
    made = make(record, 0)
    assert (len(made.samples), len(made.symbols), len(made.signal)) == (0, 0, 0)


@pytest.mark.parametrize("symbols", [list("NNN"), list("NVN"), list("NNNN"), list("NNNNN"), list("VVVVVV")])
def test_few_beats_or_only_v_are_no_trouble_for_early_ones(symbols):
    record = regular(360, len(symbols), symbols=np.array(symbols))
    for seed in range(8):
        made = make_early(record, seed)
        assert len(made.samples) == len(symbols) - 2
        assert np.isfinite(made.signal).all()
        # The first has no beat before it, and none comes after the last.
        early = np.flatnonzero(made.symbols == "A")
        assert set(early) <= set(range(1, len(symbols) - 3))
        if "V" in symbols:
            assert made.symbols.tolist() == symbols[1:-1]


@pytest.mark.parametrize("make", RHYTHMS.values(), ids=RHYTHMS)
def test_beats_upon_one_another_are_no_trouble(make):
    record = regular(360, 30)
    samples = np.sort(np.concatenate([record.samples, record.samples[::3] + 1, record.samples[::5]]))
    symbols = np.resize(list("VNNVN"), len(samples))
    made = make(replace(record, samples=samples, symbols=symbols), 0)
    assert np.isfinite(made.signal).all()
    assert (np.diff(made.samples) > 0).all()


@pytest.mark.parametrize("name", ["119", "220"])
def test_a_short_cycle_has_no_step_before_the_next_beat(mitdb, name):
    record = read_record(mitdb / name)

    def steepest(record, beats):
        """Return the steepest change between two samples from 0.30 to 0.22 s before most of these beats."""
        near = np.arange(-round(0.30 * record.rate), 1 - round(0.22 * record.rate))
        changes = np.abs(np.diff(record.signal[record.samples[beats, None] + near], axis=1))
        return np.percentile(changes.max(axis=1), 90)

    made = make_early(record, 0)
    rr = np.append(np.nan, np.diff(made.samples)) / record.rate
    short = np.flatnonzero((made.symbols == "A") & (rr > 0.5) & (rr < 0.7))
    assert len(short) > 50
    assert steepest(made, short) < 2.5 * steepest(record, np.arange(5, len(record.samples)))


@pytest.mark.parametrize(("seconds", "kept"), [(0.30, 0.024), (0.36, 0.060), (0.50, 0.144)])
def test_a_short_cycle_keeps_what_the_next_lead_in_leaves(seconds, kept):
    record = regular(1000, 30)
    record = replace(record, signal=np.random.default_rng(0).standard_normal(len(record.signal)))
    beats = np.arange(1, 29)
    made = rhythms.set_anew(record, beats, np.full(28, seconds), np.random.default_rng(0), fibrillates=False)
    assert (np.diff(made.samples)[:-1] == round(1000 * seconds)).all()

    def bends(record, beats):  # a cycle's level and slope are changed, its bends are not
        return np.diff(record.signal[record.samples[beats, None] + np.arange(200)], 2, axis=1)

    alike = np.isclose(bends(made, np.arange(27)), bends(record, beats[:27]), atol=1e-4).argmin(axis=1)
    assert alike == pytest.approx(1000 * kept, abs=4)


def test_a_real_record_of_half_an_hour_takes_no_time(mitdb):
    record = read_record(mitdb / "203")
    started = time.process_time()
    made = fibrillate(record, 0)
    assert time.process_time() - started < 1
    assert np.isfinite(made.signal).all()
    assert np.abs(made.signal).max() < 3 * np.abs(record.signal).max()
