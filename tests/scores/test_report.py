"""ecgbeats.scores.report: what stands in report.html, that a browser shows it whole, and that it loads nothing."""

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

from ecgbeats import command
from ecgbeats.scores import report
from ecgbeats.scores.figures import plot_curves
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.report import write_report
from ecgbeats.scores.report.attention import overlay, what_it_looks_at
from ecgbeats.scores.report.by_record import record_rows
from ecgbeats.scores.report.choices import choose_errors, choose_typical
from ecgbeats.scores.report.rendering import render, templates
from ecgbeats.scores.report.run import Run, read_run

import browser
import cv2
import forked
import numpy as np
import pytest
from conftest import make_images, once, run_python
from run_folders import change

from model_keras import MODELS

RATE = 360.0
STYLE = (Path(report.__file__).parent / "style.css").read_text()
# Folders, and so classes, may have these names.
HOSTILE = """<script>alert(1)<img src=x onerror=alert(2)>&"' $x^2$ {{ 7 * 7 }} {% raw %}"""
LONG = "a_name_without_a_space_" * 8


@pytest.fixture(scope="module")
def data():
    """Images of five classes; VEB is in one record alone, so that the test part has none."""

    def make(folder):
        make_images(folder, {"NOR": 60, "PVC": 40, HOSTILE: 20, LONG: 20, "VEB": 1}, records=30)
        description = {"simulated": True, "sampling_rate": {f"r{i}": RATE for i in range(30)}}
        (folder / "dataset.json").write_text(json.dumps(description))

    return once("data-of-report", make)[0]


@pytest.fixture(scope="module")
def trained(data):
    """A run folder that train_keras.py filled."""
    options = ["--split", "records", "--epochs", 2, "--batch-size", 16]
    folder, result = once(
        "run-of-report",
        lambda folder: forked.train("--data", data, "--output", folder / "run", *options),
    )
    assert (result.returncode, result.stderr) == (0, "")
    return folder / "run"


