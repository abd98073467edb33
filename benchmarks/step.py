"""How fast are a training step and inference of each network, and what part of the processor's speed is that?

    python benchmarks/step.py [--models NAME ...] [--bfloat16]

Each network in Keras, compiled as train_keras.py compiles it, and the same layers with the same weights in PyTorch
(torch_peer.py), in processes of their own that take turns. Trained is on one constant batch, so reading images plays no
part; a step counts as three forward passes. The peak is the best rate of large matrix products in the same process; the
shares are of the faster framework's. A round's figure is the median of its steps.
"""

import functools
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.runs.networks import multiply_adds

import numpy as np

from benchmarks import harness
from model_keras import MODELS

CLASSES = 8
PASSES = {"training": 3, "inference": 1}  # the backward pass has two products for each of the forward one
TORCH_MODELS = ("fast", "paper")  # that torch_peer.py knows the layers of
RATIOS = {"Keras / PyTorch": ("keras", "torch"), "bfloat16 / float32": ("bfloat16", "keras")}
RATES = "Training, images/s|GFLOP/s|Of the peak|Inference, images/s|GFLOP/s|Of the peak".split("|")


def main(arguments: list[str]) -> None:
    """Measure each network in each way, and print a table."""
    options = harness.parser(
        __doc__,
        models=(["fast", "paper"], f"of {', '.join(MODELS)}", MODELS),
        bfloat16=(bool, "measure Keras under --precision mixed_bfloat16, too"),
        batch_size=(int, "images a step (default by network)"),
        rounds=(3, "turns of each way"),
        seconds=(10.0, "of training, and of inference, in each process; three steps at least"),
        matrices=([512, 1024, 2048, 4096], "sizes of the products that find the peak"),
    ).parse_args(arguments)
    has_torch = importlib.util.find_spec("torch") is not None
    turns = {}
    for name in options.models:
        size = options.batch_size or MODELS[name].batch_size
        task = functools.partial(harness.in_process, measure, name, size, options.seconds, options.matrices)
        turns[name, "keras"] = functools.partial(task, "keras")
        if has_torch and name in TORCH_MODELS:
            # Keras builds the layers that PyTorch's network is made from; with TensorFlow it would bring a second set
            # of threads into PyTorch's process.
            turns[name, "torch"] = functools.partial(task, "torch", environment={"KERAS_BACKEND": "torch"})
        if options.bfloat16:
            turns[name, "bfloat16"] = functools.partial(task, "bfloat16")
    found = harness.take_turns(turns, options.rounds)
    header = ["Network", "Framework", "Batch", "Peak, GFLOP/s", *RATES]
    print(harness.table(header, network_rows(found), left=2))
    if not has_torch:
        print("\nPyTorch is not installed, so it has no rows: pip install -r benchmarks/requirements.txt")


def measure(name: str, size: int, seconds: float, matrices: list[int], way: str) -> dict:
    """Train and predict with a network of MODELS on one constant batch, for so many seconds each.

    ``way`` is one of RATIOS' values. Returns ``framework``, ``batch_size``, ``multiply_adds`` of one image's forward pass,
    ``training`` and ``inference`` in images/s, and ``peak``: the FLOP/s of products of ``matrices``, which are sizes.
    """
    import keras

    if way == "torch":
        from benchmarks import torch_peer

        return torch_peer.measure(name, size, seconds, matrices)
    model = build(name, "mixed_bfloat16" if way == "bfloat16" else "float32")
    images, _, _ = batch = constant_batch(size)
    backend = {"jax": "JAX", "tensorflow": "TensorFlow"}[keras.backend.backend()]
    return {
        "framework": f"{backend} {version(backend.lower())}{', bfloat16' * (way == 'bfloat16')}",
        "batch_size": size,
        "multiply_adds": multiply_adds(model),
        "training": size / training_seconds(model, batch, seconds),
        "inference": size / harness.median_seconds(lambda: model.predict_on_batch(images), seconds),
        "peak": keras_peak("bfloat16" if way == "bfloat16" else "float32", matrices),
    }


