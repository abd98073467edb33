"""Train several networks under equal conditions, and compare them in a table and a figure.

    python compare_networks.py --data DIR --output DIR [--models paper fast ...]

All networks get the same training, validation and test images, in the same order, for the same number of
epochs; learning rate and optimizer are each network's own. Each one's run is a folder of --output. The same
command goes on after an interruption; with other --models it adds them to those that are there. Writes
comparison.csv, comparison.md and comparison.png.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import argparse
import csv
import dataclasses
import io
import math
from pathlib import Path
from typing import TypedDict

from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.dataset import Data
from ecgbeats.images.protocols import PARTS, read_protocol
from ecgbeats.images.splits import Split, split_images
from ecgbeats.reading import Count, read_json
from ecgbeats.runs.config import need_config, read_config
from ecgbeats.runs.devices import release_devices
from ecgbeats.runs.folder import check_unlocked, is_finished, locked
from ecgbeats.scores.figure_style import COLOURS, DPI, clean, save_figure
from ecgbeats.scores.logs import read_run_log
from ecgbeats.scores.metrics_file import read_metrics

import numpy as np

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


class Conditions(TypedDict):
    """The options that all networks of a comparison share."""

    split: str
    epochs: Count
    batch_size: Count
    images: Count | None
    test_images: Count | None
    seed: Count


class Comparison(TypedDict):
    """comparison.json."""

    options: Conditions


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then write the comparison."""
    options = read_options(arguments)
    command.check_output(options.output)
    check_same(options)
    check_unlocked(options.output)
    command.check_backend()
    runs = {name: train_options(options, name) for name in [*trained_before(options), *options.models]}
    finished = [name for name, run in runs.items() if is_trained(run)]
    data = train_keras.load_data(train_options(options, options.models[0]))
    parts = choose_images(data.images, options)
    check_images(runs, data, parts)
    command.make_folder(options.output)
    with locked(options.output):
        compare(options, runs, finished, data, parts)
    print("\n" + (options.output / "comparison.md").read_text(encoding="utf-8"))


def compare(
    options, runs: dict[str, argparse.Namespace], finished: list[str], data: Data, parts: Split
) -> None:
    """Train those of ``runs`` that are not ``finished``, and write the comparison after each."""
    command.write_json(options.output / "comparison.json", {"options": equal_conditions(options)})
    for name in finished:
        print(f"{name}: trained before; remove {runs[name].output} to train it again", flush=True)
    rows = {}
    for name, run in runs.items():
        if name in finished:
            continue
        print(f"\n{name}: {MODELS[name].description}", flush=True)
        train_keras.train(data, parts, run, run.output)
        finished.append(name)
        write_comparison(options, runs, finished, rows, data, parts)
    # Those that were here are described after a training, not before it: to load a network takes hold of
    # the devices, which --devices has to set up first.
    if not rows:
        write_comparison(options, runs, finished, rows, data, parts)


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
    add("--split", default="beats", metavar="PROTOCOL", help="as for train_keras.py (default beats)")
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
        type=command.seed,
        default=0,
        metavar="N",
        help="of split, weights and order (default 0)",
    )
    options = parser.parse_args(arguments)
    read_protocol(options.split)
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


def equal_conditions(options: argparse.Namespace) -> Conditions:
    """Return the options that all networks of a comparison share."""
    return {key: getattr(options, key) for key in Conditions.__annotations__}


def check_same(options: argparse.Namespace) -> None:
    """Raise InputError if --output holds a comparison under other conditions."""
    path = options.output / "comparison.json"
    comparison = read_json(path, Comparison, "choose another --output")
    if comparison is None:
        return
    before = comparison["options"]
    different = [
        f"--{key.replace('_', '-')} (then {before.get(key)}, now {value})"
        for key, value in equal_conditions(options).items()
        if before.get(key) != value
    ]
    if different:
        raise InputError(
            f"--output {options.output} holds a comparison with other options: {', '.join(different)}; "
            "give the same, or choose another --output"
        )


