"""The images that a run is given."""

import json

from ecgbeats.images.names import record_names
from ecgbeats.images.splits import split_as
from ecgbeats.runs.given_data import load_data

import numpy as np
from conftest import make_images

import train_keras


def test_the_limit_is_for_each_folder_and_what_is_made_is_told(tmp_path, capsys):
    data = make_images(tmp_path / "data", {"N": 40, "V": 30})
    more = make_images(tmp_path / "more", {"V": 90}, seed=1)
    for folder in (data, more):
        (folder / "dataset.json").write_text(
            json.dumps({"made": "rhythm fibrillation", "options": {"drawing": "usual"}})
        )
    arguments = ["--data", data, "--further", more, "--split", "records", "--output", "x", "--limit", 20]
    loaded = load_data(options := train_keras.read_options(list(map(str, arguments))))
    assert np.bincount(loaded.images.labels).tolist() == [20, 20]
    further = loaded.further[0].images
    assert further.labels.tolist() == [1] * 20
    parts = split_as(loaded.images, vars(options))
    trains = set(record_names(loaded.images.subset(parts.training).names))
    assert set(record_names(further.names)) <= trains
    assert len(set(loaded.checksums)) == 2
    assert loaded.images._pixels is further._pixels, "one room"
    told = capsys.readouterr().out
    assert "MADE, not as recorded: rhythm fibrillation" in told
    assert f"20 further images of patients that train in {more}" in told
