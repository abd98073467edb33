"""From values to the page: the templates of this folder, and how they print scores, pictures and figures."""

import base64
import io
from pathlib import Path

from ecgbeats.scores.templates import environment
from ecgbeats.scores.words import TITLES, in_words

import cv2
import numpy as np

LARGEST_SVG = 300_000  # bytes; curves of 10,000 beats can take a megabyte


def render(values: dict) -> str:
    """Return the page of ``report.html.jinja`` for these values; whatever text they hold is escaped."""
    return templates().get_template("report.html.jinja").render(values)


def templates():
    """Return the Jinja environment of this folder's templates, which knows how scores and pictures are printed."""
    found = environment(Path(__file__).parent)
    found.filters |= {
        "grouped": "{:,.0f}".format,
        "score": score_words,
        "score_name": score_name,
        "interval": interval_ends,
        "picture_source": picture_source,
        "figure_source": figure_source,
    }
    return found


def score_words(value: float | None, key: str = "accuracy") -> str:
    """Return a score in words, without a line break before the percent sign."""
    return in_words(value, key).replace(" %", "\N{NO-BREAK SPACE}%")


def score_name(key: str) -> str:
    """Return a score's name with a capital."""
    return TITLES[key][0].upper() + TITLES[key][1:]


def interval_ends(ends: list[float] | None, key: str) -> str:
    """Return an interval in words, in the unit of the score beside it, or a dash."""
    return " to ".join(in_words(end, key).removesuffix(" %") for end in ends) if ends else "–"


def picture_source(image: np.ndarray) -> str:
    """Return an image, uint8 gray (H, W) or RGB (H, W, 3), as the address of an <img>."""
    encoded = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()
    return _data_address("png", encoded)


def figure_source(figure) -> str:
    """Return a Matplotlib figure as the address of an <img>.

    It is SVG, which stays sharp on paper, or PNG where many points would make that large.
    """
    import matplotlib

    drawn, kind = io.BytesIO(), "svg+xml"
    with matplotlib.rc_context({"svg.hashsalt": "report"}):  # the same figure gives the same bytes
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    if drawn.tell() > LARGEST_SVG:
        drawn, kind = io.BytesIO(), "png"
        figure.savefig(drawn, format=kind)
    return _data_address(kind, drawn.getvalue())


def _data_address(kind: str, content: bytes) -> str:
    """Return the content of an image file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