def trained_before(options: argparse.Namespace) -> list[str]:
    """Return the networks beside --models whose finished runs --output holds: they stay in the comparison.

    Raises InputError if one of them is not in MODELS any more.
    """
    names = []
    for path in options.output.glob("*/config.json"):
        folder = path.parent
        config = read_config(folder)
        if folder.name in options.models or config["options"].get("model") != folder.name:
            continue
        if folder.name not in MODELS:
            raise InputError(
                f"{folder} holds a network that is not in MODELS of model_keras.py; move that folder elsewhere, "
                "or choose another --output"
            )
        if config.get("finished"):
            names.append(folder.name)
    return sorted(names, key=list(MODELS).index)


def is_trained(run: argparse.Namespace) -> bool:
    """Return whether a network's run is finished; raise InputError if it had another recipe."""
    try:
        return is_finished(run.output, run)
    except InputError as problem:
        raise InputError(f"{problem}, or remove {run.output} to train it again") from problem


def check_images(runs: dict[str, argparse.Namespace], data: Data, parts: Split) -> None:
    """Raise InputError if a run that was begun had other images than ``parts`` of ``data``."""
    sizes = {part: len(getattr(parts, part)) for part in PARTS}
    for run in runs.values():
        config = read_config(run.output)
        if config and (config.get("data_sha256"), config.get("images")) != (data.checksum, sizes):
            raise InputError(
                f"--data {run.data}: the run in {run.output} had other images; give the same, remove that folder "
                "to train it again, or choose another --output"
            )


def choose_images(images, options: argparse.Namespace) -> Split:
    """Return the parts that all networks share: of each class at most as many images as asked for."""
    split = split_images(images.names, images.labels, images.classes, options.split, options.seed)
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

    return dataclasses.replace(
        split,
        training=thin(split.training, options.images),
        validation=thin(split.validation, options.test_images),
        test=thin(split.test, options.test_images),
    )


def write_comparison(options, runs: dict, finished: list[str], rows: dict[str, dict], data, parts) -> None:
    """Write the comparison of the networks that are trained by now.

    ``rows`` holds what describe() gave for some of them before; the others are added.
    """
    for name in finished:
        if name not in rows:
            rows[name] = describe(name, runs[name].output)
    ordered = [rows[name] for name in runs if name in rows]
    configs = [need_config(runs[row["network"]].output) for row in ordered]
    write_table(options, ordered, configs, parts, data.note)
    save_figure(plot(ordered, data.note), options.output / "comparison.png")


def describe(name: str, folder: Path) -> dict:
    """Return the row of one network, from its run folder."""
    log = read_run_log(folder)
    metrics, row = read_metrics(folder), {}
    for key in ("accuracy", "sensitivity"):
        if metrics[key] is None:
            raise InputError(f"{folder / 'metrics.json'}: no {key}; remove {folder} to train it again")
        # There is no interval of a single record.
        low, high = metrics.get("intervals", {}).get(key) or (None, None)
        row |= {key: metrics[key], f"{key}_low": low, f"{key}_high": high}
    with command.quiet_import():
        # The network as it was trained: its entry in MODELS may have changed since.
        from ecgbeats.runs.networks import load_model, multiply_adds

        model = load_model(folder / "best.keras", IMAGE_SIZE)[0]
    size = {"parameters": model.count_params(), "multiply_adds": multiply_adds(model)}
    del model
    release_devices()
    # The first epoch holds the compilation.
    rates = log["images_per_second"][min(1, len(log["epoch"]) - 1) :]
    speed = {"seconds": round(float(log["seconds"].sum())), "images_per_second": float(np.median(rates))}
    return {"network": name, **size, **speed, **row}


