"""Training on several devices is training on one, once batch normalization is synchronized (benchmarks/devices.py)."""

import numpy as np
import pytest

from benchmarks import devices, harness


@pytest.fixture(scope="module")
def losses(small_images):
    """The losses of a few steps, by number of devices and whether batch normalization is synchronized."""

    def train(count: int, synchronized: bool) -> np.ndarray:
        task = {
            "data": small_images,
            "model": "fast",
            "devices": count,
            "synchronized": synchronized,
            "batch_size": 8,
            "steps": 10,
            # So that a difference is one, and no rounding.
            "precision": "float64",
        }
        return np.array(harness.in_process(devices.measure_losses, **task))

    return {key: train(*key) for key in ((1, False), (2, True), (2, False))}


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(losses):
    assert len(losses[1, False]) == 10, "60 images are 7 batches: the second epoch is in it"
    assert np.ptp(losses[1, False]) > 0.05, "it learns, so that equal losses mean equal steps"
    np.testing.assert_allclose(losses[2, True], losses[1, False], atol=devices.TARGET)


@pytest.mark.slow
def test_each_devices_own_statistics_are_another_training(losses):
    assert np.abs(losses[2, False] - losses[1, False]).max() > 3 * devices.TARGET
