"""One GPU under JAX: images/s, what part of the card's speed that is, and the minutes to the paper's accuracy.

    python benchmarks/gpu.py --data DIR [--minutes X] [--output FILE.json]

For each network, in float32 and bfloat16, in processes of their own:

- training on one constant batch that lies on the device: the step that Keras compiles, called over and over;
- training through Keras' fit on DataGenerator, as train_keras.py does it, with the images in memory: by the network's
  recipe, and with the paper's nine crops as well (--augment);
- the achieved rate (a step counts as three forward passes) as a part of the best rate of large matrix products
  of the same kind in the same process, and of the vendor's figure;
- a whole run of train_keras.py by the network's own recipe, until --minutes are over: the time until 99.05 % of
  the validation beats, the mean accuracy of Jun et al. 2018, were right at an epoch's end. Compilation and
  validation are in it, reading the images is not.

JAX computes float32 products in TensorFloat-32 where the GPU has it (jax.lax.Precision.DEFAULT), so "float32" is
compared with that. Prints tables, and writes all figures to a JSON file. The environment is that of
requirements-jax.txt, with jax[cuda13].
"""

import argparse
import csv
import importlib.util
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.images.splits import PARTS, split_as
from ecgbeats.runs.devices import choose_devices
from ecgbeats.runs.networks import multiply_adds

import numpy as np

from benchmarks import step
from model_keras import MODELS

# Mean accuracy of Jun et al. 2018 (arXiv:1804.06812), over beats.
PAPER_ACCURACY = 0.9905
# The dtype of the products under each of Keras' policies.
PRECISIONS = {"float32": "float32", "mixed_bfloat16": "bfloat16"}
# TFLOP/s without sparsity, on tensor cores where there are any: TensorFloat-32, and bfloat16. From NVIDIA's data
# sheets of the H100, H200, A100 and T4; where these give the rate with sparsity, half of it. The first whose words
# are all in the device's name counts.
NOMINAL = [
    (("H100", "NVL"), {"float32": 417.5, "bfloat16": 835.5}),
    (("H100", "PCIe"), {"float32": 378.0, "bfloat16": 756.5}),
    (("H100",), {"float32": 494.5, "bfloat16": 989.5}),
    (("H200", "NVL"), {"float32": 417.5, "bfloat16": 835.5}),
    (("H200",), {"float32": 494.5, "bfloat16": 989.5}),
    (("A100",), {"float32": 156.0, "bfloat16": 312.0}),
    (("T4",), {"float32": 8.1}),  # no tensor cores for either
]


def main(arguments: list[str]) -> int | None:
    """Measure all, print the tables and write the JSON file."""
    if arguments[:1] == ["--child"]:
        functions = {"probe": probe, "rates": measure_rates, "run": measure_run}
        return step.answer(arguments[1], functions)
    options = read_options(arguments)
    command.check_output(options.output.parent)
    if options.output.is_dir():
        raise InputError(
            f"--output {options.output} is a folder; give a file, such as {options.output}/gpu.json"
        )
    Images(options.data, in_memory=False)  # says now what is wrong with the folder
    if importlib.util.find_spec("jax") is None:
        raise InputError("JAX is not installed: pip install -r requirements-jax.txt, with jax[cuda13]")
    try:
        found = measure(options)
    except step.Failed as problem:
        command.fail(problem)
        return 1
    print("\n".join(rate_rows(found)))
    print()
    print("\n".join(peak_rows(found)))
    if found["runs"]:
        print()
        print("\n".join(run_rows(found)))
    command.make_folder(options.output.parent)
    command.write_json(options.output, found)
    print(f"all figures: {options.output}", file=sys.stderr)
    return None


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="gpu.py", description=__doc__)
    number = command.whole_number(1)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add(
        "--output",
        metavar="FILE.json",
        type=Path,
        default=Path("output/gpu.json"),
        help="default output/gpu.json",
    )
    add(
        "--models",
        nargs="+",
        default=["fast", "paper"],
        metavar="NAME",
        help=f"of {', '.join(MODELS)} (default fast and paper)",
    )
    add(
        "--precisions",
        nargs="+",
        choices=PRECISIONS,
        default=list(PRECISIONS),
        metavar="NAME",
        help=f"of {', '.join(PRECISIONS)} (default both)",
    )
    add("--batch-size", type=number, metavar="N", help="images a step (default by network)")
    add("--epochs", type=number, metavar="N", help="of the whole runs (default by network)")
    add(
        "--minutes",
        type=command.positive_number,
        default=10,
        metavar="X",
        help="a whole run ends before (default 10)",
    )
    add("--no-runs", action="store_true", help="leave the whole runs out")
    add(
        "--seconds",
        type=command.positive_number,
        default=10,
        metavar="X",
        help="of each measurement of images/s (default 10)",
    )
    add(
        "--matrices",
        nargs="+",
        type=number,
        default=[4096, 8192, 16384],
        metavar="N",
        help="sizes of the products that find the peak (default 4096 8192 16384)",
    )
    add("--limit", type=number, metavar="N", help="at most N images of each class (default all)")
    add(
        "--device",
        choices=["gpu", "cpu"],
        default="gpu",
        help="cpu: a trial of this script where there is no GPU (default gpu)",
    )
    add("--seed", type=command.whole_number(0), default=0, metavar="N", help="default 0")
    options = parser.parse_args(arguments)
    for name in options.models:
        if name not in MODELS:
            parser.error(f"--models {name}: no such network; choose from {', '.join(MODELS)}")
    return options


