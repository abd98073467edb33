"""Make every figure of docs/assignments.md from a run on real data.

    python docs/make_figures.py RUN_DIR --data DIR [--output docs]

RUN_DIR is a run folder of train_keras.py, DIR the images that it was trained with. Writes loss.png,
crops.png, convolution.png, pooling.png, normalization.png and paper_network.png.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the project's modules, from any folder

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import WHITE
from ecgbeats.images.folder import Images
from ecgbeats.images.image_files import decode
from ecgbeats.scores.figure_style import COLOURS, DPI, save_figure
from ecgbeats.scores.log_plot import plot_training
from ecgbeats.scores.logs import LOG_NAME, read_log, read_note
from ecgbeats.scores.predictions import read_predictions

SHOWN_CLASS = "PVC"  # of the one beat that the figures follow: wide and early, so easy to recognize
SHOWN_MAPS = 6
SAMPLE = 512  # beats whose values are counted
SHIFT = 4  # pixels: one step of the first convolution of `fast`
PLACES = "left-top centre-top right-top left-centre centre right-centre left-bottom centre-bottom right-bottom".split()


def main(arguments: list[str]) -> None:
    """Read the options, then make one figure after another."""
    parser = command.Parser(prog="make_figures.py", description=__doc__)
    parser.add_argument("run", metavar="RUN_DIR", type=Path, help="a run folder of train_keras.py")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="the images it was trained with"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, default=Path("docs"), help="default docs")
    options = parser.parse_args(arguments)
    command.check_output(options.output)
    log = read_log(options.run / LOG_NAME)
    note = read_note(options.run)
    files, true, probabilities, classes = read_predictions(options.run / "predictions.csv")
    paths = [options.data / file for file in files]
    shown = choose_beat(paths, true, probabilities, classes)
    beat = decode(shown.read_bytes(), shown)
    some = np.random.default_rng(0).permutation(len(paths))[:SAMPLE]
    images = Images([paths[i] for i in some])
    sample = images.gather(np.arange(len(images)))
    with command.quiet_import():
        from ecgbeats.runs.networks import load_model

        from model_keras import build_model

        layers = first_layers(load_model(options.run / "best.keras")[0])
    options.output.mkdir(parents=True, exist_ok=True)
    figures = {
        "loss": plot_training({options.run.name: log}, note=note),
        "crops": plot_crops(beat, shown.stem),
        "convolution": plot_convolution(layers, beat),
        "pooling": plot_pooling(layers, beat),
        "normalization": plot_normalization(layers, beat, sample),
        "paper_network": plot_network(build_model("paper")),
    }
    for name, figure in figures.items():
        if note and name not in ("loss", "paper_network"):
            figure.suptitle(note, fontsize=9)
        save_figure(figure, options.output / f"{name}.png")
        print(f"Wrote {options.output / name}.png")
    print(f"The beat shown is {shown}")
    before, after = (f"{change:.0%}" for change in change_by_shift(layers, sample))
    print(
        f"Beats {SHIFT} pixels further right change what goes into the pooling by {before}, what comes out by {after}"
    )


def choose_beat(paths: list[Path], true: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> Path:
    """Return the test beat of SHOWN_CLASS, named rightly, that is most like the mean of those."""
    if SHOWN_CLASS not in classes:
        raise InputError(f"RUN_DIR has no class {SHOWN_CLASS}: name a run on the paper's classes")
    right = (true == classes.index(SHOWN_CLASS)) & (probabilities.argmax(axis=1) == true)
    if not right.any():
        raise InputError(f"RUN_DIR names no {SHOWN_CLASS} rightly: name a run that is trained further")
    found = [paths[i] for i in np.flatnonzero(right)]
    # Blurred, since thin lines that lie side by side have nothing in common.
    blurred = [cv2.GaussianBlur(decode(path.read_bytes(), path), (0, 0), 4).astype(float) for path in found]
    mean = np.mean(blurred, axis=0)
    return found[int(np.argmin([((image - mean) ** 2).sum() for image in blurred]))]


def first_layers(model) -> dict:
    """Return the first convolution and max-pooling, the middle batch normalization, and what they give.

    Returns
    -------
    dict
        ``convolution``, ``normalization``, ``pooling``: the layers; ``values``: a function from images,
        uint8 (B, 128, 128), to a dict of pairs of arrays (B, H, W, C), what goes into each layer and what
        comes out.
    """
    import keras

    kinds = {
        "convolution": keras.layers.Conv2D,
        "normalization": keras.layers.BatchNormalization,
        "pooling": keras.layers.MaxPooling2D,
    }
    found = {}
    for name, kind in kinds.items():
        layers = [layer for layer in model.layers if isinstance(layer, kind) and len(layer.output.shape) == 4]
        if not layers:
            raise InputError(f"the network {model.name} has no {kind.__name__} to show: name a run of fast")
        # The first normalization sees little but the background's zeros.
        found[name] = layers[(len(layers) - 1) // 2 if name == "normalization" else 0]
    inner = keras.Model(model.input, {name: [layer.input, layer.output] for name, layer in found.items()})
    found["values"] = lambda images: inner.predict(images[..., np.newaxis], verbose=0)
    return found


def change_by_shift(layers: dict, sample: np.ndarray) -> list[float]:
    """Return by what share (Euclidean norm) the pooling's input and output change if the beats move right."""
    shifted = np.full_like(sample, WHITE)
    shifted[:, :, SHIFT:] = sample[:, :, :-SHIFT]
    pairs = zip(*(layers["values"](images)["pooling"] for images in (sample, shifted)), strict=True)
    return [float(np.linalg.norm(new - old) / np.linalg.norm(old)) for old, new in pairs]