def build(name: str, precision: str):
    """Return a network of MODELS, compiled as train_keras.py compiles it."""
    import train_keras

    return train_keras.build(harness.train_options(model=name, epochs=1), precision, CLASSES, 1000)[0]


def constant_batch(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a batch as DataGenerator's: random images and labels, and weights, which are 1."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (size, 128, 128, 1), dtype=np.uint8)
    return images, random.integers(0, CLASSES, size, dtype=np.int32), np.ones(size, np.float32)


def constant_batches(batch: tuple, steps: int):
    """Return a data set of so many batches, all this one."""
    import keras

    class Constant(keras.utils.PyDataset):
        def __len__(self):
            return steps

        def __getitem__(self, step):
            return batch

    return Constant()


def training_seconds(model, batch: tuple, seconds: float) -> float:
    """Return the median time of a step of ``model.fit`` where every batch is this one."""

    def fit(steps: int) -> np.ndarray:
        """Return the seconds of so many steps, after the first, which has the start of the data's threads in it."""
        return np.diff(batch_ends(model, constant_batches(batch, 1 + steps))[0])

    estimate = fit(harness.WARM_UP)[-1]
    return float(np.median(fit(max(3, round(seconds / estimate)))))


def batch_ends(model, batches, waits=lambda batch: True, **how) -> list[list[float]]:
    """Fit, and return when each batch ended, epoch by epoch; on JAX, which goes on before, for which it ``waits``."""
    import keras

    ends = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            ends.append([])

        def on_train_batch_end(self, batch, logs=None):
            if waits(batch):
                float(logs["loss"])
            ends[-1].append(time.perf_counter())

    model.fit(batches, shuffle=False, verbose=0, callbacks=[Clock()], **how)
    return ends


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

    if keras.backend.backend() == "jax":
        import jax

        product, wait = jax.jit(jax.numpy.matmul), jax.block_until_ready
    else:
        import tensorflow as tf

        product, wait = tf.function(tf.linalg.matmul), lambda _: tf.test.experimental.sync_devices()
    random = np.random.default_rng(0)

    def make(size: int):
        return keras.ops.cast(random.standard_normal((size, size), np.float32), dtype)

    return peak_rate(lambda a, b: wait(product(a, b)), make, sizes)


def network_rows(found: dict[tuple, list[dict]]) -> list[list]:
    """Return the rows of the table; ``found`` has a dict for each round, for each (network, way)."""
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        ways = {kind: rounds for (other, kind), rounds in found.items() if other == name}
        for kind, rounds in ways.items():
            # The machine's peak in a round is the faster of the frameworks' in this precision.
            alike = [other for key, other in ways.items() if (key == "bfloat16") == (kind == "bfloat16")]
            peaks = [max(one["peak"] for one in ones) for ones in zip(*alike, strict=True)]
            row = [name, rounds[0]["framework"], rounds[0]["batch_size"]]
            row.append(harness.spread([peak / 1e9 for peak in peaks]))
            for what, passes in PASSES.items():
                flops = [2 * passes * one["multiply_adds"] * one[what] for one in rounds]
                row.append(harness.spread([one[what] for one in rounds]))
                row.append(harness.figure(statistics.median(flops) / 1e9))
                row.append(f"{100 * statistics.median(harness.ratios(flops, peaks)):.0f} %")
            rows.append(row)
        for title, (ours, others) in RATIOS.items():
            if ours in ways and others in ways:
                rates = [[[one[what] for one in ways[kind]] for kind in (ours, others)] for what in PASSES]
                training, inference = (harness.spread(harness.ratios(*pair)) for pair in rates)
                rows.append([name, title, "", "", training, "", "", inference, "", ""])
    return rows


if __name__ == "__main__":
    command.run(main)
