"""Batches, crops, and image folders of any kind."""

import ast
import os
import shutil
import subprocess
import sys
import time
import zlib
from itertools import islice

from ecgbeats.command import InputError
from ecgbeats.images import folder
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.folder import Images, order_classes
from ecgbeats.images.image_files import _decode_plain, decode, encode
from ecgbeats.records.record import Record

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


def test_a_strangers_folder(tmp_path):
    for name, shape in {"dog": (200, 300, 3), "cat": (64, 64), "ant": (128, 128, 4)}.items():
        (tmp_path / name).mkdir()
        image = np.full(shape, 90, np.uint8)
        if shape[2:] == (4,):
            image[..., 3] = 255  # opaque
        cv2.imwrite(str(tmp_path / name / "a.png"), image)
    cv2.imwrite(str(tmp_path / "dog" / "b.jpg"), np.full((128, 128, 3), 90, np.uint8))
    (tmp_path / "dog" / ".hidden").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    images = Images(tmp_path)
    assert images.classes == ["ant", "cat", "dog"]
    assert images.names == ["ant/a.png", "cat/a.png", "dog/a.png", "dog/b.jpg"]
    assert np.abs(images.gather(np.arange(4)).astype(int) - 90).max() <= 1


def test_a_file_name_may_be_of_any_bytes(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        image = cv2.imencode(".png", np.full((128, 128), 90, np.uint8))[1].tobytes()
        with open(os.fsencode(tmp_path / name) + b"/\xff\xfe.png", "wb") as file:
            file.write(image)
    assert len(Images(tmp_path).check()) == 64


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["VEB", "APC", "NOR"], ["NOR", "APC", "VEB"]),
        (["V", "N", "Q"], ["N", "V", "Q"]),
        (["V", "NOR"], ["NOR", "V"]),
        (["b", "a"], ["a", "b"]),
    ],
)
def test_class_order(names, expected):
    assert order_classes(names) == expected


def test_any_damage_to_our_own_images_is_found(capfd):
    image = np.full((128, 128), 255, np.uint8)
    image[60:64, 10:90] = 0
    content = encode(image)
    for i in range(len(content)):
        for broken in (content[:i], content[:i] + bytes([content[i] ^ 16]) + content[i + 1 :]):
            with pytest.raises(InputError, match=r"a\.png"):
                decode(broken, "a.png")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_our_images_are_decoded_as_opencv_does(drawing):
    signal = np.random.default_rng(1).normal(size=9000).cumsum().astype(np.float32)
    samples = np.arange(200, 8900, 300)
    record = Record("x", "MLII", 360.0, signal, samples, np.full(len(samples), "N"))
    draw = DRAWINGS[drawing](record)
    for beat in range(len(samples)):
        content = encode(draw(beat))
        plain = _decode_plain(content)
        np.testing.assert_array_equal(plain, cv2.imdecode(np.frombuffer(content, np.uint8), 0))
        assert plain.flags["WRITEABLE"]
        assert plain.flags["C_CONTIGUOUS"]


NOISE = np.random.default_rng(3).integers(0, 256, (128, 128), dtype=np.uint8)


@pytest.mark.parametrize("image", [np.zeros((128, 128)), np.full((128, 128), 255), NOISE, NOISE.T])
def test_any_image_is_the_same_after_encoding(image):
    image = image.astype(np.uint8)
    content = encode(image)
    for found in (decode(content, "a.png"), cv2.imdecode(np.frombuffer(content, np.uint8), -1)):
        np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("image", [np.zeros((128, 127), np.uint8), np.zeros((128, 128), np.float32)])
def test_no_other_image_is_encoded(image):
    with pytest.raises(ValueError, match="128"):
        encode(image)


def png_of(image: np.ndarray, *settings, change=None) -> bytes:
    """Return a PNG, its image data changed by a function of the bytes before they are compressed."""
    content = cv2.imencode(".png", image, settings)[1].tobytes()
    if change is None:
        return content
    place = content.index(b"IDAT")
    length = int.from_bytes(content[place - 4 : place])
    data = b"IDAT" + zlib.compress(change(zlib.decompress(content[place + 4 : place + 4 + length])))
    chunk = (len(data) - 4).to_bytes(4) + data + zlib.crc32(data).to_bytes(4)
    return content[: place - 4] + chunk + content[place + 8 + length :]


LINE = np.where(np.abs(np.subtract.outer(np.arange(128), np.arange(128))) < 3, 0, 255).astype(np.uint8)
OTHER_PNGS = {
    "filtered": png_of(LINE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
    "many chunks": png_of(NOISE),
    "other size": png_of(LINE[:100]),
    "larger": png_of(np.tile(LINE, (2, 2))),
    "one bit": png_of(LINE, cv2.IMWRITE_PNG_BILEVEL, 1),
    "16 bits": png_of(LINE.astype(np.uint16) * 257),
    "colour": png_of(np.dstack([LINE, LINE.T, LINE])),
}


@pytest.mark.parametrize("name", OTHER_PNGS)
def test_other_pngs_are_left_to_opencv(name):
    content = OTHER_PNGS[name]
    assert _decode_plain(content) is None
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    found = decode(content, "a.png")
    assert found.shape == (128, 128)
    if expected.shape == found.shape:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "change",
    [lambda rows: rows[:-1], lambda rows: rows + b"\0", lambda rows: b"\7" + rows[1:]],
    ids=["too short", "too long", "no such filter"],
)
def test_wrong_image_data_in_a_whole_png_is_left_to_opencv(change):
    plain = cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE
    assert _decode_plain(png_of(LINE, *plain, change=bytes)) is not None
    assert _decode_plain(png_of(LINE, *plain, change=change)) is None