def strongest(maps: np.ndarray) -> np.ndarray:
    """Return the numbers of SHOWN_MAPS maps, of (H, W, C), that are strong and unlike each other, in rising order."""
    values = (maps - maps.mean(axis=(0, 1))).reshape(-1, maps.shape[-1]).astype(np.float64)
    chosen = []
    for _ in range(SHOWN_MAPS):
        # The one with most that no weighted sum of those before it gives: the strongest alone look alike.
        chosen.append(int(np.linalg.norm(values, axis=0).argmax()))
        direction = values[:, chosen[-1]] / np.linalg.norm(values[:, chosen[-1]])
        values -= np.outer(direction, direction @ values)
    return np.sort(chosen)


def new_figure(width: float, height: float):
    """Return an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def show(axes, values: np.ndarray, title: str = "", **options):
    """Draw an array as an image, pixel by pixel, with a thin frame; return what a colour bar needs."""
    image = axes.imshow(values, interpolation="nearest", **options)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8)
    axes.spines[:].set_color("0.6")
    return image


def plot_crops(beat: np.ndarray, name: str):
    """Draw the whole image with the nine crops' frames, and the nine as the network gets them."""
    from matplotlib.patches import Rectangle

    from DataGenerator import CROP_OFFSETS, CROP_SIZE, crop

    gray = {"cmap": "gray", "vmin": 0, "vmax": 255}
    figure = new_figure(7.2, 4.0)
    panels = figure.subplot_mosaic(
        [
            ["whole", "whole", "whole", 0, 1, 2],
            ["whole", "whole", "whole", 3, 4, 5],
            ["whole", "whole", "whole", 6, 7, 8],
        ]
    )
    show(panels["whole"], beat, f"Whole image, 128 x 128 ({name})", **gray)
    for position, (x, y) in enumerate(CROP_OFFSETS):
        show(panels[position], crop(beat, position), f"{position}: {PLACES[position]}", **gray)
        if position in (0, 4, 8):
            colour = COLOURS[position // 4]
            frame = Rectangle(
                (x - 0.5, y - 0.5), CROP_SIZE, CROP_SIZE, fill=False, edgecolor=colour, linewidth=1.5
            )
            panels["whole"].add_patch(frame)
            panels[position].spines[:].set(color=colour, linewidth=1.5)
    figure.supxlabel(
        "Frames: crops 0, 4 and 8 of 96 x 96; on the right all nine, back at 128 x 128", fontsize=8
    )
    return figure


def plot_convolution(layers: dict, beat: np.ndarray):
    """Draw a beat, some kernels of the first convolution, and the maps that they make of it."""
    maps = layers["values"](beat[np.newaxis])["convolution"][1][0]
    kernels = np.asarray(layers["convolution"].kernel)[:, :, 0]
    chosen = strongest(maps)
    figure = new_figure(7.6, 2.9)
    panels = figure.subplot_mosaic(
        [["beat", "beat", *(f"{row} {i}" for i in chosen)] for row in ("kernel", "map")]
    )
    show(panels["beat"], beat, "The beat, 128 x 128", cmap="gray", vmin=0, vmax=255)
    most_kernel, most_map = np.abs(kernels[..., chosen]).max(), np.abs(maps[..., chosen]).max()
    size = "{} x {}".format(*kernels.shape[:2])
    for i in chosen:
        title = f"kernel {i}\n{size}"
        show(
            panels[f"kernel {i}"], kernels[..., i], title, cmap="RdBu_r", vmin=-most_kernel, vmax=most_kernel
        )
        title = "map {}\n{} x {}".format(i, *maps.shape[:2])
        image = show(panels[f"map {i}"], maps[..., i], title, cmap="RdBu_r", vmin=-most_map, vmax=most_map)
    figure.colorbar(image, ax=[panels[f"map {i}"] for i in chosen], shrink=0.8).ax.tick_params(labelsize=7)
    return figure


def plot_pooling(layers: dict, beat: np.ndarray):
    """Draw some maps before and after the first pooling."""
    before, after = (values[0] for values in layers["values"](beat[np.newaxis])["pooling"])
    chosen = strongest(before)
    figure = new_figure(7.6, 3.0)
    panels = figure.subplots(2, SHOWN_MAPS)
    for (upper, lower), i in zip(panels.T, chosen, strict=True):
        limits = {"cmap": "magma", "vmin": 0, "vmax": np.quantile(before[..., chosen], 0.999)}
        show(upper, before[..., i], "map {}\nbefore: {} x {}".format(i, *before.shape[:2]), **limits)
        image = show(lower, after[..., i], "after: {} x {}".format(*after.shape[:2]), **limits)
    figure.colorbar(image, ax=panels, shrink=0.8).ax.tick_params(labelsize=7)
    return figure


def plot_normalization(layers: dict, beat: np.ndarray, sample: np.ndarray):
    """Draw maps of one beat before and after a batch normalization, and histograms over many beats."""
    before, after = layers["values"](sample)["normalization"]
    one = [values[0] for values in layers["values"](beat[np.newaxis])["normalization"]]
    means = before.mean(axis=(0, 1, 2))
    # From the map of the lowest mean to that of the highest.
    chosen = np.argsort(means)[np.linspace(0, len(means) - 1, SHOWN_MAPS).round().astype(int)]
    figure = new_figure(7.6, 5.6)
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.1, 1])
    panels = upper.subplots(2, SHOWN_MAPS)
    for row, maps, word in zip(panels, one, ("before", "after"), strict=True):
        most = np.abs(maps[..., chosen]).max()
        for axes, i in zip(row, chosen, strict=True):
            image = show(axes, maps[..., i], f"map {i}, {word}", cmap="RdBu_r", vmin=-most, vmax=most)
        upper.colorbar(image, ax=row, shrink=0.8).ax.tick_params(labelsize=7)
    for axes, values, word in zip(lower.subplots(1, 2), (before, after), ("before", "after"), strict=True):
        edges = np.linspace(*np.quantile(values[..., chosen], [0.002, 0.998]), 60)
        for number, i in enumerate(chosen):
            own = values[..., i]
            words = f"{i}: {own.mean():.2f}, {own.std():.2f}"
            axes.hist(own.ravel(), edges, histtype="step", density=True, color=COLOURS[number], label=words)
        axes.set_xlabel(f"Value {word}, in {len(sample)} beats", fontsize=8)
        axes.set_ylabel("Density", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 3, "frameon": False}
        axes.legend(title="Map: mean, standard deviation", title_fontsize=7, fontsize=7, **place)
    return figure


