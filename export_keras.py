"""Export a network for phones, browsers and servers, and check that it still says what Keras says.

    python export_keras.py MODEL.keras --format litert|onnx|saved_model [--int8 --data DIR] --output FILE

Beside FILE, FILE.json tells classes, drawing, input and output (in a folder of saved_model: about.json). The check
is on beats of --data, if that is the network's own data on those of its test part, else on simulated ones.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import contextlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.folders import is_unfinished, whole_folder
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.dataset import drawing_of, read_description
from ecgbeats.images.drawings import DRAWINGS
from ecgbeats.images.folder import Images
from ecgbeats.reading import read_json
from ecgbeats.runs.config import Config
from ecgbeats.runs.exports import FORMATS, Format
from ecgbeats.runs.exports.beats import (
    FEWEST,
    Beats,
    part_images,
    simulate_beats,
    take_beats,
    take_calibration,
)
from ecgbeats.runs.exports.comparison import Agreement, Answers, ask, compare, use_one_thread
from ecgbeats.runs.networks import load_model, read_classes
from ecgbeats.runs.prediction import check_probabilities
from ecgbeats.runs.training_data import check_drawing, read_training, trained_drawing

import numpy as np

REQUIREMENTS = "requirements-export.txt"
SUFFIXES = (*(way.suffix for way in FORMATS.values() if way.suffix), ".keras")


def main(arguments: list[str]) -> None:
    """Write the network in another format, and keep it if it says what Keras says."""
    options = read_options(arguments)
    way = FORMATS[options.format]
    classes = read_classes(options.model)
    config = read_training(options.model, classes)
    drawing = find_drawing(config, options)
    beats, calibration = find_beats(options, classes, config, drawing)
    if config and config["simulated"]:
        print(command.SIMULATED_NOTICE)
    with command.quiet_import():
        use_one_thread()
        model, _ = load_model(options.model, IMAGE_SIZE)
    if way.most_parameters and model.count_params() > way.most_parameters:
        raise InputError(
            f"{options.model}: this network has {model.count_params():,d} parameters, and of more than "
            f"{way.most_parameters:,d} the conversion to {options.format} fills the memory; choose another --format"
        )
    keras = ask(model.predict_on_batch, beats.images)
    check_probabilities(keras.probabilities, options.model)
    with whole_output(options.output, way) as (path, about):
        way.convert(model, path, calibration)
        exported = ask(way.runner(path), beats.images)
        agreement = compare(keras, exported, options.int8)
        size = size_of(path)
        checked = {"beats": len(beats.images), "of": beats.words, **asdict(agreement)}
        details = {
            "network": model.name,
            **describe_use(way, classes, drawing),
            "weights": "int8" if options.int8 else "float32",
            "simulated": config and config["simulated"],
            "checked": checked,
            "version": command.VERSION,
        }
        command.write_json(about, details)
    report(beats, agreement, [("Keras", size_of(options.model), keras), (options.format, size, exported)])
    print(f"Wrote {options.output}; {about_file(options.output, way)} tells its classes, input and output.")


def read_options(arguments: list[str]):
    """Return the command line's options, having looked at what they need: names, packages, backend."""
    parser = command.Parser(prog="export_keras.py", description=__doc__)
    add = parser.add_argument
    add("model", metavar="MODEL.keras", type=Path, help="a network, such as best.keras of a run")
    add("--format", choices=list(FORMATS), required=True, help="litert: phones; onnx: also browsers")
    add("--int8", action="store_true", help="8-bit integers: a quarter of the size; needs --data")
    add("--data", metavar="DIR", type=Path, help="images to calibrate and check on, best the network's own")
    add(
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="ends in .tflite (litert) or .onnx (onnx), or is a folder (saved_model)",
    )
    add(
        "--beats",
        type=command.whole_number(FEWEST),
        default=FEWEST,
        metavar="N",
        help=f"check on so many beats, or as many as there are (default {FEWEST})",
    )
    options = parser.parse_args(arguments)
    way = FORMATS[options.format]
    if options.int8 and not way.to_int8:
        raise InputError(
            f"--int8: {options.format} has no such form; leave it out, or choose another --format"
        )
    if options.int8 and not options.data:
        raise InputError(
            "--int8 needs --data DIR, the images to calibrate with: those that the network was trained on"
        )
    check_name(options.output, options.format)
    check_packages(options.format)
    return options


