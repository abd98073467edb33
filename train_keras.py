"""Train a network on a folder of beat images, score it on beats it has not seen, and plot the training.

    python train_keras.py --data DIR --output DIR [--model NAME] [--split beats|records|ds1-ds2]

DIR of --data holds one sub-folder of images for each class (make_dataset.py makes one from ECG records).
The run folder --output holds, when it ends: best.keras, log.csv, loss.png, metrics.json, predictions.csv,
confusion_matrix.png and config.json. KERAS_BACKEND=jax trains on JAX's devices, without TensorFlow.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import argparse
import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.dataset import Data, read_description
from ecgbeats.images.folder import Images, limit_images
from ecgbeats.images.splits import PARTS, SPLITS, Split, split_as
from ecgbeats.records.symbols import normal_classes
from ecgbeats.runs.config import describe_run
from ecgbeats.runs.devices import (
    PRECISIONS,
    choose_devices,
    choose_precision,
    choose_workers,
    release_devices,
)
from ecgbeats.runs.feed import feed
from ecgbeats.runs.folder import (
    check_run,
    check_unlocked,
    finish_run,
    is_finished,
    leave_at_signals,
    locked,
    remove_partial_files,
)
from ecgbeats.runs.networks import load_model
from ecgbeats.runs.prediction import predict
from ecgbeats.runs.recipe import compile_model, make_schedule, set_momentum
from ecgbeats.runs.time_limit import TimeIsUp, TimeLimit
from ecgbeats.scores.folds import check_fold_data, gather_folds, is_gathered
from ecgbeats.scores.log_plot import plot_run
from ecgbeats.scores.metrics_file import read_metrics
from ecgbeats.scores.report import write_report
from ecgbeats.scores.scoring import write_scores

import numpy as np

from model_keras import MODELS, build_model


def main(arguments: list[str]) -> None:
    """Check all that the user gave, then train one run, or one for each fold."""
    options = read_options(arguments)
    started = read_start()
    command.check_output(options.output)
    # One after another: how many folds the images allow is not known yet.
    if all(is_finished(folder, run) for folder, run in plan_runs(options)):
        end_without_training(options, [folder for folder, _ in plan_runs(options)])
        return
    check_unlocked(options.output)
    command.check_backend()
    data = load_data(options)
    deadline = started + options.max_hours * 3600 if options.max_hours else None
    if options.folds and options.fold is None:
        train_folds(data, options, deadline)
    else:
        train(data, split_as(data.images, vars(options)), options, options.output, deadline)


def read_start() -> float:
    """Return when the run began, as ``time.time()`` gives it: run.sh counts its own preparations in."""
    text = os.environ.get("RUN_STARTED")
    if not text:
        return time.time()
    with contextlib.suppress(ValueError):
        if math.isfinite(started := float(text)):
            return started
    raise InputError(f"RUN_STARTED={text} is no time in seconds since 1970; unset it")


def plan_runs(options: argparse.Namespace) -> Iterator[tuple[Path, argparse.Namespace]]:
    """Yield the run folders to fill and the options of each: one, or without --fold one for each fold."""
    if not options.folds or options.fold is not None:
        yield options.output, options
        return
    is_finished(options.output, options)  # refuses a folder that holds a single run
    for i in range(options.folds):
        yield options.output / f"fold-{i}", argparse.Namespace(**vars(options) | {"fold": i})


def train_folds(data: Data, options: argparse.Namespace, deadline: float | None) -> None:
    """Train the folds that are not trained yet, one after another, and sum them up."""
    runs = dict(plan_runs(options))
    check_fold_data(list(runs), data.checksum)
    command.make_folder(options.output)
    with locked(options.output):
        to_do = {folder: run for folder, run in runs.items() if not is_finished(folder, run)}
        if done := [folder.name for folder in runs if folder not in to_do]:
            print(f"Trained before: {', '.join(done)}", flush=True)
        for folder, run in to_do.items():
            print(f"\nFold {run.fold} of {options.folds}, in {folder}", flush=True)
            parts = split_as(data.images, vars(run))
            metrics = train(data, parts, run, folder, deadline)
            if metrics["stopped_early"]:
                print("no time left for all folds; go on with --resume")
                return
        gather_folds(options.output, list(runs))


def end_without_training(options: argparse.Namespace, folders: list[Path]) -> None:
    """Sum up folds that were trained one by one, maybe on machines whose images are not here, if need be."""
    if len(folders) == 1 or is_gathered(options.output, folders):
        print(f"{options.output} holds this run, finished; nothing to do.")
        return
    check_fold_data(folders)
    gather_folds(options.output, folders)


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options; those that follow from the network are filled in."""
    parser = command.Parser(prog="train_keras.py", description=__doc__)
    add = parser.add_argument
    at_least_one = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="the run folder to make")
    add("--model", default="fast", metavar="NAME", help=f"one of {', '.join(MODELS)} (default fast)")
    add(
        "--epochs",
        type=at_least_one,
        metavar="N",
        help="rounds over the training images (default by network)",
    )
    add(
        "--batch-size",
        type=at_least_one,
        metavar="N",
        help="images a step, over all devices (default by network)",
    )
    add(
        "--learning-rate",
        type=command.positive_number,
        metavar="X",
        help="its peak: it rises over the first tenth of the steps and falls along a cosine (default by network)",
    )
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="train on the whole image or one of nine crops, drawn at random (default no)",
    )
    add(
        "--augment-classes",
        choices=["all", "arrhythmias"],
        default="all",
        help="arrhythmias: normal beats stay whole, as in the paper (default all)",
    )
    add(
        "--shift",
        type=command.whole_number(0),
        metavar="N",
        help="move training images at random by up to N pixels to each side (default by network and epochs)",
    )
    add(
        "--balance",
        type=command.share,
        metavar="X",
        help="draw rare classes more often: 0 as they occur, 1 all classes alike (default by network)",
    )
    add(
        "--split",
        choices=SPLITS,
        default="beats",
        help="beats: 80/10/10 as the paper; records: patients kept apart; ds1-ds2: the field's list (default beats)",
    )
    add("--folds", type=command.whole_number(2), metavar="K", help="cross-validation with K folds")
    add(
        "--fold",
        type=command.whole_number(0),
        metavar="I",
        help="only fold I of --folds, from 0; with --output DIR/fold-I for each, on as many machines as you like, "
        "the same command without --fold and with --output DIR --resume sums them up",
    )
    add(
        "--keep",
        choices=["best", "last"],
        default="best",
        help="best.keras is the network of the lowest validation loss, or of the last epoch, where validation beats "
        "are of too few patients to choose by (default best)",
    )
    add("--precision", choices=PRECISIONS, default="auto", help="auto: by what the device can do (default)")
    add(
        "--devices",
        type=at_least_one,
        metavar="N",
        help="GPUs, or logical CPU devices (default all GPUs, or 1)",
    )
    add("--limit", type=at_least_one, metavar="N", help="at most N images of each class (default all)")
    add(
        "--max-hours",
        type=command.positive_number,
        metavar="X",
        help="save, score and return before X hours since the start (default no limit)",
    )
    add(
        "--seed",
        type=command.whole_number(0),
        default=0,
        metavar="N",
        help="of everything random (default 0)",
    )
    add("--resume", action="store_true", help="go on with the run that --output holds, if any")
    options = parser.parse_args(arguments)
    check_options(parser, options)
    fill_in_recipe(options)
    return options


