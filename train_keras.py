"""Train a network on a folder of beat images, score it on beats it has not seen, and plot the training.

    python train_keras.py --data DIR --output DIR [--model NAME] [--split beats|records|ds1-ds2]

DIR of --data holds one sub-folder of images for each class (make_dataset.py makes one from ECG records).
The run folder --output holds, when it ends: best.keras, log.csv, loss.png, metrics.json, predictions.csv,
confusion_matrix.png and config.json. KERAS_BACKEND=jax trains on JAX's devices, without TensorFlow.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import command
from command import InputError

import numpy as np

import folds
import splits
from beats import CLASSES, IMAGE_SIZE, drawing_of
from folds import read_config
from image_folder import Images, limit_images, read_description
from model_keras import MODELS, MOMENTUM

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
# What may differ when a run is resumed: where it happens and for how long, not what is computed.
FREE_ON_RESUME = ("data", "output", "devices", "max_hours", "resume")
# What runs did before there were these options.
EARLIER = {"shift": 0, "balance": 0.0, "keep": "best"}
# Where one of these is, a folder holds a run, or evaluate_keras.py's results, or a cross-validation.
RUN_FILES = ("config.json", "log.csv", "best.keras", "metrics.json", "fold-0")
# The share of all steps in which the learning rate rises to its full value.
WARM_UP = 0.1


@dataclass
class Data:
    """The images of a run, checked, with what is known of them.

    ``description`` is dataset.json's content, or {}; ``checksum`` a SHA-256 over all images used.
    """

    images: Images
    description: dict
    checksum: str

    @property
    def note(self) -> str | None:
        """What must stand beside every result on this data, if anything."""
        return command.SIMULATED_NOTICE if self.description.get("simulated") else None


def main(arguments: list[str]) -> None:
    """Check all that the user gave, then train one run, or one for each fold."""
    started = float(os.environ.get("RUN_STARTED") or time.time())  # run.sh counts its own preparations in
    options = read_options(arguments)
    command.check_output(options.output)
    runs = [(options.output, options)]
    if options.folds and options.fold is None:
        is_finished(options.output, options)  # refuses a folder that holds a single run
        runs = [
            (options.output / f"fold-{i}", argparse.Namespace(**vars(options) | {"fold": i}))
            for i in range(options.folds)
        ]
    folders = [folder for folder, _ in runs]
    to_do = [run for run in runs if not is_finished(*run)]
    done = [folder for folder in folders if folder not in dict(to_do)]
    if not to_do and (len(runs) == 1 or folds.is_gathered(options.output, folders)):
        print(f"{options.output} holds this run, finished; nothing to do.")
        return
    if not to_do:  # folds that were trained one by one, maybe on machines whose images are not here
        folds.check_fold_data(folders)
        folds.gather_folds(options.output, folders)
        return
    data = load_data(options)
    if len(runs) > 1:
        folds.check_fold_data(folders, data.checksum)
    if done:
        print(f"Trained before: {', '.join(folder.name for folder in done)}", flush=True)
    deadline = started + options.max_hours * 3600 if options.max_hours else None
    for folder, run_options in to_do:
        if len(runs) > 1:
            print(f"\nFold {run_options.fold} of {options.folds}, in {folder}", flush=True)
        parts = splits.split_as(data.images, vars(run_options))
        metrics = train(data, parts, run_options, folder, deadline)
        if metrics["stopped_early"] and len(runs) > 1:
            print("no time left for all folds; go on with --resume")
            return
    if len(runs) > 1:
        folds.gather_folds(options.output, folders)


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
        choices=splits.SPLITS,
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
    recipe = MODELS[options.model]
    options.epochs = options.epochs or recipe.epochs
    if options.shift is None:  # 0 is a choice, too
        options.shift = min(recipe.shift, options.epochs // 2)
    if options.balance is None:
        options.balance = recipe.balance
    options.batch_size = options.batch_size or recipe.batch_size
    options.learning_rate = options.learning_rate or recipe.learning_rate
    return options


def used_options(options: argparse.Namespace) -> dict:
    """Return the options as config.json keeps them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def is_finished(folder: Path, options: argparse.Namespace) -> bool:
    """Return whether ``folder`` holds the finished run of these options.

    Raises InputError if it holds a run that may not be gone on with.
    """
    config = read_config(folder)
    if not options.resume and any((folder / name).exists() for name in RUN_FILES):
        raise InputError(f"--output {folder} holds a run; choose another folder, or go on with --resume")
    if config is None:
        return False
    before, now = EARLIER | config["options"], used_options(options)
    different = [name for name in now if name not in FREE_ON_RESUME and before.get(name) != now[name]]
    if different:
        words = ", ".join(
            f"--{name.replace('_', '-')} (then {before.get(name)}, now {now[name]})" for name in different
        )
        one_of_many = options.fold is not None and folder.name == f"fold-{options.fold}"
        raise InputError(
            f"--resume: the run in {folder} had other options: {words}; give the same, or choose another --output"
            + (", or remove that folder to train the fold again" if one_of_many else "")
        )
    return bool(config.get("finished"))


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
    splits.split_as(images, vars(options))
    checksum = images.check()
    data = Data(images, description, checksum)
    print(
        f"{len(images):,d} images of {len(images.classes)} classes in {options.data} "
        f"({'kept in memory' if images.in_memory else 'read as needed'}, {time.time() - started:.1f} s)"
    )
    if data.note:
        print(data.note, flush=True)
    return data


