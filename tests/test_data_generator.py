"""DataGenerator.py: batches, crops and shifts."""

import ast
import sys
import time
from itertools import islice

from ecgbeats.images.folder import Images

import cv2
import numpy as np
import pytest
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st

from DataGenerator import CROP_OFFSETS, DataGenerator, crop, generator, shift

POSITIONS = {
    "left-top": (0, 0),
    "centre-top": (16, 0),
    "right-top": (32, 0),
    "left-centre": (0, 16),
    "centre": (16, 16),
    "right-centre": (32, 16),
    "left-bottom": (0, 32),
    "centre-bottom": (16, 32),
    "right-bottom": (32, 32),
}


@pytest.mark.parametrize(("position", "offset"), list(enumerate(POSITIONS.values())), ids=list(POSITIONS))
def test_the_nine_crops(position, offset):
    image = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    x, y = offset
    expected = cv2.resize(image[y : y + 96, x : x + 96], (128, 128), interpolation=cv2.INTER_LINEAR)
    assert (crop(image, position) == expected).all()
    assert (crop(image[..., np.newaxis], position)[..., 0] == expected).all()
    out = np.zeros((128, 128), np.uint8)
    crop(image, position, out)
    assert (out == expected).all()


@pytest.mark.parametrize("position", [-1, 9, 100])
def test_there_is_no_tenth_crop(position):
    with pytest.raises(ValueError, match="is not one of the"):
        crop(np.zeros((128, 128), np.uint8), position)


@given(value=st.integers(0, 255), position=st.integers(0, 8))
def test_a_crop_of_an_even_image_is_even(value, position):
    assert (crop(np.full((128, 128), value, np.uint8), position) == value).all()


def epoch_of(batches):
    return [batches[i] for i in range(len(batches))]


def test_batches_have_the_promised_types(small_images):
    batches = DataGenerator(small_images, batch_size=16)
    images, labels = batches[0]
    assert (images.dtype, images.shape) == (np.uint8, (16, 128, 128, 1))
    assert (labels.dtype, labels.shape) == (np.int32, (16,))
    assert len(batches) == 4
    assert len(batches[3][0]) == 60 - 3 * 16
    assert batches.classes == ["NOR", "PVC", "LBB"], "the paper's order"


def test_an_epoch_holds_each_image_once(small_images):
    labels = np.concatenate([labels for _, labels in epoch_of(DataGenerator(small_images, batch_size=7))])
    assert np.bincount(labels).tolist() == [30, 20, 10]


def test_unshuffled_batches_follow_the_names(small_images):
    batches = DataGenerator(small_images, batch_size=16, shuffle=False)
    image = cv2.imread(str(small_images / batches.images.names[17]), cv2.IMREAD_GRAYSCALE)
    assert (batches[1][0][1, ..., 0] == image).all()


@pytest.mark.parametrize("augment", [False, True])
def test_batches_follow_from_seed_and_epoch(small_images, augment):
    def batches(seed=3, epoch=2, order=range(4)):
        made = DataGenerator(small_images, batch_size=16, augment=augment, seed=seed)
        made.set_epoch(epoch)
        found = {i: made[i] for i in order}
        return [found[i] for i in range(4)]

    first = batches()
    for same in (batches(), batches(order=[3, 1, 0, 2])):
        for (a, b), (c, d) in zip(first, same, strict=True):
            assert (a == c).all()
            assert (b == d).all()
    assert not all((a == c).all() for (a, _), (c, _) in zip(first, batches(seed=4), strict=True))
    assert not all((a == c).all() for (a, _), (c, _) in zip(first, batches(epoch=3), strict=True))


