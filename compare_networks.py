"""Train several networks under equal conditions, and compare them in a table and a figure.

    python compare_networks.py --data DIR --output DIR [--models paper fast ...]

All networks get the same training, validation and test images, in the same order, for the same number of
epochs; learning rate and optimizer are each network's own. Each one's run is a folder of --output, and the
same command goes on after an interruption. Writes comparison.csv, comparison.md and comparison.png.
"""

import argparse
import csv
import io
import json
import os
import platform
from pathlib import Path

import command
from command import InputError

import numpy as np

import scores
import splits
import train_keras
from model_keras import MODELS

COLUMNS = [
    "network",
    "parameters",
    "multiply_adds",
    "seconds",
    "images_per_second",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "sensitivity",
    "sensitivity_low",
    "sensitivity_high",
]


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then write the comparison."""
    options = read_options(arguments)
    command.check_output(options.output)
    check_same(options)
    data = train_keras.load_data(train_options(options, options.models[0]))
    parts = choose_images(data.images, options)
    command.make_folder(options.output)
    command.write_json(options.output / "comparison.json", {"options": equal_conditions(options)})
    rows = []
    for name in options.models:
        run = train_options(options, name)
        print(f"\n{name}: {MODELS[name].description}", flush=True)
        if train_keras.is_finished(run.output, run):
            print("trained before")
        else:
            train_keras.train(data, parts, run, run.output)
        rows.append(describe(name, run.output, len(data.images.classes)))
        write_table(options.output, rows, options, data, parts)
    scores.save_figure(plot(rows, data.note), options.output / "comparison.png")
    print("\n" + (options.output / "comparison.md").read_text())


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="compare_networks.py", description=__doc__)
    add = parser.add_argument
    number = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the runs and the comparison")
    add(
        "--models",
        nargs="+",
        default=list(MODELS),
        metavar="NAME",
        help=f"of {', '.join(MODELS)} (default all)",
    )
    add("--split", choices=splits.SPLITS, default="beats", help="as for train_keras.py (default beats)")
    add("--epochs", type=number, default=4, metavar="N", help="for each network (default 4)")
    add("--batch-size", type=number, default=32, metavar="N", help="images a step (default 32)")
    add("--images", type=number, metavar="N", help="train on at most N images of each class (default all)")
    add(
        "--test-images",
        type=number,
        metavar="N",
        help="validate and test on at most N images of each class each (default all)",
    )
    add("--devices", type=number, metavar="N", help="as for train_keras.py")
    add(
        "--seed",
        type=command.whole_number(0),
        default=0,
        metavar="N",
        help="of split, weights and order (default 0)",
    )
    options = parser.parse_args(arguments)
    for name in options.models:
        if name not in MODELS:
            parser.error(f"--models {name}: no such network; choose from {', '.join(MODELS)}")
    options.models = list(dict.fromkeys(options.models))
    return options


def train_options(options: argparse.Namespace, name: str) -> argparse.Namespace:
    """Return the options of train_keras.py for one of the networks."""
    arguments = [
        "--data",
        str(options.data),
        "--output",
        str(options.output / name),
        "--model",
        name,
        "--resume",
    ]
    for key in ("split", "epochs", "batch_size", "seed", "devices"):
        value = getattr(options, key)
        if value is not None:
            arguments += [f"--{key.replace('_', '-')}", str(value)]
    return train_keras.read_options(arguments)


def equal_conditions(options: argparse.Namespace) -> dict:
    """Return the options that all networks of a comparison share."""
    return {
        key: getattr(options, key)
        for key in ("split", "epochs", "batch_size", "images", "test_images", "seed")
    }


def check_same(options: argparse.Namespace) -> None:
    """Raise InputError if --output holds a comparison under other conditions."""
    path = options.output / "comparison.json"
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text())["options"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); choose another --output") from problem
    if before != equal_conditions(options):
        raise InputError(
            f"--output {options.output} holds a comparison with other options ({before}); choose another"
        )


def choose_images(images, options: argparse.Namespace) -> splits.Split:
    """Return the parts that all networks share: of each class at most as many images as asked for."""
    split = splits.split_images(images.names, images.labels, images.classes, options.split, options.seed)
    random = np.random.default_rng([options.seed, 1])

    def thin(part: np.ndarray, most: int | None) -> np.ndarray:
        if most is None:
            return part
        labels = images.labels[part]
        kept = [
            random.choice(part[labels == label], min(most, (labels == label).sum()), replace=False)
            for label in np.unique(labels)
        ]
        return np.sort(np.concatenate(kept))

    return splits.Split(
        thin(split.training, options.images),
        thin(split.validation, options.test_images),
        thin(split.test, options.test_images),
    )


def describe(name: str, folder: Path, classes: int) -> dict:
    """Return the row of one network, from its run folder."""
    import plot_logs
    from model_keras import build_model, multiply_adds

    metrics = json.loads((folder / "metrics.json").read_text())
    log = plot_logs.read_log(folder / "log.csv")
    model = build_model(name, classes)
    intervals = metrics["intervals"]
    row = {
        "network": name,
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model),
        "seconds": round(float(log["seconds"].sum())),
        # The first epoch holds the compilation.
        "images_per_second": float(np.median(log["images_per_second"][min(1, len(log["epoch"]) - 1) :])),
    }
    for key in ("accuracy", "sensitivity"):
        low, high = intervals[key] or (None, None)
        row |= {key: metrics[key], f"{key}_low": low, f"{key}_high": high}
    return row


def write_table(folder: Path, rows: list[dict], options, data, parts) -> None:
    """Write comparison.csv, and comparison.md with the conditions in words."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with command.whole_file(folder / "comparison.csv") as path:
        path.write_text(text.getvalue())
    lines = [
        "| Network | Parameters | Multiply-adds | Seconds | Images/s | Accuracy (95 % interval) | Mean sensitivity |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['network']} | {row['parameters'] / 1e6:.2f} M | {row['multiply_adds'] / 1e9:.3f} G "
            f"| {row['seconds']:,d} | {row['images_per_second']:.1f} | {_percent(row, 'accuracy')} "
            f"| {_percent(row, 'sensitivity')} |"
        )
    sizes = ", ".join(f"{part} {len(getattr(parts, part)):,d}" for part in splits.PARTS)
    lines += [
        "",
        f"{options.epochs} epochs, batch size {options.batch_size}, split over {options.split}, seed {options.seed}; "
        f"images: {sizes}; {platform.machine()} with {os.cpu_count()} cores.",
    ]
    if data.note:
        lines.append(data.note)
    with command.whole_file(folder / "comparison.md") as path:
        path.write_text("\n".join(lines) + "\n")


