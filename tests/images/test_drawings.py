"""Windows, and what each drawing shows."""

import hashlib
from dataclasses import replace

from ecgbeats.images.bands import amplitudes
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.drawings.paper import draw, windows
from ecgbeats.images.drawings.typical import BAR_GRAY, TYPICAL_GRAY
from ecgbeats.records.record import Record
from ecgbeats.records.wfdb_files import read_record

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

# -- paper ---------------------------------------------------------------------------------------------------


def test_windows_are_the_papers():
    samples = [100, 400, 700, 1100]
    expected = [[0, 380], [120, 680], [420, 1080], [720, 1500]]
    assert windows(samples, 360, 1500).tolist() == expected


def test_the_margin_follows_the_sampling_rate():
    assert windows([100, 400, 700], 720, 1000)[1].tolist() == [140, 660]
    assert windows([100, 400, 700], 180, 1000)[1].tolist() == [110, 690]


def test_the_margin_shrinks_between_close_beats():
    assert windows([100, 110, 500], 360, 1000).tolist() == [[0, 101], [109, 480], [130, 1000]]


@given(
    gaps=st.lists(st.integers(0, 900), min_size=1, max_size=40),
    rate=st.sampled_from([100.0, 128.0, 250.0, 360.0, 1000.0]),
    rest=st.integers(1, 500),
)
def test_every_window_holds_its_beat_and_lies_in_the_record(gaps, rate, rest):
    samples = np.cumsum(gaps)
    length = int(samples[-1]) + rest
    bounds = windows(samples, rate, length)
    assert len(bounds) == len(samples)
    assert (bounds[:, 0] >= 0).all()
    assert (bounds[:, 1] <= length).all()
    assert (bounds[:, 0] <= samples).all()
    assert (samples < bounds[:, 1]).all()


@given(gaps=st.lists(st.integers(50, 900), min_size=3, max_size=20))
def test_far_beats_have_windows_by_the_formula(gaps):
    samples = np.cumsum(gaps)
    bounds = windows(samples, 360, int(samples[-1]) + 100)
    assert (bounds[1:, 0] == samples[:-1] + 20).all()
    assert (bounds[:-1, 1] == samples[1:] - 20).all()


@given(samples=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=600))
@example([0.0, 2.7017034392182473e-42])
@settings(deadline=None)
def test_any_signal_is_drawn_edge_to_edge(samples):
    image = draw(np.array(samples, np.float32))
    assert image.shape == (128, 128)
    assert image.dtype == np.uint8
    assert (image.min(axis=0) < 255).all(), "the line spans every column"
    if max(samples) > min(samples):
        rows = np.flatnonzero(image.min(axis=1) < 128)
        assert rows[0] <= 4
        assert rows[-1] >= 123


def test_the_line_follows_the_signal_within_half_a_pixel():
    # A slow wave: the darkness-weighted mean row of each column is where the signal is.
    wave = np.sin(np.linspace(0, 2 * np.pi, 400)).astype(np.float32)
    darkness = 255.0 - draw(wave)
    rows = (darkness * np.arange(128)[:, None]).sum(axis=0) / darkness.sum(axis=0)
    columns = np.interp(np.linspace(0, 399, 128), np.arange(400), wave)
    expected = 2 + (1 - columns) / 2 * 123
    assert np.abs(rows - expected)[3:-3].max() < 0.5


def test_drawing_is_the_same_whatever_the_unit():
    signal = np.random.default_rng(0).integers(-200, 200, 300).astype(np.float32)
    assert (draw(signal) == draw(signal * 4 + 8)).all()


def hash_paper_images(record, indices):
    draw = DRAWINGS["paper"](record)
    return hashlib.sha256(b"".join(draw(i).tobytes() for i in indices)).hexdigest()


def test_the_papers_images_stay_as_they_were():
    # Published scores and networks are of these very pixels.
    signal = np.random.default_rng(1).integers(-200, 200, 3000).cumsum().astype(np.float32)
    samples = np.array([40, 300, 420, 800, 2900])
    record = Record("made", "MLII", 250.0, signal, samples, np.array(list("NNVNN")))
    expected = "5f9fb0d7c8e44f1559751dae3e7f8e0a9f0b0879730e70c5f0b712825a4c2c2a"
    assert hash_paper_images(record, range(5)) == expected


