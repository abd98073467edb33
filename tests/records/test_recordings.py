"""Reading anybody's recording: what devices and programs write."""

import datetime

from ecgbeats.command import SIMULATED_NOTICE, InputError
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


def test_samples_that_a_column_of_times_skips_are_a_gap(tmp_path, beating):
    lines = [f"{i / 360:.3f},{value:.3f}" for i, value in enumerate(beating.tolist())]
    (tmp_path / "a.csv").write_text("\n".join(["time,II", *lines[:3600], *lines[7200:]]))
    recording = read(tmp_path / "a.csv")
    assert (recording.signal.rate, len(recording.signal.millivolts)) == (
        pytest.approx(360, abs=0.01),
        len(beating),
    )
    np.testing.assert_array_equal(np.flatnonzero(recording.signal.gaps), np.arange(3600, 7200))
    np.testing.assert_allclose(recording.signal.millivolts[7200:], beating[7200:], atol=0.002)


def test_a_filters_frequency_is_no_rate(tmp_path, beating):
    times = "\n".join(f"{i / 360:.5f},{value:.3f}" for i, value in enumerate(beating.tolist()))
    for name, head in (("a", "time (s),II 100 Hz low pass (mV)"), ("b", "# low pass 100 Hz\ntime,II")):
        (tmp_path / f"{name}.csv").write_text(f"{head}\n{times}\n")
        assert read(tmp_path / f"{name}.csv").signal.rate == pytest.approx(360, abs=0.01)
    (tmp_path / "c.csv").write_text(f"Sampling rate: 500 Hz\ntime,II\n{times}\n")
    refused(tmp_path / "c.csv", "500, 360 Hz", "--rate")
    assert read(tmp_path / "c.csv", rate=360).signal.rate == pytest.approx(360, abs=0.01)


@pytest.mark.parametrize(
    ("head", "rate", "lead"),
    [
        ('Messrate;"511,422 Hertz"\nII (uV)', 511.422, "II"),
        ("Messrate;511,422 Hertz\nII (uV)", 511.422, "II"),
        ("Rate: 511,422 Hz\nII (uV)", 511.422, "II"),
        ("500 Hz\nII (uV)", 500, "II"),
        ("# Sampling rate: 500 Hz\nII (uV)", 500, "II"),
        ("Samplerate: 1,000 Hz\nII (uV)", 1000, "II"),
        ("Samplerate: 500 Hz\n# a comment\nUnit,uV", 500, "I"),
        ("Samplerate: 500 Hz\nLead: II\nUnit: uV", 500, "II"),
        ("Unit: uV\nSample rate 500 Hz", 500, "I"),
    ],
)
def test_a_rate_above_one_column(tmp_path, beating, head, rate, lead):
    numbers = "\n".join(f"{1000 * value:.1f}" for value in beating.tolist())
    (tmp_path / "a.csv").write_text(f"{head}\n{numbers}\n")
    assert_same(read(tmp_path / "a.csv"), beating, lead, rate)
    assert read(tmp_path / "a.csv", rate=250).signal.rate == 250, "stands above a line of text"


def test_a_part_of_a_number_is_no_rate(tmp_path, beating):
    numbers = "\n".join(f"{value:.3f}" for value in beating.tolist())
    for told in ("1 000 Hz", "1,000.5 Hz", "1'000 Hz"):
        (tmp_path / "a.csv").write_text(f"Rate: {told}\nII (mV)\n{numbers}\n")
        refused(tmp_path / "a.csv", "--rate HZ")


TIMES = {
    "Zeit (s);II (mV)": lambda i: f"{i / 360:.3f}".replace(".", ","),
    "Tempo;II": lambda i: f"{i / 360:.3f}".replace(".", ","),
    "Uhrzeit;II": lambda i: f"10:00:{i / 360:06.3f}".replace(".", ","),
    "'Elapsed time';'II'\n'hh:mm:ss.mmm';'mV'": lambda i: f"'0:{i / 360:06.3f}'",
}


