"""The review page of a record: prepares what the page holds, writes the file."""

import base64
import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path

from ecgbeats import command
from ecgbeats.images import bands
from ecgbeats.images.canvas import BORDER, IMAGE_SIZE
from ecgbeats.images.drawings import paper, typical, usual
from ecgbeats.images.stretches import Stretch, cut_into_stretches
from ecgbeats.records.record import Record
from ecgbeats.records.symbols import symbol_classes
from ecgbeats.scores.reliability import DOUBTFUL, DOUBTS
from ecgbeats.scores.review.packing import BEATS_ORDER, SIGNAL_ORDER, pack, pack_signal
from ecgbeats.scores.templates import environment

import numpy as np

HERE = Path(__file__).parent
# In this order they make up the page's script.
SCRIPTS = (
    "codec.js",
    "record.js",
    "beats.js",
    "lines.js",
    "usual.js",
    "drawings.js",
    "look.js",
    "strip.js",
    "overview.js",
    "rhythm.js",
    "lists.js",
    "card.js",
    "keys.js",
    "page.js",
)
BLOCK = 1 << 18  # samples that the browser unpacks at once: 12 minutes at 360 Hz
LARGEST_SIGNAL = 23_500_000  # bytes of text, which leaves room for 100,000 beats in a page of 25 MB
NO_DEVICE = "This is no medical device, and not for diagnosis: for research and teaching."


@dataclass(frozen=True)
class Review:
    """A record with the beats that a network labelled, as the page shows it.

    Attributes
    ----------
    name, lead : str
    rate : float
        Samples per second.
    millivolts : numpy.ndarray, float32, shape (samples,)
        At least one sample, all finite.
    samples : numpy.ndarray, int64, shape (beats,)
        Where each beat is, rising.
    classes, symbols : list of str
        The network's classes, and the WFDB symbol of each.
    predicted : numpy.ndarray of int, shape (beats,)
        Index of each beat's class.
    probabilities : numpy.ndarray, float32, shape (beats, classes)
    noise : numpy.ndarray, int64, shape (stretches, 2)
        First sample, and the one behind the last, of stretches too poor to judge.
    drawing : str
        The drawing that the network was trained on, one of DRAWINGS.
    notices : list of str
        What the reader must know, a sentence or more each.
    start_time : datetime.datetime or datetime.time, optional
        When the recording began.
    first : int
        The recording's sample with which ``millivolts`` begins. The page's clock and the corrections count from the
        recording's start, ``samples`` and ``noise`` from here.
    corrections : str
        What a person said of these beats already, as the page hands it over; "" for nothing.
    """

    name: str
    lead: str
    rate: float
    millivolts: np.ndarray
    samples: np.ndarray
    classes: list[str]
    symbols: list[str]
    predicted: np.ndarray
    probabilities: np.ndarray
    noise: np.ndarray
    drawing: str
    notices: list[str]
    start_time: datetime.datetime | datetime.time | None = None
    first: int = 0
    corrections: str = ""


def write_review(path: Path, review: Review) -> None:
    """Write the review page of a record to ``path``."""
    path.write_text(render(review), encoding="utf-8", errors="replace", newline="\n")


def render(review: Review) -> str:
    """Return the page; whatever text the review holds is escaped, and no script but the page's own can run in it."""
    from markupsafe import Markup

    blocks, step = pack_signal(review.millivolts, BLOCK, LARGEST_SIGNAL)
    script = "\n" + "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return (
        environment(HERE)
        .get_template("review.html.jinja")
        .render(
            review=review,
            notices=with_warning(review.notices),
            version=command.VERSION,
            about=about(review, step),
            doubts=DOUBTS,
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            beats={
                "samples": pack(review.samples.astype(np.int32), BEATS_ORDER),
                "predicted": pack(review.predicted.astype(np.int16)),
                "probabilities": pack(np.rint(review.probabilities * 255).astype(np.uint8).ravel()),
            },
            blocks=blocks,
        )
    )


def with_warning(notices: list[str]) -> list[str]:
    """Return the notices with the one first that this is no medical device, which no page may lack."""
    warning = next((notice for notice in notices if "no medical device" in notice), NO_DEVICE)
    return [warning, *(notice for notice in notices if notice != warning)]