@pytest.fixture(scope="module")
def written(trained):
    """The report of that run."""
    return trained / "report.html"


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run folder to spoil."""
    return shutil.copytree(trained, tmp_path / "run")


class Page(HTMLParser):
    """The page's tags with their attributes, and its words."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(path.read_text())
        self.words = " ".join(self.words.replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.words += f" {text}"

    def every(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


# -- what stands in it -------------------------------------------------------------------------------------


def test_report_is_one_small_file_that_needs_nothing(written):
    page = Page(written)
    assert written.stat().st_size < 3e6
    assert not page.every("script")
    assert {i["src"].partition(",")[0] for i in page.every("img")} <= {
        "data:image/png;base64", "data:image/svg+xml;base64",
    }  # fmt: skip
    assert all(link["href"].startswith(("#", "data:")) for link in page.every("a") + page.every("link"))
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_names_of_classes_are_words_and_never_tags(written):
    page = Page(written)
    for name in (HOSTILE, LONG):
        assert name in page.words
        assert any(name in image["alt"] for image in page.every("img"))
    assert not re.search("&(lt|amp|#)", page.words + "".join(image["alt"] for image in page.every("img")))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not page.every("script")


def test_style_sheet_stands_in_the_page_as_it_is(written):
    assert f"<style>\n{STYLE.rstrip()}" in written.read_text()


def test_folder_whose_name_is_not_utf8(trained, data, tmp_path):
    folder = shutil.copytree(trained, os.fsdecode(os.fsencode(tmp_path) + b"/run-\xff"))
    page = Page(write_report(folder, data))
    assert page.every("title") == [{}]
    assert "Run run-?: network fast" in page.words


def test_a_value_that_is_missing_is_never_printed_as_nothing():
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        render({"options": {"split": "beats"}})


def test_jinja_is_imported_only_where_a_report_is_written():
    code = "import sys, ecgbeats.scores.report; sys.exit('jinja2' in sys.modules)"
    assert run_python("-c", code).returncode == 0


def test_every_picture_has_words_and_every_link_a_target(written):
    page = Page(written)
    assert all(image["alt"] for image in page.every("img"))
    names = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"][1:] for link in page.every("a")} <= names


def test_report_says_what_it_is(written):
    words = Page(written).words
    assert command.SIMULATED_NOTICE in words
    assert "no medical device" in words
    assert "No patient of the test part stands in training or validation" in words
    assert "the test part has no beats of VEB" in words
    assert "VEB 0 absent: no test beats" in words


def test_the_worst_records_stand_first(trained, data, written):
    words = Page(written).words
    rows = record_rows(read_run(trained, data))
    table = words[words.index("Most frequent error") :]
    places = [table.index(f" {row['name']} ") for row in rows]
    assert places == sorted(places)
    failing = [row["name"] for row in rows if row["fails"]]
    assert (f"{len(failing)} of {len(rows)} records fail" in words) == bool(failing)


def test_patients_stand_beside_the_classes(trained, written):
    patients = json.loads((trained / "metrics.json").read_text())["patients"]
    assert patients["VEB"] == 0
    words = Page(written).words
    told = words.partition("however few patients it is of:")[2].partition(" Scores of each class")[0]
    assert f" NOR {patients['NOR']}" in told
    assert "VEB" not in told
    assert f"{patients['PVC']} patients" in words


def test_report_of_real_data_has_no_notice(copy, data):
    change(copy / "config.json", simulated=False)
    assert command.SIMULATED_NOTICE not in Page(write_report(copy, data)).words


def test_scores_and_intervals_are_those_of_the_run(trained, written):
    metrics = json.loads((trained / "metrics.json").read_text())
    files, true, probabilities, classes = read_predictions(trained / "predictions.csv")
    records = [file.split("/")[1].split("_")[0] for file in files]
    low, high = bootstrap_intervals(true, probabilities, classes, records)["accuracy"]
    words = Page(written).words
    assert f"Accuracy {100 * metrics['accuracy']:.2f} % {100 * low:.2f} to {100 * high:.2f}" in words
    assert "bootstrap intervals over" in words


def test_intervals_of_metrics_json_are_taken_as_they_are(copy, data):
    _, true, probabilities, classes = read_predictions(copy / "predictions.csv")
    intervals = bootstrap_intervals(true, probabilities, classes, repeats=10) | {"accuracy": [0.1234, 0.2345]}
    change(copy / "metrics.json", intervals=intervals)
    assert "12.34 to 23.45" in Page(write_report(copy, data)).words


def test_probabilities_are_told_of_a_run_of_before_they_were_scored_too(copy, data, written):
    metrics = json.loads((copy / "metrics.json").read_text())
    told = (
        f"Expected calibration error {100 * metrics.pop('reliability')['expected_calibration_error']:.2f} %"
    )
    (copy / "metrics.json").write_text(json.dumps(metrics))
    fitted = {"temperature": 1.5, "biases": [-0.5, 0.25, 0, 0, 0], "beats": 1234, "patients": 3}
    change(copy / "metrics.json", calibration=fitted | {"error_before": 0.05, "error_after": 0.02})
    words = Page(write_report(copy, data)).words
    assert told in words
    assert "calibrated on 1,234 validation beats of 3 patients" in words
    assert "from 5.00 % to 2.00 %. Temperature 1.50; bias of" in words
    words = Page(written).words
    assert told in words
    assert "The network is not calibrated" in words


@pytest.mark.parametrize(
    ("split", "resampled"), [("beats", "beats"), ("records", "records"), ("ds1-ds2", "records")]
)
def test_intervals_are_over_what_the_split_parts(copy, data, split, resampled):
    config = json.loads((copy / "config.json").read_text())
    change(copy / "config.json", options=config["options"] | {"split": split})
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics.pop("intervals", None)
    (copy / "metrics.json").write_text(json.dumps(metrics))
    assert read_run(copy, data).metrics["intervals"]["resampled"] == resampled


def test_ds1_ds2_shows_the_scores_without_record_202(copy, data):
    config, metrics = (json.loads((copy / name).read_text()) for name in ("config.json", "metrics.json"))
    change(copy / "config.json", options=config["options"] | {"split": "ds1-ds2"})
    _, true, probabilities, classes = read_predictions(copy / "predictions.csv")
    half = score(true[::2], probabilities[::2], classes)
    change(copy / "metrics.json", without_record_202=half | {"intervals": metrics.get("intervals")})
    words = Page(write_report(copy, data)).words
    assert f"DS2 without 202 {len(true[::2])} beats" in words
    assert "record 202 (DS2) are of the same patient" in words


def test_run_can_be_made_again_from_the_report(trained, written):
    config = json.loads((trained / "config.json").read_text())
    words = Page(written).words
    assert config["command"] in words
    for name, value in config["options"].items():
        if value is not None:
            assert f"--{name.replace('_', '-')} {value}" in words
    for name, version in config["versions"].items():
        assert version is None or f"{name} {version}" in words
    for fact in (*config["devices"], config["machine"], config["data_sha256"], *config["test_records"]):
        assert fact in words


def test_run_without_an_epoch_says_so(copy, data):
    change(copy / "metrics.json", epochs=0, best_epoch=None)
    log = copy / "log.csv"
    log.write_text(log.read_text().partition("\n")[0] + "\n")
    assert "No epoch had ended" in Page(write_report(copy, data)).words


def make_run(names, true, predicted, probability=None, rates=None, classes=("A", "B")):
    """Return a Run of these test beats; each prediction has its probability (default 0.9)."""
    true, predicted = np.array(true), np.array(predicted)
    sure = np.full(len(true), 0.9) if probability is None else np.array(probability)
    probabilities = np.repeat((1 - sure)[:, np.newaxis] / (len(classes) - 1), len(classes), axis=1)
    probabilities[np.arange(len(true)), predicted] = sure
    return Run(None, None, {}, {}, {"sampling_rate": rates or {}}, names, true, probabilities, list(classes))


@pytest.mark.parametrize(
    ("sample", "time"), [(0, "00:00"), (3600, "00:10"), (226_799, "10:29"), (649_999, "30:05")]
)
def test_time_is_minutes_and_seconds_in_the_record(sample, time):
    run = make_run([f"NOR/a_b_{sample}.png"], [0], [0], rates={"a_b": 360.0})
    assert run.place(0) == f"record a_b, {time}"


def test_without_sampling_rate_the_file_is_named():
    assert make_run(["NOR/100_3600.png"], [0], [0]).place(0) == "NOR/100_3600.png"


def test_errors_are_the_surest_and_not_all_of_one_record():
    names = [f"A/1_{i}.png" for i in range(6)] + ["A/2_0.png", "A/2_1.png"]
    run = make_run(names, [0] * 8, [1] * 7 + [0], [0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.55, 1.0])
    assert choose_errors(run) == [5, 4, 3, 6]


def test_typical_beats_are_right_near_the_median_and_take_turns():
    names = [f"A/1_{i}.png" for i in range(5)] + ["A/2_0.png", "A/2_1.png", "B/2_2.png"]
    run = make_run(names, [0] * 7 + [1], [0] * 6 + [1, 0], [0.99, 0.7, 0.8, 0.6, 0.9, 0.75, 0.9, 0.9])
    chosen = choose_typical(run)
    assert chosen[0][:3] == [
        2,
        5,
        1,
    ]  # the median of record 1, the only right one of record 2, the next to it
    assert sorted(chosen[0]) == [0, 1, 2, 3, 4, 5]
    assert chosen[1] == []


@pytest.mark.parametrize("name", ["NOR", LONG])
def test_key_of_the_curves_is_not_cut_off(name):
    classes = [f"{name}{i}" for i in range(4)]
    true = np.arange(4000) % 4
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), len(true)) + np.eye(4)[true]
    figure = plot_curves(true, probabilities, classes)
    figure.draw_without_rendering()
    key = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 < key.x0 < key.x1 < figure.bbox.x1


