"""Records to images: make_dataset.py beside one matplotlib figure for each beat, in one run.

    python benchmarks/records_to_images.py RECORDS [--seconds N]

The peer is what public implementations of the paper do for a beat: make a figure without axes, plot, save it,
read it again in gray, resize it to 128x128, write it, in one process. make_dataset.py is timed from the command to its
end, with its imports. A second table tells where the time goes: make_dataset.py once more, within this process, with a
clock around each of its stages (where processes are forked: Linux).
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
from ecgbeats.images.image_files import encode
from ecgbeats.records.wfdb_files import find_records, read_record

import cv2
import numpy as np

import make_dataset


def main(arguments: list[str]) -> int | None:
    """Time both, and print their rates and the ratio."""
    parser = command.Parser(prog="records_to_images.py", description=__doc__)
    parser.add_argument("records", metavar="RECORDS", type=Path, help="a folder of WFDB records")
    parser.add_argument(
        "--seconds",
        type=command.positive_number,
        default=20,
        help="for the peer, half before and half after (default 20)",
    )
    options = parser.parse_args(arguments)
    if not find_records(options.records):
        raise InputError(
            f"{options.records} holds no WFDB records; give the folder that holds the .hea files"
        )
    cores = command.available_cores()
    script = Path(make_dataset.__file__)
    with tempfile.TemporaryDirectory() as folder:
        before = matplotlib_rate(options.records, Path(folder), options.seconds / 2)
        started = time.perf_counter()
        process = subprocess.run(
            [sys.executable, script, options.records, "--output", f"{folder}/data"], check=False
        )
        seconds = time.perf_counter() - started
        if process.returncode:  # it has said why
            return process.returncode
        # On both sides, since the machine's speed drifts.
        peer = (before + matplotlib_rate(options.records, Path(folder), options.seconds / 2)) / 2
        images = sum(1 for _ in Path(folder, "data").glob("*/*.png"))
        ours = images / seconds
        print(f"\n| {cores} cores | images/s |\n| --- | ---: |")
        print(f"| matplotlib, one figure a beat, one process | {peer:,.1f} |")
        print(f"| make_dataset.py, {images:,d} images, files written | {ours:,.0f} |")
        print(f"| ratio (target 300) | {ours / peer:,.0f} |")
        # Beside the others, which stay until the end: ext4 passes over the inodes of files that were removed in the
        # last minutes one by one, so that each new file takes several times as long.
        print_profile(options.records, Path(folder) / "again", cores)
    return None


STAGES = ("reading the records", "drawing", "encoding", "writing the files")


def print_profile(records: Path, folder: Path, cores: int) -> None:
    """Make the images once more, with a clock around each stage, and print where the processors' time goes."""
    spent = multiprocessing.Array("d", len(STAGES))
    own = [0.0] * len(STAGES)  # of this process, until its record is done

    def timed(stage: int, function):
        @functools.wraps(function)
        def call(*arguments):
            started = time.thread_time()
            result = function(*arguments)
            own[stage] += time.thread_time() - started
            return result

        return call

    def drawer(record):
        return timed(1, DRAWINGS["paper"](record))

    @functools.wraps(make_dataset.draw_record)
    def draw_record(*arguments):
        own[:] = [0.0] * len(STAGES)
        result = drawn(*arguments)
        with spent.get_lock():
            for stage, seconds in enumerate(own):
                spent[stage] += seconds
        return result

    paper_drawer, drawn = beats.DRAWINGS["paper"], make_dataset.draw_record
    beats.DRAWINGS["paper"], make_dataset.draw_record = drawer, draw_record
    read_record = timed(0, read_record)
    encode = timed(2, encode)
    make_dataset.write_new = timed(3, make_dataset.write_new)
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # apart from the tables
        make_dataset.main([str(records), "--output", str(folder)])
    whole = (time.perf_counter() - started) * cores
    images = sum(1 for _ in folder.glob("*/*.png"))
    rows = dict(zip(STAGES, spent, strict=True))
    rows["choice of beats, preview, waiting"] = whole - sum(spent)
    print(
        f"\n| {cores} cores x the time of another run, {images:,d} images | µs an image | |\n| --- | ---: | ---: |"
    )
    for stage, seconds in rows.items():
        print(f"| {stage} | {1e6 * seconds / images:.1f} | {seconds / whole:.0%} |")


def matplotlib_rate(records: Path, folder: Path, seconds: float) -> float:
    """Return how many beats a second one process draws with matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    name = find_records(records)[0]
    record = read_record(records / name)
    bounds = windows(record.samples, record.rate, len(record.signal))
    order = np.random.default_rng(0).permutation(len(bounds))
    path = str(folder / "figure.png")
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


if __name__ == "__main__":
    command.run(main, seconds_to_unwind=60)  # there may be 200,000 files to remove
