"""Further images train, and never beside a beat of their patient that validates or tests."""

from pathlib import Path

from ecgbeats.images.dataset import Data, Further
from ecgbeats.images.folder import Images, join, keep_together
from ecgbeats.images.further import choose_training, patient_groups
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import BEATS, DS1, DS2, PARTS, read_protocol
from ecgbeats.images.splits import split_images

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st


def some_images(records, folder="x"):
    """Images of each record: two of N and two of V, without files."""
    images = object.__new__(Images)
    images.folder, images.classes = Path(folder), ["N", "V"]
    beats = [
        (label, f"{'NV'[label]}/{record}_{i}.png") for label in (0, 1) for record in records for i in (1, 2)
    ]
    images.labels = np.array([label for label, _ in beats], np.int32)
    images.names = [name for _, name in beats]
    keep_together([images], in_memory=False)
    return images


def records_of(images):
    return set(record_names(images.names).tolist())


FIELD = [*DS1, *DS2]


@given(
    own=st.sets(st.sampled_from(FIELD), min_size=6, max_size=20),
    further=st.sets(st.sampled_from(FIELD), min_size=1, max_size=40),
    folds=st.sampled_from([None, 2, 3]),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=40)
def test_no_further_image_is_of_a_patient_that_validates_or_tests(own, further, folds, seed):
    own |= {"201", "202"}  # of one patient
    data = Data(some_images(sorted(own)), {}, "", [Further(Path("y"), some_images(sorted(further)), {})])
    for fold in range(folds or 1):
        parts = split_images(
            data.images.names, data.images.labels, data.images.classes, "records", seed, folds, fold
        )
        first, second = choose_training(data, parts)
        trains, *others = (records_of(data.images.subset(getattr(parts, part))) for part in PARTS)
        assert records_of(first) == trains
        assert records_of(second) == trains & further
        patients = {"201" if record == "202" else record for record in records_of(second)}
        assert not patients & {"201" if record == "202" else record for part in others for record in part}


def test_ds1_and_ds2_share_a_patient_who_gives_no_further_images():
    data = Data(some_images(FIELD), {}, "", [Further(Path("y"), some_images(FIELD), {})])
    parts = split_images(data.images.names, data.images.labels, ["N", "V"], read_protocol("ds1-ds2"), 0)
    first, second = choose_training(data, parts)
    assert "201" in records_of(first)
    assert records_of(second) == records_of(first) - {"201"}


def test_a_patient_counts_anew_in_each_folder():
    folders = [some_images(["201", "202", "7"]), some_images(["202", "7"])]
    groups = patient_groups(folders, BEATS)
    records = [record for images in folders for record in record_names(images.names).tolist()]
    of_records = {(i < 12, record): groups[i] for i, record in enumerate(records)}
    assert of_records[True, "201"] == of_records[True, "202"]
    assert len(set(groups.tolist())) == 4


def test_joined_images_are_those_of_the_folders(small_images, image_maker, tmp_path):
    image_maker(tmp_path / "more", {"PVC": 5, "LBB": 7}, seed=4)
    for kept in (True, False):
        one = Images(small_images, in_memory=False)
        two = Images(tmp_path / "more", one.classes, in_memory=False)
        keep_together([one, two], kept)
        one.check()
        two = two.subset(np.arange(1, 12, 2))
        whole = join([one, two])
        assert len(whole) == 66
        assert whole.in_memory == kept
        assert whole.labels[60:].tolist() == two.labels.tolist()
        for i in (0, 59):
            assert (whole[i] == one[i]).all()
        assert (whole.gather(np.array([3, 62, 65]))[1:] == two.gather(np.array([2, 5]))).all()
        assert (whole.folder / whole.names[65]).resolve() == (two.folder / two.names[5]).resolve()
