"""What all figures share: colours, resolution, titles, and how they are written."""

import os
from collections.abc import Sequence

from ecgbeats import command
from ecgbeats.scores.glyphs import with_glyphs
from ecgbeats.scores.words import short_names

DPI = 150
# Hues that colour-blind readers tell apart (after Okabe and Ito 2008), each of another lightness, so that
# they differ in gray too.
COLOURS = ("#0b2fa0", "#f09a10", "#b8321e", "#8fcdf5", "#14b07f", "#000000")


def save_figure(figure, path: str | os.PathLike) -> None:
    """Write a figure, whole or not at all, in the format that the path's suffix names."""
    with command.whole_file(path) as unfinished:
        figure.savefig(unfinished)


def new_figure(width: float, height: float):
    """Return an empty figure of this size in inches. No pyplot: that would open a display, and is global."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def set_title(figure, title: str, note: str | None) -> None:
    """Print the title, and the note below it."""
    figure.suptitle(title + (f"\n{note}" if note else ""), fontsize=10)


def clean(axes, label_size: int = 8) -> None:
    """Give axes a pale grid, no box, and labels of this size in points."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=label_size)


def printable(names: Sequence[str]) -> list[str]:
    """Return classes' names as Matplotlib can print them: short, `$` not as formula, whatever their bytes."""
    texts = [name.encode("utf-8", "replace").decode() for name in short_names(names)]
    texts = [with_glyphs(text, f"class {number}") for number, text in enumerate(texts, 1)]
    return [text.replace("$", r"\$") for text in texts]
