"""What a person said of beats on the review page, as the CSV file that it downloads: sample,action,symbol.

Each beat that a person labelled has a line, also where the network says the same, and each one that was deleted.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ecgbeats.command import InputError
from ecgbeats.reading import read_csv
from ecgbeats.records.quality import are_within
from ecgbeats.scores.annotating.labelled import Labelled

import numpy as np

HEADER = ["sample", "action", "symbol"]
ACTIONS = ("relabel", "delete", "add")
REMEDY = "give the file that the review page downloads"
LARGEST_SAMPLE = 2**62


class Correction(NamedTuple):
    """One line of the file: where, what (one of ACTIONS), and the new symbol ("" for delete)."""

    line: int
    sample: int
    action: str
    symbol: str


def read_corrections(path: Path) -> list[Correction]:
    """Read the file. Raises InputError, naming the line, for what is none."""
    _, rows = read_csv(path, REMEDY)
    if not rows or [cell.strip() for cell in rows[0][1]] != HEADER:
        raise InputError(f"{path} does not begin with the line {','.join(HEADER)}; {REMEDY}")
    found = []
    for line, row in rows[1:]:
        cells = [cell.strip() for cell in row]
        if (
            len(cells) != len(HEADER)
            or cells[1] not in ACTIONS
            or not (cells[0].isascii() and cells[0].isdigit())
        ):
            raise InputError(
                f"{path}, line {line}: {','.join(row)[:60]!r} is no sample, action ({', '.join(ACTIONS)}) and symbol; {REMEDY}"
            )
        if len(cells[0]) > 99 or int(cells[0]) > LARGEST_SAMPLE:
            raise InputError(f"{path}, line {line}: no recording has a sample {cells[0][:40]}; {REMEDY}")
        found.append(Correction(line, int(cells[0]), cells[1], "" if cells[1] == "delete" else cells[2]))
    return found


def check_symbols(corrections: list[Correction], symbols: list[str], path: Path) -> None:
    """Raise InputError for a symbol that is none of the network's."""
    for correction in corrections:
        if correction.action != "delete" and correction.symbol not in symbols:
            raise InputError(
                f"{path}, line {correction.line}: {correction.symbol[:20]!r} is no symbol of this network, which has "
                f"{' '.join(symbols)}"
            )


def correct(labelled: Labelled, corrections: list[Correction], path: Path) -> Labelled:
    """Return the beats as a person corrected them.

    Those that a line labels are by hand, also where the label stays. Samples count from the recording's start. Raises
    InputError, naming ``path`` and the line, for a correction of a beat that is not there, and for a beat that is added
    outside of what was looked at, or where one is.
    """
    beats = {
        sample: (label, row, by_hand)
        for sample, label, row, by_hand in zip(
            labelled.samples.tolist(),
            labelled.predicted.tolist(),
            labelled.probabilities,
            labelled.by_hand.tolist(),
            strict=True,
        )
    }
    for line, place, action, symbol in corrections:
        sample = place - labelled.first
        if (sample in beats) == (action == "add") or not 0 <= sample < len(labelled.signal.millivolts):
            fault = (
                "has a beat already"
                if sample in beats
                else "has no beat"
                if action != "add"
                else "lies outside"
            )
            raise InputError(
                f"{path}, line {line}: sample {place} {fault}; give the record, network and options that the page was "
                "made with"
            )
        if action == "delete":
            del beats[sample]
            continue
        label = labelled.symbols.index(symbol)
        beats[sample] = (label, np.eye(len(labelled.classes), dtype=np.float32)[label], True)
    samples = np.array(sorted(beats), np.int64)
    rows = [beats[sample] for sample in samples.tolist()]
    return replace(
        labelled,
        samples=samples,
        predicted=np.array([label for label, _, _ in rows], np.int64),
        probabilities=np.array([row for _, row, _ in rows], np.float32).reshape(-1, len(labelled.classes)),
        by_hand=np.array([by_hand for _, _, by_hand in rows], bool),
        noise=_around(labelled.noise, samples),
    )


def as_text(before: Labelled, after: Labelled) -> str:
    """Return the file of corrections that makes the beats ``before`` those ``after``; "" where a person said nothing."""
    was, now = (set((one.samples + one.first).tolist()) for one in (before, after))
    lines = {sample: "delete," for sample in was - now}
    for i in np.flatnonzero(after.by_hand).tolist():
        sample = int(after.samples[i]) + after.first
        lines[sample] = f"{'relabel' if sample in was else 'add'},{after.symbols[after.predicted[i]]}"
    rows = [f"{sample},{line}" for sample, line in sorted(lines.items())]
    return "\n".join([",".join(HEADER), *rows, ""]) if rows else ""


def _around(noise: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the unreadable stretches without those in which a person found a beat after all."""
    if not len(noise):
        return noise
    inside = samples[are_within(samples, noise)]
    return noise[np.searchsorted(inside, noise[:, 0]) == np.searchsorted(inside, noise[:, 1])]
