"""The review page: what it holds, and what it does in a browser."""

import base64
import datetime
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from ecgbeats.images import stretches
from ecgbeats.images.drawings import DRAWINGS, usual
from ecgbeats.records.record import Signal
from ecgbeats.records.wfdb_files import read_record
from ecgbeats.scores.annotating.corrections import correct, read_corrections
from ecgbeats.scores.annotating.labelled import Labelled
from ecgbeats.scores.annotating.summary import summarize
from ecgbeats.scores.review import Review, packing, page, write_review

import numpy as np
import pytest
from browser import browser

CLASSES = list("NSVFQ")
RECORDS = Path(__file__).parents[3] / "shared" / "mitdb"
STRANGE = "</script><img src=x onerror=\"document.title='run'\">\u2028<!--<script> 'ä' \"&amp;"


def made_review(seconds=20, **changes):
    """Return a review of a made signal: a spike a second, the fourth and the fifth of class V, one doubtful."""
    rate, random = 250.0, np.random.default_rng(0)
    samples = np.arange(100, seconds * 250 - 100, 250)
    millivolts = random.normal(0, 0.01, int(seconds * rate)).astype(np.float32)
    millivolts[samples] += 1
    predicted = np.zeros(len(samples), int)
    predicted[[3, 4]] = 2
    probabilities = np.full((len(samples), 5), 0.005, np.float32)
    probabilities[np.arange(len(samples)), predicted] = 0.98
    probabilities[6] = [0.6, 0.4, 0, 0, 0]
    values = {
        "name": "made",
        "lead": "II",
        "rate": rate,
        "millivolts": millivolts,
        "samples": samples,
        "classes": CLASSES,
        "symbols": CLASSES,
        "predicted": predicted,
        "probabilities": probabilities,
        "noise": np.array([[2000, 2500]]),
        "drawing": "paper",
        "notices": ["Flutter is not found."],
    }
    return Review(**values | changes)


def real_review(name, drawing, lead=None):
    """Return a review of a record, all beats labelled V."""
    if not RECORDS.is_dir():
        pytest.skip("the MIT-BIH records are not there")
    record = read_record(RECORDS / name, lead)
    predicted = np.full(len(record.samples), 2)
    return record, made_review(
        name=name,
        lead=record.lead,
        rate=record.rate,
        millivolts=record.signal,
        samples=record.samples,
        predicted=predicted,
        probabilities=np.eye(5, dtype=np.float32)[predicted],
        drawing=drawing,
    )


def unpack(text, dtype, order):
    """Do what codec.js does."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    size = np.dtype(dtype).itemsize
    unsigned = planes.reshape(size, -1).T.copy().view(f"<u{size}")[:, 0]
    if not order:
        return unsigned.astype(dtype)
    values = (unsigned >> 1).astype(dtype) ^ -(unsigned & 1).astype(dtype)
    for _ in range(order):
        values = np.cumsum(values, dtype=dtype)
    return values


@pytest.mark.parametrize(("dtype", "order"), [("u1", 0), ("i2", 0), ("i2", 2), ("i4", 1), ("i4", 2)])
def test_what_is_packed_unpacks(dtype, order):
    limits = np.iinfo(dtype)
    edges = [limits.min, limits.max, limits.min, 0, 0, limits.max]
    values = np.concatenate([edges, np.random.default_rng(0).integers(limits.min, limits.max, 1000)]).astype(
        dtype
    )
    np.testing.assert_array_equal(unpack(packing.pack(values, order), dtype, order), values)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_signal_is_rounded_by_no_more_than_half_a_step(scale):
    signal = (scale * np.random.default_rng(0).normal(0, 0.3, 5000)).astype(np.float32)
    blocks, step = packing.pack_signal(signal, 2000, 10**6)
    found = np.concatenate([unpack(block, "i2", packing.SIGNAL_ORDER) for block in blocks])
    assert np.abs(found * step - signal).max() <= step * 0.51
    assert step <= 0.03 * scale


def test_signal_too_large_for_the_page_takes_a_larger_step():
    signal = np.random.default_rng(0).normal(0, 0.3, 20_000).astype(np.float32)
    fine, finest = packing.pack_signal(signal, 5000, 10**6)
    coarse, step = packing.pack_signal(signal, 5000, sum(map(len, fine)) - 1)
    assert finest == 0.005
    assert step == 0.01
    assert sum(map(len, coarse)) < sum(map(len, fine))


class Scripts(HTMLParser):
    """The scripts of a page, and how many of each element it has."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self._open = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append([dict(attributes), ""])

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1][1] += data

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")