def test_the_papers_images_of_a_real_record_stay_as_they_were(mitdb):
    expected = "c62808c9db8e066bcff8c0f3e47fcf10095d85baa2fe42ce36f1161947377e1e"
    assert hash_paper_images(read_record(mitdb / "100"), [0, 1, 1000, -1]) == expected


# -- strips --------------------------------------------------------------------------------------------------


BEAT_ROWS, TICK_ROWS, RHYTHM_ROWS = slice(0, 68), slice(68, 76), slice(76, 128)


def make_record(times, sizes=None, seconds=30, rate=360, waves=1):
    """Return a record with a beat at each time, a smooth bump of 0.1 s and some mV; ``waves`` scales the rest."""
    sizes = [1.0] * len(times) if sizes is None else sizes
    samples = np.array([round(time * rate) for time in times])
    t = np.arange(round(seconds * rate)) / rate
    signal = sum(h * np.exp(-(((t - x) / 0.03) ** 2) / 2) for h, x in zip(sizes, times, strict=True))
    signal += 0.03 * waves * np.sin(2 * np.pi * 5 * t)  # so that no line is level
    symbols = np.array(["N"] * len(times))
    return Record("made", "MLII", float(rate), signal.astype(np.float32), samples, symbols)


def draw_strips(record, beat):
    return DRAWINGS["strips"](record)(beat)


def mark_columns(rows):
    """Return the mean column of each group of dark columns, to parts of a column."""
    dark = (255.0 - rows).sum(axis=0)
    inside = np.flatnonzero(dark)
    groups = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
    return [float(np.average(group, weights=dark[group])) for group in groups]


def peak_columns(rows, row):
    """Return the columns of the peaks that rise above a row."""
    return mark_columns(rows[:row])


def test_beats_stand_at_a_fixed_scale_of_time():
    # One a second, but the seventh a third of a second early, with a pause behind it.
    times = [*(5, 6, 7, 8, 9, 10), 10.7, *(12, 13, 14, 15)]
    record = make_record(times)
    for beat in range(4, 8):
        image = draw_strips(record, beat)
        shown = [76 + 25 * (time - times[beat]) for time in times]
        shown = [column for column in shown if -0.5 < column < 127.5]
        inner = [column for column in shown if 4 < column < 123]  # those at the edge are cut
        ticks = mark_columns(image[TICK_ROWS])
        assert len(ticks) == len(shown)
        assert [x for x in ticks if 4 < x < 123] == pytest.approx(inner, abs=0.1)
        peaks = peak_columns(image[RHYTHM_ROWS], 12)
        assert [x for x in peaks if 4 < x < 123] == pytest.approx(inner, abs=0.3)
        assert peak_columns(image[BEAT_ROWS], 20) == pytest.approx([58], abs=0.3)


def test_a_close_neighbour_stands_in_the_beats_own_strip_too():
    image = draw_strips(make_record([5, 6, 6.35, 7.5, 8.5]), 1)
    assert peak_columns(image[BEAT_ROWS], 20) == pytest.approx([58, 58 + 160 * 0.35], abs=0.3)


def test_the_strips_follow_the_signal():
    # Waves of half a second; the beats that make them low are far away.
    record = make_record([1, 2, 3, 4, 20], [1, 1, 1, 1, 0], waves=0)
    t = np.arange(len(record.signal)) / record.rate
    record = replace(record, signal=record.signal + np.float32(0.2) * np.sin(4 * np.pi * t))
    image = draw_strips(record, 4)
    depth = 1 - amplitudes(record.signal, record.rate)
    for rows, beat, seconds in ((BEAT_ROWS, 58, 1 / 160), (RHYTHM_ROWS, 76, 1 / 25)):
        darkness = 255.0 - image[rows]
        found = (darkness * np.arange(len(darkness))[:, None]).sum(axis=0) / darkness.sum(axis=0)
        expected = 2 + np.interp(20 + (np.arange(128) - beat) * seconds, t, depth) * (len(darkness) - 5)
        assert np.ptp(expected) > 10
        assert np.abs(found - expected)[2:-2].max() < 1.2


def heights(image):
    """Return how many rows the beat in the middle rises over the line's usual row, in its strip and below."""
    found = []
    for rows, column in ((BEAT_ROWS, 58), (RHYTHM_ROWS, 76)):
        dark = image[rows] < 128
        usual = np.median([np.flatnonzero(line).mean() for line in dark.T if line.any()])
        found.append(usual - np.flatnonzero(dark[:, column - 1 : column + 2].any(axis=1))[0])
    return found


