"""Annotation files in every dress that annot(5) allows, and broken ones."""

import struct

from ecgbeats.command import InputError
from ecgbeats.records.annotations import read_marks
from ecgbeats.records.symbols import BEAT_SYMBOLS
from ecgbeats.records.wfdb_files import read_annotations

import numpy as np
import pytest
import wfdb
from made_records import write_record

NORMAL, PVC, NOTE, RHYTHM = 1, 5, 22, 28
SKIP, NUMBER, SUBTYPE, CHANNEL, AUXILIARY = 59, 60, 61, 62, 63


def word(code, value=0):
    return struct.pack("<H", code << 10 | value)


def text(content):
    return word(AUXILIARY, len(content)) + content + b"\0" * (len(content) % 2)


def skip(samples):
    high, low = divmod(samples % 2**32, 2**16)
    return word(SKIP) + struct.pack("<HH", high, low)


def read(tmp_path, *parts, end=bytes(2)):
    file = tmp_path / "made.atr"
    file.write_bytes(b"".join(parts) + end)
    return read_marks(file)


def test_real_files_are_read_as_wfdb_reads_them(mitdb, cases):
    for path in [mitdb / "207", mitdb / "102", cases / "annotation-fs" / "208"]:
        marks, reference = read_marks(path.with_suffix(".atr")), wfdb.rdann(str(path), "atr")
        beats = np.isin(reference.symbol, list(BEAT_SYMBOLS))
        assert marks.times.tolist() == reference.sample[beats].tolist()
        assert marks.symbols.tolist() == np.array(reference.symbol)[beats].tolist()


def test_every_part_of_an_annotation(tmp_path):
    marks = read(
        tmp_path,
        word(RHYTHM, 10) + text(b"(AFIB"),
        word(NORMAL, 1000) + word(SUBTYPE, 1) + word(CHANNEL, 1) + word(NUMBER, 2),
        skip(100_000) + skip(-50_000) + word(PVC, 0) + text(b"caf\xe9 \xff\xfe"),  # no UTF-8
        word(NOTE, 0) + text(b""),
        word(NORMAL, 1),
    )
    assert marks.rate is None
    assert marks.times.tolist() == [1010, 51_010, 51_011]
    assert marks.symbols.tolist() == list("NVN")


@pytest.mark.parametrize("code", [0, 15, 17, 42, 49, 50, 58])
def test_codes_without_a_meaning_are_no_beats(tmp_path, code):
    marks = read(tmp_path, word(NORMAL, 5), word(code, 7), word(NORMAL, 9))
    assert marks.times.tolist() == [5, 21]


@pytest.mark.parametrize(("told", "rate"), [("720", 720), ("62.5", 62.5), ("333.333333333333", 1000 / 3)])
def test_a_time_resolution(tmp_path, told, rate):
    marks = read(tmp_path, word(NOTE) + text(f"## time resolution: {told}".encode()), word(NORMAL, 9))
    assert marks.rate == pytest.approx(rate)
    assert marks.times.tolist() == [9]


@pytest.mark.parametrize(
    "note", ["## anything", "## time resolution: none", "## annotation type definitions", "##"]
)
def test_other_notes_at_the_start_are_passed_over(tmp_path, note):
    marks = read(tmp_path, word(NOTE) + text(note.encode()), word(NORMAL, 9))
    assert (marks.rate, marks.times.tolist()) == (None, [9])


def test_zeros_behind_the_closing_one_fill_a_block(tmp_path):
    assert read(tmp_path, word(NORMAL, 9), end=bytes(64)).times.tolist() == [9]


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ([word(NORMAL, 9), word(0), word(NORMAL, 9)], "its closing zero is not its end"),
        ([word(NORMAL, 9), b"x"], "its closing zero is missing"),
        ([word(NORMAL, 9), word(SKIP)], "amid"),
        ([word(NORMAL, 9), word(AUXILIARY, 200)], "amid"),
        ([word(NORMAL, 9), skip(-8), word(NORMAL, 0)], "go backwards"),
        ([skip(-8), word(NORMAL, 0)], "go backwards"),
    ],
)
def test_a_broken_file_is_named(tmp_path, parts, fault):
    with pytest.raises(InputError, match=rf"made\.atr .*{fault}"):
        read(tmp_path, *parts)


def test_beats_at_or_behind_the_end_are_counted(tmp_path):
    write_record(tmp_path)  # 3000 samples
    samples = np.array([0, 2999, 3000, 3001, 9000, 9001])
    wfdb.wrann("made", "atr", samples, symbol=list("NVNNV+"), write_dir=str(tmp_path))
    beats = read_annotations(tmp_path / "made")
    assert beats.samples.tolist() == [0, 2999]
    assert beats.behind == 3  # the rhythm mark is no beat
