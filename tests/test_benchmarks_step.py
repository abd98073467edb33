"""step.py, gpu.py, devices.py and run.py of the benchmarks: their arithmetic, PyTorch's network, their errors."""

import dataclasses
import importlib.util
import itertools
import json
import statistics

from ecgbeats.runs.networks import multiply_adds

import keras
import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import devices, gpu, step
from benchmarks import run as run_all
from model_keras import MODELS, build_model


def table(output: str, first: str) -> dict[str, list[str]]:
    """Return the cells of each row of the table whose header begins with ``first``, by the row's first cell."""
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first}"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows.setdefault(name, []).append(cells)
    return rows


def number(cell: str) -> float:
    return float(cell.split()[0].replace(",", ""))


# -- what the scripts say to bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("step", "--models fast slow", ["slow", "paper"]),
        ("step", "--only XLA", ["--settings"]),
        ("step", "--settings --only magic", ["magic", "oneDNN"]),
        ("devices", "", ["--data"]),
        ("devices", "--data none", ["none"]),
        ("devices", "--data none --batch-size 9 --devices 2", ["--batch-size 9"]),
        ("gpu", "--data none", ["none"]),
        ("run", "--only magic", ["magic", "step"]),
        ("run", "--records none", ["none", "WFDB"]),
        ("run", "--data none", ["none"]),
    ],
)
def test_bad_input_is_one_line(run, refused, script, arguments, words, tmp_path):
    refused(run(f"benchmarks/{script}.py", *arguments.split(), cwd=tmp_path), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["step", "devices", "gpu", "run"])
