"""Compare two annotation files of a record beat by beat, as ANSI/AAMI EC57 asks and PhysioNet's bxb does it.

    python -m ecgbeats.scores.ec57 RECORD --test EXT [--reference atr] [--start SECONDS] [--mapping aami|bxb] [--json FILE]

Beats are paired one to one within 150 ms, from --start on. Prints the standard's matrix and figures. Both annotation files
lie beside RECORD.hea, where annotate_record.py writes only with that folder as --output; its --compare EXT needs no such copy.
"""

from ecgbeats import command  # first: from here on Ctrl-C leaves no traceback

# isort: split
import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.records.annotations import annotator_suffix
from ecgbeats.records.symbols import symbol_classes
from ecgbeats.scores.aami import BEATS, ECTOPIC, LABELS, LEGEND, count_outcomes, rates
from ecgbeats.scores.annotations import Annotations, read_annotations, read_timing

import numpy as np

WINDOW = 0.15  # seconds
START = 300.0  # seconds: the standard's learning period
# The class of each symbol that marks a beat. bxb counts escape beats as S, de Chazal et al. (2004) as N. Flutter waves
# (!) are beats to neither.
MAPPINGS = {"aami": symbol_classes("aami"), "bxb": symbol_classes("aami") | dict.fromkeys("ejn", "S")}
_NEVER = 2**62  # a sample behind every file
_UNREADABLE = 0x30  # bits of a noise annotation's subtype: neither of two signals can be read


@dataclass(frozen=True)
class Comparison:
    """What two annotators say of the same beats.

    Attributes
    ----------
    matrix : numpy.ndarray, int64, shape (7, 7)
        Pairs by class, rows the reference's, columns the test's, both in the order N S V F Q O X. O: the other has no
        beat there; X: it does not, during a shutdown.
    rr_error : float or None
        Root mean square of the differences between the RR intervals of both, in milliseconds.
    """

    matrix: np.ndarray
    rr_error: float | None

    def as_dict(self) -> dict:
        """Return the matrix, and each quotient as [right, of], ready for JSON."""
        matrix = self.matrix
        beats, found = matrix[:5], int(matrix[:5, :5].sum())
        result = {
            "reference x test": {
                row: {
                    column.lower(): int(matrix[i, k])
                    for k, column in enumerate(LABELS if row in BEATS else BEATS)
                }
                for i, row in enumerate(LABELS)
            },
            "QRS sensitivity": [found, int(beats.sum())],
            "QRS positive predictivity": [found, int(matrix[:, :5].sum())],
        }
        for name in ECTOPIC:
            quotients = rates(count_outcomes(matrix, name))
            result[f"{name} sensitivity"] = list(quotients["sensitivity"])
            result[f"{name} positive predictivity"] = list(quotients["positive_predictivity"])
        result["RMS RR interval error, ms"] = None if self.rr_error is None else round(self.rr_error, 2)
        return result


def compare(
    reference: Annotations,
    test: Annotations,
    rate: float,
    length: int | None = None,
    start: float = START,
    mapping: str = "aami",
) -> Comparison:
    """Pair the beats of two annotators of one record, one to one within 150 ms, and count the pairs by class.

    Flutter episodes (from ``[`` to ``]``) of the reference are left out: no beat in them counts, of neither side.

    Parameters
    ----------
    reference, test : Annotations
        All annotations of each, not the beats alone, in samples at ``rate``.
    rate : float
        Samples per second.
    length : int, optional
        The record's samples; beats behind it are not compared. Without it the reference's last beat is the end.
    start : float
        Where the comparison begins, in seconds: beats before it are for learning.
    mapping : {"aami", "bxb"}
        How symbols become classes, see MAPPINGS.

    Source: WFDB Applications Guide, bxb(1); G. Moody, Evaluating ECG Analyzers. Ties, the first beats, what counts as
    an RR interval and the two episodes that it remembers at a time are bxb's (WFDB 10.7).
    """
    window, first = (int(seconds * rate + 0.5) for seconds in (WINDOW, start))
    matrix = np.zeros((7, 7), np.int64)
    errors = []
    sides = [_Side(annotations, MAPPINGS[mapping], window) for annotations in (reference, test)]
    for row, column, intervals in _pair(*sides, window, first, length):
        if row and column:
            matrix[LABELS.index(row), LABELS.index(column)] += 1
        if all(intervals):
            errors.append(intervals[0] - intervals[1])
    error = float(np.sqrt(np.mean(np.square(errors, dtype=float)))) * 1000 / rate if errors else None
    return Comparison(matrix, error)


