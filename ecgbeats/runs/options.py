"""The options of a training run: what they are, which go together, and what follows from the network."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from ecgbeats import command
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.protocols import named_lists, read_protocol
from ecgbeats.runs.calibration import KINDS, NO, how_to_calibrate
from ecgbeats.runs.devices import PRECISIONS

MOST_DEVICES = 64  # of one machine; logical ones of a CPU could be any number


def make_parser(description: str, models: Iterable[str]) -> command.Parser:
    """Return the parser of train_keras.py's options; ``models`` are the networks' names."""
    parser = command.Parser(prog="train_keras.py", description=description)
    add = parser.add_argument
    at_least_one = command.whole_number(1)
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add(
        "--further",
        nargs="+",
        metavar="DIR",
        type=Path,
        help="images that only train, beside --data's: of these folders those of the patients that train",
    )
    add("--output", metavar="DIR", type=Path, required=True, help="the run folder to make")
    add("--model", default="fast", metavar="NAME", help=f"one of {', '.join(models)} (default fast)")
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
        "--most",
        type=at_least_one,
        metavar="N",
        help="an epoch draws at most N images of each class of a patient, others each time, so that patients count "
        "alike (default all)",
    )
    add(
        "--split",
        metavar="PROTOCOL",
        default="beats",
        help="beats: 80/10/10 as the paper; records: patients kept apart; a list of records by part: "
        f"{', '.join(named_lists()).replace('%', '%%')}, or a CSV file with the columns record,part[,patient] (default beats)",
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
    add(
        "--calibrate",
        type=how_to_calibrate,
        default=NO,
        metavar=f"{NO}|{'|'.join(KINDS)}|FILE.json",
        help="make the probabilities of best.keras true on the validation part: by a temperature, which changes no class, "
        "or by a bias for each class as well, which makes classes that training draws too often rarer; a file has both, "
        "fitted elsewhere (default no)",
    )
    add("--precision", choices=PRECISIONS, default="auto", help="auto: by what the device can do (default)")
    add(
        "--devices",
        type=command.whole_number(1, maximum=MOST_DEVICES),
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
        type=command.seed,
        default=0,
        metavar="N",
        help="of everything random (default 0)",
    )
    add("--resume", action="store_true", help="go on with the run that --output holds, if any")
    return parser


def check_options(parser: command.Parser, options: argparse.Namespace, models) -> None:
    """Leave with an error for options that do not go together or are out of range."""
    if options.model not in models:
        parser.error(f"--model {options.model}: no such network; choose from {', '.join(models)}")
    protocol = read_protocol(options.split)  # a list that is not in order is told before all else
    if options.further and not protocol.keeps_patients_apart:
        parser.error(
            f"--further needs --split records or a list of records: with {options.split} it would hold beats of patients "
            "that test"
        )
    if options.most and options.balance:
        parser.error("--most and --balance do not go together; leave --balance out, or make it 0")
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


def fill_in_recipe(options: argparse.Namespace, recipe) -> None:
    """Set what was not given to the network's own, in place; ``recipe`` is its entry of MODELS."""
    options.epochs = options.epochs or recipe.epochs
    if options.shift is None:  # 0 is a choice, too
        options.shift = min(recipe.shift, options.epochs // 2)
    if options.balance is None:
        options.balance = 0.0 if options.most else recipe.balance
    options.batch_size = options.batch_size or recipe.batch_size
    options.learning_rate = options.learning_rate or recipe.learning_rate
