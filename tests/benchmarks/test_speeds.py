"""The scripts of the benchmarks run on tiny sizes and print their tables; how fast anything is, they show elsewhere."""

import importlib
import importlib.util
import re
import time

from ecgbeats import command
from ecgbeats.images.folder import Images
from ecgbeats.runs.networks import multiply_adds

import cv2
import keras
import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import batch_ways, batches, devices, harness, loop, step
from model_keras import build_model

SCRIPTS = sorted(path.stem for path in (PROJECT / "benchmarks").glob("*.py"))
SCRIPTS = [name for name in SCRIPTS if name not in ("harness", "batch_ways", "torch_peer", "__init__")]


def rows_of(output: str) -> dict[str, list[str]]:
    """Return the cells of each row of the tables that a script printed, by the first cell."""
    lines = [line for line in output.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def number(cell: str) -> float:
    """Return a cell's first figure."""
    return float(re.sub(r"[,%]", "", cell.split()[0]))


@pytest.fixture
def table_of(run, tmp_path):
    """Run a script with options in one string and after it, and return its rows; it writes nothing where it is started."""

    def run_script(name: str, options: str, *more, **how) -> dict[str, list[str]]:
        result = run(f"benchmarks/{name}.py", *options.split(), *more, cwd=tmp_path, **how)
        assert result.returncode == 0, result.stderr
        assert not list(tmp_path.iterdir())
        return rows_of(result.stdout)

    return run_script


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_says_what_is_asked_and_how_it_is_called(name, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    with pytest.raises(SystemExit, match="0"):
        module.main(["--help"])
    shown = capsys.readouterr().out
    assert f"python benchmarks/{name}.py" in shown
    assert "?" in shown.partition("python")[0] or name == "run"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("records_to_images", "none", ["none", "records"]),
        ("batches", "--data none", ["none"]),
        ("loop", "--data none", ["none"]),
        ("startup", "--data none", ["none"]),
        ("step", "--models fast slow", ["slow", "paper"]),
        ("devices", "", ["--data"]),
        ("devices", "--data none", ["none"]),
        ("devices", "--data none --batch-size 9 --devices 2", ["--batch-size 9"]),
        ("gpu", "--data none", ["none"]),
    ],
)
def test_bad_input_is_one_line(run, refused, name, options, words, tmp_path):
    refused(run(f"benchmarks/{name}.py", *options.split(), cwd=tmp_path), *words)
    assert not list(tmp_path.iterdir())


def test_the_pages_commands_take_these_options(monkeypatch):
    """Those of benchmarks/README.md, and one for each question."""
    text = (PROJECT / "benchmarks" / "README.md").read_text()
    lines = re.findall(r"python benchmarks/(\w+)\.py([^`#\n]*)", text)
    assert len(lines) > 2
    assert set(re.findall(r"\(`(\w+)\.py`\)\n", text)) == set(SCRIPTS) - {
        "run",
        "seeds",
        "within_ds1",
        "paired",
    }

    class Parsed(Exception):
        pass

    parse = command.Parser.parse_known_args

    def parse_and_stop(parser, *given):
        assert not parse(parser, *given)[1]
        raise Parsed

    monkeypatch.setattr(command.Parser, "parse_known_args", parse_and_stop)
    for name, options in lines:
        with pytest.raises(Parsed):
            importlib.import_module(f"benchmarks.{name}").main(options.split())


# -- records to images ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_records_to_images_compares_and_tells_where_the_time_goes(mitdb, table_of, tmp_path_factory):
    records = tmp_path_factory.mktemp("records")
    for name in ("100", "207"):
        for file in mitdb.glob(f"{name}.*"):
            (records / file.name).symlink_to(file)
    rows = table_of("records_to_images", "--seconds 0.4 --limit 200", records)
    ours, peer, ratio = (
        next(number(cells[0]) for name, cells in rows.items() if name.startswith(start))
        for start in ("make_dataset.py", "matplotlib", "ratio")
    )
    assert ratio == pytest.approx(ours / peer, rel=0.05)
    *stages, rest = (rows[name] for name in list(rows)[-5:])
    assert [*rows][-5:-1] == ["reading the records", "drawing", "encoding", "writing the files"]
    assert min(number(microseconds) for microseconds, _ in stages) > 0
    assert sum(number(share) for _, share in [*stages, rest]) == pytest.approx(100, abs=3)