class _Side:
    """The beats of one annotator: one at sample 0 that counts for nothing, the annotated ones, two that never come.

    ``times``, ``labels`` (a class, or "" for a beat that does not count) and ``intervals`` (the RR interval that ends
    with the beat, 0 where there is none) have an item for each. ``flutter`` and ``shutdown`` hold the last two episodes
    (first, last) that the file tells before each beat.
    """

    def __init__(self, annotations: Annotations, classes: dict[str, str], window: int):
        self.times, self.labels, self.intervals = [0], [""], [0]
        self.flutter, self.shutdown = [()], [()]
        flutter, shutdown = [], []
        items = list(annotations)
        at = 0
        while at < len(items):
            sample, symbol, subtype = items[at]
            at += 1
            if symbol in classes:
                self._add(sample, classes[symbol], flutter[-2:], shutdown[-2:])
            elif symbol == "[":
                while at < len(items) and items[at][1] != "]":
                    at += 1
                flutter.append((sample, items[at][0] if at < len(items) else _NEVER))
                at += 1
            elif symbol == "~" and _is_unreadable(subtype):
                end = items[at] if at < len(items) else (_NEVER, "~", 0)
                if end[1] == "~" and not _is_unreadable(end[2]):
                    shutdown.append((sample, end[0]))
                    at += 1
                else:  # the AHA's way: one mark within the shutdown, which lasts from beat to beat
                    before = max([self.times[-1], *(last for _, last in flutter[-1:])])
                    last = end[0] - window
                    shutdown.append((min(before + window, last), last))
        for _ in range(2):
            self._add(_NEVER, "", flutter[-2:], shutdown[-2:])

    def _add(self, sample: int, label: str, flutter: list, shutdown: list) -> None:
        """Add a beat, before which these episodes were told."""
        before = self.times[-1]
        broken = any(before <= first < sample for first, _ in flutter + shutdown)
        self.intervals.append(0 if before == 0 or sample == _NEVER or broken else sample - before)
        self.times.append(sample)
        self.labels.append(label)
        self.flutter.append(flutter)
        self.shutdown.append(shutdown)

    def extra(self, at: int, sample: int) -> str:
        """Return the reference's label for a test beat without a partner, read before the beat ``at``: O, X or ""."""
        if _is_within(self.flutter[at + 1], sample):
            return ""
        return self.missed(at, sample)

    def missed(self, at: int, sample: int) -> str:
        """Return the test's label for a reference beat without a partner, read before the beat ``at``: O or X."""
        return "X" if _is_within(self.shutdown[at + 1], sample) else "O"


def _is_within(episodes: list[tuple[int, int]], sample: int) -> bool:
    """Return whether one of the episodes (first, last) holds the sample."""
    return any(first <= sample <= last for first, last in episodes)


def _is_unreadable(subtype: int) -> bool:
    """Return whether a noise annotation of this subtype begins a shutdown."""
    return int(subtype) & _UNREADABLE == _UNREADABLE


