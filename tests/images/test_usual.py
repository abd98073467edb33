"""What the drawing "usual" shows: form, RR intervals and rhythm, beside what is usual around the beat."""

from dataclasses import replace

from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.drawings.usual import (
    BAR_ROWS,
    BAR_WIDTH,
    BARS_AFTER,
    BARS_BEFORE,
    DIFFERENCE_ROWS,
    GAUGE_ROWS,
    GAUGE_TOP,
    GAUGES,
    USUAL_BAR,
)
from ecgbeats.records.record import Record
from ecgbeats.records.wfdb_files import read_record

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

BEAT_ROWS = slice(0, DIFFERENCE_ROWS.start)
RHYTHM_ROWS = slice(BAR_ROWS.start, None)
REGULAR = 1 + np.arange(60) * 0.8  # seconds


def make_record(times, sizes=None, rate=360):
    """Return a record with a beat at each time (seconds): a bump of 0.1 s, after one a tenth as high, the P wave."""
    sizes = np.ones(len(times)) if sizes is None else sizes
    t = np.arange(round((max(times) + 2) * rate)) / rate
    signal = 0.02 * np.sin(2 * np.pi * 5 * t)
    for size, x in zip(sizes, times, strict=True):
        signal += size * np.exp(-(((t - x) / 0.03) ** 2) / 2) + 0.1 * np.exp(
            -(((t - x + 0.16) / 0.02) ** 2) / 2
        )
    samples = np.rint(np.asarray(times) * rate).astype(np.int64)
    return Record("made", "MLII", float(rate), signal.astype(np.float32), samples, np.full(len(times), "N"))


def usual(record, beat):
    return DRAWINGS["usual"](record)(beat)


def bar_heights(image):
    """Return how many rows each bar fills."""
    bars = image[BAR_ROWS, : (BARS_BEFORE + 1 + BARS_AFTER) * BAR_WIDTH : BAR_WIDTH]
    return (bars < 255).sum(axis=0)


def gauge_lengths(image):
    """Return how many columns each gauge fills, by its words."""
    rows = image[GAUGE_TOP : GAUGE_TOP + len(GAUGES) * GAUGE_ROWS : GAUGE_ROWS]
    return dict(zip(GAUGES, (rows == 0).sum(axis=1).tolist(), strict=True))


def test_unit_polarity_and_place_of_the_annotation_do_not_matter():
    record = make_record(REGULAR)
    image = usual(record, 30).astype(float)
    for other in (
        replace(record, signal=record.signal * 4 + 8),
        replace(record, signal=-record.signal),
        replace(record, samples=record.samples + 9),
    ):
        assert np.abs(usual(other, 30) - image).mean() < 1


@pytest.mark.parametrize("rate", [128, 250, 1000])
def test_recorders_of_other_rates_draw_alike(rate):
    times, sizes = REGULAR.copy(), np.ones(60)
    times[30] -= 0.3
    sizes[30] = 0.6
    images = [usual(make_record(times, sizes, rate=r), 30).astype(float) for r in (360, rate)]
    assert np.abs(images[0] - images[1])[BEAT_ROWS].mean() < 6
    assert np.abs(images[0] - images[1])[DIFFERENCE_ROWS].mean() < 4
    assert np.abs(images[0] - images[1])[RHYTHM_ROWS].mean() < 3


def test_every_second_beat_early_and_odd_is_drawn_over_the_others():
    # In bigeminy half of the beats are early: a median of all would be neither.
    times = 1 + np.cumsum(np.tile([1.0, 0.5], 40))
    sizes = np.tile([1.0, -0.8], 40)
    draw = DRAWINGS["usual"](make_record(times, sizes))
    late, early = (draw(beat)[BEAT_ROWS, 58] for beat in (40, 41))
    assert np.flatnonzero(late < 100)[0] == pytest.approx(np.flatnonzero(early < 200)[0], abs=1)
    assert np.flatnonzero(early < 100)[0] > np.flatnonzero(early < 200)[0] + 20


def test_a_beat_that_comes_early_changes_the_rhythm_alone():
    times = REGULAR.copy()
    times[30] -= 0.2
    usual_one, early = (usual(make_record(t), 30) for t in (REGULAR, times))
    changed = np.abs(early.astype(float) - usual_one).mean(axis=1)
    assert changed[BEAT_ROWS].mean() < 1
    assert changed[DIFFERENCE_ROWS].max() < 2
    heights = np.full(25, USUAL_BAR)
    assert (bar_heights(usual_one) == heights).all()
    heights = heights * np.r_[np.ones(BARS_BEFORE), 0.75, 1.25, np.ones(BARS_AFTER - 1)]
    assert bar_heights(early) == pytest.approx(heights, abs=0.6)
    own = slice(BARS_BEFORE * BAR_WIDTH, (BARS_BEFORE + 1) * BAR_WIDTH)
    assert set(np.unique(early[BAR_ROWS, own])) == {0, 255}
    assert not (np.delete(early[BAR_ROWS], np.r_[own], axis=1) == 0).any()
    before, after = gauge_lengths(usual_one), gauge_lengths(early)
    assert before["interval before the beat"] == 64
    assert after["interval before the beat"] == pytest.approx(0.75 * 64, abs=1)
    assert after["interval after it, by the median"] == pytest.approx(1.25 * 64, abs=1)
    assert after["share of the surroundings' intervals that are shorter"] == 0
    rhythm = list(GAUGES)[:3]  # a single early beat is no other rhythm
    assert [after[words] for words in rhythm] == [before[words] for words in rhythm]


