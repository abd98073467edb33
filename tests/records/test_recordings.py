"""Reading anybody's recording: what devices and programs write."""

import datetime

from ecgbeats.command import InputError
from ecgbeats.records.recordings import find_recording, read_beats, read_recording

import made_recordings
import numpy as np
import pytest


@pytest.fixture(scope="module")
def beating():
    return made_recordings.ecg(60)[0]


def read(path, **options):
    return read_recording(find_recording(path), **options)


def assert_same(recording, millivolts, lead, rate=360, within=0.002):
    signal = recording.signal
    assert (signal.lead, signal.rate) == (lead, pytest.approx(rate, abs=0.01))
    assert signal.millivolts.dtype == np.float32
    np.testing.assert_allclose(signal.millivolts, millivolts, atol=within)


@pytest.mark.parametrize(
    ("rate", "told", "comma", "quoted"),
    [
        ("360 hertz", 360, False, False),
        ("359,75 hertz", 359.75, True, True),
        ('"360,5\u00a0Hertz"', 360.5, True, False),
        ("360\u202fHz", 360, False, False),
    ],
)
def test_the_watchs_export_in_any_language(tmp_path, beating, rate, told, comma, quoted):
    recording = read(made_recordings.write_watch(tmp_path / "a.csv", beating, rate, comma, quoted))
    assert_same(recording, beating, "I", told)
    assert recording.start == datetime.datetime(2020, 1, 1, 10)


TABLES = {
    "commas": ("II,V1", "{0:.3f},{1:.3f}", 360),
    "semicolons and decimal commas": ("V1;ECG II", "{1:.3f};{0:.3f}", 360),
    "tabs": ("II\tV1", "{0:.3f}\t{1:.3f}", 360),
    "times": ("time,II", "{2:.5f},{0:.3f}", None),
    "milliseconds and units": ("time (ms),V1 (uV),II (uV)", "{3:.3f},{4:.1f},{5:.1f}", None),
    "clock times": (
        "'Elapsed time','V1','MLII'\n'hh:mm:ss.mmm','mV','mV'",
        "'0:{2:06.3f}',{1:.3f},{0:.3f}",
        360,
    ),
    "one column with decimal commas": ("ECG", "{0:.3f}", 360),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(tmp_path, beating, kind):
    head, line, rate = TABLES[kind]
    lines = [
        line.format(value, -value, i / 360, i / 0.36, -1000 * value, 1000 * value)
        for i, value in enumerate(beating.tolist())
    ]
    text = "\n".join(lines)
    text = text.replace(".", ",") if "decimal" in kind else text
    (tmp_path / "a.csv").write_text(f"{head}\n{text}\n")
    lead = "ECG" if head == "ECG" else "MLII" if "MLII" in head else "II"
    assert_same(read(tmp_path / "a.csv", rate=rate), beating, lead)


def test_empty_cells_are_gaps(tmp_path, beating):
    lines = [f"{value:.3f},0" for value in beating]
    for i in range(1000, 1100):
        lines[i] = ("", ",0", "nan,0")[i % 3]
    (tmp_path / "a.csv").write_text("\n".join(["II,V1", *lines, "", ""]))
    signal = read(tmp_path / "a.csv", rate=360).signal
    np.testing.assert_array_equal(np.flatnonzero(signal.gaps), np.arange(1000, 1100))
    assert np.isfinite(signal.millivolts).all()
    assert len(signal.millivolts) == len(beating)


@pytest.mark.parametrize("unit", ["uV", "mV"])
def test_an_edf_files_ecg_is_found_among_its_signals(tmp_path, beating, unit):
    start = datetime.time(10, 20, 30)
    path = made_recordings.write_edf(tmp_path / "a.EDF", beating, unit=unit, starttime=start)
    recording = read(path)
    assert_same(recording, beating, "II")
    assert recording.start is None or recording.start.time() == start
    for lead in ("II", "ecg ii", "1"):
        assert read(path, lead=lead).signal.lead == "II"


def test_an_interrupted_edf_recording_has_a_gap(tmp_path, beating):
    path = made_recordings.write_edf(tmp_path / "a.edf", beating, annotations=[])
    made_recordings.interrupt(path, after=20, seconds=7)
    signal = read(path).signal
    assert len(signal.millivolts) == len(beating) + 7 * 360
    np.testing.assert_array_equal(np.flatnonzero(signal.gaps), np.arange(20 * 360, 27 * 360))
    np.testing.assert_allclose(signal.millivolts[~signal.gaps], beating, atol=0.002)


def test_a_stretch(tmp_path, beating):
    path = made_recordings.write_wfdb(tmp_path, annotated=True)
    recording = read(f"{path}.hea", limits=(20, 45.5))
    assert_same(recording, beating[7200:16380], "II")
    assert recording.first == 7200
    beats = made_recordings.ecg(60)[1]
    np.testing.assert_array_equal(
        read_beats(recording, "atr"), beats[(beats >= 7200) & (beats < 16380)] - 7200
    )


def test_the_units_option_stands_above_the_file(tmp_path, beating):
    path = made_recordings.write_wfdb(tmp_path, signal=1000 * beating)
    assert "microvolts" in read(path).said[0]
    recording = read(path, unit="uV")
    assert recording.said == ()
    assert_same(recording, beating, "II", within=0.05)


def refused(path, *words, **options):
    with pytest.raises(InputError) as caught:
        read(path, **options)
    for word in (str(path).removesuffix(".hea"), *words):
        assert word in str(caught.value)


def test_what_cannot_be_read_is_refused(tmp_path, beating):
    path = made_recordings.write_watch(tmp_path / "a.csv", beating)
    refused(path, "--rate 250", "360", rate=250)
    refused(path, "--lead V9", "I", lead="V9")
    for name, text, words, options in (
        ("no-rate.csv", "II\n" + "0.1\n" * 9000, ["--rate HZ"], {}),
        ("word.csv", "II\n" + "0.1\n" * 5000 + "oops\n" * 9, ["oops"], {"rate": 360}),
        ("names.csv", "II,V1,V2\n" + "0.1,0.2\n" * 5000, ["3 names", "2 columns"], {"rate": 360}),
        ("flat.csv", "II\n" + "0.1\n" * 5000, ["flat"], {"rate": 360}),
        ("short.csv", "II\n" + "0.1\n0.2\n" * 1000, ["5.6 s", "10"], {"rate": 360}),
        ("slow.csv", "II\n" + "0.1\n0.2\n" * 1000, ["50", "60"], {"rate": 50}),
        ("text.csv", "no numbers\n" * 500, ["no line of numbers"], {"rate": 360}),
        ("empty.csv", "", ["no line of numbers"], {"rate": 360}),
        ("nothing.csv", "II,V1\n" + ",0\n" * 5000, ["no valid sample"], {"rate": 360}),
        ("none.edf", "0       " + "x" * 500, ["no EDF file"], {}),
        ("other.edf", "x" * 500, ["no EDF file"], {}),
    ):
        (tmp_path / name).write_text(text)
        refused(tmp_path / name, *words, **options)
    path = made_recordings.write_edf(tmp_path / "a.edf", beating)
    path.write_bytes(path.read_bytes()[:-5000])
    refused(path, "cut short")
    refused(tmp_path / "nothing.edf")
    refused(tmp_path, "folder")
    record = made_recordings.write_wfdb(tmp_path)
    refused(record, "--lead aVR", "V1, II", lead="aVR")
    refused(record, "--from 70", limits=(70, 80))
    refused(record, "--rate 250", rate=250)