def normal_classes(classes: list[str]) -> list[str]:
    """Return the class of normal beats, which the paper does not augment: NOR or AAMI's N, if it is there."""
    return [name for name in classes if name in (next(iter(scheme)) for scheme in CLASSES.values())]


@contextlib.contextmanager
def leave_at_signals(folder: Path):
    """While this lasts, SIGTERM and Ctrl-C end the process on the spot, without unwinding.

    command.run lets them raise an exception, wherever the main thread is. Inside a callback of TensorFlow or
    JAX that is printed and forgotten, or crashes. And there is nothing to unwind for: each file in the run
    folder is whole at every moment, but for the one that is being written.
    """

    def leave(number, _frame):
        remove_partial_files(folder)
        os._exit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if not callable(before[signal.SIGTERM]):  # not started by command.run: a notebook keeps its Ctrl-C
        yield
        return
    for number in before:
        if callable(before[number]):  # a background job ignores SIGINT, and goes on to do so
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def remove_partial_files(folder: Path) -> None:
    """Remove what command.whole_file left of a file when its writing was cut off."""
    for partial in folder.glob(".*.partial-*"):
        partial.unlink(missing_ok=True)


def train(
    data: Data, parts: splits.Split, options: argparse.Namespace, folder: Path, deadline: float | None = None
) -> dict:
    """Train, score and plot one run.

    Parameters
    ----------
    data : Data
    parts : splits.Split
        Which images train, validate and test.
    options : argparse.Namespace
        As :func:`read_options` returns them.
    folder : pathlib.Path
        The run folder; a run that it holds is gone on with.
    deadline : float, optional
        ``time.time()`` before which the run ends, with the best network it has by then.

    Returns
    -------
    dict
        metrics.json's content.
    """
    with leave_at_signals(folder):
        return _train(data, parts, options, folder, deadline)