def _pair(
    reference: _Side, test: _Side, window: int, start: int, length: int | None
) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield (reference's label, test's label, the RR intervals of both) of each pair, and of each beat without one."""
    times, tested = reference.times, test.times
    i = next(i for i, sample in enumerate(times) if sample >= start)
    k = next(k for k, sample in enumerate(tested[1:]) if sample >= start)

    def pair(row: str, column: str):
        return row, column, (reference.intervals[i], test.intervals[k])

    # The last test beat of the learning period may be the first reference beat's; else the comparison begins with
    # the first test beat after it, or the second where that one fits better and the first may be of a beat before.
    early = times[i] - tested[k]
    if early <= window and early < abs(times[i] - tested[k + 1]):
        if reference.labels[i] or test.labels[k]:
            yield pair(reference.labels[i], test.labels[k])
        i, k = i + 1, k + 1
    else:
        k += 1
        if tested[k] - start <= window and abs(times[i] - tested[k + 1]) < abs(times[i] - tested[k]):
            k += 1

    def goes_on() -> bool:
        return min(times[i], tested[k]) <= length if length else times[i] != _NEVER

    while goes_on():
        distance = abs(times[i] - tested[k])
        is_test_first = tested[k] < times[i]
        # A pair, unless the later one of both is nearer to the beat that follows on the side of the earlier, and that
        # beat has no better partner.
        other = abs(times[i] - tested[k + 1]) if is_test_first else abs(tested[k] - times[i + 1])
        following = abs(times[i + 1] - tested[k + 1])
        if distance <= window and (distance < other or following < other):
            yield pair(reference.labels[i], test.labels[k])
            i, k = i + 1, k + 1
        elif is_test_first:
            yield pair(reference.extra(i, tested[k]), test.labels[k])
            k += 1
        else:
            yield pair(reference.labels[i], test.missed(k, times[i]))
            i += 1


def words(comparison: Comparison) -> str:
    """Return a comparison as plain text for a terminal: the matrix and the standard's figures."""
    content = comparison.as_dict()
    lines = [" " * 13 + "test", "reference" + "".join(f"{label.lower():>7}" for label in LABELS)]
    for row, counts in content["reference x test"].items():
        lines.append(f"{row:>9}" + "".join(f"{count:>7d}" for count in counts.values()))
    lines.append("")
    for name, value in content.items():
        if isinstance(value, list):
            right, of = value
            share = f"{100 * right / of:6.2f} %" if of else "     -  "
            lines.append(f"{name:<27}{share}  ({right:,d} of {of:,d})")
    error = content["RMS RR interval error, ms"]
    lines.append(f"{'RMS RR interval error':<27}" + ("     -" if error is None else f"{error:6.2f} ms"))
    lines += ["", LEGEND]
    return "\n".join(lines)


def seconds(text: str) -> float:
    """Argparse type for a time in seconds, 0 or later."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds, 0 or more")
    return number


def main(arguments: list[str]) -> None:
    """Read the options and both files, compare, print."""
    parser = command.Parser(prog="python -m ecgbeats.scores.ec57", description=__doc__)
    add = parser.add_argument
    add("record", metavar="RECORD", type=Path, help="the record's path, without a suffix")
    add(
        "--test",
        metavar="EXT",
        type=annotator_suffix,
        required=True,
        help="suffix of the annotation file to be judged, beside the record",
    )
    add(
        "--reference",
        metavar="EXT",
        type=annotator_suffix,
        default="atr",
        help="suffix of the right one (default atr)",
    )
    add("--start", metavar="SECONDS", type=seconds, default=START, help="where to begin (default 300)")
    add(
        "--mapping",
        choices=MAPPINGS,
        default="aami",
        help="how symbols become classes: as de Chazal et al. (2004), or with escape beats as S, as bxb (default aami)",
    )
    add("--json", metavar="FILE", type=Path, help="write the counts there, too")
    options = parser.parse_args(arguments)
    if options.json and not (options.json.parent.is_dir() and not options.json.is_dir()):
        parser.error(f"--json {options.json}: name a file in a folder that exists")
    used = [Path(f"{options.record}.{suffix}") for suffix in ("hea", options.reference, options.test)]
    if options.json and options.json.exists() and any(map(options.json.samefile, filter(Path.exists, used))):
        parser.error(f"--json {options.json}: that file is to be compared; name another")
    rate, length = read_timing(options.record)
    if length and options.start * rate > length:
        raise InputError(
            f"--start {options.start:g} is behind the record's end ({length / rate:g} s); begin earlier"
        )
    for option in ("reference", "test"):
        file = Path(f"{options.record}.{getattr(options, option)}")
        if not file.exists():
            parser.error(
                f"--{option} {getattr(options, option)}: there is no {file}; name an annotation file that lies beside "
                "the record (annotate_record.py --compare EXT compares what it writes elsewhere)"
            )
    files = [
        read_annotations(options.record, extension, rate) for extension in (options.reference, options.test)
    ]
    comparison = compare(*files, rate, length, options.start, options.mapping)
    if not comparison.matrix.any():
        raise InputError(
            f"{options.record}: neither {options.reference} nor {options.test} has a beat to be compared from --start "
            f"{options.start:g} s on; begin earlier"
        )
    if options.json:
        command.write_json(options.json, comparison.as_dict())
    print(
        f"{options.record.name}: {options.test} against {options.reference}, from {options.start:g} s on\n\n"
        f"{words(comparison)}"
    )


if __name__ == "__main__":
    command.run(main)
