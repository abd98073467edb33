"""Try changes of `fast` and its recipe, one at a time, on beats that no test part of seeds 0 to 2 holds.

    python benchmarks/recipes.py --data DIR --output DIR [--only NAME ...]

DIR of --data is make_dataset.py's folder of all real beats. The beats that train_keras.py --seed 0, 1 or 2 would
test are left out first. Of the others, drawn by class, --images train, 2,000 choose the best epoch, and the rest
(over 60,000 with the defaults) score. Each try is trained by train_keras.py's own function; the same command
goes on after an interruption. Prints a table of all tries that are in --output and writes it to recipes.json.
"""

import argparse
import dataclasses
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.images.splits import Split, split_images
from ecgbeats.runs.folder import is_finished
from ecgbeats.runs.networks import load_model
from ecgbeats.runs.recipe import MOMENTUM
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.scoring import write_scores

import numpy as np

import model_keras
import train_keras

# Test parts of these seeds stay unseen.
SEEDS = (0, 1, 2)
CHOOSING = 2000
# Where an image is moved to, in pixels, for the mean over several views.
VIEWS = (-3, 0, 3)

# The recipe that the tries start from. `fast` took over what was better, so its own differs by now.
START = {"batch_size": 128, "learning_rate": 4e-3}
# Each try: what is said of it, and what is changed. The keys are fields of model_keras.Network, options of
# train_keras.py, or what build() below knows.
TRIES = {
    "base": ("the recipe to start from", {}),
    "again": ("the same, another seed of weights and order", {"seed": 1}),
    "views": ("mean over nine views when scoring, moved by 3 pixels", {}),
    "strides": ("strides of 2 instead of pooling", {"pooling": False}),
    "flatten": ("a weight for each place instead of the mean before the last layer", {"flatten": True}),
    "early": ("a third of the channels moved from the late to the early layers", {"early": True}),
    "wide": ("256 channels in the last convolution, not 160", {"wide": True}),
    "no-shift": ("images not moved", {"shift": 0}),
    "shift-3": ("moved by up to 3 pixels", {"shift": 3}),
    "shift-10": ("moved by up to 10 pixels", {"shift": 10}),
    "crops": ("the paper's nine crops as well", {"augment": True}),
    "no-balance": ("classes drawn as they occur", {"balance": 0.0}),
    "balance-half": ("rare classes oftener yet, `--balance 0.5`", {"balance": 0.5}),
    "smoothing": ("label smoothing of 0.05", {"label_smoothing": 0.05}),
    "averaged": ("weights averaged over the last 100 steps of each epoch", {"average": 0.99}),
    "batch-64": ("batches of 64, learning rate 0.0028", {"batch_size": 64, "learning_rate": 2.8e-3}),
    "batch-256": ("batches of 256, learning rate 0.0056", {"batch_size": 256, "learning_rate": 5.6e-3}),
    "half-rate": ("learning rate 0.002", {"learning_rate": 2e-3}),
    "double-rate": ("learning rate 0.008", {"learning_rate": 8e-3}),
    "decay": ("weight decay 0.05", {"weight_decay": 0.05}),
    "one-cycle": ("learning rate rising for 30 % of the steps, not 10 %", {"warm_up": 0.3}),
    "constant": ("constant learning rate 0.001", {"constant": True, "learning_rate": 1e-3}),
    "momentum": ("batch normalization's momentum 0.99 instead of 0.9", {"momentum": 0.99}),
    "no-dropout": ("no dropout", {"dropout": 0.0}),
    "dropout-half": ("dropout 0.5 instead of 0.2", {"dropout": 0.5}),
}


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then print the table."""
    options = read_options(arguments)
    command.check_output(options.output)
    runs = {name: run_options(options, name) for name in options.only}
    to_do = {name: run for name, run in runs.items() if name != "views" and not is_finished(run.output, run)}
    data = parts = None
    if to_do or "views" in runs:
        data = train_keras.load_data(next(iter(runs.values())))
        parts = choose_parts(data.images, options.images)
    for name, run in to_do.items():
        print(f"\n{name}: {TRIES[name][0]}", flush=True)
        train_one(TRIES[name][1], data, parts, run)
    if "views" in runs:
        score_views(options, runs["views"], data, parts)
    summary = {name: sum_up(options.output / name) for name in TRIES if (options.output / name).exists()}
    command.write_json(options.output / "recipes.json", summary)
    print("\n" + describe(summary))


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(
        prog="recipes.py",
        description=__doc__,
        epilog="tries:\n" + "\n".join(f"  {name:<14} {words}" for name, (words, _) in TRIES.items()),
    )
    add = parser.add_argument
    number = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the runs and recipes.json")
    add(
        "--only",
        nargs="+",
        choices=TRIES,
        default=list(TRIES),
        metavar="NAME",
        help="these tries (default all)",
    )
    add("--images", type=number, default=10_000, metavar="N", help="that train (default 10,000)")
    add("--epochs", type=number, default=10, metavar="N", help="(default 10)")
    add("--limit", type=number, metavar="N", help="at most N images of each class")
    return parser.parse_args(arguments)


def run_options(options: argparse.Namespace, name: str) -> argparse.Namespace:
    """Return the options of train_keras.py for one try; MODELS gets its network under the try's name."""
    changes = START | TRIES[name][1]
    fast = model_keras.MODELS["fast"]
    fields = {
        key: value for key, value in changes.items() if key in {f.name for f in dataclasses.fields(fast)}
    }
    shape = {
        key: value
        for key, value in changes.items()
        if key in ("pooling", "flatten", "early", "wide", "dropout")
    }
    build = functools.partial(fast_like, **shape) if shape else fast.build
    model_keras.MODELS[name] = dataclasses.replace(fast, build=build, **fields)
    arguments = ["--data", str(options.data), "--output", str(options.output / name), "--resume"]
    arguments += ["--model", name, "--epochs", str(options.epochs), "--seed", str(changes.get("seed", 0))]
    arguments += ["--shift", str(model_keras.MODELS[name].shift)]
    if changes.get("augment"):
        arguments += ["--augment"]
    if options.limit:
        arguments += ["--limit", str(options.limit)]
    run = train_keras.read_options(arguments)
    run.images = options.images  # in config.json, so that a run on other parts is not taken for this one
    return run