def measure(options: argparse.Namespace) -> dict:
    """Return all figures: ``device``, ``versions``, ``options``, and a list each of ``rates`` and ``runs``."""
    environment = {"KERAS_BACKEND": "jax"}
    if options.device == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"

    def child(do: str, **task) -> dict:
        return step.in_process(__file__, {"do": do, **task}, environment)

    about = child("probe")
    if options.device == "gpu" and about["device"]["platform"] != "gpu":
        raise InputError(
            f"JAX sees no GPU, only {about['device']['name']}: install jax[cuda13] and NVIDIA's driver, or try the "
            "script with --device cpu"
        )
    about["device"]["nominal"] = nominal(about["device"]["name"])
    found = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **about,
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
        "rates": [],
        "runs": [],
    }
    for name in options.models:
        for precision in options.precisions:
            shared = {
                "name": name,
                "precision": precision,
                "data": str(options.data),
                "batch_size": options.batch_size or MODELS[name].batch_size,
                "limit": options.limit,
                "seed": options.seed,
            }
            rates = child("rates", **shared, seconds=options.seconds, matrices=options.matrices)
            found["rates"].append(rates)
            print(f"{name}, {precision}: {rates['constant']:,.0f} images/s", file=sys.stderr)
            if options.no_runs:
                continue
            with tempfile.TemporaryDirectory() as folder:
                epochs = options.epochs or MODELS[name].epochs
                run = child("run", **shared, epochs=epochs, minutes=options.minutes, folder=f"{folder}/run")
            found["runs"].append(run)
            print(f"{name}, {precision}: {run['highest']} right at most", file=sys.stderr)
    return found


def nominal(name: str) -> dict:
    """Return the vendor's TFLOP/s for each dtype, of a device by JAX's name for it; {} for an unknown one."""
    for words, rates in NOMINAL:
        if all(word.lower() in name.lower() for word in words):
            return rates
    return {}


# -- in processes of their own -------------------------------------------------------------------------------


def probe() -> dict:
    """Return the ``device`` that JAX computes on, and the ``versions`` of what computes."""
    from importlib.metadata import version

    import jax

    device = jax.devices()[0]
    return {
        "device": {"platform": device.platform, "name": device.device_kind, "count": jax.device_count()},
        "versions": {
            "project": command.VERSION,
            "python": platform.python_version(),
            **{package: version(package) for package in ("jax", "jaxlib", "keras", "numpy")},
        },
    }


