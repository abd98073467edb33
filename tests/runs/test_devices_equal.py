"""Training on several devices is training on one, once batch normalization is synchronized (benchmarks/devices.py)."""

import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import devices, step


@pytest.fixture(scope="module")
def losses(small_images):
    """The losses of a few steps, by number of devices and whether batch normalization is synchronized."""

    def train(count: int, synchronized: bool) -> np.ndarray:
        task = {
            "do": "losses",
            "data": str(small_images),
            "model": "fast",
            "devices": count,
            "synchronized": synchronized,
            "batch_size": 8,
            "steps": 10,
            "schedule": 2000,
            "seed": 3,
            # So that a difference is one, and no rounding.
            "precision": "float64",
        }
        return np.array(step.in_process(str(PROJECT / "benchmarks" / "devices.py"), task)["losses"])

    return {key: train(*key) for key in ((1, False), (2, True), (2, False))}


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(losses):
    assert len(losses[1, False]) == 10, "60 images are 7 batches: the second epoch is in it"
    assert np.ptp(losses[1, False]) > 0.05, "it learns, so that equal losses mean equal steps"
    np.testing.assert_allclose(losses[2, True], losses[1, False], atol=devices.TARGET)


@pytest.mark.slow
def test_each_devices_own_statistics_are_another_training(losses):
    assert np.abs(losses[2, False] - losses[1, False]).max() > 3 * devices.TARGET


def test_the_largest_difference_is_of_synchronized_devices_alone():
    one, other, far = [1.0, 2.0], [1.0, 2.25], [5.0, 5.0]
    found = {
        ("float32", 1, False): one,
        ("float32", 1, True): far,
        ("float32", 2, True): other,
        ("float32", 4, True): one,
        ("float32", 2, False): far,
    }
    assert devices.largest_difference(found) == 0.25
    lines = devices.loss_rows(found, "fast")
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| 1 device", "the batch"],
        ["| 1 device", "the batch, synchronized"],
        ["| 2 devices", "the batch, synchronized"],
        ["| 4 devices", "the batch, synchronized"],
        ["| 2 devices", "each device's part"],
    ]
    found["float32", 4, True] = [float("nan"), 2.0]
    assert np.isnan(devices.largest_difference(found))
