"""A training step and inference of each network: images/s, and what part of the processor's speed that is.

    python benchmarks/step.py [--models NAME ...]
    python benchmarks/step.py --settings

Without --settings: each network in Keras, compiled as train_keras.py compiles it, and the same layers with the
same weights in PyTorch (channels last, eager, fused optimizer), in processes of their own that take turns.
Trained is on one constant batch, so reading images plays no part; a step is forward, backward and update, and
counts as three forward passes. The peak is the best rate of large matrix products in the same framework and
process; the shares are of the faster framework's. Figures are medians over the rounds, the range in brackets; a
round's figure is the median of its steps.

With --settings: what each setting that a user can keep does to the network `fast`, in a fresh process each,
with a process at the defaults before and after it. The ratio is to the mean of these two.

PyTorch comes from benchmarks/requirements.txt; where it is missing its rows are left out.
"""

import argparse
import copy
import functools
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.runs.networks import multiply_adds

import numpy as np

from model_keras import MODELS

CLASSES = 8
# Steps that are not timed: the first compiles, the second may still allocate.
WARM_UP = 2
# How far the predictions of PyTorch's network may be from those of Keras.
TOLERANCE = 1e-4
# Forward passes that a training step counts as: the backward one computes two products for each of the forward.
PASSES = 3
MATRIX_SIZES = (512, 1024, 2048, 4096)


class Failed(Exception):
    """A measurement's process ended with an error; the text is what it said last."""


def main(arguments: list[str]) -> int | None:
    """Measure, and print the tables."""
    if arguments[:1] == ["--child"]:
        return answer(arguments[1], {"keras": measure_keras, "torch": measure_torch})
    options = read_options(arguments)
    try:
        if options.settings:
            print_settings(options)
        else:
            print_networks(options)
    except Failed as problem:
        command.fail(problem)
        return 1
    return None


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="step.py", description=__doc__)
    number = command.whole_number(1)
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help=f"of {', '.join(MODELS)} (default fast and paper; with --settings, fast)",
    )
    parser.add_argument("--settings", action="store_true", help="measure settings, not networks")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="with --settings: those whose names begin so (default all)"
    )
    parser.add_argument("--batch-size", type=number, metavar="N", help="images a step (default by network)")
    parser.add_argument("--rounds", type=number, default=3, metavar="N", help="default 3")
    parser.add_argument(
        "--seconds",
        type=command.positive_number,
        default=10,
        metavar="X",
        help="of training, and of inference, in each process; three steps at least (default 10)",
    )
    parser.add_argument(
        "--matrices",
        nargs="+",
        type=number,
        default=MATRIX_SIZES,
        metavar="N",
        help=f"sizes of the products that find the peak (default {' '.join(map(str, MATRIX_SIZES))})",
    )
    options = parser.parse_args(arguments)
    options.models = options.models or (["fast"] if options.settings else ["fast", "paper"])
    for name in options.models:
        if name not in MODELS:
            parser.error(f"--models {name}: no such network; choose from {', '.join(MODELS)}")
    names = [setting.name for setting in settings(1)]
    for start in options.only or []:
        if not options.settings:
            parser.error("--only needs --settings")
        if not any(name.startswith(start) for name in names):
            parser.error(f"--only {start}: no such setting; choose from {', '.join(names)}")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if options.settings and backend != "tensorflow":
        parser.error(f"--settings are TensorFlow's: unset KERAS_BACKEND, now {backend}")
    return options


# -- one process for each measurement ------------------------------------------------------------------------