def measure_rates(
    name: str,
    precision: str,
    data: str,
    batch_size: int,
    limit: int | None,
    seed: int,
    seconds: float,
    matrices: list[int],
) -> dict:
    """Train a network on a constant batch, and on DataGenerator's.

    Returns
    -------
    dict
        ``name``, ``precision``, ``batch_size``, ``parameters``, ``multiply_adds`` of one image's forward pass,
        ``constant``, ``generator`` and, with the nine crops, ``augmented`` in images/s, ``flops`` and ``peak`` in
        FLOP/s.
    """
    with command.quiet_import():
        import jax
    import train_keras

    arguments = ["--data", data, "--output", "none", "--model", name, "--devices", "1"]
    arguments += ["--batch-size", str(batch_size), "--seed", str(seed)]
    arguments += ["--limit", str(limit)] if limit else []
    options = train_keras.read_options(arguments)
    names, _ = choose_devices(1)
    images = train_keras.load_data(options).images
    if len(images) < batch_size:
        raise InputError(f"--data {data} has {len(images)} images: no batch of {batch_size}")
    # Whole batches alone, as in nearly all steps of a run.
    order = np.random.default_rng(seed).permutation(len(images))[: len(images) // batch_size * batch_size]
    images = images.subset(order)

    def generator(images, augment: bool = False):
        run = argparse.Namespace(**vars(options) | {"augment": augment})
        return train_keras.training_batches(images, run, names)

    batches = generator(images)
    model, _ = train_keras.build(options, precision, len(images.classes), len(batches))
    batch = batches[0]
    model.train_on_batch(*batch)  # makes the metrics' and the optimizer's variables
    constant = constant_rate(model, batch, seconds)
    epoch_images = images.subset(np.arange(min(len(images), _whole(seconds * constant, batch_size))))
    through_generator, with_crops = (
        epoch_rate(model, generator(epoch_images, augment)) for augment in (False, True)
    )
    flops = 2 * step.PASSES * multiply_adds(model) * constant
    return {
        "name": name,
        "precision": precision,
        "batch_size": batch_size,
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model),
        "constant": constant,
        "generator": through_generator,
        "augmented": with_crops,
        "flops": flops,
        "peak": step.keras_peak(PRECISIONS[precision], matrices),
        "device": jax.devices()[0].device_kind,
    }


def _whole(images: float, batch_size: int) -> int:
    """Return about so many images, in whole batches, two at least."""
    return max(2, round(images / batch_size)) * batch_size


def constant_rate(model, batch: tuple, seconds: float) -> float:
    """Return images/s of the training step on one batch that lies on the device; the model stays as it is."""
    import jax

    data = jax.device_put(batch)
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    # Copies, since the step takes its arguments' memory for its results. (As in Keras' guide on JAX.)
    state = jax.tree.map(jax.numpy.copy, [[v.value for v in some] for some in variables])
    state = tuple(state)
    train_step = jax.jit(model.train_step, donate_argnums=0)

    def timed(steps: int) -> float:
        """Return the seconds that a step takes, over so many: the device waits for none but the last."""
        nonlocal state
        started = time.perf_counter()
        for _ in range(steps):
            logs, state = train_step(state, data)
        jax.block_until_ready((logs, state))
        return (time.perf_counter() - started) / steps

    timed(1)
    timed(1)
    parts = 5
    steps = max(1, round(seconds / parts / timed(3)))
    return len(batch[0]) / statistics.median(timed(steps) for _ in range(parts))