def test_a_beat_of_half_the_amplitude_is_drawn_half_as_high():
    times = np.arange(2, 28)
    sizes = np.ones(len(times))
    sizes[10] = 0.5
    record = make_record(times, sizes, waves=0.2)
    whole, half = (heights(draw_strips(record, beat)) for beat in (12, 10))
    assert whole[0] > 40
    assert whole[1] > 30
    assert half == pytest.approx([rise / 2 for rise in whole], abs=1.5)
    assert (draw_strips(replace(record, signal=record.signal * 4 + 8), 10) == draw_strips(record, 10)).all()


def test_slow_baseline_is_taken_away():
    record = make_record(np.arange(1, 30))
    t = np.arange(len(record.signal)) / record.rate
    wandering = replace(record, signal=record.signal + np.sin(2 * np.pi * 0.1 * t))
    for beat in (5, 12):
        # Wander as high as the beats. Left in, it would shrink them to less than half.
        image, other = draw_strips(record, beat), draw_strips(wandering, beat)
        assert heights(other) == pytest.approx(heights(image), rel=0.2)
        lowest = [np.flatnonzero((i[BEAT_ROWS] < 128).any(axis=1)).max() for i in (image, other)]
        assert abs(lowest[0] - lowest[1]) <= 5


def test_outside_of_the_record_the_image_is_white():
    record = make_record([0.2, 1.2, 2.2, 28.6, 29.8])
    first, last = draw_strips(record, 0), draw_strips(record, 4)
    for image, rows, edges in (
        (first, BEAT_ROWS, (58 - 0.2 * 160, None)),
        (first, RHYTHM_ROWS, (76 - 0.2 * 25, None)),
        (last, BEAT_ROWS, (None, 58 + 0.2 * 160)),
        (last, RHYTHM_ROWS, (None, 76 + 0.2 * 25)),
    ):
        dark = np.flatnonzero((image[rows] < 255).any(axis=0))
        left, right = edges
        assert dark[0] == (0 if left is None else pytest.approx(left, abs=2))
        assert dark[-1] == (127 if right is None else pytest.approx(right, abs=2))


def test_what_exceeds_stays_in_its_strip():
    sizes = np.ones(600)
    sizes[300], sizes[302] = 20, -20  # too few to count for the record's amplitude
    record = make_record(np.arange(600) + 0.5, sizes, seconds=600)
    image = draw_strips(record, 301)
    assert (image[[0, 67, 68, 76, 127]] == 255).all()
    high, low = draw_strips(record, 300), draw_strips(record, 302)
    assert (high[2, 56:61] < 128).all()
    assert (low[65, 56:61] < 128).all()
    assert heights(image)[0] > 25


@pytest.mark.parametrize("rate", [128, 250, 1000])
def test_strips_look_alike_at_other_sampling_rates(rate):
    times = [1.25, 2.25, 3.25, 4.25, 5, 6.5, 7.5, 8.5, 9.5]
    images = [draw_strips(make_record(times, seconds=11, rate=r), 4).astype(float) for r in (360, rate)]
    assert np.abs(images[0] - images[1]).mean() < 4
    marks = [mark_columns(image[TICK_ROWS]) for image in images]
    assert marks[1] == pytest.approx(marks[0], abs=0.1)
    # Far less than a twentieth of a second makes.
    times[4] += 0.05
    moved = draw_strips(make_record(times, seconds=11), 4)
    assert np.abs(images[0] - moved).mean() > 3 * np.abs(images[0] - images[1]).mean()


@pytest.mark.parametrize("drawing", ["strips", "typical"])
def test_no_drawing_tells_the_symbols(mitdb, drawing):
    record = read_record(mitdb / "208")
    other = replace(record, symbols=np.full(len(record.symbols), "N"))
    one, two = DRAWINGS[drawing](record), DRAWINGS[drawing](other)
    for beat in (0, 1, 500, 1000, -1):
        assert (one(beat) == two(beat)).all()


