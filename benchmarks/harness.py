"""What the benchmarks share: fresh processes that take turns, medians with ranges, tables, the machine.

No framework is imported here: a process that measures one of them holds no other.
"""

import argparse
import contextlib
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.process import terminal

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("tensorflow", "jax", "keras", "torch", "numpy", "opencv-python-headless")
WARM_UP = 3  # calls that are not timed: the first compiles, those after it may still allocate


class Failed(Exception):
    """A measurement's process ended with an error; the text says which."""


def parser(about: str, **known: tuple) -> command.Parser:
    """Return the parser of a script's options.

    ``known`` has for each its default, or its type where it has none, and what it is for; then, if need be, what there
    is to choose from. A list takes several values, a folder (Path) has to be given unless False comes third, numbers are
    above 0 unless the default is 0, ``bool`` is a flag.
    """
    made = command.Parser(prog=Path(sys.argv[0]).name, description=about)
    for name, (default, words, *choices) in known.items():
        values = default if isinstance(default, list) else [default]
        kind = default if isinstance(default, type) else type(values[0])
        options = {"help": words}
        if kind is bool:
            options["action"] = "store_true"
        else:
            reads = {int: command.whole_number(0 if 0 in values else 1), float: command.positive_number}
            options["type"], options["required"] = reads.get(kind, kind), default is Path and not choices
            options["metavar"] = {int: "N", float: "X", str: "NAME"}.get(kind, "PATH")
            if default is not kind:
                options |= {"default": default, "help": f"{words} (default {' '.join(map(str, values))})"}
            if default is values:
                options["nargs"] = "+"
            if choices and choices[0]:
                options["choices"] = choices[0]
        made.add_argument(f"--{name.replace('_', '-')}", **options)
    return made


def train_options(**given) -> argparse.Namespace:
    """Return the options of train_keras.py; what is not given, or None, is its default."""
    import train_keras

    named = {"data": ".", "output": "."} | given
    words = [f"--{name.replace('_', '-')}={value}" for name, value in named.items() if value is not None]
    return train_keras.read_options(words)


@contextlib.contextmanager
def worker(environment: dict[str, str] | None = None) -> Iterator[Callable]:
    """Start a fresh process that lasts as long as the block; yield ``call(function, *arguments, **named)``.

    That returns what the function, of the top level of a module, returns in the process, whose prints go to standard
    error. It raises the function's InputError; Failed if it raises anything else, or the process ends. ``environment``
    are variables that the process has beside those of this one.
    """
    spawn = multiprocessing.get_context("spawn")  # a forked one would have what is imported here
    pipe, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, environment or {}))
    process.start()
    theirs.close()  # so that each side notices when the other ends

    def call(function: Callable, *arguments, **named):
        try:
            pipe.send((function, arguments, named))
            problem, said = pipe.recv()
        except (EOFError, OSError):
            process.join()
            hint = "; is there too little memory?" if process.exitcode < 0 else ""
            raise Failed(f"a measurement's process ended with status {process.exitcode}{hint}") from None
        if problem is not None:
            raise problem(said)
        return said

    try:
        yield call
    except BaseException:
        process.terminate()  # it may be in the midst of a call
        raise
    finally:
        pipe.close()
        process.join()


def _serve(pipe, environment: dict[str, str]) -> None:
    """Be a worker's process: answer calls until the pipe is closed."""
    command.start_worker()
    os.environ.update(environment)  # no framework has been imported yet
    os.dup2(2, 1)  # standard output is for the tables
    while True:
        try:
            function, arguments, named = pipe.recv()
        except EOFError:
            return
        try:
            with command.quiet_import():
                answer = None, function(*arguments, **named)
        except InputError as problem:
            answer = InputError, str(problem)
        except Exception as problem:
            traceback.print_exc()
            answer = Failed, f"{type(problem).__name__}: {problem}"
        pipe.send(answer)


def in_process(function: Callable, *arguments, environment: dict[str, str] | None = None, **named):
    """Return what ``function`` returns in a process of its own; see :func:`worker`."""
    with worker(environment) as call:
        return call(function, *arguments, **named)


def take_turns(ways: dict[object, Callable[[], object]], rounds: int) -> dict[object, list]:
    """Call each of ``ways`` once a round, and return what each returned, round by round.

    They go forwards and backwards by turns, so that a machine which slows down does so for all.
    """
    found = {name: [] for name in ways}
    for number in range(rounds):
        for name in ways if number % 2 == 0 else reversed(ways):
            found[name].append(ways[name]())
        print(f"round {number + 1} of {rounds}", file=terminal(), flush=True)
    return found


def median_seconds(call: Callable[[], object], seconds: float) -> float:
    """Return the median time of a call that returns when its work is done, repeated for so many seconds."""
    for _ in range(WARM_UP):
        call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def figure(value: float) -> str:
    """Return a figure with three digits or more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratios(ours: list[float], others: list[float]) -> list[float]:
    """Return how many times the others' figure ours is, within each round."""
    return [one / other for one, other in zip(ours, others, strict=True)]


def spread(values: list[float], show: Callable[[float], str] = figure) -> str:
    """Return the median of some figures and, where they are several, their range."""
    around = f" ({show(min(values))} to {show(max(values))})" if len(values) > 1 else ""
    return show(statistics.median(values)) + around


def interval(values: list[float], show: Callable[[float], str] = figure) -> str:
    """Return the median of some figures and its 95 % interval: that of the medians of figures drawn from them."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return f"{show(statistics.median(values))} ({show(low)} to {show(high)})"


def table(header: list[str], rows: list[list], left: int = 1) -> str:
    """Return a Markdown table; the first ``left`` columns are of words, the others of figures."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (header, rule, *rows))


def commit() -> str:
    """Return the project's commit, marked where files were changed since; "unknown" without git."""
    words = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe_machine(gpus: list[str]) -> str:
    """Return a table of when and where this runs, and with which versions."""
    versions = {"project": command.VERSION, "Python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    rows = {
        "Date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "Processor": f"{_processor()}, {command.available_cores()} cores",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "GPU": ", ".join(gpus) or "none",
        "Versions": ", ".join(f"{name} {found}" for name, found in versions.items()),
    }
    return table(["Machine", ""], [*rows.items()], left=2)


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):  # not on every system
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def gpu_names() -> list[str]:
    """Return what ``nvidia-smi -L`` lists, without the identifiers; [] where it does not answer."""
    try:
        lines = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.partition(" (UUID")[0] for line in lines.splitlines() if line.startswith("GPU")]