def test_help_says_how_it_is_called(run, script, tmp_path):
    result = run(f"benchmarks/{script}.py", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert f"python benchmarks/{script}.py" in result.stdout


def test_settings_are_tensorflows(run, refused):
    environment = {"KERAS_BACKEND": "jax"}
    refused(run("benchmarks/step.py", "--settings", env=environment), "KERAS_BACKEND", "jax")
    refused(run("benchmarks/devices.py", "--data", ".", env=environment), "KERAS_BACKEND", "jax")


def test_scaling_needs_a_gpu(run, refused):
    environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    refused(run("benchmarks/devices.py", "--gpus", env=environment), "no GPU", "--gpus")


def test_gpu_needs_a_gpu(run, refused, small_images, tmp_path):
    pytest.importorskip("jax")
    result = run("benchmarks/gpu.py", "--data", small_images, cwd=tmp_path, env={"JAX_PLATFORMS": "cpu"})
    refused(result, "no GPU", "--device cpu")
    assert not list(tmp_path.iterdir())


# -- PyTorch's network ---------------------------------------------------------------------------------------


def with_random_statistics(model):
    """Give batch normalization other numbers than 0 and 1, so that mixing them up shows."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def many_layers():
    """A small network of all kinds of layers and paddings that the conversion knows and ours do not all have."""
    layers = keras.layers
    images = keras.Input((20, 23, 1), dtype="uint8")
    x = layers.Rescaling(-1 / 255, offset=1)(images)
    x = layers.Conv2D(6, 5, strides=2, padding="same", activation="elu")(x)
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    # Even sizes and strides pad more on the right and below.
    x = layers.Conv2D(8, 4, strides=(1, 2), padding="same", groups=2, use_bias=False)(x)
    x = layers.BatchNormalization(scale=False, momentum=0.7, epsilon=1e-2)(x)
    x = layers.Activation("silu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    x = layers.SeparableConv2D(12, (3, 2), padding="same", depth_multiplier=2, activation="relu6")(x)
    x = layers.MaxPooling2D(2, strides=1, padding="same")(x)
    x = layers.Conv2D(12, 3, dilation_rate=2, padding="same", activation="gelu")(x)
    scale = layers.GlobalAveragePooling2D()(x)
    scale = layers.Dense(12, activation="sigmoid")(scale)
    scale = layers.Reshape((1, 1, 12))(scale)
    x = layers.Multiply()([x, scale])
    y = layers.Conv2D(12, 1, activation="hard_silu")(x)
    x = layers.Concatenate()([layers.Add()([x, y]), layers.ReLU(max_value=6)(y)])
    x = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.SpatialDropout2D(0.0)(x)
    x = layers.Reshape((-1, 5, 24))(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.0)(layers.BatchNormalization(center=False)(x))
    outputs = layers.Activation("softmax")(layers.Dense(5)(x))
    return keras.Model(images, outputs, name="many_layers")


def test_pytorchs_network_predicts_the_same():
    pytest.importorskip("torch")
    for model in (build_model("fast"), many_layers()):
        with_random_statistics(model)
        assert step.check_twin(model, step.twin(model)) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name != "fast"])
def test_pytorchs_other_networks_predict_the_same(name):
    pytest.importorskip("torch")
    model = build_model(name)
    assert step.check_twin(model, step.twin(model)) < 1e-4


def test_pytorchs_network_trains_on_the_same_statistics():
    torch = pytest.importorskip("torch")
    model = with_random_statistics(many_layers())
    network = step.twin(model).train()
    images, _ = step.constant_batch(6, (20, 23, 1))
    ours = keras.ops.convert_to_numpy(model(images, training=True))
    with torch.no_grad():
        theirs = network(torch.from_numpy(images)).numpy()
        assert torch.allclose(
            network.logits(torch.from_numpy(images)).softmax(1), torch.from_numpy(theirs), atol=1e-6
        )
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    # The first layer's: logits() has counted the batch a second time there.
    normalization = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    layer = next(one for one in model.layers if isinstance(one, keras.layers.BatchNormalization))
    model(images, training=True)
    np.testing.assert_allclose(normalization.running_mean.numpy(), layer.get_weights()[1], rtol=1e-3)


def test_another_network_is_noticed():
    torch = pytest.importorskip("torch")
    model = build_model("fast")
    network = step.twin(model)
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    with pytest.raises(ValueError, match="predictions differ"):
        step.check_twin(model, network)


@pytest.mark.parametrize("name", ["UnitNormalization", "exponential"])
def test_a_layer_without_counterpart_is_named(name):
    pytest.importorskip("torch")
    layers = keras.layers
    images = keras.Input((8, 8, 1))
    layer = getattr(layers, name)() if hasattr(layers, name) else layers.Activation(name)
    model = keras.Model(images, layers.Flatten()(layer(images)))
    with pytest.raises(ValueError, match=name):
        step.twin(model)


# -- variants ------------------------------------------------------------------------------------------------


def test_channels_first_is_the_same_network():
    model = with_random_statistics(build_model("fast"))
    first = step.rewritten(model, step.REWRITES["channels_first"])
    first.set_weights(model.get_weights())
    images, _ = step.constant_batch(3)
    assert first.input_shape[1:] == (1, 128, 128)
    np.testing.assert_allclose(
        first(images.transpose(0, 3, 1, 2)), model(images), atol=1e-5, err_msg="channels first"
    )


def test_channels_become_multiples_of_32_and_nothing_else_changes():
    images = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(24, 3, name="some")(images)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(32, 3, name="others")(x))
    model = keras.Model(images, keras.layers.Dense(8, name="logits")(x))
    model.compile("adamw", "mse")
    padded = step.rewritten(model, step.REWRITES["multiples_of_32"])
    shapes = [padded.get_layer(name).kernel.shape for name in ("some", "others", "logits")]
    assert shapes == [(3, 3, 1, 32), (3, 3, 32, 32), (32, 8)]
    assert type(padded.optimizer) is keras.optimizers.AdamW
    assert model.get_layer("some").filters == 24


# -- the measurements ----------------------------------------------------------------------------------------


def test_step_counts_operations(run, tmp_path):
    arguments = "--models fast --rounds 1 --seconds 0.1 --batch-size 4 --matrices 64 256"
    result = run("benchmarks/step.py", *arguments.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = table(result.stdout, "Network")["fast"]
    peaks = table(result.stdout, "Matrix product")
    kinds = ["TensorFlow"] + (["PyTorch", "Keras /"] if importlib.util.find_spec("torch") else [])
    assert len(rows) == len(kinds)
    count = multiply_adds(build_model("fast"))
    peak = max(number(row[0]) for found in peaks.values() for row in found)
    for kind, (products, batch, framework, *cells) in zip(kinds, rows, strict=True):
        assert framework.startswith(kind)
        if kind == "Keras /":
            assert number(cells[0]) == pytest.approx(number(rows[0][3]) / number(rows[1][3]), rel=0.05)
            continue
        assert (number(products), batch) == (round(count / 1e9, 3), "4")
        for images, operations, share, passes in ((*cells[:3], 3), (*cells[3:], 1)):
            expected = 2 * passes * count * number(images) / 1e9
            assert number(operations) == pytest.approx(expected, rel=0.05, abs=0.5)
            assert number(share) == pytest.approx(100 * expected / peak, rel=0.05, abs=1)
    if len(kinds) == 1:
        assert "PyTorch is not installed" in result.stdout


def test_a_setting_is_compared_with_its_neighbours(monkeypatch, capsys):
    """Rates that grow from process to process: only the mean of the two neighbours gives the true ratio."""
    calls = []
    rates = itertools.count(100.0, 10.0)

    def measured(script, task, environment=None):
        calls.append((task, environment))
        if "rewrite" in task:
            raise step.Failed("no such thing")
        rate = next(rates)
        changed = task.get("precision") or environment
        return {
            "framework": "TensorFlow 1",
            "batch_size": task["batch_size"],
            "training": 2 * rate if changed else rate,
            "inference": 3 * rate if changed else rate,
        }

    monkeypatch.setattr(step, "in_process", measured)
    arguments = ["--settings", "--rounds", "2", "--only", "bfloat16", "oneDNN", "channels first"]
    assert step.main(arguments) is None
    rows = table(capsys.readouterr().out, f"fast, TensorFlow 1, batch {MODELS['fast'].batch_size}")
    for name in ("bfloat16", "oneDNN off"):
        assert [number(cell) for cell in rows[name][0][1:]] == [2, 3]
    assert "no such thing" in rows["channels first"][0][1]
    assert sum("rewrite" in task for task, _ in calls) == 1, "what fails once is not tried again"
    assert {"TF_ENABLE_ONEDNN_OPTS": "0"} in [environment for _, environment in calls]


def test_settings_reach_the_network(monkeypatch):
    seen = []

    def look(model, batch, seconds, steps_per_execution=1):
        kernels = [w.shape for w in model.trainable_weights if len(w.shape) == 4]
        seen.append(
            {
                "batch_size": len(batch[0]),
                "steps_per_execution": (model.steps_per_execution, steps_per_execution),
                "jit_compile": model.jit_compile,
                "precision": model.get_layer("logits").compute_dtype,
                "rewrite": (batch[0].shape[1:], all(shape[-1] % 16 == 0 for shape in kernels)),
            }
        )
        return 1.0

    monkeypatch.setattr(step, "training_seconds", look)
    monkeypatch.setattr(step, "step_seconds", lambda *_: 1.0)
    expected = {
        "batch_size": {16, 32, 64, 256},
        "steps_per_execution": {(8, 8)},
        "jit_compile": {True},
        "precision": {"bfloat16"},
        "rewrite": {((1, 128, 128), False), ((128, 128, 1), True)},
    }
    # A network that has other numbers of channels than multiples of 16.
    network = dataclasses.replace(MODELS["fast"], build=_with_24_channels)
    monkeypatch.setitem(MODELS, "fast", network)
    try:
        step.measure_keras("fast", 128, 1)
        defaults = seen.pop()
        assert defaults == {
            "batch_size": 128,
            "steps_per_execution": (1, 1),
            "jit_compile": False,
            "precision": "float32",
            "rewrite": ((128, 128, 1), False),
        }
        for key, values in expected.items():
            for setting in step.settings(2):
                if key in setting.task:
                    step.measure_keras(**{"name": "fast", "batch_size": 128, "seconds": 1} | setting.task)
            assert {one[key] for one in seen} == values
            others = defaults.keys() - {key}
            assert all(one[other] == defaults[other] for one in seen for other in others)
            seen.clear()
    finally:
        keras.config.set_dtype_policy("float32")


def _with_24_channels(x):
    x = keras.layers.Conv2D(24, 3, strides=4, padding="same")(x)
    return keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(32, 3)(x))


def test_a_failed_process_is_told_in_one_line():
    script = str(PROJECT / "benchmarks" / "step.py")
    with pytest.raises(step.Failed, match=r"^KeyError: 'nothing'$"):
        step.in_process(script, {"do": "nothing"})


@pytest.mark.parametrize(
    ("name", "float32", "bfloat16"),
    [
        ("NVIDIA H100 80GB HBM3", 494.5, 989.5),
        ("NVIDIA H100 PCIe", 378, 756.5),
        ("NVIDIA H200", 494.5, 989.5),
        ("NVIDIA A100-SXM4-40GB", 156, 312),
        ("Tesla T4", 8.1, None),
        ("NVIDIA GeForce RTX 3090", None, None),
    ],
)
def test_the_vendors_figures_by_name(name, float32, bfloat16):
    rates = gpu.nominal(name)
    assert (rates.get("float32"), rates.get("bfloat16")) == (float32, bfloat16)


def test_time_to_a_score_is_that_of_the_first_epoch_that_has_it():
    rows = [
        {"epoch": e, "seconds": s, "val_accuracy": a} for e, s, a in ((1, 9, 0.9), (2, 5, 0.991), (3, 5, 1))
    ]
    assert gpu.time_to(rows, 0.9905) == (14, 2)
    assert gpu.time_to(rows[:1], 0.9905) is None


@pytest.mark.slow
def test_gpu_measures_on_a_cpu(run, small_images, tmp_path):
    pytest.importorskip("jax")
    arguments = "--device cpu --models fast --batch-size 8 --epochs 1 --seconds 0.2 --matrices 64 128"
    result = run("benchmarks/gpu.py", "--data", small_images, *arguments.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "output" / "gpu.json").read_text())
    count = multiply_adds(build_model("fast", 3))
    assert [rates["precision"] for rates in found["rates"]] == ["float32", "mixed_bfloat16"]
    for rates, run_found in zip(found["rates"], found["runs"], strict=True):
        assert rates["multiply_adds"] == count
        assert rates["flops"] == pytest.approx(6 * count * rates["constant"])
        assert min(rates["generator"], rates["augmented"], rates["peak"]) > 0
        assert run_found["epochs"] == 1
        assert 0 < run_found["test_accuracy"] <= 1
        assert run_found["images"] == {"training": 48, "validation": 6, "test": 6}
    rows = table(result.stdout, f"{found['device']['name']}, JAX")["fast"]
    assert [number(row[2]) for row in rows] == [round(r["constant"]) for r in found["rates"]]
    assert set(table(result.stdout, "Matrix product")) == {"float32", "bfloat16"}


def test_weak_and_strong_scaling():
    options = devices.read_options(["--gpus", "--batch-size", "100"])
    rates = [
        {"steps": 10.0, "batch_size": 100, "precision": "float32"},
        {"steps": 9.0, "batch_size": 200, "precision": "float32"},
    ]
    rows = table("\n".join(devices.scaling_rows("weak", rates, options, "a card")), "paper, float32")
    assert rows["2"] == [["200", "9.0", "1,800", "1.80", "90 %"]]


@pytest.mark.slow
def test_scaling_is_measured_on_the_devices_asked_for():
    """In a process of its own: two logical CPU devices stand for two GPUs."""
    task = {"do": "rate", "model": "fast", "devices": 2, "batch_size": 4, "seconds": 0.1}
    rate = step.in_process(str(PROJECT / "benchmarks" / "devices.py"), task)
    assert rate["steps"] > 0
    assert rate["precision"] == "float32"


# -- all of them ---------------------------------------------------------------------------------------------


def test_all_scripts_of_the_list_are_there():
    for one in run_all.BENCHMARKS:
        assert (PROJECT / "benchmarks" / one.file).is_file(), one.name


def test_a_failing_benchmark_is_reported_and_the_others_go_on(monkeypatch, small_images, tmp_path, capsys):
    scripts = {
        "good": "import sys; print('busy'); print('| a |\\n| --- |\\n| ' + sys.argv[1] + ' |\\n\\nsaid after')",
        "bad": "import sys; print('| half |'); print('error: it broke', file=sys.stderr); sys.exit(3)",
        "empty": "print('no figures')",
        "last": "print('| b |\\n| --- |\\n| 2 |')",
    }
    for name, code in scripts.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setattr(run_all, "FOLDER", tmp_path)
    monkeypatch.setattr(run_all, "gpu_names", list)
    monkeypatch.setattr(
        run_all,
        "BENCHMARKS",
        [
            run_all.Benchmark("good", "DATA", "DATA"),
            run_all.Benchmark("bad", "", ""),
            run_all.Benchmark("empty", "", ""),
            run_all.Benchmark("cards", "", "", script="last.py", gpu=True),
            run_all.Benchmark("last", "", ""),
        ],
    )
    output = tmp_path / "new" / "all.md"
    assert run_all.main(["--data", str(small_images), "--output", str(output)]) == 1
    text = output.read_text()
    printed = capsys.readouterr()
    assert printed.out.strip() == text.strip()
    assert f"| {small_images} |\n\nsaid after" in text
    assert "busy" not in text
    assert "**Failed** (status 3): it broke" in text
    assert "| half |" not in text
    assert "printed no table" in text
    assert "no GPU" in text
    assert "| 2 |" in text
    assert "python benchmarks/good.py DATA`" in text
    assert "2 of 5 benchmarks failed: bad, empty" in printed.err
    for name in ("Date", "Processor", "Memory", "Versions"):
        assert f"| {name} |" in text
    assert keras.__version__ in text


def test_what_cannot_be_written_or_started_is_told_first(run, refused, small_images, tmp_path):
    data = ["--data", small_images]
    refused(run("benchmarks/run.py", *data, "--output", tmp_path), str(tmp_path), "folder")
    refused(run("benchmarks/gpu.py", *data, "--output", tmp_path), str(tmp_path), "folder")
    refused(run("benchmarks/run.py", *data, "--jax-python", tmp_path / "python"), "--jax-python")


def test_a_stopped_benchmark_ends_its_own_processes(monkeypatch, tmp_path):
    """A script gets SIGTERM, and time to remove its files."""
    (tmp_path / "long.py").write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "file = pathlib.Path(__file__).with_name('scratch')\n"
        "file.touch()\n"
        "try:\n    print('started', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
        "finally:\n    time.sleep(0.2)\n    file.unlink()\n"
    )
    monkeypatch.setattr(run_all, "FOLDER", tmp_path)

    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_all, "print", interrupt, raising=False)  # at the script's first line
    options = run_all.read_options(["--data", "x"])
    with pytest.raises(KeyboardInterrupt):
        run_all.run_benchmark(run_all.Benchmark("long", "", ""), options, {"OUTPUT": "x"}, [])
    assert [file.name for file in tmp_path.iterdir()] == ["long.py"]


def test_ratios_have_their_range():
    assert step.spread([3.0]) == "3.00"
    assert step.spread([1.0, 30.0, 2000.0]) == "30.0 (1.00 to 2,000)"
    assert statistics.median([1.0, 30.0, 2000.0]) == 30
