"""When a run stops to end within --max-hours."""

from ecgbeats.runs.time_limit import SPARE_SECONDS, TimeIsUp, TimeLimit

import pytest


def test_compiling_does_not_count_as_the_rate_of_training(monkeypatch):
    """With 10 s for the first batch and 0.1 s for others, 100 s are enough for more than one batch."""
    clock = [1000.0]
    monkeypatch.setattr("ecgbeats.runs.time_limit.time.time", lambda: clock[0])
    limit = TimeLimit(1100.0, validated=10_000, tested=10_000, batch_size=128)
    with pytest.raises(TimeIsUp):
        for batch in range(10_000):
            clock[0] += 0.1 if batch else 10.0
            limit.after_batch(batch, 1000.0, 0.5)
    # Scoring takes half of 0.1 s for each of 79 batches, and a quarter more in reserve.
    scoring = 1.25 * 0.05 * 10_000 / 128
    assert clock[0] == pytest.approx(1100 - SPARE_SECONDS - scoring, abs=0.5)