def test_a_beat_of_another_form_changes_the_beat_and_the_difference_alone():
    sizes = np.ones(60)
    sizes[30] = 0.5
    usual_one, low = (usual(make_record(REGULAR, s), 30) for s in (np.ones(60), sizes))
    assert (low[RHYTHM_ROWS] == usual_one[RHYTHM_ROWS]).all()
    assert np.abs(low[BEAT_ROWS].astype(float) - usual_one[BEAT_ROWS]).mean() > 1
    # The middle gray where the beats agree, and half of the swing is 50 gray levels.
    assert usual_one[DIFFERENCE_ROWS] == pytest.approx(128, abs=6)
    assert low[DIFFERENCE_ROWS, 58] == pytest.approx(128 + 50, abs=6)
    assert low[DIFFERENCE_ROWS, 90:] == pytest.approx(128, abs=6)


def test_an_irregular_rhythm_fills_the_gauges():
    random = np.random.default_rng(0)
    regular = 1 + np.cumsum(0.8 + random.uniform(-0.01, 0.01, 300))
    irregular = 1 + np.cumsum(0.8 * np.exp(random.normal(0, 0.25, 300)))
    lengths = [
        np.array(list(gauge_lengths(usual(make_record(t), 150)).values())) for t in (regular, irregular)
    ]
    of_rhythm = [0, 1, 2, list(GAUGES).index("median step of the surroundings")]
    assert lengths[0][of_rhythm].max() < 12
    assert lengths[1][of_rhythm].min() > 40


def test_bars_count_in_the_usual_interval_of_the_surroundings_and_gauges_tell_that():
    # Two hundred beats at a second's distance, then two hundred at half of it.
    draw = DRAWINGS["usual"](make_record(np.cumsum(np.concatenate([np.full(200, 1.0), np.full(200, 0.5)]))))
    for beat, length in ((100, 64), (350, 32)):
        assert (bar_heights(draw(beat)) == USUAL_BAR).all()
        assert gauge_lengths(draw(beat))["usual interval of the surroundings"] == length
        slow = "interval before it, by the slow rhythm of the surroundings"
        assert gauge_lengths(draw(beat))[slow] == 85  # of 128, full at one and a half
    # The record's slow rhythm is the first half's.
    assert [
        gauge_lengths(draw(beat))["interval before it, by the record's slow rhythm"] for beat in (100, 350)
    ] == [
        85,
        43,
    ]


def test_where_most_beats_are_early_the_slow_rhythm_tells_them_apart():
    # Runs of 24 S at half of the interval, six N between them: the usual interval is that of S.
    cycle = np.array([1.0] * 6 + [0.5] * 24)
    times = 1 + np.cumsum(np.tile(cycle, 12))
    draw = DRAWINGS["usual"](make_record(times))
    of_regular = gauge_lengths(usual(make_record(1 + np.arange(360.0)), 180))
    early, late = (gauge_lengths(draw(beat)) for beat in (6 * 30 + 15, 6 * 30 + 3))
    assert early["interval before the beat"] == of_regular["interval before the beat"] == 64
    for slow in (
        "interval before it, by the slow rhythm of the surroundings",
        "interval before it, by the record's slow rhythm",
    ):
        assert late[slow] == of_regular[slow] == 85
        assert early[slow] == 43


def test_it_does_not_tell_the_symbols(mitdb):
    record = read_record(mitdb / "208")
    one, two = (
        DRAWINGS["usual"](r) for r in (record, replace(record, symbols=np.full(len(record.symbols), "N")))
    )
    for beat in (0, 1, 500, 1000, -1):
        assert (one(beat) == two(beat)).all()


@given(
    samples=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=600),
    rate=st.sampled_from([1.0, 50.0, 128.0, 360.0, 2000.0]),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=9),
)
@example([0.0], 360.0, [0.0])
@example([1.0] * 500, 360.0, [0.5, 0.5])
@example([0.0, 2.7017034392182473e-42], 360.0, [1.0])
@example([0.0] * 99 + [1000.0] * 2 + [0.0] * 99 + [2e-38] * 2, 50.0, [1.0])
@example([0.0, 1.0] * 200, 360.0, [0.1, 0.9])
@settings(deadline=None, max_examples=50)
@pytest.mark.filterwarnings("error")
def test_any_signal_is_drawn(samples, rate, places):
    at = np.sort(np.rint(np.array(places) * (len(samples) - 1)).astype(np.int64))
    record = Record("any", "MLII", rate, np.array(samples, np.float32), at, np.full(len(at), "N"))
    draw = DRAWINGS["usual"](record)
    for beat in range(len(at)):
        image = draw(beat)
        assert image.shape == (128, 128)
        assert image.dtype == np.uint8
        assert (image[GAUGE_TOP + GAUGE_ROWS - 1 :: GAUGE_ROWS] == 255).all()
        assert min(bar_heights(image)) > 0
