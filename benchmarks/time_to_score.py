"""How soon is `fast` as often right as the paper, beside the time that `paper` needs for 2,000 images?

    python benchmarks/time_to_score.py DATA [--model NAME] [--epochs N] [--images N]

DATA is make_dataset.py's folder of all real beats. The networks train in processes of their own, one after the other:
first `paper` on one batch, over and over again, since it waits for none (loop.py); then `fast`, or --model, by
train_keras.py's own function until it ends. Counted is training alone, without validation, scoring and the compilation
before `paper`'s first batch; `fast`'s compilation is counted in.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.images.splits import split_as
from ecgbeats.scores.logs import LOG_NAME, read_log

import numpy as np

import train_keras
from benchmarks import harness
from benchmarks.devices import measure_rate
from model_keras import MODELS

PAPER_ACCURACY = 0.9905  # mean of Jun et al. 2018 (arXiv:1804.06812), over beats


def main(arguments: list[str]) -> None:
    """Time both, and print the times and the ratio."""
    parser = harness.parser(
        __doc__,
        model=("fast", f"of {', '.join(MODELS)}", MODELS),
        epochs=(2, "of it, the whole schedule"),
        images=(2000, "that `paper` trains on"),
        batch_size=(MODELS["paper"].batch_size, "of `paper`"),
        seconds=(30.0, "to measure its steps; three at least"),
        limit=(int, "images of each class at most (default all)"),
        seed=(0, "of everything random"),
    )
    parser.add_argument("data", metavar="DATA", type=Path, help="images, one sub-folder for each class")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paper = options.images / options.batch_size
        paper /= harness.in_process(measure_rate, "paper", 1, options.batch_size, options.seconds)
        run = {key: getattr(options, key) for key in ("data", "model", "epochs", "limit", "seed")}
        whole = harness.train_options(**run, output=f"{folder}/run")
        log, trained, validated = harness.in_process(train_whole, whole)
    seconds = np.cumsum(trained / log["images_per_second"])
    first = next((i for i, share in enumerate(log["val_accuracy"]) if share >= PAPER_ACCURACY), None)
    rows = [[f"`paper`, {options.images:,d} images", f"{paper:.1f}"]]
    if first is None:
        best = log["val_accuracy"].max()
        rows.append([f"`{options.model}`, at most {best:.2%}: never above the paper's", f"{seconds[-1]:.1f}"])
    else:
        right = f"{log['val_accuracy'][first]:.2%} of {validated:,d} validation beats"
        words = f"`{options.model}`, to {right}, epoch {first + 1} of {len(seconds)}"
        rows += [[words, f"{seconds[first]:.1f}"], ["ratio", f"{seconds[first] / paper:.2f}"]]
    print(harness.table(["", "seconds"], rows))


def train_whole(run: argparse.Namespace) -> tuple[dict, int, int]:
    """Train as train_keras.py does; return the log, and how many images trained and validated."""
    data = train_keras.load_data(run)
    parts = split_as(data.images, vars(run))
    train_keras.train(data, parts, run, run.output)
    return read_log(run.output / LOG_NAME), len(parts.training), len(parts.validation)


if __name__ == "__main__":
    command.run(main)
