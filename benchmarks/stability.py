"""Whether the validation loss of `paper` falls or jumps: the project's recipe beside Keras' own defaults.

    python benchmarks/stability.py --data DIR --output DIR [--images N] [--epochs N]

Both trainings have equal images, epochs and batches, drawn from the training part of --seed; a part of its
validation part validates. `project` is train_keras.py's recipe; `keras-defaults` has what public implementations
leave as it is: batch normalization's momentum 0.99 and Adam at a constant learning rate of 0.001. The same command
goes on after an interruption. Prints, for each, the most that the validation loss rose above its running minimum
after the third epoch, and writes both curves to stability.png.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from ecgbeats import command
from ecgbeats.images.splits import Split, split_images
from ecgbeats.runs.devices import PRECISIONS
from ecgbeats.runs.folder import is_finished
from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.log_plot import plot_training
from ecgbeats.scores.logs import LOG_NAME, read_log, read_note

import numpy as np
import recipes

import train_keras

RUNS = {
    "project": {},
    "keras-defaults": {"constant": True, "momentum": 0.99, "learning_rate": 1e-3},
}
# Before that epoch a network is still finding its way.
FIRST_EPOCH = 4


def main(arguments: list[str]) -> None:
    """Train both, then say how their validation losses went."""
    options = read_options(arguments)
    command.check_output(options.output)
    runs = {name: run_options(options, name) for name in RUNS}
    to_do = [name for name, run in runs.items() if not is_finished(run.output, run)]
    if to_do:
        data = train_keras.load_data(runs["project"])
        parts = choose_parts(data.images, options)
    for name in to_do:
        print(f"\n{name}", flush=True)
        recipes.train_one(RUNS[name], data, parts, runs[name])
    logs = {name: read_log(run.output / LOG_NAME) for name, run in runs.items()}
    note = read_note(runs["project"].output)
    save_figure(plot_training(logs, note=note), options.output / "stability.png")
    print("\n" + describe({name: log["val_loss"] for name, log in logs.items()}))


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="stability.py", description=__doc__)
    add = parser.add_argument
    number = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for both runs and stability.png")
    add("--model", default="paper", metavar="NAME", help="(default paper)")
    add("--images", type=number, default=1000, metavar="N", help="that train (default 1,000)")
    add("--validation", type=number, default=300, metavar="N", help="that validate (default 300)")
    add("--epochs", type=number, default=8, metavar="N", help="(default 8)")
    add("--batch-size", type=number, default=64, metavar="N", help="(default 64)")
    add("--precision", choices=PRECISIONS, default="auto", help="as for train_keras.py")
    add("--seed", type=command.whole_number(0), default=0, metavar="N", help="(default 0)")
    return parser.parse_args(arguments)


def run_options(options: argparse.Namespace, name: str) -> argparse.Namespace:
    """Return the options of train_keras.py for one of RUNS."""
    arguments = ["--data", str(options.data), "--output", str(options.output / name), "--resume"]
    for key in ("model", "epochs", "batch_size", "precision", "seed"):
        arguments += [f"--{key.replace('_', '-')}", str(getattr(options, key))]
    if "learning_rate" in RUNS[name]:
        arguments += ["--learning-rate", str(RUNS[name]["learning_rate"])]
    run = train_keras.read_options(arguments)
    # In config.json, so that a run on other parts is not taken for this one.
    run.images, run.validation = options.images, options.validation
    return run


def choose_parts(images, options: argparse.Namespace) -> Split:
    """Return some of the training and of the validation part of the seed's split, by class; both test."""
    from sklearn.model_selection import train_test_split

    parts = split_images(images.names, images.labels, images.classes, "beats", options.seed)
    some = []
    for name, count in (("training", options.images), ("validation", options.validation)):
        part = getattr(parts, name)
        if not len(images.classes) <= count <= len(part) - len(images.classes):
            raise command.InputError(
                f"--data has {len(part):,d} images in the {name} part, of which {count:,d} cannot be drawn by class; "
                f"give another --{'images' if name == 'training' else name}"
            )
        chosen, _ = train_test_split(
            part, train_size=count, stratify=images.labels[part], random_state=options.seed
        )
        some.append(np.sort(chosen))
    return Split(*some, some[1])


def largest_rise(losses: np.ndarray) -> float:
    """Return the most that a loss was above its running minimum, as a ratio, from FIRST_EPOCH on."""
    return float((losses / np.minimum.accumulate(losses))[FIRST_EPOCH - 1 :].max())


def describe(losses: dict[str, np.ndarray]) -> str:
    """Return a Markdown table of the validation losses of each run."""
    lines = [
        f"| Recipe | Lowest validation loss | Last | Largest ratio to the running minimum, from epoch {FIRST_EPOCH} |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, values in losses.items():
        rise = f"{largest_rise(values):.2f}" if len(values) >= FIRST_EPOCH else "-"
        lines.append(f"| {name} | {values.min():.3f} | {values[-1]:.3f} | {rise} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main)
