"""Train a network on a folder of beat images, score it on beats it has not seen, and plot the training.

    python train_keras.py --data DIR --output DIR [--model NAME] [--split beats|records|ds1-ds2|FILE.csv]

DIR of --data holds one sub-folder of images for each class (make_dataset.py makes one from ECG records); folders of
--further hold images that only train.
The run folder --output holds, when it ends: report.html, best.keras, log.csv, metrics.json, predictions.csv, figures
and config.json; with --folds a folder for each fold, and folds.json. KERAS_BACKEND=jax trains without TensorFlow, and
on several machines (docs/gpus.md).
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.dataset import Data, drawing_of
from ecgbeats.images.folder import Images, join
from ecgbeats.images.further import choose_training, patient_groups
from ecgbeats.images.splits import Split, describe_split, split_as
from ecgbeats.records.symbols import normal_classes
from ecgbeats.runs import guard
from ecgbeats.runs.calibration import NO, calibrate, in_words
from ecgbeats.runs.config import describe_run, used_options
from ecgbeats.runs.devices import (
    choose_devices,
    choose_precision,
    choose_workers,
    describe_devices,
    release_devices,
)
from ecgbeats.runs.feed import fit
from ecgbeats.runs.folder import (
    FREE_ON_RESUME,
    check_run,
    check_unlocked,
    finish_run,
    is_finished,
    leave_at_signals,
    locked,
)
from ecgbeats.runs.given_data import load_data
from ecgbeats.runs.networks import load_model
from ecgbeats.runs.options import check_options, fill_in_recipe, make_parser
from ecgbeats.runs.prediction import predict
from ecgbeats.runs.recipe import compile_model, make_schedule, set_momentum
from ecgbeats.runs.row import Row, kept_epoch
from ecgbeats.runs.team import ALONE, Team, team
from ecgbeats.runs.time_limit import TimeLimit, read_start
from ecgbeats.scores.folds import check_fold_data, gather_folds, is_gathered
from ecgbeats.scores.log_plot import plot_run
from ecgbeats.scores.metrics_file import read_metrics
from ecgbeats.scores.reliability import expected_calibration_error
from ecgbeats.scores.report import write_report
from ecgbeats.scores.scoring import write_scores

from model_keras import MODELS, build_model

# The network scores these beside the test part: the report hides the places of a beat of each class one by one.
IMAGES_OF_REPORT = 128


def main(arguments: list[str]) -> None:
    """Check all that the user gave, then train one run, or one for each fold."""
    with team() as together:
        options = together.checked(lambda: read_options(arguments, together.processes))
        together.check_same({f"--{name.replace('_', '-')}": value for name, value in shared_options(options)})
        started = read_start()
        if together.first(lambda: end_if_finished(options)):
            return
        together.checked(command.check_backend)
        data = together.checked(lambda: load_data(options))
        together.check_same({"checksums of --data and --further": data.checksums})
        deadline = together.first(lambda: options.max_hours and started + options.max_hours * 3600)
        if options.folds and options.fold is None:
            train_folds(data, options, deadline)
        else:
            parts = split_as(data.images, vars(options))
            train(data, parts, options, options.output, deadline, together)


def shared_options(options: argparse.Namespace) -> list[tuple[str, object]]:
    """Return the options that all processes of a training have alike."""
    free = set(FREE_ON_RESUME) - {"devices"}
    return [(name, value) for name, value in used_options(options).items() if name not in free]


def end_if_finished(options: argparse.Namespace) -> bool:
    """Return whether --output holds the finished run of these options; it may be written to."""
    command.check_output(options.output)
    # One after another: how many folds the images allow is not known yet.
    if all(is_finished(folder, run) for folder, run in plan_runs(options)):
        end_without_training(options, [folder for folder, _ in plan_runs(options)])
        return True
    check_unlocked(options.output)
    return False


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
    check_fold_data(list(runs), data.checksums)
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


def read_options(arguments: list[str], processes: int = 1) -> argparse.Namespace:
    """Return the command line's options for so many processes; those that follow from the network are filled in."""
    parser = make_parser(__doc__, MODELS)
    options = parser.parse_args(arguments)
    check_options(parser, options, MODELS)
    fill_in_recipe(options, MODELS[options.model])
    if processes > 1 and options.folds and options.fold is None:
        raise InputError(
            f"--folds {options.folds}: {processes} processes train one network together; give --fold I as well, or train "
            "each fold on a machine of its own, without the variables that name several (docs/gpus.md)"
        )
    return options


