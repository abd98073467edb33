"""Windows, drawing, and reading of records, real and broken."""

import shutil

from command import InputError

import numpy as np
import pytest
import wfdb
from hypothesis import example, given, settings
from hypothesis import strategies as st

import beats

# ../shared/mitdb/README.md counts these.
COUNTS = {
    "NOR": 75052,
    "PVC": 7130,
    "PAB": 7028,
    "RBB": 7259,
    "LBB": 8075,
    "APC": 2546,
    "VFW": 472,
    "VEB": 106,
}


def test_windows_are_the_papers():
    samples = [100, 400, 700, 1100]
    expected = [[0, 380], [120, 680], [420, 1080], [720, 1500]]
    assert beats.windows(samples, 360, 1500).tolist() == expected


def test_the_margin_follows_the_sampling_rate():
    assert beats.windows([100, 400, 700], 720, 1000)[1].tolist() == [140, 660]
    assert beats.windows([100, 400, 700], 180, 1000)[1].tolist() == [110, 690]


def test_the_margin_shrinks_between_close_beats():
    assert beats.windows([100, 110, 500], 360, 1000).tolist() == [[0, 101], [109, 480], [130, 1000]]


@given(
    gaps=st.lists(st.integers(0, 900), min_size=1, max_size=40),
    rate=st.sampled_from([100.0, 128.0, 250.0, 360.0, 1000.0]),
    rest=st.integers(1, 500),
)
def test_every_window_holds_its_beat_and_lies_in_the_record(gaps, rate, rest):
    samples = np.cumsum(gaps)
    length = int(samples[-1]) + rest
    bounds = beats.windows(samples, rate, length)
    assert len(bounds) == len(samples)
    assert (bounds[:, 0] >= 0).all()
    assert (bounds[:, 1] <= length).all()
    assert (bounds[:, 0] <= samples).all()
    assert (samples < bounds[:, 1]).all()


@given(gaps=st.lists(st.integers(50, 900), min_size=3, max_size=20))
def test_far_beats_have_windows_by_the_formula(gaps):
    samples = np.cumsum(gaps)
    bounds = beats.windows(samples, 360, int(samples[-1]) + 100)
    assert (bounds[1:, 0] == samples[:-1] + 20).all()
    assert (bounds[:-1, 1] == samples[1:] - 20).all()


@given(samples=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=600))
@example([0.0, 2.7017034392182473e-42])
@settings(deadline=None)
def test_any_signal_is_drawn_edge_to_edge(samples):
    image = beats.draw(np.array(samples, np.float32))
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
    darkness = 255.0 - beats.draw(wave)
    rows = (darkness * np.arange(128)[:, None]).sum(axis=0) / darkness.sum(axis=0)
    columns = np.interp(np.linspace(0, 399, 128), np.arange(400), wave)
    expected = 2 + (1 - columns) / 2 * 123
    assert np.abs(rows - expected)[3:-3].max() < 0.5


def test_drawing_is_the_same_whatever_the_unit():
    signal = np.random.default_rng(0).integers(-200, 200, 300).astype(np.float32)
    assert (beats.draw(signal) == beats.draw(signal * 4 + 8)).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("100_77.png", ("100", 77)), ("a/sim_01_360.png", ("sim_01", 360)), ("x.png", None), ("_5.png", None)],
)
def test_image_names(name, expected):
    assert beats.parse_image_name(name) == expected


def test_real_records_have_the_counted_beats(mitdb):
    names = beats.find_records(mitdb)
    assert len(names) == 48
    classes = beats.symbol_classes("paper")
    counts = dict.fromkeys(COUNTS, 0)
    for name in names:
        for symbol in beats.read_annotations(mitdb / name)[2]:
            if symbol in classes:
                counts[classes[symbol]] += 1
    assert counts == COUNTS


def test_leads(mitdb):
    assert beats.read_record(mitdb / "114").lead == "MLII"  # its second channel
    assert beats.read_record(mitdb / "102").lead == "V5"  # it has no MLII
    assert beats.read_record(mitdb / "114", "0").lead == "V5"
    with pytest.raises(InputError, match=r"record 102 has no such lead, it has V5, V2"):
        beats.read_record(mitdb / "102", "MLII")
    with pytest.raises(InputError, match="no such lead"):
        beats.read_record(mitdb / "100", "2")


