"""Finding beats, and the stretches where none can be judged."""

from ecgbeats.command import InputError
from ecgbeats.records import finding
from ecgbeats.records.finding import find_beats
from ecgbeats.records.gqrs import gqrs_detect
from ecgbeats.records.quality import are_within, find_unreadable
from ecgbeats.records.units import check_level
from ecgbeats.records.wfdb_files import read_annotations, read_signal

import made_recordings
import numpy as np
import pytest
import wfdb.processing


def find(millivolts, rate=360, gaps=None):
    """Return the beats that can be judged, and the unreadable stretches."""
    samples, doubtful = (np.concatenate(part) for part in zip(*find_beats(millivolts, rate), strict=True))
    stretches = find_unreadable(
        samples, doubtful, np.zeros(len(millivolts), bool) if gaps is None else gaps, rate
    )
    return samples[~are_within(samples, stretches)], stretches


@pytest.mark.parametrize("rate", [60, 128, 511.422, 1000])
@pytest.mark.parametrize("samples", [40, 3000, 110 * 360])
def test_gqrs_finds_what_wfdbs_finds(rate, samples):
    signal = np.rint(200 * (made_recordings.ecg(110)[0] + made_recordings.noise("white", 110) / 5)).astype(
        int
    )[:samples]
    expected = wfdb.processing.gqrs_detect(d_sig=signal, fs=rate, adc_gain=200, adc_zero=0)
    np.testing.assert_array_equal(gqrs_detect(signal, rate, 200), expected)


@pytest.mark.parametrize(("rate", "height"), [(100, 1), (250, 1), (360, 0.05), (360, 8), (1000, 1)])
def test_every_beat_is_found_at_any_rate_and_height(rate, height):
    millivolts, beats = made_recordings.ecg(60, rate)
    found, stretches = find(height * millivolts, rate)
    nearest = np.abs(beats - found[:, None]).min(1)
    assert len(beats) - 1 <= len(found) <= len(beats)
    assert nearest.max() <= 0.02 * rate
    assert not len(stretches)


def test_a_complex_that_the_signals_ends_cut_is_no_beat():
    millivolts, beats = made_recordings.ecg(60)
    cut = millivolts[beats[0] + 5 : beats[-1] - 5]
    np.testing.assert_allclose(find(cut)[0], beats[1:-1] - beats[0] - 5, atol=5)


def test_pieces_find_the_beats_of_the_whole(monkeypatch):
    millivolts, _ = made_recordings.ecg(200)
    whole = find(millivolts)[0]
    monkeypatch.setattr(finding, "PIECE_SECONDS", 33)
    assert len(list(find_beats(millivolts, 360))) == 6
    np.testing.assert_array_equal(find(millivolts)[0], whole)


@pytest.mark.parametrize("kind", ["white", "slow", "hum", "flat"])
def test_two_minutes_of_noise_are_marked_and_give_no_beat(kind):
    parts = [made_recordings.ecg(90)[0], made_recordings.noise(kind, 120), made_recordings.ecg(90, seed=1)[0]]
    found, stretches = find(np.concatenate(parts).astype(np.float32))
    seconds = found / 360
    assert not ((seconds > 91) & (seconds < 209)).any()
    assert len(found) >= sum(len(made_recordings.ecg(90, seed=seed)[1]) for seed in (0, 1)) - 3
    assert stretches.shape == (1, 2)
    assert np.abs(stretches / 360 - [90, 210]).max() < 4


def test_gaps_are_marked_unless_they_are_short():
    millivolts, beats = made_recordings.ecg(60)
    gaps = np.zeros(len(millivolts), bool)
    gaps[3600:3700] = gaps[7200:9000] = True
    found, stretches = find(millivolts, gaps=gaps)
    np.testing.assert_array_equal(stretches, [[7200, 9000]])
    assert len(found) == ((beats < 7200) | (beats >= 9000)).sum()


def test_microvolts_are_told_and_what_is_no_ecg_is_refused():
    millivolts, _ = made_recordings.ecg(30)
    gaps = np.zeros(len(millivolts), bool)
    assert check_level(millivolts, 360, gaps, "x", False) == (1.0, None)
    factor, said = check_level(1000 * millivolts, 360, gaps, "x", False)
    assert factor == 0.001
    assert "microvolts" in said
    for wrong in (1000 * millivolts, millivolts / 1000):
        with pytest.raises(InputError, match=r"x has QRS complexes of"):
            check_level(wrong, 360, gaps, "x", True)
    with pytest.raises(InputError, match="x is flat"):
        check_level(0 * millivolts, 360, gaps, "x", False)


def test_beats_of_real_records_are_found(mitdb):
    missed = extra = beats = 0
    for name in ("119", "208"):
        signal, annotated = read_signal(mitdb / name), read_annotations(mitdb / name).samples
        found, _ = find(signal.millivolts)
        missed += sum(np.abs(found - sample).min() > 54 for sample in annotated)
        extra += sum(np.abs(annotated - sample).min() > 54 for sample in found)
        beats += len(annotated)
    assert missed <= 0.005 * beats
    assert extra <= 0.002 * beats


@pytest.mark.slow
def test_the_promised_shares_of_all_real_beats_are_found(mitdb):
    from benchmarks.detection import count

    counts = np.array([count(path.with_suffix("")) for path in sorted(mitdb.glob("*.hea"))])
    beats, found, right = counts[:, :3].sum(0)
    assert right / beats >= 0.997
    assert right / found >= 0.998