def _percent(row: dict, key: str) -> str:
    """Return a score with its interval in percent."""
    text = f"{100 * row[key]:.1f} %"
    if row[f"{key}_low"] is not None:
        text += f" ({100 * row[f'{key}_low']:.1f} to {100 * row[f'{key}_high']:.1f})"
    return text


def plot(rows: list[dict], note: str | None = None):
    """Return a figure of accuracy and mean sensitivity against multiply-adds, with their intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from plot_logs import COLOURS, DPI

    figure = Figure(figsize=(7.2, 4.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, key, title in zip(
        figure.subplots(1, 2, sharex=True),
        ("accuracy", "sensitivity"),
        ("Accuracy", "Mean sensitivity"),
        strict=True,
    ):
        for number, row in enumerate(rows):
            middle = 100 * row[key]
            low, high = row[f"{key}_low"], row[f"{key}_high"]
            errors = None if low is None else [[middle - 100 * low], [100 * high - middle]]
            colour = COLOURS[number % len(COLOURS)]
            axes.errorbar(row["multiply_adds"] / 1e9, middle, errors, fmt="o", capsize=3, color=colour)
            axes.annotate(
                row["network"],
                (row["multiply_adds"] / 1e9, middle),
                (6, 4),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set_xscale("log")
        axes.margins(x=0.2)
        axes.set(xlabel="Multiply-adds per image (billions)", ylabel=f"{title} (%)", title=title)
        axes.grid(alpha=0.3)
    if note:
        figure.suptitle(note, fontsize=9)
    return figure


if __name__ == "__main__":
    command.run(main)