# -- what the network looks at -----------------------------------------------------------------------------


def test_heat_lies_where_the_network_looks():
    import keras

    model = keras.Sequential(
        [keras.Input((128, 128, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    weights = np.zeros((128, 128, 2))
    weights[40:56, 80:96, 1] = -1 / 255  # each dark pixel there speaks for class 1
    model.layers[-1].set_weights([weights.reshape(-1, 2), np.array([0.0, 254.0])])
    image = np.full((128, 128), 255, np.uint8)
    image[48:50] = 0  # a line across: 32 of its pixels are in the square
    heat, before, after = what_it_looks_at(model, image, 1)
    np.testing.assert_allclose(before[1], 1 / (1 + np.exp(-30)), rtol=1e-6)
    np.testing.assert_allclose(after[1], 1 / (1 + np.exp(2)), rtol=1e-3)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 40 <= y < 56
    assert 80 <= x < 96
    inside = heat[32:64, 72:104].sum()
    assert heat.sum() == pytest.approx(inside)
    assert not what_it_looks_at(model, image, 0)[0].any()  # nothing there speaks for class 0


def test_overlay_keeps_the_line_black_and_the_rest_white():
    image = np.full((128, 128), 255, np.uint8)
    image[64] = 0
    heat = np.zeros((128, 128))
    heat[50:70, 50:70] = 2.0
    picture = overlay(image, heat)
    assert picture.shape == (128, 128, 3)
    assert not picture[64].any()
    assert (picture[:40] == 255).all()
    red, green, blue = picture[55, 55].astype(int)
    assert red > 150 > max(green, blue)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network_can_be_looked_at(name):
    from model_keras import build_model

    image = np.full((128, 128), 255, np.uint8)
    cv2.line(image, (0, 100), (127, 20), 0, 2)
    heat, before, after = what_it_looks_at(build_model(name), image, 3)
    assert heat.shape == (128, 128)
    assert np.isfinite(heat).all()
    assert after[3] <= before[3]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_writes_the_report_of_a_run_that_tensorflow_trained(copy, data):
    options = {"env": {"KERAS_BACKEND": "jax"}, "tensorflow": False}
    result = forked.run("ecgbeats.scores.report", copy, "--data", data, **options)
    assert result.returncode == 0, result.stderr
    assert "What the network looks at" in Page(copy / "report.html").words


# -- what can be wrong -------------------------------------------------------------------------------------


def test_command_writes_the_report_and_says_where(copy, data):
    result = forked.run("ecgbeats.scores.report", copy, "--data", data)
    assert result.returncode == 0, result.stderr
    assert f"Wrote {copy / 'report.html'}" in result.stdout
    assert result.stderr == ""


def test_command_refuses_a_folder_that_holds_no_run(tmp_path, data, run, refused):
    refused(run("ecgbeats.scores.report", tmp_path, "--data", data), str(tmp_path / "config.json"))


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "predictions.csv", "best.keras", "log.csv"])
def test_missing_file_is_named(copy, data, name):
    (copy / name).unlink()
    with pytest.raises(command.InputError, match=re.escape(str(copy / name))):
        write_report(copy, data)


def test_files_of_another_run_are_refused(copy, data):
    path = copy / "predictions.csv"
    path.write_text(path.read_text().rpartition("\n")[0].rpartition("\n")[0] + "\n")
    with pytest.raises(command.InputError, match="not of one run"):
        write_report(copy, data)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "config.json",
            {"options": {"split": "beats", "folds": None, "fold": None, "limit": None, "seed": 0}},
        ),
        ("config.json", {"devices": 3}),
        ("metrics.json", {"accuracy": "high"}),
        ("metrics.json", {"intervals": {"per_class": {}}}),
        ("metrics.json", {"confusion_matrix": [[{}]]}),
        ("metrics.json", {"epochs": None}),
        ("metrics.json", {"without_record_202": {}}),
    ],
)
def test_files_of_other_content_are_refused(copy, data, name, values):
    change(copy / name, **values)
    with pytest.raises(command.InputError, match=re.escape(str(copy / name))):
        write_report(copy, data)