def fast_like(x, pooling=True, flatten=False, early=False, wide=False, dropout=0.2):
    """Build `fast`, or what it could be instead. As it is, it is model_keras.fast, layer by layer."""
    from keras import layers

    def convolution(x, filters, size=3, strides=1):
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM)(x)
        return layers.Activation("relu")(x)

    first, *stages = (
        (32, (64, 64), (64, 80), (112,)) if early else (32, (48, 64), (96, 96), (256 if wide else 160,))
    )
    x = convolution(x, first, size=6, strides=4)
    for stage in stages:
        if pooling:
            x = layers.MaxPooling2D(2)(x)
        for number, filters in enumerate(stage):
            x = convolution(x, filters, strides=1 if pooling or number else 2)
    x = layers.Flatten()(x) if flatten else layers.GlobalAveragePooling2D()(x)
    return layers.Dropout(dropout)(x)


def choose_parts(images, count: int) -> Split:
    """Return ``count`` images that train, CHOOSING that choose the epoch, and as test part all others.

    None of them is in the test part of one of SEEDS.
    """
    from sklearn.model_selection import train_test_split

    unseen = np.zeros(len(images), bool)
    for seed in SEEDS:
        unseen[split_images(images.names, images.labels, images.classes, "beats", seed).test] = True
    rest = np.flatnonzero(~unseen)
    if count + CHOOSING + len(images.classes) > len(rest):
        raise command.InputError(
            f"--images {count:,d}: --data has {len(rest):,d} images outside the test parts, and {CHOOSING:,d} of them "
            "choose the epoch; give fewer"
        )
    labels = images.labels
    training, rest = train_test_split(rest, train_size=count, stratify=labels[rest], random_state=0)
    choosing, scoring = train_test_split(rest, train_size=CHOOSING, stratify=labels[rest], random_state=1)
    return Split(*(np.sort(part) for part in (training, choosing, scoring)))


