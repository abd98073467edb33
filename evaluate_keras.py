"""Score a saved network on a folder of beat images.

    python evaluate_keras.py MODEL.keras --data DIR --output DIR [--all]

On the data that the network was trained with (by config.json beside it) the test part alone is scored, since
the network has seen the rest; --all scores everything. Classes are matched by name.
"""

import json
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.dataset import drawing_of, read_description
from ecgbeats.images.folder import Images, limit_images
from ecgbeats.images.splits import split_as
from ecgbeats.runs.networks import load_model, read_classes
from ecgbeats.runs.prediction import predict
from ecgbeats.scores.scoring import write_scores

# What evaluating writes: none of it may be there before.
RESULT_FILES = ("config.json", "metrics.json", "predictions.csv")


def main(arguments: list[str]) -> None:
    """Find the images to score, score them, write the results."""
    options = read_options(arguments)
    everything = Images(options.data, read_classes(options.model))
    config = read_training(options.model)
    description = read_description(options.data)
    check_drawing(description, config, options.data)
    test = find_test_part(everything, config)
    images, split = choose_images(everything, test, config, options.all)
    images.check()
    note = command.SIMULATED_NOTICE if description.get("simulated") else None
    if note:
        print(note)
    with command.quiet_import():
        from DataGenerator import DataGenerator

        model, classes = load_model(options.model)
    started = time.time()
    probabilities = predict(model, DataGenerator(images, options.batch_size, shuffle=False, devices=1))
    command.make_folder(options.output)
    metrics = write_scores(options.output, images, probabilities, classes, split, note)
    metrics["training_images_included"] = None if test is None else options.all  # None: not known
    metrics["seconds"] = round(time.time() - started, 1)
    command.write_json(options.output / "metrics.json", metrics)
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
    for name in RESULT_FILES:
        if (options.output / name).exists():
            raise InputError(
                f"--output {options.output} holds results already ({name}); choose another folder"
            )
    return options


def choose_images(
    everything: Images, test: Images | None, config: dict | None, score_all: bool
) -> tuple[Images, str | None]:
    """Return the images to score and the split that they are the test part of, if any; say which they are.

    ``test`` is what :func:`find_test_part` returns, ``config`` what :func:`read_training` does.
    """
    if config is None:
        print(
            "No config.json lies beside the network, so whether it was trained on these images is not known."
        )
    elif test is None:
        print(
            "These are not the very images that the network was trained with; "
            "whether some of those are among them is not known."
        )
    elif score_all:
        print(
            f"Scoring all {len(everything):,d} images. Training beats are among them: "
            "this is no score for beats that the network has not seen."
        )
    else:
        print(f"The network was trained on this data: scoring its test part, {len(test):,d} images.")
        return test, config["options"]["split"]
    return everything, None


def read_training(model: Path) -> dict | None:
    """Return config.json of the run that the network lies in, or None if there is none beside it."""
    try:
        config = json.loads((model.parent / "config.json").read_text())
        config["options"]["split"], config["data_sha256"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(
            f"{model.parent / 'config.json'} cannot be read ({problem}); mend or remove it"
        ) from problem
    return config


def check_drawing(description: dict, config: dict | None, data: Path) -> None:
    """Raise InputError if images and training are known to be of different drawings.

    ``description`` is dataset.json of the images' folder ``data``, ``config`` config.json of the training.
    """
    drawn, trained = drawing_of(description), (config or {}).get("drawing")
    if drawn and trained and drawn != trained:
        raise InputError(
            f"--data {data} holds images of the drawing {drawn}, but the network was trained on {trained}; "
            f"give it images that make_dataset.py drew with --drawing {trained}"
        )


def find_test_part(images: Images, config: dict | None) -> Images | None:
    """Return the test part of the run that ``config`` describes, or None if its data is not ``images``."""
    if config is None or images.classes != config["classes"]:
        return None
    options = config["options"]
    used = limit_images(images, options["limit"], options["seed"]) if options["limit"] else images
    if used.check() != config["data_sha256"]:
        return None
    return used.subset(split_as(used, options).test)


if __name__ == "__main__":
    command.run(main)