def write_table(options, rows: list[dict], configs: list[dict], parts, note: str | None) -> None:
    """Write comparison.csv, and comparison.md with the conditions in words.

    ``configs`` is config.json of the networks' runs, in the order of ``rows``.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with command.whole_file(options.output / "comparison.csv") as path:
        path.write_text(text.getvalue(), encoding="utf-8")
    lines = [
        "| Network | Parameters | Multiply-adds | Seconds | Images/s | Accuracy (95 % interval) "
        "| Mean sensitivity (95 % interval) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['network']} | {row['parameters'] / 1e6:.2f} M | {row['multiply_adds'] / 1e9:.3f} G "
            f"| {row['seconds']:,d} | {row['images_per_second']:.1f} | {_percent(row, 'accuracy')} "
            f"| {_percent(row, 'sensitivity')} |"
        )
    sizes = ", ".join(f"{part} {len(getattr(parts, part)):,d}" for part in PARTS)
    places = list(dict.fromkeys(f"{', '.join(c['devices'])} ({c['machine']})" for c in configs))
    lines += [
        "",
        f"{options.epochs} epoch{'s' if options.epochs > 1 else ''}, batch size {options.batch_size}, --split {options.split}, seed {options.seed}; "
        f"images: {sizes}; trained on {' and on '.join(places)}.",
    ]
    if len(places) > 1:
        lines.append("Seconds and images/s of different devices do not compare the networks.")
    if note:
        lines.append(note)
    with command.whole_file(options.output / "comparison.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _percent(row: dict, key: str) -> str:
    """Return a score with its interval in percent."""
    text = f"{100 * row[key]:.1f} %"
    if row[f"{key}_low"] is not None:
        text += f" ({100 * row[f'{key}_low']:.1f} to {100 * row[f'{key}_high']:.1f})"
    return text


def plot(rows: list[dict], note: str | None = None):
    """Return a figure of each network's accuracy and mean sensitivity, with intervals, and its multiply-adds.

    Each network has a line of its own, the lightest at the top, so that no two names or intervals meet
    however alike the networks are.

    Parameters
    ----------
    rows : list of dict
        As :func:`describe` returns them; ends of an interval may be None.
    note : str, optional
        Words to print small above.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = sorted(rows, key=lambda row: row["multiply_adds"])
    figure = Figure(figsize=(8, 1.3 + 0.36 * max(len(rows), 3)), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    accuracy, sensitivity, cost = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 2))
    _draw_scores(accuracy, rows, "accuracy", "Accuracy")
    _draw_scores(sensitivity, rows, "sensitivity", "Mean sensitivity")
    _draw_cost(cost, rows)
    for axes in (accuracy, sensitivity, cost):
        clean(axes)
        axes.xaxis.label.set_size(9)
    accuracy.set_yticks(range(len(rows)), [row["network"] for row in rows], parse_math=False)
    accuracy.set_ylim(len(rows) - 0.5, -0.5)
    if note:
        figure.suptitle(note, fontsize=9)
    return figure


def _draw_scores(axes, rows: list[dict], key: str, title: str) -> None:
    """Draw a score of each network with its interval, one below the other."""
    from matplotlib.ticker import MaxNLocator

    places = np.arange(len(rows))
    middle = 100 * np.array([row[key] for row in rows])
    # None becomes NaN, which draws nothing.
    ends = 100 * np.array([[row[f"{key}_low"], row[f"{key}_high"]] for row in rows], float)
    axes.hlines(places, *ends.T, color=COLOURS[0], linewidth=1.3)
    axes.plot(middle, places, "o", color=COLOURS[0], markersize=5)
    low, high = np.nanmin([middle, ends[:, 0]]), np.nanmax([middle, ends[:, 1]])
    # The points stand clear of the frame, at 100 % too, and a tenth of a point does not look like much.
    margin = max(0.06 * (high - low), 0.5 - (high - low) / 2, 0.1)
    low, high = low - margin, high + margin
    axes.set_xlim(low, high)
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = [tick for tick in ticks if max(0, low) <= tick <= min(100, high)]
    axes.set_xticks(ticks, [f"{tick:.10g}" for tick in ticks])
    axes.set_xlabel(f"{title} (%)\nwith its 95 % interval")


def _draw_cost(axes, rows: list[dict]) -> None:
    """Draw each network's multiply-adds on a logarithmic axis of whole decades."""
    billions = np.array([row["multiply_adds"] for row in rows]) / 1e9
    axes.plot(billions, range(len(rows)), "s", color=COLOURS[1], markersize=5)
    first, last = math.floor(math.log10(billions.min())), math.ceil(math.log10(billions.max()))
    decades = 10.0 ** np.arange(first, max(last, first + 1) + 1)
    axes.set_xscale("log")
    margin = max(1.6, (decades[-1] / decades[0]) ** 0.08)
    axes.set_xlim(decades[0] / margin, decades[-1] * margin)
    step = -(-len(decades) // 4)  # at most four labels
    axes.set_xticks(decades[::step], [f"{decade:g}" for decade in decades[::step]])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Multiply-adds\nper image (billions)")


if __name__ == "__main__":
    command.run(main)
