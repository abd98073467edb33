"""Records that claim what cannot be, and what is no file where one is expected."""

import os
import shutil
import time

from ecgbeats.command import InputError
from ecgbeats.records.wfdb_files import find_records, read_annotations, read_record

import numpy as np
import pytest

SECONDS, RATE = 20, 360


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A record of two leads."""
    import wfdb

    folder = tmp_path_factory.mktemp("made")
    time_s = np.arange(SECONDS * RATE) / RATE
    signal = np.rint(200 * np.sin(2 * np.pi * time_s) + 1024).astype(int)
    wfdb.wrsamp(
        "made",
        fs=RATE,
        units=["mV"] * 2,
        sig_name=["MLII", "V1"],
        d_signal=np.stack([signal, signal // 2], axis=1),
        fmt=["16"] * 2,
        adc_gain=[200] * 2,
        baseline=[1024] * 2,
        write_dir=str(folder),
    )
    beats = np.arange(100, len(signal), RATE)
    wfdb.wrann("made", "atr", beats, symbol=["N"] * len(beats), write_dir=str(folder))
    return folder


@pytest.fixture
def record(made, tmp_path):
    """Where a copy of it lies, without suffix."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "made"


def change_header(record, line, old, new):
    header = record.with_suffix(".hea")
    lines = header.read_text().splitlines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new, 1)
    header.write_text("\n".join(lines) + "\n")


def assert_refused_soon(record, *words):
    started = time.perf_counter()
    with pytest.raises(InputError) as refused:
        read_record(record)
    assert time.perf_counter() - started < 5
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("rate", ["nan", "-360", "inf", "1e999", "360abc", "0", "0.01", "1" + "0" * 400])
def test_a_rate_that_cannot_be_is_refused(record, rate):
    change_header(record, 0, " 360 ", f" {rate} ")
    assert_refused_soon(record, "made.hea", rate, "sampling rate")


@pytest.mark.parametrize(
    ("rate", "expected"),
    [("360.0", 360), ("3.6e2", 360), ("+360", 360), ("360/73(12)", 360), ("127.5", 127.5)],
)
def test_a_rate_in_another_dress_is_read(record, rate, expected):
    change_header(record, 0, " 360 ", f" {rate} ")
    assert read_annotations(record).rate == expected


@pytest.mark.parametrize("claim", ["1000000000", "3", "999999999999999999999", "nan", "-2"])
def test_signals_that_are_not_described_are_refused_before_room_is_made(record, claim):
    change_header(record, 0, "made 2 ", f"made {claim} ")
    assert_refused_soon(record, "made.hea")


def test_more_signals_than_any_recording_has_are_refused(record):
    record.with_suffix(".hea").write_text("made 90000 360 7200\n" + "made.dat 8\n" * 90_000)
    assert_refused_soon(record, "made.hea", "90000 signals")


def test_segments_are_refused_before_room_is_made(record):
    change_header(record, 0, "made 2 ", "made/1000000000 2 ")
    assert_refused_soon(record, "made.hea", "segments")


@pytest.mark.parametrize("length", ["999999999999", "3000000000"])
def test_a_length_that_the_signals_do_not_have_is_refused_before_room_is_made(record, length):
    change_header(record, 0, " 7200", f" {length}")
    assert_refused_soon(record, "made.dat", "cut short")


@pytest.mark.parametrize("fmt", ["16x999999999", "16:999999999", "16+999999999999"])
def test_frames_skew_and_offset_beyond_the_file_are_refused_before_room_is_made(record, fmt):
    change_header(record, 1, " 16 ", f" {fmt} ")
    assert_refused_soon(record, "made.hea" if "x" in fmt else "made.dat")


@pytest.mark.parametrize("gain", ["1e300", "1e999", "1e-320", "200(2147483647)", "200(1000000000)"])
def test_a_gain_or_baseline_that_leaves_nothing_of_the_signal_is_refused(record, gain):
    change_header(record, 1, "200(1024)", gain)
    assert_refused_soon(record, "made.hea", "MLII", "gain")


@pytest.mark.parametrize("gain", ["nan", "inf", "200(nan)", "two"])
def test_a_gain_or_baseline_that_is_no_number_is_refused(record, gain):
    change_header(record, 1, "200(1024)", gain)
    assert_refused_soon(record, "made.hea", gain)


@pytest.mark.parametrize("gain", ["0", "-200", "1e9(1024)", "1e-9(1024)", "200(-20000)"])
def test_an_unusual_gain_is_taken(record, gain):
    change_header(record, 1, "200(1024)", gain)
    assert np.ptp(read_record(record).signal) > 0


def test_a_flat_signal_is_taken(record):
    content = np.full(SECONDS * RATE * 2, 1024, np.int16)
    record.with_suffix(".dat").write_bytes(content.tobytes())
    for line in (1, 2):
        header = record.with_suffix(".hea")
        lines = header.read_text().splitlines()
        fields = lines[line].split()
        fields[5:7] = ["1024", str(1024 * SECONDS * RATE % 65536)]
        lines[line] = " ".join(fields)
        header.write_text("\n".join(lines) + "\n")
    assert np.ptp(read_record(record).signal) == 0


def make_pipe(file):
    os.mkfifo(file)


def make_loop(file):
    file.symlink_to(file.name)


def make_device(file):
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize("suffix", [".hea", ".atr", ".dat"])
@pytest.mark.parametrize("make", [make_pipe, make_loop, make_device, os.mkdir])
def test_what_is_no_file_is_named(record, suffix, make):
    file = record.with_suffix(suffix)
    file.unlink()
    make(file)
    assert_refused_soon(record, file.name, "leave the record out")


@pytest.mark.parametrize("suffix", [".hea", ".atr", ".dat"])
def test_a_file_without_permission_is_bad_input(record, suffix, monkeypatch):
    file, open_ = str(record.with_suffix(suffix)), os.open

    def refuse(path, *rest, **options):
        if str(path) == file:
            raise PermissionError(13, "Permission denied", path)
        return open_(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert_refused_soon(record, file, "Permission denied")


def test_a_pipe_in_a_source_does_not_hang_the_command(record, run, refused):
    record.with_suffix(".hea").unlink()
    os.mkfifo(record.with_suffix(".hea"))
    output = record.parent / "data"
    refused(run("make_dataset.py", record.parent, "--output", output, timeout=30), "made.hea", "regular")
    assert not output.exists()


@pytest.mark.parametrize("lead", ["1" * 5000, "99999999999999999999", "٢"])
def test_a_lead_of_any_digits_is_refused(record, run, refused, lead):
    refused(run("make_dataset.py", record.parent, "--output", record.parent / "x", "--lead", lead), "--lead")


def test_a_record_whose_name_is_no_utf8_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.hea")).write_text("x")
    with pytest.raises(InputError, match="no UTF-8"):
        find_records(tmp_path)
    os.rename(tmp_path / os.fsdecode(b"caf\xe9.hea"), tmp_path / "café.hea")
    assert find_records(tmp_path) == ["café"]


@pytest.mark.parametrize("make", ["missing", "file", "x" * 300, "loop"])
def test_a_source_that_is_no_folder_is_refused(tmp_path, run, refused, make):
    place = tmp_path / make
    if make == "file":
        place.write_text("")
    if make == "loop":
        place.symlink_to("loop")
    refused(run("make_dataset.py", place, "--output", tmp_path / "out"), str(place), "simulated")