def in_process(script: str, task: dict, environment: dict | None = None) -> dict:
    """Run ``script --child TASK`` in a process of its own, and return the dict that it answers.

    Parameters
    ----------
    script : str
        A file whose ``main`` hands ``--child`` to :func:`answer`.
    task : dict
        What to do, for JSON.
    environment : dict, optional
        Variables to set beside those of this process; a value of None takes one away.

    Raises
    ------
    InputError
        If the process ends with status 2, as it does for what the user can mend.
    Failed
        If it ends with any other but 0.
    """
    variables = {**os.environ, **(environment or {})}
    result = subprocess.run(
        [sys.executable, script, "--child", json.dumps(task)],
        env={name: value for name, value in variables.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return json.loads(result.stdout.splitlines()[-1])
    if result.returncode < 0:
        raise Failed(f"a measurement was ended by signal {-result.returncode}; too little memory?")
    lines = result.stderr.strip().splitlines() or [f"a measurement ended with status {result.returncode}"]
    raise (InputError if result.returncode == 2 else Failed)(lines[-1].removeprefix("error: "))


def answer(task: str, functions: dict[str, Callable]) -> int:
    """Do the task of :func:`in_process`, and print what its function returns as the last line, in JSON."""
    wanted = json.loads(task)
    try:
        result = functions[wanted.pop("do")](**wanted)
    except InputError:
        raise
    except Exception as problem:  # whatever the framework raises goes to the caller in one line
        traceback.print_exc()
        command.fail(f"{type(problem).__name__}: {problem}")
        return 1
    print(json.dumps(result))
    return 0


# -- networks ------------------------------------------------------------------------------------------------


def print_networks(options: argparse.Namespace) -> None:
    """Measure each network in both frameworks, and print two tables: rates, and peaks."""
    has_torch = importlib.util.find_spec("torch") is not None
    kinds = ["keras", "torch"] if has_torch else ["keras"]
    found = {}
    for _ in range(options.rounds):
        for name in options.models:
            for kind in kinds:
                task = {
                    "do": kind,
                    "name": name,
                    "batch_size": options.batch_size or MODELS[name].batch_size,
                    "seconds": options.seconds,
                    "matrices": list(options.matrices),
                }
                # Keras builds the layers that PyTorch's network is made from; with TensorFlow it would
                # bring a second set of threads into PyTorch's process.
                rates = in_process(__file__, task, {"KERAS_BACKEND": "torch"} if kind == "torch" else None)
                print(f"{name}, {rates['framework']}: {rates['training']:,.1f} images/s", file=sys.stderr)
                found.setdefault((name, kind), []).append(rates)
    print("\n".join(network_rows(options.models, kinds, found)))
    print()
    print("\n".join(peak_rows(kinds, found)))
    if not has_torch:
        print("\nPyTorch is not installed, so it has no rows: pip install -r benchmarks/requirements.txt")


def network_rows(names: list[str], kinds: list[str], found: dict) -> list[str]:
    """Return the lines of the table of networks.

    ``found`` has a list of dicts, one for each round, for each pair of network and framework.
    """
    lines = [
        "| Network | Multiply-adds | Batch | Framework | Training, images/s | GFLOP/s | Of the peak "
        "| Inference, images/s | GFLOP/s | Of the peak |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        # The machine's peak in a round is the faster of the frameworks'.
        peaks = [
            max(one["peak"]["float32"] for one in ones)
            for ones in zip(*(found[name, kind] for kind in kinds), strict=True)
        ]
        for kind in kinds:
            rounds = found[name, kind]
            products = rounds[0]["multiply_adds"]
            cells = [
                name,
                f"{products / 1e9:.3f} G",
                str(rounds[0]["batch_size"]),
                rounds[0]["framework"],
            ]
            for what, passes in (("training", PASSES), ("inference", 1)):
                flops = [2 * passes * products * one[what] for one in rounds]
                shares = [rate / peak for rate, peak in zip(flops, peaks, strict=True)]
                cells += [
                    spread([one[what] for one in rounds]),
                    f"{statistics.median(flops) / 1e9:,.0f}",
                    f"{100 * statistics.median(shares):.0f} %",
                ]
            lines.append(f"| {' | '.join(cells)} |")
        if len(kinds) > 1:
            ratios = [
                spread(
                    [
                        ours[what] / theirs[what]
                        for ours, theirs in zip(found[name, "keras"], found[name, "torch"], strict=True)
                    ]
                )
                for what in ("training", "inference")
            ]
            lines.append(f"| {name} | | | Keras / PyTorch | {ratios[0]} | | | {ratios[1]} | | |")
    return lines


def peak_rows(kinds: list[str], found: dict) -> list[str]:
    """Return the lines of the table of peaks: the best over all rounds and networks."""
    lines = ["| Matrix product | float32, GFLOP/s | bfloat16, GFLOP/s |", "| --- | ---: | ---: |"]
    for kind in kinds:
        of_kind = [one for (_, k), rounds in found.items() if k == kind for one in rounds]
        best = {dtype: max(one["peak"][dtype] for one in of_kind) / 1e9 for dtype in ("float32", "bfloat16")}
        lines.append(f"| {of_kind[0]['framework']} | {best['float32']:,.0f} | {best['bfloat16']:,.0f} |")
    return lines


def spread(values: list[float]) -> str:
    """Return the median of some figures, and their range where they are several."""

    def text(value: float) -> str:
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

    middle = text(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({text(min(values))} to {text(max(values))})"


# -- settings ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """Something that a user can set, and how.

    Attributes
    ----------
    name, how : str
        As the table has them.
    task : dict
        Arguments of :func:`measure_keras` that differ from the defaults.
    environment : dict
        Variables that do.
    """

    name: str
    how: str
    task: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)


def settings(cores: int) -> list[Setting]:
    """Return what is tried on a machine of so many cores."""
    by_variable = "before the command"
    intra, inter = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
    return [
        *(
            Setting(f"batch of {size}", f"`--batch-size {size}`", {"batch_size": size})
            for size in (16, 32, 64, 256)
        ),
        Setting(
            "oneDNN off",
            f"`TF_ENABLE_ONEDNN_OPTS=0` {by_variable}",
            environment={"TF_ENABLE_ONEDNN_OPTS": "0"},
        ),
        Setting("one thread within an operation", f"`{intra}=1` {by_variable}", environment={intra: "1"}),
        Setting(
            "two threads a core within an operation",
            f"`{intra}={2 * cores}` {by_variable}",
            environment={intra: str(2 * cores)},
        ),
        Setting("one operation at a time", f"`{inter}=1` {by_variable}", environment={inter: "1"}),
        # Buffers of tens of MB come from mmap, zeroed page by page, and go back after each step.
        Setting(
            "freed memory kept",
            f"`MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296` {by_variable}",
            environment={"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**32)},
        ),
        Setting(
            "huge pages",
            f"`GLIBC_TUNABLES=glibc.malloc.hugetlb=1` {by_variable}",
            environment={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
        ),
        Setting("8 steps an execution", "`compile(steps_per_execution=8)`", {"steps_per_execution": 8}),
        Setting("XLA", "`compile(jit_compile=True)`", {"jit_compile": True}),
        Setting("bfloat16", "`--precision mixed_bfloat16`", {"precision": "mixed_bfloat16"}),
        Setting("channels first", "`image_data_format`", {"rewrite": "channels_first"}),
        Setting("channels a multiple of 32", "`filters` of the layers", {"rewrite": "multiples_of_32"}),
    ]


def print_settings(options: argparse.Namespace) -> None:
    """Measure every setting between two runs of the defaults, and print one table for each network."""
    for name in options.models:
        defaults = {
            "do": "keras",
            "name": name,
            "batch_size": options.batch_size or MODELS[name].batch_size,
            "seconds": options.seconds,
        }
        tried = settings(command.available_cores())
        if options.only:
            tried = [setting for setting in tried if setting.name.startswith(tuple(options.only))]
        ratios = {setting.name: {"training": [], "inference": []} for setting in tried}
        reasons, before = {}, in_process(__file__, defaults)
        at_defaults = [before]
        for _ in range(options.rounds):
            for setting in tried:
                if setting.name in reasons:
                    continue
                try:
                    changed = in_process(__file__, defaults | setting.task, setting.environment)
                except Failed as problem:
                    reasons[setting.name] = str(problem)
                    continue
                after = in_process(__file__, defaults)
                for what, values in ratios[setting.name].items():
                    values.append(changed[what] / ((before[what] + after[what]) / 2))
                before = after
                at_defaults.append(after)
                print(f"{name}, {setting.name}: {ratios[setting.name]['training'][-1]:.2f}", file=sys.stderr)
        print("\n".join(setting_rows(name, tried, ratios, reasons, at_defaults)) + "\n")


def setting_rows(
    name: str, tried: list[Setting], ratios: dict, reasons: dict, at_defaults: list
) -> list[str]:
    """Return the lines of the table of settings."""
    rates = [spread([one[what] for one in at_defaults]) for what in ("training", "inference")]
    lines = [
        f"| {name}, {at_defaults[0]['framework']}, batch {at_defaults[0]['batch_size']} | How "
        "| Training, ratio to the defaults | Inference, ratio |",
        "| --- | --- | ---: | ---: |",
        f"| the defaults, images/s | | {rates[0]} | {rates[1]} |",
    ]
    for setting in tried:
        if setting.name in reasons:
            reason = " ".join(reasons[setting.name].split()).replace("|", "/")
            lines.append(f"| {setting.name} | {setting.how} | not measured: {reason[:160]} | |")
        else:
            cells = [spread(ratios[setting.name][what]) for what in ("training", "inference")]
            lines.append(f"| {setting.name} | {setting.how} | {cells[0]} | {cells[1]} |")
    return lines


# -- Keras ---------------------------------------------------------------------------------------------------


def measure_keras(
    name: str,
    batch_size: int,
    seconds: float,
    precision: str = "float32",
    matrices: list[int] | None = None,
    steps_per_execution: int = 1,
    jit_compile: bool | None = None,
    rewrite: str | None = None,
) -> dict:
    """Train and predict with a network, compiled as train_keras.py does, on one constant batch.

    Parameters
    ----------
    name : str
        Of ``model_keras.MODELS``.
    batch_size : int
    seconds : float
        How long to train, and to predict; three steps at least.
    precision : str
        Keras' dtype policy.
    matrices : list of int, optional
        Sizes of the matrix products that find the peak; none are computed without.
    steps_per_execution : int
    jit_compile : bool, optional
        Instead of what train_keras.py chooses.
    rewrite : str, optional
        A key of ``REWRITES``: train this variant of the network.

    Returns
    -------
    dict
        ``framework``, ``batch_size``, ``multiply_adds`` of one image's forward pass, ``training`` and
        ``inference`` in images/s, ``peak`` in FLOP/s for each dtype.
    """
    with command.quiet_import():
        import keras
    import train_keras

    model, _ = train_keras.build(recipe(name), precision, CLASSES, 1000)
    count = multiply_adds(model)
    if rewrite:
        # Counted before: the formula is for channels last, and what counts here is the ratio of images/s.
        before, model = model, rewritten(model, REWRITES[rewrite])
        if [w.shape for w in model.weights] == [w.shape for w in before.weights] and (
            model.input_shape == before.input_shape
        ):
            raise ValueError(f"{name} is so already")
    if steps_per_execution > 1 or jit_compile is not None:
        changes = {"steps_per_execution": steps_per_execution}
        if jit_compile is not None:
            changes["jit_compile"] = jit_compile
        model.compile_from_config(model.get_compile_config() | changes)
    images, labels = constant_batch(batch_size, model.input_shape[1:])
    batch = (images, labels, np.ones(batch_size, np.float32))
    training = batch_size / training_seconds(model, batch, seconds, steps_per_execution)
    predicting = step_seconds(lambda: model.predict_on_batch(images), seconds)
    return {
        "framework": framework(keras.backend.backend()),
        "batch_size": batch_size,
        "multiply_adds": count,
        "training": training,
        "inference": batch_size / predicting,
        "peak": {dtype: keras_peak(dtype, matrices) for dtype in ("float32", "bfloat16")}
        if matrices
        else None,
    }


def recipe(name: str) -> argparse.Namespace:
    """Return the options that ``train_keras.build`` reads."""
    return argparse.Namespace(model=name, seed=0, epochs=1, learning_rate=MODELS[name].learning_rate)


def framework(backend: str) -> str:
    """Return a backend's name and version, as the tables have them."""
    from importlib.metadata import version

    names = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
    return f"{names[backend]} {version(backend)}"


def constant_batch(size: int, shape: tuple = (128, 128, 1)) -> tuple[np.ndarray, np.ndarray]:
    """Return random images, uint8 of shape (size, *shape), and random labels, int32 of shape (size,)."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (size, *shape), dtype=np.uint8)
    return images, random.integers(0, CLASSES, size, dtype=np.int32)


def training_seconds(model, batch: tuple, seconds: float, steps_per_execution: int = 1) -> float:
    """Return the median time of a step of ``model.fit`` where every batch is this one."""
    import keras

    class Constant(keras.utils.PyDataset):
        def __init__(self, steps):
            super().__init__()
            self.steps = steps

        def __len__(self):
            return self.steps

        def __getitem__(self, step):
            return batch

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.times = [time.perf_counter()]

        def on_train_batch_end(self, step, logs=None):
            float(logs["loss"])  # JAX goes on before the step has ended
            self.times.append(time.perf_counter())

    def fit(executions: int) -> np.ndarray:
        """Return the seconds between the ends of executions."""
        clock = Clock()
        model.fit(Constant(executions * steps_per_execution), verbose=0, shuffle=False, callbacks=[clock])
        return np.diff(clock.times)

    estimate = fit(1 + WARM_UP)[-1]
    # The first one of a fit has the start of the data's threads in it.
    measured = fit(1 + max(3, round(seconds / estimate)))[1:]
    return float(np.median(measured)) / steps_per_execution


def step_seconds(step: Callable, seconds: float) -> float:
    """Return the median time of calling ``step``, which returns when it is done."""
    for _ in range(WARM_UP):
        step()
    times = []
    started = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def peak_rate(multiply: Callable, make: Callable, sizes: list[int], seconds: float = 0.5) -> float:
    """Return the best rate of products of square matrices, in FLOP/s.

    ``make(size)`` returns a matrix, and ``multiply(a, b)`` returns when the product is there.
    """
    best = 0.0
    for size in sizes:
        a, b = make(size), make(size)
        multiply(a, b)
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            before = time.perf_counter()
            multiply(a, b)
            best = max(best, 2 * size**3 / (time.perf_counter() - before))
    return best


def keras_peak(dtype: str, sizes: list[int]) -> float:
    """Return the peak of Keras' backend, TensorFlow or JAX, in FLOP/s."""
    import keras

    random = np.random.default_rng(0)

    def make(size: int):
        return keras.ops.cast(random.standard_normal((size, size), np.float32), dtype)

    if keras.backend.backend() == "jax":
        import jax

        product = jax.jit(jax.numpy.matmul)

        def multiply(a, b):
            product(a, b).block_until_ready()

    else:
        import tensorflow as tf

        product = tf.function(tf.linalg.matmul)

        def multiply(a, b):
            product(a, b)
            tf.test.experimental.sync_devices()

    return peak_rate(multiply, make, sizes)


def rewritten(model, change: Callable):
    """Return the model with some of its layers' configurations changed, compiled alike, with new weights.

    ``change(kind, configuration)`` gets the name of each layer's class, and changes the configuration in place.
    """
    configuration = copy.deepcopy(model.get_config())
    for layer in configuration["layers"]:
        # What a layer was built for no longer holds; Keras builds it anew from its inputs.
        layer.pop("build_config", None)
        change(layer["class_name"], layer["config"])
    new = type(model).from_config(configuration)
    if model.compiled:
        new.compile_from_config(model.get_compile_config())
    return new


def _channels_first(kind: str, configuration: dict) -> None:
    if kind == "InputLayer":
        rows, height, width, channels = configuration["batch_shape"]
        configuration["batch_shape"] = (rows, channels, height, width)
    if "data_format" in configuration:
        configuration["data_format"] = "channels_first"
    if kind in ("BatchNormalization", "Concatenate"):
        configuration["axis"] = 1


def _multiples_of_32(kind: str, configuration: dict) -> None:
    if "filters" in configuration:
        configuration["filters"] = -(-configuration["filters"] // 32) * 32


REWRITES = {"channels_first": _channels_first, "multiples_of_32": _multiples_of_32}


# -- PyTorch -------------------------------------------------------------------------------------------------


def measure_torch(name: str, batch_size: int, seconds: float, matrices: list[int]) -> dict:
    """Train and predict with the same network in PyTorch; arguments and result as :func:`measure_keras` has.

    Raises
    ------
    ValueError
        If its predictions are not those of Keras.
    """
    import torch

    from model_keras import build_model

    model = build_model(name, CLASSES)
    network = twin(model)
    check_twin(model, network)
    count = multiply_adds(model)
    del model
    images, labels = map(torch.from_numpy, constant_batch(batch_size))
    of_network = MODELS[name]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[of_network.optimizer]
    # Keras' schedule begins at a hundredth of the peak, too.
    optimizer = kind(
        network.parameters(),
        lr=of_network.learning_rate / 100,
        weight_decay=of_network.weight_decay,
        fused=True,
    )

    def train():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network.logits(images), labels.long())
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict():
        with torch.inference_mode():
            return network(images).numpy()

    network.train()
    training = step_seconds(train, seconds)
    network.eval()
    predicting = step_seconds(predict, seconds)

    def peak(dtype: str) -> float:
        def make(size: int):
            return torch.randn(size, size).to(getattr(torch, dtype))

        return peak_rate(torch.matmul, make, matrices)

    return {
        "framework": f"PyTorch {torch.__version__.partition('+')[0]}",
        "batch_size": batch_size,
        "multiply_adds": count,
        "training": batch_size / training,
        "inference": batch_size / predicting,
        "peak": {dtype: peak(dtype) for dtype in ("float32", "bfloat16")},
    }


def check_twin(model, network, images: np.ndarray | None = None) -> float:
    """Return the largest difference of two networks' predictions; raise ValueError above ``TOLERANCE``."""
    import keras
    import torch

    if images is None:
        images = constant_batch(4, model.input_shape[1:])[0]
    ours = keras.ops.convert_to_numpy(model(images, training=False))
    network.eval()
    with torch.inference_mode():
        theirs = network(torch.from_numpy(images)).numpy()
    difference = float(np.abs(ours - theirs).max())
    # Written so that NaN fails, too.
    if not difference <= TOLERANCE:
        raise ValueError(f"PyTorch's {model.name} is another network: predictions differ by {difference:.2g}")
    return difference


def twin(model):
    """Return the same network in PyTorch, with the same weights.

    Parameters
    ----------
    model : keras.Model
        Functional, channels last, each layer used once. Keras may run on any backend.

    Returns
    -------
    torch.nn.Module
        Takes uint8 (B, H, W, C) as Keras does, and returns what the model does; ``logits(images)`` leaves out a
        softmax at the end. Inside, tensors are (B, C, H, W), channels last in memory.

    Raises
    ------
    ValueError
        Naming the kind of layer or the option that has no counterpart here.
    """
    import keras
    import torch

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = torch.nn.ModuleList()
            self.inputs, self.outputs = [], []
            for layer in model.operations:
                if isinstance(layer, keras.layers.InputLayer):
                    continue
                given = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
                self.steps.append(_converted(layer))
                self.inputs.append([id(tensor) for tensor in given])
                self.outputs.append(id(layer.output))
            self.first, self.last = id(model.inputs[0]), id(model.outputs[0])
            if self.outputs[-1] != self.last:
                raise ValueError(f"{model.name}: the last layer is not the output")
            self.to(memory_format=torch.channels_last)

        def run(self, images, steps):
            if images.dim() == 4:
                images = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            tensors = {self.first: images}
            for i in range(steps):
                tensors[self.outputs[i]] = self.steps[i](*(tensors[name] for name in self.inputs[i]))
            return tensors[self.outputs[steps - 1]]

        def forward(self, images):
            return self.run(images, len(self.steps))

        def logits(self, images):
            return self.run(images, len(self.steps) - isinstance(self.steps[-1], torch.nn.Softmax))

    return Twin()


def _converted(layer):
    """Return the PyTorch module of one Keras layer."""
    import keras
    import torch
    from torch import nn

    class Function(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, *tensors):
            return self.function(*tensors)

    def refuse(what: str):
        raise ValueError(f"{layer.name}: PyTorch's network is not written for {what}")

    def tensor(weight):
        # contiguous: a view with Keras' order of axes would be slow in PyTorch.
        return torch.tensor(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))

    def padding(sizes, value=0.0):
        """Return what Keras' padding='same' adds: a symmetrical padding, and a module before for any other."""
        if layer.padding == "valid":
            return (0, 0), None
        around = []
        spatial = layer.input.shape[1:3]
        for length, size, stride, dilation in zip(spatial, sizes, strides, dilations, strict=True):
            total = max(0, (-(-length // stride) - 1) * stride + (size - 1) * dilation + 1 - length)
            around.append((total // 2, total - total // 2))
        (top, bottom), (left, right) = around
        if (top, left) == (bottom, right):
            return (top, left), None
        return (0, 0), nn.ConstantPad2d((left, right, top, bottom), value)

    def convolution(kernel, bias, groups, with_strides=True):
        """Return a convolution; ``kernel`` is (out, in / groups, height, width)."""
        around, before = padding(kernel.shape[2:]) if with_strides else ((0, 0), None)
        module = nn.Conv2d(
            kernel.shape[1] * groups,
            kernel.shape[0],
            tuple(kernel.shape[2:]),
            stride=strides if with_strides else 1,
            padding=around,
            dilation=dilations if with_strides else 1,
            groups=groups,
            bias=bias is not None,
        )
        module.weight.data = kernel
        if bias is not None:
            module.bias.data = tensor(bias)
        return [module] if before is None else [before, module]

    def depthwise(kernel, bias):
        height, width, channels, multiplier = kernel.shape
        kernel = tensor(keras.ops.transpose(kernel, (2, 3, 0, 1)))
        return convolution(kernel.reshape(channels * multiplier, 1, height, width), bias, channels)

    def activation(function):
        name = getattr(function, "__name__", type(function).__name__)
        if name == "linear":
            return []
        if name not in kinds_of_activation:
            refuse(f"the activation {name}")
        return [kinds_of_activation[name]()]

    def sequence(modules):
        return modules[0] if len(modules) == 1 else nn.Sequential(*modules)

    def last_axis(function):
        """Return a function of channels-last tensors, as one of tensors that have the channels second."""

        def on_second(x):
            return _second(function(_last(x)))

        return on_second

    def _last(x):
        return x.permute(0, 2, 3, 1) if x.dim() == 4 else x

    def _second(x):
        return x.permute(0, 3, 1, 2) if x.dim() == 4 else x

    kinds_of_activation = {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "leaky_relu": lambda: nn.LeakyReLU(0.2),
        "elu": nn.ELU,
        "selu": nn.SELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "mish": nn.Mish,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "hard_sigmoid": nn.Hardsigmoid,
        "hard_silu": nn.Hardswish,
        "softplus": nn.Softplus,
        "softmax": lambda: nn.Softmax(dim=1),
    }
    kind = type(layer).__name__
    known = getattr(keras.layers, kind, None)
    if known is not type(layer):
        refuse(f"a layer of the kind {kind}")
    strides = tuple(getattr(layer, "strides", (1, 1)))
    dilations = tuple(getattr(layer, "dilation_rate", (1, 1)))
    if getattr(layer, "data_format", None) == "channels_first":
        refuse("channels first")

    if kind == "Conv2D":
        kernel = tensor(keras.ops.transpose(layer.kernel, (3, 2, 0, 1)))
        return sequence(convolution(kernel, layer.bias, layer.groups) + activation(layer.activation))
    if kind == "DepthwiseConv2D":
        return sequence(depthwise(layer.kernel, layer.bias) + activation(layer.activation))
    if kind == "SeparableConv2D":
        pointwise = tensor(keras.ops.transpose(layer.pointwise_kernel, (3, 2, 0, 1)))
        modules = depthwise(layer.depthwise_kernel, None)
        modules += convolution(pointwise, layer.bias, 1, with_strides=False)
        return sequence(modules + activation(layer.activation))
    if kind == "Dense":
        if len(layer.input.shape) != 2:
            refuse(f"a Dense layer on {len(layer.input.shape)} axes")
        module = nn.Linear(*layer.kernel.shape, bias=layer.use_bias)
        module.weight.data = tensor(keras.ops.transpose(layer.kernel))
        if layer.use_bias:
            module.bias.data = tensor(layer.bias)
        return sequence([module, *activation(layer.activation)])
    if kind == "BatchNormalization":
        axes = len(layer.output.shape)
        if layer.axis not in (-1, axes - 1):
            refuse(f"batch normalization over axis {layer.axis}")
        count = layer.output.shape[-1]
        module = (nn.BatchNorm2d if axes == 4 else nn.BatchNorm1d)(
            count, eps=layer.epsilon, momentum=1 - layer.momentum
        )
        module.running_mean, module.running_var = tensor(layer.moving_mean), tensor(layer.moving_variance)
        if layer.scale:
            module.weight.data = tensor(layer.gamma)
        if layer.center:
            module.bias.data = tensor(layer.beta)
        # PyTorch has both or none: what Keras leaves out stays at 1, or 0.
        module.weight.requires_grad, module.bias.requires_grad = layer.scale, layer.center
        return module
    if kind == "Activation":
        return sequence(activation(layer.activation) or [nn.Identity()])
    if kind == "ReLU" and not layer.negative_slope and not layer.threshold and layer.max_value in (None, 6):
        return nn.ReLU6() if layer.max_value else nn.ReLU()
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        largest = kind == "MaxPooling2D"
        around, before = padding(layer.pool_size, -np.inf)
        if before is not None and not largest:
            refuse("AveragePooling2D with padding on one side")  # Keras leaves it out of the mean
        size = tuple(layer.pool_size)
        module = (
            nn.MaxPool2d(size, strides, around)
            if largest
            else nn.AvgPool2d(size, strides, around, count_include_pad=False)
        )
        return module if before is None else nn.Sequential(before, module)
    if kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
        reduce = torch.mean if kind == "GlobalAveragePooling2D" else torch.amax
        return Function(lambda x: reduce(x, (2, 3), keepdim=layer.keepdims))
    if kind == "Flatten":
        return Function(lambda x: _last(x).flatten(1))
    if kind == "Reshape":
        shape = tuple(layer.output.shape[1:])
        return Function(last_axis(lambda x: x.reshape(-1, *shape)))
    if kind == "Dropout":
        return nn.Dropout(layer.rate)
    if kind == "SpatialDropout2D":
        return nn.Dropout2d(layer.rate)
    if kind == "Add":
        return Function(lambda *x: functools.reduce(torch.add, x))
    if kind == "Multiply":
        return Function(lambda *x: functools.reduce(torch.mul, x))
    if kind == "Concatenate":
        if layer.axis not in (-1, len(layer.output.shape) - 1):
            refuse(f"concatenation along axis {layer.axis}")
        return Function(lambda *x: torch.cat(x, dim=1))
    if kind == "Rescaling":
        scale, offset = float(layer.scale), float(layer.offset)
        return Function(lambda x: x.float() * scale + offset)
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = layer.padding
        return nn.ZeroPad2d((left, right, top, bottom))
    return refuse(f"a layer of the kind {kind}")


if __name__ == "__main__":
    command.run(main)
