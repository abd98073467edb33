"""Headers in every dress that header(5) allows, and some that it does not but people have."""

from dataclasses import dataclass

from ecgbeats.command import InputError
from ecgbeats.records.headers import find_lead, read_header
from ecgbeats.records.wfdb_files import read_annotations, read_record, read_signal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_records import write_frames

LENGTH = 720
BEATS = [0, 100, 300, 719]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a signal file of MLII and V1, at 360 Hz, and annotations of MLII, but no header."""
    import wfdb

    folder = tmp_path_factory.mktemp("made")
    stored = write_frames(folder / "made.dat", [LENGTH] * 2)
    wfdb.wrann("made", "atr", np.array(BEATS), symbol=["N"] * len(BEATS), write_dir=str(folder))
    return folder, stored


def sums(stored):
    """The fields of a header that depend on a signal: initial value and checksum."""
    return [f"{samples[0]} {int(samples.sum()) % 65536}" for samples in stored]


# What may stand in the place of: made 2 360 720
RECORD_LINES = {
    "an exponent": "made 2 3.6e2 720",
    "a sign and no decimals": "made 2 +360. 720",
    "a counter": "made 2 360/73 720",
    "a counter with a base": "made 2 360/73.5(-12.25) 720",
    "tabs and blanks": " \tmade\t2   360\t720 ",
    "a time": "made 2 360 720 12:30:00",
    "a time of few digits and a date": "made 2 360 720 0:0:0.5 1/2/1990",
    "a time and a date that cannot be": "made 2 360 720 24:61:00 31/02/2001",
    "a year": "made 2 360 720 2006",
    "words in place of a time": "made 2 360 720 not recorded",
    "another name": "renamed 2 360 720",
    "no length": "made 2 360",
    "length 0": "made 2 360 0",
    "length 0 and a time": "made 2 360 0 12:30:00",
}


@pytest.mark.parametrize("line", RECORD_LINES.values(), ids=RECORD_LINES)
def test_a_record_line(made, line):
    check_plain(made, [line, *signal_lines(made)])


def signal_lines(made, form="made.dat 16 200(1024)/mV 11 1024 {sums} 0 {lead}"):
    _, stored = made
    return [form.format(sums=s, lead=lead) for s, lead in zip(sums(stored), ["MLII", "V1"], strict=True)]


def check_plain(made, lines, end="\n", encoding="utf-8", scale=200.0, baseline=1024):
    """The header of these lines gives both signals, in millivolts, and the beats."""
    folder, stored = made
    (folder / "made.hea").write_bytes((end.join(lines) + end).encode(encoding))
    record = read_record(folder / "made")
    assert np.allclose(record.signal, (stored[0] - baseline) / scale, atol=1e-6)
    assert record.rate == 360
    assert record.samples.tolist() == BEATS
    other = read_signal(folder / "made", "1").millivolts
    assert np.allclose(other, (stored[1] - baseline) / scale, atol=1e-6)


# What may stand in the place of: made.dat 16 200(1024)/mV 11 1024 INITIAL CHECKSUM 0 MLII
SIGNAL_LINES = {
    "a gain with an exponent": "made.dat 16 2e2(1024)/mV 11 1024 {sums} 0 {lead}",
    "a gain with a sign": "made.dat 16 +200.0(1024)/mV 11 1024 {sums} 0 {lead}",
    "a gain of 0": "made.dat 16 0(1024)/mV 11 1024 {sums} 0 {lead}",
    "a baseline that is the zero": "made.dat 16 200/mV 11 1024 {sums} 0 {lead}",
    "no unit": "made.dat 16 200(1024) 11 1024 {sums} 0 {lead}",
    "no resolution": "made.dat 16 200(1024)/mV 0 0 {sums} 0 {lead}",
    "gain alone": "made.dat 16 200(1024)/mV",
    "volts": "made.dat 16 200000(1024)/V 11 1024 {sums} 0 {lead}",
    "microvolts": "made.dat 16 0.2(1024)/uV 11 1024 {sums} 0 {lead}",
    "microvolts in Greek": "made.dat 16 .2(1024)/µV 11 1024 {sums} 0 {lead}",
    "a unit of signs": "made.dat 16 200(1024)/(mV*1) 11 1024 {sums} 0 {lead}",
    "frames, skew and preamble of none": "made.dat 16x1:0+0 200(1024)/mV 11 1024 {sums} 0 {lead}",
    "no description": "made.dat 16 200(1024)/mV 11 1024 {sums} 0",
    "no description but blanks": "made.dat 16 200(1024)/mV 11 1024 {sums} 0  \t",
    "tabs": "made.dat\t16\t200(1024)/mV\t11\t1024\t{sums}\t0\t{lead}",
    "a long description": "made.dat 16 200(1024)/mV 11 1024 {sums} 0 {lead}, Einthoven's #2 / 50 µm °",
    "a number for description": "made.dat 16 200(1024)/mV 11 1024 {sums} 0 12",
    "a path": "./made.dat 16 200(1024)/mV 11 1024 {sums} 0 {lead}",
}


@pytest.mark.parametrize("form", SIGNAL_LINES.values(), ids=SIGNAL_LINES)
def test_a_signal_line(made, form):
    check_plain(made, ["made 2 360 720", *signal_lines(made, form)])


def test_a_signal_of_a_format_alone(made):
    lines = ["made 2 360 720", "made.dat 16", "made.dat 16"]
    check_plain(made, lines, scale=200, baseline=0)  # header(5)'s own values


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_line_ends_comments_and_encodings(made, end, encoding):
    lines = ["# Größe", "", "made 2 360 720", *signal_lines(made), "# 69 M 1085 µ", ""]
    check_plain(made, lines, end, encoding)


def test_a_missing_last_line_end(made):
    folder, _ = made
    check_plain(made, ["made 2 360 720", *signal_lines(made)])
    content = (folder / "made.hea").read_bytes()
    (folder / "made.hea").write_bytes(content.rstrip())
    assert len(read_header(folder / "made").signals) == 2


def test_more_signal_lines_than_signals(made):
    folder, _ = made
    (folder / "made.hea").write_text("\n".join(["made 2 360 720", *signal_lines(made), "none.dat 16", "x"]))
    assert len(read_header(folder / "made").signals) == 2


def test_the_default_rate(made):
    folder, _ = made
    (folder / "made.hea").write_text("\n".join(["made 2", *signal_lines(made)]))
    assert read_signal(folder / "made").rate == 250


@pytest.mark.parametrize(
    ("length", "checksum"), [("", "0"), ("0", "0"), ("", "1"), ("0", "1"), ("720", None)]
)
def test_checksums_count_where_the_length_is_told(made, length, checksum):
    folder, _ = made
    for wrong in [checksum] if checksum else ["0", "1"]:
        line = f"made.dat 16 200(1024)/mV 11 1024 0 {wrong} 0"
        (folder / "made.hea").write_text(f"made 2 360 {length}\n{line}\n{line}\n")
        if checksum:
            assert len(read_signal(folder / "made").millivolts) == LENGTH
        else:  # 0 is a placeholder only where the length is not told
            with pytest.raises(InputError, match="checksum"):
                read_signal(folder / "made")


def test_leads_without_names(made):
    folder, _ = made
    (folder / "made.hea").write_text("made 2 360 720\nmade.dat 16\nmade.dat 16 200 11 0 0\n")
    assert [find_lead(read_header(folder / "made"), lead) for lead in (None, "0", "1")] == [0, 0, 1]
    assert read_signal(folder / "made", "1").lead == "signal 1"
    for lead in ("MLII", "", "2"):
        with pytest.raises(InputError, match=r"made does not name its leads; give an index from 0 to 1"):
            read_signal(folder / "made", lead)


@pytest.mark.parametrize(
    "lines",
    [
        ["made two 360 720"],
        ["made 2 360 many"],
        ["made 2 360 -720"],
        ["made 2 360 720", "made.dat"],
        ["made 2 360 720", "made.dat sixteen 200"],
        ["made 2 360 720", "made.dat 16:-5 200"],
        ["made 2 360 720", "made.dat 17 200"],
        ["made 2 360 720", "made.dat 0 200"],
        ["made 0 360 720"],
        ["made/2 2 360 720"],
    ],
    ids=" / ".join,
)
def test_what_is_no_header_is_named(made, lines):
    folder, _ = made
    signals = lines[1:] * 2 or signal_lines(made)
    (folder / "made.hea").write_text("\n".join([lines[0], *signals]))
    with pytest.raises(InputError, match=r"made\.hea"):
        read_record(folder / "made")


@dataclass(frozen=True)
class Dress:
    """How one of two leads is stored, beside the other."""

    per_frame: int
    skew: int


dresses = st.builds(Dress, per_frame=st.integers(1, 5), skew=st.sampled_from([0, 0, 1, 7]))


@given(
    leads=st.tuples(dresses, dresses),
    fmt=st.sampled_from(["16", "212", "80", "24", "32", "61", "160", "310", "311", "8", "516"]),
    preamble=st.sampled_from([0, 0, 24]),
    told=st.booleans(),
    marks_rate=st.sampled_from([None, 90, 180, 1000, 62.5]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_frames_skews_formats_and_preambles(tmp_path, leads, fmt, preamble, told, marks_rate):
    """Both leads are what was stored, at their own rates, and annotations stand at the same seconds."""
    import wfdb

    frames, rate = 300, 90
    if fmt == "516":  # FLAC has one rate, and its preamble counts samples
        leads, preamble = [Dress(leads[0].per_frame, lead.skew) for lead in leads], 0
    stored = write_frames(
        tmp_path / "made.dat",
        [frames * lead.per_frame for lead in leads],
        fmt,
        [lead.per_frame for lead in leads],
        preamble,
    )
    lines = [f"made 2 {rate} {frames if told else ''}"]
    for lead, fields in zip(leads, sums(stored), strict=True):
        modifiers = f"x{lead.per_frame}:{lead.skew}" + (f"+{preamble}" if preamble else "")
        lines.append(f"made.dat {fmt}{modifiers} 200(20)/mV 12 0 {fields} 0")
    (tmp_path / "made.hea").write_text("\n".join(lines))
    seconds = np.array([0, 0.5, 1, 1.8, 3])
    times = np.rint(seconds * (marks_rate or rate)).astype(int)
    wfdb.wrann("made", "atr", times, symbol=["N"] * 5, fs=marks_rate, write_dir=str(tmp_path))
    for channel, (lead, samples) in enumerate(zip(leads, stored, strict=True)):
        record = read_record(tmp_path / "made", str(channel))
        signal = read_signal(tmp_path / "made", str(channel))
        lost = lead.skew * lead.per_frame
        assert signal.rate == record.rate == rate * lead.per_frame
        assert len(signal.millivolts) == len(samples)
        assert signal.gaps.sum() == lost
        assert signal.gaps[len(samples) - lost :].all()
        assert np.allclose(signal.millivolts[: len(samples) - lost], (samples[lost:] - 20) / 200, atol=1e-6)
        expected = times / (marks_rate or rate) * signal.rate
        assert (abs(record.samples - expected) <= 0.5).all()
        assert read_annotations(tmp_path / "made", lead=str(channel)).behind == 0


def test_a_missing_signal_file_of_another_lead(made, tmp_path):
    folder, stored = made
    (tmp_path / "made.dat").write_bytes((folder / "made.dat").read_bytes())
    first, second = signal_lines(made)
    (tmp_path / "made.hea").write_text(
        f"made 3 360 720\nmade_2.dat 16 200 11 0 0 0 0 V2\n{first}\n{second}\n"
    )
    assert np.allclose(read_signal(tmp_path / "made", "MLII").millivolts, (stored[0] - 1024) / 200)
    assert np.allclose(read_signal(tmp_path / "made", "2").millivolts, (stored[1] - 1024) / 200)
    with pytest.raises(InputError, match=r"made_2\.dat is missing"):
        read_signal(tmp_path / "made", "V2")


def test_a_lead_that_is_called_other_is_that_one(tmp_path):
    for leads, expected in (
        (["I", "other"], 1),
        (["other", "MLII"], 0),
        (["I", "MLII"], 0),
        (["I", "II", "V"], 1),
    ):
        lines = [f"r {len(leads)} 360 10", *(f"r.dat 16 200 11 0 0 0 0 {lead}" for lead in leads)]
        (tmp_path / "r.hea").write_text("\n".join(lines) + "\n")
        assert find_lead(read_header(tmp_path / "r"), "other") == expected