def _train(data, parts, options, folder, deadline) -> dict:
    """Do the work of :func:`train`."""
    run_started = time.time()
    config = read_config(folder)
    if config is not None and config.get("data_sha256") != data.checksum:
        raise InputError(
            f"--resume: --data {options.data} is not what the run in {folder} was trained on (another checksum); "
            "give the same images, or choose another --output"
        )
    with command.quiet_import():
        import keras  # noqa: F401

        import run_folder
        from DataGenerator import DataGenerator

        devices, scope = choose_devices(options.devices)
    precision = choose_precision(options.precision, devices)
    images = data.images
    command.make_folder(folder)
    remove_partial_files(folder)
    command.write_json(folder / "config.json", describe_run(data, parts, options, devices, precision, config))
    describe_split(images, parts)

    training = training_batches(images.subset(parts.training), options, devices)
    validation = DataGenerator(
        images.subset(parts.validation), options.batch_size, shuffle=False, devices=len(devices)
    )
    with scope():
        model, schedule = build(options, precision, len(images.classes), len(training))
    print(
        f"{options.model}: {model.count_params():,d} parameters, {precision}, on {', '.join(devices)}",
        flush=True,
    )
    recorder = run_folder.Recorder(
        folder,
        images.classes,
        training,
        schedule,
        options.epochs,
        # The report hides places of a beat of each class, one after another (report.py).
        {"validation": len(parts.validation), "test": len(parts.test) + 128 * len(images.classes)},
        deadline,
        data.note,
        options.keep,
    )
    with scope():
        first = recorder.restore(model)
    if first:
        print(f"going on after epoch {first}", flush=True)
    stopped = False
    try:
        if first < options.epochs:
            training.set_epoch(first)
            model.fit(
                feed(training),
                validation_data=feed(validation),
                epochs=options.epochs,
                initial_epoch=first,
                shuffle=False,  # the generator shuffles, by its own seed
                verbose=0,
                callbacks=[recorder],
            )
    except run_folder.TimeIsUp:
        stopped = True
        print(f"stopping before --max-hours {options.max_hours:g}: {len(recorder.rows)} whole epochs done")
        if not recorder.rows:
            from model_keras import save_model

            print("no epoch has ended; scoring the network as it is")
            # On JAX, Keras attaches the trained state only to the network that a callback is asked for.
            save_model(recorder.model, folder / "best.keras", images.classes)
    rows = recorder.rows
    kept = rows[-1:] if options.keep == "last" else sorted(rows, key=lambda row: row["val_loss"])[:1]
    del model, recorder
    release_devices()

    metrics = score_run(data, parts.test, options, folder)
    metrics.update(
        model=options.model,
        epochs=len(rows),
        best_epoch=kept[0]["epoch"] if kept else None,
        stopped_early=stopped,
        seconds=round(sum(row["seconds"] for row in rows[:first]) + time.time() - run_started, 1),
    )
    command.write_json(folder / "metrics.json", metrics)
    import report

    report.write_report(folder, options.data)
    if not stopped:
        config = read_config(folder)
        command.write_json(folder / "config.json", config | {"finished": True})
        (folder / run_folder.STATE_FILE).unlink(missing_ok=True)
    return metrics


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