def write_record(folder, name="made", rate=360, fmt="212", gap=False):
    """Write a short record through wfdb; return its samples in ADC units and its annotations."""
    random = np.random.default_rng(1)
    signal = random.integers(900, 1200, (3000, 2))
    if gap:
        signal[100:200, 0] = -2048 if fmt == "212" else -32768
    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV", "mV"],
        sig_name=["MLII", "V1"],
        d_signal=signal,
        fmt=[fmt, fmt],
        adc_gain=[200, 200],
        baseline=[1024, 1024],
        write_dir=str(folder),
    )
    samples = np.array([0, 200, 500, 900, 1500, 2999])
    wfdb.wrann(name, "atr", samples, symbol=list("NVN+NN"), write_dir=str(folder), fs=rate)
    return signal, samples


@pytest.mark.parametrize("fmt", ["212", "16", "516"])
@pytest.mark.parametrize("rate", [128, 360])
def test_formats_and_rates(tmp_path, fmt, rate):
    signal, _ = write_record(tmp_path, rate=rate, fmt=fmt)
    record = beats.read_record(tmp_path / "made")
    assert record.rate == rate
    assert np.allclose(record.signal, (signal[:, 0] - 1024) / 200)
    assert record.samples.tolist() == [0, 200, 500, 1500, 2999]  # the rhythm mark + is no beat
    assert record.symbols.tolist() == list("NVNNN")


def test_gaps_are_interpolated(tmp_path):
    signal, _ = write_record(tmp_path, gap=True)
    record = beats.read_record(tmp_path / "made")
    assert np.isfinite(record.signal).all()
    low, high = sorted((signal[[99, 200], 0] - 1024) / 200)
    assert (record.signal[100:200] >= low - 1e-6).all()
    assert (record.signal[100:200] <= high + 1e-6).all()


def damage(folder, kind):
    """Break record 100 in ``folder`` in one way; return the file that is broken."""
    header, annotations, signal = (folder / f"100.{suffix}" for suffix in ("hea", "atr", "dat"))
    if kind == "no atr":
        annotations.unlink()
        return annotations
    if kind == "no dat":
        signal.unlink()
        return signal
    file = {"hea": header, "atr": annotations, "dat": signal}[kind.split()[-1]]
    content = file.read_bytes()
    random = np.random.default_rng(0)
    if kind.startswith("cut"):
        content = content[: len(content) // 4 * 2]
    elif kind.startswith("empty"):
        content = b""
    elif kind.startswith("garbage"):
        content = random.bytes(len(content) // 2 * 2)
    elif kind.startswith("zero-ended garbage"):
        content = random.bytes(4000) + b"\0\0"
    elif kind.startswith("rate 0"):
        content = content.replace(b"100 2 360", b"100 2 0")
    elif kind.startswith("flipped"):
        place = len(content) // 2
        content = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
    file.write_bytes(content)
    return file


DAMAGES = [
    "no atr",
    "no dat",
    "cut atr",
    "cut dat",
    "empty atr",
    "empty dat",
    "empty hea",
    "garbage atr",
    "zero-ended garbage atr",
    "garbage dat",
    "garbage hea",
    "rate 0 hea",
    "flipped dat",
]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_broken_record_is_named(mitdb, tmp_path, kind):
    for suffix in ("hea", "atr", "dat"):
        shutil.copy(mitdb / f"100.{suffix}", tmp_path)
    file = damage(tmp_path, kind)
    with pytest.raises(InputError) as error:
        beats.read_record(tmp_path / "100")
    assert str(file) in str(error.value)


@pytest.mark.parametrize("place", [3, 1000, 4499])
def test_a_flipped_byte_of_format_212_is_found_in_either_lead(tmp_path, place):
    write_record(tmp_path)
    file = tmp_path / "made.dat"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match="does not match its checksum"):
        beats.read_record(tmp_path / "made")
