"""Scores in words: numbers that never round an error away, and the printed table."""

from collections.abc import Sequence

from ecgbeats.scores.aami import LEGEND
from ecgbeats.scores.metrics import METRICS

TITLES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "f1": "F1",
    "auc": "AUC",
}
LONGEST_NAME = 16  # characters of a class's name in the table and the figures
LONGEST_BESIDE_PATIENTS = 11  # in a table that tells the patients, too


def score_table(metrics: dict, intervals: dict | None = None) -> str:
    """Return the metrics as plain text for a terminal: at most 80 columns, a row for each class.

    ``metrics`` is what :func:`score` returns; with ``intervals``, those of the overall scores stand there too.
    """
    patients = metrics.get("patients")
    names = short_names(metrics["classes"], LONGEST_BESIDE_PATIENTS if patients else LONGEST_NAME)
    present = sum(values["support"] > 0 for values in metrics["per_class"].values())
    lines = []
    for key in ("accuracy", *METRICS):
        line = f"{TITLES[key]:<12}{in_words(metrics[key], key):>9}"
        if intervals and intervals[key]:
            low, high = (in_words(end, key) for end in intervals[key])
            line += f"   {low:>8} to {high:>8}"
        if key == "accuracy":
            line += f"   of {metrics['test_images']:,d} beats"
        if key == "sensitivity":
            line += f"   mean of {present} of {len(names)} classes, as below"
        lines.append(line)
    if reliability := metrics.get("reliability"):
        line = f"{'calibration':<12}{in_words(reliability['expected_calibration_error'], 'accuracy'):>9}"
        if reliability["interval"]:
            low, high = (in_words(end, "accuracy") for end in reliability["interval"])
            line += f"   {low:>8} to {high:>8}"
        lines.append(f"{line}   expected error (ECE)")
    if intervals:
        lines.append(interval_words(intervals))
    name_width = max(5, *map(len, names))
    widths = [max(len(TITLES[key]) + 1, 9 if patients else 10) for key in METRICS]
    header = "".join(f"{TITLES[key]:>{width}}" for key, width in zip(METRICS, widths, strict=True))
    lines += ["", f"{'class':<{name_width}}{header}{'beats':>9}" + f"{'patients':>9}" * bool(patients)]
    for name, short in zip(metrics["classes"], names, strict=True):
        values = metrics["per_class"][name]
        cells = "".join(
            f"{in_words(values[key], key):>{width}}" for key, width in zip(METRICS, widths, strict=True)
        )
        lines.append(
            f"{short:<{name_width}}{cells}{values['support']:>9,d}"
            + (f"{patients[name]:>9,d}" if patients else "")
        )
    return "\n".join(lines)


def ec57_table(figures: dict) -> str:
    """Return metrics.json's ``ec57`` as plain text for a terminal: of all beats, and the average of the records."""
    names = {"sensitivity": 12, "positive_predictivity": 23, "false_positive_rate": 21}
    lines = [f"{'EC57':<13}" + "".join(f"{name.replace('_', ' '):>{width}}" for name, width in names.items())]
    for kind in figures["gross"]:
        for way in ("gross", "average"):
            values = figures[way][kind]
            cells = "".join(f"{in_words(values[name], name):>{width}}" for name, width in names.items())
            lines.append(f"{kind:<5}{way:<8}{cells}")
    lines.append(LEGEND)
    return "\n".join(lines)


def in_words(value: float | None, key: str) -> str:
    """Return a score in words: AUC as a number, the others in percent, "-" if it is not defined."""
    if value is None:
        return "-"
    return rounded(value, 4) if key == "auc" else rounded(100 * value, 2, 100) + " %"


def rounded(value: float, digits: int, top: float = 1) -> str:
    """Round, but never an error away: what is below ``top`` or above 0 does not read as top or 0."""
    step = 10**-digits
    if 0 < value < step / 2:
        return f"<{step:.{digits}f}"
    if top - step / 2 <= value < top:
        return f">{top - step:.{digits}f}"
    return f"{value:.{digits}f}"


def short_names(names: Sequence[str], longest: int = LONGEST_NAME) -> list[str]:
    """Return classes' names in at most ``longest`` characters (other people's folders have long ones), all different.

    ``names`` are all different, too. The middle of long names is left out, or their beginning, or their end; where
    they are still alike they get numbers.
    """
    for head in (8, 0, longest - 2):
        short = [_shorten(name, head, longest) for name in names]
        if len(set(short)) == len(names):
            return short
    short = [name if len(name) <= longest else "" for name in names]
    for place, name in enumerate(names):
        number = 0
        while not short[place]:
            mark = f"..{(number := number + 1)}"
            label = name[: longest - len(mark)] + mark
            short[place] = "" if label in short else label
    return short


def _shorten(name: str, head: int, longest: int) -> str:
    """Leave out what stands behind the first ``head`` characters, as much as is more than ``longest``."""
    too_much = len(name) - longest
    return name if too_much <= 0 else f"{name[:head]}..{name[head + 2 + too_much :]}"


def interval_words(intervals: dict) -> str:
    """Say what kind of intervals these are."""
    if intervals["units"] < 2:
        return f"no intervals: fewer than two {intervals['resampled']}"
    return f"{100 * intervals['level']:.0f} % bootstrap intervals over {intervals['units']:,d} {intervals['resampled']}"