def plot_network(model):
    """Draw a plain chain of layers: each output as a block, and below it what the layer is, in words."""
    columns = describe_layers(model)
    figure = new_figure(11, 3.6)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    tallest = max(column["shape"][0] for column in columns if len(column["shape"]) == 3)
    lines = max(len(column["words"]) for column in columns)
    for x, column in enumerate(columns):
        shape = column["shape"]
        if len(shape) == 3:
            side, depth = 1.5 * (shape[0] / tallest) ** 0.6, 0.05 * np.log2(2 * shape[2])
        else:
            side, depth = 0.12 * np.log2(2 * shape[0]), 0.08
        draw_block(axes, x, side, depth, COLOURS[column["colour"]])
        words = [*column["words"], *[""] * (lines - len(column["words"]))]
        words += [" x ".join(map(str, shape)), f"{column['parameters']:,d}"]
        for row, text in enumerate(words):
            axes.text(x, -1.15 - 0.2 * row, text, ha="center", va="center", fontsize=7, color="0.15")
    for row, text in ((0, "Layer"), (1, "and after it"), (lines, "Output"), (lines + 1, "Parameters")):
        axes.text(-0.6, -1.15 - 0.2 * row, text, ha="right", va="center", fontsize=7, weight="bold")
    axes.set_xlim(-1.3, len(columns) - 0.4)
    axes.set_ylim(-1.3 - 0.2 * (lines + 1), 1)
    figure.suptitle(f"The network '{model.name}': {model.count_params():,d} parameters", fontsize=10)
    return figure