def feed(batches):
    """Return what Keras' fit should read a DataGenerator's batches from.

    On TensorFlow that is a tf.data.Dataset, filled ahead by as many threads as the DataGenerator has workers, in its
    order, of the epoch that is set when reading begins (``set_epoch``; Keras does not count it up). Given the
    DataGenerator itself, Keras 3.15 loses a tenth of a second at the end of each epoch, and under a strategy for several
    devices it reads one queue twice: an epoch then begins with the rest of the one before. On JAX one reader takes the
    DataGenerator's own order.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    first = batches[0]

    def batch(i):
        arrays = tf.numpy_function(batches.__getitem__, [i], [array.dtype for array in first])
        for array, like in zip(arrays, first, strict=True):
            array.set_shape((None, *like.shape[1:]))
        return tuple(arrays)

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of an epoch
    dataset = tf.data.Dataset.range(len(batches))
    dataset = dataset.map(batch, num_parallel_calls=batches.workers, deterministic=True)
    return dataset.prefetch(batches.max_queue_size).with_options(options)


def build(options: argparse.Namespace, precision: str, classes: int, steps: int):
    """Return the compiled network and its learning rate schedule; ``steps`` is the batches of an epoch."""
    import keras

    from model_keras import build_model

    keras.config.set_dtype_policy(precision)
    recipe = MODELS[options.model]
    model = build_model(options.model, classes, seed=options.seed)
    total = steps * options.epochs
    # Validation uses moving averages, which in a run of few steps would still be those of the beginning.
    momentum = min(MOMENTUM, max(0.5, 1 - 20 / total))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    warm_up = max(1, round(WARM_UP * total))
    # The rate ends near zero: at a constant one the validation loss jumps from epoch to epoch.
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=options.learning_rate / 100,
        warmup_target=options.learning_rate,
        warmup_steps=warm_up,
        decay_steps=max(1, total - warm_up),
    )
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    else:
        optimizer = keras.optimizers.Adam(schedule)
    model.compile(
        optimizer,
        # Summed over the batch and divided by its size, images of weight 0 included.
        loss=keras.losses.SparseCategoricalCrossentropy(),
        # Means over the real images alone, whatever a batch was filled up with.
        weighted_metrics=[
            keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy"),
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        ],
        # JAX compiles always. For TensorFlow, XLA does not help on a CPU, and on a rented GPU it fails
        # where CUDA's libdevice is not found.
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return model, schedule


def choose_devices(wanted: int | None):
    """Return the names of the devices to train on, and a function that gives their strategy's scope.

    All GPUs, or one CPU, unless ``wanted`` says how many; CPU devices are then logical ones.
    """
    import keras

    if keras.backend.backend() == "jax":
        import jax

        if wanted and wanted > 1:
            with contextlib.suppress(RuntimeError):  # JAX is already running: then it has the devices it has
                jax.config.update("jax_num_cpu_devices", wanted)
        devices = jax.devices()
        gpus = [device for device in devices if device.platform == "gpu"]
        chosen = _first_devices(gpus or devices[: wanted or 1], wanted, bool(gpus))
        if len(chosen) > 1:
            keras.distribution.set_distribution(
                keras.distribution.DataParallel(devices=[f"{d.platform}:{d.id}" for d in chosen])
            )
        return [f"{d.device_kind} {d.platform}:{d.id}" for d in chosen], contextlib.nullcontext
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"KERAS_BACKEND={keras.backend.backend()} is not supported; use tensorflow or jax")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns that each fold's network is compiled anew
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        for gpu in gpus:
            with contextlib.suppress(RuntimeError):  # already in use
                tf.config.experimental.set_memory_growth(gpu, True)
        names = [
            f"{tf.config.experimental.get_device_details(g).get('device_name', 'GPU')} GPU:{i}"
            for i, g in enumerate(gpus)
        ]
        chosen = _first_devices(names, wanted, True)
        addresses = [f"GPU:{i}" for i in range(len(chosen))]
    else:
        if wanted and wanted > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            with contextlib.suppress(RuntimeError):  # already in use: then it has the devices it has
                tf.config.set_logical_device_configuration(
                    cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
                )
        addresses = [f"CPU:{i}" for i in range(len(tf.config.list_logical_devices("CPU")))]
        chosen = addresses = _first_devices(addresses[: wanted or 1], wanted, False)
    if len(addresses) == 1:
        return chosen, contextlib.nullcontext
    return chosen, tf.distribute.MirroredStrategy(addresses).scope


def _first_devices(available: list, wanted: int | None, gpu: bool) -> list:
    """Return the first ``wanted`` devices (None is all). Raises InputError if there are fewer."""
    if wanted and wanted > len(available):
        kind = "GPU(s)" if gpu else "CPU device(s)"
        raise InputError(
            f"--devices {wanted}: this machine has {len(available)} {kind}; give at most that many"
        )
    return available[:wanted]


def release_devices() -> None:
    """Let go of the training's memory and devices, for scoring on one device."""
    import keras

    keras.config.set_dtype_policy("float32")
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(None)
    keras.backend.clear_session()


