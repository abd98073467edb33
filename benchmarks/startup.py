"""How long does it take until the first batch is trained, and where does that go?

    python benchmarks/startup.py --data DIR [--rounds N] [options of train_keras.py]

Everything runs in fresh processes. `train_keras.py --help` is timed as a whole, beside Python doing nothing. For the
first batch train_keras.py's main function runs as a user would start it; the functions that it calls in turn are
wrapped to note the time, and the process ends after its second batch. run.sh's part is what `bash run.sh --help` takes.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import list_folder

import numpy as np

from benchmarks import harness

# What is noted when, in order: a name for the time since the one before.
PARTS = (
    "of that: Python, and the imports of train_keras.py",
    "reading the options",
    "reading and checking the images",
    "splitting, and importing TensorFlow and Keras",
    "finding the devices",
    "config.json, batches",
    "building and compiling the network",
    "fit's preparations, tracing, the first batch",
    "the second batch",
)


def main(arguments: list[str]) -> None:
    """Time both, and print where the time goes."""
    if arguments[:1] == ["--train"]:
        train_two_batches(*arguments[1:])
        return
    data, rounds = (Path, "images, one sub-folder for each class"), (5, "turns of each")
    options, rest = harness.parser(__doc__, data=data, rounds=rounds).parse_known_args(arguments)
    list_folder(options.data)  # says in one line what is wrong with it
    shown = [str(harness.PROJECT / "train_keras.py"), "--help"]
    turns = {
        "`python train_keras.py --help` (target: below 0.5)": lambda: seconds_of(shown),
        "of that, Python itself": lambda: seconds_of(["-c", "pass"]),
        "parts": lambda: parts_of_start(["--data", str(options.data), *rest]),
    }
    found = harness.take_turns(turns, options.rounds)
    runs = found.pop("parts")
    found["to the first batch trained, with options " + " ".join(rest)] = [sum(run[:-1]) for run in runs]
    found |= zip(PARTS, zip(*runs, strict=True), strict=True)
    rows = [[name, harness.spread(values, "{:.2f}".format)] for name, values in found.items()]
    print(harness.table(["seconds", "median (range)"], rows))


def seconds_of(words: list[str]) -> float:
    """Return the seconds that Python takes with these arguments. Raises InputError if it fails."""
    started = time.perf_counter()
    result = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if result.returncode:
        said = (result.stderr.strip().splitlines() or ["nothing"])[-1].removeprefix("error: ")
        raise InputError(f"{' '.join(words[:2])} ended with status {result.returncode}: {said}")
    return seconds


def parts_of_start(arguments: list[str]) -> list[float]:
    """Return the seconds of each of PARTS in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder, "times.json")
        started = time.time()
        seconds_of([__file__, "--train", str(times), "--output", f"{folder}/run", *arguments])
        if not times.exists():
            raise InputError("--data: these images make less than two batches; give a smaller --batch-size")
        return np.diff([started, *json.loads(times.read_text())]).tolist()


def train_two_batches(path: str, *arguments: str) -> None:
    """In the new process: be train_keras.py until its second batch is trained, then write the times and end."""
    import train_keras

    times = [time.time()]

    def batch_ended(_recorder, batch, logs=None):
        times.append(time.time())
        if batch == 1:
            Path(path).write_text(json.dumps(times))
            os._exit(0)

    def noted(function, *arguments, **named):
        times.append(time.time())
        result = function(*arguments, **named)
        times.append(time.time())
        return result

    fit = train_keras.fit

    def fit_two_batches(*arguments):
        from ecgbeats.runs.recorder import Recorder

        Recorder.on_train_batch_end = batch_ended
        return fit(*arguments)

    train_keras.fit = fit_two_batches
    for name in ("load_data", "choose_devices", "build"):
        setattr(train_keras, name, functools.partial(noted, getattr(train_keras, name)))
    train_keras.main(list(arguments))


if __name__ == "__main__":
    command.run(main)