def train_one(changes: dict, data, parts: Split, run: argparse.Namespace) -> None:
    """Train one try, with its own build()."""
    plain = train_keras.build
    train_keras.build = functools.partial(build, plain, changes)
    try:
        train_keras.train(data, parts, run, run.output)
    finally:
        train_keras.build = plain


def build(plain, changes: dict, options, precision: str, classes: int, steps: int):
    """Do what train_keras.build does, which is ``plain``, with the changes of a try."""
    import keras

    model, schedule = plain(options, precision, classes, steps)
    recipe = model_keras.MODELS[options.model]
    if "momentum" in changes:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = changes["momentum"]
    if "warm_up" in changes:
        warm_up = round(changes["warm_up"] * steps * options.epochs)
        schedule = keras.optimizers.schedules.CosineDecay(
            options.learning_rate / 100,
            steps * options.epochs - warm_up,
            warmup_target=options.learning_rate,
            warmup_steps=warm_up,
        )
    if changes.get("constant"):
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [steps * options.epochs], [options.learning_rate] * 2
        )
    average = {}
    if "average" in changes:
        average = {"use_ema": True, "ema_momentum": changes["average"], "ema_overwrite_frequency": steps}
    loss = keras.losses.SparseCategoricalCrossentropy()
    if "label_smoothing" in changes:
        loss = functools.partial(smoothed_cross_entropy, share=changes["label_smoothing"])
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay, **average),
        loss=loss,
        weighted_metrics=[
            keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy"),
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        ],
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return model, schedule


def smoothed_cross_entropy(true, predicted, share):
    """Return the cross entropy of each image to its class, ``share`` of it spread over all classes."""
    from keras import ops

    logarithms = -ops.log(ops.clip(predicted, 1e-7, 1))
    of_class = ops.take_along_axis(logarithms, ops.reshape(ops.cast(true, "int32"), (-1, 1)), axis=-1)[:, 0]
    return (1 - share) * of_class + share * ops.mean(logarithms, axis=-1)


def score_views(options: argparse.Namespace, run: argparse.Namespace, data, parts: Split) -> None:
    """Score the network of `base` by the mean of its probabilities over nine views of each image."""
    from DataGenerator import shift

    base = options.output / "base" / "best.keras"
    if (run.output / "metrics.json").exists():
        return
    if not base.exists():
        raise command.InputError(f"{base} is missing, and `views` scores that network; run the try base, too")
    model, classes = load_model(base)
    images = data.images.subset(parts.test)
    probabilities = np.zeros((len(images), len(classes)), np.float32)
    for start in range(0, len(images), 512):
        index = np.arange(start, min(start + 512, len(images)))
        whole = images.gather(index)
        for right in VIEWS:
            for down in VIEWS:
                view = np.stack([shift(image, right, down) for image in whole])[..., np.newaxis]
                probabilities[index] += np.asarray(model.predict_on_batch(view)) / len(VIEWS) ** 2
    command.make_folder(run.output)
    write_scores(run.output, images, probabilities, classes, "beats", data.note)


def sum_up(folder: Path) -> dict:
    """Return a try's accuracy, macro sensitivity and cross entropy over the beats that score."""
    if not (folder / "predictions.csv").exists():
        return {}
    true, probabilities, classes = read_predictions(folder / "predictions.csv")[1:]
    scored = score(true, probabilities, classes)
    chosen = np.clip(probabilities[np.arange(len(true)), true], 1e-7, 1)
    return {
        "accuracy": scored["accuracy"],
        "sensitivity": scored["sensitivity"],
        "loss": float(-np.log(chosen).mean()),
        "beats": len(true),
    }


def describe(summary: dict) -> str:
    """Return the tries as a Markdown table."""
    lines = ["| Tried | Accuracy | Mean sensitivity | Loss |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {TRIES[name][0]} | {100 * row['accuracy']:.2f} % | {100 * row['sensitivity']:.1f} % | {row['loss']:.4f} |"
        for name, row in summary.items()
        if row
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main)
