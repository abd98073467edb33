"""How far do two networks differ on the same test beats, and is it more than chance?

    python benchmarks/paired.py RUN [RUN ...] --less BASE [BASE ...]

Each RUN and BASE is a run folder with predictions.csv, or predictions.csv.xz as docs/runs holds them. Prints the
differences RUN - BASE in accuracy and mean sensitivity, in percentage points, with 95 % bootstrap intervals:
beats are resampled in pairs, since both networks are scored on the same. With one BASE each RUN is compared with
it. With as many BASEs as RUNs, such as three seeds of each, the first is compared with the first and so on, and a
last row has the mean and its 95 % t interval over these pairs, which tells what other trainings would change.
"""

import argparse
import lzma
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.scores.intervals import LEVEL
from ecgbeats.scores.predictions import read_predictions

import numpy as np

REPEATS = 2000


def main(arguments: list[str]) -> None:
    """Print one row for each pair, and their mean."""
    options = read_options(arguments)
    bases = options.less * len(options.runs) if len(options.less) == 1 else options.less
    common = os.path.commonpath([path.absolute() for path in (*options.runs, *bases)])
    print("| Run | Less | Accuracy | Mean sensitivity | Right only in the run | Only in the other |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    gains = []
    for run, base in zip(options.runs, bases, strict=True):
        true, right, before = read_pair(run, base)
        gain, ends = paired_difference(true, right, before)
        names = [os.path.relpath(path, common) for path in (run, base)]
        only = [f"{np.sum(right & ~before):,d}", f"{np.sum(before & ~right):,d}"]
        print(f"| {' | '.join([*names, *in_points(gain, ends), *only])} |")
        gains.append(gain)
    if len(options.less) > 1:
        print(f"| mean of {len(gains)} | | {' | '.join(in_points(*mean_of_pairs(gains)))} | | |")


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = command.Parser(prog="paired.py", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument(
        "--less",
        nargs="+",
        type=Path,
        required=True,
        metavar="BASE",
        help="one run folder, or one for each RUN",
    )
    options = parser.parse_args(arguments)
    if len(options.less) not in (1, len(options.runs)):
        parser.error(
            f"--less: {len(options.less)} folders for {len(options.runs)} runs; give one, or one for each"
        )
    return options


def read_run(folder: Path) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """Return what read_predictions does, of predictions.csv in a folder or else of predictions.csv.xz."""
    packed = folder / "predictions.csv.xz"
    if not packed.exists() or (folder / "predictions.csv").exists():
        return read_predictions(folder / "predictions.csv")
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = Path(scratch) / "predictions.csv"
        try:
            unpacked.write_bytes(lzma.decompress(packed.read_bytes()))
        except (OSError, lzma.LZMAError) as problem:
            raise InputError(
                f"{packed} cannot be read ({problem}); copy the run's whole folder again"
            ) from problem
        return read_predictions(unpacked)


def read_pair(run: Path, base: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each beat's class, int64, and whether ``run`` and ``base`` are right, bool, all of shape (beats,).

    Raises
    ------
    InputError
        The two did not test the same beats, or none.
    """
    (files, true, probabilities, classes), (*others, chances, names) = read_run(run), read_run(base)
    if (files, classes) != (others[0], names) or (true != others[1]).any():
        raise InputError(
            f"{run} and {base} did not test the same beats: name runs with equal --split and --seed"
        )
    if not len(true):
        raise InputError(f"{run} has no beats in its predictions: name a run that is scored")
    return true, probabilities.argmax(axis=1) == true, chances.argmax(axis=1) == true


def paired_difference(
    true: np.ndarray, right: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much more often one network is right than another, as accuracy and as mean sensitivity.

    Parameters
    ----------
    true : numpy.ndarray of int, shape (beats,)
    right, before : numpy.ndarray of bool, shape (beats,)
        Whether the network, and the one that it is compared with, is right.

    Returns
    -------
    gain : numpy.ndarray, float64, shape (2,)
        The difference in accuracy, the share of beats right, and in the mean of the classes' shares.
    ends : numpy.ndarray, float64, shape (2, 2)
        The interval's low ends and its high ends: the percentiles over resamples of the beats. A resample's mean
        is over the classes that it has.
    """
    change = right.astype(float) - before
    support, size = np.bincount(true), len(true)

    def differences(weights: np.ndarray) -> tuple[float, float]:
        counts = np.bincount(true, weights, len(support))
        gained = np.bincount(true, weights * change, len(support))
        return gained.sum() / size, np.mean(gained[counts > 0] / counts[counts > 0])

    random = np.random.default_rng(0)
    resampled = [
        differences(np.bincount(random.integers(size, size=size), minlength=size)) for _ in range(REPEATS)
    ]
    ends = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.array(differences(np.ones(size))), ends


def mean_of_pairs(gains: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of several pairs' gains, and the ends of its t interval over the pairs."""
    from scipy.stats import t  # scikit-learn brings it

    mean, error = np.mean(gains, axis=0), np.std(gains, axis=0, ddof=1) / len(gains) ** 0.5
    reach = t.ppf((1 + LEVEL) / 2, len(gains) - 1) * error
    return mean, np.array([mean - reach, mean + reach])


def in_points(gain: np.ndarray, ends: np.ndarray) -> list[str]:
    """Return both differences in words, in percentage points."""
    return [f"{100 * a:+.2f} ({100 * b:+.2f} to {100 * c:+.2f})" for a, b, c in zip(gain, *ends, strict=True)]


if __name__ == "__main__":
    command.run(main)