def strange_review():
    return made_review(name=STRANGE, lead=STRANGE, classes=[STRANGE, *"SVFQ"], notices=[STRANGE])


def test_texts_of_a_record_are_escaped(tmp_path):
    write_review(tmp_path / "plain.html", made_review())
    write_review(tmp_path / "strange.html", strange_review())
    plain, strange = (Scripts((tmp_path / f"{name}.html").read_text()) for name in ("plain", "strange"))
    assert strange.tags == plain.tags
    about = next(text for attributes, text in strange.scripts if attributes.get("id") == "about")
    assert json.loads(about)["name"] == STRANGE
    assert about.isascii()


def test_policy_lets_this_script_run_and_no_other(tmp_path):
    write_review(tmp_path / "page.html", made_review())
    text = (tmp_path / "page.html").read_bytes().decode()
    (script,) = [script for attributes, script in Scripts(text).scripts if not attributes]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in text
    assert "default-src 'none'" in text


def test_name_that_is_no_utf8_is_written(tmp_path):
    write_review(tmp_path / "page.html", made_review(name="caf\udce9"))
    assert "Record caf?" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("name", DRAWINGS)
def test_page_has_a_function_for_every_drawing(name):
    assert re.search(rf"^  {name}\(samples, index\) {{$", (page.HERE / "drawings.js").read_text(), re.M)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return a function that opens the page of a review in the browser; more are options of Page.open."""
    folder = tmp_path_factory.mktemp("browser")
    with browser(folder) as tab:

        def show(review, **options):
            path = folder / "page.html"
            write_review(path, review)
            tab.path = path
            tab.complaints.clear()
            tab.open(path, **options)
            return tab

        yield show


@pytest.mark.parametrize(("name", "lead"), [("208", None), ("119", "V1"), ("232", None)])
@pytest.mark.parametrize("drawing", DRAWINGS)
def test_image_of_a_beat_is_the_networks(shown, name, lead, drawing):
    record, review = real_review(name, drawing, lead)
    draw = DRAWINGS[drawing](record)
    beats = [0, 1, *range(7, len(record.samples), 97), len(record.samples) - 1]
    tab = shown(review)
    images = tab.evaluate(f"{beats}.map(beat => btoa(String.fromCharCode(...drawBeat(beats.all[beat]))))")
    found = [np.frombuffer(base64.b64decode(image), np.uint8).reshape(128, 128) for image in images]
    differences = [
        np.abs(image.astype(int) - draw(beat)).mean() for image, beat in zip(found, beats, strict=True)
    ]
    assert max(differences) < 8
    assert np.mean(differences) < 1.5


def test_bars_and_gauges_are_the_networks_to_the_pixel_and_an_added_beat_has_them_too(shown):
    record, whole = real_review("208", "usual")
    draw, left_out = DRAWINGS["usual"](record), 701
    beats = [0, 9, *range(20, 700, 61), *range(710, len(record.samples), 61), len(record.samples) - 1]
    fewer = {name: np.delete(getattr(whole, name), left_out, axis=0) for name in ("samples", "predicted")}
    review = replace(whole, **fewer, probabilities=np.delete(whole.probabilities, left_out, axis=0))
    encode = "image => btoa(String.fromCharCode(...image))"
    tab = shown(whole)
    found = tab.evaluate(f"{beats}.map(beat => drawBeat(beats.all[beat])).map({encode})")
    tab = shown(review)
    found += tab.evaluate(f"[drawBeat(beats.add({record.samples[left_out]}, 0))].map({encode})")
    for image, beat in zip(found, [*beats, left_out], strict=True):
        pixels = np.frombuffer(base64.b64decode(image), np.uint8).reshape(128, 128).astype(int)
        difference = np.abs(pixels - draw(beat))
        assert difference.mean() < 3.1
        assert difference[usual.DIFFERENCE_ROWS].mean() < 3
        # A length that lies between two pixels may be rounded to either, two rows high.
        assert np.count_nonzero(difference[usual.BAR_ROWS.start :]) <= 2


@pytest.mark.parametrize("drawing", ["strips", "typical", "usual"])
def test_images_of_a_long_record_are_the_networks_in_each_stretch(shown, drawing, monkeypatch):
    monkeypatch.setattr(stretches, "STRETCH_SECONDS", 420)
    record, review = real_review("208", drawing)
    expected = np.concatenate(list(stretches.draw_beats(record, drawing, 512)))[..., 0]
    parts = list(stretches.cut_into_stretches(record))
    assert len(parts) == 4
    beats = [beat for part in parts for beat in (part.beats[0], part.beats[40], part.beats[-1])]
    images = shown(review).evaluate(
        f"{beats}.map(beat => btoa(String.fromCharCode(...drawBeat(beats.all[beat]))))"
    )
    found = [np.frombuffer(base64.b64decode(image), np.uint8).reshape(128, 128) for image in images]
    differences = [
        np.abs(f.astype(int) - expected[beat]).mean() for f, beat in zip(found, beats, strict=True)
    ]
    assert max(differences) < 8
    assert np.mean(differences) < 1.5


def test_keys_go_to_beats_by_class_and_doubt(shown):
    tab = shown(made_review())
    selected = "view.selected && view.selected.index"
    for key, shift, expected in [
        ("v", False, 3),
        ("v", False, 4),
        ("v", False, 3),  # from the first again
        ("ArrowRight", False, 4),
        ("d", False, 6),
        ("V", True, 4),
        ("s", False, 4),  # there is none
        ("Escape", False, None),
    ]:
        tab.key(key, shift)
        assert tab.evaluate(selected) == expected, key
    assert tab.complaints == []


def test_corrections_are_downloaded_as_csv(shown, tmp_path):
    review = made_review(first=5000)
    tab = shown(review)
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), eventsEnabled=True)

    def downloaded():
        tab.key("w")
        tab.until("Browser.downloadProgress", state="completed")
        (path,) = tmp_path.iterdir()
        text = path.read_text()
        path.unlink()
        assert path.name == "made.corrections.csv"
        return text

    assert downloaded() == "sample,action,symbol\n"
    for key in ["v", "2", "ArrowRight", "Delete", "d", "3", "3"]:
        tab.key(key)
    tab.key("a")
    box = tab.evaluate("(({left, top}) => ({left, top}))(byId('strip').getBoundingClientRect())")
    tab.click(box["left"] + 300, box["top"] + 60)  # at 100 pixels a second
    tab.key("5")
    added = tab.evaluate("view.selected.sample")
    assert added == pytest.approx(750, abs=0.05 * review.rate + 1)
    third, fourth, sixth, added = 5000 + np.append(review.samples[[3, 4, 6]], added)
    expected = [f"{third},relabel,S", f"{fourth},delete,", f"{sixth},relabel,V", f"{added},add,Q"]
    expected = ["sample,action,symbol", *sorted(expected, key=lambda row: int(row.split(",")[0]))]
    text = downloaded()
    assert text.splitlines() == expected
    for _ in range(5):
        tab.key("z")
    assert downloaded() == "sample,action,symbol\n"
    tab.evaluate(f"takeCorrections({json.dumps(text)})")
    assert downloaded() == text
    assert tab.complaints == []


def listed(tab):
    """Return how many entries each list of the page has."""
    return tab.evaluate(
        "Object.fromEntries(Object.entries(lists.kinds()).map(([name, {of}]) => [name, of().length]))"
    )


def test_what_was_given_by_hand_is_not_doubtful_and_is_handed_over_again(shown):
    review = made_review()
    doubtful, relabelled, deleted = review.samples[[6, 3, 5]]
    given = f"sample,action,symbol\n{relabelled},relabel,S\n{deleted},delete,\n{doubtful},relabel,N\n"
    tab = shown(replace(review, corrections=given))
    found = listed(tab)
    assert (found["doubt"], found["hand"], found["deleted"]) == (0, 2, 1)
    assert tab.evaluate("beats.csv()") == given
    assert tab.evaluate("[handedOver === beats.csv(), byId('undo').disabled]") == [True, True]
    assert tab.evaluate("[3, 5, 6].map(i => beatWords(beats.all[i]))") == [
        "by hand, was V, RR 1.00 s",
        "deleted",
        "by hand, RR 2.00 s",
    ]


def test_the_class_that_a_doubtful_beat_has_confirms_it(shown):
    tab = shown(made_review())
    for key, doubtful, by_hand in (("d", 1, 0), ("1", 0, 1), ("1", 0, 1), ("z", 1, 0)):
        tab.key(key)
        found = listed(tab)
        assert (found["doubt"], found["hand"]) == (doubtful, by_hand), key
    assert tab.evaluate("beats.csv()") == "sample,action,symbol\n"


def test_rr_intervals_runs_and_pauses_are_those_of_table_and_summary(shown, tmp_path):
    whole = made_review()
    kept = np.delete(np.arange(len(whole.samples)), [7, 8, 12, 13])  # 3 s without a beat, twice
    predicted = np.zeros(len(kept), int)
    predicted[5:9] = 2  # two before the first of these gaps, two behind it
    millivolts, samples = whole.millivolts, whole.samples[kept]
    noise = np.array([[1700, 2300]])
    review = replace(
        whole, samples=samples, predicted=predicted, probabilities=whole.probabilities[kept], noise=noise
    )
    signal = Signal("made", "II", whole.rate, millivolts, np.zeros(len(millivolts), bool))
    none = np.zeros(len(samples), bool)
    found = Labelled(signal, 0, samples, CLASSES, CLASSES, predicted, review.probabilities, none, noise)
    file = tmp_path / "c.csv"
    tab = shown(review)

    def agree(pauses, runs, unreadable):
        file.write_text(tab.evaluate("beats.csv()"))
        labelled = correct(found, read_corrections(file), file)
        summary = summarize(labelled)
        assert (summary["pauses"], summary["runs"]["V"]) == (pauses, runs)
        assert (listed(tab)["pauses"], listed(tab)["runs"]) == (pauses, runs)
        assert len(labelled.noise) == tab.evaluate("beats.noise.length") == unreadable
        expected = [None if np.isnan(rr) else rr for rr in labelled.rr_intervals().tolist()]
        assert tab.evaluate("beats.current.slice(1).map(beat => beat.rr >= 0 ? beat.rr : null)") == expected
        told = [rr for rr in expected if rr]
        assert tab.evaluate("[...beats.intervals]") == sorted(told)
        drawn = "Object.values(histogram.counts(200)).flatMap(counts => [...counts])"
        assert sum(tab.evaluate(drawn)) == len(told)
        words = f"longest {max(told):.2f} s, {pauses} over 2 s."
        assert tab.evaluate("byId('rhythm-words').innerText").endswith(words)

    agree(pauses=1, runs=0, unreadable=1)
    tab.evaluate("beats.add(2000, 2)")  # so the signal can be judged there
    agree(pauses=1, runs=1, unreadable=0)
    tab.key("z")
    tab.evaluate("beats.remove(beats.all[10])")
    agree(pauses=1, runs=0, unreadable=1)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (820, False), (1400, True)])
def test_page_fits_its_window_and_follows_the_readers_colours(shown, width, dark):
    tab = shown(made_review(), width=width, height=800, dark=dark)
    tab.key("v")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert "no medical device" in tab.evaluate("document.body.innerText")
    light = "(context => context.getImageData(0, 0, 1, 1).data[0])(byId('strip').getContext('2d'))"
    tab.wait(f"({light} {'< 60' if dark else '> 240'})")
    assert tab.complaints == []


def test_fingers_move_the_strip_and_select_a_beat(shown):
    tab = shown(made_review(), width=390, height=800, touch=True)
    left, top = tab.evaluate("(({left, top}) => [left, top])(byId('strip').getBoundingClientRect())")
    tab.touch([(left + 300 - 20 * i, top + 80) for i in range(11)])  # 2 seconds at 100 pixels a second
    assert tab.evaluate("view.start") == 500
    tab.touch([(left + 40, top + 80)])
    assert tab.evaluate("view.selected.sample") == 600
    assert tab.complaints == []


def test_names_of_a_stranger_do_nothing_in_the_browser(shown):
    tab = shown(strange_review())
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert tab.evaluate("byId('tabs').innerText").startswith("N </script>")
    assert tab.complaints == []


@pytest.mark.parametrize(
    "changes",
    [
        {
            "samples": np.empty(0, int),
            "predicted": np.empty(0, int),
            "probabilities": np.empty((0, 5), np.float32),
        },
        {"seconds": 2},
        {"start_time": datetime.time(23, 59, 58), "noise": np.empty((0, 2), int)},
    ],
)
def test_small_records_are_shown(shown, changes):
    review = made_review(**changes) if "seconds" not in changes else short_review()
    for drawing in DRAWINGS:
        tab = shown(replace(review, drawing=drawing))
        tab.key("ArrowRight")
        tab.evaluate("addBeat(60)")
        assert tab.complaints == []


@pytest.mark.parametrize(("width", "together"), [(1050, False), (1200, True)])
def test_paper_and_gain_stand_beside_each_other(shown, width, together):
    tab = shown(made_review(), width=width)
    add, paper, gain = tab.evaluate(
        "['add', 'speed', 'gain'].map(id => byId(id).getBoundingClientRect().top)"
    )
    assert paper == gain
    assert (add == paper) == together


def test_page_shows_nothing_before_its_beats_and_they_need_no_signal(shown):
    tab = shown(made_review(), width=1800)
    text = tab.path.read_text()
    height = tab.evaluate("byId('overview').clientHeight")
    tab.path.write_text(text[: text.index("<script>")])
    tab.open(tab.path, ready="document.readyState === 'complete'")
    words = tab.evaluate("document.body.innerText")
    assert "reading …" in words
    assert "None." not in words
    tab.path.write_text(text[: text.index('id="signal-0"') + 1000])
    tab.open(tab.path, width=1800, ready="!byId('broken').hidden")  # it is cut short, and says so
    assert tab.evaluate("byId('overview').clientHeight") == height
    assert "20 beats" in tab.evaluate("document.body.innerText")


@pytest.mark.slow
def test_day_is_small_and_quick(shown):
    record, review = real_review("208", "typical")
    times = int(np.ceil(24 * 3600 * record.rate / len(record.signal)))
    samples = (record.samples + len(record.signal) * np.arange(times)[:, None]).ravel()
    day = replace(
        review,
        millivolts=np.tile(record.signal, times),
        samples=samples,
        predicted=np.tile(review.predicted, times),
        probabilities=np.tile(review.probabilities, (times, 1)),
    )
    assert len(samples) > 100_000
    tab = shown(day)
    assert tab.path.stat().st_size <= 25e6
    assert tab.evaluate("performance.getEntriesByName('shown')[0].startTime") < 2000  # milliseconds
    busy = tab.seconds_of_work()
    tab.evaluate("""new Promise(done => {
        let frames = 0;
        const step = () => {
            view.moveTo(view.start + 400);
            ++frames < 200 ? requestAnimationFrame(step) : done();
        };
        requestAnimationFrame(step);
    })""")
    assert (tab.seconds_of_work() - busy) / 200 < 1 / 60


def short_review():
    """Return a review of one beat at the record's end."""
    one = made_review()
    return replace(
        one,
        millivolts=one.millivolts[:101],
        samples=one.samples[:1],
        predicted=one.predicted[:1],
        probabilities=one.probabilities[:1],
    )
