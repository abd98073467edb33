"""How fast do beats become image files, beside one matplotlib figure for each beat?

    python benchmarks/records_to_images.py RECORDS [--seconds N] [--limit N]

The peer does for a beat what public implementations of the paper do, in one process. make_dataset.py is timed from
the command to its end, with its imports. A second table tells where the time goes: make_dataset.py once more, within
this process, with a clock around each of its stages (where processes are forked: Linux).
"""

import contextlib
import functools
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.drawings.paper import windows
from ecgbeats.process import terminal
from ecgbeats.records.wfdb_files import find_records, read_record

import cv2
import numpy as np

import make_dataset
from benchmarks import harness

STAGES = ("reading the records", "drawing", "encoding", "writing the files")


def main(arguments: list[str]) -> None:
    """Time both, and print their rates, the ratio, and where the time goes."""
    limit = (int, "images of each class at most (default all)")
    parser = harness.parser(__doc__, seconds=(20.0, "for the peer, before and after"), limit=limit)
    parser.add_argument("records", metavar="RECORDS", type=Path, help="a folder of WFDB records")
    options = parser.parse_args(arguments)
    if not find_records(options.records):
        raise InputError(f"{options.records} holds no WFDB records; give the folder with the .hea files")
    cores, seconds = command.available_cores(), options.seconds / 2
    with tempfile.TemporaryDirectory() as folder:
        peer = functools.partial(harness.in_process, matplotlib_rate, options.records, folder, seconds)
        before = peer()
        limit = ["--limit", str(options.limit)] if options.limit else []
        words = [str(options.records), *limit, "--output"]
        command_line = [sys.executable, make_dataset.__file__, *words, f"{folder}/data"]
        started = time.perf_counter()
        process = subprocess.run(command_line, stdout=terminal(), stderr=terminal(), check=False)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(process.returncode)  # it has said why
        peer = (before + peer()) / 2  # on both sides, since the machine's speed drifts
        images = sum(1 for _ in Path(folder, "data").glob("*/*.png"))
        rows = [["matplotlib, one figure a beat, one process", harness.figure(peer)]]
        rows.append([f"make_dataset.py, {images:,d} images, files written", harness.figure(images / seconds)])
        rows.append(["ratio (target 300)", harness.figure(images / seconds / peer)])
        print(harness.table([f"{cores} cores", "images/s"], rows))
        # Beside the others, which stay until the end: ext4 passes over the inodes of files that were removed in the
        # last minutes one by one, so that each new file takes several times as long.
        seconds, spent = profile([*words, f"{folder}/again"])
    whole = cores * seconds
    spent |= {"choice of beats, preview, waiting": whole - sum(spent.values())}
    rows = [[name, f"{1e6 * part / images:.1f}", f"{part / whole:.0%}"] for name, part in spent.items()]
    title = f"{cores} cores x the time of another run, {images:,d} images"
    print("\n" + harness.table([title, "µs an image", ""], rows))


def matplotlib_rate(records: Path, folder: str, seconds: float) -> float:
    """Return how many beats a second one process draws: plot, save, read again in gray, resize, write."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    record = read_record(records / find_records(records)[0])
    bounds = windows(record.samples, record.rate, len(record.signal))
    order = np.random.default_rng(0).permutation(len(bounds))
    path = f"{folder}/figure.png"
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        start, end = bounds[order[done % len(order)]]
        figure = plt.figure(frameon=False)
        plt.plot(record.signal[start:end])
        plt.xticks([])
        plt.yticks([])
        for line in plt.gca().spines.values():
            line.set_visible(False)
        figure.savefig(path)
        plt.close(figure)
        image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(path, cv2.resize(image, (128, 128), interpolation=cv2.INTER_LANCZOS4))
        done += 1
    return done / (time.perf_counter() - started)


def profile(arguments: list[str]) -> tuple[float, dict[str, float]]:
    """Make the images once more; return the seconds it takes, and those of a core that each of STAGES does."""
    spent = multiprocessing.Array("d", len(STAGES))
    own = [0.0] * len(STAGES)  # of a process that draws, until its record is done

    def clocked(stage: int, function):
        @functools.wraps(function)
        def call(*arguments, **options):
            started = time.thread_time()
            result = function(*arguments, **options)
            own[stage] += time.thread_time() - started
            return result

        return call

    whole_record, drawer = make_dataset.draw_record, make_dataset.DRAWINGS["paper"]

    @functools.wraps(whole_record)
    def draw_record(*arguments):
        own[:] = [0.0] * len(STAGES)
        result = whole_record(*arguments)
        with spent.get_lock():
            spent[:] = np.add(spent, own)
        return result

    make_dataset.draw_record = draw_record
    make_dataset.read_record = clocked(0, make_dataset.read_record)
    make_dataset.DRAWINGS["paper"] = lambda record: clocked(1, drawer(record))
    make_dataset.encode = clocked(2, make_dataset.encode)
    make_dataset.write_new = clocked(3, make_dataset.write_new)
    started = time.perf_counter()
    with contextlib.redirect_stdout(terminal()):
        make_dataset.main(arguments)
    return time.perf_counter() - started, dict(zip(STAGES, spent, strict=True))


if __name__ == "__main__":
    command.run(main, seconds_to_unwind=60)  # there may be 200,000 files to remove