def train(
    data: Data,
    parts: Split,
    options: argparse.Namespace,
    folder: Path,
    deadline: float | None = None,
    together: Team = ALONE,
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
    together : Team
        The processes that train this run, each with a ``train`` of its own.

    Returns
    -------
    dict
        metrics.json's content.
    """
    started = time.time()
    together.first(lambda: check_run(folder, data, options))  # before Keras is imported
    with leave_at_signals(), contextlib.ExitStack() as held:
        with command.quiet_import():
            import keras  # noqa: F401

            devices, scope = together.checked(lambda: choose_devices(options.devices, together.process))
        # Another process may have trained here while this one read the images.
        if together.first(lambda: take_folder(folder, options, held)):
            print(f"{folder} holds this run, finished; nothing to do.")
            return together.first(lambda: read_metrics(folder))
        rows, before, stopped = train_network(
            data, parts, options, folder, deadline, devices, scope, together
        )
        release_devices()

        def finish():
            metrics = score_run(data, parts, options, folder)
            metrics |= {
                "model": options.model,
                "epochs": len(rows),
                "best_epoch": kept_epoch(rows, options.keep),
                "stopped_early": stopped,
                "seconds": round(before + time.time() - started, 1),
            }
            command.write_json(folder / "metrics.json", metrics)
            write_report(folder, options.data)
            if not stopped:
                finish_run(folder)
            return metrics

        if together.processes > 1:
            print("Process 0 scores alone; the others wait.", flush=True)
        return together.first(finish)


def take_folder(folder: Path, options: argparse.Namespace, held: contextlib.ExitStack) -> bool:
    """Make the run folder and hold its lock until ``held`` ends; return whether it holds the run, finished."""
    command.make_folder(folder)
    held.enter_context(locked(folder))
    return is_finished(folder, options)


def train_network(
    data: Data,
    parts: Split,
    options: argparse.Namespace,
    folder: Path,
    deadline: float | None,
    devices: list[str],
    scope,
    together: Team,
) -> tuple[list[Row], float, bool]:
    """Train from the beginning, or from where the run in ``folder`` was broken off.

    Returns the log's rows, the seconds that the epochs of earlier starts took, and whether the deadline ended it; the
    first two in process 0 alone.
    """
    precision = choose_precision(options.precision, devices)
    folders = choose_training(data, parts)
    further = [len(images) for images in folders[1:]]
    config = together.first(
        lambda: describe_run(
            data, parts, options, devices, precision, check_run(folder, data, options), further
        )
    )
    describe_split(data.images.labels, data.images.classes, parts)
    if further:
        print(f"Further images that train: {', '.join(f'{count:,d}' for count in further)}")
    training, validation = make_batches(data.images, folders, parts, options, devices, together)
    if options.most:
        print(f"An epoch draws {training.images_of_epoch:,d} of {len(training.images):,d} images")
    with scope():
        model, schedule = build(options, precision, len(data.images.classes), len(training))
    print(
        f"{options.model}: {model.count_params():,d} parameters, {precision}, "
        f"{describe_devices(devices, together.processes)}",
        flush=True,
    )
    recorder = make_recorder(data, parts, options, folder, deadline, training, schedule, together)
    with scope():
        first, batch = recorder.restore(model)
    # Now that all is well with what was there.
    together.first(lambda: command.write_json(folder / "config.json", config))
    before = sum(row["seconds"] for row in recorder.rows)
    stopped = fit(model, training, validation, recorder, first, batch, options)
    return recorder.rows, before, stopped


def make_recorder(
    data: Data,
    parts: Split,
    options: argparse.Namespace,
    folder: Path,
    deadline: float | None,
    training,
    schedule,
    together: Team,
):
    """Return the callback that records the run, or in a process other than 0 the one that follows it."""
    from ecgbeats.runs.follower import Follower
    from ecgbeats.runs.recorder import Recorder

    if not together.leads:
        return Follower(folder, training, options.epochs, deadline is not None, together)
    limit = TimeLimit(
        deadline,
        validated=len(parts.validation),
        tested=len(parts.test)
        + IMAGES_OF_REPORT * len(data.images.classes)
        + len(parts.validation) * (options.calibrate != NO),
        batch_size=options.batch_size,
    )
    return Recorder(
        folder,
        data.images.classes,
        training,
        schedule,
        options.epochs,
        limit,
        draw=lambda: plot_run(folder, data.note),  # handed over, since runs know nothing of figures
        keep=options.keep,
        drawing=drawing_of(data.description),
        together=together,
    )


def make_batches(
    images: Images,
    folders: list[Images],
    parts: Split,
    options: argparse.Namespace,
    devices: list[str],
    together: Team,
):
    """Return the DataGenerators of the images of ``folders``, which train, and of those of ``images`` that validate."""
    from DataGenerator import DataGenerator

    patients = patient_groups(folders, parts.protocol) if options.most else None
    training = training_batches(join(folders), options, devices, together, patients)
    validation = DataGenerator(
        images.subset(parts.validation),
        options.batch_size,
        shuffle=False,
        devices=len(devices),
        part=(together.process, together.processes),
    )
    return training, validation


def training_batches(
    images: Images, options: argparse.Namespace, devices: list[str], together: Team = ALONE, patients=None
):
    """Return the DataGenerator of the images that train, for these options of this script and these devices.

    ``patients`` numbers the patient of each image, for --most.
    """
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
        groups=patients,
        most=options.most,
        seed=options.seed,
        devices=len(devices),
        part=(together.process, together.processes),
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


def score_run(data: Data, parts: Split, options: argparse.Namespace, folder: Path) -> dict:
    """Calibrate best.keras if asked to, score it on the test part; write predictions and figures, print the table."""
    from DataGenerator import DataGenerator

    found = {}
    if options.calibrate != NO:
        validation = DataGenerator(
            data.images.subset(parts.validation), options.batch_size, shuffle=False, devices=1
        )
        found["calibration"] = calibrate(
            folder / "best.keras",
            validation,
            parts.protocol,
            options.calibrate,
            data.fitted,
            expected_calibration_error,
        )
        print(in_words(found["calibration"], data.images.classes))
    model, classes = load_model(folder / "best.keras", IMAGE_SIZE)
    images = data.images.subset(parts.test)
    started = time.time()
    probabilities = predict(model, DataGenerator(images, options.batch_size, shuffle=False, devices=1))
    print(f"Scored {len(images):,d} test images in {time.time() - started:.1f} s")
    return found | write_scores(folder, images, probabilities, classes, parts.protocol, data.note)


if __name__ == "__main__":
    guard.run(main)
