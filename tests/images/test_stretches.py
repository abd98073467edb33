"""Drawing records of any length."""

from ecgbeats.images import stretches
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.stretches import cut_into_stretches, draw_beats
from ecgbeats.records.record import Record

import made_recordings
import numpy as np
import pytest


@pytest.fixture(scope="module")
def record():
    millivolts, samples = made_recordings.ecg(300, 128)
    return Record("made", "II", 128.0, millivolts, samples, np.full(len(samples), "Q"))


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_record_of_half_an_hour_is_drawn_as_for_training(record, drawing):
    draw = DRAWINGS[drawing](record)
    blocks = list(draw_beats(record, drawing, 100))
    assert {len(block) for block in blocks[:-1]} == {100}
    expected = np.stack([draw(i) for i in range(len(record.samples))])[..., np.newaxis]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_a_longer_one_in_stretches_that_know_their_neighbours(record, monkeypatch):
    monkeypatch.setattr(stretches, "STRETCH_SECONDS", 100)
    parts = list(cut_into_stretches(record))
    assert [part.beats.start for part in parts[1:]] == [part.beats.stop for part in parts[:-1]]
    assert parts[-1].beats.stop == len(record.samples)
    images = np.concatenate(list(draw_beats(record, "strips", 64)))
    whole = np.concatenate([*draw_beats(record, "paper", 64)])
    assert len(images) == len(whole) == len(record.samples)
    # The paper's drawing knows nothing of the record beyond a beat's neighbours, which each stretch has.
    draw = DRAWINGS["paper"](record)
    np.testing.assert_array_equal(whole[..., 0], np.stack([draw(i) for i in range(len(record.samples))]))
