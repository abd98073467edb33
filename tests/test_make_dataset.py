"""make_dataset.py as users run it, on real records where they are at hand."""

import json
import shutil
import signal
import subprocess
import sys
import time

from ecgbeats.command import InputError
from ecgbeats.images.dataset import read_description
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.drawings.paper import draw, windows
from ecgbeats.images.names import parse_image_name
from ecgbeats.images.preview import sample_evenly
from ecgbeats.records.noise import add_noise
from ecgbeats.records.rhythms import fibrillate, make_early
from ecgbeats.records.symbols import CLASSES
from ecgbeats.records.wfdb_files import read_record

import cv2
import forked
import numpy as np
import pytest
import wfdb
from conftest import PROJECT, assert_refused, once, run_command, start_python
from made_recordings import write_wfdb
from made_records import COUNTS, DAMAGES, damage, write_record

import evaluate_keras
import make_dataset


def copy_records(mitdb, folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        for suffix in ("hea", "atr", "dat"):
            shutil.copy(mitdb / f"{name}.{suffix}", folder)
    return folder


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def make(*arguments):
    return forked.run("make_dataset.py", *arguments, tensorflow=False)


FEW = ["--records", "100", "107", "109", "118", "207", "232", "--limit", 40]


@pytest.fixture(scope="module")
def few(mitdb):
    """Data set of six records that hold all eight classes, at most 40 beats of each."""
    folder, result = once("few", lambda folder: make(mitdb, "--output", folder / "data", *FEW))
    assert result.returncode == 0, result.stderr
    return folder / "data"


def test_all_real_records_give_every_beat(mitdb, tmp_path):
    result = run_command("make_dataset.py", mitdb, "--output", tmp_path / "data")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "\r" not in result.stdout
    found = {p.name: sum(1 for _ in p.iterdir()) for p in (tmp_path / "data").iterdir() if p.is_dir()}
    assert found == COUNTS
    description = json.loads((tmp_path / "data/dataset.json").read_text())
    assert description["classes"] == COUNTS
    assert list(description["classes"]) == list(CLASSES["paper"])
    assert description["lead"]["114"] == "MLII"
    assert description["lead"]["102"] == "V5"
    assert description["simulated"] is False
    assert len(description["records"]) == 48


def test_images_are_what_is_drawn_from_the_record(mitdb, few):
    record = read_record(mitdb / "207")
    bounds = windows(record.samples, record.rate, len(record.signal))
    files = sorted((few / "VFW").iterdir())
    assert len(files) == 40
    for file in files[:5]:
        name, sample = parse_image_name(file.name)
        assert name == "207"
        [beat] = np.flatnonzero(record.samples == sample)
        assert record.symbols[beat] == "!"
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert image.shape == (128, 128)
        assert image.dtype == np.uint8
        assert (image == draw(record.signal[slice(*bounds[beat])])).all()


def test_the_limit_is_even_over_records_and_seeded(mitdb, few, tmp_path):
    by_record = {}
    for file in (few / "NOR").iterdir():
        record, _ = parse_image_name(file.name)
        by_record[record] = by_record.get(record, 0) + 1
    assert sum(by_record.values()) == 40
    assert max(by_record.values()) - min(by_record.values()) <= 1
    arguments = [mitdb, *FEW, "--jobs", 1]
    make(*arguments, "--output", tmp_path / "same")
    assert contents(tmp_path / "same") == contents(few)
    make(*arguments, "--seed", 1, "--output", tmp_path / "other")
    assert set(contents(tmp_path / "other")) != set(contents(few))


def test_the_preview_shows_each_class(few):
    picture = cv2.imread(str(few / "preview.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape[0] > 8 * 90
    rows = np.array_split(picture, 8)
    assert all((row < 100).sum() > 500 for row in rows)


def test_aami_classes(mitdb, tmp_path):
    result = make(mitdb, "--output", tmp_path / "a", "--classes", "aami", "--records", "207", "208")
    assert result.returncode == 0, result.stderr
    found = {p.name: sum(1 for _ in p.iterdir()) for p in (tmp_path / "a").iterdir() if p.is_dir()}
    # 207: L 1457 R 86 (N), A 107 (S), V 105 E 105 (V), ! left out; 208: N 1586, S 2, V 992, F 373, Q 2.
    assert found == {"N": 1543 + 1586, "S": 107 + 2, "V": 210 + 992, "F": 373, "Q": 2}


@pytest.fixture(scope="module")
def strips(mitdb):
    """Data set of record 209, drawn as strips."""
    arguments = ["--classes", "aami", "--drawing", "strips", "--records", "209", "--limit", 30]
    folder, result = once("strips", lambda folder: make(mitdb, "--output", folder / "data", *arguments))
    assert result.returncode == 0, result.stderr
    return folder / "data"


def test_strips_are_drawn_from_the_record(mitdb, strips):
    record = read_record(mitdb / "209")
    draw = DRAWINGS["strips"](record)
    files = sorted((strips / "S").iterdir())
    assert len(files) == 30
    for file in files[:5]:
        [beat] = np.flatnonzero(record.samples == parse_image_name(file.name)[1])
        assert (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) == draw(beat)).all()
    assert (strips / "preview.png").stat().st_size > 10_000
    assert read_description(strips)["options"]["drawing"] == "strips"


def test_the_other_lead(mitdb, svdb, tmp_path):
    records = copy_records(mitdb, tmp_path / "records", "101", "114")
    copy_records(svdb, records, "800")
    arguments = [records, "--output", tmp_path / "data", "--lead", "other", "--limit", 5]
    assert make(*arguments).returncode == 0
    description = read_description(tmp_path / "data")
    assert description["lead"] == {"101": "V1", "114": "V5", "800": "ECG2"}
    assert "already holds" in make(*arguments).stdout
    assert_refused(make(*arguments[:3], "--limit", 5), "--lead (then other, now None)", str(tmp_path))
    header = records / "101.hea"
    lines = header.read_text().splitlines()
    header.write_text("\n".join([lines[0].replace("101 2", "101 1"), lines[1]]))
    assert_refused(make(*arguments), "record 101 has one lead only, MLII", "--records")


def test_a_made_rhythm_says_so(mitdb, tmp_path):
    common = [mitdb, "--records", "208", "102", "--limit", 30]
    output = tmp_path / "data"
    arguments = [*common, "--output", output, "--rhythm", "fibrillation", "--seed", 2]
    result = make(*arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("MADE, not as recorded: rhythm fibrillation") == 1
    description = read_description(output)
    assert description["made"] == "rhythm fibrillation"
    assert set(description["classes"]) == {"NOR", "PVC"}
    made = fibrillate(read_record(mitdb / "208"), 2)
    draw_beat = DRAWINGS["paper"](made)
    for file in [file for file in output.rglob("208_*.png")][:5]:
        [beat] = np.flatnonzero(made.samples == parse_image_name(file.name)[1])
        assert (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) == draw_beat(beat)).all()
    assert "already holds" in make(*arguments).stdout
    assert_refused(make(*arguments[:-1], 3), "--seed (then 2, now 3)")
    assert_refused(make(*common, "--output", output), "--rhythm (then fibrillation, now None)")
    # Whoever scores it is told.
    evaluated = forked.run(
        *(
            "evaluate_keras.py",
            PROJECT / "pretrained" / "fast.keras",
            "--data",
            output,
            "--output",
            tmp_path / "scores",
        )
    )
    assert evaluated.stdout.count("MADE, not as recorded: rhythm fibrillation") == 1, evaluated.stderr


def test_made_early_beats_are_s(mitdb, tmp_path):
    common = [mitdb, "--records", "208", "--limit", 10, "--classes", "aami", "--output", tmp_path / "data"]
    result = make(*common, "--rhythm", "early", "--seed", 2)
    assert result.returncode == 0, result.stderr
    description = read_description(tmp_path / "data")
    assert description["made"] == "rhythm early"
    assert list(description["classes"]) == list("NSV")
    made = make_early(read_record(mitdb / "208"), 2)
    early = set(made.samples[made.symbols == "A"].tolist())
    for file in tmp_path.glob("data/?/*.png"):
        assert (parse_image_name(file.name)[1] in early) == (file.parent.name == "S")


def test_noise_is_added_before_the_beats_are_drawn(svdb, tmp_path):
    output = tmp_path / "data"
    arguments = [svdb, "--records", "801", "--limit", 5, "--classes", "aami", "--output", output]
    result = make(*arguments, "--noise", "6-24", "--seed", 2)
    assert result.returncode == 0, result.stderr
    assert "MADE, not as recorded: noise at 6-24 dB" in result.stdout
    assert read_description(output)["options"]["noise"] == "6-24"
    noisy = add_noise(read_record(svdb / "801"), [6.0, 24.0], 2)
    draw_beat = DRAWINGS["paper"](noisy)
    for file in output.glob("?/*.png"):
        [beat] = np.flatnonzero(noisy.samples == parse_image_name(file.name)[1])
        assert (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) == draw_beat(beat)).all()
    assert "already holds" in make(*arguments, "--noise", "6-24.0", "--seed", 2).stdout
    assert_refused(make(*arguments, "--noise", "-6", "--seed", 2), "--noise (then 6-24, now -6)")
    assert_refused(make(*arguments, "--noise", "6-24"), "--seed (then 2, now 0)")
    assert_refused(make(*arguments), "--noise (then 6-24, now None)")
    for bad in ("nan", "24-6", "-99"):
        assert_refused(make(*arguments, "--noise", bad), "argument --noise", "from -30 to 60", "such as 6-24")


def test_a_made_record_may_be_empty_and_noise_leaves_it_so(tmp_path):
    for name, symbol in (("own", None), ("paced", "/"), ("one", "N"), ("none", "")):
        write_wfdb(tmp_path, name, annotated=symbol is None)
        if symbol is not None:
            samples = np.arange(500, 20000, 300) if symbol == "/" else np.array([500])
            wfdb.wrann(name, "atr", samples, symbol=[symbol or "+"] * len(samples), write_dir=str(tmp_path))
    words = [
        tmp_path,
        "--classes",
        "aami",
        "--rhythm",
        "early",
        "--noise",
        "6",
        "--output",
        tmp_path / "data",
    ]
    result = make(*words)
    assert result.returncode == 0, result.stderr
    assert read_description(tmp_path / "data")["made"] == "rhythm early, noise at 6 dB"
    assert {file.name.rpartition("_")[0] for file in tmp_path.glob("data/?/*.png")} == {"own"}


def test_a_rate_at_which_noise_cannot_be_made_is_refused(tmp_path):
    write_record(tmp_path, "slow", rate=10)
    words = [tmp_path, "--output", tmp_path / "data"]
    assert_refused(
        make(*words, "--noise", 6), "record slow has 10 samples a second", "20 at least; leave out --noise"
    )
    assert not (tmp_path / "data").exists()
    assert make(*words).returncode == 0


def test_a_range_may_begin_with_a_minus(capsys):
    words = ["mitdb", "--output", "data"]
    assert make_dataset.read_options([*words, "--noise=-30-60"]).noise == [-30, 60]
    with pytest.raises(SystemExit):
        make_dataset.read_options(["--help"])
    assert "--noise=-6-24" in capsys.readouterr().out


def test_a_data_set_of_before_there_were_rhythms_and_noise_is_the_same(strips, mitdb, tmp_path):
    shutil.copytree(strips, tmp_path / "data")
    file = tmp_path / "data" / "dataset.json"
    description = json.loads(file.read_text())
    del description["options"]["rhythm"], description["options"]["noise"], description["made"]
    file.write_text(json.dumps(description))
    arguments = ["--classes", "aami", "--drawing", "strips", "--records", "209", "--limit", 30]
    assert "already holds" in make(mitdb, "--output", tmp_path / "data", *arguments).stdout


def test_a_second_run_with_another_drawing_is_refused(mitdb, strips, few, tmp_path):
    arguments = [mitdb, "--output", strips, "--classes", "aami", "--records", "209", "--limit", 30]
    assert_refused(make(*arguments), "--drawing (then strips, now paper)", str(strips))
    assert "nothing to do" in make(*arguments, "--drawing", "strips").stdout
    # The first version had one drawing, and did not name it.
    shutil.copytree(few, tmp_path / "old")
    description = json.loads((tmp_path / "old/dataset.json").read_text())
    assert description["options"].pop("drawing") == "paper"
    (tmp_path / "old/dataset.json").write_text(json.dumps(description))
    arguments = [mitdb, "--output", tmp_path / "old", "--records", *description["records"], "--limit", 40]
    assert "nothing to do" in make(*arguments).stdout
    assert_refused(make(*arguments, "--drawing", "strips"), "--drawing (then paper, now strips)")


def test_a_network_of_another_drawing_is_refused(strips, few):
    new, old, foreign = read_description(strips), read_description(few), read_description(strips / "S")
    with pytest.raises(InputError, match=r"drawing strips, but .* trained on paper; .*--drawing paper"):
        evaluate_keras.check_drawing(new, "paper", strips)
    with pytest.raises(InputError, match="--drawing strips"):
        evaluate_keras.check_drawing(old, "strips", few)
    evaluate_keras.check_drawing(new, "strips", strips)
    # Where one of both is not known, the images may be of the same drawing.
    evaluate_keras.check_drawing(foreign, "strips", strips / "S")
    evaluate_keras.check_drawing(new, None, strips)


def test_format_212_gives_the_same_images(mitdb, tmp_path):
    real = wfdb.rdrecord(str(mitdb / "207"), physical=False, sampto=60000)
    marks = wfdb.rdann(str(mitdb / "207"), "atr", sampto=60000)
    for fmt in ("212", "516"):
        (tmp_path / fmt).mkdir()
        wfdb.wrsamp(
            "207_b",
            fs=360,
            units=real.units,
            sig_name=real.sig_name,
            d_signal=real.d_signal,
            fmt=[fmt] * 2,
            adc_gain=real.adc_gain,
            baseline=real.baseline,
            write_dir=str(tmp_path / fmt),
        )
        wfdb.wrann("207_b", "atr", marks.sample, symbol=marks.symbol, fs=360, write_dir=str(tmp_path / fmt))
        assert make(tmp_path / fmt, "--output", tmp_path / f"d{fmt}").returncode == 0
    images = contents(tmp_path / "d212")
    assert images == contents(tmp_path / "d516")
    assert any(name.startswith("LBB/207_b_") for name in images)


def test_a_second_run_does_nothing_and_other_options_are_refused(mitdb, few):
    records = FEW[1:-2]
    before = {p: p.stat().st_mtime_ns for p in few.rglob("*")}
    result = make(mitdb, "--output", few, "--records", *records, "--limit", 40)
    assert result.returncode == 0
    assert "nothing to do" in result.stdout
    for extra, word in [
        (["--limit", 41], "--limit"),
        (["--limit", 40, "--seed", 3], "--seed"),
        ([], "--limit"),
    ]:
        assert_refused(make(mitdb, "--output", few, "--records", *records, *extra), word, str(few))
    assert_refused(make(mitdb, "--output", few, "--records", "100", "--limit", 40), "--records")
    assert {p: p.stat().st_mtime_ns for p in few.rglob("*")} == before


@pytest.mark.parametrize("kind", DAMAGES)
def test_broken_records_stop_it_with_one_line_and_nothing_left(mitdb, tmp_path, kind):
    source = copy_records(mitdb, tmp_path / "records", "100")
    file = damage(source, kind)
    assert_refused(make(source, "--output", tmp_path / "data"), file.name)
    assert [p.name for p in tmp_path.iterdir()] == ["records"]


def test_bad_sources_and_options(mitdb, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    out = tmp_path / "data"
    assert_refused(make(tmp_path / "none", "--output", out), "none does not exist")
    assert_refused(make(tmp_path / "empty", "--output", out), "no WFDB records")
    assert_refused(make(tmp_path / "file", "--output", out), "is a file")
    assert_refused(make(mitdb, "--output", out, "--records", "100", "999"), "999")
    assert_refused(make(mitdb, "--output", out, "--lead", "II"), "--lead II", "100")
    assert_refused(make(mitdb, "--output", out, "--lead", "7"), "--lead 7")
    for bad in ("0", "-3", "many", "1.5"):
        assert_refused(make(mitdb, "--output", out, f"--limit={bad}"), "--limit")
    assert_refused(make(mitdb, "--output", out, "--classes", "icd"), "--classes")
    assert_refused(make(mitdb, "--output", out, "--drawing", "oil"), "--drawing", "strips")
    assert_refused(make(mitdb), "--output")
    assert_refused(make(mitdb, "--output", tmp_path / "file"), "is a file")
    assert_refused(make(mitdb, "--output", tmp_path / "file" / "below"), "is a file")
    assert_refused(make(mitdb, "--output", tmp_path, "--records", "100"), "not empty")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file"]


def test_a_lead_by_name_and_by_index(mitdb, tmp_path):
    make(mitdb, "--output", tmp_path / "a", "--records", "114", "--lead", "V5")
    make(mitdb, "--output", tmp_path / "b", "--records", "114", "--lead", "0")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert json.loads((tmp_path / "b/dataset.json").read_text())["lead"] == {"114": "V5"}


def test_a_beat_annotated_twice_is_one_image(tmp_path):
    import wfdb

    source = tmp_path / "records"
    source.mkdir()
    write_record(source)
    wfdb.wrann(
        "made", "atr", np.array([200, 500, 500, 900]), symbol=list("NVVN"), fs=360, write_dir=str(source)
    )
    assert make(source, "--output", tmp_path / "data").returncode == 0
    assert sorted(p.name for p in (tmp_path / "data").glob("*/*")) == [
        "made_200.png",
        "made_500.png",
        "made_900.png",
    ]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_leaves_nothing(mitdb, tmp_path, number, status):
    process = start_python(PROJECT / "make_dataset.py", mitdb, "--output", tmp_path / "data")
    while not list(tmp_path.glob(".data.partial-*/NOR/*.png")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(mitdb, tmp_path):
    process = start_python(PROJECT / "make_dataset.py", mitdb, "--output", tmp_path / "data")
    while not list(tmp_path.glob(".data.partial-*/NOR/*.png")):
        time.sleep(0.02)
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=20)  # ends only when the workers, who share the pipe, have ended too
    assert len(list(tmp_path.iterdir())) == 1
    assert make(mitdb, "--output", tmp_path / "data", "--records", "100").returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_full_disk_is_told_in_one_line(mitdb, tmp_path):
    limited = f"ulimit -f 1; exec {sys.executable} {PROJECT / 'make_dataset.py'} {mitdb} --output {tmp_path / 'data'}"
    result = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 3, 10, 25])
def test_sampling_evenly(count):
    samples = {"b": list(range(0, count, 2)), "a": list(range(1, count, 2)), "c": []}
    chosen = sample_evenly(samples, 10)
    assert len(chosen) == min(count, 10)
    assert len(set(chosen)) == len(chosen)
    assert all(sample in samples[record] for record, sample in chosen)
    assert {record for record, _ in chosen} == {record for record, of_record in samples.items() if of_record}
    if count == 25:  # five of each record, in the middle of the fifths of its time
        assert chosen[:5] == [("a", sample) for sample in (3, 7, 13, 17, 21)]