def check_options(parser: command.Parser, options: argparse.Namespace) -> None:
    """Leave with an error for options that do not go together or are out of range."""
    if options.model not in MODELS:
        parser.error(f"--model {options.model}: no such network; choose from {', '.join(MODELS)}")
    if options.seed >= 2**32:
        parser.error(f"--seed {options.seed} is too large: it must be below 2**32")
    if options.fold is not None and options.folds is None:
        parser.error("--fold needs --folds: the number of folds")
    if options.augment_classes != "all" and not options.augment:
        parser.error(f"--augment-classes {options.augment_classes} needs --augment")
    if options.fold is not None and options.fold >= options.folds:
        parser.error(
            f"--fold {options.fold} is out of range: {options.folds} folds are numbered 0 to {options.folds - 1}"
        )
    if options.shift is not None and options.shift >= IMAGE_SIZE:
        parser.error(f"--shift {options.shift} is too large: an image has {IMAGE_SIZE} pixels")


def fill_in_recipe(options: argparse.Namespace) -> None:
    """Set what was not given to the network's own, in place."""
    recipe = MODELS[options.model]
    options.epochs = options.epochs or recipe.epochs
    if options.shift is None:  # 0 is a choice, too
        options.shift = min(recipe.shift, options.epochs // 2)
    if options.balance is None:
        options.balance = recipe.balance
    options.batch_size = options.batch_size or recipe.batch_size
    options.learning_rate = options.learning_rate or recipe.learning_rate


def load_data(options: argparse.Namespace) -> Data:
    """Find, limit and check the images, and keep them in memory while they fit."""
    started = time.time()
    images = Images(options.data)
    description = read_description(options.data)
    if options.limit:
        images = limit_images(images, options.limit, options.seed)
    if options.augment and options.augment_classes == "arrhythmias" and not normal_classes(images.classes):
        raise InputError("--augment-classes arrhythmias: --data has no class NOR or N; use all")
    # A split that cannot be made is told before all images are read.
    split_as(images, vars(options))
    checksum = images.check()
    data = Data(images, description, checksum)
    print(
        f"{len(images):,d} images of {len(images.classes)} classes in {options.data} "
        f"({'kept in memory' if images.in_memory else 'read as needed'}, {time.time() - started:.1f} s)"
    )
    if data.note:
        print(data.note, flush=True)
    return data


def train(
    data: Data, parts: Split, options: argparse.Namespace, folder: Path, deadline: float | None = None
) -> dict:
    """Train, score and plot one run.

    Parameters
    ----------
    data : Data
    parts : Split
        Which images train, validate and test.
    options : argparse.Namespace
        As :func:`read_options` returns them.
    folder : pathlib.Path
        The run folder; with --resume, a run that it holds is gone on with.
    deadline : float, optional
        ``time.time()`` before which the run ends, with the best network it has by then.

    Returns
    -------
    dict
        metrics.json's content.
    """
    started = time.time()
    check_run(folder, data, options)  # before Keras is imported
    with leave_at_signals(folder):
        with command.quiet_import():
            import keras  # noqa: F401

            devices, scope = choose_devices(options.devices)
        command.make_folder(folder)
        with locked(folder):
            # Another process may have trained here while this one read the images.
            if is_finished(folder, options):
                print(f"{folder} holds this run, finished; nothing to do.")
                return read_metrics(folder)
            return _train(data, parts, options, folder, deadline, devices, scope, started)


def _train(data, parts, options, folder, deadline, devices: list[str], scope, started: float) -> dict:
    """Do the work of :func:`train` on these devices, with the folder locked."""
    from ecgbeats.runs.recorder import Recorder

    config = check_run(folder, data, options)
    precision = choose_precision(options.precision, devices)
    remove_partial_files(folder)
    command.write_json(folder / "config.json", describe_run(data, parts, options, devices, precision, config))
    describe_split(data.images, parts)

    training, validation = make_batches(data.images, parts, options, devices)
    with scope():
        model, schedule = build(options, precision, len(data.images.classes), len(training))
    print(
        f"{options.model}: {model.count_params():,d} parameters, {precision}, on {', '.join(devices)}",
        flush=True,
    )
    recorder = Recorder(
        folder,
        data.images.classes,
        training,
        schedule,
        options.epochs,
        # The report hides places of a beat of each class, one after another.
        TimeLimit(
            deadline,
            validated=len(parts.validation),
            tested=len(parts.test) + 128 * len(data.images.classes),
            batch_size=options.batch_size,
        ),
        draw=lambda: plot_run(folder, data.note),
        keep=options.keep,
    )
    with scope():
        first = recorder.restore(model)
    stopped = fit(model, training, validation, recorder, first, options)
    rows = recorder.rows
    del model, recorder
    release_devices()

    metrics = score_run(data, parts.test, options, folder)
    kept = rows[-1:] if options.keep == "last" else sorted(rows, key=lambda row: row["val_loss"])[:1]
    metrics.update(
        model=options.model,
        epochs=len(rows),
        best_epoch=kept[0]["epoch"] if kept else None,
        stopped_early=stopped,
        seconds=round(sum(row["seconds"] for row in rows[:first]) + time.time() - started, 1),
    )
    command.write_json(folder / "metrics.json", metrics)
    write_report(folder, options.data)
    if not stopped:
        finish_run(folder)
    return metrics


def make_batches(images: Images, parts: Split, options: argparse.Namespace, devices: list[str]):
    """Return the DataGenerators of the images that train and of those that validate."""
    from DataGenerator import DataGenerator

    training = training_batches(images.subset(parts.training), options, devices)
    validation = DataGenerator(
        images.subset(parts.validation), options.batch_size, shuffle=False, devices=len(devices)
    )
    return training, validation


def training_batches(images: Images, options: argparse.Namespace, devices: list[str]):
    """Return the DataGenerator of the images that train, for these options of this script and these devices."""
    from DataGenerator import DataGenerator

    cropped = None
    if options.augment_classes != "all":
        cropped = [name for name in images.classes if name not in normal_classes(images.classes)]
    return DataGenerator(
        images,
        options.batch_size,
        augment=options.augment,
        augment_classes=cropped,
        shift=options.shift,
        balance=options.balance,
        seed=options.seed,
        devices=len(devices),
        workers=choose_workers(images, devices),
    )


def build(options: argparse.Namespace, precision: str, classes: int, steps: int):
    """Return the compiled network and its learning rate schedule; ``steps`` is the batches of an epoch."""
    import keras

    keras.config.set_dtype_policy(precision)
    model = build_model(options.model, classes, seed=options.seed)
    recipe, total = MODELS[options.model], steps * options.epochs
    set_momentum(model, total)
    schedule = make_schedule(options.learning_rate, total)
    compile_model(model, schedule, recipe.optimizer, recipe.weight_decay)
    return model, schedule


def fit(model, training, validation, recorder, first: int, options: argparse.Namespace) -> bool:
    """Train from epoch ``first`` on (from 0); return whether the time limit ended it early."""
    if first:
        print(f"going on after epoch {first}", flush=True)
    if first == options.epochs:
        return False
    training.set_epoch(first)
    try:
        model.fit(
            feed(training),
            validation_data=feed(validation),
            epochs=options.epochs,
            initial_epoch=first,
            shuffle=False,  # the generator shuffles, by its own seed
            verbose=0,
            callbacks=[recorder],
        )
    except TimeIsUp:
        print(f"stopping before --max-hours {options.max_hours:g}: {len(recorder.rows)} whole epochs done")
        if not recorder.rows:
            print("no epoch has ended; scoring the network as it is")
            recorder.save_network()
        return True
    return False


def describe_split(images: Images, parts: Split) -> None:
    """Print the sizes of the parts, and which classes one of them lacks."""
    sizes = ", ".join(f"{part} {len(getattr(parts, part)):,d}" for part in PARTS)
    print(f"Images: {sizes}")
    for part in PARTS:
        present = np.unique(images.labels[getattr(parts, part)])
        absent = [name for i, name in enumerate(images.classes) if i not in present]
        if absent:
            print(f"The {part} part has no {', '.join(absent)}: too few patients have such beats.")


def score_run(data: Data, test: np.ndarray, options: argparse.Namespace, folder: Path) -> dict:
    """Score best.keras on the test part; write predictions and figures, print the table."""
    from DataGenerator import DataGenerator

    model, classes = load_model(folder / "best.keras", IMAGE_SIZE)
    images = data.images.subset(test)
    started = time.time()
    probabilities = predict(model, DataGenerator(images, options.batch_size, shuffle=False, devices=1))
    print(f"Scored {len(images):,d} test images in {time.time() - started:.1f} s")
    return write_scores(folder, images, probabilities, classes, options.split, data.note)


if __name__ == "__main__":
    command.run(main)