def epoch_rate(model, batches) -> float:
    """Return images/s of an epoch of ``fit``, after one that is not timed."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            float(logs["loss"])  # of the last step: there when all are done
            self.seconds = time.perf_counter() - self.started

    clock = Clock()
    model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[clock])
    return len(batches.images) / clock.seconds


def measure_run(
    name: str,
    precision: str,
    data: str,
    batch_size: int,
    limit: int | None,
    seed: int,
    epochs: int,
    minutes: float,
    folder: str,
) -> dict:
    """Train by train_keras.py's recipe, with ``folder`` for the run folder, and read its log.

    Returns
    -------
    dict
        ``name``, ``precision``, ``minutes`` to ``PAPER_ACCURACY`` and ``epoch`` in which it was reached (both
        None where it was not), ``epochs`` done, ``highest`` share of validation beats right, ``run_minutes``
        without scoring, ``test_accuracy``, the numbers of ``images``, and ``stopped_early``.
    """
    import train_keras

    arguments = ["--data", data, "--output", folder, "--model", name, "--devices", "1"]
    arguments += ["--batch-size", str(batch_size), "--seed", str(seed), "--precision", precision]
    arguments += ["--epochs", str(epochs)] + (["--limit", str(limit)] if limit else [])
    options = train_keras.read_options(arguments)
    loaded = train_keras.load_data(options)
    parts = split_as(loaded.images, vars(options))
    metrics = train_keras.train(loaded, parts, options, Path(folder), time.time() + 60 * minutes)
    with open(Path(folder, "log.csv"), newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    reached = time_to(rows, PAPER_ACCURACY)
    return {
        "name": name,
        "precision": precision,
        "minutes": None if reached is None else reached[0] / 60,
        "epoch": None if reached is None else reached[1],
        "epochs": len(rows),
        "highest": max((row["val_accuracy"] for row in rows), default=None),
        "run_minutes": sum(row["seconds"] for row in rows) / 60,
        "test_accuracy": metrics["accuracy"],
        "images": {part: len(getattr(parts, part)) for part in PARTS},
        "stopped_early": metrics["stopped_early"],
    }


def time_to(rows: list[dict], accuracy: float) -> tuple[float, int] | None:
    """Return the seconds and the epoch until a log's validation accuracy is this high; None if it never is."""
    seconds = 0.0
    for row in rows:
        seconds += row["seconds"]
        if row["val_accuracy"] >= accuracy:
            return seconds, int(row["epoch"])
    return None


# -- tables --------------------------------------------------------------------------------------------------


def rate_rows(found: dict) -> list[str]:
    """Return the lines of the table of images/s."""
    lines = [
        f"| {found['device']['name']}, JAX {found['versions']['jax']} | Precision | Batch | Constant batch, images/s "
        "| DataGenerator, images/s | with --augment | TFLOP/s | Of the measured peak | Of the vendor's |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rates in found["rates"]:
        vendor = found["device"]["nominal"].get(PRECISIONS[rates["precision"]])
        share = "" if vendor is None else f"{100 * rates['flops'] / vendor / 1e12:.0f} %"
        lines.append(
            f"| {rates['name']} | {rates['precision']} | {rates['batch_size']} | {rates['constant']:,.0f} "
            f"| {rates['generator']:,.0f} | {rates['augmented']:,.0f} | {rates['flops'] / 1e12:.3g} "
            f"| {100 * rates['flops'] / rates['peak']:.0f} % | {share} |"
        )
    return lines


def peak_rows(found: dict) -> list[str]:
    """Return the lines of the table of matrix products."""
    lines = ["| Matrix product | Measured, TFLOP/s | Vendor, TFLOP/s |", "| --- | ---: | ---: |"]
    for dtype in dict.fromkeys(PRECISIONS[rates["precision"]] for rates in found["rates"]):
        best = max(r["peak"] for r in found["rates"] if PRECISIONS[r["precision"]] == dtype)
        vendor = found["device"]["nominal"].get(dtype)
        lines.append(f"| {dtype} | {best / 1e12:.3g} | {'' if vendor is None else f'{vendor:g}'} |")
    return lines


def run_rows(found: dict) -> list[str]:
    """Return the lines of the table of whole runs."""
    sizes = found["runs"][0]["images"]
    lines = [
        f"| {sizes['training']:,d} training, {sizes['validation']:,d} validation images | Precision "
        f"| Minutes to {100 * PAPER_ACCURACY:.2f} % | Epochs | Highest | All epochs, minutes | Test accuracy |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in found["runs"]:
        minutes = "not reached" if run["minutes"] is None else f"{run['minutes']:.2f} (epoch {run['epoch']})"
        highest = "" if run["highest"] is None else f"{100 * run['highest']:.2f} %"
        early = ", out of time" if run["stopped_early"] else ""
        lines.append(
            f"| {run['name']} | {run['precision']} | {minutes} | {run['epochs']}{early} | {highest} "
            f"| {run['run_minutes']:.2f} | {100 * run['test_accuracy']:.2f} % |"
        )
    return lines


if __name__ == "__main__":
    command.run(main)
