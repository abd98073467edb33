"""How fast does a saved network score beats, many in batches and one at a time?

    python benchmarks/use.py MODEL.keras [--seconds N]

``predict_on_batch`` is compiled once, ``predict`` prepares for a data set at each call. The beats are random pixels.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.runs.networks import load_model, multiply_adds

import numpy as np

from benchmarks import harness

BATCH = 128


def main(arguments: list[str]) -> None:
    """Measure the network in a process of its own, and print a table."""
    parser = harness.parser(__doc__, seconds=(5.0, "for each row"))
    parser.add_argument("model", metavar="MODEL.keras", type=Path, help="such as best.keras of a run")
    options = parser.parse_args(arguments)
    parameters, products, *seconds = harness.in_process(measure, options.model, options.seconds)
    rows = [
        ["file", f"{options.model.stat().st_size / 1e6:.2f} MB"],
        ["parameters", f"{parameters:,d}"],
        ["multiply-adds", f"{products:,d}"],
        [f"beats/s, batches of {BATCH}", harness.figure(BATCH / seconds[0])],
        ["one beat, predict_on_batch", f"{1000 * seconds[1]:.1f} ms"],
        ["one beat, predict", f"{1000 * seconds[2]:.1f} ms"],
    ]
    print(harness.table([f"{options.model.name}, {command.available_cores()} cores", ""], rows))


def measure(path: Path, seconds: float) -> tuple:
    """Return a network's parameters and multiply-adds, and the seconds of three calls: many beats, and one, twice."""
    model, _ = load_model(path)
    many = np.random.default_rng(0).integers(0, 256, (BATCH, *model.input_shape[1:]), dtype=np.uint8)
    calls = [lambda: model.predict_on_batch(many), lambda: model.predict_on_batch(many[:1])]
    calls.append(lambda: model.predict(many[:1], verbose=0))
    times = [harness.median_seconds(call, seconds) for call in calls]
    return model.count_params(), multiply_adds(model), *times


if __name__ == "__main__":
    command.run(main)