def test_an_image_that_became_a_pipe_does_not_hang(copy, data, tmp_path):
    other = shutil.copytree(data, tmp_path / "other")
    for path in other.glob("*/*.png"):
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(command.InputError, match=r"no regular file.*--data"):
        write_report(copy, other)


def test_data_without_these_images_is_refused_and_the_old_report_stays(copy, tmp_path, data):
    path = write_report(copy, data)
    before = path.read_bytes()
    (tmp_path / "other").mkdir()
    with pytest.raises(command.InputError, match=r"no such file; let --data"):
        write_report(copy, tmp_path / "other")
    assert path.read_bytes() == before


def test_other_images_of_the_same_names_are_refused(copy, tmp_path, data):
    other = shutil.copytree(data, tmp_path / "other")
    for path in other.glob("*/*.png"):
        cv2.imwrite(str(path), np.full((128, 128), 128, np.uint8))
    with pytest.raises(command.InputError, match="other probabilities"):
        write_report(copy, other)


# -- in a browser ------------------------------------------------------------------------------------------

# The last one keeps the browser's own services from looking up hosts.
BROWSER_OPTIONS = (
    *"--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync".split(),
    *"--disable-background-networking --disable-component-update".split(),
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
MEASURE = """
<script>
addEventListener("load", () => {
  const inner = document.querySelector("iframe").contentDocument;
  const images = [...inner.images];
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify({
    images: images.length,
    broken: images.filter(image => !image.naturalWidth).map(image => image.alt),
    width: inner.documentElement.scrollWidth,
    ground: getComputedStyle(inner.body).backgroundColor,
    words: getComputedStyle(inner.body).color,
    // Within its box a wide table or figure may be as wide as it needs.
    wide: [...inner.querySelectorAll("body *")].filter(e => !e.parentElement.closest(".scroll, .plot, pre")
      && e.getBoundingClientRect().right > inner.documentElement.clientWidth + 0.5).map(e => e.outerHTML.slice(0, 80)),
  });
  document.body.append(result);
});
</script>
"""


@pytest.fixture(scope="module")
def browse():
    """Open a page in headless Chromium with further options; returns the finished process."""
    program = browser.program()

    def browse(page, folder, *options):
        return subprocess.run(
            [program, *BROWSER_OPTIONS, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )

    return browse


def measure(browse, page, folder, width, *options):
    """Return what MEASURE finds in the page at this width in CSS pixels (a window has 500 at least)."""
    frame = folder / "frame.html"
    source = html.escape(page.read_text())
    frame.write_text(f'{MEASURE}<iframe style="width: {width}px; border: 0" srcdoc="{source}"></iframe>')
    dom = browse(frame, folder, "--dump-dom", *options).stdout
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", [360, 1200])
def test_browser_shows_every_image_and_no_page_is_too_wide(browse, written, tmp_path, width):
    seen = measure(browse, written, tmp_path, width)
    assert seen["images"] == len(Page(written).every("img")) > 10
    assert seen["broken"] == []
    assert seen["wide"] == []
    assert seen["width"] <= width


@pytest.mark.parametrize(("options", "dark"), [((), False), (("--force-dark-mode",), True)])
def test_page_follows_the_readers_colours(browse, written, tmp_path, options, dark):
    seen = measure(browse, written, tmp_path, 360, *options)
    ground, words = (
        np.mean([int(n) for n in re.findall(r"\d+", seen[name])[:3]]) for name in ("ground", "words")
    )
    assert (ground < 60 and words > 200) if dark else (ground > 240 and words < 60)


def test_the_table_by_record_of_aamis_classes_fits_a_screen(browse, tmp_path):
    figures = dict.fromkeys(("sensitivity", "positive_predictivity"), 1.0) | {"false_positive_rate": 0.1134}
    figures |= {"true_positives": 1379, "false_negatives": 3, "false_positives": 4}
    row = {"name": "232", "database": "mitdb", "beats": 1780, "right": 1.0, "fails": ["SVEB"]}
    row |= {
        "error": {"count": 1290, "true": "N", "predicted": "S"},
        "ectopic": {"VEB": figures, "SVEB": figures},
    }
    source = '{% from "by_record.html.jinja" import record_table %}{{ record_table("Test part by record", [row]) }}'
    tell = "document.body.dataset.hidden = document.querySelector('.scroll').scrollWidth - document.querySelector('.scroll').clientWidth"
    page = tmp_path / "table.html"
    page.write_text(
        f"<!DOCTYPE html><style>{STYLE}</style>{templates().from_string(source).render(row=row)}<script>{tell}</script>"
    )
    for width, is_whole in ((1200, True), (600, False)):
        dom = browse(page, tmp_path, "--dump-dom", f"--window-size={width},900").stdout
        assert (re.search(r'data-hidden="(\d+)"', dom)[1] == "0") == is_whole


def watch(browse, page, folder):
    """Return the console's lines and the addresses outside that the page asked for."""
    log = folder / "network.json"
    errors = browse(page, folder, "--dump-dom", "--enable-logging=stderr", f"--log-net-log={log}").stderr
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    # What the browser itself asks for has no origin.
    asked = {
        e["url"] for e in events if "url" in e and e.get("initiator", "not an origin") != "not an origin"
    }
    return [line for line in errors.splitlines() if "CONSOLE" in line], [
        url for url in asked if not url.startswith(("data:", "file:"))
    ]


def test_browser_reports_no_error_and_asks_for_nothing_outside(browse, written, tmp_path):
    assert watch(browse, written, tmp_path) == ([], [])


def test_browser_would_report_errors_and_requests(browse, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<script>console.error("heard")</script><img src="http://127.0.0.1:9/seen.png">')
    console, requests = watch(browse, page, tmp_path)
    assert any("heard" in line for line in console)
    assert requests == ["http://127.0.0.1:9/seen.png"]
