"""How many beats does annotate_record.py find, and how many that are none, on records with reference annotations?

    python benchmarks/detection.py --records FOLDER

Detected beats and the reference's are paired one to one within 150 ms,
as the standard's comparison does it, over the whole of each record; flutter is left out. Detections in stretches that
are marked as too poor to judge count as none.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgbeats import command
from ecgbeats.records.finding import find_beats
from ecgbeats.records.quality import are_within, find_unreadable
from ecgbeats.records.symbols import BEAT_SYMBOLS
from ecgbeats.records.wfdb_files import find_records, read_signal
from ecgbeats.scores.annotations import Annotations, read_annotations
from ecgbeats.scores.ec57 import WINDOW, compare

import numpy as np

from benchmarks import harness

AT_THE_PLACE, NEAR_THE_PLACE = 0.003, 0.05  # seconds


def main(arguments: list[str]) -> None:
    """Compare the beats of each record, and print the sums and the records with most errors."""
    options = harness.parser(
        __doc__,
        records=(harness.PROJECT.parent / "shared" / "mitdb", "WFDB records with .atr"),
        names=([""], "which (default all)"),
    ).parse_args(arguments)
    names = list(filter(None, options.names)) or find_records(options.records)
    with command.process_pool(command.available_cores(), command.start_worker) as pool:
        counts = np.array(list(pool.map(count, [options.records / name for name in names])))
    beats, found, right, exact, wide, exact_wide, near_wide, removed, unreadable, seconds = counts.sum(
        0
    ).tolist()
    rows = [
        ["beats", f"{beats:,.0f}"],
        ["missed", f"{beats - right:,.0f}"],
        ["found where none is", f"{found - right:,.0f}"],
        ["sensitivity", f"{100 * right / beats:.2f} %"],
        ["positive predictivity", f"{100 * right / found:.2f} %"],
        [f"within {1000 * AT_THE_PLACE:.0f} ms of the annotated place", f"{100 * exact / right:.1f} %"],
        ["of V, so near", f"{100 * exact_wide / wide:.1f} %" if wide else "none"],
        [
            f"of V, within {1000 * NEAR_THE_PLACE:.0f} ms",
            f"{100 * near_wide / wide:.1f} %" if wide else "none",
        ],
        ["marked as too poor to judge", f"{unreadable:,.0f} of {seconds:,.0f} s, {removed:,.0f} detections"],
    ]
    print(harness.table([f"{options.records.name}, {len(names)} records", ""], rows))
    print()
    wrong = [
        [name, int(c[0]), int(c[0] - c[2]), int(c[1] - c[2])] for name, c in zip(names, counts, strict=True)
    ]
    wrong = sorted(wrong, key=lambda row: -row[2] - row[3])[:12]
    print(harness.table(["Most errors", "beats", "missed", "extra"], wrong))


def count(path: Path) -> tuple:
    """Return a record's beats, detections, pairs, exact pairs; V that are found, exactly, nearly;
    detections in unreadable stretches, their seconds, all.
    """
    signal = read_signal(path)
    pieces = list(find_beats(signal.millivolts, signal.rate))
    samples, doubtful = (np.concatenate(part) for part in zip(*pieces, strict=True))
    stretches = find_unreadable(samples, doubtful, signal.gaps, signal.rate)
    kept = samples[~are_within(samples, stretches)]
    reference = read_annotations(path, "atr", signal.rate)
    test = Annotations(kept, np.full(len(kept), "N"))
    matrix = compare(reference, test, signal.rate, len(signal.millivolts), start=0).matrix
    nearest = np.abs(
        reference.samples[:, None]
        - kept[np.searchsorted(kept, reference.samples)[:, None].clip(1, len(kept) - 1) - [1, 0]]
    ).min(1)
    beats = np.isin(reference.symbols, list(BEAT_SYMBOLS - {"!"}))
    exact = (nearest[beats] <= AT_THE_PLACE * signal.rate).sum()
    wide = nearest[(np.asarray(reference.symbols) == "V") & (nearest <= WINDOW * signal.rate)]
    unreadable = (stretches[:, 1] - stretches[:, 0]).sum() / signal.rate
    seconds = len(signal.millivolts) / signal.rate
    return (
        matrix[:5].sum(),
        matrix[:, :5].sum(),
        matrix[:5, :5].sum(),
        exact,
        len(wide),
        (wide <= AT_THE_PLACE * signal.rate).sum(),
        (wide <= NEAR_THE_PLACE * signal.rate).sum(),
        len(samples) - len(kept),
        unreadable,
        seconds,
    )


if __name__ == "__main__":
    command.run(main)
