"""The simulated records: what they hold, that they are the same everywhere, and that they are no toy."""

import hashlib
from collections import Counter
from pathlib import Path

from ecgbeats.command import SIMULATED_NOTICE
from ecgbeats.images.drawings.paper import draw, windows
from ecgbeats.records import simulation
from ecgbeats.records.simulation import PATIENTS, SECONDS, SYMBOLS, make_records
from ecgbeats.records.symbols import BEAT_SYMBOLS, CLASSES
from ecgbeats.records.wfdb_files import read_record

import numpy as np
import pytest
import wfdb

# Over all files, by name. It changes with the simulation, and with numpy's random streams or wfdb's format.
DIGEST = "f00a03b8851ca406680cdabcb34d305d734046d27d57c5849a9ff80aea212f48"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    assert make_records(folder) == names(folder)
    return folder


@pytest.fixture(scope="module")
def annotations(folder) -> dict:
    return {name: wfdb.rdann(str(folder / name), "atr") for name in names(folder)}


@pytest.fixture(scope="module")
def images(folder) -> tuple[np.ndarray, np.ndarray]:
    """All beats' images, flat, and their symbols."""
    drawn, symbols = [], []
    for name in names(folder):
        record = read_record(folder / name)
        for start, end in windows(record.samples, record.rate, len(record.signal)):
            drawn.append(draw(record.signal[start:end]).ravel())
        symbols.append(record.symbols)
    return np.array(drawn), np.concatenate(symbols)


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.hea"))


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def test_every_file_has_the_known_bytes(folder):
    assert digest(folder) == DIGEST


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "PATIENTS", 4)
    digests = []
    for run, seed in enumerate((5, 5, 6)):
        (tmp_path / str(run)).mkdir()
        make_records(tmp_path / str(run), seed=seed)
        digests.append(digest(tmp_path / str(run)))
    assert digests[0] == digests[1] != digests[2]


def test_each_record_is_a_header_a_signal_and_annotations(folder):
    expected = {f"{name}{suffix}" for name in names(folder) for suffix in (".hea", ".dat", ".atr")}
    assert {path.name for path in folder.iterdir()} == expected
    assert len(names(folder)) == PATIENTS


def test_headers_say_that_the_records_are_simulated(folder):
    for name in names(folder):
        assert f"# {SIMULATED_NOTICE}" in (folder / f"{name}.hea").read_text().splitlines()


def test_signals_have_the_format_of_mit_bih(folder):
    for name in names(folder):
        record = wfdb.rdheader(str(folder / name))
        assert (record.fs, record.sig_name, record.fmt) == (360, ["MLII", "V1"], ["212", "212"])
        assert (record.adc_res, record.adc_gain, record.baseline) == ([11, 11], [200, 200], [1024, 1024])
        assert record.units == ["mV", "mV"]


def test_checksums_and_first_values_agree_with_the_signals(folder):
    for name in names(folder):
        record = wfdb.rdrecord(str(folder / name), physical=False)
        assert [sum_ % 65536 for sum_ in record.checksum] == [sum_ % 65536 for sum_ in record.calc_checksum()]
        assert record.init_value == record.d_signal[0].tolist()


def test_no_peak_is_clipped(folder):
    for name in names(folder):
        signal = wfdb.rdrecord(str(folder / name), physical=False).d_signal
        assert 0 < signal.min()
        assert signal.max() < 2047


def test_all_eight_classes_have_beats_and_normal_ones_are_most(annotations):
    counts = Counter(symbol for annotation in annotations.values() for symbol in annotation.symbol)
    beats = {symbol: count for symbol, count in counts.items() if symbol in BEAT_SYMBOLS}
    assert set(beats) == set(CLASSES["paper"].values()) == set(SYMBOLS)
    assert max(beats, key=beats.get) == "N"
    assert min(beats.values()) >= 250
    assert 8_000 <= sum(beats.values()) <= 10_000


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_each_class_has_enough_patients_for_ten_folds(annotations, symbol):
    counts = [annotation.symbol.count(symbol) for annotation in annotations.values()]
    present = [count for count in counts if count]
    assert len(present) >= 10
    assert min(present) >= 15


def test_annotations_rise_and_lie_within_the_record(annotations):
    for annotation in annotations.values():
        assert (np.diff(annotation.sample) > 0).all()
        assert 0 <= annotation.sample[0] < annotation.sample[-1] < SECONDS * 360


def test_marks_that_are_no_beats_are_among_the_annotations(annotations):
    symbols = {symbol for annotation in annotations.values() for symbol in annotation.symbol}
    assert symbols - BEAT_SYMBOLS == {"+", "~", "x", "[", "]"}
    notes = {note.rstrip("\0") for annotation in annotations.values() for note in annotation.aux_note}
    assert notes == {"", "(N", "(P", "(VFL"}


def test_flutter_stands_between_its_marks(annotations):
    for annotation in annotations.values():
        inside = False
        for symbol in annotation.symbol:
            inside = symbol == "[" or (inside and symbol != "]")
            assert inside or symbol != "!"
            assert not inside or symbol in "[!+~"


def test_premature_beats_come_early_and_escape_beats_late(annotations):
    for annotation in annotations.values():
        symbols = np.array(annotation.symbol)
        beats = np.isin(symbols, list(BEAT_SYMBOLS))
        symbols, rr = symbols[beats][1:], np.diff(annotation.sample[beats]) / 360
        usual = np.median(rr[np.isin(symbols, ["N", "R", "L", "/"])])
        assert (rr[np.isin(symbols, ["V", "A"])] < 0.9 * usual).all()
        assert (rr[symbols == "E"] > 1.2 * usual).all()
        flutter = rr[1:][(symbols[1:] == "!") & (symbols[:-1] == "!")]
        assert ((flutter > 60 / 330) & (flutter < 60 / 170)).all()


def test_annotations_stand_on_a_deflection(folder):
    for name in names(folder):
        record = read_record(folder / name)
        # A peak is where the signal bends most; compare with the middle of the gap to the next beat.
        bend = np.abs(np.convolve(record.signal, np.repeat([-1, 2, -1], 5), "same"))
        sharp = np.array([bend[sample - 6 : sample + 7].max() for sample in record.samples[1:-1]])
        between = bend[(record.samples[1:-1] + record.samples[2:]) // 2 + 15]
        usual = np.isin(record.symbols[1:-1], ["N", "R", "L", "/", "A"])
        assert (sharp[usual] > between[usual]).mean() > 0.95


def test_neighbouring_samples_join_without_a_step(folder):
    for name in names(folder):
        record = read_record(folder / name)
        step = np.abs(np.diff(record.signal))
        # Only a pacemaker's spike may change by more than half a millivolt from sample to sample.
        spikes = record.samples[record.symbols == "/"]
        near = (
            np.concatenate([spikes + shift for shift in range(-8, 9)]) if len(spikes) else np.array([], int)
        )
        step[near[near < len(step)]] = 0
        assert step.max() < 0.5


def test_nearest_mean_image_does_not_tell_the_classes(images):
    pixels, symbols = images
    order = np.random.default_rng(0).permutation(len(symbols))
    test, training = order[: len(order) // 10], order[len(order) // 10 :]
    classes = np.unique(symbols)
    means = np.stack([pixels[training[symbols[training] == symbol]].mean(axis=0) for symbol in classes])
    distances = (means**2).sum(axis=1) - 2 * pixels[test].astype(np.float64) @ means.T
    found = classes[distances.argmin(axis=1)]
    assert 0.5 < (found == symbols[test]).mean() < 0.9
