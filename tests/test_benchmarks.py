"""The benchmarks run and print their tables; how fast anything is, they show on a quiet machine alone."""

import importlib.util
import re
import sys
import time

from ecgbeats.images.folder import Images

import cv2
import numpy as np
import pytest
from conftest import PROJECT

sys.path.append(str(PROJECT / "benchmarks"))

SCRIPTS = ["batches.py", "loop.py", "startup.py"]


def rows_of(output: str) -> dict[str, list[float]]:
    """Return the numbers of each row of the tables that a script printed, by the row's name."""
    rows = {}
    for line in output.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            numbers = [re.sub(r"[,%]", "", cell) for cell in cells if cell]
            if all(re.fullmatch(r"-?[\d.]+", number) for number in numbers):
                rows[name] = [float(number) for number in numbers]
    return rows


@pytest.mark.parametrize("script", SCRIPTS)
def test_bad_input_is_one_line_and_help_says_what_is_measured(run, refused, script, tmp_path):
    refused(run(f"benchmarks/{script}", "--data", tmp_path / "none", cwd=tmp_path), "none")
    shown = run(f"benchmarks/{script}", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert f"python benchmarks/{script} --data DIR" in shown.stdout


@pytest.fixture(scope="module")
def batches_output(run, small_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    arguments = "--images 40 --rounds 1 --seconds 0.01 --sizes 10 30".split()
    result = run("benchmarks/batches.py", "--data", small_images, *arguments, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert not list(folder.iterdir())
    return result.stdout


def test_batches_compares_all_ways(batches_output):
    rows = rows_of(batches_output)
    import batches

    for name in (
        batches.OURS,
        batches.FED,
        "DataGenerator by itself",
        "one Python generator, cv2",
        "tf.data",
    ):
        files, files_ratio, memory, memory_ratio = rows[name]
        assert min(files, files_ratio, memory, memory_ratio) > 0
    assert "40 images, images/s" in batches_output
    assert rows[batches.OURS][1::2] == [1, 1]
    assert rows.keys() >= {"10 images", "30 images", "60 images"}
    for size in (10, 30, 60):
        rate, microseconds = rows[f"{size} images"]
        assert rate * microseconds == pytest.approx(1e6, rel=0.02)


def test_batches_compares_with_pytorch_or_says_that_it_is_missing(batches_output):
    found = [name for name in rows_of(batches_output) if name.startswith("PyTorch DataLoader")]
    if importlib.util.find_spec("torch"):
        assert len(found) == 1
        return
    assert not found
    assert "PyTorch is not installed" in batches_output
    pytest.skip("PyTorch is not installed, so its row is left out")


def test_the_peers_do_the_same_work(small_images):
    import batches

    import DataGenerator

    assert batches.CROP_OFFSETS == DataGenerator.CROP_OFFSETS
    assert batches.CROP_SIZE == DataGenerator.CROP_SIZE
    image = cv2.imread(str(next((small_images / "PVC").iterdir())), cv2.IMREAD_GRAYSCALE)
    views = [image, *(DataGenerator.crop(image, position) for position in range(9))]
    drawn = [batches.draw(image) for _ in range(300)]
    seen = {next(n for n, view in enumerate(views) if (one == view).all()) for one in drawn}
    assert seen == set(range(10))


@pytest.mark.parametrize("source", [0, 1], ids=["files", "memory"])
def test_each_way_gives_every_image_once(small_images, source):
    """All but PyTorch's, which starts processes from this one."""
    import batches

    for way, *arguments in (
        (batches.checked, False),
        (batches.data_generator, False),
        (batches.data_generator, True),
        (batches.python_generator,),
        (batches.tf_data,),
    ):
        epoch = way(small_images, *arguments)[source]
        for _ in range(2):
            found = [(np.asarray(images), np.asarray(labels)) for images, labels in epoch()]
            assert np.bincount(np.concatenate([labels for _, labels in found])).sum() == 60, way
            assert {images.shape[1:] for images, _ in found} == {(128, 128, 1)}, way
            bright = np.concatenate([images for images, _ in found])
            assert 150 < bright.mean() < 250, "pixels of 0 to 255"


@pytest.mark.parametrize("source", [0, 1], ids=["files", "memory"])
def test_what_is_fed_to_fit_is_every_image_once(small_images, source):
    import batches

    epoch = batches.checked(small_images, True)[source]
    for _ in range(2):
        [(_, counted)] = epoch()
        assert len(counted) == 60


def test_imports_do_not_count_as_reading():
    import batches

    class Epoch:
        untimed = 0.0

        def __iter__(self):
            self.untimed = 0.2
            time.sleep(0.3)
            yield None, range(100)

    assert 500 < batches.measure(Epoch, 0) < 1010


def test_images_are_drawn_evenly_over_the_classes(small_images, tmp_path):
    import batches

    assert batches.link_evenly(Images(small_images), 30, tmp_path) == 30
    assert np.bincount(Images(tmp_path).labels).tolist() == [15, 10, 5]


def test_images_of_other_sizes_are_refused(run, refused, image_maker, tmp_path):
    image_maker(tmp_path / "data", {"NOR": 3, "PVC": 3})
    cv2.imwrite(str(tmp_path / "data" / "PVC" / "big.png"), np.zeros((200, 200), np.uint8))
    refused(run("benchmarks/batches.py", "--data", tmp_path / "data"), "big.png", "128x128")


def test_ratios_are_taken_within_a_round(capsys):
    """The machine was half as fast in the second round, and a third as fast in the third."""
    import batches
    import loop

    speeds = (6, 3, 2)
    rates = {batches.OURS: [(20 * s, 400 * s) for s in speeds]}
    rates[batches.FED] = [(10 * s, 300 * s) for s in speeds]
    rates["DataGenerator by itself"] = [(30 * s, 400 * s) for s in speeds]
    rates["tf.data"] = [(5 * s, 100 * s) for s in speeds]
    rates["one Python generator, cv2"] = [(8 * s, 200 * s) for s in speeds]
    batches.print_comparison(rates, 2, 1000)
    output = capsys.readouterr().out
    assert "| tf.data | 15 (10 to 30) | 4.00 | 300 (200 to 600) | 4.00 |" in output
    assert f"| {batches.FED} | 30 (20 to 60) | 2.00 | 900 (600 to 1,800) | 1.33 |" in output
    assert "2.50 times the fastest peer, one Python generator" in output
    assert "through train_keras.feed 1.25 times" in output
    assert "4.00 times tf.data" in output
    assert "through train_keras.feed 3.00 times" in output
    assert "1,200 images/s" in output
    assert "it may be the fastest peer" in output

    row = {"model": "fast", "batch_size": 8, "steps": 5}
    loop.print_shares([row | {"rates": [[100 * s, 98 * s, 95 * s] for s in speeds]}])
    assert (
        "| fast, batches of 8, 5 steps x 3 | 300.0 | 294.0 | 98.0% (98.0% to 98.0%) | 285.0 | 95.0% (95.0% to 95.0%) |"
        in capsys.readouterr().out
    )


def test_growth_is_that_of_the_second_half(capsys):
    import loop

    resident = [10_000_000, 60_000_000, 61_000_000, 62_000_000, 62_500_000, 63_000_000]
    loop.print_memory(50_000_000, resident, 70_000_000, 100)
    rows = rows_of(capsys.readouterr().out)
    assert rows["growth in the last 3 epochs (target: none)"] == [2]
    assert rows["of that, for 1,000 steps"] == [6.7]
    assert [rows[f"after epoch {epoch} of 100 steps"] for epoch in (1, 2, 3, 6)] == [[10], [60], [61], [63]]
    assert rows["peak beside the images (target: below 1,500)"] == [20]


def test_a_turn_is_timed_without_the_batches_made_before_it():
    """Of 10 steps the first 2 and the last 3 are left out; each takes 0.05 s."""
    import loop

    class Feed:
        def cardinality(self):
            return 10

    class Model:
        def fit(self, _feed, callbacks, **_options):
            [clock] = callbacks
            for batch in range(10):
                time.sleep(0.05)
                clock.on_train_batch_end(batch)
            clock.on_epoch_end(0)

    assert loop.fit_epochs(Model(), Feed(), ahead=3) == [pytest.approx(5 * 0.05, rel=0.2)]


@pytest.mark.slow
def test_loop_prints_shares_and_memory(run, small_images, tmp_path):
    arguments = "--model fast --batch-size 8 --steps 2 --rounds 2 --epoch-steps 4".split()
    result = run("benchmarks/loop.py", "--data", small_images, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = rows_of(re.sub(r" \(.*?% to .*?%\)", "", result.stdout))
    ceiling, plain, plain_share, crops, crops_share = rows["fast, batches of 8, 2 steps x 2"]
    assert min(ceiling, plain, crops) > 0
    # The medians of rates and of ratios differ a little.
    assert plain_share == pytest.approx(100 * plain / ceiling, rel=0.5)
    assert crops_share == pytest.approx(100 * crops / ceiling, rel=0.5)
    assert rows["all images"] == [1.0]  # 60 x 16 KB
    assert rows["peak of the process"][0] > rows["after epoch 2 of 4 steps"][0] > 100
    grown = rows["after epoch 20 of 4 steps"][0] - rows["after epoch 10 of 4 steps"][0]
    assert rows["growth in the last 10 epochs (target: none)"][0] == pytest.approx(grown, abs=0.2)


def test_loop_names_a_network_that_is_none(run, refused, small_images):
    refused(run("benchmarks/loop.py", "--data", small_images, "--model", "fast", "slow"), "slow", "paper")


@pytest.mark.slow
def test_startup_tells_where_the_time_goes(run, small_images, tmp_path):
    import startup

    arguments = "--rounds 1 --batch-size 16".split()
    result = run("benchmarks/startup.py", "--data", small_images, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = rows_of(result.stdout)
    help_seconds = rows["`python train_keras.py --help` (target: below 0.5)"][0]
    assert help_seconds > rows["of that, Python itself"][0] > 0
    packages = [row[0] for name, row in rows.items() if name.startswith("of that, `import")]
    assert 0 < sum(packages) < 3 * help_seconds, "the two are measured one after the other"
    whole = rows["from `python train_keras.py` to the first batch trained"][0]
    assert whole == pytest.approx(sum(rows[name][0] for name in startup.PARTS[:-1]), abs=0.05)
    assert rows[startup.PARTS[-1]][0] < rows[startup.PARTS[-2]][0], "the first batch is traced"
    before = rows["run.sh, before train_keras.py"][0]
    assert rows["from `bash run.sh` to the first batch trained"][0] == pytest.approx(whole + before, abs=0.02)


@pytest.mark.slow
def test_startup_needs_two_batches(run, refused, small_images):
    refused(run("benchmarks/startup.py", "--data", small_images, "--rounds", 1), "two batches")


# -- records to images -----------------------------------------------------------------------------------------


def test_records_to_images_compares_and_tells_where_the_time_goes(mitdb, run, tmp_path):
    for name in ("100", "207"):
        for file in mitdb.glob(f"{name}.*"):
            (tmp_path / file.name).symlink_to(file)
    result = run("benchmarks/records_to_images.py", tmp_path, "--seconds", 0.5, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = rows_of(result.stdout)
    ours, peer, ratio = (
        next(cells[0] for name, cells in rows.items() if name.startswith(start))
        for start in ("make_dataset.py", "matplotlib", "ratio")
    )
    assert ratio == pytest.approx(ours / peer, rel=0.05)
    assert ratio > 5
    stages = [rows[name] for name in ("reading the records", "drawing", "encoding", "writing the files")]
    assert min(microseconds for microseconds, _ in stages) > 0
    rest = rows["choice of beats, preview, waiting"]
    assert sum(share for _, share in [*stages, rest]) == pytest.approx(100, abs=3)


def test_records_to_images_needs_records(run, refused, tmp_path):
    refused(run("benchmarks/records_to_images.py", tmp_path / "none"), "none", "records")
