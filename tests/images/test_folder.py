"""Image folders of any kind, in memory or not, read by threads or processes."""

import os
import shutil

from ecgbeats.command import InputError
from ecgbeats.images import folder, memory
from ecgbeats.images.folder import Images, order_classes

import cv2
import numpy as np
import pytest
from conftest import run_python

from DataGenerator import DataGenerator


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


# -- images read by processes --------------------------------------------------------------------------------


READ_ALL = """
import sys
from ecgbeats import command
from ecgbeats.images import folder, memory
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


command.run(main)
"""


def read_all(folder, how="whole"):
    return run_python("-c", READ_ALL, folder, how)


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


def test_images_are_kept_together_or_not_at_all(small_images, monkeypatch):
    size = 128 * 128
    for free, kept in [(239 * size, False), (240 * size, True)]:
        parts = [Images(small_images, in_memory=False) for _ in range(2)]
        monkeypatch.setattr(folder, "free_memory", lambda free=free: free)
        folder.keep_together(parts)
        assert [part.in_memory for part in parts] == [kept, kept]


def test_files_that_the_kernel_keeps_are_no_used_memory(tmp_path, monkeypatch):
    for name, text in {
        "memory.max": "5000",
        "memory.current": "4500",
        "memory.stat": "anon 500\nfile 4000\ninactive_file 3000\nactive_file 900\nshmem 100",
    }.items():
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(memory, "_CGROUPS", [(tmp_path, "memory.max", "memory.current")])
    assert memory.free_memory() == 5000 - 600
    (tmp_path / "memory.stat").unlink()
    assert memory.free_memory() == 500