# -- batches -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_batches_compares_all_ways(run, small_images, tmp_path):
    arguments = ["--data", small_images, *"--images 40 --rounds 1 --seconds 0.01".split()]
    result = run("benchmarks/batches.py", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "40 images, images/s" in result.stdout
    rows = rows_of(result.stdout)
    ways = [*batch_ways.ways(2)]
    assert [*rows][1:] == ways
    assert min(number(cell) for name in ways for cell in rows[name]) > 0
    assert (rows[ways[0]][1], rows[ways[1]][2]) == ("1.00", "1.00")
    has_torch = importlib.util.find_spec("torch") is not None
    assert any(name.startswith("PyTorch") for name in ways) == has_torch
    assert ("PyTorch, which may be faster, is not installed" in result.stdout) != has_torch


def test_the_peers_do_the_same_work(small_images):
    import DataGenerator

    assert batch_ways.CROP_OFFSETS == DataGenerator.CROP_OFFSETS
    assert batch_ways.CROP_SIZE == DataGenerator.CROP_SIZE
    image = cv2.imread(str(next((small_images / "PVC").iterdir())), cv2.IMREAD_GRAYSCALE)
    views = [image, *(DataGenerator.crop(image, position) for position in range(9))]
    drawn = [batch_ways.draw(image) for _ in range(300)]
    seen = {next(n for n, view in enumerate(views) if (one == view).all()) for one in drawn}
    assert seen == set(range(10))


@pytest.mark.parametrize("source", [0, 1], ids=batches.SOURCES)
def test_each_way_gives_every_image_once(small_images, source):
    """All but PyTorch's, which starts processes from this one."""
    for way, *arguments in list(batch_ways.ways(2).values())[:4]:
        epoch = way(small_images, *arguments)[source]
        for _ in range(2):
            found = [batch for batch in epoch() if batch is not batch_ways.PAUSE]
            assert sum(len(labels) for _, labels in found) == 60, way
            if found[0][0] is not None:  # fit's, which are counted where they are
                images, labels = (np.concatenate([np.asarray(batch[i]) for batch in found]) for i in range(2))
                assert np.bincount(labels).tolist() in ([30, 20, 10], [10, 30, 20]), (
                    "classes in our order, or by name"
                )
                assert images.shape == (60, 128, 128, 1)
                assert 150 < images.mean() < 250, "pixels of 0 to 255"


def test_only_what_is_read_is_timed():
    def epoch():
        time.sleep(0.1)
        yield None, range(50)
        yield batch_ways.PAUSE
        time.sleep(0.3)
        yield batch_ways.PAUSE
        time.sleep(0.1)
        yield None, range(50)
        time.sleep(0.3)  # the end of an epoch

    assert 100 / 0.25 < batches.measure(epoch, 0) <= 100 / 0.2


def test_images_are_drawn_evenly_over_the_classes(small_images, tmp_path):
    assert batches.link_evenly(Images(small_images), 30, tmp_path) == 30
    assert np.bincount(Images(tmp_path).labels).tolist() == [15, 10, 5]


def test_images_of_other_sizes_are_refused(run, refused, image_maker, tmp_path):
    image_maker(tmp_path / "data", {"NOR": 3, "PVC": 3})
    cv2.imwrite(str(tmp_path / "data" / "PVC" / "big.png"), np.zeros((200, 200), np.uint8))
    refused(run("benchmarks/batches.py", "--data", tmp_path / "data"), "big.png", "128x128")


def test_batches_are_compared_within_a_round():
    speeds = (6, 3, 2)
    rates = {(batch_ways.OURS, 0): 20, (batch_ways.FED, 0): 10, ("tf.data", 0): 5}
    rates |= {(batch_ways.OURS, 1): 400, (batch_ways.FED, 1): 300, ("tf.data", 1): 100}
    rows = batches.comparison({key: [rate * speed for speed in speeds] for key, rate in rates.items()})
    assert rows[2] == ["tf.data", "15.0 (10.0 to 30.0)", "4.00", "2.00", "300 (200 to 600)", "4.00", "3.00"]


# -- loop ----------------------------------------------------------------------------------------------------


def test_a_turn_is_timed_without_the_batches_made_before_it(monkeypatch):
    """Of 10 steps the first 2 and the last 3 are left out."""
    monkeypatch.setattr(
        step, "batch_ends", lambda model, batches, waits: [[100, 50, 51, 52, 53, 54, 57, 99, 99, 99]]
    )
    assert loop.epoch_seconds(None, range(10), 3) == 57 - 50


def test_shares_are_of_the_ceiling_in_the_same_round():
    rates = {
        kind: [one * speed for speed in (6, 3, 2)]
        for kind, one in zip(loop.FEEDS, (100, 98, 95), strict=True)
    }
    assert loop.share_cells(rates) == [
        "300",
        "294",
        "98.0% (98.0% to 98.0%)",
        "285",
        "95.0% (95.0% to 95.0%)",
    ]


def test_growth_is_that_of_the_second_half():
    resident = [10_000_000, 60_000_000, 61_000_000, 62_000_000, 62_500_000, 63_000_000]
    rows = dict(loop.memory_rows(50_000_000, resident, 70_000_000, 100))
    assert rows["growth in the last 3 epochs (target: none)"] == "2.0"
    assert rows["of that, for 1,000 steps"] == "6.7"
    assert [rows[f"after epoch {epoch} of 100 steps"] for epoch in (1, 2, 3, 6)] == [
        "10.0",
        "60.0",
        "61.0",
        "63.0",
    ]
    assert rows["peak beside the images (target: below 1,500)"] == "20.0"


@pytest.mark.slow
def test_loop_prints_shares_and_memory(table_of, small_images):
    options = "--model fast --batch-size 8 --steps 2 --rounds 2 --epoch-steps 4 --data"
    rows = table_of("loop", options, small_images)
    cells = [number(cell) for cell in rows["fast, batches of 8, 2 steps x 2"]]
    assert min(cells) > 0
    # The medians of rates and of ratios differ a little.
    assert cells[2] == pytest.approx(100 * cells[1] / cells[0], rel=0.5)
    assert cells[4] == pytest.approx(100 * cells[3] / cells[0], rel=0.5)
    assert rows["all images"] == ["1.0"], "60 x 16 KB"
    after = [number(rows[f"after epoch {epoch} of 4 steps"][0]) for epoch in (2, 10, 20)]
    assert number(rows["peak of the process"][0]) > after[0] > 100
    grown = number(rows["growth in the last 10 epochs (target: none)"][0])
    assert grown == pytest.approx(after[2] - after[1], abs=0.2)


# -- step ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_step_counts_operations(table_of):
    options = "--models fast --rounds 1 --seconds 0.1 --batch-size 4 --matrices 64 256"
    # One row, since all begin with "fast": without PyTorch's.
    [cells] = [cells for name, cells in table_of("step", options).items() if name == "fast"]
    if not importlib.util.find_spec("torch"):
        framework, batch, peak, *cells = cells
        assert framework.startswith("TensorFlow 2")
        assert batch == "4"
        count = multiply_adds(build_model("fast"))
        for rate, operations, share, passes in ((*cells[:3], 3), (*cells[3:], 1)):
            expected = 2 * passes * count * number(rate) / 1e9
            assert number(operations) == pytest.approx(expected, rel=0.05)
            assert number(share) == pytest.approx(100 * expected / number(peak), rel=0.05, abs=1)


def test_shares_are_of_the_faster_frameworks_peak_and_ratios_within_a_round():
    about = {"batch_size": 8, "multiply_adds": 1e9}

    def rounds(name, training, inference, peak):
        one = {"framework": name, "training": training, "inference": inference, "peak": peak}
        return [about | one, about | {key: one[key] * 2 if key != "framework" else name for key in one}]

    rows = step.network_rows(
        {
            ("fast", "keras"): rounds("TensorFlow 2", 10, 40, 100e9),
            ("fast", "torch"): rounds("PyTorch 2", 5, 20, 200e9),
            ("fast", "bfloat16"): rounds("TensorFlow 2, bfloat16", 15, 20, 400e9),
        }
    )
    assert rows[0][:6] == ["fast", "TensorFlow 2", 8, "300 (200 to 400)", "15.0 (10.0 to 20.0)", "90.0"]
    assert [row[6] for row in rows[:3]] == ["30 %", "15 %", "22 %"]
    assert [row[9] for row in rows[:3]] == ["40 %", "20 %", "10 %"]
    assert [row[1] for row in rows[3:]] == ["Keras / PyTorch", "bfloat16 / float32"]
    assert [row[4] for row in rows[3:]] == ["2.00 (2.00 to 2.00)", "1.50 (1.50 to 1.50)"]
    assert [row[7] for row in rows[3:]] == ["2.00 (2.00 to 2.00)", "0.50 (0.50 to 0.50)"]


def test_the_peak_is_the_best_product(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(step.time, "perf_counter", lambda: now[0])
    seconds = {10: 0.4, 20: 0.8}

    def multiply(a, b):
        now[0] += seconds[a]

    assert step.peak_rate(multiply, lambda size: size, [10, 20]) == pytest.approx(2 * 20**3 / 0.8)


def test_a_step_is_timed_between_the_ends_of_batches():
    images = keras.Input((128, 128, 1))
    model = keras.Model(
        images, keras.layers.Dense(step.CLASSES)(keras.layers.GlobalAveragePooling2D()(images))
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = step.constant_batches(step.constant_batch(2), 4)
    ends = step.batch_ends(model, batches, epochs=2)
    assert [len(epoch) for epoch in ends] == [4, 4]
    assert ends[0] == sorted(ends[0])
    assert 0 < step.training_seconds(model, step.constant_batch(2), 0.05) < 1


# -- PyTorch's network ---------------------------------------------------------------------------------------


def with_random_statistics(model):
    """Give batch normalization other numbers than 0 and 1, so that mixing them up shows."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


@pytest.fixture
def peer():
    pytest.importorskip("torch")
    return importlib.import_module("benchmarks.torch_peer")


@pytest.mark.parametrize("name", [pytest.param("paper", marks=pytest.mark.slow), "fast"])
def test_pytorchs_network_predicts_the_same(peer, name):
    model = with_random_statistics(build_model(name))
    assert peer.check_twin(model, peer.twin(model)) < 1e-4
    assert name in step.TORCH_MODELS


def test_another_network_is_noticed(peer):
    import torch

    model = build_model("fast")
    network = peer.twin(model)
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    with pytest.raises(ValueError, match="predictions differ"):
        peer.check_twin(model, network)
    with pytest.raises(ValueError, match="ZeroPadding2D"):
        peer.twin(build_model("resnet50"))


def test_pytorchs_network_trains_on_the_same_statistics(peer):
    import torch

    model = with_random_statistics(build_model("fast"))
    layer = next(one for one in model.layers if isinstance(one, keras.layers.BatchNormalization))
    network = peer.twin(model).train()
    normalization = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    images = step.constant_batch(6)[0]
    model(images, training=True)
    network(torch.from_numpy(images))
    np.testing.assert_allclose(normalization.running_mean.numpy(), layer.moving_mean, rtol=1e-3)


# -- the other scripts ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_use_prints_size_and_speed(table_of):
    rows = table_of("use", "--seconds 0.05", PROJECT / "pretrained" / "fast.keras")
    assert rows["parameters"] == ["322,376"]
    assert rows["multiply-adds"] == ["22,856,960"]
    assert number(rows["beats/s, batches of 128"][0]) > 100
    assert number(rows["one beat, predict"][0]) > number(rows["one beat, predict_on_batch"][0]) > 0


@pytest.mark.slow
def test_startup_tells_where_the_time_goes(table_of, run, refused, small_images):
    from benchmarks import startup

    rows = table_of("startup", "--rounds 1 --batch-size 16 --data", small_images)
    seconds = {name: number(cells[0]) for name, cells in rows.items() if name != "seconds"}
    assert seconds["`python train_keras.py --help` (target: below 0.5)"] > seconds["of that, Python itself"]
    whole = next(value for name, value in seconds.items() if name.startswith("to the first batch trained"))
    assert whole == pytest.approx(sum(seconds[name] for name in startup.PARTS[:-1]), abs=0.06)
    assert seconds[startup.PARTS[-1]] < seconds[startup.PARTS[-2]], "the first batch is traced"
    few = ["--data", small_images, "--rounds", 1, "--epochs", 1]
    refused(run("benchmarks/startup.py", *few), "two batches")


@pytest.mark.slow
def test_time_to_score_prints_both_times(table_of, small_images):
    rows = table_of("time_to_score", "--seconds 1 --batch-size 8 --epochs 3", small_images, timeout=600)
    assert number(rows["`paper`, 2,000 images"][0]) > 0
    [name] = [name for name in rows if name.startswith("`fast`")]
    assert number(rows[name][0]) > 0
    assert ("never above" in name) != ("ratio" in rows)


def test_losses_of_several_devices_are_compared_with_those_of_one():
    found = {
        ("float32", 1, False): [1.0, 2.0],
        ("float32", 2, True): [1.0, 2.25],
        ("float32", 2, False): [5.0, float("nan")],
    }
    rows = devices.loss_rows(found)
    assert rows[0] == [1, "the batch", "float32", "0", "0", "1.0000", "2.0000"]
    assert rows[1] == [2, "the batch, synchronized", "float32", "0.25", "0.12", "1.0000", "2.2500"]
    assert rows[2][1:5] == ["each device's part", "float32", "nan", "nan"]


def test_each_precision_is_compared_by_itself(monkeypatch, small_images, capsys):
    def in_process(function, count, synchronized, precision, **task):
        assert (function, task["data"], task["steps"]) == (devices.measure_losses, small_images, 3)
        return [
            {"float64": 1.0, "float32": 2.0}[precision] + (count > 1) * (0.5 if synchronized else 0.75)
        ] * 2

    monkeypatch.setattr(harness, "in_process", in_process)
    devices.main(["--data", str(small_images), "--devices", "2", "--steps", "3"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "1", "2", "2"] * 2
    assert [row[2] for row in rows] == ["float64"] * 4 + ["float32"] * 4
    assert [row[3] for row in rows] == ["0", "0", "0.5", "0.75"] * 2


def test_weak_and_strong_scaling(monkeypatch, capsys):
    def in_process(function, model=None, gpus=0, size=0, seconds=0):
        return ["a card", "a card"] if function is devices.list_gpus else {1: 10.0, 2: 9.0}[gpus]

    monkeypatch.setattr(harness, "in_process", in_process)
    devices.main(["--gpus", "--batch-size", "99"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| GPUs: paper, a card | Batch |")
    assert lines[3] == "| 2 | for each GPU | 198 | 9.00 | 1,782 | 1.80 |"
    assert lines[5] == "| 2 | for all GPUs | 100 | 9.00 | 900 | 0.91 |"


@pytest.mark.slow
def test_scaling_needs_gpus_and_trains_on_the_devices_asked_for(run, refused):
    refused(run("benchmarks/devices.py", "--gpus", env={"CUDA_VISIBLE_DEVICES": "-1"}), "no GPU", "--gpus")
    # Two logical CPU devices stand for two GPUs.
    assert harness.in_process(devices.measure_rate, "fast", 2, 4, 0.1) > 0


def test_several_devices_are_tensorflows(run, refused):
    refused(run("benchmarks/devices.py", "--data", ".", env={"KERAS_BACKEND": "jax"}), "KERAS_BACKEND", "jax")


@pytest.mark.slow
def test_gpu_needs_a_gpu_and_measures_on_a_cpu(table_of, run, refused, small_images, tmp_path_factory):
    pytest.importorskip("jax")
    options = "--models fast --batch-size 8 --rounds 1 --seconds 0.2 --matrices 64 128 --data"
    arguments = [*options.split(), small_images]
    refused(run("benchmarks/gpu.py", *arguments, env={"JAX_PLATFORMS": "cpu"}), "no GPU", "--device cpu")
    result = run("benchmarks/gpu.py", *arguments, "--device", "cpu", timeout=600)
    assert result.returncode == 0, result.stderr
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if line.startswith("| fast")]
    assert [row[1] for row in rows] == ["float32", "mixed_bfloat16"]
    count = multiply_adds(build_model("fast", step.CLASSES))
    for row in rows:
        rate, flops, peak, share, *fit = (number(cell) for cell in row[3:])
        assert flops * 1e12 == pytest.approx(6 * count * rate, rel=0.02)
        assert share == pytest.approx(100 * flops / peak, abs=1)
        assert min(fit) > 0
