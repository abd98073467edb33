"""Training, validation and test never share a beat; where it is promised, no patient either."""

from ecgbeats.command import InputError
from ecgbeats.images.names import image_name, record_names
from ecgbeats.images.protocols import DS1, DS2, PARTS, SAME_PATIENT
from ecgbeats.images.splits import split_images
from ecgbeats.records.symbols import CLASSES, symbol_classes
from ecgbeats.records.wfdb_files import find_records, read_annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def parts_of(split):
    return [getattr(split, part) for part in PARTS]


def assert_whole(split, count):
    """Assert that every image is in exactly one part."""
    everything = np.concatenate(parts_of(split))
    assert np.sort(everything).tolist() == list(range(count))


def names_for(records, labels):
    return [
        f"C{label}/{record}_{i}.png" for i, (record, label) in enumerate(zip(records, labels, strict=True))
    ]


@pytest.fixture(scope="module")
def real(mitdb):
    """Names and labels of all real beats of the AAMI and paper classes, without drawing them."""
    found = {}
    for scheme in CLASSES:
        classes = list(CLASSES[scheme])
        class_of = symbol_classes(scheme)
        names, labels = [], []
        for record in find_records(mitdb):
            beats = read_annotations(mitdb / record)
            for sample, symbol in zip(beats.samples, beats.symbols, strict=True):
                if symbol in class_of:
                    names.append(f"{class_of[symbol]}/{image_name(record, sample)}")
                    labels.append(classes.index(class_of[symbol]))
        found[scheme] = (names, np.array(labels), classes)
    return found


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=8),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=60)
def test_beats_gives_every_class_a_place_in_each_part(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    split = split_images([f"x{i}" for i in labels], labels, [f"C{i}" for i in range(len(counts))], seed=seed)
    assert_whole(split, len(labels))
    for part in parts_of(split):
        assert set(labels[part]) == set(range(len(counts)))


def test_beats_is_80_10_10_of_each_class(real):
    names, labels, classes = real["paper"]
    split = split_images(names, labels, classes)
    assert_whole(split, 107_668)
    for part, share in zip(parts_of(split), (0.8, 0.1, 0.1), strict=True):
        counts = np.bincount(labels[part], minlength=8)
        assert np.abs(counts - share * np.bincount(labels)).max() <= 2


@given(counts=st.lists(st.integers(12, 60), min_size=2, max_size=5), folds=st.integers(2, 10))
@settings(deadline=None, max_examples=30)
def test_each_beat_is_tested_in_one_fold(counts, folds):
    labels = np.repeat(np.arange(len(counts)), counts)
    names, classes = [f"x{i}" for i in labels], [f"C{i}" for i in range(len(counts))]
    tested = []
    for fold in range(folds):
        split = split_images(names, labels, classes, folds=folds, fold=fold)
        assert_whole(split, len(labels))
        assert len(split.validation)
        tested.append(split.test)
    assert np.sort(np.concatenate(tested)).tolist() == list(range(len(labels)))


def test_seeds_give_other_splits_and_the_same_seed_the_same(real):
    names, labels, classes = real["paper"]
    for method in ("beats", "records"):
        first, same, other = (split_images(names, labels, classes, method, seed) for seed in (0, 0, 1))
        assert all((a == b).all() for a, b in zip(parts_of(first), parts_of(same), strict=True))
        assert set(first.test) != set(other.test)


def patients(names, part):
    return {SAME_PATIENT.get(r, r) for r in record_names([names[i] for i in part])}


@pytest.mark.parametrize("seed", range(3))
def test_records_keeps_real_patients_apart(real, seed):
    names, labels, classes = real["paper"]
    split = split_images(names, labels, classes, "records", seed)
    assert_whole(split, len(labels))
    groups = [patients(names, part) for part in parts_of(split)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert sum(map(len, groups)) == 47, "201 and 202 are one patient"
    for part in parts_of(split)[1:]:
        assert 0.05 < len(part) / len(labels) < 0.25
        present = np.bincount(labels[part], minlength=8) > 0
        # VFW comes from one patient and VEB from two; the others can be in every part.
        assert present[:6].all()


def test_record_folds_keep_patients_apart_and_test_each_beat_once(real):
    names, labels, classes = real["paper"]
    tested = []
    for fold in range(5):
        split = split_images(names, labels, classes, "records", 0, 5, fold)
        groups = [patients(names, part) for part in parts_of(split)]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
        tested.append(split.test)
    assert np.sort(np.concatenate(tested)).tolist() == list(range(len(labels)))


@given(
    owners=st.lists(st.integers(0, 7), min_size=30, max_size=120),
    seed=st.integers(0, 3),
)
@settings(deadline=None, max_examples=30)
def test_no_made_up_patient_is_ever_parted(owners, seed):
    records = [f"p{owner}" for owner in owners]
    labels = np.arange(len(owners)) % 3
    names = names_for(records, labels)
    if len(set(records)) < 3:
        with pytest.raises(InputError, match="at least 3 patients"):
            split_images(names, labels, ["A", "B", "C"], "records", seed)
        return
    split = split_images(names, labels, ["A", "B", "C"], "records", seed)
    assert_whole(split, len(labels))
    groups = [patients(names, part) for part in parts_of(split)]
    assert all(groups)
    assert sum(map(len, groups)) == len(set(records))


def test_ds1_ds2_is_the_fields_list(real):
    names, labels, classes = real["aami"]
    split = split_images(names, labels, classes, "ds1-ds2")
    found = [set(record_names([names[i] for i in part])) for part in parts_of(split)]
    assert found[0] | found[1] == set(DS1)
    assert not found[0] & found[1]
    assert found[2] == set(DS2)
    # WHITE.md counts these.
    first = np.concatenate([split.training, split.validation])
    assert np.bincount(labels[first]).tolist() == [45866, 944, 3788, 415, 8]
    assert np.bincount(labels[split.test]).tolist() == [44259, 1837, 3221, 388, 7]
    assert len(DS1) == len(DS2) == 22
    assert not set(DS1 + DS2) & {"102", "104", "107", "217"}


def test_what_cannot_be_split_is_refused():
    labels = np.repeat([0, 1], 20)
    classes = ["N", "V"]
    nameless = [f"N/image{i}.png" for i in range(40)]
    named = names_for([f"{100 + i % 10}" for i in range(40)], labels)
    for method in ("records", "ds1-ds2"):
        with pytest.raises(InputError, match=f"--split {method} needs to know each image's record"):
            split_images(nameless, labels, classes, method)
    with pytest.raises(InputError, match="one class only"):
        split_images(nameless, np.zeros(40, int), ["N"])
    with pytest.raises(InputError, match="AAMI"):
        split_images(named, labels, ["NOR", "PVC"], "ds1-ds2")
    with pytest.raises(InputError, match="--fold 5 is out of range"):
        split_images(nameless, labels, classes, folds=5, fold=5)
    with pytest.raises(InputError, match="leave --folds out"):
        split_images(named, labels, classes, "ds1-ds2", folds=5)
    with pytest.raises(InputError, match="class V has 2 image"):
        split_images(nameless[:22], labels[:22], classes)
    with pytest.raises(InputError, match="more than the 10 patients"):
        split_images(named, labels, classes, "records", folds=11)