def broken_files():
    image = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    png = cv2.imencode(".png", image)[1].tobytes()
    jpg = cv2.imencode(".jpg", image)[1].tobytes()
    return {
        "empty.png": b"",
        "text.png": b"this is no image",
        "cut.png": png[: len(png) // 2],
        "no_end.png": png[:-12],
        "flipped.png": png[:400] + bytes([png[400] ^ 1]) + png[401:],
        "cut.jpg": jpg[: len(jpg) // 2],
        "header_only.png": png[:8],
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_image_is_named_and_nothing_else_is_printed(small_images, tmp_path, name, capfd):
    (tmp_path / "NOR").symlink_to(small_images / "NOR")
    (tmp_path / "PVC").mkdir()
    (tmp_path / "PVC" / name).write_bytes(broken_files()[name])
    with pytest.raises(InputError, match=name):
        Images(tmp_path).check()
    with pytest.raises(InputError, match=name):
        DataGenerator(tmp_path, batch_size=100)[0]
    assert capfd.readouterr().err == ""


def test_memory_or_not_gives_the_same_images(small_images):
    kept, read = Images(small_images, in_memory=True), Images(small_images, in_memory=False)
    assert kept.check() == read.check()
    order = np.random.default_rng(0).permutation(60)
    assert (kept.gather(order) == read.gather(order)).all()
    assert (kept.subset(order)[3] == read[order[3]]).all()


def test_each_image_is_read_once_when_kept(small_images, monkeypatch):
    reads = []
    original = Images._read
    monkeypatch.setattr(Images, "_read", lambda self, i: reads.append(i) or original(self, i))
    batches = DataGenerator(Images(small_images, in_memory=True), batch_size=16, augment=True)
    for _ in range(3):
        epoch_of(batches)
        batches.on_epoch_end()
    assert len(reads) == 60


def test_images_are_not_kept_when_memory_is_short(small_images, monkeypatch):
    monkeypatch.setattr(folder, "free_memory", lambda: 60 * 128 * 128)
    assert not Images(small_images).in_memory
    monkeypatch.setattr(folder, "free_memory", lambda: 2 * 60 * 128 * 128)
    assert Images(small_images).in_memory


def test_the_checksum_tells_data_apart(small_images, image_maker, tmp_path):
    same = image_maker(tmp_path / "same", {"NOR": 30, "PVC": 20, "LBB": 10})
    other = image_maker(tmp_path / "other", {"NOR": 30, "PVC": 20, "LBB": 10}, seed=1)
    checksum = Images(small_images).check()
    assert Images(same).check() == checksum
    assert Images(other).check() != checksum


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


# -- images read by processes ----------------------------------------------------------------------------------

READ_ALL = """
import sys
from ecgbeats.images import folder
from ecgbeats.images.folder import Images

folder._MANY_IMAGES, folder._CHUNK = 20, 7
if sys.argv[2] == "killed":
    import os, signal
    folder.decode = lambda *_: os.kill(os.getpid(), signal.SIGKILL)


def main(_):
    images = Images(sys.argv[1])
    part = images.subset([5, 40, 3, *range(10, 33)])
    for some in (part, images):
        checksum = some.check(3)
    assert images._shared, "no processes"
    assert "tensorflow" not in sys.modules
    print(checksum, images.gather(range(len(images)))[::3].sum(), part[0].sum(), part.gather([1, 2]).sum())


command = folder.command
command.run(main)
"""


def read_all(folder, how="whole"):
    return subprocess.run(
        [sys.executable, "-c", READ_ALL, str(folder), how],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_processes_read_the_same_as_threads(small_images):
    result = read_all(small_images)
    assert result.returncode == 0, result.stderr
    images = Images(small_images)
    part = images.subset(np.array([5, 40, 3]))
    assert images._shared is None
    sums = images.gather(np.arange(60))[::3].sum(), part[0].sum(), part.gather(np.array([1, 2])).sum()
    assert result.stdout.split() == [images.check(), *map(str, sums)]


def test_a_broken_image_is_named_by_processes_too(small_images, tmp_path, refused):
    shutil.copytree(small_images, tmp_path / "data")
    path = sorted((tmp_path / "data" / "PVC").iterdir())[3]
    path.write_bytes(path.read_bytes()[:-30])
    refused(read_all(tmp_path / "data"), str(path), "cut short")


def test_a_killed_process_is_told(small_images, refused):
    refused(read_all(small_images, "killed"), str(small_images), "memory")
