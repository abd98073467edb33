"""What the reader of labelled beats must know: that they are no diagnosis, and how often they are wrong."""

from pathlib import Path

from ecgbeats.scores.metrics_file import read_metrics

NO_DEVICE = "This is no medical device: do not use it to diagnose or treat anybody."
NO_FLUTTER = (
    "Ventricular flutter and fibrillation are not found: their waves are taken for beats, or for noise. Look at what is "
    "marked as unreadable."
)
HARDLY = 0.1  # a class with a lower sensitivity is hardly found
# docs/own-ecg.md has the command that measures it.
DETECTION = (
    "Of the beats of the MIT-BIH Arrhythmia Database 99.75 % are found, and 99.84 % of what is found is a beat; in noise "
    "it is less (docs/own-ecg.md)."
)


# Of one recording.
SEEN = (
    "By its name, this record or another of its patient trained the network, so its labels are righter than those of a new "
    "patient."
)


def notices(model: Path, finds: bool = True) -> list[str]:
    """Return them for a network; of its scores what metrics.json beside it says, where it lies there.

    ``finds`` is whether beats are looked for, or given.
    """
    return [NO_DEVICE, NO_FLUTTER, *([DETECTION] if finds else []), expectation(model)]


def expectation(model: Path) -> str:
    """Say how often the labels of a network are right on a patient that it has not seen, with the source."""
    unknown = f"How often the labels of {model.name} are right on a new patient is not known: far less often than on its own"
    if not (model.parent / "metrics.json").is_file():
        return f"{unknown} (docs/results.md)."
    metrics = read_metrics(model.parent)
    split = metrics.get("split")
    if split in (None, "beats"):
        return (
            f"{unknown}. Its score of {100 * (metrics['accuracy'] or 0):.1f} % is of beats of the patients that it was trained on "
            "(docs/results.md)."
        )
    told = [
        f"of the beats of class {name} it finds {100 * scores['sensitivity']:.0f} %, and is right in "
        f"{100 * scores['ppv']:.0f} % of those that it calls so"
        for name, scores in metrics["per_class"].items()
        if scores["sensitivity"] is not None
        and scores["ppv"] is not None
        and name in ("S", "V", "PVC", "APC")
    ]
    missed = [name for name, scores in metrics["per_class"].items() if (scores["sensitivity"] or 0) < HARDLY]
    if missed:
        told.append(f"of {' and '.join(missed)} it finds hardly any")
    return (
        f"On patients that it had not seen, {100 * (metrics['accuracy'] or 0):.1f} % of {metrics['test_images']:,d} beats are "
        f"labelled right ({model.name}, split {Path(split).stem}; its metrics.json, docs/results.md): "
        f"{'; '.join(told) or 'see there for each class'}."
    )