def check_name(output: Path, chosen: str) -> None:
    """Raise InputError if ``output`` is not named as the format wants it, is there already, or cannot be written."""
    way = FORMATS[chosen]
    if way.suffix and output.suffix != way.suffix:
        raise InputError(f"--output {output}: the name must end in {way.suffix} for --format {chosen}")
    if not way.suffix and output.suffix in SUFFIXES:
        raise InputError(
            f"--output {output}: {chosen} is a folder; leave out {output.suffix}, or choose another --format"
        )
    if way.suffix:
        about = about_file(output, way)
        for path in (output, about):
            if os.path.lexists(path) and not (path == about and is_about(about)):
                raise InputError(f"--output {path} is there already; remove it, or choose another name")
        command.check_output(output.absolute().parent)
        return
    command.check_output(output)
    if output.is_dir() and os.listdir(output) and not is_unfinished(output):
        raise InputError(f"--output {output} is not empty; choose another folder")


def is_about(path: Path) -> bool:
    """Return whether this command wrote the file: without the network that it tells of, it is of an export that was stopped."""
    try:
        return "checked" in (read_json(path, dict, "") or {})
    except InputError:
        return False


def check_packages(chosen: str) -> None:
    """Raise InputError where a package that the format needs is not installed, or Keras runs on another one than TensorFlow."""
    if command.check_backend() != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND={os.environ['KERAS_BACKEND']} cannot export; leave KERAS_BACKEND unset"
        )
    missing = [name for name in FORMATS[chosen].packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--format {chosen} needs {', '.join(missing)}, not installed here: pip install -r {REQUIREMENTS}"
        )


def find_drawing(config: Config | None, options) -> str | None:
    """Return how the images that the network takes are drawn, or None where neither its config nor --data tells."""
    description = read_description(options.data) if options.data else {}
    trained = trained_drawing(options.model, config)
    check_drawing(description, trained, options.data)
    return trained or drawing_of(description)


def find_beats(options, classes: list[str], config: Config | None, drawing: str | None):
    """Return the Beats to check the network on, and for --int8 the images to calibrate it with, else None."""
    if options.data:
        training, checked, words = part_images(Images(options.data, classes), config)
        return take_beats(checked, options.beats, words), take_calibration(training) if options.int8 else None
    if drawing is None:
        print("How this network's images are drawn is not known: it is checked on the paper's drawing.")
    elif drawing not in DRAWINGS:
        raise InputError(
            f"{options.model} takes images of the drawing {drawing}, unknown here; give some with --data"
        )
    return simulate_beats(drawing or "paper", options.beats), None


@contextlib.contextmanager
def whole_output(output: Path, way: Format) -> Iterator[tuple[Path, Path]]:
    """Yield where to write the network and what is told of it; the network is at ``output`` when the block ends well."""
    if way.suffix:
        command.make_folder(output.absolute().parent)
        with command.whole_file(output) as path:
            yield path, about_file(output, way)
    else:
        with whole_folder(output) as path:
            yield path, about_file(path, way)


def about_file(output: Path, way: Format) -> Path:
    """Return the JSON file that tells what a network that is exported to ``output`` takes and gives."""
    return output.with_name(f"{output.name}.json") if way.suffix else output / "about.json"


def describe_use(way: Format, classes: list[str], drawing: str | None) -> dict:
    """Return what who uses the exported network must know, in the words of docs/phone.md."""
    return {
        "classes": classes,
        "drawing": drawing,
        "input": {
            "shape": [way.beats, IMAGE_SIZE, IMAGE_SIZE, 1],
            "dtype": "uint8",
            "meaning": "beats, rows from top to bottom, columns from left to right, gray: 255 background, 0 line",
        },
        "output": {
            "shape": [way.beats, len(classes)],
            "dtype": "float32",
            "meaning": "the probability of each of the classes, in their order",
        },
    }


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def report(beats: Beats, agreement: Agreement, rows: list[tuple[str, int, Answers]]) -> None:
    """Print how far the networks agree, and for each its name, bytes, time and, where it is known, its accuracy."""
    print(
        f"Checked on {len(beats.images):,d} {beats.words}: the class is Keras' in {agreement.same_class:.2%}, "
        f"a probability differs by {agreement.largest_difference:.1g} at most."
    )
    known = beats.labels is not None
    print(f"{'':12}{'size':>12}{'a beat, one thread':>20}" + (f"{'accuracy':>11}" if known else ""))
    for name, size, answers in rows:
        accuracy = f"{np.mean(answers.classes == beats.labels):>11.2%}" if known else ""
        print(f"{name:12}{size / 1000:>9,.0f} kB{answers.seconds * 1000:>17.2f} ms{accuracy}")


if __name__ == "__main__":
    command.run(main)