def describe_layers(model) -> list[dict]:
    """Return what to draw for each layer that gives a new shape or holds a kernel; the others join the last one.

    Each is a dict: ``words``, lines of text; ``shape``, of the output without the batch; ``parameters``;
    ``colour``, an index into COLOURS.
    """
    from keras import layers

    columns = []
    for layer in model.layers:
        settings = layer.get_config()
        size = " x ".join(map(str, settings.get("kernel_size", settings.get("pool_size", ()))))
        match layer:
            case layers.InputLayer():
                words, colour = "image", 5
            case layers.Conv2D():
                words, colour = f"conv {size}", 0
            case layers.MaxPooling2D():
                words, colour = f"max-pool {size}", 2
            case layers.Dense():
                words, colour = f"dense {layer.units}", 4
            case layers.Activation():
                words, colour = (
                    {"elu": "ELU", "relu": "ReLU"}.get(settings["activation"], settings["activation"]),
                    None,
                )
            case layers.BatchNormalization():
                words, colour = "batch norm.", None
            case layers.Dropout():
                words, colour = f"dropout {layer.rate:g}", None
            case layers.Rescaling() | layers.Flatten():
                words, colour = None, None
            case _:
                raise InputError(f"no picture for a layer of the kind {type(layer).__name__}")
        if colour is not None:
            columns.append(
                {"words": [words], "shape": layer.output.shape[1:], "parameters": 0, "colour": colour}
            )
        elif words:
            columns[-1]["words"].append(words)
        columns[-1]["parameters"] += layer.count_params()
    return columns


def draw_block(axes, x: float, side: float, depth: float, colour: str) -> None:
    """Draw a block seen from the left: a square of ``side``, foreshortened, and ``depth`` to the right."""
    from matplotlib.patches import Polygon

    slant, left, half = 0.18 * side, x - (0.18 * side + depth) / 2, side / 2
    face = [(left, -half - slant / 2), (left + slant, -half + slant / 2)]
    face += [(px, py + side) for px, py in face[::-1]]
    front = [(left + slant, -half + slant / 2), (left + slant + depth, -half + slant / 2)]
    front += [(px, py + side) for px, py in front[::-1]]
    top = [(left, half - slant / 2), (left + depth, half - slant / 2)]
    top += [(px + slant, py + slant) for px, py in top[::-1]]
    for corners, alpha in ((face, 0.35), (front, 0.75), (top, 0.55)):
        axes.add_patch(Polygon(corners, facecolor="white", edgecolor="none"))
        axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="0.2", linewidth=0.5, alpha=alpha))


if __name__ == "__main__":
    command.run(main)
