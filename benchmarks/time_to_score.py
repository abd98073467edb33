"""How soon `fast` reaches the paper's accuracy, beside the time that `paper` needs for 2,000 images.

    python benchmarks/time_to_score.py DATA [--epochs N] [--images N]

DATA is make_dataset.py's folder of all real beats. Both networks train in this one process, one after the
other: first `paper` on a few batches, in its own recipe, then `fast` by train_keras.py's own function until it
ends. Counted is training alone, without validation, scoring and the compilation before `paper`'s first batch;
`fast`'s compilation is counted in.
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.splits import split_as
from ecgbeats.runs.devices import choose_devices, choose_precision

import train_keras

# Mean accuracy of Jun et al. 2018 (arXiv:1804.06812), over beats.
PAPER_ACCURACY = 0.9905


def main(arguments: list[str]) -> None:
    """Time both, and print the times and the ratio."""
    parser = command.Parser(prog="time_to_score.py", description=__doc__)
    number = command.whole_number(1)
    parser.add_argument("data", metavar="DATA", type=Path, help="images, one sub-folder for each class")
    parser.add_argument(
        "--epochs", type=number, default=2, metavar="N", help="for `fast`, the whole schedule (default 2)"
    )
    parser.add_argument(
        "--images", type=number, default=2000, metavar="N", help="that `paper` trains on (default 2,000)"
    )
    parser.add_argument("--limit", type=number, metavar="N", help="at most N images of each class")
    parser.add_argument("--seed", type=command.whole_number(0), default=0, metavar="N", help="(default 0)")
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as folder:
        runs = {name: run_options(options, name, Path(folder) / name) for name in ("paper", "fast")}
        data = train_keras.load_data(runs["fast"])
        parts = split_as(data.images, vars(runs["fast"]))
        if len(parts.training) < options.images:
            raise InputError(
                f"{options.data} has {len(parts.training):,d} training images; --images asks for {options.images:,d}"
            )
        paper_seconds = train_some(data.images.subset(parts.training), runs["paper"], options.images)
        print(f"paper: {options.images:,d} images in {paper_seconds:.1f} s", flush=True)
        train_keras.train(data, parts, runs["fast"], runs["fast"].output)
        with open(runs["fast"].output / "log.csv", newline="") as stream:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]

    seconds, passed = 0.0, None
    for row in rows:
        seconds += len(parts.training) / row["images_per_second"]
        if row["val_accuracy"] >= PAPER_ACCURACY:
            passed = row
            break
    print(f"\n| | seconds |\n| --- | ---: |\n| `paper`, {options.images:,d} images | {paper_seconds:.1f} |")
    if passed is None:
        best = max(row["val_accuracy"] for row in rows)
        print(
            f"| `fast`, {options.epochs} epochs, at most {best:.2%}: never above the paper's | {seconds:.1f} |"
        )
        return
    print(
        f"| `fast`, to {passed['val_accuracy']:.2%} of {len(parts.validation):,d} validation beats, "
        f"epoch {passed['epoch']:.0f} of {options.epochs} | {seconds:.1f} |"
    )
    print(f"| ratio | {seconds / paper_seconds:.2f} |")


def run_options(options, name: str, output: Path):
    """Return the options of train_keras.py for one of the two networks."""
    arguments = ["--data", str(options.data), "--output", str(output), "--model", name]
    arguments += ["--seed", str(options.seed)]
    if name == "fast":
        arguments += ["--epochs", str(options.epochs)]
    if options.limit:
        arguments += ["--limit", str(options.limit)]
    return train_keras.read_options(arguments)


def train_some(images, options, count: int) -> float:
    """Return the seconds in which a new network trains on ``count`` images, its first batch left out."""
    with command.quiet_import():
        import keras

        from DataGenerator import DataGenerator

        devices, _ = choose_devices(None)
    batches = DataGenerator(images, options.batch_size, seed=options.seed, devices=len(devices))
    precision = choose_precision(options.precision, devices)
    model, _ = train_keras.build(options, precision, len(images.classes), len(batches))
    steps = -(-count // options.batch_size)
    model.train_on_batch(*batches[0])
    started = time.perf_counter()
    for step in range(1, steps + 1):
        # The batch is made between the steps, not beside them: microseconds, where a step takes seconds.
        model.train_on_batch(*batches[step % len(batches)])
    seconds = time.perf_counter() - started
    del model
    keras.backend.clear_session()
    return seconds * count / (steps * options.batch_size)


if __name__ == "__main__":
    command.run(main)
