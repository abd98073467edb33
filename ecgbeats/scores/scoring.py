"""All that a scored part leaves behind: predictions.csv, figures, the printed table, the metrics."""

from pathlib import Path

from ecgbeats import command
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import BEATS, Protocol
from ecgbeats.scores.aami import is_aami, score_by_record
from ecgbeats.scores.figure_style import save_figure
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.metrics import count_patients, score
from ecgbeats.scores.predictions import write_predictions
from ecgbeats.scores.reliability import score_reliability
from ecgbeats.scores.words import ec57_table, score_table

import numpy as np


def write_scores(
    folder: Path,
    images: Images,
    probabilities: np.ndarray,
    classes: list[str],
    protocol: Protocol | None,
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
    protocol : Protocol or None
        None for images that are no part of a split.
    note : str or None
        Stands in the figures and the table, such as that the data is simulated.
    """
    records = record_names(images.names)

    def score_part(chosen: np.ndarray) -> dict:
        return score_beats(
            images.labels[chosen],
            probabilities[chosen],
            classes,
            None if records is None else records[chosen],
            protocol,
        )

    true = images.labels
    metrics = score_part(np.ones(len(true), bool))
    metrics["split"] = protocol.name if protocol else None
    metrics["simulated"] = command.SIMULATED_NOTICE in (note or "")
    if protocol and protocol.has_ds1_ds2:
        # Record 202 is of the same patient as 201, which is in DS1.
        metrics["without_record_202"] = score_part(records != "202")
    with command.whole_file(folder / "predictions.csv") as path:
        write_predictions(path, images.names, true, probabilities, classes)
    save_figure(plot_confusion_matrix(metrics, note), folder / "confusion_matrix.png")
    save_figure(plot_curves(true, probabilities, classes, note), folder / "curves.png")
    save_figure(plot_per_class(metrics, metrics["intervals"], note), folder / "per_class.png")
    print("\n" + score_table(metrics, metrics["intervals"]))
    if "ec57" in metrics:
        print("\n" + ec57_table(metrics["ec57"]))
    if protocol and protocol.has_ds1_ds2:
        print("\nWithout record 202, whose patient is also in DS1 (record 201):")
        print(score_table(metrics["without_record_202"], metrics["without_record_202"]["intervals"]))
    if note:
        print(note)
    return metrics


def score_beats(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    records: np.ndarray | None,
    protocol: Protocol | None,
) -> dict:
    """Return what :func:`score` returns, with ``patients`` of each class, ``intervals``, ``reliability``, and ``ec57`` of
    AAMI's classes.

    ``records`` is each beat's record, None where they are not known; then ``patients`` is None, too.
    """
    metrics = score(true, probabilities, classes)
    patients = None if records is None else (protocol or BEATS).patients_of(records)
    metrics["patients"] = None if records is None else count_patients(true, patients, classes)
    metrics["intervals"] = split_intervals(true, probabilities, classes, records, protocol)
    metrics["reliability"] = split_reliability(true, probabilities, classes, records, protocol)
    if is_aami(classes):
        metrics["ec57"] = score_by_record(true, probabilities.argmax(axis=1), classes, records)
    return metrics


def split_intervals(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    records: np.ndarray | None,
    protocol: Protocol | None,
) -> dict:
    """Return :func:`bootstrap_intervals` over what the protocol parts: patients, which are alike in all beats, or beats."""
    patients = _patients_apart(records, protocol)
    if patients is None:
        return bootstrap_intervals(true, probabilities, classes)
    unit = "records" if len(np.unique(patients)) == len(np.unique(records)) else "patients"
    return bootstrap_intervals(true, probabilities, classes, patients, unit=unit)


def split_reliability(
    true: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    records: np.ndarray | None,
    protocol: Protocol | None,
) -> dict:
    """Return :func:`score_reliability`, its interval over what the protocol parts, as those of :func:`split_intervals`."""
    return score_reliability(true, probabilities, classes, _patients_apart(records, protocol))


def _patients_apart(records: np.ndarray | None, protocol: Protocol | None) -> np.ndarray | None:
    """Return each beat's patient, None where the protocol does not keep them apart."""
    return protocol.patients_of(records) if protocol and protocol.keeps_patients_apart else None
