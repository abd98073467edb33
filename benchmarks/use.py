"""How fast a saved network is in use: many beats in batches, and one beat at a time.

    python benchmarks/use.py MODEL.keras [--seconds N]

Prints the size of the file, parameters, multiply-adds, beats a second in batches, and milliseconds for one beat
through ``predict_on_batch``, which is compiled once, beside ``predict``, which prepares for a data set at each
call. The beats are random pixels: a network takes the same time for all.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.runs.networks import load_model, multiply_adds, read_classes

import numpy as np


def main(arguments: list[str]) -> None:
    """Load the network, time it, print a table."""
    parser = command.Parser(prog="use.py", description=__doc__)
    parser.add_argument(
        "model", metavar="MODEL.keras", type=Path, help="a network, such as best.keras of a run"
    )
    parser.add_argument(
        "--seconds", type=command.positive_number, default=5, metavar="N", help="for each row (default 5)"
    )
    options = parser.parse_args(arguments)

    read_classes(options.model)
    with command.quiet_import():
        model, _ = load_model(options.model)
    one, many = (
        np.random.default_rng(0).integers(0, 256, (size, *model.input_shape[1:]), dtype=np.uint8)
        for size in (1, 128)
    )
    batch = median_seconds(lambda: model.predict_on_batch(many), options.seconds)
    single = median_seconds(lambda: model.predict_on_batch(one), options.seconds)
    slow = median_seconds(lambda: model.predict(one, verbose=0), options.seconds)
    print(f"| {options.model.name}, {command.available_cores()} cores | |\n| --- | ---: |")
    print(f"| file | {options.model.stat().st_size / 1e6:.2f} MB |")
    print(f"| parameters | {model.count_params():,d} |")
    print(f"| multiply-adds | {multiply_adds(model):,d} |")
    print(f"| beats/s, batches of {len(many)} | {len(many) / batch:,.0f} |")
    print(f"| one beat, predict_on_batch | {1000 * single:.1f} ms |")
    print(f"| one beat, predict | {1000 * slow:.1f} ms |")


def median_seconds(call, seconds: float) -> float:
    """Return the median time of a call, repeated for so many seconds after three that are not counted."""
    for _ in range(3):
        call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


if __name__ == "__main__":
    command.run(main)
