"""All benchmarks, one after another, into one Markdown file with the machine and the versions.

    python benchmarks/run.py [--quick] [--data DIR] [--records DIR] [--output FILE.md]

Without --data the images are drawn from the records first. A benchmark that fails is reported with its error,
and the others go on; the exit status is then 1. The file is written anew after each benchmark. Keep the
machine quiet meanwhile: the load that other work made before a benchmark stands in the file.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import list_folder
from ecgbeats.records.wfdb_files import find_records

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent
PACKAGES = ("tensorflow", "jax", "keras", "torch", "numpy", "opencv-python-headless")
# Records that --quick takes instead of all.
QUICK_RECORDS = 4


@dataclass(frozen=True)
class Benchmark:
    """One script and its arguments.

    Attributes
    ----------
    name : str
    arguments, quick : str
        Separated by blanks; DATA, RECORDS and OUTPUT stand for folders. ``quick`` is for --quick; None leaves
        the benchmark out there.
    script : str, optional
        In this folder (default by the name).
    gpu : bool
        Whether it needs a GPU.
    jax : bool
        Whether it runs in the environment of JAX.
    """

    name: str
    arguments: str
    quick: str | None
    script: str | None = None
    gpu: bool = False
    jax: bool = False

    @property
    def file(self) -> str:
        """The script's name, with its suffix."""
        return self.script or f"{self.name}.py"


BENCHMARKS = [
    Benchmark("records_to_images", "RECORDS", "RECORDS --seconds 2"),
    Benchmark("batches", "--data DATA", "--data DATA --images 300 --rounds 1 --seconds 0.2 --sizes 100"),
    Benchmark(
        "loop", "--data DATA", "--data DATA --model fast --batch-size 8 --steps 2 --rounds 1 --epoch-steps 2"
    ),
    Benchmark("step", "", "--models fast --batch-size 8 --rounds 1 --seconds 0.3 --matrices 256 512"),
    Benchmark(
        "settings",
        "--settings --seconds 5",
        "--settings --only bfloat16 --batch-size 8 --rounds 1 --seconds 0.3",
        script="step.py",
    ),
    Benchmark("startup", "--data DATA", "--data DATA --limit 10 --batch-size 8 --rounds 1"),
    Benchmark("use", "MODEL", "MODEL --seconds 0.3"),
    Benchmark("time_to_score", "DATA", None),
    Benchmark(
        "devices", "--data DATA", "--data DATA --devices 2 --batch-size 8 --steps 3 --precisions float32"
    ),
    Benchmark("scaling", "--gpus", "--gpus --model fast --seconds 1", script="devices.py", gpu=True),
    Benchmark(
        "gpu",
        "--data DATA --output OUTPUT/gpu.json",
        "--data DATA --output OUTPUT/gpu.json --models fast --seconds 1 --matrices 4096 --no-runs",
        gpu=True,
        jax=True,
    ),
]


def main(arguments: list[str]) -> int:
    """Run the benchmarks, and print and write what they found; return 1 if one of them failed."""
    options = read_options(arguments)
    command.check_output(options.output.parent)
    if options.output.is_dir():
        raise InputError(
            f"--output {options.output} is a folder; give a file, such as {options.output}/benchmarks.md"
        )
    if shutil.which(options.jax_python) is None:
        raise InputError(
            f"--jax-python {options.jax_python} is no program; give the Python of that environment"
        )
    chosen = [one for one in BENCHMARKS if not options.only or one.name in options.only]
    needed = " ".join(filter(None, (one.quick if options.quick else one.arguments for one in chosen))).split()
    if "DATA" in needed and options.data:
        list_folder(options.data)
    if ("RECORDS" in needed or ("DATA" in needed and not options.data)) and not find_records(options.records):
        raise InputError(
            f"--records {options.records} holds no WFDB records; give a folder of them, such as MIT-BIH's"
        )
    command.make_folder(options.output.parent)
    gpus = gpu_names()
    sections = [describe_machine(gpus, arguments)]
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        folders = prepare(options, Path(scratch), needed)
        for one in chosen:
            print(f"\n## {one.name}", file=sys.stderr, flush=True)
            text, error = run_benchmark(one, options, folders, gpus)
            if error:
                failed.append(one.name)
                command.fail(f"{one.name}: {error}")
            sections.append(text)
            with command.whole_file(options.output) as path:
                path.write_text("\n\n".join(sections) + "\n")
    print("\n\n".join(sections))
    print(f"\nwritten: {options.output}", file=sys.stderr)
    if failed:
        command.fail(f"{len(failed)} of {len(chosen)} benchmarks failed: {', '.join(failed)}")
    return 1 if failed else 0


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="run.py", description=__doc__)
    add = parser.add_argument
    names = [one.name for one in BENCHMARKS]
    add("--data", metavar="DIR", type=Path, help="make_dataset.py's folder (default: drawn from the records)")
    add(
        "--records",
        metavar="DIR",
        type=Path,
        default=PROJECT.parent / "shared" / "mitdb",
        help="WFDB records (default ../shared/mitdb beside the project)",
    )
    add(
        "--output",
        metavar="FILE.md",
        type=Path,
        default=Path("output/benchmarks.md"),
        help="default output/benchmarks.md",
    )
    add("--quick", action="store_true", help="tiny sizes: does all work? Its figures say nothing")
    add("--only", nargs="+", metavar="NAME", help=f"of {', '.join(names)} (default all)")
    add(
        "--jax-python",
        metavar="FILE",
        default=sys.executable,
        help="the Python of the environment of requirements-jax.txt, for `gpu` (default this one)",
    )
    options = parser.parse_args(arguments)
    for name in options.only or []:
        if name not in names:
            parser.error(f"--only {name}: no such benchmark; choose from {', '.join(names)}")
    return options


