"""Reading of WFDB records, real and broken."""

import shutil

from ecgbeats.command import InputError
from ecgbeats.records.symbols import symbol_classes
from ecgbeats.records.wfdb_files import find_records, read_annotations, read_record, read_signal

import numpy as np
import pytest
from made_records import COUNTS, DAMAGES, damage, write_record


def test_real_records_have_the_counted_beats(mitdb):
    names = find_records(mitdb)
    assert len(names) == 48
    classes = symbol_classes("paper")
    counts = dict.fromkeys(COUNTS, 0)
    for name in names:
        for symbol in read_annotations(mitdb / name).symbols:
            if symbol in classes:
                counts[classes[symbol]] += 1
    assert counts == COUNTS


def test_leads(mitdb):
    assert read_record(mitdb / "114").lead == "MLII"  # its second channel
    assert read_record(mitdb / "102").lead == "V5"  # it has no MLII
    assert read_record(mitdb / "114", "0").lead == "V5"
    with pytest.raises(InputError, match=r"record 102 has no such lead, it has V5, V2"):
        read_record(mitdb / "102", "MLII")
    with pytest.raises(InputError, match="no such lead"):
        read_record(mitdb / "100", "2")


@pytest.mark.parametrize("fmt", ["212", "16", "516"])
@pytest.mark.parametrize("rate", [128, 360])
def test_formats_and_rates(tmp_path, fmt, rate):
    signal, _ = write_record(tmp_path, rate=rate, fmt=fmt)
    record = read_record(tmp_path / "made")
    assert record.rate == rate
    assert np.allclose(record.signal, (signal[:, 0] - 1024) / 200)
    assert record.samples.tolist() == [0, 200, 500, 1500, 2999]  # the rhythm mark + is no beat
    assert record.symbols.tolist() == list("NVNNN")


def test_gaps_are_interpolated(tmp_path):
    signal, _ = write_record(tmp_path, gap=True)
    (tmp_path / "made.atr").unlink()  # a signal is read without its annotations
    made = read_signal(tmp_path / "made")
    assert made.millivolts.dtype == np.float32
    assert np.isfinite(made.millivolts).all()
    low, high = sorted((signal[[99, 200], 0] - 1024) / 200)
    assert (made.millivolts[100:200] >= low - 1e-6).all()
    assert (made.millivolts[100:200] <= high + 1e-6).all()
    assert np.flatnonzero(made.gaps).tolist() == list(range(100, 200))


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_broken_record_is_named(mitdb, tmp_path, kind):
    for suffix in ("hea", "atr", "dat"):
        shutil.copy(mitdb / f"100.{suffix}", tmp_path)
    file = damage(tmp_path, kind)
    with pytest.raises(InputError) as error:
        read_record(tmp_path / "100")
    assert str(file) in str(error.value)


@pytest.mark.parametrize("place", [3, 1000, 4499])
def test_a_flipped_byte_of_format_212_is_found_in_either_lead(tmp_path, place):
    write_record(tmp_path)
    file = tmp_path / "made.dat"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match="does not match its checksum"):
        read_record(tmp_path / "made")


# All of ../shared/cases whose record must be read as the plain one.
CASES = (
    "annotation-fs appledouble ecg-annotator extra-signal-line length-0 mixed-database multi-frequency no-description "
    "no-length-checksum0 skew two-dat-files-one-missing year-only-date"
).split()


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_read_as_the_plain_one(cases, case):
    [name, *others] = find_records(cases / case)
    assert others == (["x01"] if case == "mixed-database" else [])
    plain = read_record(cases / "ref" / "208")
    record = read_record(cases / case / name, annotator="ecg" if case == "ecg-annotator" else "atr")
    assert record.rate == plain.rate
    assert (record.signal == plain.signal).all()
    assert (record.samples == plain.samples).all()
    assert (record.symbols == plain.symbols).all()


def test_a_skewed_lead_lacks_its_last_samples(cases):
    plain, skewed = (read_signal(cases / case / "208", "V1") for case in ("ref", "skew"))
    assert (plain.millivolts[:-5] == skewed.millivolts[:-5]).all()
    assert np.flatnonzero(skewed.gaps).tolist() == list(range(21595, 21600))
