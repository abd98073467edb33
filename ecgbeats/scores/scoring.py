"""All that a scored part leaves behind: predictions.csv, figures, the printed table, the metrics."""

from pathlib import Path

from ecgbeats import command
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import score
from ecgbeats.scores.predictions import write_predictions
from ecgbeats.scores.words import score_table

import numpy as np


def write_scores(
    folder: Path,
    images: Images,
    probabilities: np.ndarray,
    classes: list[str],
    split: str | None,
    note: str | None,
) -> dict:
    """Write predictions.csv and the figures of a scored part, print the table, return the metrics.

    Parameters
    ----------
    folder : pathlib.Path
        Exists; its files of these names are replaced.
    images : Images
        What was scored, its labels in the order of ``classes``.
    probabilities : numpy.ndarray, float32, shape (images, classes)
    split : str or None
        The protocol, one of SPLITS; None for images that are no part of a split.
    note : str or None
        Stands in the figures and the table, such as that the data is simulated.
    """

    records = record_names(images.names)
    # Beats of one patient are alike, so where patients are kept apart whole records are resampled.
    groups = records if split in ("records", "ds1-ds2") else None
    true = images.labels
    metrics = score(true, probabilities, classes)
    metrics["intervals"] = bootstrap_intervals(true, probabilities, classes, groups)
    metrics["split"] = split
    metrics["simulated"] = note == command.SIMULATED_NOTICE
    if split == "ds1-ds2":
        # Record 202 is of the same patient as 201, which is in DS1.
        rest = records != "202"
        without = (true[rest], probabilities[rest], classes)
        metrics["without_record_202"] = score(*without) | {
            "intervals": bootstrap_intervals(*without, records[rest])
        }
    with command.whole_file(folder / "predictions.csv") as path:
        write_predictions(path, images.names, true, probabilities, classes)
    save_figure(plot_confusion_matrix(metrics, note), folder / "confusion_matrix.png")
    save_figure(plot_curves(true, probabilities, classes, note), folder / "curves.png")
    save_figure(plot_per_class(metrics, metrics["intervals"], note), folder / "per_class.png")
    print("\n" + score_table(metrics, metrics["intervals"]))
    if split == "ds1-ds2":
        print("\nWithout record 202, whose patient is also in DS1 (record 201):")
        print(score_table(metrics["without_record_202"], metrics["without_record_202"]["intervals"]))
    if note:
        print(note)
    return metrics