@given(
    samples=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=600),
    rate=st.sampled_from([1.0, 50.0, 128.0, 360.0, 2000.0]),
    place=st.floats(0, 1),
)
@example([0.0], 360.0, 0.0)
@example([1.0] * 500, 360.0, 0.5)
@example([0.0, 2.7017034392182473e-42], 360.0, 1.0)
@settings(deadline=None)
def test_strips_of_any_signal(samples, rate, place):
    at = np.array([round(place * (len(samples) - 1))])
    record = Record("any", "MLII", rate, np.array(samples, np.float32), at, np.array(["N"]))
    image = draw_strips(record, 0)
    assert image.shape == (128, 128)
    assert image.dtype == np.uint8
    assert mark_columns(image[TICK_ROWS]) == pytest.approx([76], abs=0.05)
    if len(samples) > 1:  # else there is no line
        assert (image[BEAT_ROWS, 58] < 255).any()
        assert (image[RHYTHM_ROWS, 76] < 255).any()
    assert (image[[0, 67, 68, 76, 127]] == 255).all()


# -- typical -------------------------------------------------------------------------------------------------


def test_a_beat_is_drawn_over_the_typical_one():
    times = np.arange(2, 28)
    sizes = np.ones(len(times))
    sizes[10] = 0.5
    record = make_record(times, sizes, waves=0)
    draw = DRAWINGS["typical"](record)
    usual, low = draw(12), draw(10)
    # As high as the others, it hides the gray line; half as high, it leaves it to be seen above its own peak.
    assert not ((usual[BEAT_ROWS] == TYPICAL_GRAY) & (draw_strips(record, 12)[BEAT_ROWS] == 255)).any()
    peak = heights(usual)[0], heights(low)[0]
    assert peak[1] == pytest.approx(peak[0] / 2, abs=1.5)
    above = low[BEAT_ROWS, 58][: np.flatnonzero(low[BEAT_ROWS, 58] < 100)[0]]
    gray = np.flatnonzero(above < 230)
    assert above[gray].min() >= TYPICAL_GRAY
    top = np.flatnonzero(usual[BEAT_ROWS, 58] < 128)[0]
    assert gray[0] == pytest.approx(top, abs=1)
    # Where there are few beats there is nothing typical.
    alone = make_record([0.1], seconds=0.3)
    assert (DRAWINGS["typical"](alone)(0)[:76] == draw_strips(alone, 0)[:76]).all()
    assert (DRAWINGS["typical"](alone)(0)[76:] == 255).all()
    # Nor in beats that share a sample, which have no RR interval to measure by.
    assert DRAWINGS["typical"](make_record([5, 5]))(1).shape == (128, 128)


def test_ticks_count_in_typical_rr_intervals():
    # At half the rate of heart all is at the same place; the beat that comes early, too.
    fast, slow = (
        DRAWINGS["typical"](make_record([*times, *(times[-1] + 0.6 * rr + np.arange(9) * rr)], seconds=30))
        for rr in (0.5, 1.0)
        for times in [2 + rr * np.arange(12)]
    )
    for beat in (8, 12):
        assert (fast(beat)[68:] == slow(beat)[68:]).all()
    row = fast(12)[72]
    assert np.flatnonzero(row < 128).tolist() == [11, 36, 61, 76, 101, 126]


def test_bars_are_rr_intervals():
    times = 2 + np.cumsum([0.8] * 12 + [0.4, 1.2, 2.0] + [0.8] * 9)
    image = DRAWINGS["typical"](make_record(times, seconds=30))(13)
    bars = image[76:]
    heights = (bars < 255).sum(axis=0).reshape(32, 4)
    assert (heights[:, 3] == 0).all()
    assert (heights[:, :3] == heights[:, :1]).all()
    # The own bar is that of the RR interval before the beat; the first beat of the record has none.
    assert heights[:, 0].tolist() == [0] * 7 + [24] * 11 + [12, 36, 51] + [24] * 9 + [0] * 2
    assert set(np.unique(bars[:, 76:79])) == {0, 255}
    assert set(np.unique(np.delete(bars, slice(76, 80), axis=1))) == {BAR_GRAY, 255}


def test_the_typical_beat_is_the_median():
    # Every third beat is upside down: a mean would be lower by half, the median is not.
    times = np.arange(2, 28)
    record = make_record(times, np.where(np.arange(len(times)) % 3, 1.0, -0.7), waves=0)
    inverted, upright = (DRAWINGS["typical"](record)(beat)[BEAT_ROWS, 58] for beat in (12, 13))
    top = np.flatnonzero(inverted < 230)[0]
    assert top == pytest.approx(np.flatnonzero(upright < 128)[0], abs=1)
    assert inverted[top] >= TYPICAL_GRAY - 1
    assert np.flatnonzero(inverted < 100)[0] > top + 20
