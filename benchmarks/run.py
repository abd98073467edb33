"""All benchmarks, one after another, into one Markdown file with the machine and the versions.

    python benchmarks/run.py [--quick] [--only NAME ...] [--data DIR] [--records DIR] [--output FILE.md]

Without --data the images are drawn from the records first. A benchmark that fails is reported with its error,
and the others go on; the exit status is then 1. The file is written anew after each benchmark. Keep the
machine quiet meanwhile: the load that other work made before a benchmark stands in the file.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import list_folder
from ecgbeats.process import terminal
from ecgbeats.records.wfdb_files import find_records

from benchmarks import harness

FOLDER = Path(__file__).resolve().parent
# By name: a script and its arguments, DATA, RECORDS and MODEL being paths, and what --quick adds.
BENCHMARKS = {
    "records_to_images": ("records_to_images.py RECORDS", "--seconds 2 --limit 100"),
    "batches": ("batches.py --data DATA", "--images 300 --rounds 1 --seconds 0.2"),
    "loop": ("loop.py --data DATA", "--model fast --batch-size 8 --steps 2 --rounds 1 --epoch-steps 2"),
    "step": ("step.py", "--models fast --batch-size 8 --rounds 1 --seconds 0.3 --matrices 256 512"),
    "startup": ("startup.py --data DATA", "--limit 10 --batch-size 8 --rounds 1"),
    "use": ("use.py MODEL", "--seconds 0.3"),
    "time_to_score": ("time_to_score.py DATA", "--limit 8 --batch-size 8 --seconds 1 --epochs 1"),
    "devices": ("devices.py --data DATA", "--devices 2 --batch-size 8 --steps 3 --precisions float32"),
    "scaling": ("devices.py --gpus", "--model fast --seconds 1"),
    "machines": ("machines.py --data DATA", "--batch-size 8 --epochs 2 --rounds 1"),
    "gpu": ("gpu.py --data DATA", "--models fast --seconds 1 --matrices 4096"),
}
NEED_GPU = ("scaling", "gpu")
ON_JAX = ("gpu", "machines")


def main(arguments: list[str]) -> int:
    """Run the benchmarks, and print and write what they found; return 1 if one of them failed."""
    options = harness.parser(
        __doc__,
        quick=(bool, "tiny sizes: does all work? Its figures say nothing"),
        only=([*BENCHMARKS], "which", BENCHMARKS),
        data=(Path, "make_dataset.py's folder, instead of images drawn from the records", False),
        records=(harness.PROJECT.parent / "shared" / "mitdb", "WFDB records"),
        output=(Path("output/benchmarks.md"), "the file to write"),
        jax_python=(
            sys.executable,
            "the Python of the environment of requirements-jax.txt, for `gpu` and `machines`",
        ),
    ).parse_args(arguments)
    needed = {word for name in options.only for word in BENCHMARKS[name][0].split()}
    drawn = "DATA" in needed and not options.data
    check(options, drawn or "RECORDS" in needed)
    command.make_folder(options.output.parent)
    gpus = harness.gpu_names()
    sections = [harness.describe_machine(gpus)] + ["**--quick: the figures say nothing.**"] * options.quick
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        paths = {"RECORDS": options.records, "DATA": options.data or Path(scratch, "data")}
        paths["MODEL"] = harness.PROJECT / "pretrained" / "fast.keras"
        if drawn:
            words = [harness.PROJECT / "make_dataset.py", options.records, "--output", paths["DATA"]]
            words += ["--limit", "100"] if options.quick else []
            if status := subprocess.run(
                [sys.executable, *words], stdout=terminal(), stderr=terminal(), check=False
            ).returncode:
                return status  # it has said why
        for name in options.only:
            print(f"\n## {name}", file=terminal(), flush=True)
            if name in NEED_GPU and not gpus:
                text, error = "Not run: nvidia-smi finds no GPU here.", None
            else:
                line = " ".join(BENCHMARKS[name][: 1 + options.quick])
                python = options.jax_python if name in ON_JAX else sys.executable
                text, error = run_benchmark(python, line, paths)
            if error:
                failed.append(name)
                command.fail(f"{name}: {error}")
            sections.append(f"## {name}\n\n{text}")
            with command.whole_file(options.output) as path:
                path.write_text("\n\n".join(sections) + "\n")
    print("\n\n".join(sections))
    if failed:
        command.fail(f"{len(failed)} of {len(options.only)} benchmarks failed: {', '.join(failed)}")
    return 1 if failed else 0


def check(options: argparse.Namespace, uses_records: bool) -> None:
    """Raise InputError if something is wrong with what the options name."""
    command.check_output(options.output.parent)
    if options.output.is_dir():
        raise InputError(f"--output {options.output} is a folder; give a file, such as benchmarks.md")
    if shutil.which(options.jax_python) is None:
        raise InputError(f"--jax-python {options.jax_python} is no program; give that environment's Python")
    if options.data:
        list_folder(options.data)
    if uses_records and not find_records(options.records):
        raise InputError(f"--records {options.records} holds no WFDB records; give a folder of them")


def run_benchmark(python: str, line: str, paths: dict[str, Path]) -> tuple[str, str | None]:
    """Run one benchmark in a process of its own; return its section of the file, and why it failed or None."""
    script, *words = line.split()
    words = [python, str(FOLDER / script), *(str(paths.get(word, word)) for word in words)]
    load, started, said = os.getloadavg()[0], time.time(), "it said nothing"
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace")
        try:
            for text in process.stderr:
                print(text, end="", file=terminal(), flush=True)
                said = text.strip().removeprefix("error: ") or said
            status = process.wait()
        except BaseException:
            process.terminate()  # it ends its own processes, and removes its files
            process.wait(60)
            raise
        output.seek(0)
        tables = output.read().strip()
    about = f"`python benchmarks/{line}`, {time.time() - started:.0f} s; load before: {load:.1f}\n\n"
    if status == 0 and tables:
        return about + tables, None
    error = said if status > 0 else f"ended by signal {-status}" if status else "printed no table"
    return f"{about}**Failed** (status {status}): {error}", error


if __name__ == "__main__":
    command.run(main)
