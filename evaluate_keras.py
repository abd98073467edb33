"""Score a saved network on a folder of beat images.

    python evaluate_keras.py MODEL.keras --data DIR --output DIR [--all]

On the data that the network was trained with (by config.json beside it) the test part alone is scored, since
the network has seen the rest; --all scores everything. Classes are matched by name.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import time
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.dataset import read_description
from ecgbeats.images.folder import Images
from ecgbeats.images.notes import note_of
from ecgbeats.images.protocols import Protocol
from ecgbeats.runs.config import protocol_of
from ecgbeats.runs.folder import check_unlocked, locked
from ecgbeats.runs.networks import load_model, read_classes
from ecgbeats.runs.prediction import check_probabilities, predict
from ecgbeats.runs.training_data import (
    check_drawing,
    find_parts,
    read_training,
    trained_drawing,
    used_records,
)
from ecgbeats.scores.scoring import write_scores

# Of a run, or of an evaluation: none of it may be there before.
RESULT_FILES = ("config.json", "metrics.json", "predictions.csv")
# Stands in --output while the results there are not whole.
UNFINISHED = ".evaluation"


def main(arguments: list[str]) -> None:
    """Find the images to score, score them, write the results."""
    options = read_options(arguments)
    everything = Images(options.data, read_classes(options.model))
    config = read_training(options.model)
    description = read_description(options.data)
    check_drawing(description, trained_drawing(options.model, config), options.data)
    found = find_parts(everything, config)
    test = found and found[0].subset(found[1].test)
    images, protocol = choose_images(everything, test, config, options.all)
    images.check()
    with command.quiet_import():
        from DataGenerator import DataGenerator

        model, classes = load_model(options.model, IMAGE_SIZE)
    started = time.time()
    probabilities = predict(model, DataGenerator(images, options.batch_size, shuffle=False, devices=1))
    check_probabilities(probabilities, options.model)
    command.make_folder(options.output)
    with locked(options.output):
        begin_results(options.output)
        metrics = write_scores(options.output, images, probabilities, classes, protocol, note_of(description))
        metrics["training_images_included"] = None if test is None else options.all  # None: not known
        metrics["seconds"] = round(time.time() - started, 1)
        command.write_json(options.output / "metrics.json", metrics)
        (options.output / UNFINISHED).unlink()
    print(f"Results: {options.output}")


def read_options(arguments: list[str]):
    """Return the command line's options; the folder for the results holds none yet."""
    parser = command.Parser(prog="evaluate_keras.py", description=__doc__)
    add = parser.add_argument
    add("model", metavar="MODEL.keras", type=Path, help="a network, such as best.keras of a run")
    add("--data", metavar="DIR", type=Path, required=True, help="images, one sub-folder for each class")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the results")
    add("--all", action="store_true", help="score all images, also those that the network was trained on")
    add(
        "--batch-size",
        type=command.whole_number(1),
        default=128,
        metavar="N",
        help="images at a time (default 128)",
    )
    options = parser.parse_args(arguments)
    command.check_output(options.output)
    check_empty(options.output)
    check_unlocked(options.output)
    return options


def check_empty(output: Path) -> None:
    """Raise InputError if ``output`` holds a run or a whole evaluation; one that was cut off is done again."""
    if (output / UNFINISHED).is_dir():
        raise InputError(f"{output / UNFINISHED} is a folder; remove it, or choose another --output")
    for name in RESULT_FILES:
        cut_off = name == "predictions.csv" and (output / UNFINISHED).exists()
        if (output / name).exists() and not cut_off:
            raise InputError(f"--output {output} holds results already ({name}); choose another folder")


def begin_results(output: Path) -> None:
    """Mark the results in ``output`` as unfinished."""
    check_empty(output)  # another process may have ended meanwhile
    (output / UNFINISHED).touch()


def choose_images(
    everything: Images, test: Images | None, config: dict | None, score_all: bool
) -> tuple[Images, Protocol | None]:
    """Return the images to score and the protocol that they are the test part of, if any; say which they are.

    Where they are of other patients, but no part of it, the protocol has no name and keeps patients apart.

    ``test`` is the test part of the training that ``config`` describes, None if its data is not ``everything``.
    """
    if config is None:
        print(
            "No config.json lies beside the network, so whether it was trained on these images is not known."
        )
    elif test is None:
        seen, every = used_records(everything.names, config)
        print(
            f"These are not the very images that the network was trained with; {words_of_patients(seen, every)}"
        )
        if every and not seen:
            return everything, Protocol(None, patients=protocol_of(config).patients)
    elif score_all:
        print(
            f"Scoring all {len(everything):,d} images. Training beats are among them: "
            "this is no score for beats that the network has not seen."
        )
    else:
        print(f"The network was trained on this data: scoring its test part, {len(test):,d} images.")
        return test, protocol_of(config)
    return everything, None


def words_of_patients(seen: list[str], every: list[str]) -> str:
    """Return in words whether other images than the run's are of patients that its training used; see used_records."""
    if every and not seen:
        return "by their names none of these records is of a patient that the training used."
    words = "whether some of those are among them is not known."
    if seen:
        words += (
            f" By their names, records of patients that the training used are ({len(seen)} of {len(every)}: "
            f"{command.shorten(seen)}): this is no score for patients that the network has not seen."
        )
    return words


if __name__ == "__main__":
    command.run(main)
