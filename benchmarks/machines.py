"""What does it cost to train in two processes instead of one?

    python benchmarks/machines.py --data DIR [--model NAME] [--rounds N]

`train_keras.py` trains on JAX for some epochs: one process with two cores, and two processes with one core each, which
exchange gradients and the statistics of batch normalization over the loopback address, as machines would over a network.
Both compute the same, so the ratio of their speeds is what parting the work costs. The first epoch compiles, and does not
count.
"""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import list_folder
from ecgbeats.process import terminal
from ecgbeats.runs.machines import ADDRESSES, ID, NUMBER
from ecgbeats.scores.logs import read_log

import numpy as np

from benchmarks import harness
from model_keras import MODELS


def main(arguments: list[str]) -> None:
    """Measure, and print the table."""
    options = harness.parser(
        __doc__,
        model=("fast", "network", MODELS),
        data=(Path, "images, one sub-folder for each class"),
        batch_size=(128, "over both processes"),
        epochs=(3, "of each training; the first does not count"),
        rounds=(3, "in which both train once"),
    ).parse_args(arguments)
    if options.epochs < 2:
        raise InputError("--epochs 1: the first epoch does not count; give 2 at least")
    list_folder(options.data)  # says in one line what is wrong with it
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise InputError("this takes two cores; one is here")
    ways = {
        "one process, two cores": lambda: measure_speed([cores[:2]], options),
        "two processes, a core each": lambda: measure_speed([cores[:1], cores[1:2]], options),
    }
    found = harness.take_turns(ways, options.rounds)
    one, two = found.values()
    rows = [[name, harness.spread(speeds)] for name, speeds in found.items()]
    rows.append(["ratio within a round", harness.spread(harness.ratios(two, one))])
    print(harness.table([f"Machines: {options.model}, batches of {options.batch_size}", "images/s"], rows))


def measure_speed(cores: list[list[int]], options) -> float:
    """Return the images/s of a training by a process on each of these lists of cores: the median of its epochs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as scratch:
        words = [
            sys.executable,
            harness.PROJECT / "train_keras.py",
            "--data",
            options.data,
            "--output",
            f"{scratch}/run",
        ]
        for name in ("model", "batch_size", "epochs"):
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        processes = []
        for process, own in enumerate(cores):
            several = (
                {ADDRESSES: address, NUMBER: str(len(cores)), ID: str(process)} if len(cores) > 1 else {}
            )
            processes.append(
                subprocess.Popen(
                    words,
                    env={**os.environ, "KERAS_BACKEND": "jax", **several},
                    stdout=terminal(),
                    stderr=terminal(),
                    preexec_fn=lambda own=own: os.sched_setaffinity(0, own),
                )
            )
        if any([process.wait() for process in processes]):
            raise harness.Failed("a training failed; see what it said")
        return float(np.median(read_log(Path(scratch, "run", "log.csv"))["images_per_second"][1:]))


if __name__ == "__main__":
    command.run(main)