def about(review: Review, step: float) -> dict:
    """Return what the script must know beside the packed numbers; ``step`` is the signal's, in millivolts."""
    stretches = stretch_values(review)
    limits = np.median([stretch["limits"] for stretch in stretches], axis=0).tolist()
    return {
        "name": review.name,
        "lead": review.lead,
        "rate": review.rate,
        "length": len(review.millivolts),
        "first": review.first,
        "block": BLOCK,
        "step": step,
        "orders": {"signal": SIGNAL_ORDER, "beats": BEATS_ORDER},
        "limits": limits,
        "classes": [
            {"name": name, "symbol": symbol, "kind": kind(symbol)}
            for name, symbol in zip(review.classes, review.symbols, strict=True)
        ],
        "noise": review.noise.tolist(),
        "corrections": review.corrections,
        "start": None if review.start_time is None else review.start_time.isoformat(),
        "doubtful": DOUBTFUL,
        "drawing": review.drawing,
        "drawings": drawing_values(review) | {"stretches": stretches},
    }


def kind(symbol: str) -> str:
    """Return the AAMI class of a beat's symbol, by which the page colours it; V for flutter, Q for what has none."""
    return "V" if symbol == "!" else symbol_classes("aami").get(symbol, "Q")


def drawing_values(review: Review) -> dict:
    """Return what drawings.js needs to draw beats as ecgbeats.images.drawings does, whatever the stretch."""
    return {
        "size": IMAGE_SIZE,
        "border": BORDER,
        "paperMargin": max(1, round(paper.MARGIN_SECONDS * review.rate)),
        "beatStrip": vars(bands.BEAT_STRIP),
        "rhythmStrip": vars(bands.RHYTHM_STRIP),
        "tickStrip": vars(bands.TICK_STRIP),
        "baselineSeconds": bands.BASELINE_SECONDS,
        "amplitudeMargin": bands.AMPLITUDE_MARGIN,
        "typicalGray": typical.TYPICAL_GRAY,
        "bars": typical.BARS,
        "barGray": typical.BAR_GRAY,
        "typicalBar": typical.TYPICAL_BAR,
        "usual": {
            "smoothing": usual.SMOOTHING,
            "band": vars(usual.BEAT_BAND),
            "lowest": usual.LOWEST,
            "highest": usual.HIGHEST,
            "gray": usual.USUAL_GRAY,
            "differenceTop": usual.DIFFERENCE_ROWS.start,
            "differenceBottom": usual.DIFFERENCE_ROWS.stop,
            "differenceGray": usual.DIFFERENCE_GRAY,
            "barTop": usual.BAR_ROWS.start,
            "barBottom": usual.BAR_ROWS.stop,
            "barWidth": usual.BAR_WIDTH,
            "barsBefore": usual.BARS_BEFORE,
            "barsAfter": usual.BARS_AFTER,
            "bar": usual.USUAL_BAR,
            "barGray": usual.BAR_GRAY,
            "gauges": list(usual.GAUGES.values()),
            "gaugeTop": usual.GAUGE_TOP,
            "gaugeRows": usual.GAUGE_ROWS,
            "leastSpread": usual.LEAST_SPREAD,
            "leastRr": usual.LEAST_RR,
            "reach": usual.REACH,
            "block": usual.BLOCK,
            "lateShare": usual.LATE_SHARE,
            "longestShare": usual.LONGEST_SHARE,
            "percentile": usual.USUAL_PERCENTILE,
            "slowPercentile": usual.SLOW_PERCENTILE,
        },
    }


def stretch_values(review: Review) -> list[dict]:
    """Return what is usual in each stretch in which ecgbeats.images.stretches draws the record.

    ``end`` is the sample behind its last; ``limits`` are its amplitudes, ``interval`` its median RR interval, and
    ``medianBeat`` its median beat, where the drawing shows that.
    """
    record = Record(
        review.name,
        review.lead,
        review.rate,
        review.millivolts,
        review.samples,
        np.full(len(review.samples), "Q"),
    )
    values = []
    for stretch in cut_into_stretches(record):
        level = bands.without_baseline(stretch.record.signal, review.rate)
        limits = bands.amplitude_limits(level)
        median = None
        if review.drawing == "typical":
            median = typical.median_beat(stretch.record, 1 - bands.to_scale(level, limits))
        own = usual_values(stretch) if review.drawing == "usual" and len(stretch.record.samples) else {}
        values.append(
            own
            | {
                "end": stretch.end,
                "limits": limits,
                "interval": typical.typical_interval(stretch.record),
                "medianBeat": None if median is None else np.round(median, 5).tolist(),
            }
        )
    return values


def usual_values(stretch: Stretch) -> dict:
    """Return what the drawing "usual" makes of a stretch.

    ``scale`` is the signal's, ``usualInterval`` in samples, ``firstBeat`` the review's beat that is the stretch's
    first, margins included, and ``offsets`` says how far behind each beat's sample its middle is.
    """
    beats = usual.prepare(stretch.record)
    return {
        "scale": beats.scale,
        "usualInterval": beats.usual_interval,
        "firstBeat": stretch.beats.start - stretch.before,
        "offsets": (beats.samples - stretch.record.samples).tolist(),
    }