def prepare(options: argparse.Namespace, scratch: Path, needed: list[str]) -> dict[str, str]:
    """Return what DATA, RECORDS, OUTPUT and MODEL stand for; draw the images if they are needed and not given."""
    records, data = options.records, options.data
    if options.quick and ("RECORDS" in needed or ("DATA" in needed and not data)):
        records = scratch / "records"
        records.mkdir()
        names = find_records(options.records)
        for name in names[:: -(-len(names) // QUICK_RECORDS)]:
            for file in options.records.glob(f"{name}.*"):
                (records / file.name).symlink_to(file.resolve())
    if data is None and "DATA" in needed:
        data = scratch / "data"
        print("drawing the images", file=sys.stderr, flush=True)
        words = [sys.executable, str(PROJECT / "make_dataset.py"), str(records), "--output", str(data)]
        if options.quick:
            words += ["--limit", "100"]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode:
            raise InputError(f"no images could be drawn: {last_line(result.stderr.splitlines())}")
    return {
        "RECORDS": str(records),
        "DATA": str(data),
        "OUTPUT": str(options.output.parent),
        "MODEL": str(PROJECT / "pretrained" / "fast.keras"),
    }


def run_benchmark(
    one: Benchmark, options: argparse.Namespace, folders: dict[str, str], gpus: list[str]
) -> tuple[str, str | None]:
    """Run one benchmark in a process of its own.

    Returns
    -------
    text : str
        Its section of the file.
    error : str or None
        Why it failed.
    """
    arguments = one.quick if options.quick else one.arguments
    heading = f"## {one.name}\n\n"
    if arguments is None:
        return heading + "Left out of --quick.", None
    if one.gpu and not gpus:
        return heading + "Not run: nvidia-smi finds no GPU here.", None
    words = [folders.get(word, word) for word in arguments.split()]
    words = [word.replace("OUTPUT/", folders["OUTPUT"] + "/") for word in words]
    python = options.jax_python if one.jax else sys.executable
    load = os.getloadavg()[0]
    started = time.time()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [python, str(FOLDER / one.file), *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            errors = deque(maxlen=100)
            for line in process.stderr:
                print(line, end="", file=sys.stderr, flush=True)
                errors.append(line)
            status = process.wait()
        finally:
            stop(process)
        output.seek(0)
        lines = output.read().splitlines()
    heading += (
        f"`python benchmarks/{one.file} {arguments}`".replace(" `", "`")
        + f", {time.time() - started:.0f} s; load before: {load:.1f}"
    )
    # What comes before the first table is progress; what comes after it belongs to it.
    first = next((i for i, line in enumerate(lines) if line.startswith("|")), None)
    if status == 0 and first is not None:
        return f"{heading}\n\n" + "\n".join(lines[first:]).strip(), None
    error = last_line(errors) if status else "printed no table"
    if status < 0:
        error = f"ended by signal {-status}"
    return f"{heading}\n\n**Failed** (status {status}): {error}", error


def stop(process: subprocess.Popen) -> None:
    """End a script that may still run: give it time to end its own processes and to remove its files."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()


def last_line(lines) -> str:
    """Return the last line that is not empty, without ``error:``."""
    kept = [line.strip() for line in lines if line.strip()] or ["it said nothing"]
    return kept[-1].removeprefix("error: ")


# -- the machine ---------------------------------------------------------------------------------------------


def describe_machine(gpus: list[str], arguments: list[str]) -> str:
    """Return a table of when and where this ran, and with which versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    quick = "; **--quick: the figures say nothing**" if "--quick" in arguments else ""
    rows = {
        "Date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()) + quick,
        "Processor": f"{processor()}, {command.available_cores()} cores",
        "Memory": f"{memory:.1f} GiB",
        "GPU": ", ".join(gpus) or "none",
        "System": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    lines = ["| Machine | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)


def processor() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # no Linux
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of what computes; packages that are not installed are left out."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"project": command.VERSION}
    if shutil.which("git"):
        words = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"]
        commit = subprocess.run(words, capture_output=True, text=True, check=False)
        if commit.returncode == 0:
            found["project"] += f" ({commit.stdout.strip()})"
    found["Python"] = platform.python_version()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def gpu_names() -> list[str]:
    """Return what ``nvidia-smi -L`` lists, without the identifiers; [] where it does not answer."""
    if not shutil.which("nvidia-smi"):
        return []
    result = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    if result.returncode:
        return []
    return [line.partition(" (UUID")[0] for line in result.stdout.splitlines() if line.startswith("GPU")]


if __name__ == "__main__":
    command.run(main)
