"""Score frozen networks once: all that a sitting on new patients tells, from finished runs of train_keras.py.

    python benchmarks/new_patients/sitting.py RUN [RUN ...] --source SOURCE --output DIR --reason WORDS
        [--noise DB ...] [--noise-protocol NAME]

Each RUN is a run folder. Runs of the same list of records are seeds of one recipe. Writes sitting.json, tables in
sitting.md, and noise.csv and noise.png: the test records of one protocol, from --source, with noise. The same command goes
on after an interruption; a sitting that is written is not written again.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError

from benchmarks import harness
from benchmarks.new_patients import by_protocol, noise_curve


def main(arguments: list[str]) -> None:
    """Check the runs, draw and predict the noisy beats, write the results."""
    options = read_options(arguments)
    runs = by_protocol.read_runs(options.runs)
    noisy = options.noise_protocol or next(iter(runs))
    if noisy not in runs:
        raise InputError(f"--noise-protocol {noisy}: no run is of it; choose from {', '.join(runs)}")
    command.make_folder(options.output)
    scored = {name: [by_protocol.score_run(run) for run in of] for name, of in runs.items()}
    noise = noise_curve.measure(runs[noisy], options.source, options.noise, options.output)
    noise_curve.write(noise, options.output)
    about = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": harness.commit(),
        "reason": options.reason,
        "runs": [str(folder) for folder in options.runs],
    }
    text = f"{about['date']}, commit {about['commit']}: {options.reason}\n\n" + by_protocol.describe(scored)
    text += f"\nWith noise, {noisy}:\n\n" + noise_curve.describe(noise)
    with command.whole_file(options.output / "sitting.md") as partial:
        partial.write_text(text, encoding="utf-8")
    command.write_json(
        options.output / "sitting.json",
        about | {"protocols": scored, "noise": {"protocol": noisy, "scores": noise}},
    )
    print("\n" + text)


def read_options(arguments: list[str]):
    """Return the command line's options; the folder for the results holds none yet."""
    parser = harness.parser(
        __doc__,
        source=("mitdb", "records of the protocol that is scored with noise, as for make_dataset.py"),
        output=(Path, "folder for the results"),
        noise=([24, 18, 12, 6], "signal-to-noise ratios in decibels"),
        noise_protocol=(str, "whose test records get noise (default that of the first RUN)"),
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--reason", required=True, metavar="WORDS", help="why this sitting is held")
    options = parser.parse_args(arguments)
    command.check_output(options.output)
    if (options.output / "sitting.json").exists():
        raise InputError(f"--output {options.output} holds a sitting; choose another folder")
    return options


if __name__ == "__main__":
    command.run(main)
