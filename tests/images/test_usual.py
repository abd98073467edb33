"""What the drawing "usual" shows: form, RR intervals and neighbours, beside what is usual around the beat."""

from dataclasses import replace

from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.drawings.usual import AROUND_ROWS, BAR_GRAY, BAR_ROWS, MARK_GRAY, USUAL_BAR
from ecgbeats.records.record import Record
from ecgbeats.records.wfdb_files import read_record

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

BEAT_ROWS = slice(0, BAR_ROWS.start)
OWN_BAR = slice(76, 79)  # columns


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
    """Return how many rows each bar fills; the line behind the bars is no bar."""
    bands = image[BAR_ROWS].reshape(BAR_ROWS.stop - BAR_ROWS.start, 32, 4)[:, :, 0]
    return ((bands == BAR_GRAY) | (bands == 0)).sum(axis=0)


def test_unit_polarity_and_place_of_the_annotation_do_not_matter():
    record = make_record(1 + np.arange(60) * 0.8)
    image = usual(record, 30).astype(float)
    for other in (
        replace(record, signal=record.signal * 4 + 8),
        replace(record, signal=-record.signal),
        replace(record, samples=record.samples + 9),
    ):
        assert np.abs(usual(other, 30) - image).mean() < 1


@pytest.mark.parametrize("rate", [128, 250, 1000])
def test_recorders_of_other_rates_draw_alike(rate):
    times = 1 + np.arange(60) * 0.8
    images = [usual(make_record(times, rate=r), 30).astype(float) for r in (360, rate)]
    assert np.abs(images[0] - images[1]).mean() < 4


def test_every_second_beat_early_and_odd_is_drawn_over_the_others():
    # In bigeminy half of the beats are early: a median of all would be neither.
    times = 1 + np.cumsum(np.tile([1.0, 0.5], 40))
    sizes = np.tile([1.0, -0.8], 40)
    draw = DRAWINGS["usual"](make_record(times, sizes))
    late, early = (draw(beat)[BEAT_ROWS, 58] for beat in (40, 41))
    assert np.flatnonzero(late < 100)[0] == pytest.approx(np.flatnonzero(early < 200)[0], abs=1)
    assert np.flatnonzero(early < 100)[0] > np.flatnonzero(early < 200)[0] + 20


def test_bars_count_in_the_records_usual_interval_and_a_line_marks_that_of_the_surroundings():
    # Two hundred beats at a second's distance, then two hundred at half of it, one of them at a quarter.
    times = np.cumsum(np.concatenate([np.full(200, 1.0), np.full(200, 0.5)]))
    times[300:] -= 0.25
    record = make_record(times)
    draw = DRAWINGS["usual"](record)
    for beat, height, line in ((100, USUAL_BAR, USUAL_BAR), (350, USUAL_BAR // 2, USUAL_BAR // 2)):
        image = draw(beat)
        assert (bar_heights(image) == height).all()
        row = image[BAR_ROWS.stop - line - (height < line)]
        assert set(np.unique(row[3::4])) <= {MARK_GRAY, 255}
    early = bar_heights(draw(300))
    assert early[19] == USUAL_BAR // 4
    assert (np.delete(early, 19) == USUAL_BAR // 2).all()
    own = draw(300)[BAR_ROWS, OWN_BAR]
    assert (own == 0).any()
    assert not (own == BAR_GRAY).any()


def test_neighbours_stand_below_each_other():
    draw = DRAWINGS["usual"](make_record(1 + np.arange(60) * 0.8))
    rows = draw(30)[AROUND_ROWS]
    beat_rows = np.delete(np.arange(48), [27, 30])
    assert (rows[[27, 30]] == 255).all()
    dark = rows[beat_rows] < 40
    for column in (70 - 48, 70, 70 + 48):  # the beat before, the row's own, the next: 0.8 s are 48 columns
        assert dark[:, column - 1 : column + 2].any(axis=1).all()
    # Before the first beat of the record there is none.
    first = draw(0)[AROUND_ROWS]
    assert (first[:28] == 255).all()
    assert (first[30:] < 255).any()


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
@settings(deadline=None, max_examples=50)
def test_any_signal_is_drawn(samples, rate, places):
    at = np.sort(np.rint(np.array(places) * (len(samples) - 1)).astype(np.int64))
    record = Record("any", "MLII", rate, np.array(samples, np.float32), at, np.full(len(at), "N"))
    draw = DRAWINGS["usual"](record)
    for beat in range(len(at)):
        image = draw(beat)
        assert image.shape == (128, 128)
        assert image.dtype == np.uint8
        assert (image[AROUND_ROWS][[27, 30]] == 255).all()