def choose_workers(images: Images, devices: list[str]) -> int:
    """Return how many threads make the training batches."""
    if images.in_memory and not is_gpu(devices):
        return 2  # they are ahead of any CPU's training, and no more than the DataGenerator needs
    return max(2, min(8, command.available_cores()))


def is_gpu(devices: list[str]) -> bool:
    """Return whether the names that choose_devices gave are of GPUs."""
    return any("gpu" in name.lower() for name in devices)


def choose_precision(wanted: str, devices: list[str]) -> str:
    """Return the dtype policy: ``wanted``, or for ``auto`` the fastest that the devices are made for.

    bfloat16 needs NVIDIA's compute capability 8.0 (Ampere), fast float16 7.0 (Volta).
    """
    if wanted != "auto":
        return wanted
    if not is_gpu(devices):
        return "float32"
    import keras

    if keras.backend.backend() == "jax":
        import jax

        capability = min(float(getattr(d, "compute_capability", 0) or 0) for d in jax.devices("gpu"))
    else:
        import tensorflow as tf

        details = [
            tf.config.experimental.get_device_details(g) for g in tf.config.list_physical_devices("GPU")
        ]
        capability = min(float("{}.{}".format(*d.get("compute_capability", (0, 0)))) for d in details)
    return "mixed_bfloat16" if capability >= 8 else "mixed_float16" if capability >= 7 else "float32"


def describe_run(
    data: Data,
    parts: splits.Split,
    options: argparse.Namespace,
    devices: list[str],
    precision: str,
    before: dict | None,
) -> dict:
    """Return config.json's content: all that is needed to run this again."""
    from importlib.metadata import PackageNotFoundError, version

    import keras

    versions = {"project": command.VERSION, "python": platform.python_version()}
    for package in ("tensorflow", "jax", "keras", "numpy", "opencv-python-headless", "scikit-learn"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    names = data.images.names
    records = {}
    for part, key in zip(splits.PARTS, ("train", "validation", "test"), strict=True):
        found = splits.record_names([names[i] for i in getattr(parts, part)])
        records[f"{key}_records"] = None if found is None else sorted(set(found.tolist()))
    return {
        "options": used_options(options),
        "finished": False,
        "command": " ".join(["python", *sys.argv]),
        "backend": keras.backend.backend(),
        "devices": devices,
        "precision": precision,
        # Losses depend on the number of threads in their last digits, and so in the end does the network.
        "machine": f"{platform.machine()}, {command.available_cores()} cores, {platform.system()}",
        "versions": versions,
        "started": (before or {}).get("started", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())),
        "resumed": (before or {}).get("resumed", 0) + (before is not None),
        "data_sha256": data.checksum,
        "simulated": bool(data.description.get("simulated")),
        "drawing": drawing_of(data.description),
        "classes": data.images.classes,
        "images": {part: len(getattr(parts, part)) for part in splits.PARTS},
        **records,
    }


def describe_split(images: Images, parts: splits.Split) -> None:
    """Print the sizes of the parts, and which classes one of them lacks."""
    sizes = ", ".join(f"{part} {len(getattr(parts, part)):,d}" for part in splits.PARTS)
    print(f"Images: {sizes}")
    for part in splits.PARTS:
        present = np.unique(images.labels[getattr(parts, part)])
        absent = [name for i, name in enumerate(images.classes) if i not in present]
        if absent:
            print(f"The {part} part has no {', '.join(absent)}: too few patients have such beats.")


def score_run(data: Data, test: np.ndarray, options: argparse.Namespace, folder: Path) -> dict:
    """Score best.keras on the test part; write predictions and figures, print the table."""
    from evaluate_keras import predict, write_scores
    from model_keras import load_model

    model, classes = load_model(folder / "best.keras")
    images = data.images.subset(test)
    started = time.time()
    probabilities = predict(model, images, options.batch_size)
    print(f"Scored {len(images):,d} test images in {time.time() - started:.1f} s")
    return write_scores(folder, images, probabilities, classes, options.split, data.note)


if __name__ == "__main__":
    command.run(main)
