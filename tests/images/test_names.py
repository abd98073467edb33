"""Names of image files."""

from ecgbeats.images.names import parse_image_name

import pytest


@pytest.mark.parametrize(
    ("name", "expected"),
    [("100_77.png", ("100", 77)), ("a/sim_01_360.png", ("sim_01", 360)), ("x.png", None), ("_5.png", None)],
)
def test_image_names(name, expected):
    assert parse_image_name(name) == expected
