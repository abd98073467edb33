"""What annotate_record.py can be told."""

import argparse
import re
from pathlib import Path

from ecgbeats import command
from ecgbeats.records.annotations import annotator_suffix

import numpy as np

ANNOTATOR = "ecgbeats"
MOST_MINUTES = 60  # of labelled beats, whose images are held in memory
TAKEN = ("atr", "hea", "dat", "edf", "csv", "tsv", "txt")  # suffixes of what comes from elsewhere


def read_options(arguments: list[str], description: str, model: Path) -> argparse.Namespace:
    """Return the command line's options; ``model`` is the network's file where none is named."""
    parser = command.Parser(prog="annotate_record.py", description=description)
    add = parser.add_argument
    add("records", metavar="RECORD", nargs="+", help="a WFDB record, an EDF file (.edf) or a CSV file (.csv)")
    add("--output", metavar="DIR", type=Path, required=True, help="folder for the results")
    add(
        "--model",
        metavar="FILE.keras",
        type=Path,
        default=model,
        help="the network that labels the beats (default pretrained/new-patients)",
    )
    add("--lead", help="name of a lead or its index from 0 (default MLII, II or I, else the first)")
    add(
        "--rate",
        type=command.positive_number,
        metavar="HZ",
        help="samples a second, where a table does not tell, or tells it wrongly above its numbers",
    )
    add(
        "--unit",
        choices=["mV", "uV"],
        help="of the samples, where the file does not tell, or tells it wrongly",
    )
    add(
        "--beats",
        metavar="EXT",
        type=annotator_suffix,
        help="take the beats of this annotation file, and find none",
    )
    add(
        "--write-as",
        metavar="NAME",
        type=suffix,
        default=ANNOTATOR,
        help=f"suffix of the annotation file to write (default {ANNOTATOR})",
    )
    add(
        "--compare",
        metavar="EXT",
        type=annotator_suffix,
        help="compare the result with this annotation file, as bxb does",
    )
    add(
        "--corrections",
        metavar="FILE.csv",
        type=Path,
        help="what the review page downloads: take these labels, which are by hand",
    )
    add(
        "--adapt-minutes",
        type=minutes,
        metavar="N",
        help="learn the patient from the first N minutes, as --corrections or else --beats labels them; label the rest",
    )
    add(
        "--from", dest="begin", type=seconds, default=0.0, metavar="T", help="begin there: seconds or h:mm:ss"
    )
    add("--to", dest="end", type=seconds, default=np.inf, metavar="T", help="end there")
    options = parser.parse_args(arguments)
    command.check_output(options.output)
    if options.write_as.lower() in TAKEN:
        parser.error(f"--write-as {options.write_as}: that suffix belongs to other files; choose another")
    if options.begin >= options.end:
        parser.error("--to is not behind --from")
    if options.corrections and len(options.records) > 1:
        parser.error("--corrections is of one recording; name that alone")
    if options.adapt_minutes and not (options.corrections or options.beats):
        parser.error(
            f"--adapt-minutes {options.adapt_minutes:g}: nothing labels these minutes; give --corrections FILE.csv, which the "
            "review page downloads, or --beats EXT, an annotation file beside the recording"
        )
    return options


def minutes(text: str) -> float:
    """Argparse type for the labelled minutes."""
    value = command.positive_number(text)
    if value > MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{text} is too much: at most {MOST_MINUTES} minutes are possible")
    return value


def suffix(text: str) -> str:
    """Argparse type for the suffix of an annotation file that is to be written."""
    if not re.fullmatch("[A-Za-z]{1,40}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no annotator's name; WFDB has letters alone, such as atr"
        )
    return text


def seconds(text: str) -> float:
    """Argparse type for a time: seconds, m:ss or h:mm:ss."""
    if not re.fullmatch(r"(\d{1,9}:)?(\d{1,9}:)?\d{1,9}(\.\d{0,9})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, m:ss or h:mm:ss")
    value = 0.0
    for part in text.split(":"):
        value = 60 * value + float(part)
    return value