@pytest.mark.parametrize("head", TIMES)
def test_times_are_known_by_their_unit_or_their_values(tmp_path, beating, head):
    lines = [f"{TIMES[head](i)};{value:.3f}" for i, value in enumerate(beating.tolist())]
    text = "\n".join(lines) if "'" in head else "\n".join(lines).replace(".", ",")
    (tmp_path / "a.csv").write_text(f"{head}\n{text}\n")
    assert_same(read(tmp_path / "a.csv"), beating, "II", 360)
    refused(tmp_path / "a.csv", "--rate 250", rate=250)


def test_times_in_another_unit_do_not_tell_a_rate_of_their_own(tmp_path, beating):
    lines = [f"{i / 0.36:.3f},{value:.3f}" for i, value in enumerate(beating.tolist())]
    (tmp_path / "a.csv").write_text("\n".join(["time,II", *lines]))  # milliseconds, of which it says nothing
    refused(tmp_path / "a.csv", "--rate HZ")
    assert_same(read(tmp_path / "a.csv", rate=360), beating, "II")


def test_numbers_in_quotes(tmp_path, beating):
    lines = [f'"{i / 360:.5f}","{value:.3f}"' for i, value in enumerate(beating.tolist())]
    (tmp_path / "a.csv").write_text("\n".join(['"time","II"', *lines]))
    assert_same(read(tmp_path / "a.csv"), beating, "II")


def test_a_lead_that_stays_at_one_value_is_off(tmp_path, beating):
    """Devices write -32,768 microvolts where nothing was measured, which would be the scale of all that is drawn."""
    signal = beating.copy()
    signal[3600:4320] = -32.768
    signal[8000:8100] = 2
    found = read(made_recordings.write_wfdb(tmp_path, signal=signal)).signal
    np.testing.assert_array_equal(np.flatnonzero(found.gaps), np.arange(3600, 4320))
    assert found.millivolts.min() > -1


def test_a_stretch(tmp_path, beating):
    path = made_recordings.write_wfdb(tmp_path, annotated=True)
    recording = read(f"{path}.hea", limits=(20, 45.5))
    assert_same(recording, beating[7200:16380], "II")
    assert recording.first == 7200
    beats = made_recordings.ecg(60)[1]
    samples, symbols = read_beats(recording, "atr")
    np.testing.assert_array_equal(samples, beats[(beats >= 7200) & (beats < 16380)] - 7200)
    assert symbols.tolist() == ["N"] * len(samples)


def test_the_units_option_stands_above_the_file(tmp_path, beating):
    path = made_recordings.write_wfdb(tmp_path, signal=1000 * beating)
    assert "microvolts" in read(path).said[0]
    recording = read(path, unit="uV")
    assert recording.said == ()
    assert_same(recording, beating, "II", within=0.05)


def test_a_simulated_record_says_so(tmp_path):
    path = made_recordings.write_wfdb(tmp_path)
    header = path.with_suffix(".hea")
    header.write_text(f"{header.read_text()}# {SIMULATED_NOTICE}\n")
    assert SIMULATED_NOTICE in read(path).said[0]


def refused(path, *words, **options):
    with pytest.raises(InputError) as caught:
        read(path, **options)
    for word in (str(path).removesuffix(".hea"), *words):
        assert word in str(caught.value)


def test_what_cannot_be_read_is_refused(tmp_path, beating):
    path = made_recordings.write_watch(tmp_path / "a.csv", beating)
    refused(path, "--lead V9", "I", lead="V9")
    for name, text, words, options in (
        ("no-rate.csv", "II\n" + "0.1\n" * 9000, ["--rate HZ"], {}),
        ("word.csv", "II\n" + "0.1\n" * 5000 + "oops\n" * 9, ["line 5002", "oops"], {"rate": 360}),
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
