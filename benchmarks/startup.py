"""Start: seconds of `train_keras.py --help`, and from a start to the first batch trained, with where they go.

    python benchmarks/startup.py --data DIR [--limit N] [--model NAME] [--rounds N]

Everything runs in fresh processes. `--help` is timed as a whole, beside Python doing nothing, and Python's own
-X importtime tells what the imports take. For the first batch train_keras.py's main function runs as a user
would start it; the functions that it calls in turn are wrapped to note the time, and the process ends after its
second batch. The parts add up to the whole. run.sh's own preparations are what `bash run.sh --help` takes.
"""

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import list_folder
from ecgbeats.runs.recorder import Recorder

PROJECT = Path(__file__).resolve().parent.parent
HELP_LIMIT = 0.5  # seconds
# What is noted when, in order: a name for the time since the one before.
PARTS = (
    "Python, and the imports of train_keras.py",
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
        train_two_batches(arguments[1:])
    parser = command.Parser(prog="startup.py", description=__doc__)
    add = parser.add_argument
    at_least_one = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--limit", type=at_least_one, metavar="N", help="images of each class (default all)")
    add("--model", default="fast", metavar="NAME", help="the network (default fast)")
    add("--batch-size", type=at_least_one, metavar="N", help="default by network")
    add(
        "--rounds", type=at_least_one, default=5, metavar="N", help="of --help; half for the rest (default 5)"
    )
    options = parser.parse_args(arguments)
    list_folder(options.data)  # says in one line what is wrong with it
    rounds = options.rounds

    helps = [seconds_of([sys.executable, str(PROJECT / "train_keras.py"), "--help"]) for _ in range(rounds)]
    nothing = [seconds_of([sys.executable, "-c", "pass"]) for _ in range(rounds)]
    print("\n| s | best | median |\n| --- | ---: | ---: |")
    print_row(f"`python train_keras.py --help` (target: below {HELP_LIMIT})", helps)
    print_row("of that, Python itself", nothing)
    for name, seconds in imports().items():
        print(f"| of that, `import {name}` | | {seconds:.3f} |")

    runs = [parts_of_start(options) for _ in range(-(-rounds // 2))]
    prepared = prepare_times(-(-rounds // 2))
    images = f"--limit {options.limit}" if options.limit else "all images"
    print(f"\n| s, {images}, --model {options.model} | best | median |\n| --- | ---: | ---: |")
    if prepared:
        print_row("run.sh, before train_keras.py", prepared)
    for name, values in zip(PARTS, zip(*runs, strict=True), strict=True):
        print_row(name, values)
    print_row("from `python train_keras.py` to the first batch trained", [sum(run[:-1]) for run in runs])
    if prepared:
        whole = [before + sum(run[:-1]) for before, run in zip(prepared, runs, strict=True)]
        print_row("from `bash run.sh` to the first batch trained", whole)
    else:
        print("\nrun.sh is left out: it would install packages, since this Python has not the pinned ones.")


def print_row(name: str, values) -> None:
    """Print a row of best and median."""
    print(f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} |", flush=True)


def seconds_of(words: list[str], **options) -> float:
    """Return the seconds that a command takes. Raises InputError if it fails."""
    started = time.perf_counter()
    result = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    seconds = time.perf_counter() - started
    check(words, result)
    return seconds


def check(words: list[str], result: subprocess.CompletedProcess) -> None:
    """Raise InputError with what a command said last, if it failed."""
    if result.returncode:
        said = (result.stderr.strip().splitlines() or ["nothing"])[-1].removeprefix("error: ")
        raise InputError(f"{' '.join(words[:3])} ended with status {result.returncode}: {said}")


def imports(most: int = 3) -> dict[str, float]:
    """Return the packages whose import takes `train_keras.py --help` longest: name, seconds with all they import.

    A package counts where it is imported first, so the seconds of two of them do not overlap.
    """
    words = [sys.executable, "-X", "importtime", str(PROJECT / "train_keras.py"), "--help"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    check(words, result)
    found = {}
    for line in result.stderr.splitlines():
        match = re.fullmatch(r"import time:\s*(\d+) \|\s*(\d+) \|( +)(\S+)", line)
        # Standing at the left: imported by train_keras.py itself.
        if match and len(match[3]) == 1:
            found[match[4]] = int(match[2]) / 1e6
    return dict(sorted(found.items(), key=lambda item: -item[1])[:most])


def prepare_times(rounds: int) -> list[float]:
    """Return the seconds that run.sh takes before the data, or [] where it would install packages first."""
    from importlib.metadata import PackageNotFoundError, version

    pins = re.findall(r"^([\w-]+)==([\w.]+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    try:
        if any(version(name) != pinned for name, pinned in pins):
            return []
    except PackageNotFoundError:
        return []
    words = ["bash", str(PROJECT / "run.sh"), "--devices", "1", "--help"]
    return [seconds_of(words, env={**os.environ, "PYTHON": sys.executable}) for _ in range(rounds)]


def parts_of_start(options) -> list[float]:
    """Return the seconds of each of PARTS in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(Path(__file__).resolve()), "--train", f"{folder}/times.json"]
        words += ["--data", str(options.data), "--model", options.model]
        if options.limit:
            words += ["--limit", str(options.limit)]
        if options.batch_size:
            words += ["--batch-size", str(options.batch_size)]
        started = time.time()
        result = subprocess.run(
            [*words, "--output", f"{folder}/run"], capture_output=True, text=True, check=False
        )
        check(words, result)
        times = [started, *json.loads(Path(folder, "times.json").read_text())]
    return [after - before for before, after in itertools.pairwise(times)]


def train_two_batches(arguments: list[str]) -> None:
    """In the new process: be train_keras.py until its second batch is trained, then write the times and end."""
    import train_keras

    path, *arguments = arguments
    times = [time.time()]

    def note(name: str, before: bool, first=None) -> None:
        """Note when train_keras's function of this name returns, and before it; ``first`` gets its values first."""
        function = getattr(train_keras, name)

        def noted(*values, **named):
            if first:
                first(*values)
            if before:
                times.append(time.time())
            result = function(*values, **named)
            times.append(time.time())
            return result

        setattr(train_keras, name, noted)

    def batch_ended(_recorder, batch, logs=None):
        times.append(time.time())
        if batch == 1:
            Path(path).write_text(json.dumps(times))
            os._exit(0)

    def note_batches(_options, _precision, _classes, steps):

        if steps < 2:
            raise InputError(
                "--data: these images make less than two batches; give more, or a smaller --batch-size"
            )
        Recorder.on_train_batch_end = batch_ended

    note("load_data", before=False)
    note("choose_devices", before=True)
    note("build", before=True, first=note_batches)
    train_keras.main(arguments)


if __name__ == "__main__":
    command.run(main)
