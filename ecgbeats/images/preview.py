"""preview.png: a grid of beats of each class."""

from pathlib import Path

from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.choice import Chosen
from ecgbeats.images.image_files import decode
from ecgbeats.images.names import image_name

import numpy as np

PREVIEW_COLUMNS = 10


def sample_evenly(samples: dict[str, list[int]], most: int) -> list[tuple[str, int]]:
    """Return at most ``most`` beats, as (record, sample), drawn evenly over records and, within one, over its time.

    ``samples`` are the beats of each record, rising.
    """
    groups = [
        [(record, sample) for sample in samples[record]] for record in sorted(samples) if samples[record]
    ]
    # Where there are more records than places, take records from the first to the last.
    groups = [groups[i * len(groups) // min(most, len(groups))] for i in range(min(most, len(groups)))]
    shares = [0] * len(groups)
    for turn in range(most):
        for i, group in enumerate(groups):
            if turn < len(group) and sum(shares) < most:
                shares[i] += 1
    return [
        group[(2 * j + 1) * len(group) // (2 * share)]
        for group, share in zip(groups, shares, strict=True)
        for j in range(share)
    ]


def save_preview(
    folder: Path, chosen: dict[str, Chosen], classes: list[str], note: str | None = None
) -> None:
    """Write preview.png, a grid with one row of beats for each class, taken evenly over the records.

    ``chosen`` holds each record's beats by its name; their images are in ``folder``. ``note`` stands in the title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cell, frame, left, top, dpi = IMAGE_SIZE + 4, 170, 80, 50, 120  # pixels, gray level, dots an inch
    grid = np.full((len(classes) * cell, PREVIEW_COLUMNS * cell), 255, np.uint8)
    for row, name in enumerate(classes):
        of_class = {
            record: [s for s, c in zip(beats.samples, beats.classes, strict=True) if c == name]
            for record, beats in chosen.items()
        }
        for column, beat in enumerate(sample_evenly(of_class, PREVIEW_COLUMNS)):
            place = grid[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            place[1:-1, 1:-1] = frame
            file = folder / name / image_name(*beat)
            place[2:-2, 2:-2] = decode(file.read_bytes(), file)
    height, width = grid.shape
    figure = Figure(figsize=((left + width) / dpi, (top + height) / dpi), dpi=dpi)
    FigureCanvasAgg(figure)
    # One dot of the figure for each pixel, so that the lines stay as sharp as the network sees them.
    axis = figure.add_axes(
        (left / (left + width), 0, width / (left + width), height / (top + height)), frame_on=False
    )
    axis.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([(row + 0.5) * cell for row in range(len(classes))], classes, fontsize=11)
    axis.tick_params(length=0)
    title = "Beats by class" + (f" ({note})" if note else "")
    figure.suptitle(title, fontsize=13, y=1 - top / 2 / (top + height), va="center")
    figure.savefig(folder / "preview.png", pil_kwargs={"compress_level": 1})
