"""metrics.json: the scores of a run, as they are written and read back."""

from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

from ecgbeats.command import InputError
from ecgbeats.reading import Count, Share, read_json
from ecgbeats.runs.networks import Calibration

from msgspec import Meta

Interval = Annotated[list[Share], Meta(min_length=2, max_length=2)]


class ClassScores(TypedDict):
    """Scores of one class against the rest; None for what is not defined."""

    sensitivity: Share | None
    specificity: Share | None
    ppv: Share | None
    f1: Share | None
    auc: Share | None
    support: Count


class ClassIntervals(TypedDict):
    """Intervals of one class; None where there is nothing to resample."""

    sensitivity: Interval | None
    specificity: Interval | None
    ppv: Interval | None
    f1: Interval | None
    auc: Interval | None


class Intervals(TypedDict):
    """What bootstrap_intervals returns."""

    level: Share
    repeats: Count
    resampled: Literal["beats", "records", "patients"]
    units: Count
    accuracy: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    ppv: Interval | None
    f1: Interval | None
    auc: Interval | None
    per_class: dict[str, ClassIntervals]
    missing: NotRequired[dict[str, str]]


class EctopicBeats(TypedDict):
    """The standard's figures of VEB or SVEB; None for a quotient of nothing."""

    sensitivity: Share | None
    positive_predictivity: Share | None
    false_positive_rate: Share | None
    true_positives: NotRequired[Count]
    false_negatives: NotRequired[Count]
    false_positives: NotRequired[Count]
    true_negatives: NotRequired[Count]


class EctopicKinds(TypedDict):
    """Those of both."""

    VEB: EctopicBeats
    SVEB: EctopicBeats


class Standard(TypedDict):
    """What ecgbeats.scores.aami.score_by_record returns."""

    records: dict[str, EctopicKinds]
    gross: EctopicKinds
    average: EctopicKinds


class Reliability(TypedDict):
    """What score_reliability returns."""

    expected_calibration_error: Share | None
    interval: Interval | None
    equal_mass: Share | None
    beats: Annotated[list[Count], Meta(min_length=1)]
    confidence: list[Share | None]
    accuracy: list[Share | None]


class Scores(TypedDict):
    """What score returns, its intervals, and what is told of some classes or splits alone."""

    accuracy: Share | None
    sensitivity: Share | None
    specificity: Share | None
    ppv: Share | None
    f1: Share | None
    auc: Share | None
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[Count]]
    classes: list[str]
    test_images: Count
    patients: NotRequired[dict[str, Count] | None]
    intervals: NotRequired[Intervals]
    reliability: NotRequired[Reliability]
    ec57: NotRequired[Standard]


class Metrics(Scores):
    """metrics.json."""

    split: NotRequired[str | None]
    simulated: NotRequired[bool]
    without_record_202: NotRequired[Scores]
    training_images_included: NotRequired[bool | None]
    calibration: NotRequired[Calibration]
    model: NotRequired[str]
    epochs: NotRequired[Count]
    best_epoch: NotRequired[Count | None]
    stopped_early: NotRequired[bool]
    seconds: NotRequired[Annotated[float, Meta(ge=0)]]


def read_metrics(folder: Path) -> Metrics:
    """Return metrics.json of a run. Raises InputError where there is none, or none that is whole."""
    path = folder / "metrics.json"
    remedy = "copy the run's whole folder again, or remove it to train again"
    metrics = read_json(path, Metrics, remedy)
    if metrics is None:
        raise InputError(f"{path}: no such file; {remedy}")
    _check_scores(metrics, metrics["classes"], f"{path}", remedy)
    if "calibration" in metrics and len(metrics["calibration"]["biases"]) != len(metrics["classes"]):
        raise InputError(f"{path}: calibration has not one bias for each class; {remedy}")
    if "without_record_202" in metrics:
        _check_scores(
            metrics["without_record_202"], metrics["classes"], f"{path}: without_record_202", remedy
        )
    return metrics


def _check_scores(scores: Scores, classes: list[str], where: str, remedy: str) -> None:
    """Raise InputError where not all in them is of these classes."""
    by_class = [scores["per_class"]]
    if "intervals" in scores:
        by_class.append(scores["intervals"]["per_class"])
    reliability = scores.get("reliability", {})
    if len({len(reliability.get(name, ())) for name in ("beats", "confidence", "accuracy")}) > 1:
        raise InputError(
            f"{where}: beats, confidence and accuracy of reliability are not of the same bins; {remedy}"
        )
    matrix, size = scores["confusion_matrix"], len(classes)
    if (
        scores["classes"] != classes
        or any(sorted(one) != sorted(classes) for one in by_class)
        or len(matrix) != size
    ):
        raise InputError(
            f"{where}: classes, per_class, intervals and confusion_matrix are not of the same classes; {remedy}"
        )
    if any(len(row) != size for row in matrix):
        raise InputError(f"{where}: confusion_matrix is not square; {remedy}")
