"""How long does a day's recording take from file to review page, and how much memory? Beside NeuroKit's ecg_process.

    python benchmarks/day.py [--records FOLDER] [--hours X] [--neurokit-python PYTHON]

The recording is made of MIT-BIH's records one after another: 24 hours, 360 Hz, two leads, 110,000 beats. Each command
runs in a process of its own. NeuroKit needs an environment of its own, since it wants an older pandas:

    python -m venv .venv-neurokit && .venv-neurokit/bin/pip install -r benchmarks/requirements-neurokit.txt
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.process import terminal
from ecgbeats.records.wfdb_files import find_records

import numpy as np

from benchmarks import harness

RATE = 360
NEUROKIT = """
import sys
import neurokit2, numpy
signals, info = neurokit2.ecg_process(numpy.load(sys.argv[1]), sampling_rate=360)
print(len(info["ECG_R_Peaks"]))
"""


def main(arguments: list[str]) -> None:
    """Make the recording, annotate it, and print seconds and memory."""
    options = harness.parser(
        __doc__,
        records=(harness.PROJECT.parent / "shared" / "mitdb", "WFDB records at 360 Hz, two leads"),
        hours=(24.0, "how long the recording is"),
        neurokit_python=("", "the Python of an environment with NeuroKit"),
    ).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        record = make_recording(options.records, Path(folder), options.hours)
        script = str(harness.PROJECT / "annotate_record.py")
        ways = {"annotate_record.py": [sys.executable, script, str(record), "--output", f"{folder}/out"]}
        if options.neurokit_python:
            ways["NeuroKit's ecg_process"] = [options.neurokit_python, "-c", NEUROKIT, f"{folder}/lead.npy"]
        rows = []
        for name, words in ways.items():
            seconds, cores, memory = measure(words)
            rows.append([name, f"{seconds:.0f}", f"{cores:.0f}", f"{memory:,.0f}"])
        page = Path(folder, "out", f"{record.name}.review.html").stat().st_size / 1e6
    print(harness.table([f"{options.hours:g} hours at {RATE} Hz", "seconds", "of cores", "MB at most"], rows))
    print(f"\nThe review page has {page:.1f} MB.")


def make_recording(records: Path, folder: Path, hours: float) -> Path:
    """Write records one after another as one, again and again until it is long enough, and its first lead alone."""
    import wfdb

    wanted, parts = round(hours * 3600 * RATE), []
    names = find_records(records)
    while sum(map(len, parts)) < wanted:
        parts.append(
            wfdb.rdrecord(str(records / names[len(parts) % len(names)]), physical=False).d_signal[:, :2]
        )
    digital = np.concatenate(parts)[:wanted].astype(np.int16)
    leads = {"fmt": ["212"] * 2, "adc_gain": [200] * 2, "baseline": [1024] * 2, "units": ["mV"] * 2}
    wfdb.wrsamp(
        "day", fs=RATE, sig_name=["MLII", "V1"], d_signal=digital.astype(int), write_dir=str(folder), **leads
    )
    np.save(folder / "lead.npy", ((digital[:, 0] - 1024.0) / 200))
    return folder / "day"


def measure(words: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, those of all cores, and its memory in MB (the largest of its processes)."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=terminal(), stderr=terminal())
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise InputError(f"{' '.join(words[:2])} failed; what it said stands above")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    command.run(main)
