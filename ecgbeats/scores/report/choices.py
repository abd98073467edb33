"""Which of the test beats the report shows: typical ones, and the most confident errors."""

from dataclasses import dataclass

from ecgbeats.images.names import parse_image_name, record_names
from ecgbeats.scores.report.run import Run

import numpy as np

TYPICAL_BEATS = 6  # of each class
ALL_TYPICAL_BEATS = 96  # of all classes together: other people's folders have many
ERRORS = 24
SAME_ERRORS = 3  # of one record, true and predicted class: one patient would else fill the gallery


def choose_typical(run: Run) -> list[list[int]]:
    """Return for each class some of its test beats that are predicted rightly, the most typical first.

    Typical is what has a probability near the median of its record. Records take turns, those with the most
    beats first.
    """
    records = record_names(run.files)
    if records is None:
        records = np.zeros(len(run.files), int)
    most = max(1, min(TYPICAL_BEATS, ALL_TYPICAL_BEATS // len(run.classes)))
    typical = []
    for number in range(len(run.classes)):
        right = np.flatnonzero((run.true == number) & (run.predicted == number))
        order = []
        for record in np.unique(records[right]):
            own = right[records[right] == record]
            own = own[np.argsort(run.probabilities[own, number], kind="stable")]
            near_median = np.argsort(np.abs(np.arange(len(own)) - (len(own) - 1) / 2), kind="stable")
            order += [(turn, -len(own), int(i)) for turn, i in enumerate(own[near_median])]
        typical.append([i for _, _, i in sorted(order)[:most]])
    return typical


def choose_errors(run: Run) -> list[int]:
    """Return the errors with the highest probability, at most SAME_ERRORS of one kind and record."""
    wrong = np.flatnonzero(run.true != run.predicted)
    wrong = wrong[np.argsort(-run.probabilities[wrong].max(axis=1), kind="stable")]
    chosen, seen = [], {}
    for i in wrong.tolist():
        record, _ = parse_image_name(run.files[i]) or (None, None)
        kind = (record, run.true[i], run.predicted[i])
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= SAME_ERRORS and len(chosen) < ERRORS:
            chosen.append(i)
    return chosen


@dataclass(frozen=True)
class Beat:
    """A test beat as the report shows it; ``true`` and ``predicted`` are names of classes."""

    index: int
    image: np.ndarray
    place: str
    true: str
    predicted: str
    probability: float  # of the predicted class
    probability_of_true: float


def read_beat(run: Run, i: int) -> Beat:
    """Return test beat ``i`` with its image. Raises InputError where that cannot be read."""
    true, predicted = run.true[i], run.predicted[i]
    chances = run.probabilities[i]
    return Beat(
        index=i,
        image=run.image(i),
        place=run.place(i),
        true=run.classes[true],
        predicted=run.classes[predicted],
        probability=float(chances[predicted]),
        probability_of_true=float(chances[true]),
    )
