"""How fast is one GPU under JAX, and what part of the card's speed is that?

    python benchmarks/gpu.py --data DIR

For each network, in float32 and bfloat16, in processes of their own: the training step that Keras compiles, called over
and over on a batch that lies on the device; and what loop.py measures, fit through DataGenerator. JAX computes float32
products in TensorFloat-32 where the GPU has it (jax.lax.Precision.DEFAULT), so "float32" is compared with that. The
environment is that of requirements-jax.txt, with jax[cuda13]. When a network is as often right as the paper there tells
`KERAS_BACKEND=jax python benchmarks/time_to_score.py`.
"""

import functools
import importlib.util
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.runs.networks import multiply_adds

from benchmarks import harness, loop, step
from model_keras import MODELS

RATES = ["Constant batch, images/s", "TFLOP/s", "Peak, TFLOP/s", "Of the peak"]
THROUGH_FIT = [f"fit, {kind}" for kind in (loop.FEEDS[0], loop.FEEDS[1], "share", loop.FEEDS[2], "share")]


def main(arguments: list[str]) -> None:
    """Measure all, and print a table."""
    options = harness.parser(
        __doc__,
        data=(Path, "images, one sub-folder for each class"),
        models=(["fast", "paper"], f"of {', '.join(MODELS)}", MODELS),
        batch_size=(int, "images a step (default by network)"),
        rounds=(5, "turns of fit's feeds"),
        seconds=(10.0, "of each rate"),
        matrices=([4096, 8192, 16384], "sizes of the products that find the peak"),
        device=("gpu", "cpu: a trial of this script where there is no GPU", ["gpu", "cpu"]),
    ).parse_args(arguments)
    Images(options.data, in_memory=False)  # says in one line what is wrong with the folder
    if importlib.util.find_spec("jax") is None:
        raise InputError("JAX is not installed: pip install -r requirements-jax.txt, with jax[cuda13]")
    environment = {"KERAS_BACKEND": "jax"} | ({"JAX_PLATFORMS": "cpu"} if options.device == "cpu" else {})
    in_process = functools.partial(harness.in_process, environment=environment)
    platform, device = in_process(probe)
    if options.device != platform:
        raise InputError(f"JAX sees no GPU, only {device}: install jax[cuda13], or try --device cpu")
    rows = []
    for name in options.models:
        size = options.batch_size or MODELS[name].batch_size
        for precision in ("float32", "mixed_bfloat16"):
            rate, flops, peak = in_process(measure, name, size, options.seconds, options.matrices, precision)
            cells = [f"{rate:,.0f}", f"{flops / 1e12:.3g}", f"{peak / 1e12:.3g}", f"{flops / peak:.0%}"]
            steps = max(8, round(options.seconds / options.rounds * rate / size))
            rates = in_process(loop.measure, options.data, name, size, steps, options.rounds, precision)
            rows.append([name, precision, size, *cells, *loop.share_cells(rates)])
    print(harness.table([device, "Precision", "Batch", *RATES, *THROUGH_FIT], rows, left=2))


def probe() -> tuple[str, str]:
    """Return the platform and the name of the device that JAX computes on."""
    import jax

    device = jax.devices()[0]
    return device.platform, device.device_kind


def measure(name: str, size: int, seconds: float, matrices: list[int], precision: str) -> tuple:
    """Return images/s of training on a constant batch of so many, its FLOP/s, and those of matrix products."""
    model = step.build(name, precision)
    rate = size / step_seconds(model, step.constant_batch(size), seconds)
    flops = 2 * step.PASSES["training"] * multiply_adds(model) * rate
    return rate, flops, step.keras_peak(precision.removeprefix("mixed_"), matrices)


def step_seconds(model, batch: tuple, seconds: float) -> float:
    """Return the median time of the step that Keras compiles, on a batch that lies on the device."""
    import jax

    model.train_on_batch(*batch)  # makes the metrics' and the optimizer's variables
    data = jax.device_put(batch)
    variables = [model.trainable_variables, model.non_trainable_variables]
    variables += [model.optimizer.variables, model.metrics_variables]
    # Copies, since the step takes its arguments' memory for its results. (As in Keras' guide on JAX.)
    state = tuple(jax.tree.map(jax.numpy.copy, [[v.value for v in some] for some in variables]))
    train_step = jax.jit(model.train_step, donate_argnums=0)

    def timed(steps: int) -> float:
        """Return the seconds that a step takes, over so many: the device waits for none but the last."""
        nonlocal state
        started = time.perf_counter()
        for _ in range(steps):
            logs, state = train_step(state, data)
        jax.block_until_ready((logs, state))
        return (time.perf_counter() - started) / steps

    timed(2)
    parts = 5
    steps = max(1, round(seconds / parts / timed(3)))
    return statistics.median(timed(steps) for _ in range(parts))


if __name__ == "__main__":
    command.run(main)