def test_workers_do_not_change_what_fit_sees(small_images):
    def seen(**options):
        labels = []
        batches = DataGenerator(small_images, batch_size=16, augment=True, seed=1, **options)
        from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

        adapter = PyDatasetAdapter(batches)
        for _ in range(2):
            adapter.on_epoch_begin()
            iterator = adapter.get_numpy_iterator()
            labels += [(x.tobytes(), y.tobytes()) for x, y in islice(iterator, len(batches))]
            adapter.on_epoch_end()
        return labels

    alone = seen(workers=1)
    assert seen() == alone
    assert seen(workers=3) == alone
    assert seen(workers=2, use_multiprocessing=False, max_queue_size=1) == alone


def test_keras_reads_it_without_autotuning(small_images):
    """TensorFlow waits for that one's thread at the end of each epoch, for seconds."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    dataset = PyDatasetAdapter(DataGenerator(small_images, batch_size=16)).get_tf_dataset()
    assert dataset.options().autotune.enabled is False


def test_all_ten_views_are_equally_likely(small_images):
    batches = DataGenerator(small_images, batch_size=60, augment=True, shuffle=False)
    counts = np.zeros(10, int)
    image = batches.images[0]
    views = [crop(image, position) for position in range(9)] + [image]
    epochs = 1000
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        drawn = batches._draw(np.array([0]), np.random.default_rng([0, epoch]))[0, ..., 0]
        [matches] = np.nonzero([(drawn == view).all() for view in views])
        counts[matches] += 1
    assert counts.sum() == epochs
    # Chi-squared with 9 degrees of freedom stays below 27.9 in 999 of 1000 cases; the seed is fixed.
    assert ((counts - epochs / 10) ** 2 / (epochs / 10)).sum() < 27.9


def test_without_augmentation_images_are_whole(small_images):
    batches = DataGenerator(small_images, batch_size=60, shuffle=False)
    assert (batches[0][0][..., 0] == batches.images.gather(np.arange(60))).all()


def test_only_the_named_classes_are_cropped(small_images):
    whole = DataGenerator(small_images, batch_size=60, shuffle=False)[0]
    drawn = DataGenerator(
        small_images, batch_size=60, shuffle=False, augment=True, augment_classes=["PVC", "LBB"]
    )[0]
    same = (whole[0] == drawn[0]).all(axis=(1, 2, 3))
    assert same[whole[1] == 0].all(), "NOR stays whole"
    assert not same[whole[1] != 0].all()


@given(batch_size=st.integers(1, 70), devices=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_whole_batches_for_several_devices(small_images, batch_size, devices):
    plain = epoch_of(DataGenerator(small_images, batch_size=batch_size))
    filled = epoch_of(DataGenerator(small_images, batch_size=batch_size, devices=devices))
    sizes = {len(images) for images, _, _ in filled}
    assert len(sizes) == 1
    assert sizes.pop() % devices == 0
    for (images, labels), (more, more_labels, weights) in zip(plain, filled, strict=True):
        real = len(images)
        assert weights.dtype == np.float32
        assert weights.tolist() == [1.0] * real + [0.0] * (len(more) - real)
        assert (more[:real] == images).all()
        assert (more_labels[:real] == labels).all()


def test_the_tutorials_generator_is_endless(small_images):
    batches = list(islice(generator(small_images, batch_size=32, augment=True, seed=5), 6))
    assert [len(labels) for _, labels in batches] == [32, 28] * 3
    again = list(islice(generator(str(small_images), batch_size=32, augment=True, seed=5), 6))
    assert all((a[0] == b[0]).all() for a, b in zip(batches, again, strict=True))
    assert not (batches[0][0] == batches[2][0]).all(), "each epoch has its own order"


def test_files_may_be_given_instead_of_a_folder(small_images):
    files = sorted((small_images / "PVC").iterdir())[:4] + sorted((small_images / "NOR").iterdir())[:3]
    batches = DataGenerator(files, batch_size=10, shuffle=False)
    assert batches.classes == ["NOR", "PVC"]
    assert batches[0][1].tolist() == [0] * 3 + [1] * 4
    assert (
        DataGenerator(files, classes=["LBB", "PVC", "NOR"], shuffle=False)[0][1].tolist() == [1] * 4 + [2] * 3
    )


def test_each_image_is_read_once_when_kept(small_images, monkeypatch):
    reads = []
    original = Images._read
    monkeypatch.setattr(Images, "_read", lambda self, i: reads.append(i) or original(self, i))
    batches = DataGenerator(Images(small_images, in_memory=True), batch_size=16, augment=True)
    for _ in range(3):
        epoch_of(batches)
        batches.on_epoch_end()
    assert len(reads) == 60


def test_crops_from_memory_are_fast_enough(small_images):
    batches = DataGenerator(Images(small_images, in_memory=True), batch_size=60, augment=True)
    batches[0]
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(20):
            batches[0]
        rates.append(20 * 60 / (time.perf_counter() - started))
    assert max(rates) > 15_000


@pytest.mark.parametrize("file", ["DataGenerator.py", "model_keras.py"])
def test_only_keras_numpy_and_opencv_are_imported(file):
    imported = set()
    for node in ast.walk(ast.parse((PROJECT / file).read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    ours = {path.stem for path in PROJECT.glob("*.py")} | {"ecgbeats"}
    assert imported - ours - set(sys.stdlib_module_names) <= {"keras", "numpy", "cv2"}


def test_offsets_stand_for_the_papers_sizes():
    assert set(CROP_OFFSETS) == {(x, y) for x in (0, 16, 32) for y in (0, 16, 32)}


@given(right=st.integers(-127, 127), down=st.integers(-127, 127))
def test_a_moved_image_keeps_its_pixels_and_gets_background(right, down):
    image = np.random.default_rng(0).integers(0, 255, (128, 128), dtype=np.uint8)
    expected = np.full((3 * 128, 3 * 128), 255, np.uint8)
    expected[128 + down : 256 + down, 128 + right : 256 + right] = image
    expected = expected[128:256, 128:256]
    assert (shift(image, right, down) == expected).all()
    assert (shift(image[..., np.newaxis], right, down)[..., 0] == expected).all()
    out = np.zeros((128, 128), np.uint8)
    assert shift(image, right, down, out) is out
    assert (out == expected).all()


def test_moving_takes_any_image_but_writes_into_no_copy():
    image = np.random.default_rng(0).integers(0, 255, (128, 128), dtype=np.uint8)
    assert (shift(np.asfortranarray(image), 3, -2) == shift(image, 3, -2)).all()
    with pytest.raises(ValueError, match="copy"):
        shift(image, 3, -2, np.zeros((128, 128), np.uint8).T)


@pytest.mark.parametrize("augment", [False, True])
def test_images_move_by_up_to_shift_and_all_moves_occur(small_images, augment):
    options = {"batch_size": 60, "augment": augment, "seed": 4}
    still = DataGenerator(small_images, shuffle=False, **options)
    moving = DataGenerator(small_images, shuffle=False, shift=2, **options)
    moves = set()
    for epoch in range(12):
        for batches in (still, moving):
            batches.set_epoch(epoch)
        (before, _), (after, labels) = still[0], moving[0]
        assert after.dtype == np.uint8
        assert (labels == still[0][1]).all()
        for old, new in zip(before[..., 0], after[..., 0], strict=True):
            found = [
                (right, down)
                for right in range(-2, 3)
                for down in range(-2, 3)
                if (shift(old, right, down) == new).all()
            ]
            assert found, "moved by no more than 2 pixels, and cropped as without moving"
            moves.update(found)
    assert len(moves) == 25
    assert (moving[0][0] == moving[0][0]).all(), "the same batch again"


@pytest.mark.parametrize("pixels", [-1, 128])
def test_a_shift_out_of_the_image_is_refused(small_images, pixels):
    with pytest.raises(ValueError, match="shift"):
        DataGenerator(small_images, shift=pixels)


@pytest.mark.parametrize(
    ("balance", "expected"),
    [(0.0, [30, 20, 10]), (0.5, [25, 21, 14]), (1.0, [20, 20, 20])],  # 60 images, in shares of sqrt(30), ...
)
def test_rare_classes_are_drawn_more_often_where_that_is_asked_for(small_images, balance, expected):
    batches = DataGenerator(small_images, batch_size=7, balance=balance, seed=3)
    labels = np.concatenate([labels for _, labels in epoch_of(batches)])
    assert np.bincount(labels).tolist() == expected
    assert len(set(labels[:20])) == 3, "mixed"


def test_balance_draws_all_images_alike_over_the_epochs(small_images):
    batches = DataGenerator(small_images, batch_size=60, balance=1.0, seed=3)
    names = {image.tobytes(): name for image, name in zip(batches.images, batches.images.names, strict=False)}
    counts = dict.fromkeys(batches.images.names, 0)
    for epoch in range(60):
        batches.set_epoch(epoch)
        drawn = [names[image.tobytes()] for image in batches[0][0]]
        for name in drawn:
            counts[name] += 1
        for name in set(drawn):
            if name.startswith("LBB"):
                assert drawn.count(name) == 2, "each of the 10 twice for 20"
    normal = [count for name, count in counts.items() if name.startswith("NOR")]
    assert len(normal) == 30
    assert all(25 <= count <= 55 for count in normal), "20 of 30 in each of 60 epochs: 40 times each"


@pytest.mark.parametrize("options", [{"balance": -0.1}, {"balance": 1.1}, {"balance": 0.5, "shuffle": False}])
def test_a_balance_that_cannot_be_is_refused(small_images, options):
    with pytest.raises(ValueError, match="balance"):
        DataGenerator(small_images, **options)


def test_groups_count_alike_where_that_is_asked_for(small_images):
    """Groups 0 to 3 have 21, 16, 13 and 10 images."""
    groups = np.repeat(np.arange(4), [21, 16, 13, 10])[np.random.default_rng(0).permutation(60)]
    batches = DataGenerator(small_images, batch_size=8, groups=groups, most=3, seed=3)
    place_of = {image.tobytes(): i for i, image in enumerate(batches.images)}
    cells = groups * 3 + batches.images.labels
    expected = np.minimum(np.bincount(cells, minlength=12), 3)
    assert batches.images_of_epoch == expected.sum() < 36
    assert len(batches) == -(-expected.sum() // 8)
    counts = np.zeros(60, int)
    for epoch in range(40):
        batches.set_epoch(epoch)
        drawn = [place_of[image.tobytes()] for images, _ in epoch_of(batches) for image in images]
        assert len(set(drawn)) == len(drawn)
        assert np.bincount(cells[drawn], minlength=12).tolist() == expected.tolist()
        assert len(set(groups[drawn[:10]].tolist())) > 1, "mixed"
        counts[drawn] += 1
    sizes = np.bincount(cells, minlength=12)[cells]
    share = np.minimum(3, sizes) / sizes
    assert (np.abs(counts - 40 * share) <= 5 * np.sqrt(40 * share * (1 - share))).all(), "all alike"
    again = DataGenerator(small_images, batch_size=8, groups=groups, most=3, seed=3)
    again.set_epoch(39)
    assert (again[2][0] == batches[2][0]).all(), "in the middle of an epoch, too"


def test_a_batch_of_groups_is_filled_up_for_devices(small_images):
    batches = DataGenerator(small_images, batch_size=50, most=5, devices=2)
    images, _, weights = batches[0]
    assert (len(images), weights.sum()) == (16, 15)


@pytest.mark.parametrize("options", [{"most": 0}, {"most": 3, "balance": 0.5}, {"most": 3, "shuffle": False}])
def test_a_most_that_cannot_be_is_refused(small_images, options):
    with pytest.raises(ValueError, match="most"):
        DataGenerator(small_images, **options)
